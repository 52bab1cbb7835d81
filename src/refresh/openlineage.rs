//! OpenLineage (spec 2-0-2) as this service reads it: the body of a request into typed events.
//!
//! Each event of a batch is read on its own: one that is refused takes no other with it.
//!
//! # What is strict and what is not
//! - The core of an event (its shape, time, run, job, names of datasets) is checked strictly, and
//!   refused with the path to what is wrong.
//! - Where an old producer deviates and the meaning is certain, the event is accepted with a
//!   [`Warning`]: no `schemaURL` or `producer`; a time without a zone, which is UTC (what the early
//!   Python clients sent); an event type in lower case.
//! - `eventType` is optional in the spec: a run event without one is OTHER.
//! - Facets are the open part of the spec, and never a reason to refuse an event. One that is not of
//!   the expected form is ignored with a warning; so is a count that is negative, fractional or beyond
//!   64 bits. Whatever it is, known or not, it stays in the payload.
//! - U+0000 is refused anywhere, since PostgreSQL cannot store it. Integers beyond 64 bits in unknown
//!   facets lose precision.
//! - Instants are cut to whole microseconds.
//!
//! # How to extend
//! To read another facet: a function in `facets.rs`, and the field it fills in
//! [`model::event`](super::model::event).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;

use super::model::Event;
use crate::error::Error;

mod event;
mod facets;
mod place;
mod time;

/// The facet of an output (among its `outputFacets`) by which a producer says how far the source had
/// come: `{"at": <date-time>}`, and optionally `"origin"`, one of the names of
/// [`WatermarkOrigin`](super::model::WatermarkOrigin), `OPENLINEAGE` unless said otherwise. OpenLineage
/// has no facet of its own for this.
pub const SOURCE_WATERMARK_FACET: &str = "drr_sourceWatermark";

/// The longest error message that is kept, in characters; the payload has all of it.
pub const MAX_ERROR_MESSAGE_CHARS: usize = 4_096;

/// What one request may hold.
#[derive(Debug, Clone, Copy)]
pub struct ParseLimits {
    /// The most events of a batch.
    pub max_events: usize,
    /// The most datasets of an event, inputs and outputs together.
    pub max_datasets_per_event: usize,
    /// The present instant.
    pub now: DateTime<Utc>,
    /// How far ahead of `now` an event may lie: what a producer's clock may be fast.
    pub max_future_skew: TimeDelta,
}

impl ParseLimits {
    /// The limits of this service, at `now`.
    #[must_use]
    pub const fn at(now: DateTime<Utc>) -> Self {
        Self {
            max_events: 1_000,
            max_datasets_per_event: 1_000,
            now,
            max_future_skew: TimeDelta::seconds(300),
        }
    }
}

/// What a body holds, event by event, in the order sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParsedBatch {
    /// Each event, or why it is refused.
    pub events: Vec<Result<Event, EventError>>,
    /// What is wrong with events that are accepted nevertheless.
    pub warnings: Vec<Warning>,
}

/// Why a body as a whole is refused.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// It is neither an object nor an array.
    #[error("must be an event or an array of events")]
    NotEvents,
    /// It holds too many events.
    #[error("holds more than {maximum} events")]
    TooManyEvents {
        /// The limit.
        maximum: usize,
    },
}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::TooManyEvents { maximum } => Self::LimitExceeded {
                limit: "events of one request",
                maximum: maximum.try_into().unwrap_or(u64::MAX),
            },
            other => Self::bad_input("body", other.to_string()),
        }
    }
}

crate::wire::wire_enum! {
    /// Why an event is refused.
    pub enum EventErrorCode {
        /// Something that the spec requires is not there.
        Missing = "MISSING",
        /// Something is of the wrong type or form.
        Invalid = "INVALID",
        /// The event lies ahead of the present.
        TimeInFuture = "TIME_IN_FUTURE",
        /// The event lies before 1970.
        TimeTooEarly = "TIME_TOO_EARLY",
        /// It holds the character U+0000.
        NulCharacter = "NUL_CHARACTER",
        /// It names too many datasets.
        TooManyDatasets = "TOO_MANY_DATASETS",
    }
}

/// Why one event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {index}: {field}: {message}")]
pub struct EventError {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why, for programs.
    pub code: EventErrorCode,
    /// Where in the event, as a dotted path; empty for the event itself.
    pub field: String,
    /// Why, for people. Repeats nothing of what was sent.
    pub message: String,
}

impl From<EventError> for Error {
    fn from(EventError { index, field, message, .. }: EventError) -> Self {
        let separator = if field.is_empty() { "" } else { "." };
        Self::bad_input(format!("events.{index}{separator}{field}"), message)
    }
}

crate::wire::wire_enum! {
    /// What is wrong with an event that is accepted nevertheless.
    pub enum WarningCode {
        /// It has no `schemaURL`.
        MissingSchemaUrl = "MISSING_SCHEMA_URL",
        /// It has no `producer`.
        MissingProducer = "MISSING_PRODUCER",
        /// A time has no zone; it was taken for UTC.
        TimeWithoutZone = "TIME_WITHOUT_ZONE",
        /// The event type is not in upper case.
        EventTypeCase = "EVENT_TYPE_CASE",
        /// A facet is not of the expected form.
        FacetIgnored = "FACET_IGNORED",
        /// A count is not a number of things.
        ValueIgnored = "VALUE_IGNORED",
        /// A text was cut to the length that is kept.
        TextTruncated = "TEXT_TRUNCATED",
    }
}

/// Something wrong with an event that is accepted nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The event's place in the batch, from 0.
    pub index: usize,
    /// What it is, for programs.
    pub code: WarningCode,
    /// Where in the event, as a dotted path.
    pub field: String,
    /// What it is, for people.
    pub message: String,
}

/// Reads the body of a request: an event, or an array of events.
///
/// # Errors
/// [`ParseError`] if it is not even that; what is wrong with a single event is in the result.
pub fn parse(body: &[u8], limits: &ParseLimits) -> Result<ParsedBatch, ParseError> {
    let mut batch = ParsedBatch::default();
    for (index, text) in split(body, limits.max_events)?.into_iter().enumerate() {
        let mut warnings = Vec::new();
        let event = event::read(text.get(), limits, &mut warnings).map_err(|problem| {
            warnings.clear();
            let place::Problem { code, field, message } = problem;
            EventError { index, code, field, message }
        });
        batch.events.push(event);
        batch.warnings.extend(warnings.into_iter().map(|warning| {
            let event::Note { code, field, message } = warning;
            Warning { index, code, field, message }
        }));
    }
    Ok(batch)
}

/// Reads an event that is JSON already, the one at `index` of its batch.
///
/// # Errors
/// [`EventError`].
pub fn read(
    index: usize,
    event: serde_json::Value,
    limits: &ParseLimits,
) -> Result<Event, EventError> {
    event::Reader { limits, notes: &mut Vec::new() }.event(event).map_err(|problem| {
        let place::Problem { code, field, message } = problem;
        EventError { index, code, field, message }
    })
}

/// The texts of the events, each to be read on its own.
fn split(body: &[u8], max_events: usize) -> Result<Vec<&RawValue>, ParseError> {
    let whole: &RawValue = serde_json::from_slice(body).map_err(ParseError::NotJson)?;
    let events = match whole.get().trim_start().as_bytes().first() {
        Some(b'{') => vec![whole],
        Some(b'[') => serde_json::from_str(whole.get()).map_err(ParseError::NotJson)?,
        _ => return Err(ParseError::NotEvents),
    };
    if events.len() > max_events {
        return Err(ParseError::TooManyEvents { maximum: max_events });
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
