//! `POST /storage-internal/v1/datasets/{id}/refresh-state`: what became of a dataset, in a few words
//! for pipelines that do not speak OpenLineage. It is recorded like every other event, and answered
//! with what the dataset's refresh state is then.

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use axum::{
    Json,
    extract::{RawPathParams, Request, State, rejection::RawPathParamsRejection},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::{
        Problem, RequestContext, body,
        lineage::require_json,
        once::{self, KeyRule, Once},
    },
    Rest, conditional,
    fragments::REFRESH_STATE,
    identifier, parameters,
    resource::{self, BrokenResource},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    config::Limits,
    error::{Error, Result},
    refresh::{
        model::{EventType, JobName},
        report::{self, Report, Reported},
    },
};

/// What the answer asks the graph.
const DOCUMENT: &str = "query($id: ID!) { dataset(id: $id) { refreshState { ...RefreshState } } }";

/// The route.
#[derive(Clone)]
pub(super) struct Reporting {
    rest: Rest,
    document: Arc<ExecutableDocument>,
    once: Once,
}

/// What happened to a run.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ReportedState {
    /// It began.
    Start,
    /// It is still going on.
    Running,
    /// It succeeded. Ends the run.
    Complete,
    /// It failed. Ends the run.
    Fail,
    /// It was stopped. Ends the run.
    Abort,
}

impl From<ReportedState> for EventType {
    fn from(state: ReportedState) -> Self {
        match state {
            ReportedState::Start => Self::Start,
            ReportedState::Running => Self::Running,
            ReportedState::Complete => Self::Complete,
            ReportedState::Fail => Self::Fail,
            ReportedState::Abort => Self::Abort,
        }
    }
}

/// The job that a run is of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReportedJob)]
pub(super) struct Job {
    /// Where it lives: usually the scheduler.
    #[schema(min_length = 1, max_length = 512)]
    namespace: String,
    /// Its name there.
    #[schema(min_length = 1, max_length = 1024)]
    name: String,
}

/// What a pipeline reports of one dataset. The members are read one by one, so that what is wrong
/// with one is said of it; this is their description.
#[derive(Debug, ToSchema)]
#[schema(as = RefreshStateReport, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what `read` reads")]
pub(super) struct RefreshStateReport {
    /// The run; made here unless its producer has one.
    #[schema(nullable = true)]
    run_id: Option<Uuid>,
    /// What happened to it.
    #[schema(inline)]
    state: ReportedState,
    /// When that was; at most 300 seconds ahead of this service's clock.
    event_time: DateTime<Utc>,
    /// When it started, to be reported together with a later state.
    started_at: Option<DateTime<Utc>>,
    /// The job; `refresh-state` in the dataset's namespace unless said otherwise.
    #[schema(schema_with = job_or_null)]
    job: Option<Job>,
    /// Rows written.
    #[schema(minimum = 0)]
    row_count: Option<i64>,
    /// Bytes written.
    #[schema(minimum = 0)]
    byte_count: Option<i64>,
    /// How far the source had come that the run read: everything up to this instant is in.
    source_watermark: Option<DateTime<Utc>>,
    /// Why it failed; the first 4,096 characters are kept.
    error_message: Option<String>,
}

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefreshStateReported {
    /// The run.
    run_id: Uuid,
    /// `RECORDED`, or `DUPLICATE` when all of it was known already.
    status: ReportStatus,
    /// The refresh state of the dataset as it now is; null for a token that may not read it.
    #[schema(schema_with = state_or_null)]
    refresh_state: Value,
}

fn job_or_null() -> utoipa::openapi::Schema {
    use utoipa::openapi::{ObjectBuilder, OneOfBuilder, Type};
    let text = "The job; `refresh-state` in the dataset's namespace unless said otherwise.";
    let either = OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Null).build())
        .item(<Job as utoipa::PartialSchema>::schema())
        .description(Some(text))
        .build();
    utoipa::openapi::Schema::OneOf(either)
}

fn state_or_null() -> utoipa::openapi::Schema {
    use utoipa::openapi::{ObjectBuilder, OneOfBuilder, Ref, Type};
    let text =
        "The refresh state of the dataset as it now is; null for a token that may not read it.";
    let either = OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Null).build())
        .item(Ref::from_schema_name("RefreshState"))
        .description(Some(text))
        .build();
    utoipa::openapi::Schema::OneOf(either)
}

/// Whether a report was new.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ReportStatus {
    /// It is new, and counts.
    Recorded,
    /// It was known already, and changed nothing.
    Duplicate,
}

impl Reporting {
    /// Reads the document of the answer.
    pub fn new(rest: &Rest, limits: &Limits) -> Result<Self, BrokenResource> {
        let document = document()?;
        let once = Once::new(KeyRule::Required, limits);
        Ok(Self { rest: rest.clone(), document: Arc::new(document), once })
    }
}

/// The document of the answer, which tells its form.
pub(super) fn document() -> Result<ExecutableDocument, BrokenResource> {
    resource::parse(&format!("{DOCUMENT}\n{REFRESH_STATE}"))
}

pub(super) async fn report(
    State(reporting): State<Reporting>,
    context: RequestContext,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let answer = record(&reporting, &context, path, request).await;
    conditional::private(answer.unwrap_or_else(IntoResponse::into_response))
}

async fn record(
    reporting: &Reporting,
    context: &RequestContext,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let operation = Operation::RunEventsRecord.as_str();
    let call = reporting.rest.call(context, &parts.headers).await?;
    let call = call.attempting(reporting.once.attempt(&parts.headers, operation));
    tracing::Span::current().record("operation", operation);
    let id = identifier(path).map_err(parameters::problem);
    let dataset = id.as_ref().ok().and_then(|id| id.clone()).unwrap_or_default();
    // Read inside the frame of the change: what cannot be read is audited as well.
    let read = async {
        id?;
        let query = parts.uri.query().unwrap_or_default();
        parameters::parse(query, &[]).map_err(parameters::problem)?;
        require_json(&parts.headers)?;
        let bytes = body::read(&parts.headers, body, &reporting.rest.limits).await?;
        once::bind(&call, &parts, &bytes);
        call.begin().await?;
        read(&bytes, &call).map_err(parameters::problem)
    };
    let response = match report::record(&call, &dataset, read).await {
        Ok(reported) => answer(reporting, call.clone(), reported).await,
        Err(problem) => Err(problem),
    };
    Ok(once::answer(&call, response.unwrap_or_else(IntoResponse::into_response)).await?)
}

async fn answer(
    reporting: &Reporting,
    call: Call,
    reported: Reported,
) -> Result<Response, Problem> {
    let readable = call.may(Operation::DatasetRead) && call.may(Operation::FreshnessRead);
    let refresh_state = if readable {
        let mut id = Map::new();
        id.insert("id".to_owned(), reported.dataset_id.to_string().into());
        let graph = &reporting.rest.subgraph;
        let mut data = resource::execute(graph, call, &reporting.document, id).await?;
        data.pointer_mut("/dataset/refreshState").map(Value::take).unwrap_or_default()
    } else {
        Value::Null
    };
    let status = if reported.is_new { ReportStatus::Recorded } else { ReportStatus::Duplicate };
    Ok(Json(RefreshStateReported { run_id: reported.run_id, status, refresh_state })
        .into_response())
}

fn read(body: &[u8], call: &Call) -> Result<Report> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Error::bad_input("body", format!("is not JSON: {error}")))?;
    let Value::Object(mut members) = body else {
        return Err(Error::bad_input("body", "must be an object"));
    };
    let members = &mut members;
    let time = "must be a time such as 2026-01-31T12:00:00.000Z";
    let count = "must be a whole number, and not negative";
    let state: Option<ReportedState> =
        take(members, "state", "must be one of START, RUNNING, COMPLETE, FAIL, ABORT")?;
    let job: Option<Job> = take(members, "job", "must be a namespace and a name")?;
    let job = job.map(|job| JobName::parse(job.namespace, job.name)).transpose();
    let report = Report {
        run_id: take(members, "runId", "must be a UUID")?.unwrap_or_else(|| call.new_id()),
        state: required(state, "state")?.into(),
        event_time: required(take(members, "eventTime", time)?, "eventTime")?,
        started_at: take(members, "startedAt", time)?,
        job: job.map_err(|_| Error::bad_input("job", "is not the name of a job"))?,
        row_count: counted(members, "rowCount", count)?,
        byte_count: counted(members, "byteCount", count)?,
        source_watermark: take(members, "sourceWatermark", time)?,
        error_message: take(members, "errorMessage", "must be a text")?,
    };
    if let Some(name) = members.keys().next() {
        let name: String = name.chars().take(64).collect();
        return Err(Error::bad_input(name, "is not a member of a report"));
    }
    if report.started_at.is_some() && report.state == EventType::Start {
        return Err(Error::bad_input("startedAt", "is the eventTime of a START"));
    }
    Ok(report)
}

fn required<T>(value: Option<T>, name: &'static str) -> Result<T> {
    value.ok_or_else(|| Error::bad_input(name, "is required"))
}

/// Takes a member out; `null` is as good as none.
fn take<T: DeserializeOwned>(
    members: &mut Map<String, Value>,
    name: &'static str,
    message: &'static str,
) -> Result<Option<T>> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        // A struct could be read from an array as well.
        Some(Value::Array(_)) => Err(Error::bad_input(name, message)),
        Some(value) => {
            serde_json::from_value(value).map(Some).map_err(|_| Error::bad_input(name, message))
        }
    }
}

fn counted(
    members: &mut Map<String, Value>,
    name: &'static str,
    message: &'static str,
) -> Result<Option<u64>> {
    let count: Option<i64> = take(members, name, message)?;
    let count = count.map(u64::try_from).transpose();
    count.map_err(|_| Error::bad_input(name, message))
}
