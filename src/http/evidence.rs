//! The evidence log of the caller's tenant as static files, as C2SP tlog-tiles names them:
//! `GET /evidence/v1/<tenant>/checkpoint`, `…/tile/<level>/<index>`, `…/tile/entries/<index>`.
//!
//! For tools that know nothing of this service. Files are not cached by anybody but their reader, and
//! those that never change by that one for good.

use axum::{
    Router,
    extract::{RawPathParams, State, rejection::RawPathParamsRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Problem, RequestContext, authentication::Authentication};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    evidence::files::File,
};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const FOR_GOOD: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
const ASKED_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");
const AUTHORIZATION: HeaderValue = HeaderValue::from_static("authorization");

/// The routes, for whom `authentication` lets in.
pub fn routes(authentication: Authentication) -> Router {
    Router::new().route("/evidence/v1/{tenant}/{*file}", get(read)).with_state(authentication)
}

async fn read(
    State(authentication): State<Authentication>,
    context: RequestContext,
    path: Result<RawPathParams, RawPathParamsRejection>,
    headers: HeaderMap,
) -> Response {
    let answer = answer(&authentication, &context, path, &headers).await;
    answer.unwrap_or_else(|error| Problem::from(error).into_response())
}

async fn answer(
    authentication: &Authentication,
    context: &RequestContext,
    path: Result<RawPathParams, RawPathParamsRejection>,
    headers: &HeaderMap,
) -> Result<Response> {
    let call = authentication.call(headers, &context.record).await?.until(context.deadline);
    tracing::Span::current().record("operation", Operation::EvidenceRead.as_str());
    call.authorize(Operation::EvidenceRead)?;
    let missing = || Error::NotFound("resource");
    let path = path.map_err(|_| missing())?;
    let named = |name| path.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    // Another tenant's log and none at all look the same.
    let own = named("tenant").is_some_and(|tenant| tenant == call.principal().tenant().as_str());
    let name = named("file").filter(|_| own).ok_or_else(missing)?;
    let file = File::named(name).ok_or_else(missing)?;
    call.record().about(|| format!("evidence:{name}"));
    call.begin().await?;
    let tx = call.db().read_trail().await?;
    let content = file.read(&tx).await?.ok_or_else(missing)?;
    let (kind, keep) = if file.is_final() { (BYTES, FOR_GOOD) } else { (TEXT, ASKED_AGAIN) };
    let named = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)];
    Ok((named, [(header::VARY, AUTHORIZATION)], content).into_response())
}
