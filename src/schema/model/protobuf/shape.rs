//! What a schema says of its first message, as far as it can be compared with what a run reports.

use std::{borrow::Cow, collections::HashSet};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::{
    super::{
        observed::shape::{Family, MAX_DEPTH, MAX_SHAPES, Member, Shape},
        verdict::Budget,
    },
    ProtoSchema,
};

/// The shape of the first message. A message that is inside itself is not entered again.
#[must_use]
pub fn shape(schema: &ProtoSchema) -> Shape<'_> {
    let mut walk = Walk { inside: HashSet::new(), budget: Budget::new(MAX_SHAPES) };
    schema.file.messages().next().map_or_else(Shape::unknown, |message| walk.message(&message, 0))
}

struct Walk {
    /// Full names.
    inside: HashSet<String>,
    budget: Budget,
}

impl Walk {
    fn message(&mut self, message: &MessageDescriptor, depth: usize) -> Shape<'static> {
        let name = message.full_name();
        if let Some(shape) = well_known(name) {
            return shape;
        }
        if depth > MAX_DEPTH || self.budget.step().is_err() || !self.inside.insert(name.to_owned())
        {
            return Shape::of(&[Family::Record]);
        }
        let member = |field: FieldDescriptor| {
            let name = Cow::Owned(field.name().to_owned());
            Member { name, shape: self.field(&field, depth + 1) }
        };
        let members = message.fields().map(member).collect();
        self.inside.remove(name);
        Shape::record(members)
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Shape<'static> {
        let kind = field.kind();
        if field.is_map() {
            let value = kind.as_message().map(MessageDescriptor::map_entry_value_field);
            let value = value.map(|value| self.kind(&value.kind(), depth + 1));
            return Shape::map(value.unwrap_or_else(Shape::unknown));
        }
        let one = self.kind(&kind, depth);
        if field.is_list() { Shape::array(one) } else { one }
    }

    fn kind(&mut self, kind: &Kind, depth: usize) -> Shape<'static> {
        Shape::of(&[match kind {
            Kind::Message(message) => return self.message(message, depth),
            // By name or by number.
            Kind::Enum(_) => return Shape::of(&[Family::String, Family::Integer]),
            Kind::Double | Kind::Float => Family::Float,
            Kind::Bool => Family::Boolean,
            Kind::String => Family::String,
            Kind::Bytes => Family::Bytes,
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 => {
                Family::Integer
            }
            Kind::Sint64 | Kind::Fixed32 | Kind::Fixed64 | Kind::Sfixed32 | Kind::Sfixed64 => {
                Family::Integer
            }
        }])
    }
}

/// Messages that stand for something else.
fn well_known(name: &str) -> Option<Shape<'static>> {
    let families: &[Family] = match name {
        "google.protobuf.Timestamp" | "google.type.DateTime" => &[Family::Timestamp],
        "google.type.Date" => &[Family::Date],
        "google.type.TimeOfDay" => &[Family::Time],
        "google.type.Decimal" | "google.type.Money" => &[Family::Decimal],
        "google.protobuf.StringValue" => &[Family::String],
        "google.protobuf.BytesValue" => &[Family::Bytes],
        "google.protobuf.BoolValue" => &[Family::Boolean],
        "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => &[Family::Float],
        "google.protobuf.Int32Value"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.UInt64Value" => &[Family::Integer],
        "google.protobuf.Struct" => &[Family::Record, Family::Map],
        "google.protobuf.ListValue" => &[Family::Array],
        _ if name.starts_with("google.protobuf.") => &[Family::Unknown],
        _ => return None,
    };
    Some(Shape::of(families))
}
