//! Drift: what runs report of a dataset is not what the schema says that it is bound to.
//!
//! Nothing is compared while events come in. A pass of the program's own finds datasets of which something else is
//! bound or was last reported than was last compared, and compares that. What it came to is kept, one row for each
//! dataset, so that nothing is compared twice; of a difference there is an event when it is found, when it
//! changes and when it is over. Two passes at once do nothing twice.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    command::tell,
    content::{self, Stored},
    drift_store::{self, Due, Pair},
    events::EventType,
    model::observed::{self, Drifted},
    repository::{self, VersionKey, name_of},
    verdicts::{Subject, parsed},
};
use crate::{
    audit::{Deed, OwnEntry, OwnTask, append_own},
    clock::SharedClock,
    db::{Db, TenantDb, TenantTx, operator},
    error::{Error, Result},
    keys::Sealed,
};

/// Datasets that are looked for at once.
const CHUNK: u32 = 200;
/// The most differences that an event tells; the graph has all.
const MAX_TOLD: usize = 50;

/// One difference, as it is kept and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of which field.
    pub path: String,
    /// How.
    pub kind: String,
    /// What the run reports.
    pub reported: Option<String>,
    /// What the schema has.
    pub registered: Option<String>,
    /// The same in a sentence.
    pub message: String,
}

impl From<Drifted> for Difference {
    fn from(drifted: Drifted) -> Self {
        Self {
            path: drifted.path,
            kind: drifted.kind.as_str().to_owned(),
            reported: drifted.reported,
            registered: drifted.registered,
            message: drifted.message,
        }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Datasets that were compared, or are bound to nothing any more.
    pub datasets: u64,
    /// Of these, those that began to differ, or differ otherwise.
    pub found: u64,
    /// Of these, those that do not differ any more.
    pub resolved: u64,
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct DriftFinder {
    db: Db,
    clock: SharedClock,
    sealed: Sealed,
}

/// What came of one dataset.
enum Came {
    Nothing,
    Alike,
    Found,
    Resolved,
}

impl DriftFinder {
    /// One by this clock, with the contents that are kept there.
    #[must_use]
    pub const fn new(db: Db, clock: SharedClock, sealed: Sealed) -> Self {
        Self { db, clock, sealed }
    }

    /// Compares whatever is to be compared. One tenant's failure is logged and stops no other.
    ///
    /// # Errors
    /// When it cannot be found out which tenants there are.
    pub async fn pass(&self) -> Result<Compared> {
        let mut sum = Compared::default();
        let due = operator::Due::SchemaDrift;
        for tenant in operator::tenants_with(&self.db, due, self.clock.now()).await? {
            let db = self.db.of_due(&tenant);
            loop {
                let before = sum.datasets;
                if let Err(error) = self.chunk(&db, &mut sum).await {
                    tracing::error!(tenant = %tenant.tenant(), ?error, "schemas not compared");
                    break;
                }
                if sum.datasets == before {
                    break;
                }
            }
        }
        for (change, count) in [("found", sum.found), ("resolved", sum.resolved)] {
            metrics::counter!("drr_schema_drift_total", "change" => change).increment(count);
        }
        Ok(sum)
    }

    async fn chunk(&self, db: &TenantDb, sum: &mut Compared) -> Result<()> {
        let tx = db.repeat().await?;
        let due = drift_store::due(&tx, CHUNK).await?;
        drop(tx);
        for one in due {
            let dataset_id = one.dataset_id;
            match Box::pin(self.one(db, one)).await {
                Ok(Came::Nothing) => continue,
                Ok(Came::Alike) => {}
                Ok(Came::Found) => sum.found += 1,
                Ok(Came::Resolved) => sum.resolved += 1,
                Err(error) => {
                    // The others are not to wait for it.
                    tracing::error!(%dataset_id, ?error, "a dataset is not compared");
                    continue;
                }
            }
            sum.datasets += 1;
        }
        Ok(())
    }

    async fn one(&self, db: &TenantDb, due: Due) -> Result<Came> {
        let dataset_id = due.dataset_id;
        let Some(pair) = due.pair() else { return self.end(db, dataset_id).await };
        let Some(differences) = self.differences(db, dataset_id, &pair).await? else {
            return Ok(Came::Nothing);
        };
        let task = OwnTask::drift(self.clock.as_ref(), self.clock.now());
        let tx = db.write().await?;
        let Some(dataset) = drift_store::lock(&tx, dataset_id).await? else {
            return Ok(Came::Nothing);
        };
        let before = drift_store::of(&tx, &[dataset_id]).await?.pop();
        // Somebody else may have been quicker.
        if before.as_ref().is_some_and(|before| pair.is_in(before)) {
            return Ok(Came::Nothing);
        }
        let stored = serde_json::to_value(&differences).map_err(Error::internal)?;
        let open = before.filter(|before| before.found_at.is_some());
        let changed = open.as_ref().is_none_or(|open| open.differences != stored);
        let came = match (&open, differences.is_empty()) {
            (None, true) => Came::Alike,
            (Some(_), true) => Came::Resolved,
            (_, false) if changed => Came::Found,
            (_, false) => Came::Alike,
        };
        let found_at = (!differences.is_empty())
            .then(|| open.as_ref().and_then(|open| open.found_at).unwrap_or_else(|| task.now()));
        drift_store::keep(&tx, dataset_id, &pair, (found_at, stored), task.now()).await?;
        let more = json!({
            "datasetId": dataset_id, "namespace": dataset.namespace, "name": dataset.name,
            "observedAt": pair.observed_at, "changed": open.is_some(),
            "differenceCount": differences.len(),
            "differences": differences.iter().take(MAX_TOLD).collect::<Vec<_>>(),
        });
        finish(&tx, &task, (dataset_id, pair.key), &came, more).await?;
        tx.commit().await?;
        Ok(came)
    }

    /// There is nothing to compare a dataset with any more.
    async fn end(&self, db: &TenantDb, dataset_id: Uuid) -> Result<Came> {
        let task = OwnTask::drift(self.clock.as_ref(), self.clock.now());
        let tx = db.write().await?;
        let dataset = drift_store::lock(&tx, dataset_id).await?;
        let before = drift_store::of(&tx, &[dataset_id]).await?.pop();
        let open = before.filter(|before| before.found_at.is_some());
        let (Some(dataset), Some(open)) = (dataset, open) else { return Ok(Came::Nothing) };
        drift_store::end(&tx, dataset_id, task.now()).await?;
        let key = VersionKey { schema_id: open.schema_id, number: open.number };
        let more = json!({
            "datasetId": dataset_id, "namespace": dataset.namespace, "name": dataset.name,
            "observedAt": open.observed_at, "changed": true, "differenceCount": 0, "differences": [],
        });
        finish(&tx, &task, (dataset_id, key), &Came::Resolved, more).await?;
        tx.commit().await?;
        Ok(Came::Resolved)
    }

    /// What differs; nothing if what was to be compared is gone.
    async fn differences(
        &self,
        db: &TenantDb,
        dataset_id: Uuid,
        pair: &Pair,
    ) -> Result<Option<Vec<Difference>>> {
        let tx = db.read().await?;
        let tenant = tx.tenant().clone();
        let fields = drift_store::reported(&tx, dataset_id, &pair.reported_hash).await?;
        let record = repository::by_ids(&tx, &[pair.key.schema_id]).await?.pop();
        let version = repository::versions_at(&tx, &[pair.key]).await?.pop();
        drop(tx);
        let (Some(fields), Some(record), Some(version)) = (fields, record, version) else {
            return Ok(None);
        };
        if version.content_hash != pair.version_hash {
            return Ok(None);
        }
        let subject = Subject::of(&tenant, &record)?;
        let stored = Stored { db, sealed: &self.sealed, tenant: &tenant };
        let whole = content::whole(&stored, &subject.name, &version).await?;
        let compare = move || {
            let schema = parsed(subject.format, &whole)?;
            Ok(observed::drift(&fields, &schema).into_iter().map(Difference::from).collect())
        };
        tokio::task::spawn_blocking(compare).await.map_err(Error::internal)?.map(Some)
    }
}

/// Says what came of a dataset.
async fn finish(
    tx: &TenantTx,
    task: &OwnTask<'_>,
    (dataset_id, key): (Uuid, VersionKey),
    came: &Came,
    mut data: Value,
) -> Result<()> {
    let record = repository::by_ids(tx, &[key.schema_id]).await?.pop();
    let name = name_of(tx.tenant(), &record.ok_or(Error::NotFound("schema"))?)?;
    let (event_type, deed) = match came {
        Came::Nothing => return Ok(()),
        Came::Alike => (None, Deed::DriftCompare),
        Came::Found => (Some(EventType::DriftFound), Deed::DriftFind),
        Came::Resolved => (Some(EventType::DriftResolved), Deed::DriftResolve),
    };
    if let (Some(event_type), Some(data_members)) = (event_type, data.as_object_mut()) {
        data_members.insert("schema".to_owned(), name.to_string().into());
        tell(tx, task, event_type, (key.schema_id, Some(key.number)), data).await?;
    }
    let resource = Some(format!("schema:{name}@{}", key.number));
    append_own(tx, task, &[OwnEntry { deed, dataset_id: Some(dataset_id), resource }]).await
}
