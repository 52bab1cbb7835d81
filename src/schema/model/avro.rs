//! Avro: reading a schema, its canonical text, whether one reads what another wrote, and payloads.
//!
//! A schema is read into nodes of our own, one for each type that its text writes out, so that each
//! finding has a place in the text and no walk follows a reference without end. `apache-avro` then
//! has to accept the same structure (`library`): what is registered here, it can read.
//!
//! # Names
//! A name is resolved as the specification says: `namespace` counts only for a name without dots, a
//! name without either takes the namespace around it, and a type is defined before it is used. A
//! leading dot, as in `apache-avro`, names a type without a namespace.
//!
//! # What was taken where the specification leaves room
//! - Types match by their unqualified name; a writer's type also matches a reader's alias, and there
//!   the full name counts. Where several of a union's types match, the one with the same full name
//!   is taken, then one by alias, then the first.
//! - A default may match any type of a union (as in 1.12), not only the first.
//! - `error` types, which only protocols have, are none.

mod binary;
mod canonical;
mod compare;
mod fields;
mod json;
mod library;
mod logical;
mod read;
mod shape;
#[cfg(test)]
mod tests;

use std::{fmt, sync::LazyLock};

use serde_json::{Map, Value};

use super::verdict::Violation;

pub use binary::decode_check;
pub use canonical::canonical;
pub use compare::compare;
pub use fields::fields;
pub(super) use fields::outline;
pub use json::validate;
pub use read::parse;
pub(super) use shape::shape;

/// The most bytes of a schema's text and of the texts that it refers to, together.
pub const MAX_SCHEMA_BYTES: usize = 1024 * 1024;
/// The most texts that a schema may refer to.
pub const MAX_REFERENCES: usize = 200;
/// The most types that a schema and what it refers to may write out; a name is one.
pub const MAX_NODES: usize = 20_000;
/// How deep the JSON of a schema may be. It protects the stack: `apache-avro` and this module go
/// down one frame or a few for each level. A record in a nullable field takes four.
pub const MAX_DEPTH: usize = 80;
/// The most characters of a name with its namespace. Names are repeated in messages and paths.
pub const MAX_NAME: usize = 512;
/// The most aliases of one type or field.
pub const MAX_ALIASES: usize = 100;
/// The most violations that are told of one text or payload.
pub const MAX_VIOLATIONS: usize = 100;

/// A schema that was read.
#[derive(Debug, Clone)]
pub struct AvroSchema {
    nodes: Vec<Node>,
    root: NodeId,
}

/// Which of a schema's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct NodeId(usize);

/// A type, where it is written out.
#[derive(Debug, Clone)]
struct Node {
    /// The text that it is in: the references' in their order, the schema's own last.
    document: usize,
    /// Where: a JSON pointer, after the reference's name and `#` if it is in one.
    path: String,
    kind: Kind,
    /// Of a record, enum or fixed.
    name: Option<Name>,
    /// Full names.
    aliases: Vec<String>,
    logical: Option<logical::Logical>,
    /// What is neither structure nor name: `doc`, `logicalType`, `precision`, what people add.
    attributes: Map<String, Value>,
}

/// A name with its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name(String);

#[derive(Debug, Clone)]
enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<Field>),
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed(u64),
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    aliases: Vec<String>,
    schema: NodeId,
    default: Option<Value>,
    attributes: Map<String, Value>,
}

impl AvroSchema {
    /// An id always is of a node that was read; the `null` type only spares a panic.
    fn node(&self, id: NodeId) -> &Node {
        static NOTHING: LazyLock<Node> = LazyLock::new(|| Node::new(0, "", Kind::Null));
        self.nodes.get(id.0).unwrap_or(&NOTHING)
    }

    /// The full name of the schema's own type, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.node(self.root).name.as_ref().map(|name| name.0.as_str())
    }
}

impl Node {
    fn new(document: usize, path: &str, kind: Kind) -> Self {
        let (name, aliases, logical, attributes) = (None, Vec::new(), None, Map::new());
        Self { document, path: path.to_owned(), kind, name, aliases, logical, attributes }
    }
}

impl Name {
    /// Without its namespace.
    fn simple(&self) -> &str {
        self.0.rsplit_once('.').map_or(self.0.as_str(), |(_, simple)| simple)
    }

    /// Empty for none.
    fn namespace(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(namespace, _)| namespace)
    }
}

impl Kind {
    /// The type as a schema names it.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
            Self::Enum { .. } => "enum",
            Self::Fixed(_) => "fixed",
        }
    }

    fn primitive(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }
}

/// For messages: `record com.example.Order`, `long (timestamp-millis)`.
impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.as_str())?;
        if let Some(Name(name)) = &self.name {
            write!(formatter, " {name}")?;
        }
        if let Kind::Fixed(size) = self.kind {
            write!(formatter, " of {size} bytes")?;
        }
        if let Some(logical) = &self.logical {
            write!(formatter, " ({logical})")?;
        }
        Ok(())
    }
}

/// Adds a violation, as long as there are not too many already.
fn tell(violations: &mut Vec<Violation>, path: &str, message: impl Into<String>) {
    if violations.len() < MAX_VIOLATIONS {
        violations.push(Violation { path: path.to_owned(), message: message.into() });
    }
}
