//! A normalised schema as typed nodes, with its references resolved to nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::super::verdict::Violation;
use super::canonical;
use super::decimal::Decimal;
use super::draft::{Draft, children};
use super::limits::{MAX_IN_PLACE, MAX_IN_PLACE_DEPTH, violation};
use super::normalise::Normalised;

/// A node's index within its schema.
pub type Id = usize;

/// Types, as a set of bits.
pub type Types = u8;
pub const NULL: Types = 1;
pub const BOOLEAN: Types = 2;
/// Numbers, whole or not.
pub const NUMBER: Types = 4;
pub const STRING: Types = 8;
pub const ARRAY: Types = 16;
pub const OBJECT: Types = 32;
pub const EVERY: [(Types, &str); 6] = [
    (NULL, "null"),
    (BOOLEAN, "boolean"),
    (NUMBER, "number"),
    (STRING, "string"),
    (ARRAY, "array"),
    (OBJECT, "object"),
];

/// A bound of a number: the value, and whether the value itself is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub value: Decimal,
    pub exclusive: bool,
}

/// One schema, without those within it.
#[derive(Debug, Default)]
pub struct Node {
    /// A JSON pointer into the normalised schema.
    pub pointer: String,
    /// A JSON pointer into the schema as it is written.
    pub written: String,
    /// A schema that is `true` or `false`.
    pub boolean: Option<bool>,
    /// The types that are let through.
    pub types: Option<Types>,
    /// Whether types are all that it speaks of.
    pub only_types: bool,
    /// That of numbers, only whole ones are.
    pub whole: bool,
    /// What is let through, value by value: `enum` and `const`.
    pub values: Option<Vec<Value>>,
    /// The same as canonical texts, to look one up in.
    pub texts: HashSet<String>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<Decimal>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub pattern: Option<String>,
    pub format: Option<String>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub unique_items: bool,
    pub prefix_items: Vec<Id>,
    pub items: Option<Id>,
    pub contains: Option<Id>,
    pub min_contains: Option<u64>,
    pub max_contains: Option<u64>,
    pub unevaluated_items: Option<Id>,
    pub properties: BTreeMap<String, Id>,
    pub pattern_properties: Vec<(String, Id)>,
    pub additional_properties: Option<Id>,
    pub property_names: Option<Id>,
    pub required: BTreeSet<String>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub dependent_required: BTreeMap<String, BTreeSet<String>>,
    pub dependent_schemas: BTreeMap<String, Id>,
    pub unevaluated_properties: Option<Id>,
    pub reference: Option<Id>,
    pub all_of: Vec<Id>,
    pub any_of: Vec<Id>,
    pub one_of: Vec<Id>,
    pub not: Option<Id>,
    pub condition: Option<Id>,
    pub then: Option<Id>,
    pub otherwise: Option<Id>,
    /// The schemas within it, in order of their keywords, definitions aside.
    pub children: Vec<Id>,
    /// What it and all within it say, with every reference taken for the same.
    pub digest: [u8; 32],
    /// Whether it or anything within it refers.
    pub refers: bool,
}

impl Node {
    /// Whether it lets everything through.
    pub fn is_anything(&self, nothing: &[u8; 32]) -> bool {
        self.boolean == Some(true) || (self.boolean.is_none() && self.digest == *nothing)
    }

    /// The schemas that apply to the same value.
    pub fn in_place(&self) -> impl Iterator<Item = Id> + '_ {
        let single = [self.reference, self.not, self.condition, self.then, self.otherwise];
        let lists = [&self.all_of, &self.any_of, &self.one_of];
        let dependent = self.dependent_schemas.values().copied();
        single.into_iter().flatten().chain(lists.into_iter().flatten().copied()).chain(dependent)
    }
}

/// The digest of a schema that says nothing.
pub fn digest_of_nothing() -> [u8; 32] {
    Sha256::digest(b"").into()
}

/// Makes nodes of a normalised schema. The first is the schema itself.
pub fn build(normalised: &Normalised) -> Result<Vec<Node>, Vec<Violation>> {
    let Normalised { schema, origins } = normalised;
    let mut builder = Builder::default();
    builder.add(schema, String::new());
    let Builder { mut nodes, ids, references } = builder;
    for node in &mut nodes {
        node.written = origins.get(&node.pointer).unwrap_or(&node.pointer).clone();
    }
    let mut violations = Vec::new();
    for (from, written) in references {
        let pointer = percent_decode_str(written.trim_start_matches('#')).decode_utf8_lossy();
        match (ids.get(&*pointer), nodes.get_mut(from)) {
            (Some(&to), Some(node)) => node.reference = Some(to),
            (None, Some(node)) => {
                violations.push(violation(node.written.clone(), "refers to nothing"));
            }
            _ => {}
        }
    }
    if violations.is_empty() {
        violations.extend(in_place_cost(&nodes));
    }
    if violations.is_empty() { Ok(nodes) } else { Err(violations) }
}

#[derive(Debug, Default)]
struct Builder {
    nodes: Vec<Node>,
    ids: HashMap<String, Id>,
    references: Vec<(Id, String)>,
}

impl Builder {
    /// Recursion: bounded by the depth of the normalised schema, which has been counted.
    fn add(&mut self, schema: &Value, pointer: String) -> Id {
        let id = self.nodes.len();
        self.ids.insert(pointer.clone(), id);
        self.nodes.push(Node { pointer: pointer.clone(), ..Node::default() });
        let mut node = Node { pointer, boolean: schema.as_bool(), ..Node::default() };
        let mut hash = Sha256::new();
        if let Some(boolean) = node.boolean.filter(|boolean| !boolean) {
            hash.update(boolean.to_string());
        }
        if let Value::Object(members) = schema {
            assertions(&mut node, members);
            if let Some(written) = members.get("$ref").and_then(Value::as_str) {
                self.references.push((id, written.to_owned()));
                node.refers = true;
                hash.update("$ref\n");
            }
            let mut sorted = members.iter().collect::<Vec<_>>();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in sorted {
                if !matches!(key.as_str(), "$ref" | "title" | "description" | "default" | "$schema")
                    && super::draft::is_plain(Draft::Twenty, key)
                {
                    hash.update(format!("{key}={}\n", canonical::keyword(key, value)));
                }
            }
            for child in children(Draft::Twenty, members) {
                let pointer = format!("{}{}", node.pointer, child.pointer());
                let to = self.add(child.value, pointer);
                if child.keyword == "$defs" {
                    continue;
                }
                if let Some(within) = self.nodes.get(to) {
                    hash.update(child.pointer());
                    hash.update(within.digest);
                    node.refers |= within.refers;
                }
                node.children.push(to);
                place(&mut node, child.keyword, child.member, to);
            }
        }
        node.digest = hash.finalize().into();
        if let Some(slot) = self.nodes.get_mut(id) {
            *slot = node;
        }
        id
    }
}

fn place(node: &mut Node, keyword: &str, member: Option<Result<String, usize>>, to: Id) {
    match (keyword, member) {
        ("properties", Some(Ok(name))) => {
            node.properties.insert(name, to);
        }
        ("dependentSchemas", Some(Ok(name))) => {
            node.dependent_schemas.insert(name, to);
        }
        ("patternProperties", Some(Ok(pattern))) => node.pattern_properties.push((pattern, to)),
        ("prefixItems", _) => node.prefix_items.push(to),
        ("allOf", _) => node.all_of.push(to),
        ("anyOf", _) => node.any_of.push(to),
        ("oneOf", _) => node.one_of.push(to),
        ("items", _) => node.items = Some(to),
        ("contains", _) => node.contains = Some(to),
        ("unevaluatedItems", _) => node.unevaluated_items = Some(to),
        ("additionalProperties", _) => node.additional_properties = Some(to),
        ("propertyNames", _) => node.property_names = Some(to),
        ("unevaluatedProperties", _) => node.unevaluated_properties = Some(to),
        ("not", _) => node.not = Some(to),
        ("if", _) => node.condition = Some(to),
        ("then", _) => node.then = Some(to),
        ("else", _) => node.otherwise = Some(to),
        _ => {}
    }
}

/// Reads the keywords that hold no schema. The meta-schema has been asked: what has another form
/// is not there.
fn assertions(node: &mut Node, members: &Map<String, Value>) {
    let count = |key: &str| {
        let number = members.get(key)?;
        // A count may be written 2.0.
        number.as_u64().or_else(|| number.as_f64().map(|number| number as u64))
    };
    let decimal = |key: &str| match members.get(key) {
        Some(Value::Number(number)) => Some(Decimal::of(number)),
        _ => None,
    };
    let text = |key: &str| members.get(key).and_then(Value::as_str).map(str::to_owned);
    let names = |value: &Value| -> BTreeSet<String> {
        let names = value.as_array().map(Vec::as_slice).unwrap_or_default();
        names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if let Some(types) = members.get("type") {
        let written: Vec<&str> = match types {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let bit =
            |name: &str| EVERY.iter().find(|(_, known)| *known == name).map_or(0, |found| found.0);
        let mut bits = written.iter().fold(0, |bits, name| bits | bit(name));
        if written.contains(&"integer") && !written.contains(&"number") {
            bits |= NUMBER;
            node.whole = true;
        }
        node.types = Some(bits);
        let told = |key: &String| !matches!(key.as_str(), "title" | "description" | "default");
        node.only_types = members.keys().filter(|key| told(key)).count() == 1;
    }
    let values = members.get("enum").and_then(Value::as_array).cloned();
    node.values = match (values, members.get("const")) {
        (None, None) => None,
        (Some(values), None) => Some(values),
        (None, Some(value)) => Some(vec![value.clone()]),
        (Some(mut values), Some(value)) => {
            let text = canonical::value(value);
            values.retain(|one| canonical::value(one) == text);
            Some(values)
        }
    };
    node.texts = node.values.iter().flatten().map(canonical::value).collect();
    let bound = |inclusive: &str, exclusive: &str, tighter: fn(Decimal, Decimal) -> bool| {
        let closed = decimal(inclusive).map(|value| Bound { value, exclusive: false });
        let open = decimal(exclusive).map(|value| Bound { value, exclusive: true });
        match (closed, open) {
            (Some(closed), Some(open)) if tighter(closed.value, open.value) => Some(closed),
            (closed, open) => open.or(closed),
        }
    };
    node.minimum = bound("minimum", "exclusiveMinimum", |closed, open| closed > open);
    node.maximum = bound("maximum", "exclusiveMaximum", |closed, open| closed < open);
    node.multiple_of = decimal("multipleOf");
    (node.min_length, node.max_length) = (count("minLength"), count("maxLength"));
    (node.pattern, node.format) = (text("pattern"), text("format"));
    (node.min_items, node.max_items) = (count("minItems"), count("maxItems"));
    node.unique_items = members.get("uniqueItems") == Some(&Value::Bool(true));
    (node.min_contains, node.max_contains) = (count("minContains"), count("maxContains"));
    (node.min_properties, node.max_properties) = (count("minProperties"), count("maxProperties"));
    node.required = members.get("required").map(names).unwrap_or_default();
    if let Some(Value::Object(dependent)) = members.get("dependentRequired") {
        node.dependent_required =
            dependent.iter().map(|(name, needed)| (name.clone(), names(needed))).collect();
    }
}

/// Refuses a schema that applies to a value by way of itself, and one that applies too often.
/// Without recursion: chains of references are as long as there are nodes.
fn in_place_cost(nodes: &[Node]) -> Option<Violation> {
    #[derive(Clone, Copy)]
    enum Seen {
        No,
        Open,
        /// How many schemas apply, and how deep they are nested.
        Cost(u64, u64),
    }
    let mut seen = vec![Seen::No; nodes.len()];
    for start in 0..nodes.len() {
        let mut stack = vec![start];
        while let Some(&id) = stack.last() {
            let node = nodes.get(id)?;
            match seen.get(id)? {
                Seen::Cost(..) => {
                    stack.pop();
                }
                Seen::No => {
                    *seen.get_mut(id)? = Seen::Open;
                    for next in node.in_place() {
                        match seen.get(next)? {
                            Seen::Open => {
                                let message = "refers to itself for one and the same value";
                                return Some(violation(node.written.clone(), message));
                            }
                            Seen::No => stack.push(next),
                            Seen::Cost(..) => {}
                        }
                    }
                }
                Seen::Open => {
                    let (mut cost, mut depth) = (1_u64, 1);
                    for next in node.in_place() {
                        if let Some(Seen::Cost(more, deep)) = seen.get(next) {
                            cost = cost.saturating_add(*more);
                            depth = depth.max(deep + 1);
                        }
                    }
                    if cost > MAX_IN_PLACE || depth > MAX_IN_PLACE_DEPTH {
                        let message = format!(
                            "more than {MAX_IN_PLACE} schemas apply to one value, or \
                             {MAX_IN_PLACE_DEPTH} within each other"
                        );
                        return Some(violation(node.written.clone(), message));
                    }
                    *seen.get_mut(id)? = Seen::Cost(cost, depth);
                    stack.pop();
                }
            }
        }
    }
    None
}
