//! Appending to the trail.

use serde::Serialize;
use uuid::Uuid;

use crate::{
    auth::policy::Operation,
    call::Call,
    db::{TenantTx, records},
    error::{Coded, ErrorCode, Result},
};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// The caller may not do it.
    Denied,
    /// It could not be done as it was asked.
    Rejected(ErrorCode),
    /// This service failed.
    Failure(ErrorCode),
}

impl Outcome {
    /// The outcome of a call that ended in `error`.
    #[must_use]
    pub fn of(error: &impl Coded) -> Self {
        match error.error_code() {
            ErrorCode::Forbidden | ErrorCode::Unauthenticated => Self::Denied,
            code @ (ErrorCode::Internal | ErrorCode::Unavailable) => Self::Failure(code),
            code => Self::Rejected(code),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Denied => "DENIED",
            Self::Rejected(_) => "REJECTED",
            Self::Failure(_) => "FAILURE",
        }
    }

    const fn error_code(self) -> Option<ErrorCode> {
        match self {
            Self::Success => None,
            Self::Denied => Some(ErrorCode::Forbidden),
            Self::Rejected(code) | Self::Failure(code) => Some(code),
        }
    }
}

/// One event, beside what the call itself says (actor, tenant, instant, correlation id).
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was asked for.
    pub operation: Operation,
    /// The dataset it was asked of, where it was one.
    pub dataset_id: Option<Uuid>,
    /// What else it was asked of (`run:<id>`, `event:<hash>`).
    pub resource: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

#[derive(Serialize)]
struct Row<'a> {
    event_id: Uuid,
    action: &'static str,
    dataset_id: Option<Uuid>,
    resource: Option<&'a str>,
    result: &'static str,
    error_code: Option<&'static str>,
}

// The tenant is not a parameter: it is the transaction's own.
const APPEND: &str = "
INSERT INTO audit_event
  (tenant_id, occurred_at, event_id, actor_id, action, dataset_id, resource, result, error_code,
   correlation_id)
SELECT current_tenant(), $1, event_id, $2, action, dataset_id, resource, result, error_code, $3
  FROM jsonb_to_recordset($4) AS event (event_id uuid, action text, dataset_id uuid,
                                        resource text, result text, error_code text)";

/// Appends `entries` in one statement of the transaction `tx`.
///
/// # Errors
/// Whatever the database answers; the transaction is lost then, and the change with it.
pub async fn append(tx: &TenantTx, call: &Call, entries: &[Entry]) -> Result<()> {
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| Row {
            event_id: call.new_id(),
            action: entry.operation.as_str(),
            dataset_id: entry.dataset_id,
            resource: entry.resource.as_deref(),
            result: entry.outcome.as_str(),
            error_code: entry.outcome.error_code().map(ErrorCode::as_str),
        })
        .collect();
    tx.execute_sql(
        APPEND,
        [
            call.now().into(),
            call.principal().actor().into(),
            call.correlation_id().into(),
            records(&rows)?,
        ],
    )
    .await?;
    metrics::counter!("drr_audit_events_total").increment(entries.len() as u64);
    Ok(())
}
