//! The `Idempotency-Key` header, and the answers of requests that bring one.
//!
//! A route that changes something makes its call an attempt ([`Once::attempt`]), says what the request is
//! as soon as its body is read ([`Attempt::is_of`]), and sends its answer through [`answer`]:
//!
//! ```ignore
//! let call = authentication.call(&parts.headers, &context.record).await?;
//! let call = call.attempting(once.attempt(&parts.headers, "lineage.ingest"));
//! let result = handle(&call, …).await;        // calls `bind(&call, &parts, &bytes)`
//! Ok(once::answer(&call, result.into_response()).await?)
//! ```
//!
//! What the key is for, and what is kept, is in [`crate::idempotency`].

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use chrono::TimeDelta;

use crate::{
    call::Call,
    config::Limits,
    error::{Error, Result},
    idempotency::{Answer, Attempt, End, HEADER, Key, MAXIMUM_ANSWER_BYTES, OUTCOMES},
};

/// Says that the answer is one that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Until when, at least, the same key gets the same answer.
pub const EXPIRES: HeaderName = HeaderName::from_static("idempotency-expires");
/// The headers that are kept with an answer: those that tell of its body.
const KEPT_HEADERS: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::VARY,
    header::ETAG,
    header::LOCATION,
    EXPIRES,
];

/// Whether a route's requests need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRule {
    /// With one, a request counts once; without one, as often as it comes.
    Optional,
    /// A request without one is refused.
    Required,
}

/// How a route takes keys.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    rule: KeyRule,
    retention: TimeDelta,
}

impl Once {
    /// By `rule`; what is kept is kept as long as the settings say.
    #[must_use]
    pub fn new(rule: KeyRule, limits: &Limits) -> Self {
        let retention = TimeDelta::from_std(limits.idempotency_retention);
        Self { rule, retention: retention.unwrap_or(TimeDelta::MAX) }
    }

    /// The attempt that a request with these headers is at `operation`; none without a key where none
    /// is needed. What is wrong with the key is told by the first change.
    #[must_use]
    pub fn attempt(self, headers: &HeaderMap, operation: &'static str) -> Option<Arc<Attempt>> {
        let mut values = headers.get_all(HEADER).into_iter();
        let key = match (values.next(), values.next(), self.rule) {
            (None, _, KeyRule::Optional) => return None,
            (None, _, KeyRule::Required) => Err(Key::missing()),
            (Some(_), Some(_), _) => Err(Key::repeated()),
            (Some(value), None, _) => Key::parse(value.as_bytes()),
        };
        Some(Arc::new(Attempt::new(operation, key, self.retention)))
    }
}

/// Says what the request of `call` is: its method, its path and its body, decompressed.
pub fn bind(call: &Call, parts: &Parts, body: &[u8]) {
    if let Some(attempt) = call.attempt() {
        bind_attempt(attempt, parts, body);
    }
}

/// The same before there is a call.
pub(super) fn bind_attempt(attempt: &Attempt, parts: &Parts, body: &[u8]) {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    attempt.is_of(parts.method.as_str(), path, body);
}

/// The error that the key of `call` was refused with: the status of the whole answer.
#[must_use]
pub fn refusal(call: &Call) -> Option<Error> {
    match call.attempt()?.end()? {
        End::Refused(error) => Some(error.clone()),
        End::Answered(_) => None,
    }
}

/// The answer to send: the kept one in place of `response`, or `response`, which is kept if all that
/// the call changed is.
///
/// # Errors
/// [`Error::Unavailable`] when it cannot be kept. The changes stand, and a retry is told of them; an
/// answer that was sent and not kept would be another one by then.
pub async fn answer(call: &Call, response: Response) -> Result<Response> {
    let Some(attempt) = call.attempt() else { return Ok(response) };
    match attempt.end() {
        Some(End::Answered(answer)) => restored(answer),
        None if attempt.is_whole() => keep(call, attempt, response).await,
        Some(End::Refused(_)) | None => Ok(response),
    }
}

fn restored(answer: &Answer) -> Result<Response> {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(Error::internal)?;
    for (name, value) in &answer.headers {
        let name = HeaderName::try_from(name).map_err(Error::internal)?;
        let value = HeaderValue::try_from(value).map_err(Error::internal)?;
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Keeps an answer on its way out.
async fn keep(call: &Call, attempt: &Attempt, response: Response) -> Result<Response> {
    let (mut parts, body) = response.into_parts();
    let expires = attempt.expires_at(call).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    parts.headers.insert(EXPIRES, HeaderValue::try_from(expires).map_err(Error::internal)?);
    // The body is in memory already.
    let bytes = to_bytes(body, usize::MAX).await.map_err(Error::internal)?;
    if parts.status.is_success() && bytes.len() <= MAXIMUM_ANSWER_BYTES {
        let kept = KEPT_HEADERS.into_iter().filter_map(|name| {
            let value = parts.headers.get(&name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        let headers = kept.collect();
        let answer = Answer { status: parts.status.as_u16(), headers, body: bytes.to_vec() };
        attempt.answered(call, &answer).await.inspect_err(|_| {
            metrics::counter!(OUTCOMES, "outcome" => "answer_lost").increment(1);
        })?;
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}
