//! All fields of a schema, flat, for a field-by-field difference of two versions.

use std::collections::HashSet;

use super::{
    super::{
        outline::{MAX_BYTES, Outline},
        verdict::Budget,
    },
    AvroSchema, Kind, Node, NodeId,
};

/// The most fields that are listed. Types that are used in many places are listed in each.
pub const MAX_FIELDS: usize = 10_000;
const MAX_PATH_DEPTH: usize = 40;
/// A type without fields of its own costs as much in each place, and adds nothing to the list.
const STEPS: u64 = 200_000;

/// Each field's path with its type. A path is the names of the fields, with `[]` for the items of an
/// array and `{}` for the values of a map; a type that is inside itself is not entered again.
#[must_use]
pub fn fields(schema: &AvroSchema) -> Vec<(String, String)> {
    outline(schema).fields
}

/// The same with the places.
pub(in super::super) fn outline(schema: &AvroSchema) -> Outline {
    let (inside, budget) = (HashSet::new(), Budget::new(STEPS));
    let mut list = List { schema, inside, found: Outline::new(), bytes: 0, budget };
    list.enter(schema.root, "", 0);
    list.found
}

struct List<'a> {
    schema: &'a AvroSchema,
    inside: HashSet<NodeId>,
    found: Outline,
    bytes: usize,
    budget: Budget,
}

impl List<'_> {
    fn place(&mut self, place: &str, path: &str) {
        self.bytes += place.len() + path.len();
        self.found.places.push((place.to_owned(), path.to_owned()));
    }

    /// Notes if no more may be listed.
    fn is_full(&mut self) -> bool {
        let is_full = self.found.fields.len() >= MAX_FIELDS || self.bytes > MAX_BYTES;
        self.found.is_whole &= !is_full;
        is_full
    }

    fn enter(&mut self, id: NodeId, path: &str, depth: usize) {
        if self.budget.step().is_err() || depth > MAX_PATH_DEPTH {
            self.found.is_whole = false;
            return;
        }
        if !self.inside.insert(id) {
            return;
        }
        let schema = self.schema;
        let node = schema.node(id);
        self.place(&node.path, path);
        match &node.kind {
            Kind::Record(fields) => {
                for (index, field) in fields.iter().enumerate() {
                    if self.is_full() {
                        break;
                    }
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", field.name);
                    let kind = type_text(schema, schema.node(field.schema));
                    self.bytes += path.len() + kind.len();
                    self.place(&format!("{}/fields/{index}", node.path), &path);
                    self.found.fields.push((path.clone(), kind));
                    self.enter(field.schema, &path, depth + 1);
                }
            }
            Kind::Array(items) => self.enter(*items, &format!("{path}[]"), depth + 1),
            Kind::Map(values) => self.enter(*values, &format!("{path}{{}}"), depth + 1),
            Kind::Union(branches) => {
                for branch in branches {
                    if self.is_full() {
                        break;
                    }
                    self.enter(*branch, path, depth + 1);
                }
            }
            _ => {}
        }
        self.inside.remove(&id);
    }
}

/// A type with what is directly in it: `union of null, array of string`.
fn type_text(schema: &AvroSchema, node: &Node) -> String {
    let inner = |id: NodeId| {
        let node = schema.node(id);
        match &node.kind {
            Kind::Array(items) => format!("array of {}", schema.node(*items)),
            Kind::Map(values) => format!("map of {}", schema.node(*values)),
            _ => node.to_string(),
        }
    };
    match &node.kind {
        Kind::Array(items) => format!("array of {}", inner(*items)),
        Kind::Map(values) => format!("map of {}", inner(*values)),
        Kind::Union(branches) => {
            let shown: Vec<_> = branches.iter().take(20).map(|branch| inner(*branch)).collect();
            let more = if branches.len() > shown.len() { ", …" } else { "" };
            format!("union of {}{more}", shown.join(", "))
        }
        _ => node.to_string(),
    }
}
