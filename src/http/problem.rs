//! Errors as RFC 9457 problem documents, in one place.
//!
//! A handler returns an [`Error`] or a [`Problem`]; the document is written on the way out, where
//! the correlation id is known.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::CorrelationId;
use crate::error::{Coded, Error, ErrorCode};

/// The media type of a problem document.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Seconds until a caller of an unavailable service should try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");
/// The same where there is more to do than can be done: those at work are soon done.
const RETRY_SOON: HeaderValue = HeaderValue::from_static("1");
/// RFC 6750: a caller without a token is told how, one with a bad token that it is bad.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"drr\"");
const CHALLENGE_INVALID: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"drr\", error=\"invalid_token\"");

/// An error as an HTTP answer, still without its correlation id.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: ErrorCode,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Map<String, Value>,
}

impl Problem {
    /// A fault of the protocol rather than of what was asked; for the latter there is [`Error`].
    pub fn new(status: StatusCode, code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), headers: Vec::new(), members: Map::new() }
    }

    /// With a header of the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With further members of the document (RFC 9457 §3.2): those of `details`, a map in JSON.
    #[must_use]
    pub fn with_members(mut self, details: &impl Serialize) -> Self {
        if let Ok(Value::Object(members)) = serde_json::to_value(details) {
            self.members.extend(members);
        }
        self
    }

    /// With the place in the request that it is about.
    #[must_use]
    pub fn with_field(mut self, field: &str) -> Self {
        self.members.insert("field".to_owned(), field.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The code that programs rely on.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The headers of its own.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// An answer with this status and these headers, and with a body of the caller's.
    pub(super) fn response(&self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers.iter().cloned());
        response
    }
}

/// The one mapping from errors to answers. What is behind a fault of this service is logged here,
/// inside the request's span, and goes nowhere else.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        log_source(&error);
        let code = error.code();
        let status =
            StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Self::new(status, code, error.to_string());
        match error {
            Error::BadUserInput { field, .. } => problem.with_field(&field),
            Error::Overloaded => problem.with_header(header::RETRY_AFTER, RETRY_SOON),
            _ => problem,
        }
    }
}

impl Coded for Problem {
    fn error_code(&self) -> ErrorCode {
        self.code
    }
}

/// Logs what a caller must not see.
pub fn log_source(error: &Error) {
    match error {
        Error::Internal(source) => {
            tracing::error!(
                code = error.code().as_str(),
                cause = chain(source.as_ref()),
                "{error}"
            );
        }
        Error::Unavailable(source) => {
            tracing::warn!(code = error.code().as_str(), cause = chain(source.as_ref()), "{error}");
        }
        _ => {}
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.response(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: ErrorCode,
    correlation_id: &'a CorrelationId,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

/// Finishes an answer: the document of a problem, and the headers that its status asks for.
pub(super) fn finish(
    mut response: Response,
    correlation_id: &CorrelationId,
    token_given: bool,
) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let document = Document {
            r#type: "about:blank",
            title: problem.status.canonical_reason().unwrap_or("Error"),
            status: problem.status.as_u16(),
            detail: &problem.detail,
            code: problem.code,
            correlation_id,
            members: &problem.members,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        // The empty body that the problem came with has set its length already.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        *response.body_mut() = Body::from(body);
    }
    let extra = match response.status() {
        StatusCode::UNAUTHORIZED if token_given => {
            Some((header::WWW_AUTHENTICATE, CHALLENGE_INVALID))
        }
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, CHALLENGE)),
        StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
        _ => None,
    };
    if let Some((name, value)) = extra {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
