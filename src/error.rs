//! Every error that a caller can see: one type, one code each, mapped in one place.
//!
//! A caller sees the code and the message; what is behind an [`Error::Internal`] or an
//! [`Error::Unavailable`] goes to the log under the correlation id and nowhere else.
//! To add one: a variant here, its code in [`Error::code`], its status in [`ErrorCode::http_status`].
//! An error can be kept and read again as a caller sees it ([`told`]).

use std::{borrow::Cow, sync::Arc};

mod told;

/// What went wrong, in one word that programs can rely on (`extensions.code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// No token, or one that does not verify.
    Unauthenticated,
    /// A good token that may not do this.
    Forbidden,
    /// No such thing, or another tenant's: the two look the same.
    NotFound,
    /// The input is malformed or contradicts itself.
    BadUserInput,
    /// The input is well formed but does not fit what is stored.
    Conflict,
    /// The same idempotency key came with another body.
    IdempotencyConflict,
    /// A limit on the size or the cost of one request.
    LimitExceeded,
    /// Too many requests.
    RateLimited,
    /// A service behind this one does not answer; try again.
    Unavailable,
    /// More is asked for at once than can be answered: nothing was done; try again later.
    Overloaded,
    /// Not done within the time that a request has; its work was stopped.
    DeadlineExceeded,
    /// A fault of this service.
    Internal,
}

impl ErrorCode {
    /// Every code, once.
    pub const ALL: [Self; 12] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::BadUserInput,
        Self::Conflict,
        Self::IdempotencyConflict,
        Self::LimitExceeded,
        Self::RateLimited,
        Self::Unavailable,
        Self::Overloaded,
        Self::DeadlineExceeded,
        Self::Internal,
    ];

    /// The code as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Conflict => "CONFLICT",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The HTTP status of an answer that is nothing but this error.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::BadUserInput => 400,
            Self::Conflict => 409,
            Self::IdempotencyConflict => 422,
            Self::LimitExceeded => 413,
            Self::RateLimited => 429,
            Self::Unavailable | Self::Overloaded => 503,
            Self::DeadlineExceeded => 504,
            Self::Internal => 500,
        }
    }
}

/// An error on its way to a caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// See [`ErrorCode::Unauthenticated`]. The message never says why a token failed; the log does.
    #[error("a valid access token is required")]
    Unauthenticated,
    /// See [`ErrorCode::Forbidden`].
    #[error("this token may not do this")]
    Forbidden,
    /// See [`ErrorCode::NotFound`]. Carries the kind of thing, never its identifier.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// See [`ErrorCode::BadUserInput`]. `field` is the path within the input.
    #[error("{field}: {message}")]
    BadUserInput {
        /// Where in the input, as a dotted path.
        field: Cow<'static, str>,
        /// What is wrong there, in a sentence for a person.
        message: Cow<'static, str>,
    },
    /// See [`ErrorCode::Conflict`].
    #[error("{0}")]
    Conflict(Cow<'static, str>),
    /// See [`ErrorCode::IdempotencyConflict`].
    #[error("this idempotency key came with another request before")]
    IdempotencyConflict,
    /// An error of an earlier call, as its caller was told it.
    #[error("{message}")]
    Told {
        /// Its code.
        code: ErrorCode,
        /// Its message.
        message: String,
    },
    /// See [`ErrorCode::LimitExceeded`]. Names the limit and its value.
    #[error("over the limit {limit} = {maximum}")]
    LimitExceeded {
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        maximum: u64,
    },
    /// See [`ErrorCode::Unavailable`].
    #[error("the service is temporarily unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// See [`ErrorCode::Overloaded`].
    #[error("too much is asked for at once: come back in a while")]
    Overloaded,
    /// See [`ErrorCode::DeadlineExceeded`].
    #[error("not done within limits.request_deadline_ms")]
    DeadlineExceeded,
    /// See [`ErrorCode::Internal`].
    #[error("an internal error occurred")]
    Internal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A [`Error::BadUserInput`] at `field`.
    pub fn bad_input(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::BadUserInput { field: field.into(), message: message.into() }
    }

    /// A fault of this service; the source is logged, not shown.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(source.into()))
    }

    /// A service behind this one does not answer; the source is logged, not shown.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(source.into()))
    }

    /// The one mapping from errors to codes.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unauthenticated => ErrorCode::Unauthenticated,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::BadUserInput { .. } => ErrorCode::BadUserInput,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::IdempotencyConflict => ErrorCode::IdempotencyConflict,
            Self::Told { code, .. } => *code,
            Self::LimitExceeded { .. } => ErrorCode::LimitExceeded,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::DeadlineExceeded => ErrorCode::DeadlineExceeded,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }
}

/// Anything that a call may end in other than well: an [`Error`], or an answer made of one.
pub trait Coded: From<Error> {
    /// What went wrong, in one word.
    fn error_code(&self) -> ErrorCode;
}

impl Coded for Error {
    fn error_code(&self) -> ErrorCode {
        self.code()
    }
}

/// The result of anything a caller asks for.
pub type Result<T, E = Error> = std::result::Result<T, E>;
