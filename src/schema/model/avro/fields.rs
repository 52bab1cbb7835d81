//! All fields of a schema, flat, for a field-by-field difference of two versions.

use std::collections::HashSet;

use super::{super::verdict::Budget, AvroSchema, Kind, Node, NodeId};

/// The most fields that are listed. Types that are used in many places are listed in each.
pub const MAX_FIELDS: usize = 10_000;
/// The most characters of all paths and places, about.
const MAX_CHARS: usize = 8 * 1024 * 1024;
const MAX_PATH_DEPTH: usize = 40;
/// A type without fields of its own costs as much in each place, and adds nothing to the list.
const STEPS: u64 = 200_000;

/// Each field's path with its type. A path is the names of the fields, with `[]` for the items of an
/// array and `{}` for the values of a map; a type that is inside itself is not entered again.
#[must_use]
pub fn fields(schema: &AvroSchema) -> Vec<(String, String)> {
    List::of(schema).fields
}

/// Where the fields and their types are written out, each with the field's path: of what holds the
/// fields of the schema itself, an empty one.
#[must_use]
pub fn places(schema: &AvroSchema) -> Vec<(String, String)> {
    List::of(schema).places
}

struct List<'a> {
    schema: &'a AvroSchema,
    inside: HashSet<NodeId>,
    fields: Vec<(String, String)>,
    places: Vec<(String, String)>,
    chars: usize,
    budget: Budget,
}

impl<'a> List<'a> {
    fn of(schema: &'a AvroSchema) -> Self {
        let (inside, budget) = (HashSet::new(), Budget::new(STEPS));
        let mut list =
            Self { schema, inside, fields: Vec::new(), places: Vec::new(), chars: 0, budget };
        list.enter(schema.root, "", 0);
        list
    }

    fn place(&mut self, place: &str, path: &str) {
        self.chars += place.len() + path.len();
        self.places.push((place.to_owned(), path.to_owned()));
    }

    fn enter(&mut self, id: NodeId, path: &str, depth: usize) {
        if self.budget.step().is_err()
            || depth > MAX_PATH_DEPTH
            || self.fields.len() >= MAX_FIELDS
            || self.chars > MAX_CHARS
            || !self.inside.insert(id)
        {
            return;
        }
        let schema = self.schema;
        let node = schema.node(id);
        self.place(&node.path, path);
        match &node.kind {
            Kind::Record(fields) => {
                for (index, field) in fields.iter().enumerate() {
                    if self.fields.len() >= MAX_FIELDS || self.chars > MAX_CHARS {
                        break;
                    }
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", field.name);
                    let kind = type_text(schema, schema.node(field.schema));
                    self.chars += path.len() + kind.len();
                    self.place(&format!("{}/fields/{index}", node.path), &path);
                    self.fields.push((path.clone(), kind));
                    self.enter(field.schema, &path, depth + 1);
                }
            }
            Kind::Array(items) => self.enter(*items, &format!("{path}[]"), depth + 1),
            Kind::Map(values) => self.enter(*values, &format!("{path}{{}}"), depth + 1),
            Kind::Union(branches) => {
                for branch in branches {
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
