//! What a run reports: the `fields` of OpenLineage's schema facet.
//!
//! What is in a field is either among its `fields` (of an array one called `_element`, of a map `key` and
//! `value`), or in its type's words. What is no field (not an object, without a name) is passed over, as
//! facets are throughout; of two with one name the first counts.

use std::{borrow::Cow, collections::HashSet};

use serde_json::{Map, Value};

use super::{
    shape::{Family, MAX_NAME, Member, Shape},
    words,
};

/// The most fields of a facet that are looked at, those within others too.
pub const MAX_FIELDS: usize = 2_000;
/// How deep. An Avro schema made of it has to keep to the depth of its own.
pub const MAX_DEPTH: usize = 16;

/// A facet that was read.
pub struct Facet<'a> {
    /// A record, or unknown if it says of no field.
    pub shape: Shape<'a>,
    /// Whether all of it was looked at.
    pub is_whole: bool,
}

/// What may still be looked at.
pub struct Reader {
    left: usize,
    is_whole: bool,
}

/// Reads a facet's fields.
pub fn read(fields: &Value) -> Facet<'_> {
    let mut reader = Reader { left: MAX_FIELDS, is_whole: true };
    let list = fields.as_array().map(Vec::as_slice).unwrap_or_default();
    let members = reader.members(list, 0);
    let shape = if members.is_empty() { Shape::unknown() } else { Shape::record(members) };
    Facet { shape, is_whole: reader.is_whole }
}

impl Reader {
    /// Takes one step, if it may.
    pub fn may_enter(&mut self, depth: usize) -> bool {
        let may = self.left > 0 && depth <= MAX_DEPTH;
        self.is_whole &= may;
        self.left = self.left.saturating_sub(1);
        may
    }

    fn members<'a>(&mut self, list: &'a [Value], depth: usize) -> Vec<Member<'a>> {
        let mut members = Vec::new();
        let mut names = HashSet::new();
        for field in list.iter().filter_map(Value::as_object) {
            let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
            if name.is_empty() || names.contains(name) {
                continue;
            }
            if name.len() > MAX_NAME || self.left == 0 {
                self.is_whole = false;
                continue;
            }
            names.insert(name);
            let shape = self.field(field, depth + 1);
            members.push(Member { name: Cow::Borrowed(name), shape });
        }
        members
    }

    fn field<'a>(&mut self, field: &'a Map<String, Value>, depth: usize) -> Shape<'a> {
        let text = |key| field.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut shape = words::shape(text("type"), self, depth);
        shape.description = text("description").trim();
        let inner = field.get("fields").and_then(Value::as_array);
        let Some(inner) = inner.filter(|inner| !inner.is_empty()) else { return shape };
        if depth > MAX_DEPTH {
            return shape;
        }
        let named = |names: &[&str]| {
            let is_named = |field: &&Value| {
                field.get("name").and_then(Value::as_str).is_some_and(|name| names.contains(&name))
            };
            inner.iter().find(is_named).and_then(Value::as_object)
        };
        match shape.family() {
            Family::Array => {
                let item = match named(&["_element", "element"]).filter(|_| inner.len() == 1) {
                    Some(item) => self.field(item, depth + 1),
                    None => self.record(inner, depth + 1),
                };
                shape.item = Some(Box::new(item));
            }
            Family::Map => {
                if let Some(value) = named(&["value"]) {
                    shape.item = Some(Box::new(self.field(value, depth + 1)));
                }
            }
            Family::Record | Family::Unknown => {
                let record = self.record(inner, depth);
                (shape.families, shape.members) = (record.families, record.members);
            }
            _ => {}
        }
        shape
    }

    /// What has fields is a record, if it has any.
    fn record<'a>(&mut self, inner: &'a [Value], depth: usize) -> Shape<'a> {
        let members = self.members(inner, depth);
        if members.is_empty() { Shape::of(&[Family::Record]) } else { Shape::record(members) }
    }
}
