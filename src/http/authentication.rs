//! From a request's head to a [`Call`]: the bearer token, verified, and the tenant's database.

use std::sync::Arc;

use axum::http::{HeaderMap, header};

use crate::{
    audit::Record,
    auth::{TokenError, TokenVerifier, verifier::MAXIMUM_LEEWAY},
    cache::Facts,
    call::Call,
    clock::SharedClock,
    db::Db,
    error::{Error, Result},
    gate::Gate,
    keys::Sealed,
};

/// Makes calls out of requests that bring a valid token.
#[derive(Clone)]
pub struct Authentication {
    verifier: Arc<TokenVerifier>,
    db: Db,
    clock: SharedClock,
    gate: Option<Gate>,
    facts: Option<Facts>,
    sealed: Option<Sealed>,
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authentication").finish_non_exhaustive()
    }
}

impl Authentication {
    /// Verifies with `verifier`, and opens `db` for whom it lets in.
    #[must_use]
    pub const fn new(verifier: Arc<TokenVerifier>, db: Db, clock: SharedClock) -> Self {
        Self { verifier, db, clock, gate: None, facts: None, sealed: None }
    }

    /// The same; calls wait at `gate` when they begin.
    #[must_use]
    pub fn waiting_at(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// The same; calls know `facts`.
    #[must_use]
    pub fn knowing(self, facts: Option<Facts>) -> Self {
        Self { facts, ..self }
    }

    /// The same; calls reach what is kept outside of the database.
    #[must_use]
    pub fn reaching(self, sealed: Sealed) -> Self {
        Self { sealed: Some(sealed), ..self }
    }

    /// The call that a request is.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a valid bearer token, [`Error::Unavailable`] when the keys
    /// to verify it with cannot be had, [`Error::Overloaded`] as [`Self::spend`].
    pub async fn call(&self, headers: &HeaderMap, record: &Arc<Record>) -> Result<Call> {
        let token = bearer(headers).ok_or(Error::Unauthenticated)?;
        let call = self.verified(token, record).await?;
        self.spend(&call).await?;
        Ok(call)
    }

    /// A call by whoever has this token, without using it up if it is for one use: for what goes on
    /// under a token that was let in, and asks again whether it still holds.
    ///
    /// # Errors
    /// As for [`Self::call`].
    pub async fn verified(&self, token: &str, record: &Arc<Record>) -> Result<Call> {
        let principal = self.verifier.verify(token).await?;
        tracing::Span::current().record("tenant", principal.tenant().as_str());
        let call = Call::new(Arc::new(principal), &self.db, self.clock.clone(), record.clone())
            .knowing(self.facts.clone())
            .reaching(self.sealed.clone());
        Ok(match &self.gate {
            Some(gate) => call.waiting_at(gate.clone()),
            None => call,
        })
    }

    /// Uses up a token that is for one use, durably and before the call begins, so that no other
    /// instance takes it and no restart forgets it. Any other token passes. // D43
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for one that was used, [`Error::Overloaded`] while there is no place for
    /// the call: then it is not used up.
    pub async fn spend(&self, call: &Call) -> Result<()> {
        let principal = call.principal();
        let Some(nonce) = principal.nonce() else { return Ok(()) };
        call.begin().await?;
        // It may be accepted for so long after its end, by a clock that differs as much from ours.
        let until = principal.expires_at() + 2 * MAXIMUM_LEEWAY;
        let db = self.db.scoped_to(principal);
        if db.spend_nonce(nonce, until, self.clock.now()).await? {
            return Ok(());
        }
        TokenError::Reused.report();
        Err(TokenError::Reused.into())
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750), if there is one such header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    bearer_of(value)
}

/// The token of `Bearer <token>`.
pub fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn one_bearer_header_is_a_token() {
        assert_eq!(read(&["Bearer a.b.c"]).as_deref(), Some("a.b.c"));
        assert_eq!(read(&["bearer  a.b.c "]).as_deref(), Some("a.b.c"));
        for none in [&[][..], &["a.b.c"], &["Basic a.b.c"], &["Bearer a", "Bearer b"]] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
