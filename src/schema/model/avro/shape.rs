//! What a schema says of its values, as far as it can be compared with what a run reports.

use std::{borrow::Cow, collections::HashSet};

use super::{
    super::{
        observed::{
            NAME_PROPERTY,
            shape::{Family, MAX_DEPTH, MAX_NAME, MAX_SHAPES, Member, Shape},
        },
        verdict::Budget,
    },
    AvroSchema, Field, Kind, Node, NodeId,
    logical::Logical,
};

/// The shape of a schema. A type that is inside itself is not entered again.
#[must_use]
pub fn shape(schema: &AvroSchema) -> Shape<'_> {
    let mut walk = Walk { schema, inside: HashSet::new(), budget: Budget::new(MAX_SHAPES) };
    walk.shape(schema.root, 0)
}

struct Walk<'a> {
    schema: &'a AvroSchema,
    inside: HashSet<NodeId>,
    budget: Budget,
}

impl<'a> Walk<'a> {
    fn shape(&mut self, id: NodeId, depth: usize) -> Shape<'a> {
        let schema = self.schema;
        let node = schema.node(id);
        if depth > MAX_DEPTH || self.budget.step().is_err() || !self.inside.insert(id) {
            let is_record = matches!(node.kind, Kind::Record(_));
            return if is_record { Shape::of(&[Family::Record]) } else { Shape::unknown() };
        }
        let shape = match &node.kind {
            Kind::Record(fields) => {
                let member = |field: &'a Field| {
                    let name = Cow::Borrowed(name(field));
                    Member { name, shape: self.shape(field.schema, depth + 1) }
                };
                Shape::record(fields.iter().map(member).collect())
            }
            Kind::Array(items) => Shape::array(self.shape(*items, depth + 1)),
            Kind::Map(values) => Shape::map(self.shape(*values, depth + 1)),
            Kind::Union(branches) => {
                Shape::any(branches.iter().map(|branch| self.shape(*branch, depth + 1)).collect())
            }
            Kind::Null => Shape::of(&[]),
            _ => Shape::of(&[family(node)]),
        };
        self.inside.remove(&id);
        shape
    }
}

/// As the source has it.
fn name(field: &Field) -> &str {
    let written = field.attributes.get(NAME_PROPERTY).and_then(|name| name.as_str());
    written.filter(|name| name.len() <= MAX_NAME).unwrap_or(&field.name)
}

/// Of a type that holds no others.
fn family(node: &Node) -> Family {
    match &node.logical {
        Some(Logical::Decimal { .. } | Logical::Named("big-decimal")) => return Family::Decimal,
        Some(Logical::Named("uuid")) => return Family::String,
        Some(Logical::Named("date")) => return Family::Date,
        Some(Logical::Named("time-millis" | "time-micros")) => return Family::Time,
        Some(Logical::Named("duration")) => return Family::Unknown,
        Some(Logical::Named(_)) => return Family::Timestamp,
        None => {}
    }
    match node.kind {
        Kind::Boolean => Family::Boolean,
        Kind::Int | Kind::Long => Family::Integer,
        Kind::Float | Kind::Double => Family::Float,
        Kind::Bytes | Kind::Fixed(_) => Family::Bytes,
        Kind::String | Kind::Enum { .. } => Family::String,
        _ => Family::Unknown,
    }
}
