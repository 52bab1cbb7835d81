//! A schema in whichever format.

use serde_json::Value;

use super::{
    avro, json,
    observed::shape::Shape,
    outline::Outline,
    protobuf,
    verdict::{Budget, Comparison, Violation},
};

crate::wire::wire_enum! {
    /// The formats that schemas are written in.
    pub enum Format {
        /// Apache Avro.
        Avro = "AVRO",
        /// JSON Schema, draft-04 to 2020-12.
        Json = "JSON",
        /// Protocol Buffers, proto2 and proto3.
        Protobuf = "PROTOBUF",
    }
}

/// The steps that one comparison may take. A schema of 200 fields takes some thousands.
pub(super) const COMPARISON_STEPS: u64 = 2_000_000;
/// The steps that the check of one payload may take.
const PAYLOAD_STEPS: u64 = 1_000_000;

/// A schema that was read.
#[derive(Debug)]
pub enum Schema {
    /// Of Avro.
    Avro(Box<avro::AvroSchema>),
    /// Of JSON Schema.
    Json(Box<json::JsonSchema>),
    /// Of Protobuf.
    Protobuf(Box<protobuf::ProtoSchema>),
}

/// The schemas are of two formats: there is nothing to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the schemas are of two formats")]
pub struct OtherFormat;

impl Schema {
    /// Reads a schema. `references` are those that it may refer to beyond itself, each by the name that it is
    /// referred to by, and its text; nothing is fetched.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(
        format: Format,
        text: &str,
        references: &[(String, String)],
    ) -> Result<Self, Vec<Violation>> {
        Ok(match format {
            Format::Avro => Self::Avro(Box::new(avro::parse(text, references)?)),
            Format::Json => Self::Json(Box::new(json::parse(text, references)?)),
            Format::Protobuf => Self::Protobuf(Box::new(protobuf::parse(text, references)?)),
        })
    }

    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self {
            Self::Avro(_) => Format::Avro,
            Self::Json(_) => Format::Json,
            Self::Protobuf(_) => Format::Protobuf,
        }
    }

    /// One text for all schemas that differ only in how they are written. What is referred to beyond the
    /// schema is in it by name only.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self {
            Self::Avro(schema) => avro::canonical(schema),
            Self::Json(schema) => json::canonical(schema),
            Self::Protobuf(schema) => protobuf::canonical(schema),
        }
    }

    /// Whether this one reads what was written with `writer`, and what differs.
    ///
    /// # Errors
    /// [`OtherFormat`].
    pub fn reads(&self, writer: &Self) -> Result<Comparison, OtherFormat> {
        self.reads_within(writer, &mut Budget::new(COMPARISON_STEPS))
    }

    /// The same with a budget that others may share.
    ///
    /// # Errors
    /// [`OtherFormat`].
    pub fn reads_within(
        &self,
        writer: &Self,
        budget: &mut Budget,
    ) -> Result<Comparison, OtherFormat> {
        Ok(match (self, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => avro::compare(reader, writer, budget),
            (Self::Json(reader), Self::Json(writer)) => json::compare(reader, writer, budget),
            (Self::Protobuf(reader), Self::Protobuf(writer)) => {
                protobuf::compare(reader, writer, budget)
            }
            _ => return Err(OtherFormat),
        })
    }

    /// What a payload violates that is written as JSON, as its format writes it so.
    #[must_use]
    pub fn violations(&self, payload: &Value) -> Vec<Violation> {
        let mut budget = Budget::new(PAYLOAD_STEPS);
        match self {
            Self::Avro(schema) => avro::validate(schema, payload, &mut budget),
            Self::Json(schema) => json::validate(schema, payload),
            Self::Protobuf(schema) => protobuf::validate_json(schema, None, payload, &mut budget),
        }
    }

    /// The paths of its fields, each with its type.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, String)> {
        match self {
            Self::Avro(schema) => avro::fields(schema),
            Self::Json(schema) => json::fields(schema),
            Self::Protobuf(schema) => protobuf::fields(schema),
        }
    }

    /// What it says of its values, as far as it can be compared with what a run reports.
    pub(super) fn shape(&self) -> Shape<'_> {
        match self {
            Self::Avro(schema) => avro::shape(schema),
            Self::Json(schema) => json::shape(schema),
            Self::Protobuf(schema) => protobuf::shape(schema),
        }
    }

    /// Its fields with the places at which a comparison tells their differences.
    pub(super) fn outline(&self) -> Outline {
        match self {
            Self::Avro(schema) => avro::outline(schema),
            Self::Json(schema) => json::outline(schema),
            Self::Protobuf(schema) => protobuf::outline(schema),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::model::verdict::Verdict;

    #[test]
    fn each_format_reads_its_own() {
        let texts = [
            (Format::Avro, r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#),
            (Format::Json, r#"{"type":"object","properties":{"a":{"type":"integer"}}}"#),
            (Format::Protobuf, "syntax = \"proto3\"; message R { int32 a = 1; }"),
        ];
        let payload = serde_json::json!({ "a": 1 });
        let wrong = serde_json::json!({ "a": "one" });
        let mut read = Vec::new();
        for (format, text) in texts {
            assert!(Schema::parse(format, "{", &[]).is_err(), "{format:?}");
            let schema = Schema::parse(format, text, &[]).unwrap();
            assert_eq!(schema.format(), format);
            assert_eq!(schema.reads(&schema).unwrap().verdict(), Verdict::Compatible);
            assert_eq!(schema.violations(&payload), []);
            assert_ne!(schema.violations(&wrong), [], "{format:?}");
            assert_eq!(schema.fields().len(), 1, "{:?}", schema.fields());
            let again = Schema::parse(format, &schema.canonical(), &[]).unwrap();
            assert_eq!(again.canonical(), schema.canonical());
            read.push(schema);
        }
        assert_eq!(read[0].reads(&read[1]).unwrap_err(), OtherFormat);
    }
}
