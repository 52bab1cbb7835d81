//! An Avro schema made of what a run reports, for a person to look at, change and accept.
//!
//! Every field may be null, because runs do not say which may. Numbers get the widest type of their family,
//! and what is of no family that is known becomes text: a schema can be narrowed by whoever knows more.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    super::{
        avro::MAX_SCHEMA_BYTES,
        format::{Format, Schema},
        verdict::Violation,
    },
    MAX_DEPTH, MAX_FIELDS, NAME_PROPERTY, facet,
    shape::{Family, Member, Shape},
    words,
};

/// The longest name of a field that is kept as it is, and of a record that is made up.
const MAX_NAME: usize = 200;
/// The longest namespace.
const MAX_NAMESPACE: usize = 200;
/// The most characters of a description that are kept.
const MAX_DOC: usize = 1_000;
/// The digits of a decimal of which they are not said: those of BigQuery's NUMERIC.
const DIGITS: (u64, u64) = (38, 9);
/// The most digits of a decimal that a system is known to have (ClickHouse, BigQuery: 76).
const MAX_DIGITS: u64 = 1_000;
/// Names that a type cannot have: they are Avro's own.
const TYPES: [&str; 14] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "enum",
    "array", "map", "fixed", "union",
];

/// Why there is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDraft {
    /// There is nothing to make one of.
    #[error("the run reports no fields")]
    NoFields,
    /// There is too much.
    #[error(
        "the run reports more than a draft is made of: {MAX_FIELDS} fields, {MAX_DEPTH} levels, \
         {MAX_SCHEMA_BYTES} bytes"
    )]
    TooLarge,
    /// What was made is no schema after all.
    #[error("the draft is refused: {0}")]
    Refused(Violation),
}

/// An Avro schema with the `fields` of a run's schema facet, as text; the same facet always makes the same.
/// `name` is the record's, with its namespace; what Avro does not allow in it becomes `_`.
///
/// [`drift`](super::drift) finds no difference between the facet and the schema.
///
/// # Errors
/// [`NoDraft`].
pub fn draft(fields: &Value, name: &str) -> Result<String, NoDraft> {
    let facet = facet::read(fields);
    if !facet.is_whole {
        return Err(NoDraft::TooLarge);
    }
    let members = facet.shape.members.ok_or(NoDraft::NoFields)?;
    let (namespace, name) = name.rsplit_once('.').unwrap_or(("", name));
    let namespace = allowed_namespace(namespace);
    let mut writer = Writer { names: HashSet::new() };
    let name = writer.record_name(&allowed(name, MAX_NAME));
    let mut schema = json!({
        "type": "record",
        "name": name,
        "doc": "Drafted from what a run reported.",
        "fields": writer.fields(&members, &name),
    });
    if let Some(members) = schema.as_object_mut().filter(|_| !namespace.is_empty()) {
        members.insert("namespace".to_owned(), json!(namespace));
    }
    let text = format!("{schema:#}");
    if text.len() > MAX_SCHEMA_BYTES {
        return Err(NoDraft::TooLarge);
    }
    match Schema::parse(Format::Avro, &text, &[]) {
        Ok(_) => Ok(text),
        Err(violations) => {
            Err(NoDraft::Refused(violations.into_iter().next().unwrap_or_else(|| Violation {
                path: String::new(),
                message: "no reason is known".to_owned(),
            })))
        }
    }
}

struct Writer {
    /// Of records. A type's name is unique in the whole schema.
    names: HashSet<String>,
}

impl Writer {
    /// The fields of a record; `within` is its name, of which those within it are made.
    fn fields(&mut self, members: &[Member<'_>], within: &str) -> Vec<Value> {
        // Names that may stay as they are do, whatever the others become.
        let mut taken: HashSet<String> = members
            .iter()
            .map(|member| member.name.to_string())
            .filter(|name| is_allowed(name))
            .collect();
        let mut fields = Vec::new();
        for Member { name, shape } in members {
            let is_kept = is_allowed(name);
            let written = if is_kept {
                name.to_string()
            } else {
                unique(&allowed(name, MAX_NAME), &mut taken)
            };
            let kind = self.nullable(shape, &format!("{within}_{written}"));
            let mut field = json!({ "name": written, "type": kind, "default": null });
            if let Some(field) = field.as_object_mut() {
                if !shape.description.is_empty() {
                    let doc: String = shape.description.chars().take(MAX_DOC).collect();
                    field.insert("doc".to_owned(), json!(doc));
                }
                if !is_kept {
                    field.insert(NAME_PROPERTY.to_owned(), json!(name));
                }
            }
            fields.push(field);
        }
        fields
    }

    fn nullable(&mut self, shape: &Shape<'_>, within: &str) -> Value {
        json!(["null", self.kind(shape, within)])
    }

    fn kind(&mut self, shape: &Shape<'_>, within: &str) -> Value {
        let item = |writer: &mut Self| match &shape.item {
            Some(item) => writer.nullable(item, within),
            None => json!(["null", "string"]),
        };
        match shape.family() {
            Family::String | Family::Unknown => json!("string"),
            Family::Integer => json!("long"),
            Family::Float => json!("double"),
            Family::Boolean => json!("boolean"),
            Family::Bytes => json!("bytes"),
            Family::Decimal => decimal(shape.words),
            Family::Date => json!({ "type": "int", "logicalType": "date" }),
            Family::Time => json!({ "type": "long", "logicalType": "time-micros" }),
            Family::Timestamp if words::is_local(shape.words) => {
                json!({ "type": "long", "logicalType": "local-timestamp-micros" })
            }
            Family::Timestamp => json!({ "type": "long", "logicalType": "timestamp-micros" }),
            Family::Array => json!({ "type": "array", "items": item(self) }),
            Family::Map => json!({ "type": "map", "values": item(self) }),
            Family::Record => {
                let name = self.record_name(within);
                let fields = self.fields(shape.members.as_deref().unwrap_or_default(), &name);
                json!({ "type": "record", "name": name, "fields": fields })
            }
        }
    }

    fn record_name(&mut self, name: &str) -> String {
        let name: String = name.chars().take(MAX_NAME).collect();
        let name = if TYPES.contains(&name.as_str()) { format!("{name}_") } else { name };
        unique(&name, &mut self.names)
    }
}

fn decimal(words: &str) -> Value {
    let said = words::digits(words)
        .filter(|(precision, scale)| (1..=MAX_DIGITS).contains(precision) && scale <= precision);
    let (precision, scale) = said.unwrap_or(DIGITS);
    json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
}

/// `[A-Za-z_][A-Za-z0-9_]*`
fn is_allowed(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn allowed(name: &str, most: usize) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
    let name: String = name.chars().take(most).map(plain).collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        name
    } else {
        format!("_{name}")
    }
}

/// A namespace is a few names with dots.
fn allowed_namespace(namespace: &str) -> String {
    let namespace: String = namespace.chars().take(MAX_NAMESPACE / 2).collect();
    let parts = namespace.split('.').filter(|part| !part.is_empty());
    parts.map(|part| allowed(part, MAX_NAMESPACE)).collect::<Vec<_>>().join(".")
}

/// The name, with a number behind it if another has it already.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let numbered = (2_u64..).map(|number| format!("{name}_{number}"));
    let found = std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken.contains(name));
    let found = found.unwrap_or_default();
    taken.insert(found.clone());
    found
}
