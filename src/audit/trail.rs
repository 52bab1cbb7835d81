//! The frame of every change: ask the table of rights, do the work, leave an event either way.

use uuid::Uuid;

use super::repository::{Entry, Outcome, append};
use crate::{
    auth::policy::Operation,
    call::Call,
    error::{Coded, Result},
};

/// Runs `work` if the caller may do `operation`, and records a denial or a failure.
///
/// `work` opens the transaction, appends its own event of success and commits: the change and its
/// event stand or fall together. It is not begun before the caller is known to be allowed.
///
/// # Errors
/// [`Error::Forbidden`](crate::error::Error::Forbidden), or what `work` answers.
pub async fn change<T, E: Coded>(
    call: &Call,
    operation: Operation,
    dataset_id: Option<Uuid>,
    work: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, E> {
    let result = match call.authorize(operation) {
        Ok(()) => work.await,
        Err(denied) => Err(denied.into()),
    };
    if let Err(error) = &result {
        let entry = Entry { operation, dataset_id, resource: None, outcome: Outcome::of(error) };
        if let Err(lost) = record(call, entry).await {
            tracing::error!(error = ?lost, %operation, "the audit event of a failed call is lost");
            metrics::counter!("drr_audit_events_lost_total").increment(1);
        }
    }
    result
}

async fn record(call: &Call, entry: Entry) -> Result<()> {
    let tx = call.db().write().await?;
    append(&tx, call, &[entry]).await?;
    tx.commit().await
}
