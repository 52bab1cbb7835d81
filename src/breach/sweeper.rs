//! The sweeper: finds, at the clock's instant, whatever is due of any tenant, and does it.
//!
//! It is woken every second on the instance that leads, and may be asked for a pass at any time: two
//! passes at once, of one instance or of two, do nothing twice. A pass that is cut off anywhere has
//! done some tenants' chunks whole and the others not at all, and the next one does the rest.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    model::{BreachPayload, Change, EventType, Level, Payload},
    store::{self, BreachRow, DueRow, NewEvent},
};
use crate::{
    audit::{self, Deed, OwnEntry, OwnTask},
    clock::SharedClock,
    db::{
        Db, TenantDb, TenantTx,
        operator::{self, Due, DueTenant},
    },
    error::{Error, Result},
    lease,
};

/// Datasets that one transaction is about, at most.
const CHUNK: u32 = 5_000;
/// Tenants at once.
const TENANTS_AT_ONCE: usize = 4;

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Breaches that began.
    pub opened: u64,
    /// Breaches that went from WARN to FAIL.
    pub escalated: u64,
    /// Breaches that are over.
    pub resolved: u64,
    /// Tenants for which the database failed; the next pass tries again.
    pub failed_tenants: u64,
}

impl Swept {
    const fn and(self, other: Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            escalated: self.escalated + other.escalated,
            resolved: self.resolved + other.resolved,
            failed_tenants: self.failed_tenants + other.failed_tenants,
        }
    }

    const fn changes(&self) -> u64 {
        self.opened + self.escalated + self.resolved
    }
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Sweeper {
    db: Db,
    clock: SharedClock,
}

impl Sweeper {
    /// A sweeper by this clock.
    #[must_use]
    pub const fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// A pass every `every`, until `stop`.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let pass = || {
            let own = self.clone();
            async move { own.pass().await }.boxed()
        };
        lease::repeat(every, stop, "no pass over the breaches", pass).await;
    }

    /// Does all that is due now. One tenant's failure is logged and stops no other.
    ///
    /// # Errors
    /// When it cannot be found out which tenants there are.
    pub async fn pass(&self) -> Result<Swept> {
        let (started, now) = (Instant::now(), self.clock.now());
        let due = operator::tenants_with(&self.db, Due::Breaches, now).await?;
        let lag = due.iter().map(|tenant| now - tenant.since()).max().unwrap_or_default();
        metrics::gauge!("drr_breach_sweep_lag_seconds").set(seconds(lag));
        let each: Vec<_> = due.iter().map(|tenant| self.sweep(tenant, now).boxed()).collect();
        let swept = stream::iter(each)
            .buffer_unordered(TENANTS_AT_ONCE)
            .fold(Swept::default(), async |sum, one| sum.and(one))
            .await;
        metrics::histogram!("drr_breach_sweep_duration_seconds").record(started.elapsed());
        Ok(swept)
    }

    async fn sweep(&self, tenant: &DueTenant, now: DateTime<Utc>) -> Swept {
        let db = self.db.of_due(tenant);
        let mut swept = Swept::default();
        loop {
            match self.chunk(&db, now).await {
                Ok(done) if done.changes() == 0 => return swept,
                Ok(done) => swept = swept.and(done),
                Err(error) => {
                    tracing::error!(tenant = %tenant.tenant(), ?error, "breaches not swept");
                    return Swept { failed_tenants: 1, ..swept };
                }
            }
        }
    }

    /// One transaction. Every change makes something else of what is due, so there is an end.
    async fn chunk(&self, db: &TenantDb, now: DateTime<Utc>) -> Result<Swept> {
        let tx = db.write().await?;
        store::lock(&tx).await?;
        let mut plan = Plan { now, ..Plan::default() };
        for row in store::due(&tx, now, CHUNK).await? {
            if let Some(change) = row.observed()?.judge(now) {
                plan.add(&row, change, || self.clock.new_id())?;
            }
        }
        if plan.breaches.is_empty() {
            return Ok(Swept::default());
        }
        let task = OwnTask::sweeper(self.clock.as_ref(), now);
        plan.write(&tx, &task).await?;
        tx.commit().await?;
        plan.swept.count();
        Ok(plan.swept)
    }
}

fn seconds(time: TimeDelta) -> f64 {
    time.to_std().unwrap_or_default().as_secs_f64()
}

impl Swept {
    fn count(&self) {
        for (what, count) in
            [("opened", self.opened), ("escalated", self.escalated), ("resolved", self.resolved)]
        {
            metrics::counter!("drr_breaches_total", "change" => what).increment(count);
        }
    }
}

/// What one transaction writes.
#[derive(Default)]
struct Plan {
    now: DateTime<Utc>,
    swept: Swept,
    breaches: Vec<BreachRow>,
    events: Vec<NewEvent>,
    entries: Vec<OwnEntry>,
}

impl Plan {
    fn add(&mut self, row: &DueRow, change: Change, new_id: impl Fn() -> Uuid) -> Result<()> {
        let breach = match change {
            Change::Open { policy_id, level, opened_at, escalated_at } => BreachRow {
                breach_id: new_id(),
                dataset_id: row.dataset_id,
                is_new: true,
                policy_id,
                policy_version: row.policy_version.unwrap_or_default(),
                level: level.as_str(),
                opened_at,
                escalated_at,
                resolved_at: None,
                resolution: None,
                resolved_by_run: None,
                last_success_at: row.last_success_at,
            },
            Change::Escalate { escalated_at } => BreachRow {
                level: Level::Fail.as_str(),
                escalated_at: Some(escalated_at),
                ..known(row)?
            },
            Change::Resolve { resolution, resolved_at, run } => BreachRow {
                resolved_at: Some(resolved_at),
                resolution: Some(resolution.as_str()),
                resolved_by_run: run,
                ..known(row)?
            },
        };
        let (event, deed, count) = match change {
            Change::Open { .. } => (EventType::Opened, Deed::BreachOpen, &mut self.swept.opened),
            Change::Escalate { .. } => {
                (EventType::Escalated, Deed::BreachEscalate, &mut self.swept.escalated)
            }
            Change::Resolve { .. } => {
                (EventType::Resolved, Deed::BreachResolve, &mut self.swept.resolved)
            }
        };
        *count += 1;
        self.events.push(event_of(row, &breach, event, self.now, new_id())?);
        self.entries.push(OwnEntry {
            deed,
            dataset_id: Some(row.dataset_id),
            resource: Some(format!("breach:{}", breach.breach_id)),
        });
        self.breaches.push(breach);
        Ok(())
    }

    async fn write(&mut self, tx: &TenantTx, task: &OwnTask<'_>) -> Result<()> {
        let over = self.breaches.iter().filter(|breach| breach.resolved_at.is_some());
        let (datasets, over): (Vec<_>, Vec<_>) =
            over.map(|breach| (breach.dataset_id, breach.breach_id)).unzip();
        if !over.is_empty() {
            let withheld = store::withhold(tx, datasets, over).await?;
            let withheld: HashSet<_> = withheld.into_iter().collect();
            for event in &mut self.events {
                if event.breach_id.is_some_and(|id| withheld.contains(&id)) {
                    event.delivery = "WITHHELD";
                }
            }
        }
        store::apply(tx, &self.breaches, self.now).await?;
        store::tell(tx, &self.events, self.now).await?;
        audit::append_own(tx, task, &self.entries).await
    }
}

/// The open breach of a dataset, as it is.
fn known(row: &DueRow) -> Result<BreachRow> {
    let missing = || Error::internal("a breach is open of which there is no row");
    let level: Level =
        row.breach_level.as_deref().ok_or_else(missing)?.parse().map_err(Error::internal)?;
    Ok(BreachRow {
        breach_id: row.breach_id.ok_or_else(missing)?,
        dataset_id: row.dataset_id,
        is_new: false,
        policy_id: row.breach_policy_id.ok_or_else(missing)?,
        policy_version: row.breach_policy_version.ok_or_else(missing)?,
        level: level.as_str(),
        opened_at: row.breach_opened_at.ok_or_else(missing)?,
        escalated_at: row.breach_escalated_at,
        resolved_at: None,
        resolution: None,
        resolved_by_run: None,
        last_success_at: row.breach_last_success_at,
    })
}

fn event_of(
    row: &DueRow,
    breach: &BreachRow,
    kind: EventType,
    now: DateTime<Utc>,
    event_id: Uuid,
) -> Result<NewEvent> {
    let payload = Payload {
        dataset_id: row.dataset_id,
        namespace: row.namespace.clone(),
        name: row.name.clone(),
        domain: row.domain.clone(),
        breach: Some(BreachPayload {
            id: breach.breach_id,
            policy_id: breach.policy_id,
            policy_version: breach.policy_version,
            level: breach.level,
            opened_at: breach.opened_at,
            escalated_at: breach.escalated_at,
            resolved_at: breach.resolved_at,
            resolution: breach.resolution,
            resolved_by_run_id: breach.resolved_by_run,
            last_success_at: breach.last_success_at,
        }),
        ..Payload::default()
    };
    let muted_until = row.muted_until.filter(|until| *until > now);
    Ok(NewEvent {
        event_id,
        event_type: kind.as_str(),
        dataset_id: row.dataset_id,
        breach_id: Some(breach.breach_id),
        level: Some(breach.level),
        muted: muted_until.is_some(),
        payload: json(&payload)?,
        delivery: "PENDING",
        deliverable_at: muted_until.unwrap_or(now),
    })
}

/// A payload as it is stored.
pub(super) fn json(payload: &Payload) -> Result<Value> {
    serde_json::to_value(payload).map_err(Error::internal)
}
