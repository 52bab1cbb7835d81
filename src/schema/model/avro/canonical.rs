//! The canonical text of a schema: the same schema written differently is the same text.
//!
//! Unlike Avro's own parsing canonical form, it keeps what matters to readers and to people: defaults,
//! aliases, logical types, documentation, a field's order, and whatever else was added. A change of
//! documentation is a new version, since people want it to arrive.
//!
//! Dropped: whitespace, the order of members, how a string or a number is spelled, whether a
//! namespace is given apart or in the name, objects around a type that say nothing, the order of
//! aliases and their repetition, empty aliases, `"order": "ascending"`, `"scale": 0` of a decimal, and
//! what is written around a type that is only named.
//!
//! The text is itself a schema. A type of a reference is in it by name: whoever hashes it adds the
//! references.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use serde_json::{Map, Number, Value};

use super::{AvroSchema, Kind, Name, Node, NodeId, logical::Logical};

/// The canonical text.
#[must_use]
pub fn canonical(schema: &AvroSchema) -> String {
    let document = schema.node(schema.root).document;
    let written = HashSet::new();
    let mut writer = Writer { schema, document, written, full: true };
    let value = writer.node(schema.root, "");
    let mut text = String::new();
    write_value(&mut text, &value);
    text
}

/// Only the structure, with every type's full name, for the library.
pub(super) fn skeleton(schema: &AvroSchema, roots: &[NodeId]) -> Vec<Value> {
    let mut writer = Writer { schema, document: 0, written: HashSet::new(), full: false };
    let write = |root: &NodeId| {
        writer.document = schema.node(*root).document;
        writer.node(*root, "")
    };
    roots.iter().map(write).collect()
}

struct Writer<'a> {
    schema: &'a AvroSchema,
    document: usize,
    written: HashSet<NodeId>,
    full: bool,
}

impl Writer<'_> {
    /// It goes down as the text did, since a type is written out where it was first met.
    fn node(&mut self, id: NodeId, around: &str) -> Value {
        let schema = self.schema;
        let node = schema.node(id);
        let Some(name) = &node.name else { return self.plain(node, around) };
        let shown = Value::String(shown(name, around));
        if node.document != self.document || !self.written.insert(id) {
            return shown;
        }
        let mut object = self.attributes(node);
        object.insert("type".into(), node.kind.as_str().into());
        object.insert("name".into(), shown);
        if self.full && !node.aliases.is_empty() {
            object.insert("aliases".into(), aliases(&node.aliases, name.namespace()));
        }
        match &node.kind {
            Kind::Record(fields) => {
                let fields = fields.iter().map(|field| {
                    let mut object = Map::new();
                    object.insert("name".into(), field.name.as_str().into());
                    object.insert("type".into(), self.node(field.schema, name.namespace()));
                    if self.full {
                        let ascending = |value: &Value| value.as_str() == Some("ascending");
                        let kept = |(key, value): &(&String, &Value)| {
                            key.as_str() != "order" || !ascending(value)
                        };
                        let kept = field.attributes.iter().filter(kept);
                        object.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
                        if !field.aliases.is_empty() {
                            object.insert("aliases".into(), field.aliases.as_slice().into());
                        }
                        if let Some(default) = &field.default {
                            object.insert("default".into(), default.clone());
                        }
                    }
                    Value::Object(object)
                });
                object.insert("fields".into(), Value::Array(fields.collect()));
            }
            Kind::Enum { symbols, default } => {
                object.insert("symbols".into(), symbols.as_slice().into());
                if let Some(default) = default {
                    object.insert("default".into(), default.as_str().into());
                }
            }
            Kind::Fixed(size) => drop(object.insert("size".into(), (*size).into())),
            _ => {}
        }
        Value::Object(object)
    }

    fn plain(&mut self, node: &Node, around: &str) -> Value {
        let mut object = self.attributes(node);
        match &node.kind {
            Kind::Union(branches) => {
                let branches = branches.iter().map(|branch| self.node(*branch, around)).collect();
                if object.is_empty() {
                    return Value::Array(branches);
                }
                object.insert("type".into(), Value::Array(branches));
            }
            kind => {
                if object.is_empty() && !matches!(kind, Kind::Array(_) | Kind::Map(_)) {
                    return kind.as_str().into();
                }
                object.insert("type".into(), kind.as_str().into());
                match kind {
                    Kind::Array(items) => {
                        drop(object.insert("items".into(), self.node(*items, around)));
                    }
                    Kind::Map(values) => {
                        drop(object.insert("values".into(), self.node(*values, around)));
                    }
                    _ => {}
                }
            }
        }
        Value::Object(object)
    }

    fn attributes(&self, node: &Node) -> Map<String, Value> {
        let mut attributes = if self.full { node.attributes.clone() } else { Map::new() };
        if matches!(node.logical, Some(Logical::Decimal { scale: 0, .. })) {
            attributes.remove("scale");
        }
        attributes
    }
}

/// The full name. One without a namespace, in one, is led by a dot.
fn shown(name: &Name, around: &str) -> String {
    let bare = name.namespace().is_empty() && !around.is_empty();
    if bare { format!(".{}", name.0) } else { name.0.clone() }
}

fn aliases(aliases: &[String], around: &str) -> Value {
    aliases.iter().map(|alias| shown(&Name(alias.clone()), around)).collect()
}

/// Members in order, whatever order the library keeps them in.
pub(super) fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write_value(text, item);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            let members: BTreeMap<&String, &Value> = members.iter().collect();
            for (index, (key, value)) in members.into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write_scalar(text, &Value::String(key.clone()));
                text.push(':');
                write_value(text, value);
            }
            text.push('}');
        }
        Value::Number(number) => text.push_str(&number_text(number)),
        scalar => write_scalar(text, scalar),
    }
}

/// To a string nothing can fail to be written.
fn write_scalar(text: &mut String, value: &Value) {
    let _ = write!(text, "{value}");
}

/// `1.0` and `1e0` are `1`. Beyond 2^53, where a float has no single integer, it stays as it is.
fn number_text(number: &Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) if float.fract() == 0.0 && float.abs() <= EXACT => {
            // Negative zero is another number.
            if float == 0.0 && float.is_sign_negative() {
                "-0.0".into()
            } else {
                format!("{float:.0}")
            }
        }
        _ => number.to_string(),
    }
}
