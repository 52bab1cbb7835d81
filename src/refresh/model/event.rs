//! What a producer reports, in the terms of OpenLineage.

use std::{fmt, io::Write};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::dataset::model::{DatasetName, name::named_pair};

crate::wire::wire_enum! {
    /// What an event says of its run.
    pub enum EventType {
        /// It began.
        Start = "START",
        /// It is still going on.
        Running = "RUNNING",
        /// It succeeded. Ends the run.
        Complete = "COMPLETE",
        /// It was stopped. Ends the run.
        Abort = "ABORT",
        /// It failed. Ends the run.
        Fail = "FAIL",
        /// Nothing of its state: more about it, at any time.
        Other = "OTHER",
    }
}

crate::wire::wire_enum! {
    /// Where a source watermark came from.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    pub enum WatermarkOrigin {
        /// An event of a run said it.
        Openlineage = "OPENLINEAGE",
        /// dbt measured it (`max_loaded_at` of a source).
        DbtSources = "DBT_SOURCES",
        /// A refresh state was reported as such, without events of its own.
        RefreshState = "REFRESH_STATE",
    }
}

named_pair! {
    /// The name of a job; the rules are those of [`DatasetName`].
    JobName
}

/// SHA-256 over the canonical form of an event: the same for the same event, in whatever order its
/// members come. What is sent again is known by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of a JSON value. Members are ordered by name here, whatever the order in which
    /// `serde_json` happens to keep them.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut hasher = Sha256::new();
        write_canonical(value, &mut hasher);
        Self(hasher.finalize().into())
    }
}

/// Recursion is as deep as the value, which the JSON parser bounds (128).
fn write_canonical(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            hasher.update(b"{");
            for (name, member) in members {
                write_scalar(name, hasher);
                hasher.update(b":");
                write_canonical(member, hasher);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                write_canonical(item, hasher);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        scalar => write_scalar(scalar, hasher),
    }
}

fn write_scalar(scalar: &(impl Serialize + ?Sized), hasher: &mut Sha256) {
    // Neither a hasher nor the serialisation of a text, a number or a literal can fail.
    let _ = serde_json::to_writer(&mut *hasher as &mut dyn Write, scalar);
}

impl fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut hash = Self([0; 32]);
        hex::decode_to_slice(String::deserialize(deserializer)?, &mut hash.0)
            .map_err(D::Error::custom)?;
        Ok(hash)
    }
}

/// The time a run was scheduled for, as opposed to the time it took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NominalTime {
    /// The start of the period.
    pub start_at: DateTime<Utc>,
    /// The end of the period.
    pub end_at: Option<DateTime<Utc>>,
}

/// How much a run wrote to one dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputStatistics {
    /// Rows written; never negative.
    pub row_count: Option<i64>,
    /// Bytes written; never negative.
    pub byte_count: Option<i64>,
    /// Files written; never negative.
    pub file_count: Option<i64>,
}

impl OutputStatistics {
    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.row_count.is_none() && self.byte_count.is_none() && self.file_count.is_none()
    }

    /// This, with what it lacks taken from the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            row_count: self.row_count.or(other.row_count),
            byte_count: self.byte_count.or(other.byte_count),
            file_count: self.file_count.or(other.file_count),
        }
    }
}

/// What an event says about a dataset itself, rather than about the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatasetFacets {
    /// The `fields` of the schema facet, as they were sent.
    pub schema_fields: Option<Value>,
    /// The documentation facet; fits a [`Description`](crate::dataset::model::Description).
    pub description: Option<String>,
    /// The ownership facet; fits [`Owners`](crate::dataset::model::Owners).
    pub owners: Vec<String>,
}

/// A dataset that a run reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Which one.
    pub dataset: DatasetName,
    /// What is said about the dataset itself.
    pub facets: DatasetFacets,
}

/// A dataset that a run writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Which one.
    pub dataset: DatasetName,
    /// How much was written.
    pub statistics: OutputStatistics,
    /// How far the source had come that the run read: everything up to this instant is in.
    pub source_watermark: Option<DateTime<Utc>>,
    /// Where the watermark came from; present if and only if there is one.
    pub source_watermark_origin: Option<WatermarkOrigin>,
    /// What is said about the dataset itself.
    pub facets: DatasetFacets,
}

/// Something that happened to a run. Instants are whole microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// The run.
    pub run_id: Uuid,
    /// The job that it is a run of.
    pub job: JobName,
    /// What happened.
    pub event_type: EventType,
    /// When it happened, by the producer's clock.
    pub event_time: DateTime<Utc>,
    /// The URI of the program that reports it.
    pub producer: Option<String>,
    /// The datasets it reads, each once.
    pub inputs: Vec<Input>,
    /// The datasets it writes, each once.
    pub outputs: Vec<Output>,
    /// Why it failed, cut to 4,096 characters.
    pub error_message: Option<String>,
    /// The time it was scheduled for.
    pub nominal_time: Option<NominalTime>,
    /// The run that started it.
    pub parent_run_id: Option<Uuid>,
    /// Names the event.
    pub content_hash: ContentHash,
    /// The whole event as it was sent, with everything that this service does not know.
    pub payload: Value,
}

/// Something that is known of a job, outside any run.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEvent {
    /// The job.
    pub job: JobName,
    /// Since when it is known.
    pub event_time: DateTime<Utc>,
    /// The URI of the program that reports it.
    pub producer: Option<String>,
    /// The datasets it reads, each once.
    pub inputs: Vec<Input>,
    /// The datasets it writes, each once.
    pub outputs: Vec<Output>,
    /// Names the event.
    pub content_hash: ContentHash,
    /// The whole event as it was sent.
    pub payload: Value,
}

/// Something that is known of a dataset, outside any run.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetEvent {
    /// The dataset.
    pub dataset: DatasetName,
    /// Since when it is known.
    pub event_time: DateTime<Utc>,
    /// The URI of the program that reports it.
    pub producer: Option<String>,
    /// What is known.
    pub facets: DatasetFacets,
    /// Names the event.
    pub content_hash: ContentHash,
    /// The whole event as it was sent.
    pub payload: Value,
}

/// An event of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Something happened to a run.
    Run(Box<RunEvent>),
    /// A job is as this says, outside any run.
    Job(Box<JobEvent>),
    /// A dataset is as this says, outside any run.
    Dataset(Box<DatasetEvent>),
}

impl Event {
    /// When it happened, by the producer's clock.
    #[must_use]
    pub fn event_time(&self) -> DateTime<Utc> {
        match self {
            Self::Run(event) => event.event_time,
            Self::Job(event) => event.event_time,
            Self::Dataset(event) => event.event_time,
        }
    }

    /// Names the event.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        match self {
            Self::Run(event) => event.content_hash,
            Self::Job(event) => event.content_hash,
            Self::Dataset(event) => event.content_hash,
        }
    }

    /// The datasets it names, with what it says about each; one may come twice.
    pub fn datasets(&self) -> impl Iterator<Item = (&DatasetName, &DatasetFacets)> {
        let (inputs, outputs, dataset): (&[Input], &[Output], _) = match self {
            Self::Run(event) => (&event.inputs, &event.outputs, None),
            Self::Job(event) => (&event.inputs, &event.outputs, None),
            Self::Dataset(event) => (&[], &[], Some((&event.dataset, &event.facets))),
        };
        let inputs = inputs.iter().map(|input| (&input.dataset, &input.facets));
        let outputs = outputs.iter().map(|output| (&output.dataset, &output.facets));
        inputs.chain(outputs).chain(dataset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(json: &str) -> ContentHash {
        ContentHash::of(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_order_of_members_is_no_part_of_the_content() {
        let first = hash(r#"{"a": 1, "b": {"c": [1, {"d": null, "e": "x"}], "f": true}}"#);
        assert_eq!(first, hash(r#"{"b":{"f":true,"c":[1,{"e":"\u0078","d":null}]},"a":1}"#));
    }

    #[test]
    fn everything_else_is() {
        let texts = [
            "{}",
            "[]",
            "null",
            "\"\"",
            "[[]]",
            "[[],[]]",
            "[[[]]]",
            "{\"a\":{}}",
            "{\"a\":[]}",
            "[1,2]",
            "[2,1]",
            "[12]",
            "[\"1\",2]",
            "[\"1,2\"]",
            "1",
            "1.5",
            "true",
            "\"true\"",
            "{\"a\":1,\"b\":2}",
            "{\"a\":2,\"b\":1}",
            "{\"a\":\"1,b:2\"}",
        ];
        let mut hashes: Vec<_> = texts.iter().map(|text| hash(text)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), texts.len());
    }

    #[test]
    fn a_hash_is_written_as_hexadecimal_and_reads_back() {
        let hash = ContentHash([0xAB; 32]);
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{}\"", "ab".repeat(32)));
        assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<ContentHash>("\"ab\"").is_err());
    }
}
