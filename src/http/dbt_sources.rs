//! dbt's `sources.json` over HTTP: `POST /api/v1/imports/dbt-sources?namespace=…` on the internal
//! listener.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Problem, RequestContext,
    authentication::Authentication,
    body::{self, BodyLimits},
    lineage::{Failed, Summary, Tally, require_json},
    once::{self, Once},
};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    refresh::{
        external::{dbt, import},
        record::Recorded,
    },
};

/// What the route needs.
#[derive(Debug, Clone)]
pub struct Import {
    /// Who may send.
    pub authentication: Authentication,
    /// How much.
    pub limits: BodyLimits,
    /// Whether with a key. Loads are known by what they are, so that none is needed.
    pub once: Once,
}

/// What became of the results of a file.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub(super) struct Report {
    /// How many became what.
    summary: Summary,
    /// The results that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_results: Vec<Failed>,
}

/// `200 OK` when all results stand (known ones too: a file may be sent again), `207 Multi-Status` when
/// some do, and the first error's own status, with its problem document, when none does.
pub(super) async fn import(
    State(state): State<Import>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let call = state.authentication.call(&parts.headers, &context.record).await?;
    let operation = Operation::DbtSourcesImport.as_str();
    let call = call.until(context.deadline);
    let call = call.attempting(state.once.attempt(&parts.headers, operation));
    tracing::Span::current().record("operation", operation);
    // Read inside the frame of the change: a file that cannot be had at all is audited as well.
    let items = async {
        let namespace = namespace(parts.uri.query().unwrap_or_default())?;
        require_json(&parts.headers)?;
        let bytes = body::read(&parts.headers, body, &state.limits).await?;
        once::bind(&call, &parts, &bytes);
        call.begin().await?;
        Ok::<_, Problem>(dbt::read(&bytes, &namespace)?)
    };
    let recorded = import::record(&call, Operation::DbtSourcesImport, items).await;
    let response = recorded.map(answer).unwrap_or_else(IntoResponse::into_response);
    Ok(once::answer(&call, response).await?)
}

/// The one parameter.
fn namespace(query: &str) -> Result<String> {
    let mut namespace = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if name != "namespace" {
            let name: String = name.chars().take(64).collect();
            return Err(Error::bad_input(name, "is not a parameter of this route"));
        }
        if namespace.replace(value.into_owned()).is_some() {
            return Err(Error::bad_input("namespace", "is given twice"));
        }
    }
    namespace.ok_or_else(|| Error::bad_input("namespace", "is required"))
}

fn answer(recorded: Vec<Recorded>) -> Response {
    let Tally { summary, failed, first } = Tally::of(recorded);
    let none = summary.failed == summary.received;
    let report = Report { summary, failed_results: failed };
    match first {
        None => (StatusCode::OK, Json(report)).into_response(),
        Some(error) if none => Problem::from(error).with_members(&report).into_response(),
        Some(_) => (StatusCode::MULTI_STATUS, Json(report)).into_response(),
    }
}
