//! Errors in the form that clients of Confluent's registry know, under its codes.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{super::Problem, MEDIA_TYPE};
use crate::{
    audit::Outcome,
    error::{Error, ErrorCode},
};

/// The result of a request.
pub(super) type Result<T, E = Refused> = std::result::Result<T, E>;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    /// Theirs: the status, and a number where it says more.
    code: u32,
    message: Cow<'static, str>,
    /// Ours, for the audit trail.
    ours: ErrorCode,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Document<'a> {
    error_code: u32,
    message: &'a str,
}

impl Refused {
    fn new(code: u32, ours: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let status = if code >= 10_000 { code / 100 } else { code };
        let status =
            u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, message: message.into(), ours, headers: Vec::new() }
    }

    /// A missing subject, and one of another tenant.
    pub fn subject() -> Self {
        Self::new(40401, ErrorCode::NotFound, "Subject not found.")
    }

    /// A missing version of a subject.
    pub fn version() -> Self {
        Self::new(40402, ErrorCode::NotFound, "Version not found.")
    }

    /// A missing schema, and one of another tenant.
    pub fn schema() -> Self {
        Self::new(40403, ErrorCode::NotFound, "Schema not found")
    }

    /// A subject that has no version in use any more.
    pub fn subject_deleted() -> Self {
        Self::new(
            40404,
            ErrorCode::NotFound,
            "Subject was soft deleted; nothing is deleted for good",
        )
    }

    /// A version that is not in use any more.
    pub fn version_deleted() -> Self {
        Self::new(
            40406,
            ErrorCode::NotFound,
            "Version was soft deleted; nothing is deleted for good",
        )
    }

    /// A subject that is not there has no level of its own.
    pub fn no_level() -> Self {
        let message = "Subject does not have subject-level compatibility configured";
        Self::new(40408, ErrorCode::NotFound, message)
    }

    /// It breaks what the subject promises, or cannot be had beside what is there.
    pub fn incompatible(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(409, ErrorCode::Conflict, message)
    }

    /// A text that is no schema.
    pub fn invalid_schema(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(42201, ErrorCode::BadUserInput, message)
    }

    /// What is no number of a version.
    pub fn invalid_version() -> Self {
        let message = "The specified version is not a valid version id. Allowed values are between \
                       [1, 2^31-1] and the string \"latest\"";
        Self::new(42202, ErrorCode::BadUserInput, message)
    }

    /// What is no level of compatibility.
    pub fn invalid_level() -> Self {
        let message = "Invalid compatibility level. Valid values are none, backward, forward, full, \
                       backward_transitive, forward_transitive, and full_transitive";
        Self::new(42203, ErrorCode::BadUserInput, message)
    }

    /// What this registry does not do.
    pub fn not_permitted(message: &'static str) -> Self {
        Self::new(42205, ErrorCode::BadUserInput, message)
    }

    /// What is no name of a schema of the caller's.
    pub fn invalid_subject(why: &str) -> Self {
        let message = format!("The specified subject is not valid: {why}");
        Self::new(42208, ErrorCode::BadUserInput, message)
    }

    /// A schema that is too large.
    fn too_large(error: &Error) -> Self {
        Self::new(42209, ErrorCode::LimitExceeded, format!("Schema too large: {error}"))
    }

    /// A body that is no JSON of the expected form.
    pub fn malformed(error: &serde_json::Error) -> Self {
        Self::new(400, ErrorCode::BadUserInput, format!("The body is malformed: {error}"))
    }

    /// A body of another media type.
    pub fn media_type() -> Self {
        let message = format!("The body must be {MEDIA_TYPE} or application/json");
        Self::new(415, ErrorCode::BadUserInput, message)
    }

    /// A method that is not for this path.
    pub fn method() -> Self {
        Self::new(405, ErrorCode::BadUserInput, "HTTP 405 Method Not Allowed")
    }

    /// Whatever is wrong with a schema that was sent: what it refers to is a part of it.
    pub fn of_schema(error: Error) -> Self {
        match error {
            Error::LimitExceeded { limit: "schemaContent", .. } => Self::too_large(&error),
            Error::NotFound(_) | Error::BadUserInput { .. } | Error::LimitExceeded { .. } => {
                Self::invalid_schema(format!("Invalid schema: {error}"))
            }
            other => other.into(),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let code = match error.code() {
            ErrorCode::Unavailable => 50001,
            ErrorCode::DeadlineExceeded => 50002,
            ErrorCode::NotFound => return Self::schema(),
            ErrorCode::BadUserInput => 422,
            code => u32::from(code.http_status()),
        };
        let problem = Problem::from(error);
        let (ours, message) = (problem.code(), problem.detail().to_owned());
        let headers = problem.headers().to_vec();
        Self { headers, ..Self::new(code, ours, message) }
    }
}

/// What is wrong with a request before anybody reads what it says.
impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let code = u32::from(problem.status().as_u16());
        let (ours, message) = (problem.code(), problem.detail().to_owned());
        Self { headers: problem.headers().to_vec(), ..Self::new(code, ours, message) }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let document = Document { error_code: self.code, message: &self.message };
        let mut response = (self.status, Json(document)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(Outcome::of_code(self.ours));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S16
    #[test]
    fn faults_have_their_codes_and_say_nothing() {
        let internals = || std::io::Error::other("secret");
        for (error, status, code) in [
            (Error::unavailable(internals()), 500, 50001),
            (Error::DeadlineExceeded, 500, 50002),
            (Error::internal(internals()), 500, 500),
            (Error::Overloaded, 503, 503),
            (Error::Unauthenticated, 401, 401),
            (Error::Forbidden, 403, 403),
            (Error::Conflict("meanwhile".into()), 409, 409),
            (Error::NotFound("schema version"), 404, 40403),
            (Error::bad_input("x", "is wrong"), 422, 422),
        ] {
            let ours = error.code();
            let refused = Refused::from(error);
            assert_eq!((refused.status.as_u16(), refused.code), (status, code), "{ours:?}");
            assert!(!refused.message.contains("secret"), "{refused:?}");
            let response = refused.into_response();
            assert_eq!(response.extensions().get(), Some(&Outcome::of_code(ours)));
            let again = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(again, ours == ErrorCode::Overloaded);
        }
        let large = Error::LimitExceeded { limit: "schemaContent", maximum: 1 };
        assert_eq!(Refused::of_schema(large).code, 42209);
        assert_eq!(Refused::of_schema(Error::DeadlineExceeded).code, 50002);
    }
}
