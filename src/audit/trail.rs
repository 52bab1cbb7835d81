//! The frame of every change: ask the table of rights, do the work once, leave an event either way.
//!
//! A command writes what it does and nothing around it:
//!
//! ```ignore
//! trail::change(
//!     call,
//!     Operation::DatasetRetire,
//!     id.clone().ok(),
//!     // Before the transaction: reads the input. What is refused here is audited too.
//!     async { id },
//!     // In the transaction, whose audit event and commit are the frame's.
//!     async |tx, id| {
//!         repository::retire(tx, id, call.now()).await?;
//!         Ok(Done::new(Retired(id), vec![entry]))
//!     },
//! )
//! ```
//!
//! What it comes to is a value that can be kept (`Serialize`, `Deserialize`): a call with an
//! idempotency key whose change was made before is told it again. See [`crate::idempotency`].

use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    model::Outcome,
    repository::{Entry, append},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    db::TenantTx,
    error::{Coded, Error, Result},
    idempotency::{Found, Slot, told},
};

/// What a change came to, and the audit events that say so.
#[derive(Debug)]
pub struct Done<T> {
    outcome: T,
    entries: Vec<Entry>,
    undo: bool,
}

impl<T> Done<T> {
    /// What was written stands, together with its events. If one of them is a success, the outcome is
    /// kept for a retry.
    pub const fn new(outcome: T, entries: Vec<Entry>) -> Self {
        Self { outcome, entries, undo: false }
    }

    /// What was written shall not stand, and nobody is to be told of a failure: only the events are
    /// written, none of them a success.
    pub const fn undone(outcome: T, entries: Vec<Entry>) -> Self {
        Self { outcome, entries, undo: true }
    }

    /// With another outcome, made of this one.
    pub fn map<U>(self, outcome: impl FnOnce(T) -> U) -> Done<U> {
        Done { outcome: outcome(self.outcome), entries: self.entries, undo: self.undo }
    }

    fn had_effect(&self) -> bool {
        self.entries.iter().any(|entry| entry.outcome == Outcome::Success)
    }
}

/// Runs `prepare` and then `work` if the caller may do `operation`, and notes a denial or a failure.
///
/// `work` gets a transaction and what `prepare` answered. Its change, the audit events and, if the call
/// has an idempotency key, the outcome stand or fall together. A change that was made under the same
/// key before is not made again.
///
/// # Errors
/// [`Error::Forbidden`], what `prepare` or `work` answer, what is wrong with the idempotency key, or
/// what the database answers.
pub async fn change<P, T, E>(
    call: &Call,
    operation: Operation,
    dataset_id: Option<Uuid>,
    prepare: impl Future<Output = Result<P, E>> + Send,
    work: impl AsyncFnOnce(&TenantTx, P) -> Result<Done<T>, E>,
) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: Coded,
{
    let slot = call.attempt().map(|attempt| attempt.next());
    let result = match call.authorize(operation) {
        Ok(()) => run(call, operation, dataset_id, slot, prepare, work).await,
        Err(denied) => Err(Stopped::With(denied.into())),
    };
    call.changed();
    match result {
        Ok(outcome) => Ok(outcome),
        // The answer to the whole request is told again; nobody sees this error.
        Err(Stopped::Answered) => Err(Error::Conflict("answered before".into()).into()),
        Err(Stopped::With(error)) => {
            let entry =
                Entry { operation, dataset_id, resource: None, outcome: Outcome::of(&error) };
            call.record().note(entry);
            Err(error)
        }
    }
}

/// Why there is no outcome.
enum Stopped<E> {
    With(E),
    Answered,
}

impl<E: Coded> From<Error> for Stopped<E> {
    fn from(error: Error) -> Self {
        Self::With(error.into())
    }
}

async fn run<P, T, E>(
    call: &Call,
    operation: Operation,
    dataset_id: Option<Uuid>,
    slot: Option<Slot<'_>>,
    prepare: impl Future<Output = Result<P, E>> + Send,
    work: impl AsyncFnOnce(&TenantTx, P) -> Result<Done<T>, E>,
) -> Result<T, Stopped<E>>
where
    T: Serialize + DeserializeOwned,
    E: Coded,
{
    if let Some(slot) = slot {
        slot.check()?;
    }
    let input = prepare.await.map_err(Stopped::With)?;
    let mut tx = begin(call, operation).await?;
    if let Some(slot) = slot {
        match slot.find(&tx, call).await? {
            Found::Nothing => {}
            found => {
                let resource = slot.resource();
                let entry = Entry { operation, dataset_id, resource, outcome: Outcome::Success };
                return again(call, tx, found, entry).await;
            }
        }
    }
    let done = work(&tx, input).await.map_err(Stopped::With)?;
    if done.undo {
        drop(tx);
        tx = begin(call, operation).await?;
    }
    append(&tx, call, &done.entries).await?;
    let kept = slot.filter(|_| done.had_effect());
    if let Some(slot) = kept {
        slot.keep(&tx, call, &done.outcome).await?;
    }
    tx.commit().await?;
    call.record().kept();
    if let Some(slot) = kept {
        slot.committed();
    }
    Ok(done.outcome)
}

/// The transaction of a change: as whoever may do what it does, and no more.
async fn begin(call: &Call, operation: Operation) -> Result<TenantTx> {
    match operation {
        Operation::SchemaTransitionDecide
        | Operation::SchemaTransitionSettle
        | Operation::SchemaStandingSet => call.db().approve().await,
        // What is judged changes no answer.
        Operation::SchemaValidate => call.db().repeat().await,
        _ => call.db().write().await,
    }
}

/// Tells again what came of a change that was made before; that is a call like any other.
async fn again<T: DeserializeOwned, E: Coded>(
    call: &Call,
    tx: TenantTx,
    found: Found,
    entry: Entry,
) -> Result<T, Stopped<E>> {
    append(&tx, call, &[entry]).await?;
    tx.commit().await?;
    call.record().kept();
    match found {
        Found::Outcome(outcome) => Ok(told(outcome)?),
        Found::Answer | Found::Nothing => Err(Stopped::Answered),
    }
}
