//! All fields of a schema's messages, flat, for a field-by-field difference of two versions.

use prost_reflect::MessageDescriptor;

use super::{ProtoSchema, field};

/// The most fields that are listed.
pub const MAX_FIELDS: usize = 10_000;

/// Each field's path, which is the names of its messages and its own, without the package, with its
/// type and number. A message is listed once, where it is defined, and not where it is used.
#[must_use]
pub fn fields(schema: &ProtoSchema) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut todo: Vec<MessageDescriptor> = schema.file.messages().collect();
    todo.reverse();
    while let Some(message) = todo.pop() {
        if message.is_map_entry() {
            continue;
        }
        let own = message.full_name().strip_prefix(schema.file.package_name());
        let own = own.map_or(message.full_name(), |own| own.trim_start_matches('.')).to_owned();
        for field in field::of(&message) {
            if fields.len() >= MAX_FIELDS {
                return fields;
            }
            let kind = format!("{} = {}", field.type_text(), field.number);
            fields.push((format!("{own}.{}", field.name), kind));
        }
        let below: Vec<MessageDescriptor> = message.child_messages().collect();
        todo.extend(below.into_iter().rev());
    }
    fields
}
