//! From a token's text to a [`Principal`]: the only way there is.
//!
//! RS256 only. `jsonwebtoken` checks the signature, the issuer and the audience; what it would let
//! pass by default is checked here and in `claims`: the header, duplicates, types,
//! lifetimes, and the times against the injected clock.
//!
//! A token that was verified is remembered by the SHA-256 of its text, since a signature costs more
//! than a small query. Its times, its key and the revocation list are still consulted on every use.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, Validation};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::{
    claims::{self, Claims, MAXIMUM_MACHINE_LIFETIME, Validity},
    jwks::{KeySource, VerificationKey},
    policy::{self, ScopeSet},
    principal::{Principal, TenantId},
    reach::Reach,
    revocation::RevocationList,
    subject::PseudonymKey,
    token_error::TokenError,
};
use crate::clock::SharedClock;

/// Longest token, in bytes.
pub const MAXIMUM_TOKEN_BYTES: usize = 8 * 1024;
/// Most that the clocks of issuer and verifier may disagree (D11).
pub const MAXIMUM_LEEWAY: Duration = Duration::from_secs(30);

/// What the verifier expects of a token.
#[derive(Debug, Clone)]
pub struct VerifierSettings {
    /// The `iss` of every token, exactly.
    pub issuer: String,
    /// What `aud` must be, or contain.
    pub audience: String,
    /// How far the clocks may disagree: at most, and by default, 30 s. It moves `iat`, `nbf` and
    /// `exp` outwards, so a token may be used that much longer than its lifetime.
    pub leeway: Duration,
    /// How many verified tokens are remembered.
    pub cache_capacity: u64,
}

impl VerifierSettings {
    /// The usual settings for an issuer and an audience: 30 s of leeway, 10,000 tokens remembered.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            leeway: MAXIMUM_LEEWAY,
            cache_capacity: 10_000,
        }
    }
}

/// Why a verifier cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierSettingsError {
    /// Issuer or audience is empty.
    #[error("the issuer and the audience of tokens must be set")]
    Empty,
    /// The leeway is over [`MAXIMUM_LEEWAY`].
    #[error("the leeway for tokens is at most 30 s")]
    Leeway,
}

/// A token that was verified, and what has to be asked again when it comes back.
struct Verified {
    principal: Principal,
    validity: Validity,
    key: Arc<VerificationKey>,
}

/// Makes principals out of tokens.
pub struct TokenVerifier {
    clock: SharedClock,
    keys: Arc<KeySource>,
    revocations: Arc<RevocationList>,
    pseudonyms: PseudonymKey,
    validation: Validation,
    leeway: TimeDelta,
    verified: Cache<[u8; 32], Arc<Verified>>,
}

impl TokenVerifier {
    /// A verifier for one issuer and one audience.
    ///
    /// # Errors
    /// [`VerifierSettingsError`] when the settings would weaken it.
    pub fn new(
        settings: &VerifierSettings,
        keys: Arc<KeySource>,
        revocations: Arc<RevocationList>,
        pseudonyms: PseudonymKey,
        clock: SharedClock,
    ) -> Result<Self, VerifierSettingsError> {
        if settings.issuer.is_empty() || settings.audience.is_empty() {
            return Err(VerifierSettingsError::Empty);
        }
        let leeway = TimeDelta::from_std(settings.leeway).ok();
        let leeway = leeway.filter(|_| settings.leeway <= MAXIMUM_LEEWAY);
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        // The library reads the machine's clock; times are checked against ours, in `Validity`.
        validation.validate_exp = false;
        Ok(Self {
            clock,
            keys,
            revocations,
            pseudonyms,
            validation,
            leeway: leeway.ok_or(VerifierSettingsError::Leeway)?,
            // No token is worth remembering longer than the longest of them lives.
            verified: Cache::builder()
                .max_capacity(settings.cache_capacity)
                .time_to_live(MAXIMUM_MACHINE_LIFETIME + settings.leeway)
                .build(),
        })
    }

    /// Verifies a token. Refusals are counted in `drr_token_validation_failures_total{reason}`.
    ///
    /// # Errors
    /// [`TokenError`], which turns into the [`Error`](crate::error::Error) that the caller sees.
    pub async fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        let result = self.check(token).await;
        if let Err(error) = &result {
            error.report();
        }
        result
    }

    async fn check(&self, token: &str) -> Result<Principal, TokenError> {
        if token.len() > MAXIMUM_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let token_hash: [u8; 32] = Sha256::digest(token).into();
        let remembered = self.verified.get(&token_hash);
        let remembered = remembered.filter(|verified| self.keys.still_publishes(&verified.key));
        let (verified, new) = match remembered {
            Some(verified) => (verified, false),
            None => (Arc::new(self.verify_afresh(token, token_hash).await?), true),
        };
        verified.validity.check(self.clock.now(), self.leeway)?;
        if self.revocations.is_revoked(&verified.principal) {
            return Err(TokenError::Revoked);
        }
        let principal = verified.principal.clone();
        if new {
            self.verified.insert(token_hash, verified);
        }
        Ok(principal)
    }

    async fn verify_afresh(
        &self,
        token: &str,
        token_hash: [u8; 32],
    ) -> Result<Verified, TokenError> {
        let key_id = claims::key_id_of(token)?;
        let key = self.keys.find(key_id.as_deref()).await?;
        let claims: Claims = jsonwebtoken::decode(token, &key.decoding, &self.validation)?.claims;
        let validity = claims.validity()?;
        let kind = claims.kind();
        let tenant = TenantId::parse(&claims.tenant).map_err(|_| TokenError::Tenant)?;
        let role = claims.role.parse().map_err(|_| TokenError::Role)?;
        let scopes = ScopeSet::parse(&claims.scope);
        if !policy::may_hold(role, kind, scopes) {
            return Err(TokenError::Scope);
        }
        let reach = Reach::parse(&tenant, role, claims.schemas.as_deref())?;
        let actor = self.pseudonyms.actor(&tenant, &claims.subject);
        let principal = Principal {
            actor: actor.map_err(|_| TokenError::Subject)?,
            tenant,
            role,
            scopes,
            kind,
            reach,
            token_hash,
            nonce: claims.nonce()?,
            token_id: claims.token_id.map(Into::into),
            key_id: key.id.clone(),
            expires_at: validity.expires_at,
        };
        Ok(Verified { principal, validity, key })
    }
}

impl std::fmt::Debug for TokenVerifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TokenVerifier")
            .field("keys", &self.keys)
            .field("leeway", &self.leeway)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
