//! From a text to nodes, with everything that is wrong and where.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{
    super::{
        place::depth_of,
        verdict::{Budget, Violation},
    },
    AvroSchema, Field, Kind, MAX_ALIASES, MAX_DEPTH, MAX_NAME, MAX_NODES, MAX_REFERENCES,
    MAX_SCHEMA_BYTES, MAX_VIOLATIONS, Name, Node, NodeId, json, library,
    logical::Logical,
    tell,
};

/// Steps that the check of all defaults may take. A default in unions of records in unions can be
/// tried in exponentially many ways.
const DEFAULT_STEPS: u64 = 1_000_000;

/// What an object around a definition cannot say for it.
const STRUCTURE: [&str; 10] = [
    "type",
    "name",
    "namespace",
    "aliases",
    "fields",
    "symbols",
    "size",
    "items",
    "values",
    "default",
];

/// Reads a schema. Each of the references is a name (for messages) and a text; a text may use the
/// types of those before it.
///
/// # Errors
/// Everything that is wrong, up to [`MAX_VIOLATIONS`].
pub fn parse(text: &str, references: &[(String, String)]) -> Result<AvroSchema, Vec<Violation>> {
    let refuse = |message: String| Err(vec![Violation { path: String::new(), message }]);
    if references.len() > MAX_REFERENCES {
        return refuse(format!("refers to more than {MAX_REFERENCES} schemas"));
    }
    let bytes = references.iter().map(|(_, text)| text.len()).sum::<usize>();
    if bytes.saturating_add(text.len()) > MAX_SCHEMA_BYTES {
        return refuse(format!("is longer than {MAX_SCHEMA_BYTES} bytes, with what it refers to"));
    }
    let mut reader = Reader::default();
    let named = references.iter().map(|(name, text)| (format!("{name}#"), text.as_str()));
    for (prefix, text) in named.chain([(String::new(), text)]) {
        reader.read_document(prefix, text);
        if !reader.violations.is_empty() {
            return Err(reader.violations);
        }
    }
    let Some(root) = reader.roots.last().copied() else {
        return refuse("is no schema".into());
    };
    let schema = AvroSchema { nodes: reader.nodes, root };
    let mut violations = Vec::new();
    check_defaults(&schema, &mut violations);
    if violations.is_empty() {
        library::check(&schema, &reader.roots, &mut violations);
    }
    if violations.is_empty() { Ok(schema) } else { Err(violations) }
}

fn check_defaults(schema: &AvroSchema, violations: &mut Vec<Violation>) {
    let mut budget = Budget::new(DEFAULT_STEPS);
    for node in &schema.nodes {
        let Kind::Record(fields) = &node.kind else { continue };
        for (index, field) in fields.iter().enumerate() {
            let Some(default) = &field.default else { continue };
            let at = || format!("{}/fields/{index}/default", node.path);
            match json::is_default(schema, field.schema, default, &mut budget) {
                Ok(true) => {}
                Ok(false) => {
                    let node = schema.node(field.schema);
                    tell(violations, &at(), format!("is no value of the field's type, {node}"));
                }
                Err(_) => {
                    tell(
                        violations,
                        &at(),
                        "takes too long to check: the types allow too many ways",
                    );
                    return;
                }
            }
        }
    }
}

#[derive(Default)]
struct Reader {
    prefix: String,
    nodes: Vec<Node>,
    roots: Vec<NodeId>,
    names: HashMap<String, NodeId>,
    violations: Vec<Violation>,
}

impl Reader {
    fn read_document(&mut self, prefix: String, text: &str) {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                let path = format!("{prefix}{}:{}", error.line(), error.column());
                return tell(&mut self.violations, &path, format!("is no JSON: {error}"));
            }
        };
        if depth_of(&value) > MAX_DEPTH {
            let message = format!("is nested deeper than {MAX_DEPTH}");
            return tell(&mut self.violations, &prefix, message);
        }
        let at = prefix.clone();
        self.prefix = prefix;
        let root = self.read(&value, &at, "");
        self.roots.push(root);
    }

    fn refuse(&mut self, at: &str, message: impl Into<String>) -> NodeId {
        tell(&mut self.violations, at, message);
        NodeId(usize::MAX)
    }

    fn push(&mut self, at: &str, kind: Kind) -> NodeId {
        if self.nodes.len() >= MAX_NODES {
            // Once: the rest would all say the same.
            let told = self.violations.iter().any(|violation| violation.path == self.prefix);
            let (prefix, message) =
                (self.prefix.clone(), format!("has more than {MAX_NODES} types"));
            return if told { NodeId(usize::MAX) } else { self.refuse(&prefix, message) };
        }
        self.nodes.push(Node::new(self.roots.len(), at, kind));
        NodeId(self.nodes.len() - 1)
    }

    fn read(&mut self, value: &Value, at: &str, namespace: &str) -> NodeId {
        if self.violations.len() >= MAX_VIOLATIONS {
            return NodeId(usize::MAX);
        }
        match value {
            Value::String(name) => self.read_name(name, at, namespace),
            Value::Array(branches) => self.read_union(branches, at, namespace),
            Value::Object(object) => self.read_object(object, at, namespace),
            _ => self.refuse(at, "must be a type: a name, a list or an object"),
        }
    }

    fn read_name(&mut self, name: &str, at: &str, namespace: &str) -> NodeId {
        if let Some(kind) = Kind::primitive(name) {
            return self.push(at, kind);
        }
        let Some(Name(full)) = full_name(name, None, namespace) else {
            return self.refuse(at, format!("is no name: {name:?}"));
        };
        match self.names.get(&full) {
            Some(id) => *id,
            None => self.refuse(at, format!("no type {full:?} is defined before this")),
        }
    }

    fn read_union(&mut self, branches: &[Value], at: &str, namespace: &str) -> NodeId {
        let mut ids = Vec::with_capacity(branches.len().min(MAX_NODES));
        let mut seen = HashSet::new();
        for (index, branch) in branches.iter().enumerate() {
            let at = format!("{at}/{index}");
            let id = self.read(branch, &at, namespace);
            let Some(node) = self.nodes.get(id.0) else { continue };
            let name = node.name.as_ref().map_or(node.kind.as_str(), |name| name.0.as_str());
            if matches!(node.kind, Kind::Union(_)) {
                self.refuse(&at, "a union cannot be in a union");
            } else if !seen.insert(name.to_owned()) {
                let message = format!("the union has {name} already");
                self.refuse(&at, message);
            }
            ids.push(id);
        }
        self.push(at, Kind::Union(ids))
    }

    fn read_object(&mut self, object: &Map<String, Value>, at: &str, namespace: &str) -> NodeId {
        let child = |key: &str| format!("{at}/{key}");
        let kind = match object.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(inner) => {
                let id = self.read(inner, &child("type"), namespace);
                return self.attach(id, object, &STRUCTURE);
            }
            None => return self.refuse(at, "has no type"),
        };
        match kind {
            "record" | "enum" | "fixed" => self.read_named(kind, object, at, namespace),
            "array" | "map" => {
                let key = if kind == "array" { "items" } else { "values" };
                let Some(inner) = object.get(key) else {
                    return self.refuse(at, format!("{kind} without {key}"));
                };
                let inner = self.read(inner, &child(key), namespace);
                let kind = if kind == "array" { Kind::Array(inner) } else { Kind::Map(inner) };
                let id = self.push(at, kind);
                self.attach(id, object, &["type", key])
            }
            name if Kind::primitive(name).is_some() => {
                let id = self.read_name(name, at, namespace);
                self.attach(id, object, &["type"])
            }
            // What is written around a name does not belong to the type that it names.
            name => self.read_name(name, &child("type"), namespace),
        }
    }

    /// Adds what an object says besides its structure to the node that it wrote out.
    fn attach(&mut self, id: NodeId, object: &Map<String, Value>, except: &[&str]) -> NodeId {
        let document = self.roots.len();
        let Some(node) = self.nodes.get_mut(id.0) else { return id };
        let around_a_definition = node.document != document || !object_wrote(object, node);
        if around_a_definition {
            return id;
        }
        for (key, value) in object {
            if !except.contains(&key.as_str()) && !node.attributes.contains_key(key) {
                node.attributes.insert(key.clone(), value.clone());
            }
        }
        node.logical = Logical::read(&node.kind, &node.attributes);
        if node.attributes.get("logicalType").is_some_and(|logical| !logical.is_string()) {
            let path = format!("{}/logicalType", node.path);
            return self.refuse(&path, "must be a name");
        }
        id
    }

    fn read_named(
        &mut self,
        kind: &str,
        object: &Map<String, Value>,
        at: &str,
        around: &str,
    ) -> NodeId {
        let Some(given) = object.get("name").and_then(Value::as_str) else {
            return self.refuse(at, format!("{kind} without a name"));
        };
        let namespace = object.get("namespace").and_then(Value::as_str);
        let Some(name) = full_name(given, namespace, around) else {
            return self.refuse(&format!("{at}/name"), format!("is no name: {given:?}"));
        };
        if Kind::primitive(&name.0).is_some() {
            return self.refuse(&format!("{at}/name"), format!("{given} is a type of Avro's own"));
        }
        let id = self.push(at, Kind::Null);
        if self.names.insert(name.0.clone(), id).is_some() {
            return self.refuse(&format!("{at}/name"), format!("{} is defined twice", name.0));
        }
        // What is in it can name it already.
        if let Some(node) = self.nodes.get_mut(id.0) {
            node.name = Some(name.clone());
        }
        let aliases = self.read_aliases(object, at, |alias| {
            full_name(alias, None, name.namespace()).map(|Name(full)| full)
        });
        let (read, key) = match kind {
            "record" => (self.read_fields(object, at, name.namespace()), "fields"),
            "enum" => (self.read_symbols(object, at), "symbols"),
            _ => (self.read_size(object, at), "size"),
        };
        if let Some(node) = self.nodes.get_mut(id.0) {
            (node.kind, node.aliases) = (read, aliases);
        }
        let except = ["type", "name", "namespace", "aliases", key];
        let default = (kind == "enum").then_some("default");
        let except: Vec<&str> = except.into_iter().chain(default).collect();
        self.attach(id, object, &except)
    }

    fn read_aliases(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        full: impl Fn(&str) -> Option<String>,
    ) -> Vec<String> {
        let at = format!("{at}/aliases");
        let aliases = match object.get("aliases") {
            None => return Vec::new(),
            Some(Value::Array(aliases)) if aliases.len() <= MAX_ALIASES => aliases,
            Some(_) => {
                self.refuse(&at, format!("must be a list of at most {MAX_ALIASES} names"));
                return Vec::new();
            }
        };
        let mut read: Vec<String> = Vec::new();
        for (index, alias) in aliases.iter().enumerate() {
            match alias.as_str().and_then(&full) {
                Some(alias) => read.push(alias),
                None => {
                    self.refuse(&format!("{at}/{index}"), format!("is no name: {alias}"));
                }
            }
        }
        read.sort_unstable();
        read.dedup();
        read
    }

    fn read_fields(&mut self, object: &Map<String, Value>, at: &str, namespace: &str) -> Kind {
        let Some(list) = object.get("fields").and_then(Value::as_array) else {
            self.refuse(at, "record without a list of fields");
            return Kind::Record(Vec::new());
        };
        let mut fields: Vec<Field> = Vec::new();
        let mut names = HashSet::new();
        for (index, field) in list.iter().enumerate() {
            let at = format!("{at}/fields/{index}");
            let Some(field) = field.as_object() else {
                self.refuse(&at, "must be an object");
                continue;
            };
            let simple = |name: &str| is_simple(name).then(|| name.to_owned());
            let Some(name) = field.get("name").and_then(Value::as_str).and_then(simple) else {
                self.refuse(&format!("{at}/name"), "a field needs a name of letters, digits and _");
                continue;
            };
            if !names.insert(name.clone()) {
                self.refuse(
                    &format!("{at}/name"),
                    format!("the record has a field {name} already"),
                );
            }
            let Some(kind) = field.get("type") else {
                self.refuse(&at, "has no type");
                continue;
            };
            let schema = self.read(kind, &format!("{at}/type"), namespace);
            let aliases = self.read_aliases(field, &at, simple);
            let structure = ["name", "type", "aliases", "default"];
            let attributes = field.iter().filter(|(key, _)| !structure.contains(&key.as_str()));
            let attributes = attributes.map(|(key, value)| (key.clone(), value.clone())).collect();
            let default = field.get("default").cloned();
            fields.push(Field { name, aliases, schema, default, attributes });
        }
        Kind::Record(fields)
    }

    fn read_symbols(&mut self, object: &Map<String, Value>, at: &str) -> Kind {
        let list = object.get("symbols").and_then(Value::as_array);
        if list.is_none() {
            self.refuse(at, "enum without a list of symbols");
        }
        let mut symbols = Vec::new();
        let mut seen = HashSet::new();
        for (index, symbol) in list.into_iter().flatten().enumerate() {
            let at = format!("{at}/symbols/{index}");
            match symbol.as_str().filter(|symbol| is_simple(symbol)) {
                Some(symbol) if seen.insert(symbol) => symbols.push(symbol.to_owned()),
                Some(symbol) => drop(self.refuse(&at, format!("the enum has {symbol} already"))),
                None => drop(self.refuse(&at, format!("is no symbol: {symbol}"))),
            }
        }
        let default = object.get("default").map(|default| default.as_str().unwrap_or_default());
        if default.is_some_and(|default| !seen.contains(default)) {
            self.refuse(&format!("{at}/default"), "must be one of the symbols");
        }
        Kind::Enum { default: default.map(str::to_owned), symbols }
    }

    fn read_size(&mut self, object: &Map<String, Value>, at: &str) -> Kind {
        // More than this is in no payload.
        let size = object.get("size").and_then(Value::as_u64);
        let size = size.filter(|size| *size <= u64::from(u32::MAX >> 1));
        if size.is_none() {
            self.refuse(&format!("{at}/size"), "fixed needs a size in bytes");
        }
        Kind::Fixed(size.unwrap_or_default())
    }
}

/// Whether an object with a nested type wrote its node out there, rather than named it.
fn object_wrote(object: &Map<String, Value>, node: &Node) -> bool {
    let mut inner = object;
    loop {
        match inner.get("type") {
            Some(Value::Object(deeper)) => inner = deeper,
            Some(Value::String(name)) => {
                return Kind::primitive(name).is_some() || node.kind.as_str() == name;
            }
            Some(Value::Array(_)) => return true,
            _ => return false,
        }
    }
}

/// A part of a name.
fn is_simple(name: &str) -> bool {
    if name.len() > MAX_NAME {
        return false;
    }
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// A name in full: its own namespace if it is dotted, else the one given with it, else that around.
fn full_name(name: &str, namespace: Option<&str>, around: &str) -> Option<Name> {
    let full = match name.strip_prefix('.') {
        Some(simple) if is_simple(simple) => simple.to_owned(),
        Some(_) => return None,
        None if name.contains('.') => name.to_owned(),
        None => match namespace.unwrap_or(around) {
            "" => name.to_owned(),
            namespace => format!("{namespace}.{name}"),
        },
    };
    (full.len() <= MAX_NAME && full.split('.').all(is_simple)).then_some(Name(full))
}
