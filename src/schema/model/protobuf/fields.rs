//! All fields of a schema's messages, flat, for a field-by-field difference of two versions.

use prost_reflect::MessageDescriptor;

use super::{
    ProtoSchema,
    field::{self, Field},
};

/// The most fields that are listed.
pub const MAX_FIELDS: usize = 10_000;
/// The most bytes of all their names with those of what they are in.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Each field's path, which is the names of its messages and its own, without the package, with its
/// type and number. A message is listed once, where it is defined, and not where it is used.
#[must_use]
pub fn fields(schema: &ProtoSchema) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    walk(schema, |path, _, field| {
        if let Some(field) = field {
            fields.push((path, format!("{} = {}", field.type_text(), field.number)));
        }
    });
    fields
}

/// The elements that differences are told of, each with its path among the fields: messages too, and
/// as one without a name, of an empty path, the schema itself.
#[must_use]
pub fn places(schema: &ProtoSchema) -> Vec<(String, String)> {
    let mut places = vec![(String::new(), String::new())];
    walk(schema, |path, full_name, field| {
        let place = field.map_or_else(|| full_name.to_owned(), |field| field.path.clone());
        places.push((place, path));
    });
    places
}

/// Goes through all messages, and after each through its fields, with their paths.
fn walk(schema: &ProtoSchema, mut each: impl FnMut(String, &str, Option<&Field>)) {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    let mut todo: Vec<MessageDescriptor> = schema.file.messages().collect();
    todo.reverse();
    while let Some(message) = todo.pop() {
        if message.is_map_entry() {
            continue;
        }
        let own = message.full_name().strip_prefix(schema.file.package_name());
        let own = own.map_or(message.full_name(), |own| own.trim_start_matches('.')).to_owned();
        each(own.clone(), message.full_name(), None);
        for field in field::of(&message) {
            (count, bytes) = (count + 1, bytes + field.path.len());
            if count > MAX_FIELDS || bytes > MAX_BYTES {
                return;
            }
            each(format!("{own}.{}", field.name), message.full_name(), Some(&field));
        }
        let below: Vec<MessageDescriptor> = message.child_messages().collect();
        todo.extend(below.into_iter().rev());
    }
}
