//! Services and their methods, by name.

use std::collections::HashMap;

use prost_reflect::{FileDescriptor, MethodDescriptor};

use super::{
    super::verdict::{Exhausted, Verdict},
    compare::Walk,
};

pub(super) fn compare(
    walk: &mut Walk<'_>,
    reader: &FileDescriptor,
    writer: &FileDescriptor,
) -> Result<(), Exhausted> {
    let mut added: HashMap<String, _> =
        reader.services().map(|service| (service.name().to_owned(), service)).collect();
    for before in writer.services() {
        walk.step()?;
        let Some(service) = added.remove(before.name()) else {
            let message = "there is no such service: a call to it fails".to_owned();
            walk.found.tell(before.full_name(), "SERVICE_REMOVED", Verdict::Unknown, message);
            continue;
        };
        let mut methods: HashMap<String, _> =
            service.methods().map(|method| (method.name().to_owned(), method)).collect();
        for before in before.methods() {
            walk.step()?;
            match methods.remove(before.name()) {
                Some(method) => compare_methods(walk, &method, &before),
                None => {
                    let message = "there is no such method: a call to it fails".to_owned();
                    walk.found.tell(
                        before.full_name(),
                        "METHOD_REMOVED",
                        Verdict::Unknown,
                        message,
                    );
                }
            }
        }
        for method in methods.into_values() {
            walk.found.note(method.full_name(), "METHOD_ADDED", "there was no such method".into());
        }
    }
    for service in added.into_values() {
        walk.found.note(service.full_name(), "SERVICE_ADDED", "there was no such service".into());
    }
    Ok(())
}

/// Messages by another name are another type here: who calls by reflection finds no such type.
fn compare_methods(walk: &mut Walk<'_>, method: &MethodDescriptor, before: &MethodDescriptor) {
    let package = (method.parent_file(), before.parent_file());
    let own = |name: &str, package: &str| {
        name.strip_prefix(package).map_or(name, |rest| rest.trim_start_matches('.')).to_owned()
    };
    let types =
        [("takes", method.input(), before.input()), ("returns", method.output(), before.output())];
    for (verb, now, was) in types {
        let (now, was) = (now.full_name(), was.full_name());
        if own(now, package.0.package_name()) != own(was, package.1.package_name()) {
            let message = format!("{verb} {now}, and {verb} {was} for the writer");
            walk.found.tell(
                method.full_name(),
                "METHOD_TYPE_CHANGED",
                Verdict::Incompatible,
                message,
            );
        }
    }
    let streaming = [
        ("client", method.is_client_streaming(), before.is_client_streaming()),
        ("server", method.is_server_streaming(), before.is_server_streaming()),
    ];
    for (side, now, was) in streaming.into_iter().filter(|(_, now, was)| now != was) {
        let message = format!("the {side}'s side is a stream: {now}, and was: {was}");
        walk.found.tell(
            method.full_name(),
            "METHOD_STREAMING_CHANGED",
            Verdict::Incompatible,
            message,
        );
    }
}
