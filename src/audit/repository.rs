//! Appending to the trail.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{Class, Event, Outcome},
    rows::rows,
};
use crate::{auth::policy::Operation, call::Call, clock::Clock, db::TenantTx, error::Result};

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
    /// It put events of the trail into an archive.
    AuditArchive,
    /// It is about to drop a month of the trail, which is archived.
    MonthDrop,
    /// It is about to delete an archive that is kept no longer.
    ArchiveDelete,
    /// Somebody took events out, with what shows that they are in the ledger.
    TrailExport,
    /// Somebody placed a legal hold.
    HoldPlace,
    /// Somebody released one.
    HoldRelease,
    /// It ended a request that nobody decided about in time.
    TransitionExpire,
    /// Somebody has events of schemas delivered again.
    SchemaEventsReplay,
    /// It found that what runs report of a dataset is what its schema says, or differs as before.
    DriftCompare,
    /// It found that they differ.
    DriftFind,
    /// It found that they do not any more.
    DriftResolve,
}

impl Deed {
    /// As the trail writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreachOpen => "breach.open",
            Self::BreachEscalate => "breach.escalate",
            Self::BreachResolve => "breach.resolve",
            Self::EventsDeliver => "freshness_event.deliver",
            Self::AuditArchive => "audit_archive.create",
            Self::MonthDrop => "audit_month.drop",
            Self::ArchiveDelete => "audit_archive.delete",
            Self::TrailExport => "audit_trail.export",
            Self::HoldPlace => "legal_hold.place",
            Self::HoldRelease => "legal_hold.release",
            Self::TransitionExpire => "schema_transition.expire",
            Self::SchemaEventsReplay => "schema_event.replay",
            Self::DriftCompare => "schema_drift.compare",
            Self::DriftFind => "schema_drift.find",
            Self::DriftResolve => "schema_drift.resolve",
        }
    }

    /// How long it is kept.
    const fn class(self) -> Class {
        match self {
            Self::TransitionExpire
            | Self::SchemaEventsReplay
            | Self::DriftCompare
            | Self::DriftFind
            | Self::DriftResolve => Class::Schema,
            _ => Class::Api,
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

    /// What keeps the trail for as long as it is to be kept.
    #[must_use]
    pub fn keeper(clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self::new("drr:keeper", "keep", clock, now)
    }

    /// What takes events out for those who check them.
    #[must_use]
    pub fn exporter(clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self::new("drr:exporter", "export", clock, now)
    }

    /// What ends requests that nobody decides about.
    #[must_use]
    pub fn expiry(clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self::new("drr:expiry", "expire", clock, now)
    }

    /// What compares what runs report with schemas.
    #[must_use]
    pub fn drift(clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self::new("drr:drift", "drift", clock, now)
    }

    /// What has events delivered again.
    #[must_use]
    pub fn replayer(clock: &'c dyn Clock, now: DateTime<Utc>) -> Self {
        Self::new("drr:replayer", "replay", clock, now)
    }

    /// Under which name.
    #[must_use]
    pub const fn actor(&self) -> &str {
        self.actor
    }

    /// What ties together all that is done at once.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// When.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// A new identifier.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.clock.new_id()
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

/// Appends `entries` in one statement of the transaction `tx`. Once that is committed, the call's
/// record is to be told ([`Record::kept`](super::Record::kept)).
///
/// # Errors
/// Whatever the database answers; the transaction is lost then, and the change with it.
pub async fn append(tx: &TenantTx, call: &Call, entries: &[Entry]) -> Result<()> {
    insert(tx, &call.record().events(entries)).await
}

/// Appends what a task of the program's own did, in the transaction in which it did it.
///
/// # Errors
/// As [`append`].
pub async fn append_own(tx: &TenantTx, task: &OwnTask<'_>, entries: &[OwnEntry]) -> Result<()> {
    let events = entries.iter().map(|entry| Event {
        action: entry.deed.as_str().into(),
        actor_id: task.actor.into(),
        also: Vec::new(),
        call_id: None,
        calls: 1,
        class: entry.deed.class(),
        correlation_id: task.correlation_id.clone(),
        dataset_id: entry.dataset_id,
        document_hash: None,
        duration_us: None,
        error_code: None,
        event_id: task.clock.id_at(task.now),
        interface: None,
        occurred_at: task.now,
        operation_name: None,
        resource: entry.resource.clone(),
        result: Outcome::Success.as_str().into(),
        row_count: None,
        tenant_id: tx.tenant().clone(),
        token_hash: None,
    });
    let events: Vec<_> = events.collect();
    insert(tx, &events).await
}

async fn insert(tx: &TenantTx, events: &[Event]) -> Result<()> {
    tx.append_events(&rows(events)).await?;
    metrics::counter!("drr_audit_events_total").increment(events.len() as u64);
    Ok(())
}
