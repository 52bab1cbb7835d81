//! Answers: the status, the media type, and a code and the correlation id on every error.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{ErrorExtensionValues, Response as GraphqlResponse, ServerError, Value};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use serde::Serialize;

use super::{intake::NOT_FOUND, media::Media};
use crate::{
    audit::Outcome,
    cache::Answer,
    error::{Error, ErrorCode},
    http::{CorrelationId, Problem, problem::log_source, rest::conditional},
};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

/// The answer to a request that was executed, or refused by the parser or the validation.
pub(in crate::http) fn executed(
    mut response: GraphqlResponse,
    media: Media,
    correlation_id: &CorrelationId,
) -> Response<Bytes> {
    // An error of execution has a path; without one and without data, nothing was executed.
    let refused = response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    for error in &mut response.errors {
        complete(error, correlation_id);
    }
    // After which the client goes on as it is meant to: nothing was wrong.
    let awaited = response.errors.iter().any(is_not_found);
    let status = match media {
        Media::Graphql if refused && !awaited => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let document = Document {
        errors: &response.errors,
        data: (!refused).then_some(&response.data),
        extensions: &response.extensions,
    };
    let mut answer = write(&document, media);
    *answer.status_mut() = status;
    answer.extensions_mut().insert(outcome(&response));
    answer.headers_mut().extend(std::mem::take(&mut response.http_headers));
    let cache = response.cache_control.value().filter(|_| response.errors.is_empty());
    let cache = cache.and_then(|text| HeaderValue::from_str(&text).ok());
    let cache = cache.unwrap_or(HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(header::CACHE_CONTROL, cache);
    answer
}

/// What a caller has already: the tags of an `If-None-Match`, of a request that may be answered by 304.
#[derive(Debug)]
pub(in crate::http) struct Conditions(Option<HeaderMap>);

impl Conditions {
    pub(in crate::http) fn of(parts: &Parts) -> Self {
        let conditional =
            parts.method == Method::GET && parts.headers.contains_key(header::IF_NONE_MATCH);
        Self(conditional.then(|| parts.headers.clone()))
    }
}

/// An answer that was kept.
pub(in crate::http) fn kept(kept: &Answer, media: Media, conditions: &Conditions) -> Response {
    let mut answer = Response::new(kept.body.clone());
    answer.headers_mut().insert(header::CONTENT_TYPE, media.content_type());
    answer.headers_mut().insert(header::VARY, VARY);
    answer.extensions_mut().insert(Outcome::Success);
    tagged(answer, &kept.tag, conditions)
}

/// An answer that is kept, with its tag; or 304 to a caller that has it already.
pub(in crate::http) fn tagged(
    mut answer: Response<Bytes>,
    tag: &str,
    Conditions(conditions): &Conditions,
) -> Response {
    // In the order of an answer that was made now: whether one was kept is nobody's business.
    let asked_again = HeaderValue::from_static("private, no-cache");
    answer.headers_mut().insert(header::CACHE_CONTROL, asked_again);
    // Hexadecimal digits in quotes.
    if let Ok(tag) = HeaderValue::from_str(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    if conditions.as_ref().is_some_and(|headers| conditional::is_known(headers, tag)) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer.headers_mut().remove(header::CONTENT_TYPE);
        return answer.map(|_| Body::empty());
    }
    answer.map(Body::from)
}

/// Why nothing could be had for now, if that is all that an answer says: then the whole of it is to be asked
/// for again, and a status says so.
pub(in crate::http) fn unavailable(response: &GraphqlResponse) -> Option<&Error> {
    let is_nothing = match &response.data {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(|field| *field == Value::Null),
        _ => false,
    };
    let own = |error: &ServerError| {
        matches!(code_of(error), ErrorCode::Unavailable | ErrorCode::Overloaded)
    };
    let why = || own_error(response.errors.first()?);
    (is_nothing && response.errors.iter().all(own)).then(why).flatten()
}

/// How a call with this answer ended, for the audit trail: its first error says it.
pub(in crate::http) fn outcome(response: &GraphqlResponse) -> Outcome {
    match response.errors.first().map(code_of) {
        None => Outcome::Success,
        Some(code) if response.data == Value::Null => Outcome::of_code(code),
        Some(code) => Outcome::Partial(code),
    }
}

/// The code of an error; what has another than ours is the caller's fault.
fn code_of(error: &ServerError) -> ErrorCode {
    let said = || match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => ErrorCode::ALL.into_iter().find(|known| known.as_str() == code),
        _ => None,
    };
    own_error(error).map(Error::code).or_else(said).unwrap_or(ErrorCode::BadUserInput)
}

fn own_error(error: &ServerError) -> Option<&Error> {
    error.source::<Error>().or_else(|| error.source::<Arc<Error>>().map(AsRef::as_ref))
}

fn is_not_found(error: &ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|values| values.get("code"));
    matches!(code, Some(Value::String(code)) if code == NOT_FOUND)
}

/// The answer to a request that was refused before execution.
pub(in crate::http) fn refused(
    problem: &Problem,
    media: Media,
    correlation_id: &CorrelationId,
) -> Response {
    let mut error = ServerError::new(problem.detail(), None);
    label(&mut error, problem.code(), correlation_id);
    let document = Document { errors: &[error], data: None, extensions: &BTreeMap::new() };
    let written = write(&document, media);
    let mut answer = problem.response(Body::empty());
    answer.extensions_mut().insert(Outcome::of_code(problem.code()));
    answer.headers_mut().extend(written.headers().clone());
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *answer.body_mut() = Body::from(written.into_body());
    answer
}

/// The answer to a subscription that was not opened: unlike a query's it has the status of its error,
/// since its client expects a stream with any other.
pub(in crate::http) fn not_opened(
    errors: &[ServerError],
    correlation_id: &CorrelationId,
) -> Response {
    let own = errors.iter().find_map(|error| error.source::<Error>());
    let status = own.map_or(400, |error| error.code().http_status());
    let mut errors = errors.to_vec();
    for error in &mut errors {
        complete(error, correlation_id);
    }
    let document = Document { errors: &errors, data: None, extensions: &BTreeMap::new() };
    let mut answer = write(&document, Media::Json);
    let code = errors.first().map_or(ErrorCode::BadUserInput, code_of);
    answer.extensions_mut().insert(Outcome::of_code(code));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.map(Body::from)
}

/// The document of one answer among several: of a subscription.
pub(in crate::http) fn document(
    mut response: GraphqlResponse,
    correlation_id: &CorrelationId,
) -> String {
    for error in &mut response.errors {
        complete(error, correlation_id);
    }
    let refused = response.data == Value::Null && !response.errors.is_empty();
    text(&Document {
        errors: &response.errors,
        data: (!refused).then_some(&response.data),
        extensions: &response.extensions,
    })
}

/// The errors by which a subscription ends, as a list.
pub(in crate::http) fn errors(
    mut errors: Vec<ServerError>,
    correlation_id: &CorrelationId,
) -> String {
    for error in &mut errors {
        complete(error, correlation_id);
    }
    text(&errors)
}

/// An error of ours as one of an answer.
pub(in crate::http) fn error_of(error: Error) -> ServerError {
    let text = error.to_string();
    ServerError { source: Some(Arc::new(error)), ..ServerError::new(text, None) }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

const VARY: HeaderValue = HeaderValue::from_static("accept");

fn write(document: &Document<'_>, media: Media) -> Response<Bytes> {
    let body = serde_json::to_vec(document).unwrap_or_default();
    let mut answer = Response::new(Bytes::from(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, media.content_type());
    answer.headers_mut().insert(header::VARY, VARY);
    answer
}

/// Gives an error its code. What is none of our own errors is nobody's business but the log's.
fn complete(error: &mut ServerError, correlation_id: &CorrelationId) {
    let own = error.source::<Error>().or_else(|| error.source::<Arc<Error>>().map(AsRef::as_ref));
    let code = if let Some(own) = own {
        log_source(own);
        own.code()
    } else if error.extensions.as_ref().is_some_and(|values| values.get("code").is_some()) {
        return set(error, "correlationId", correlation_id.as_str());
    } else if error.source.is_some() {
        let foreign = Error::internal(std::mem::take(&mut error.message));
        log_source(&foreign);
        error.message = foreign.to_string();
        foreign.code()
    } else {
        // The parser, the validation, the coercion of an argument.
        ErrorCode::BadUserInput
    };
    label(error, code, correlation_id);
}

fn label(error: &mut ServerError, code: ErrorCode, correlation_id: &CorrelationId) {
    set(error, "code", code.as_str());
    set(error, "correlationId", correlation_id.as_str());
}

fn set(error: &mut ServerError, name: &str, value: &str) {
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set(name, value);
}
