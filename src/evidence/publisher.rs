//! Checkpoints outside of the database: whoever rules that cannot rewrite history unseen.
//!
//! Each is put under a name of its own and never replaced: `evidence/tenant-<code>/checkpoints/<size>`;
//! the last one is `evidence/tenant-<code>/checkpoint` besides.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{
    model::BrokenLog,
    note::Signatory,
    store,
    verify::{Fault, Published},
};
use crate::{
    auth::TenantId,
    clock::SharedClock,
    db::{
        Db,
        operator::{self, Due, DueTenant},
    },
    error::{Error, Result},
    lease,
    objects::{Created, Objects},
};

/// Publishes the checkpoints of all logs.
#[derive(Debug, Clone)]
pub struct Publisher {
    db: Db,
    clock: SharedClock,
    signatory: Arc<Signatory>,
    objects: Objects,
}

fn folder(tenant: &TenantId) -> String {
    format!("evidence/tenant-{tenant}")
}

impl Publisher {
    /// One that puts them here.
    #[must_use]
    pub const fn new(
        db: Db,
        clock: SharedClock,
        signatory: Arc<Signatory>,
        objects: Objects,
    ) -> Self {
        Self { db, clock, signatory, objects }
    }

    /// A pass every `every`, until `stop`.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let pass = || {
            let own = self.clone();
            async move { own.pass().await }.boxed()
        };
        lease::repeat(every, stop, "no checkpoint was published", pass).await;
    }

    /// Publishes what has been signed since the last time; answers how many checkpoints. One tenant's
    /// failure is logged and stops no other.
    ///
    /// # Errors
    /// When it cannot be found out which tenants there are.
    pub async fn pass(&self) -> Result<u64> {
        let due = operator::tenants_with(&self.db, Due::Checkpoints, self.clock.now()).await?;
        let mut published = 0;
        for tenant in &due {
            match self.publish(tenant).await {
                Ok(()) => published += 1,
                Err(error) => {
                    tracing::error!(tenant = %tenant.tenant(), ?error, "a checkpoint is not published");
                    metrics::counter!("drr_evidence_failures_total").increment(1);
                }
            }
        }
        metrics::counter!("drr_evidence_checkpoints_published_total").increment(published);
        Ok(published)
    }

    async fn publish(&self, due: &DueTenant) -> Result<()> {
        let (db, tenant) = (self.db.of_due(due), due.tenant());
        let Some(head) = store::head(&db.ledger().await?).await? else { return Ok(()) };
        let tree = self.signatory.open(tenant, &head.checkpoint).map_err(Error::internal)?;
        if tree != head.tree() {
            return Err(Error::internal(BrokenLog::OtherTree));
        }
        let name = format!("{}/checkpoints/{:020}", folder(tenant), tree.size);
        if self.objects.create(&name, head.checkpoint.clone().into()).await? == Created::WasThere {
            let (there, name) = (text(&self.objects, &name).await?, name);
            if self.signatory.open(tenant, &there).map_err(Error::internal)? != tree {
                return Err(Error::internal(Fault::Forked { name }));
            }
        }
        let last = format!("{}/checkpoint", folder(tenant));
        self.objects.put(&last, head.checkpoint.clone().into()).await?;
        let tx = db.ledger().await?;
        store::published(&tx, tree.size, &head.checkpoint).await?;
        tx.commit().await
    }
}

async fn text(objects: &Objects, name: &str) -> Result<String> {
    let bytes = objects.get(name).await?.unwrap_or_default();
    // What is no text is no checkpoint either, and is found not to be one.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Every checkpoint of a tenant that was published.
///
/// # Errors
/// What the store answers.
pub async fn published(objects: &Objects, tenant: &TenantId) -> Result<Vec<Published>> {
    let mut all = Vec::new();
    for name in objects.list(&format!("{}/checkpoints", folder(tenant))).await? {
        let text = text(objects, &name).await?;
        all.push((name, text));
    }
    Ok(all)
}
