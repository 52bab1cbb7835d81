//! All fields of a schema's messages, flat, for a field-by-field difference of two versions.

use prost_reflect::MessageDescriptor;

use super::{
    super::outline::{MAX_BYTES, Outline},
    ProtoSchema, field,
};

/// The most fields that are listed.
pub const MAX_FIELDS: usize = 10_000;

/// Each field's path, which is the names of its messages and its own, without the package, with its
/// type and number. A message is listed once, where it is defined, and not where it is used.
#[must_use]
pub fn fields(schema: &ProtoSchema) -> Vec<(String, String)> {
    outline(schema).fields
}

/// The same with the elements that differences are told of: messages too, and as one without a name,
/// the schema itself.
pub(in super::super) fn outline(schema: &ProtoSchema) -> Outline {
    let (mut found, mut bytes) = (Outline::new(), 0_usize);
    found.places.push((String::new(), String::new()));
    let mut todo: Vec<MessageDescriptor> = schema.file.messages().collect();
    todo.reverse();
    while let Some(message) = todo.pop() {
        if message.is_map_entry() {
            continue;
        }
        let own = message.full_name().strip_prefix(schema.file.package_name());
        let own = own.map_or(message.full_name(), |own| own.trim_start_matches('.')).to_owned();
        found.places.push((message.full_name().to_owned(), own.clone()));
        for field in field::of(&message) {
            if found.fields.len() >= MAX_FIELDS || bytes > MAX_BYTES {
                found.is_whole = false;
                return found;
            }
            let path = format!("{own}.{}", field.name);
            let kind = format!("{} = {}", field.type_text(), field.number);
            bytes += 2 * path.len() + field.path.len() + kind.len();
            found.places.push((field.path, path.clone()));
            found.fields.push((path, kind));
        }
        let below: Vec<MessageDescriptor> = message.child_messages().collect();
        todo.extend(below.into_iter().rev());
    }
    found
}
