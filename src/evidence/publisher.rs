//! Checkpoints outside of the database: whoever rules that cannot rewrite history unseen.
//!
//! Each is put under a name of its own and never replaced: `evidence/tenant-<code>/checkpoints/<size>`;
//! the last one is `evidence/tenant-<code>/checkpoint` besides. Before that the witnesses are asked to
//! cosign it; it goes out with the cosignatures that came in time, be it none.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::join_all};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    model::BrokenLog,
    note::Signatory,
    proof::Log,
    store,
    verify::{Fault, Published},
    witness::{Answer, DEADLINE, Uncosigned, Witness},
};
use crate::{
    auth::TenantId,
    clock::SharedClock,
    db::{
        Db, TenantDb,
        operator::{self, Due, DueTenant},
    },
    error::{Error, Result},
    lease,
    objects::{Created, Objects},
};

/// How long one witness may hold up a pass; after that it is not asked before the next one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes the checkpoints of all logs.
#[derive(Debug, Clone)]
pub struct Publisher {
    db: Db,
    clock: SharedClock,
    signatory: Arc<Signatory>,
    objects: Objects,
    witnesses: Arc<[Witness]>,
}

fn folder(tenant: &TenantId) -> String {
    format!("evidence/tenant-{tenant}")
}

impl Publisher {
    /// One that puts them here, cosigned by these.
    #[must_use]
    pub fn new(
        db: Db,
        clock: SharedClock,
        signatory: Arc<Signatory>,
        objects: Objects,
        witnesses: Vec<Witness>,
    ) -> Self {
        Self { db, clock, signatory, objects, witnesses: witnesses.into() }
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
        let mut patience = vec![PATIENCE; self.witnesses.len()];
        for tenant in &due {
            match self.publish(tenant, &mut patience).await {
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

    async fn publish(&self, due: &DueTenant, patience: &mut [Duration]) -> Result<()> {
        let (db, tenant) = (self.db.of_due(due), due.tenant());
        let Some(log) = Log::read(&db.ledger().await?).await? else { return Ok(()) };
        let tree = self.signatory.open(tenant, log.checkpoint()).map_err(Error::internal)?;
        if tree != log.tree() {
            return Err(Error::internal(BrokenLog::OtherTree));
        }
        let mut checkpoint = self.cosigned(&db, tenant, &log, patience).await?;
        let name = format!("{}/checkpoints/{:020}", folder(tenant), tree.size);
        if self.objects.create(&name, checkpoint.clone().into()).await? == Created::WasThere {
            checkpoint = text(&self.objects, &name).await?;
            if self.signatory.open(tenant, &checkpoint).map_err(Error::internal)? != tree {
                return Err(Error::internal(Fault::Forked { name }));
            }
        }
        let last = format!("{}/checkpoint", folder(tenant));
        self.objects.put(&last, checkpoint.clone().into()).await?;
        let tx = db.ledger().await?;
        store::published(&tx, tree.size, &checkpoint).await?;
        tx.commit().await
    }

    /// The checkpoint of a log with the cosignatures of the witnesses, who are asked all at once.
    async fn cosigned(
        &self,
        db: &TenantDb,
        tenant: &TenantId,
        log: &Log,
        patience: &mut [Duration],
    ) -> Result<String> {
        let before = log.published().map(|note| (note, self.signatory.open(tenant, note)));
        let before = before.as_ref();
        let asked = self.witnesses.iter().zip(patience).map(async |(witness, left)| {
            let old = match before {
                Some((note, Ok(tree))) if witness.has_cosigned(note) => tree.size,
                _ => 0,
            };
            if left.is_zero() {
                return (witness, Err(Uncosigned::Away));
            }
            let begun = Instant::now();
            let answer = timeout(DEADLINE.min(*left), ask(db, witness, log, old)).await;
            *left = left.saturating_sub(begun.elapsed());
            (witness, answer.unwrap_or(Err(Uncosigned::Away)))
        });
        let mut note = log.checkpoint().to_owned();
        for (witness, answer) in join_all(asked).await {
            let result = answer.as_ref().map_or_else(Uncosigned::result, |_| "cosigned");
            let labels = [("witness", witness.name().to_owned()), ("result", result.to_owned())];
            metrics::counter!("drr_evidence_cosignatures_total", &labels).increment(1);
            match answer {
                Ok(line) => note.push_str(&line),
                Err(error) => {
                    let witness = witness.name();
                    tracing::warn!(witness, %tenant, %error, "a checkpoint is not cosigned");
                }
            }
        }
        Ok(note)
    }
}

/// The cosignature of a witness that is thought to know `old` leaves; if it knows another number, it is
/// asked once more from there.
async fn ask(db: &TenantDb, witness: &Witness, log: &Log, old: u64) -> Result<String, Uncosigned> {
    let known = match ask_from(db, witness, log, old).await? {
        Answer::Cosigned(line) => return Ok(line),
        Answer::Knows(known) => known,
    };
    if known > log.tree().size {
        return Err(Uncosigned::Ahead(known));
    }
    match ask_from(db, witness, log, known).await? {
        Answer::Cosigned(line) => Ok(line),
        // Of as many leaves it knows another log.
        Answer::Knows(_) => Err(Uncosigned::Refused(409)),
    }
}

async fn ask_from(
    db: &TenantDb,
    witness: &Witness,
    log: &Log,
    old: u64,
) -> Result<Answer, Uncosigned> {
    let size = log.tree().size;
    let proof = match old {
        0 => Vec::new(),
        old => log.consistency(&db.ledger().await?, old, size).await?.hashes,
    };
    witness.ask(log.checkpoint(), old, &proof).await
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
