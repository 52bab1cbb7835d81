//! The sequencer: puts the events of the trail into the logs, in order, and signs what they come to.
//!
//! The instance that leads does it: at once for tenants whose events it has itself made durable, and once
//! a second for all. Two at once do nothing twice: both take the lock of the head.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    model::BrokenLog,
    note::Signatory,
    store::{self, Head},
};
use crate::{
    clock::SharedClock,
    db::{
        Db, TenantDb,
        operator::{self, Due, DueTenant},
    },
    error::{Error, Result},
    lease::{self, Gathering},
};

/// Leaves that one transaction appends at most.
const CHUNK: u32 = 16_384;
/// Tenants at once.
const TENANTS_AT_ONCE: usize = 2;
/// A leaf costs the less the more come at once.
const GATHERING: Gathering =
    Gathering { least: Duration::from_millis(200), most: Duration::from_millis(800), times: 4 };

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequenced {
    /// Leaves appended.
    pub leaves: u64,
    /// Tenants whose log could not be gone on with; the next pass tries again.
    pub failed_tenants: u64,
}

impl Sequenced {
    const fn and(self, other: Self) -> Self {
        Self {
            leaves: self.leaves + other.leaves,
            failed_tenants: self.failed_tenants + other.failed_tenants,
        }
    }
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Sequencer {
    db: Db,
    clock: SharedClock,
    signatory: Arc<Signatory>,
}

impl Sequencer {
    /// A sequencer that signs so.
    #[must_use]
    pub const fn new(db: Db, clock: SharedClock, signatory: Arc<Signatory>) -> Self {
        Self { db, clock, signatory }
    }

    /// A pass every `every`, and one for those who have just had events, until `stop`.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let pass = || {
            let own = self.clone();
            async move { own.pass().await }.boxed()
        };
        let passes = lease::repeat(every, stop.clone(), "no pass over the trail", pass);
        tokio::join!(passes, stop.run_until_cancelled(self.follow().boxed()));
    }

    async fn follow(&self) {
        loop {
            let tenants = self.db.appended().await;
            let begun = Instant::now();
            self.sequence_all(&tenants).await;
            GATHERING.after(begun).await;
        }
    }

    /// Appends all that there is of any tenant. One tenant's failure is logged and stops no other.
    ///
    /// # Errors
    /// When it cannot be found out which tenants there are.
    pub async fn pass(&self) -> Result<Sequenced> {
        let now = self.clock.now();
        let due = operator::tenants_with(&self.db, Due::Evidence, now).await?;
        let lag = due.iter().map(|tenant| now - tenant.since()).max().unwrap_or_default();
        let lag = lag.to_std().unwrap_or_default().as_secs_f64();
        metrics::gauge!("drr_evidence_lag_seconds").set(lag);
        Ok(self.sequence_all(&due).await)
    }

    async fn sequence_all(&self, tenants: &[DueTenant]) -> Sequenced {
        let each: Vec<_> = tenants.iter().map(|tenant| self.sequence(tenant).boxed()).collect();
        stream::iter(each)
            .buffer_unordered(TENANTS_AT_ONCE)
            .fold(Sequenced::default(), async |sum, one| sum.and(one))
            .await
    }

    async fn sequence(&self, tenant: &DueTenant) -> Sequenced {
        let db = self.db.of_due(tenant);
        let mut done = Sequenced::default();
        loop {
            match self.chunk(&db).await {
                Ok(leaves) => {
                    done.leaves += leaves;
                    // What has come since then is told of again.
                    if leaves < u64::from(CHUNK) {
                        return done;
                    }
                }
                Err(error) => {
                    tracing::error!(tenant = %tenant.tenant(), ?error, "the log is not gone on with");
                    metrics::counter!("drr_evidence_failures_total").increment(1);
                    return Sequenced { failed_tenants: 1, ..done };
                }
            }
        }
    }

    /// Appends all that there is of one tenant.
    pub(super) async fn catch_up(&self, tenant: &DueTenant) -> Result<()> {
        let db = self.db.of_due(tenant);
        while self.chunk(&db).await? > 0 {}
        Ok(())
    }

    /// One transaction; answers how many leaves it appended.
    async fn chunk(&self, db: &TenantDb) -> Result<u64> {
        let tx = db.ledger().await?;
        let mut head = store::lock(&tx).await?;
        let leaves = store::next(&tx, head.last, CHUNK).await?;
        let Some(last) = leaves.last() else { return Ok(0) };
        self.check(&tx, &head).map_err(Error::internal)?;
        let mut complete = Vec::new();
        for leaf in &leaves {
            head.edge.append(leaf, &mut complete);
        }
        head.last = last.position;
        head.root = head.edge.root().map_err(Error::internal)?;
        head.checkpoint = self.signatory.sign(tx.tenant(), head.tree()).map_err(Error::internal)?;
        store::grow(&tx, &head, &complete).await?;
        tx.commit().await?;
        let appended = leaves.len() as u64;
        metrics::counter!("drr_evidence_leaves_total").increment(appended);
        Ok(appended)
    }

    /// Whether the log is still the one that was signed last.
    fn check(&self, tx: &crate::db::TenantTx, head: &Head) -> Result<(), BrokenLog> {
        if head.edge.root()? != head.root {
            return Err(BrokenLog::Root);
        }
        if head.edge.size() == 0 && head.checkpoint.is_empty() {
            return Ok(());
        }
        if self.signatory.open(tx.tenant(), &head.checkpoint)? != head.tree() {
            return Err(BrokenLog::OtherTree);
        }
        Ok(())
    }
}
