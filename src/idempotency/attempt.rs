//! One request with a key, on its way.

use std::sync::{
    OnceLock,
    atomic::{AtomicU16, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{OUTCOMES, key::Key, store};
use crate::{
    call::Call,
    db::TenantTx,
    error::{Error, Result},
};

/// An answer as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers, as far as they belong to the body.
    pub headers: Vec<(String, String)>,
    /// The body, to the byte.
    pub body: Vec<u8>,
}

/// How an attempt ended before its changes could be made.
#[derive(Debug, Clone)]
pub enum End {
    /// The whole answer was kept; it is to be sent again.
    Answered(Answer),
    /// The key is missing, malformed, of another request, or in flight: nothing further is done.
    Refused(Error),
}

/// What there is of a change.
#[derive(Debug, Clone)]
pub enum Found {
    /// Nothing: it is to be made.
    Nothing,
    /// It was made; what came of it.
    Outcome(Value),
    /// The whole request was answered.
    Answer,
}

/// See the [module](super). It belongs to one call, and its changes come one after the other.
#[derive(Debug)]
pub struct Attempt {
    operation: &'static str,
    key: Result<Key>,
    request: OnceLock<[u8; 32]>,
    retention: TimeDelta,
    begun: AtomicU16,
    kept: AtomicU16,
    end: OnceLock<End>,
}

impl Attempt {
    /// An attempt at `operation` under `key`, or under what is wrong with the key, which its first
    /// change will tell.
    #[must_use]
    pub const fn new(operation: &'static str, key: Result<Key>, retention: TimeDelta) -> Self {
        Self {
            operation,
            key,
            request: OnceLock::new(),
            retention,
            begun: AtomicU16::new(0),
            kept: AtomicU16::new(0),
            end: OnceLock::new(),
        }
    }

    /// Says what the request is, before its first change: the same key with another one is refused.
    pub fn is_of(&self, method: &str, path: &str, body: &[u8]) {
        let hash = Sha256::new().chain_update(method).chain_update(" ").chain_update(path);
        let hash = hash.chain_update("\n").chain_update(body).finalize();
        let _first = self.request.set(hash.into());
    }

    /// The place of the next change.
    #[must_use]
    pub fn next(&self) -> Slot<'_> {
        Slot { attempt: self, number: self.begun.fetch_add(1, Ordering::AcqRel).saturating_add(1) }
    }

    /// How it ended, if it did so early.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.get()
    }

    /// Whether every change that it made is kept, and there is one.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let begun = self.begun.load(Ordering::Acquire);
        begun > 0 && begun == self.kept.load(Ordering::Acquire)
    }

    /// When what it keeps ends.
    #[must_use]
    pub fn expires_at(&self, call: &Call) -> DateTime<Utc> {
        call.now() + self.retention
    }

    /// Keeps the answer to the whole request.
    ///
    /// # Errors
    /// Whatever the database answers; the changes stand nevertheless.
    pub async fn answered(&self, call: &Call, answer: &Answer) -> Result<()> {
        let tx = call.db().write().await?;
        store::keep_answer(&tx, &self.naming(call)?, self.expires_at(call), answer).await?;
        tx.commit().await
    }

    fn naming<'a>(&'a self, call: &'a Call) -> Result<store::Naming<'a>> {
        let key = self.key.as_ref().map_err(Clone::clone)?;
        let request = self.request.get();
        let request = request.ok_or_else(|| Error::internal("an attempt at no known request"))?;
        Ok(store::Naming {
            tenant: call.principal().tenant().as_str(),
            actor: call.principal().actor(),
            operation: self.operation,
            key: key.as_str(),
            request,
            now: call.now(),
        })
    }

    fn refuse(&self, error: Error, outcome: &'static str) -> Error {
        metrics::counter!(OUTCOMES, "outcome" => outcome).increment(1);
        let _first = self.end.set(End::Refused(error.clone()));
        error
    }
}

/// The place of one change in its attempt.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    attempt: &'a Attempt,
    number: u16,
}

impl Slot<'_> {
    /// Whether the change may be begun at all.
    ///
    /// # Errors
    /// What is wrong with the key, or what the attempt was refused for already.
    pub fn check(&self) -> Result<()> {
        if let Some(End::Refused(error)) = self.attempt.end() {
            return Err(error.clone());
        }
        match &self.attempt.key {
            Ok(_) => Ok(()),
            Err(error) => Err(self.attempt.refuse(error.clone(), "malformed")),
        }
    }

    /// Takes the key's lock for the transaction `tx`, and looks for what there is of the change.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key is in flight, [`Error::IdempotencyConflict`] when it is of
    /// another request.
    pub async fn find(&self, tx: &TenantTx, call: &Call) -> Result<Found> {
        let attempt = self.attempt;
        let naming = attempt.naming(call)?;
        let found = match store::find(tx, &naming, self.number).await? {
            store::Records::InFlight => {
                let busy = Error::Conflict(
                    "a request with this idempotency key is in flight; try again".into(),
                );
                return Err(attempt.refuse(busy, "in_flight"));
            }
            store::Records::OfAnother => {
                return Err(attempt.refuse(Error::IdempotencyConflict, "conflict"));
            }
            store::Records::Answer(answer) => {
                let _first = attempt.end.set(End::Answered(answer));
                metrics::counter!(OUTCOMES, "outcome" => "answered").increment(1);
                return Ok(Found::Answer);
            }
            store::Records::Outcome(outcome) => Found::Outcome(outcome),
            store::Records::Nothing => return Ok(Found::Nothing),
        };
        attempt.kept.fetch_add(1, Ordering::AcqRel);
        metrics::counter!(OUTCOMES, "outcome" => "repeated").increment(1);
        Ok(found)
    }

    /// Keeps what came of the change, in its transaction.
    ///
    /// # Errors
    /// Whatever the database answers; the transaction is lost then, and the change with it.
    pub async fn keep(&self, tx: &TenantTx, call: &Call, outcome: &impl Serialize) -> Result<()> {
        let outcome = serde_json::to_value(outcome).map_err(Error::internal)?;
        let expires_at = self.attempt.expires_at(call);
        let naming = self.attempt.naming(call)?;
        store::keep_outcome(tx, &naming, self.number, expires_at, outcome).await
    }

    /// Says that what was kept is lasting.
    pub fn committed(&self) {
        self.attempt.kept.fetch_add(1, Ordering::AcqRel);
        metrics::counter!(OUTCOMES, "outcome" => "kept").increment(1);
    }

    /// What the audit trail calls the key.
    #[must_use]
    pub fn resource(&self) -> Option<String> {
        self.attempt.key.as_ref().ok().map(Key::resource)
    }
}

/// An outcome that was kept, read again.
///
/// # Errors
/// [`Error::Internal`] for one of another shape: an older program's.
pub fn told<T: DeserializeOwned>(outcome: Value) -> Result<T> {
    serde_json::from_value(outcome).map_err(Error::internal)
}
