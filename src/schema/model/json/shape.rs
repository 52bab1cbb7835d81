//! What a schema says of its values, as far as it can be compared with what a run reports.
//!
//! Schemas that apply to the same value (`$ref`, `allOf`, `anyOf` and so on) are taken together: what
//! any of them speaks of is there. `not` and `if` are passed over.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    super::{
        observed::shape::{Family, MAX_DEPTH, MAX_SHAPES, Member, Shape},
        verdict::Budget,
    },
    JsonSchema,
    node::{ARRAY, BOOLEAN, Id, NUMBER, Node, OBJECT, STRING, Types},
};

/// The shape of a schema. A schema that is inside itself is not entered again.
pub fn shape(schema: &JsonSchema) -> Shape<'_> {
    let mut walk = Walk { schema, open: Vec::new(), budget: Budget::new(MAX_SHAPES) };
    walk.shape(0)
}

struct Walk<'a> {
    schema: &'a JsonSchema,
    /// The nodes on the way here.
    open: Vec<Id>,
    budget: Budget,
}

impl<'a> Walk<'a> {
    fn shape(&mut self, id: Id) -> Shape<'a> {
        let schema = self.schema;
        let is_ended = self.open.len() > MAX_DEPTH || self.open.contains(&id);
        let Some(node) = schema.node(id).filter(|_| !is_ended) else { return Shape::unknown() };
        if self.budget.step().is_err() {
            return Shape::unknown();
        }
        self.open.push(id);
        let mut shapes = vec![self.own(node)];
        let is_said = |id: &Id| Some(*id) != node.not && Some(*id) != node.condition;
        shapes.extend(node.in_place().filter(is_said).map(|id| self.shape(id)));
        self.open.pop();
        Shape::any(shapes)
    }

    /// What a node itself says.
    fn own(&mut self, node: &'a Node) -> Shape<'a> {
        if node.boolean == Some(true) {
            return Shape::unknown();
        }
        let of_value = |value: &Value| match value {
            Value::Null => 0,
            Value::Bool(_) => BOOLEAN,
            Value::Number(_) => NUMBER,
            Value::String(_) => STRING,
            Value::Array(_) => ARRAY,
            Value::Object(_) => OBJECT,
        };
        let values = node.values.as_ref();
        let of_values =
            values.map(|values| values.iter().map(of_value).fold(0, |all, of| all | of));
        let types = node.types.or(of_values).unwrap_or_else(|| implied(node));
        let mut shape = Shape::of(&families(node, types));
        if !node.properties.is_empty() {
            let member = |(name, id): (&'a String, &Id)| Member {
                name: Cow::Borrowed(name),
                shape: self.shape(*id),
            };
            shape.members = Some(node.properties.iter().map(member).collect());
        }
        let items = node.prefix_items.iter().copied().chain(node.items);
        let values = node.additional_properties.filter(|_| node.properties.is_empty());
        let items: Vec<_> = items.chain(values).map(|id| self.shape(id)).collect();
        shape.item = (!items.is_empty()).then(|| Box::new(Shape::any(items)));
        shape
    }
}

/// The types that a node means which names none.
fn implied(node: &Node) -> Types {
    if !node.properties.is_empty() {
        OBJECT
    } else if node.items.is_some() || !node.prefix_items.is_empty() {
        ARRAY
    } else if node.format.is_some() || node.pattern.is_some() {
        STRING
    } else {
        0
    }
}

fn families(node: &Node, types: Types) -> Vec<Family> {
    let number: &[Family] = if node.whole {
        &[Family::Integer]
    } else {
        &[Family::Float, Family::Decimal, Family::Integer]
    };
    let string: &[Family] = match node.format.as_deref() {
        Some("date") => &[Family::Date],
        Some("time") => &[Family::Time],
        Some("date-time") => &[Family::Timestamp],
        Some(_) => &[Family::String],
        // JSON has no other way to write bytes.
        None => &[Family::String, Family::Bytes],
    };
    let object: &[Family] =
        if node.properties.is_empty() { &[Family::Record, Family::Map] } else { &[Family::Record] };
    let all = [
        (BOOLEAN, [Family::Boolean].as_slice()),
        (NUMBER, number),
        (STRING, string),
        (ARRAY, &[Family::Array]),
        (OBJECT, object),
    ];
    let said = all.into_iter().filter(|(bit, _)| types & bit != 0);
    said.flat_map(|(_, families)| families.iter().copied()).collect()
}
