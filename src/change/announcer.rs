//! The announcer: makes numbered logs of the marks that writers leave, and of what time changes.
//!
//! Each instance announces what its own callers have just committed; the one that leads looks every
//! second at all tenants, for what time has changed and for what an instance left when it ended. Two
//! at once do nothing twice: both take the tenant's lock. A pass that is cut off has announced some
//! chunks whole and the others not at all.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    model,
    store::{self, ChangeRow},
};
use crate::{
    clock::SharedClock,
    db::{
        Db, TenantDb,
        operator::{self, Due, DueTenant},
    },
    error::Result,
    lease::{self, Gathering},
};

/// Marks that one transaction takes, at most.
const MARKS: u32 = 500;
/// Datasets of which time alone has changed the status that one transaction tells of, at most.
const CHUNK: u32 = 5_000;
/// Tenants at once.
const TENANTS_AT_ONCE: usize = 4;
/// What happens meanwhile is announced by one transaction, however much it is.
const GATHERING: Gathering =
    Gathering { least: Duration::from_millis(25), most: Duration::from_millis(100), times: 3 };
/// Old entries that go with new ones: more than come, so that none stay.
const DROPPED_AT_LEAST: usize = 100;

/// What a pass told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Changes of freshness.
    pub freshness: u64,
    /// Run events.
    pub runs: u64,
    /// Tenants for which the database failed; the next pass tries again.
    pub failed_tenants: u64,
}

impl Told {
    const fn and(self, other: Self) -> Self {
        Self {
            freshness: self.freshness + other.freshness,
            runs: self.runs + other.runs,
            failed_tenants: self.failed_tenants + other.failed_tenants,
        }
    }
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Announcer {
    db: Db,
    clock: SharedClock,
    kept: TimeDelta,
}

impl Announcer {
    /// An announcer by this clock, whose logs are kept for so long.
    #[must_use]
    pub const fn new(db: Db, clock: SharedClock, kept: TimeDelta) -> Self {
        Self { db, clock, kept }
    }

    /// A pass every `every`, until `stop`.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let pass = || {
            let own = self.clone();
            async move { own.pass().await }.boxed()
        };
        lease::repeat(every, stop, "no pass over the changes", pass).await;
    }

    /// Announces what this instance's callers commit, until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        let following = async {
            loop {
                let tenants = self.db.committed().await;
                let begun = Instant::now();
                self.announce_all(&tenants).await;
                GATHERING.after(begun).await;
            }
        };
        stop.run_until_cancelled(following.boxed()).await;
    }

    /// Announces all that there is of any tenant. One tenant's failure is logged and stops no other.
    ///
    /// # Errors
    /// When it cannot be found out which tenants there are.
    pub async fn pass(&self) -> Result<Told> {
        let now = self.clock.now();
        let due = operator::tenants_with(&self.db, Due::Changes, now).await?;
        let lag = due.iter().map(|tenant| now - tenant.since()).max().unwrap_or_default();
        let lag = lag.to_std().unwrap_or_default().as_secs_f64();
        metrics::gauge!("drr_change_announcement_lag_seconds").set(lag);
        Ok(self.announce_all(&due).await)
    }

    async fn announce_all(&self, tenants: &[DueTenant]) -> Told {
        let each: Vec<_> = tenants.iter().map(|tenant| self.announce(tenant).boxed()).collect();
        stream::iter(each)
            .buffer_unordered(TENANTS_AT_ONCE)
            .fold(Told::default(), async |sum, one| sum.and(one))
            .await
    }

    async fn announce(&self, tenant: &DueTenant) -> Told {
        let db = self.db.of_due(tenant);
        let mut told = Told::default();
        loop {
            match self.chunk(&db, self.clock.now()).await {
                Ok(Some(done)) => told = told.and(done),
                Ok(None) => return told,
                Err(error) => {
                    tracing::error!(tenant = %tenant.tenant(), ?error, "changes not announced");
                    return Told { failed_tenants: 1, ..told };
                }
            }
        }
    }

    /// One transaction; nothing if there was nothing to do.
    async fn chunk(&self, db: &TenantDb, now: DateTime<Utc>) -> Result<Option<Told>> {
        let tx = db.repeat().await?;
        if !store::is_waiting(&tx, now).await? {
            return Ok(None);
        }
        let head = store::lock(&tx).await?;
        let taken = store::take(&tx, head, MARKS).await?;
        let mut changes = Vec::new();
        for judged in store::judged(&tx, taken.datasets, now, CHUNK).await? {
            let facts = judged.facts()?;
            if let Some(change) = model::judge(&facts, judged.announced()?.as_ref(), now) {
                changes.push(ChangeRow::of(judged.dataset_id, &facts, &change));
            }
        }
        if taken.marks == 0 && changes.is_empty() {
            return Ok(None);
        }
        if taken.runs > 0 || !changes.is_empty() {
            store::tell(&tx, head, taken.runs, &changes, now).await?;
            let limit = 2 * changes.len() + DROPPED_AT_LEAST;
            store::drop_old(&tx, now, self.kept, limit).await?;
        }
        tx.commit().await?;
        let told = Told {
            freshness: changes.len() as u64,
            runs: u64::try_from(taken.runs).unwrap_or_default(),
            failed_tenants: 0,
        };
        for (log, count) in [("freshness", told.freshness), ("runs", told.runs)] {
            metrics::counter!("drr_changes_announced_total", "log" => log).increment(count);
        }
        Ok(Some(told))
    }
}
