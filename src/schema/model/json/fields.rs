//! The fields that a schema describes.

use std::collections::BTreeMap;

use super::super::outline::{MAX_BYTES, Outline};
use super::JsonSchema;
use super::canonical;
use super::limits::escape;
use super::node::{EVERY, Id, NUMBER, Node};

/// The most that are told.
const MAX_FIELDS: usize = 10_000;
/// How deep.
const MAX_DEPTH: usize = 32;

/// Each field's path and type, in order of the path. Types of one field that is described more
/// than once are told once each, with `|` between.
pub fn fields(schema: &JsonSchema) -> Vec<(String, String)> {
    outline(schema).fields
}

/// The same with the places: what is said of names by a pattern is said of what holds them as well.
pub fn outline(schema: &JsonSchema) -> Outline {
    let (found, places, open) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut walk = Walk { schema, found, places, bytes: 0, open, steps: 0, is_whole: true };
    walk.node(0, "");
    let fields = walk.found.into_iter().map(|(path, types)| (path, types.join("|")));
    Outline { fields: fields.collect(), places: walk.places, is_whole: walk.is_whole }
}

struct Walk<'a> {
    schema: &'a JsonSchema,
    found: BTreeMap<String, Vec<String>>,
    places: Vec<(String, String)>,
    bytes: usize,
    /// The nodes on the way here: one that comes again is where recursion ends.
    open: Vec<Id>,
    steps: usize,
    is_whole: bool,
}

impl Walk<'_> {
    fn place(&mut self, id: Id, path: &str) {
        if let Some(node) = self.schema.node(id) {
            self.bytes += node.written.len() + path.len();
            self.places.push((node.written.clone(), path.to_owned()));
        }
    }

    fn node(&mut self, id: Id, path: &str) {
        self.steps += 1;
        if self.open.contains(&id) {
            return;
        }
        let ended = self.open.len() > MAX_DEPTH || self.steps > 4 * MAX_FIELDS;
        if ended || self.found.len() >= MAX_FIELDS || self.bytes > MAX_BYTES {
            self.is_whole = false;
            return;
        }
        let schema = self.schema;
        let Some(node) = schema.node(id) else { return };
        self.open.push(id);
        self.place(id, path);
        if let Some(told) = told(node).filter(|_| !path.is_empty()) {
            let types = self.found.entry(path.to_owned()).or_default();
            if !types.contains(&told) {
                types.push(told);
            }
        }
        let dot = if path.is_empty() { "" } else { "." };
        for (name, id) in &node.properties {
            if self.bytes > MAX_BYTES {
                self.is_whole = false;
                break;
            }
            let path = format!("{path}{dot}{}", escaped(name));
            self.bytes += path.len();
            // A field is there even if nothing is said of it.
            self.found.entry(path.clone()).or_default();
            self.node(*id, &path);
        }
        for (pattern, id) in &node.pattern_properties {
            self.place(*id, path);
            self.node(*id, &format!("{path}{dot}/{}/", escape(pattern)));
        }
        if let Some(id) = node.additional_properties {
            self.node(id, &format!("{path}{dot}*"));
        }
        for (index, id) in node.prefix_items.iter().enumerate() {
            self.node(*id, &format!("{path}[{index}]"));
        }
        if let Some(id) = node.items {
            self.node(id, &format!("{path}[]"));
        }
        for id in node.in_place().filter(|id| Some(*id) != node.not && Some(*id) != node.condition)
        {
            self.node(id, path);
        }
        self.open.pop();
    }
}

/// A name in a path: one with a dot or a bracket in it is quoted.
pub fn escaped(name: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_-$@".contains(letter);
    match name {
        "" => "\"\"".to_owned(),
        name if name.chars().all(plain) => name.to_owned(),
        name => serde_json::Value::from(name).to_string(),
    }
}

/// What a node itself says of the type, if anything.
fn told(node: &Node) -> Option<String> {
    if let Some(boolean) = node.boolean {
        return Some(if boolean { "any" } else { "never" }.to_owned());
    }
    if let Some(values) = &node.values {
        let values = values.iter().map(canonical::value).collect::<Vec<_>>();
        return Some(super::shortened(&format!("enum({})", values.join(",")), 200));
    }
    let types = node.types?;
    let names = EVERY
        .iter()
        .filter(|(bit, _)| types & bit != 0)
        .map(|(bit, name)| if *bit == NUMBER && node.whole { "integer" } else { name });
    let names = names.collect::<Vec<_>>().join("|");
    Some(match &node.format {
        Some(format) => format!("{names}({format})"),
        None => names,
    })
}
