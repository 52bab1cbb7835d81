//! The messages of `reports.proto` that a subgraph fills, by their numbers there.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Trace {
    #[prost(message, optional, tag = "3")]
    pub(super) end_time: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    pub(super) start_time: Option<Timestamp>,
    #[prost(uint64, tag = "11")]
    pub(super) duration_ns: u64,
    #[prost(message, optional, tag = "14")]
    pub(super) root: Option<Node>,
    /// Whether fields are missing.
    #[prost(bool, tag = "33")]
    pub(super) is_incomplete: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// A field, or an element of a list.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    /// What it is called in the answer, or its place in the list.
    #[prost(oneof = "Id", tags = "1, 2")]
    pub(super) id: Option<Id>,
    #[prost(string, tag = "3")]
    pub(super) r#type: String,
    /// Nanoseconds since the trace began; so is the next.
    #[prost(uint64, tag = "8")]
    pub(super) start_time: u64,
    #[prost(uint64, tag = "9")]
    pub(super) end_time: u64,
    #[prost(message, repeated, tag = "11")]
    pub(super) error: Vec<Error>,
    #[prost(message, repeated, tag = "12")]
    pub(super) child: Vec<Node>,
    #[prost(string, tag = "13")]
    pub(super) parent_type: String,
    /// The field's own name, where an alias stands for it.
    #[prost(string, tag = "14")]
    pub(super) original_field_name: String,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub(super) enum Id {
    #[prost(string, tag = "1")]
    ResponseName(String),
    #[prost(uint32, tag = "2")]
    Index(u32),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Error {
    #[prost(string, tag = "1")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) location: Vec<Location>,
    #[prost(uint64, tag = "3")]
    pub(super) time_ns: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Location {
    #[prost(uint32, tag = "1")]
    pub(super) line: u32,
    #[prost(uint32, tag = "2")]
    pub(super) column: u32,
}

impl Trace {
    /// Of a request that took so many nanoseconds from `started` on.
    pub(super) fn between(mut self, started: DateTime<Utc>, nanoseconds: u64) -> Self {
        let took = TimeDelta::nanoseconds(i64::try_from(nanoseconds).unwrap_or(i64::MAX));
        self.start_time = Some(started.into());
        self.end_time = started.checked_add_signed(took).map(Into::into);
        self.duration_ns = nanoseconds;
        self
    }

    /// As the answer's extension carries it.
    pub(super) fn encoded(&self) -> String {
        STANDARD.encode(self.encode_to_vec())
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        let nanos = i32::try_from(instant.timestamp_subsec_nanos()).unwrap_or_default();
        Self { seconds: instant.timestamp(), nanos }
    }
}
