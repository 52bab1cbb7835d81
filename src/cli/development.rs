//! Tokens for the commands that have no identity service behind them: `demo` and `seed`.
//!
//! They sign with a development key and enter through the verifier like anybody else; there is no
//! other way to a [`Principal`].

use std::sync::Arc;

use super::Failure;
use crate::{
    auth::{
        JwksSource, KeySettings, KeySource, Principal, PseudonymKey, RevocationList, TenantId,
        TokenVerifier, VerifierSettings,
        policy::Role,
        signing::{DevelopmentKey, SigningError, TokenRequest},
    },
    clock::SharedClock,
};

/// Who signs.
pub(super) const ISSUER: &str = "https://identity.drr.invalid";
/// Whom the tokens are for.
pub(super) const AUDIENCE: &str = "drr";

/// An identity service of the program's own.
#[derive(Debug)]
pub(super) struct Development {
    key: DevelopmentKey,
    clock: SharedClock,
}

impl Development {
    pub(super) const fn new(key: DevelopmentKey, clock: SharedClock) -> Self {
        Self { key, clock }
    }

    /// Whose keys to trust.
    pub(super) fn keys(&self) -> KeySettings {
        KeySettings::new(JwksSource::Document(self.key.jwks_json()))
    }

    /// What to expect of a token.
    pub(super) fn verifier_settings() -> VerifierSettings {
        VerifierSettings::new(ISSUER, AUDIENCE)
    }

    /// A token that opens all that `role` may do in `tenant`, for as long as such a token may live.
    pub(super) fn token(&self, tenant: &TenantId, role: Role) -> Result<String, SigningError> {
        let request = TokenRequest::for_role(ISSUER, AUDIENCE, tenant.clone(), role);
        self.key.sign(&request, self.clock.as_ref())
    }

    /// A verifier of these tokens, for a program that serves nothing.
    pub(super) async fn verifier(&self) -> Result<TokenVerifier, Failure> {
        let keys = KeySource::new(&self.keys(), self.clock.clone())?;
        keys.refresh().await?;
        let revocations = Arc::new(RevocationList::new(self.clock.clone(), 1));
        // Of no effect: the subjects of these tokens are opaque, and no pseudonym is ever made.
        let pseudonyms = PseudonymKey::new(&rand::random::<[u8; 32]>())?;
        let settings = Self::verifier_settings();
        Ok(TokenVerifier::new(&settings, keys, revocations, pseudonyms, self.clock.clone())?)
    }

    /// The caller whom a token of `role` in `tenant` makes.
    pub(super) async fn principal(
        &self,
        verifier: &TokenVerifier,
        tenant: &TenantId,
        role: Role,
    ) -> Result<Arc<Principal>, Failure> {
        Ok(Arc::new(verifier.verify(&self.token(tenant, role)?).await?))
    }
}
