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

#[derive(Serialize)]
struct Report {
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_events: Vec<Failed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Noted>,
}

#[derive(Default, Serialize)]
struct Summary {
    received: usize,
    recorded: usize,
    duplicates: usize,
    failed: usize,
}

#[derive(Serialize)]
struct Failed {
    index: usize,
    code: ErrorCode,
    /// The path to what is wrong, within the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'static, str>>,
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

#[derive(Serialize)]
struct Noted {
    index: usize,
    code: &'static str,
    field: String,
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
    let call = lineage.authentication.call(&parts.headers, &context.correlation_id).await?;
    let operation = Operation::LineageIngest.as_str();
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
        let batch =
            openlineage::parse(&bytes, &ParseLimits::at(call.now())).map_err(Error::from)?;
        warnings = batch.warnings;
        Ok::<_, Problem>(batch.events.into_iter().map(|event| event.map_err(Error::from)).collect())
    };
    let recorded = record::record(call, Operation::LineageIngest, submitted).await?;
    Ok((recorded, warnings))
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
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
    let mut summary = Summary { received: recorded.len(), ..Summary::default() };
    let mut failed_events = Vec::new();
    let mut first = None;
    for (index, recorded) in recorded.into_iter().enumerate() {
        match recorded {
            Recorded::Added => summary.recorded += 1,
            Recorded::Duplicate => summary.duplicates += 1,
            Recorded::Rejected(error) => {
                summary.failed += 1;
                failed_events.push(Failed::new(index, &error));
                first.get_or_insert(error);
            }
        }
    }
    let none = summary.failed == summary.received;
    let warnings = warnings.into_iter().map(Noted::from).collect();
    let report = Report { summary, failed_events, warnings };
    match first {
        None => (StatusCode::CREATED, Json(report)).into_response(),
        Some(error) if none => Problem::from(error).with_members(&report).into_response(),
        Some(_) => (StatusCode::MULTI_STATUS, Json(report)).into_response(),
    }
}
