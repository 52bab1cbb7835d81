//! Appending to the trail.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    auth::policy::Operation,
    call::Call,
    clock::Clock,
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
            code @ (ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::DeadlineExceeded) => {
                Self::Failure(code)
            }
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

/// What the program does of itself, asked by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It found a dataset beyond a limit.
    BreachOpen,
    /// It found one beyond the last limit.
    BreachEscalate,
    /// It found that a breach is over.
    BreachResolve,
    /// It delivered events, or tried to.
    EventsDeliver,
}

impl Deed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::BreachOpen => "breach.open",
            Self::BreachEscalate => "breach.escalate",
            Self::BreachResolve => "breach.resolve",
            Self::EventsDeliver => "freshness_event.deliver",
        }
    }
}

/// One of the program's own tasks, as the author of events: a part of the program, not a caller.
#[derive(Debug, Clone)]
pub struct OwnTask<'c> {
    actor: &'static str,
    now: DateTime<Utc>,
    correlation_id: String,
    clock: &'c dyn Clock,
}

impl<'c> OwnTask<'c> {
    /// What opens, escalates and resolves breaches.
    #[must_use]
    pub fn sweeper(clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self::new("drr:sweeper", "sweep", clock, now)
    }

    /// What delivers events.
    #[must_use]
    pub fn deliverer(clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self::new("drr:deliverer", "deliver", clock, now)
    }

    // No token's subject begins with `drr:` (`auth::subject`), so nobody can be taken for one.
    fn new(actor: &'static str, kind: &str, clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self { actor, now, correlation_id: format!("{kind}-{}", clock.new_id()), clock }
    }
}

/// One event of a task of the program's own.
#[derive(Debug, Clone)]
pub struct OwnEntry {
    /// What was done.
    pub deed: Deed,
    /// The dataset it was done to, where it was one.
    pub dataset_id: Option<Uuid>,
    /// What else it was done to (`breach:<id>`).
    pub resource: Option<String>,
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
    let entries = entries.iter().map(|entry| Row {
        event_id: call.new_id(),
        action: entry.operation.as_str(),
        dataset_id: entry.dataset_id,
        resource: entry.resource.as_deref(),
        result: entry.outcome.as_str(),
        error_code: entry.outcome.error_code().map(ErrorCode::as_str),
    });
    let rows: Vec<_> = entries.collect();
    insert(tx, call.now(), call.principal().actor(), call.correlation_id(), &rows).await
}

/// Appends what a task of the program's own did, in the transaction in which it did it.
///
/// # Errors
/// As [`append`].
pub async fn append_own(tx: &TenantTx, task: &OwnTask<'_>, entries: &[OwnEntry]) -> Result<()> {
    let entries = entries.iter().map(|entry| Row {
        event_id: task.clock.new_id(),
        action: entry.deed.as_str(),
        dataset_id: entry.dataset_id,
        resource: entry.resource.as_deref(),
        result: Outcome::Success.as_str(),
        error_code: None,
    });
    let rows: Vec<_> = entries.collect();
    insert(tx, task.now, task.actor, &task.correlation_id, &rows).await
}

async fn insert(
    tx: &TenantTx,
    at: DateTime<Utc>,
    actor: &str,
    correlation_id: &str,
    rows: &[Row<'_>],
) -> Result<()> {
    let values = [at.into(), actor.into(), correlation_id.into(), records(rows)?];
    tx.execute_sql(APPEND, values).await?;
    metrics::counter!("drr_audit_events_total").increment(rows.len() as u64);
    Ok(())
}
