//! Schemas as descriptors: what some clients of Confluent's registry send, and ask for, in place of a text.
//!
//! What is kept is a text always: of a descriptor its canonical one, which compiles to the same again. It is then
//! read as any other text, so that here only that has to hold which keeps the compiler and the printer safe.

use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage, prost_types};
use protox::file::File;

use super::{
    super::verdict::Violation, MAX_ITEMS, MAX_SCHEMA_BYTES, OWN, ProtoSchema, canonical, compile,
    reserved_and_used,
};

/// The canonical text of the schema that a `FileDescriptorProto` is. Each of the references is the path by which
/// it is imported and its text.
///
/// # Errors
/// What is wrong with it.
pub fn text_of(
    descriptor: &[u8],
    references: &[(String, String)],
) -> Result<String, Vec<Violation>> {
    let refuse = |message: String| vec![Violation { path: String::new(), message }];
    if descriptor.len() > MAX_SCHEMA_BYTES {
        return Err(refuse(format!("is longer than {MAX_SCHEMA_BYTES} bytes")));
    }
    // The last of several values of a field counts: whatever it was called, it is our own now.
    let mut named = descriptor.to_vec();
    prost::encoding::string::encode(1, &OWN.to_owned(), &mut named);
    let file = File::decode_file_descriptor_proto(named.as_slice())
        .map_err(|_| refuse("is no descriptor of a file".into()))?;
    let proto = file.file_descriptor_proto();
    if let Some(wrong) = items(proto).or_else(|| reserved_and_used(proto)) {
        return Err(refuse(wrong));
    }
    Ok(canonical(&compile(references, OWN_DESCRIPTOR, Some(file))?))
}

/// In place of a text: what is counted of it is counted of the descriptor.
const OWN_DESCRIPTOR: &str = "";

/// The `FileDescriptorProto` of a schema, without comments and places in its text.
#[must_use]
pub fn descriptor_of(schema: &ProtoSchema) -> Vec<u8> {
    let whole = schema.file.encode_to_vec();
    let of = prost_types::FileDescriptorProto::default().descriptor();
    match DynamicMessage::decode(of, whole.as_slice()) {
        Ok(mut message) => {
            message.clear_field_by_name("source_code_info");
            message.encode_to_vec()
        }
        Err(_) => whole,
    }
}

/// What is too much of it, or is not as a compiler makes it: `prost-reflect` panics on a map's entry that does
/// not look like one.
fn items(file: &prost_types::FileDescriptorProto) -> Option<String> {
    let mut count = file.dependency.len() + file.extension.len();
    let mut enums: Vec<_> = file.enum_type.iter().collect();
    let mut todo: Vec<_> = file.message_type.iter().map(|message| (message, false)).collect();
    for service in &file.service {
        count += 1 + service.method.len();
    }
    while let Some((message, nested)) = todo.pop() {
        count += 1 + message.field.len() + message.oneof_decl.len() + message.extension.len();
        count += message.reserved_range.len() + message.reserved_name.len();
        count += message.extension_range.len();
        todo.extend(message.nested_type.iter().map(|message| (message, true)));
        enums.extend(&message.enum_type);
        let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
        let fields: Vec<_> = message.field.iter().map(|field| field.number()).collect();
        if is_entry && !(nested && fields == [1, 2]) {
            return Some(format!("{} is no entry of a map", message.name()));
        }
    }
    for of in enums {
        count += 1 + of.value.len() + of.reserved_range.len() + of.reserved_name.len();
    }
    (count > MAX_ITEMS).then(|| format!("has more than {MAX_ITEMS} declarations"))
}
