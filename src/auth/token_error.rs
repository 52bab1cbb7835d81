//! Why a token was refused: one reason each, for the log and the metrics.

use jsonwebtoken::errors::ErrorKind;

use crate::error::Error;

/// Why a token was refused. For the log and the metrics only: a caller learns no more than
/// [`Error::Unauthenticated`], or [`Error::Unavailable`] when it is not the token's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAXIMUM_TOKEN_BYTES`](super::verifier::MAXIMUM_TOKEN_BYTES).
    #[error("the token is too long")]
    TooLong,
    /// Not three parts in base64url without padding.
    #[error("the token is not a JWS")]
    Malformed,
    /// A header that cannot be read, or that asks for another meaning or another key.
    #[error("the token's header is not acceptable")]
    Header,
    /// Not RS256.
    #[error("the token's algorithm is not RS256")]
    Algorithm,
    /// Not an access token.
    #[error("the token's type is not that of an access token")]
    Type,
    /// No key identifier where one is needed, or one that is empty or too long.
    #[error("the token does not name its key")]
    KeyId,
    /// A key that the platform does not publish.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The platform's keys cannot be had.
    #[error("the signing keys are not available")]
    KeysUnavailable,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    Signature,
    /// A claim is missing, of the wrong type, or there twice.
    #[error("the token's claims cannot be read")]
    Claims,
    /// Another issuer's.
    #[error("the token is from another issuer")]
    Issuer,
    /// For another audience.
    #[error("the token is for another audience")]
    Audience,
    /// It lives too long, or ends before it begins.
    #[error("the token's lifetime is out of range")]
    Lifetime,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It says that it was issued in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// It does not hold yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `tenant_id` is no tenant's code.
    #[error("the token's tenant is not a tenant code")]
    Tenant,
    /// `sub` is no opaque identifier.
    #[error("the token's subject is not an opaque identifier")]
    Subject,
    /// A role that does not exist.
    #[error("the token's role is unknown")]
    Role,
    /// `schemas` names what is no schema or namespace of the token's tenant, or more than its role may have.
    #[error("the token names schemas that it cannot be for")]
    Schemas,
    /// A scope that this role or kind of token cannot have.
    #[error("the token holds a scope that it cannot have")]
    Scope,
    /// It, its subject, its tenant or its key is revoked.
    #[error("the token is revoked")]
    Revoked,
    /// It is for one use, and was used.
    #[error("the token is for one use and was used")]
    Reused,
}

impl TokenError {
    /// Counts the refusal in `drr_token_validation_failures_total{reason}`, and logs it.
    pub fn report(self) {
        let reason = self.reason();
        metrics::counter!("drr_token_validation_failures_total", "reason" => reason).increment(1);
        tracing::info!(reason, "token refused");
    }

    /// The reason in one stable word, as `drr_token_validation_failures_total{reason}` has it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::KeyId => "key_id",
            Self::UnknownKey => "unknown_key",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Lifetime => "lifetime",
            Self::Expired => "expired",
            Self::IssuedInFuture => "issued_in_future",
            Self::NotYetValid => "not_yet_valid",
            Self::Tenant => "tenant",
            Self::Subject => "subject",
            Self::Role => "role",
            Self::Schemas => "schemas",
            Self::Scope => "scope",
            Self::Revoked => "revoked",
            Self::Reused => "reused",
        }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::KeysUnavailable => Self::unavailable(error),
            _ => Self::Unauthenticated,
        }
    }
}

impl From<jsonwebtoken::errors::Error> for TokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            ErrorKind::Json(_) | ErrorKind::MissingRequiredClaim(_) => Self::Claims,
            _ => Self::Malformed,
        }
    }
}
