//! OpenLineage over HTTP: `POST /api/v1/lineage` on the internal listener.
//!
//! One event, or an array of events, as the OpenLineage clients send them. What is accepted with a
//! doubt is answered with a warning; what is refused, event by event with the path to what is wrong.

use std::borrow::Cow;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Problem, RequestContext,
    authentication::Authentication,
    body::{self, BodyLimits},
    once::{self, Once},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    error::{Error, ErrorCode},
    refresh::{
        openlineage::{self, ParseLimits, Warning},
        record::{self, Recorded},
    },
};

/// What the route needs.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// Who may send.
    pub authentication: Authentication,
    /// How much.
    pub limits: BodyLimits,
    /// Whether with a key. Events are known by their content, so that none is needed.
    pub once: Once,
}

/// What became of a batch of events.
#[derive(Serialize, ToSchema)]
#[schema(as = LineageReport)]
pub(super) struct Report {
    /// How many became what.
    summary: Summary,
    /// The events that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_events: Vec<Failed>,
    /// What is wrong with events that were accepted nevertheless.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Noted>,
}

/// How many of what was sent became what.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ReportSummary)]
pub(super) struct Summary {
    /// All of them.
    pub received: usize,
    /// Those that are new, and count.
    pub recorded: usize,
    /// Those that were known already.
    pub duplicates: usize,
    /// Those that were left out.
    pub failed: usize,
}

/// One that was left out; the others stand.
#[derive(Serialize, ToSchema)]
#[schema(as = ReportFailure)]
pub(super) struct Failed {
    /// Its place, from 0.
    index: usize,
    /// Why, for programs.
    #[schema(value_type = String)]
    code: ErrorCode,
    /// The path to what is wrong, within the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    field: Option<Cow<'static, str>>,
    /// Why, in a sentence for a person.
    reason: String,
}

impl Failed {
    fn new(index: usize, error: &Error) -> Self {
        let code = error.code();
        match error {
            Error::BadUserInput { field, message } => {
                Self { index, code, field: Some(field.clone()), reason: message.to_string() }
            }
            other => Self { index, code, field: None, reason: other.to_string() },
        }
    }
}

/// Something wrong with an event that was accepted nevertheless.
#[derive(Serialize, ToSchema)]
#[schema(as = ReportWarning)]
pub(super) struct Noted {
    /// The event's place, from 0.
    index: usize,
    /// What it is, for programs.
    code: &'static str,
    /// Where in the event, as a dotted path.
    field: String,
    /// What it is, in a sentence for a person.
    message: String,
}

impl From<Warning> for Noted {
    fn from(Warning { index, code, field, message }: Warning) -> Self {
        Self { index, code: code.as_str(), field, message }
    }
}

/// `201 Created` when all events stand (known ones too: a client that was cut off sends again),
/// `207 Multi-Status` when some of a batch do, and the first error's own status, with its problem
/// document, when none does.
pub async fn ingest(
    State(lineage): State<Lineage>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let call = lineage.authentication.call(&parts.headers, &context.record).await?;
    let operation = Operation::LineageIngest.as_str();
    let call = call.until(context.deadline);
    let call = call.attempting(lineage.once.attempt(&parts.headers, operation));
    tracing::Span::current().record("operation", operation);
    let recorded = record_body(&call, &parts, body, &lineage.limits).await;
    let response = recorded.map(|(recorded, warnings)| answer(recorded, warnings));
    let response = response.unwrap_or_else(IntoResponse::into_response);
    Ok(once::answer(&call, response).await?)
}

async fn record_body(
    call: &Call,
    parts: &Parts,
    body: Body,
    limits: &BodyLimits,
) -> Result<(Vec<Recorded>, Vec<Warning>), Problem> {
    let mut warnings = Vec::new();
    // Read inside the frame of the change: a body that cannot be had at all is audited as well.
    let submitted = async {
        require_json(&parts.headers)?;
        let bytes = body::read(&parts.headers, body, limits).await?;
        once::bind(call, parts, &bytes);
        call.begin().await?;
        let batch =
            openlineage::parse(&bytes, &ParseLimits::at(call.now())).map_err(Error::from)?;
        warnings = batch.warnings;
        Ok::<_, Problem>(batch.events.into_iter().map(|event| event.map_err(Error::from)).collect())
    };
    let recorded = record::record(call, Operation::LineageIngest, submitted).await?;
    Ok((recorded, warnings))
}

/// Refuses a body that says it is something else.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|text| text.parse::<mime::Mime>().ok());
    // A client that says nothing sends JSON, as the early ones did.
    if media.is_none_or(|media| media.essence_str() == "application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::BadUserInput,
        "the body must be application/json",
    ))
}

fn answer(recorded: Vec<Recorded>, warnings: Vec<Warning>) -> Response {
    let Tally { summary, failed, first } = Tally::of(recorded);
    let none = summary.failed == summary.received;
    let warnings = warnings.into_iter().map(Noted::from).collect();
    let report = Report { summary, failed_events: failed, warnings };
    match first {
        None => (StatusCode::CREATED, Json(report)).into_response(),
        Some(error) if none => Problem::from(error).with_members(&report).into_response(),
        Some(_) => (StatusCode::MULTI_STATUS, Json(report)).into_response(),
    }
}

/// What became of a batch, counted.
pub(super) struct Tally {
    /// How many became what.
    pub summary: Summary,
    /// Those that were left out.
    pub failed: Vec<Failed>,
    /// Why the first of them was.
    pub first: Option<Error>,
}

impl Tally {
    /// Counts.
    pub fn of(recorded: Vec<Recorded>) -> Self {
        let mut summary = Summary { received: recorded.len(), ..Summary::default() };
        let mut failed = Vec::new();
        let mut first = None;
        for (index, recorded) in recorded.into_iter().enumerate() {
            match recorded {
                Recorded::Added => summary.recorded += 1,
                Recorded::Duplicate => summary.duplicates += 1,
                Recorded::Rejected(error) => {
                    summary.failed += 1;
                    failed.push(Failed::new(index, &error));
                    first.get_or_insert(error);
                }
            }
        }
        Self { summary, failed, first }
    }
}
