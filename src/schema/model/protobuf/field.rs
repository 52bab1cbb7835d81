//! A field or an extension of a message, seen alike.

use prost_reflect::{
    Cardinality, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Syntax, prost_types,
};

use super::kinds;

pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) json_name: String,
    /// Its full name and number.
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) label: Label,
    pub(super) packed: bool,
    pub(super) map: bool,
    pub(super) group: bool,
    /// One that the text wrote, not one that stands for a proto3 `optional`.
    pub(super) oneof: Option<String>,
    pub(super) default: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Required,
    /// Whether it was set can be told.
    Optional,
    /// A proto3 field without a label: its default is not written.
    Implicit,
    Repeated,
}

impl Label {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Implicit => "of implicit presence",
            Self::Repeated => "repeated",
        }
    }
}

fn label(cardinality: Cardinality, presence: bool) -> Label {
    match (cardinality, presence) {
        (Cardinality::Required, _) => Label::Required,
        (Cardinality::Repeated, _) => Label::Repeated,
        (Cardinality::Optional, true) => Label::Optional,
        (Cardinality::Optional, false) => Label::Implicit,
    }
}

fn default(proto: &prost_types::FieldDescriptorProto) -> Option<String> {
    proto.default_value.clone()
}

/// Whether a repeated field is packed: as its options say, or as its syntax has it. The descriptors'
/// own answer is from before the options were read.
pub(super) fn is_packed(
    options: impl FnOnce() -> DynamicMessage,
    syntax: Syntax,
    list: bool,
    kind: &Kind,
) -> bool {
    if !list || !kinds::is_packable(kind) {
        return false;
    }
    let options = options();
    let said = options.get_field_by_name("packed").filter(|_| options.has_field_by_name("packed"));
    said.and_then(|said| said.as_bool()).unwrap_or(syntax == Syntax::Proto3)
}

impl From<FieldDescriptor> for Field {
    fn from(field: FieldDescriptor) -> Self {
        let kind = field.kind();
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        Self {
            number: field.number(),
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            path: format!("{}({})", field.full_name(), field.number()),
            label: label(field.cardinality(), field.supports_presence()),
            packed: is_packed(
                || field.options(),
                field.parent_file().syntax(),
                field.is_list(),
                &kind,
            ),
            kind,
            map: field.is_map(),
            group: field.is_group(),
            oneof: oneof.map(|oneof| oneof.name().to_owned()),
            default: default(field.field_descriptor_proto()),
        }
    }
}

/// All fields of a message, extensions too, by number.
pub(super) fn of(message: &MessageDescriptor) -> Vec<Field> {
    let mut fields: Vec<Field> = message.fields().map(Field::from).collect();
    fields.extend(message.extensions().map(|field| Field {
        number: field.number(),
        name: format!("[{}]", field.full_name()),
        json_name: field.json_name().to_owned(),
        path: format!("{}[{}]({})", message.full_name(), field.full_name(), field.number()),
        packed: is_packed(
            || field.options(),
            field.parent_file().syntax(),
            field.is_list(),
            &field.kind(),
        ),
        kind: field.kind(),
        label: label(field.cardinality(), field.supports_presence()),
        map: field.is_map(),
        group: field.is_group(),
        oneof: None,
        default: default(field.field_descriptor_proto()),
    }));
    fields.sort_by_key(|field| field.number);
    fields
}

impl Field {
    /// Its type as a schema has it: `repeated message a.B`, `map<string, int32>`.
    pub(super) fn type_text(&self) -> String {
        match &self.kind {
            Kind::Message(entry) if self.map => {
                let part = |number| {
                    entry
                        .get_field(number)
                        .map(|field| kinds::text(&field.kind()))
                        .unwrap_or_default()
                };
                format!("map<{}, {}>", part(1), part(2))
            }
            kind => {
                let kind = if self.group { "group" } else { &kinds::text(kind) };
                match self.label {
                    Label::Implicit => kind.to_owned(),
                    label => format!("{} {kind}", label.as_str()),
                }
            }
        }
    }
}
