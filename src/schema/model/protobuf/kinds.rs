//! Which types read what another wrote: types that share a form on the wire.

use prost_reflect::Kind;

use super::super::verdict::Verdict;

/// What a scalar type makes of what another wrote.
pub(super) struct Reading {
    pub(super) rule: &'static str,
    pub(super) verdict: Verdict,
    pub(super) why: &'static str,
}

/// `None` if they are the same. Messages and enums are compared elsewhere when both sides are one.
pub(super) fn reading(to: &Kind, from: &Kind) -> Option<Reading> {
    use Kind::{Bool, Bytes, Enum, Fixed32, Fixed64, Int32, Int64, Message, Sfixed32, Sfixed64};
    use Kind::{Sint32, Sint64, String, Uint32, Uint64};
    if name(to) == name(from) {
        return None;
    }
    let widened = Reading {
        rule: "FIELD_KIND_WIDENED",
        verdict: Verdict::Compatible,
        why: "every value of the one is one of the other",
    };
    let narrowed = Reading {
        rule: "FIELD_KIND_NARROWED",
        verdict: Verdict::Unknown,
        why: "they share their form, but a value that does not fit is read as another",
    };
    Some(match (from, to) {
        (Bool, Int32 | Uint32 | Int64 | Uint64)
        | (Int32, Int64)
        | (Uint32, Int64 | Uint64)
        | (Enum(_), Int32 | Int64)
        | (Sint32, Sint64)
        | (String, Bytes) => widened,
        (Bytes, String) => Reading { why: "bytes that are no UTF-8 cannot be read", ..narrowed },
        (Message(_), Bytes) => Reading { why: "the bytes are the encoded message", ..narrowed },
        (Sint64, Sint32)
        | (Fixed32, Sfixed32)
        | (Sfixed32, Fixed32)
        | (Fixed64, Sfixed64)
        | (Sfixed64, Fixed64) => narrowed,
        (from, to) if is_varint(from) && is_varint(to) => narrowed,
        _ => Reading {
            rule: "FIELD_KIND_CHANGED",
            verdict: Verdict::Incompatible,
            why: "they differ in their form",
        },
    })
}

const fn is_varint(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Bool | Kind::Enum(_)
    )
}

/// Whether a repeated field of it may be packed.
pub(super) const fn is_packable(kind: &Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
}

/// The type as a schema names it, without the name of a message or enum.
pub(super) const fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
        Kind::Fixed32 => "fixed32",
        Kind::Fixed64 => "fixed64",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Message(_) => "message",
        Kind::Enum(_) => "enum",
    }
}

/// The same with the name.
pub(super) fn text(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!("message {}", message.full_name()),
        Kind::Enum(of) => format!("enum {}", of.full_name()),
        kind => name(kind).to_owned(),
    }
}
