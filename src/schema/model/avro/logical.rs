//! Logical types: what a value means beyond the type that it is written as.
//!
//! One that is not known, or that does not fit its type, is no logical type, as the specification
//! says; it stays in the attributes.

use std::fmt;

use serde_json::{Map, Value};

use super::Kind;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Logical {
    Decimal { precision: u64, scale: u64 },
    Named(&'static str),
}

/// Each with the types that it can be on. A `fixed` only of the size that is named.
const NAMED: &[(&str, &[(&str, u64)])] = &[
    ("big-decimal", &[("bytes", 0)]),
    ("uuid", &[("string", 0), ("fixed", 16)]),
    ("date", &[("int", 0)]),
    ("time-millis", &[("int", 0)]),
    ("time-micros", &[("long", 0)]),
    ("timestamp-millis", &[("long", 0)]),
    ("timestamp-micros", &[("long", 0)]),
    ("timestamp-nanos", &[("long", 0)]),
    ("local-timestamp-millis", &[("long", 0)]),
    ("local-timestamp-micros", &[("long", 0)]),
    ("local-timestamp-nanos", &[("long", 0)]),
    ("duration", &[("fixed", 12)]),
];

impl Logical {
    pub(super) fn read(kind: &Kind, attributes: &Map<String, Value>) -> Option<Self> {
        let name = attributes.get("logicalType")?.as_str()?;
        if name == "decimal" {
            return Self::decimal(kind, attributes);
        }
        let (name, on) = NAMED.iter().find(|(known, _)| *known == name)?;
        let size = if let Kind::Fixed(size) = kind { *size } else { 0 };
        on.contains(&(kind.as_str(), size)).then_some(Self::Named(name))
    }

    fn decimal(kind: &Kind, attributes: &Map<String, Value>) -> Option<Self> {
        let precision = attributes.get("precision")?.as_u64()?;
        let scale = attributes.get("scale").map_or(Some(0), Value::as_u64)?;
        let fits = match kind {
            Kind::Bytes => true,
            Kind::Fixed(size) => precision <= digits(*size),
            _ => false,
        };
        (fits && precision >= 1 && scale <= precision).then_some(Self::Decimal { precision, scale })
    }

    /// Whether some value of the plain type has no meaning as this.
    pub(super) const fn narrows(&self) -> bool {
        match self {
            Self::Decimal { .. } => true,
            Self::Named(name) => matches!(name.as_bytes(), b"uuid" | b"big-decimal"),
        }
    }
}

/// The decimal digits that a signed number of so many bytes holds for sure.
fn digits(bytes: u64) -> u64 {
    // log10(2) = 0.30103, from below; more bytes than this would be no number that anybody has.
    let bits = bytes.min(1 << 32).saturating_mul(8).saturating_sub(1);
    bits.saturating_mul(301_029_995) / 1_000_000_000
}

impl fmt::Display for Logical {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => {
                write!(formatter, "decimal({precision}, {scale})")
            }
            Self::Named(name) => formatter.write_str(name),
        }
    }
}
