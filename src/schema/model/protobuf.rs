//! Protobuf: reading a schema, its canonical text, whether one reads what another wrote, and payloads.
//!
//! `protox` compiles the text against what it refers to and the well-known types; the comparison and
//! the canonical text are ours, over `prost-reflect`'s descriptors. Editions are not read: `protox`
//! knows proto2 and proto3.

mod canonical;
mod compare;
mod descriptor;
mod enums;
mod field;
mod fields;
mod json;
mod kinds;
mod oneofs;
mod scan;
mod services;
mod shape;
#[cfg(test)]
mod tests;
mod text_format;
mod wire;

use std::{collections::HashMap, sync::Mutex};

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor, prost_types};
use protox::{
    Compiler, Error,
    file::{File, FileResolver, GoogleFileResolver},
};

use super::verdict::Violation;

pub use canonical::canonical;
pub use compare::compare;
pub use descriptor::{descriptor_of, text_of};
pub use fields::fields;
pub(super) use fields::outline;
pub use json::validate_json;
pub(super) use shape::shape;
pub use wire::validate_bytes;

/// The most bytes of a schema's text and of the texts that it refers to, together.
pub const MAX_SCHEMA_BYTES: usize = 1024 * 1024;
/// The most texts that a schema may refer to. The compiler goes down the stack for each import.
pub const MAX_REFERENCES: usize = 200;
/// The most declarations and values (`;`, `{`, `,`) in all texts together. It bounds the memory of
/// descriptors, of which each takes hundreds of bytes for a few of text, and the compiler's checks
/// of each field against each reserved range.
pub const MAX_ITEMS: usize = 20_000;
/// Above this, errors have no line: to find one, the compiler goes through all declarations for
/// every error, and there can be as many of the ones as of the others.
const MAX_ITEMS_WITH_LINES: usize = 2_000;
/// How deep brackets may be. It protects the stack from the values of options, which `prost-reflect`
/// reads without a bound; messages may be 31 deep by the compiler's own limit.
pub const MAX_DEPTH: usize = 64;
/// The most characters of a name as it is written. Names are repeated in messages and paths.
pub const MAX_NAME: usize = 512;
/// The most violations that are told of one payload.
pub const MAX_VIOLATIONS: usize = 100;

/// The schema's own text among the files; an import cannot start with a slash.
const OWN: &str = "schema.drr.proto";

/// A schema that was read.
#[derive(Debug, Clone)]
pub struct ProtoSchema {
    pool: DescriptorPool,
    file: FileDescriptor,
}

impl ProtoSchema {
    /// The full name of the message that a payload is of unless another is named: the first.
    #[must_use]
    pub fn first_message(&self) -> Option<String> {
        self.file.messages().next().map(|message| message.full_name().to_owned())
    }

    /// The message of a full name, or the first.
    fn message(&self, full_name: Option<&str>) -> Result<MessageDescriptor, Violation> {
        let found = match full_name {
            Some(name) => self.pool.get_message_by_name(name),
            None => self.file.messages().next(),
        };
        let missing = full_name.map_or("the schema has no message".to_owned(), |name| {
            format!("the schema has no message {name}")
        });
        found.ok_or(Violation { path: String::new(), message: missing })
    }
}

/// Whether a file comes with Protobuf and not with a schema.
fn is_well_known(file: &FileDescriptor) -> bool {
    file.name().starts_with("google/protobuf/")
}

/// Reads a schema. Each of the references is the path by which it is imported and its text.
///
/// # Errors
/// What is wrong, with `line:column` where it is known, after the reference's path and `:` in one.
pub fn parse(text: &str, references: &[(String, String)]) -> Result<ProtoSchema, Vec<Violation>> {
    compile(references, text, None)
}

/// Compiles a text, or the file that there is in its place.
fn compile(
    references: &[(String, String)],
    text: &str,
    own: Option<File>,
) -> Result<ProtoSchema, Vec<Violation>> {
    let refuse =
        |path: &str, message: String| Err(vec![Violation { path: path.to_owned(), message }]);
    if references.len() > MAX_REFERENCES {
        return refuse("", format!("refers to more than {MAX_REFERENCES} schemas"));
    }
    let own_text = [(String::new(), text.to_owned())];
    let bytes = references.iter().map(|(_, text)| text.len()).sum::<usize>();
    if bytes.saturating_add(text.len()) > MAX_SCHEMA_BYTES {
        return refuse(
            "",
            format!("is longer than {MAX_SCHEMA_BYTES} bytes, with what it refers to"),
        );
    }
    let mut items = 0_usize;
    for (name, text) in references.iter().chain(&own_text) {
        let shape = scan::shape(text);
        items = items.saturating_add(shape.items);
        if shape.name > MAX_NAME {
            return refuse(name, format!("has a name of more than {MAX_NAME} characters"));
        }
        if shape.depth > MAX_DEPTH {
            return refuse(name, format!("is nested deeper than {MAX_DEPTH}"));
        }
    }
    if items > MAX_ITEMS {
        return refuse(
            "",
            format!("has more than {MAX_ITEMS} declarations, with what it refers to"),
        );
    }
    let mut files: HashMap<String, String> = references.iter().cloned().collect();
    if files.insert(OWN.to_owned(), text.to_owned()).is_some() {
        return refuse("", format!("{OWN} cannot be imported"));
    }
    let with_lines = items <= MAX_ITEMS_WITH_LINES;
    let known = GoogleFileResolver::new();
    let resolver = Resolver { files, known, own: Mutex::new(own), with_lines };
    let mut compiler = Compiler::with_file_resolver(resolver);
    if let Err(error) = compiler.open_file(OWN) {
        return Err(vec![told(&error)]);
    }
    let pool = compiler.descriptor_pool();
    match pool.get_file_by_name(OWN) {
        Some(file) => Ok(ProtoSchema { pool, file }),
        None => refuse("", "is no schema".into()),
    }
}

/// The compiler puts the place before the message, in its debug form only.
fn told(error: &Error) -> Violation {
    let (message, debug) = (error.to_string(), format!("{error:?}"));
    let place = debug.strip_suffix(&message).unwrap_or_default();
    let place = place.trim_end_matches([' ', ':']);
    let place = place.strip_prefix(OWN).map_or(place, |place| place.trim_start_matches(':'));
    Violation { path: place.to_owned(), message }
}

struct Resolver {
    files: HashMap<String, String>,
    known: GoogleFileResolver,
    /// In place of the schema's own text. It is opened once.
    own: Mutex<Option<File>>,
    with_lines: bool,
}

impl FileResolver for Resolver {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let text = match (self.known.open_file(name), self.files.get(name)) {
            (Err(_), Some(text)) => text,
            (known, _) => return known,
        };
        let own = (name == OWN).then(|| self.own.lock().ok()?.take()).flatten();
        let (file, is_text) = match own {
            Some(own) => (own, false),
            None => (File::from_source(name, text)?, true),
        };
        let descriptor = file.file_descriptor_proto();
        // `prost-reflect` takes its messages for the ones that it knows, whatever is in them.
        if format!("{}.", descriptor.package()).starts_with("google.protobuf.") {
            return Err(Error::new("the package google.protobuf comes with Protobuf"));
        }
        if let Some(wrong) = map_entry(descriptor).or_else(|| reserved_and_used(descriptor)) {
            return Err(Error::new(wrong));
        }
        if self.with_lines || !is_text {
            return Ok(file);
        }
        let bare =
            prost_types::FileDescriptorProto { source_code_info: None, ..descriptor.clone() };
        Ok(File::from_file_descriptor_proto(bare))
    }
}

/// A message that says itself that it is a map's entry, as only a compiler may: `prost-reflect` panics
/// on one that does not look like an entry.
fn map_entry(file: &prost_types::FileDescriptorProto) -> Option<String> {
    let mut todo: Vec<&prost_types::DescriptorProto> = file.message_type.iter().collect();
    while let Some(message) = todo.pop() {
        todo.extend(&message.nested_type);
        // What the compiler itself has set is no longer uninterpreted.
        let written = message.options.iter().flat_map(|options| &options.uninterpreted_option);
        for option in written {
            if option.name.first().is_some_and(|part| part.name_part == "map_entry") {
                return Some(format!("{} must not set map_entry", message.name()));
            }
        }
    }
    None
}

/// A number that is used and reserved. The compiler has an error for each pair of a number and a
/// range, which can be very many, so the first is found before it.
fn reserved_and_used(file: &prost_types::FileDescriptorProto) -> Option<String> {
    let mut todo: Vec<&prost_types::DescriptorProto> = file.message_type.iter().collect();
    let mut enums: Vec<&prost_types::EnumDescriptorProto> = file.enum_type.iter().collect();
    while let Some(message) = todo.pop() {
        todo.extend(&message.nested_type);
        enums.extend(&message.enum_type);
        let reserved = |number: i32| {
            message
                .reserved_range
                .iter()
                .any(|range| (range.start()..range.end()).contains(&number))
        };
        if let Some(field) = message.field.iter().find(|field| reserved(field.number())) {
            let (name, number) = (field.name(), field.number());
            return Some(format!(
                "{}.{name} has the number {number}, which is reserved",
                message.name()
            ));
        }
    }
    enums.into_iter().find_map(|of| {
        let reserved = |number: i32| {
            of.reserved_range.iter().any(|range| (range.start()..=range.end()).contains(&number))
        };
        let value = of.value.iter().find(|value| reserved(value.number()))?;
        let (name, number) = (value.name(), value.number());
        Some(format!("{}.{name} has the number {number}, which is reserved", of.name()))
    })
}
