//! Schemas as descriptors: what some clients of Confluent's registry send, and ask for, in place of a text.
//!
//! What is kept is a text always: of a descriptor its canonical one, which compiles to the same again. It is then
//! read as any other text, so that here only that has to hold which keeps the compiler and the printer safe.

use std::rc::Rc;

use prost::Message;
use prost_reflect::{
    DynamicMessage, ReflectMessage,
    prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, field_descriptor_proto::Type,
    },
};
use protox::file::File;

use super::{
    super::verdict::Violation, MAX_ITEMS, MAX_NAME, MAX_SCHEMA_BYTES, OWN, ProtoSchema, canonical,
    compile, reserved_and_used,
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
    if !["", "proto2", "proto3"].contains(&proto.syntax()) {
        return Err(refuse("has another syntax than proto2 and proto3".into()));
    }
    if has_unread_options(proto) {
        return Err(refuse("has options that no compiler has read".into()));
    }
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
    let of = FileDescriptorProto::default().descriptor();
    match DynamicMessage::decode(of, whole.as_slice()) {
        Ok(mut message) => {
            message.clear_field_by_name("source_code_info");
            message.encode_to_vec()
        }
        Err(_) => whole,
    }
}

/// What is too much of it, or is not as a compiler makes it. `prost-reflect` panics on a map's entry that does not
/// look like one, as it does on a syntax that it does not know; and writing a group where its field is would come
/// to no end if the group were not within what the field is in.
fn items(file: &FileDescriptorProto) -> Option<String> {
    let mut count = file.dependency.len() + file.extension.len() + file.message_type.len();
    let mut enums: Vec<_> = file.enum_type.iter().collect();
    let package = file.package();
    let root: Rc<str> = if package.is_empty() { "".into() } else { format!(".{package}").into() };
    if let Some(wrong) = field(&root, &file.extension, &file.message_type) {
        return Some(wrong);
    }
    for service in &file.service {
        count += 1 + service.method.len();
    }
    let mut longest = package.len();
    // Each with what it is in, by its full name, which all that are in it share.
    let mut todo: Vec<_> =
        file.message_type.iter().map(|message| (root.clone(), message, false)).collect();
    while let Some((outer, message, nested)) = todo.pop() {
        count += message.field.len() + message.oneof_decl.len() + message.extension.len();
        count += message.reserved_range.len() + message.reserved_name.len();
        count += message.extension_range.len() + message.nested_type.len();
        longest = longest.max(outer.len() + message.name().len());
        if count > MAX_ITEMS || longest > MAX_FULL_NAME {
            break;
        }
        let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
        let fields: Vec<_> = message.field.iter().map(|field| field.number()).collect();
        if is_entry && !(nested && fields == [1, 2]) {
            return Some(format!("{} is no entry of a map", message.name()));
        }
        let scope: Rc<str> = format!("{outer}.{}", message.name()).into();
        let within = &message.nested_type;
        let wrong = field(&scope, &message.field, within);
        if let Some(wrong) = wrong.or_else(|| field(&scope, &message.extension, within)) {
            return Some(wrong);
        }
        todo.extend(within.iter().map(|nested| (scope.clone(), nested, true)));
        enums.extend(&message.enum_type);
    }
    for of in enums {
        count += 1 + of.value.len() + of.reserved_range.len() + of.reserved_name.len();
    }
    if count > MAX_ITEMS {
        return Some(format!("has more than {MAX_ITEMS} declarations"));
    }
    let too_long = longest > MAX_FULL_NAME;
    too_long.then(|| format!("has a full name of more than {MAX_FULL_NAME} characters"))
}

/// Whether something has options as they are written: no compiler leaves them so, and the reader of their values
/// goes down the stack.
fn has_unread_options(file: &FileDescriptorProto) -> bool {
    macro_rules! unread {
        ($($of:expr),+) => {
            $($of.options.iter().any(|options| !options.uninterpreted_option.is_empty()))||+
        };
    }
    let mut enums: Vec<_> = file.enum_type.iter().collect();
    let mut todo: Vec<_> = file.message_type.iter().collect();
    let mut found = unread!(file)
        || file.extension.iter().any(|field| unread!(field))
        || file.service.iter().any(|of| unread!(of) || of.method.iter().any(|of| unread!(of)));
    while let Some(of) = todo.pop() {
        found |= unread!(of)
            || of.field.iter().chain(&of.extension).any(|field| unread!(field))
            || of.oneof_decl.iter().any(|oneof| unread!(oneof))
            || of.extension_range.iter().any(|range| unread!(range));
        todo.extend(&of.nested_type);
        enums.extend(&of.enum_type);
    }
    found || enums.iter().any(|of| unread!(of) || of.value.iter().any(|value| unread!(value)))
}

/// The most characters of a message's full name. It is repeated wherever the message is named.
const MAX_FULL_NAME: usize = 4 * MAX_NAME;

/// A field of a group that is not declared where it is itself, or with a default that no compiler writes.
fn field(
    scope: &str,
    fields: &[FieldDescriptorProto],
    within: &[DescriptorProto],
) -> Option<String> {
    let is_within = |field: &FieldDescriptorProto| {
        let name = field.type_name().strip_prefix(scope).and_then(|name| name.strip_prefix('.'));
        within.iter().any(|message| Some(message.name()) == name)
    };
    fields.iter().find_map(|field| match field.r#type() {
        Type::Group if !is_within(field) => {
            Some(format!("{} is of a group that is declared elsewhere", field.name()))
        }
        Type::Bytes if !is_escaped(field.default_value()) => {
            Some(format!("{} has a default that is no bytes", field.name()))
        }
        _ => None,
    })
}

/// Whether bytes are written as compilers do: in ASCII, and with no octal number beyond a byte's. `prost-reflect`
/// panics on others.
fn is_escaped(text: &str) -> bool {
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return text.is_ascii(),
            [b'\\', b'4'..=b'7', b'0'..=b'7', b'0'..=b'7', ..] => return false,
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
        };
    }
}
