//! Runs and successes of ranges, batched within a request: one statement per distinct range, so one
//! for a board whose datasets all ask for the same.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{
        Ran, Range,
        anomaly::LOOKED_AT,
        freshness::{InForce, Version, applying, in_force},
    },
    repository::{self, Chosen, PolicyVersion},
};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
    freshness::model::Policy,
};

/// The most runs (or successes) that are read of one dataset.
pub const MAX_RUNS: u32 = 10_000;
/// The most that are read of all datasets of a batch together …
const MAX_RUNS_IN_ALL: u32 = 200_000;
/// … but for so many of each.
const LEAST_RUNS: u32 = 250;

/// The most successes of all datasets of a batch together: each may ask for the next deadline.
const MAX_SUCCESSES_IN_ALL: u32 = 50_000;

/// How many to read of each of so many datasets.
fn limit(in_all: u32, datasets: usize) -> u32 {
    let datasets = u32::try_from(datasets).unwrap_or(u32::MAX).max(1);
    (in_all / datasets).clamp(LEAST_RUNS, MAX_RUNS)
}

/// What is asked of one dataset in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InRange {
    /// The dataset.
    pub dataset_id: Uuid,
    /// The range.
    pub range: Range,
}

/// The latest of what there is in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut<T> {
    /// The latest, up to the limit.
    pub rows: Vec<T>,
    /// Whether there was more than that.
    pub truncated: bool,
}

impl<T> Default for Cut<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), truncated: false }
    }
}

fn by_range(keys: &[InRange]) -> HashMap<Range, Vec<Uuid>> {
    let mut groups: HashMap<_, Vec<_>> = HashMap::new();
    for key in keys {
        groups.entry(key.range).or_default().push(key.dataset_id);
    }
    groups
}

/// Runs of a range.
#[derive(Debug)]
pub struct RunsBetween;

/// The loader of the runs of a range, the latest first.
pub type RunRanges = Batched<RunsBetween>;

impl BatchRead for RunsBetween {
    type Key = InRange;
    type Value = Cut<Ran>;

    async fn read(tx: &TenantTx, keys: &[InRange]) -> Result<HashMap<InRange, Cut<Ran>>> {
        let mut found: HashMap<_, Cut<Ran>> = HashMap::new();
        for (range, datasets) in by_range(keys) {
            let limit = limit(MAX_RUNS_IN_ALL, datasets.len());
            for (dataset_id, run) in repository::between(tx, &datasets, range, limit + 1).await? {
                let cut = found.entry(InRange { dataset_id, range }).or_default();
                if cut.rows.len() < limit as usize {
                    cut.rows.push(run);
                } else {
                    cut.truncated = true;
                }
            }
        }
        Ok(found)
    }
}

/// Successes of a range.
#[derive(Debug)]
pub struct SuccessesBetween;

/// The loader of the successes of a range and the last one before it, in order.
pub type SuccessRanges = Batched<SuccessesBetween>;

impl BatchRead for SuccessesBetween {
    type Key = InRange;
    type Value = Cut<DateTime<Utc>>;

    async fn read(tx: &TenantTx, keys: &[InRange]) -> Result<HashMap<InRange, Cut<DateTime<Utc>>>> {
        let mut found: HashMap<_, Cut<_>> = HashMap::new();
        for (range, datasets) in by_range(keys) {
            let limit = limit(MAX_SUCCESSES_IN_ALL, datasets.len());
            for (dataset_id, at) in repository::successes(tx, &datasets, range, limit).await? {
                found.entry(InRange { dataset_id, range }).or_default().rows.push(at);
            }
            for dataset_id in datasets {
                if let Some(cut) = found.get_mut(&InRange { dataset_id, range }) {
                    cut.rows.sort_unstable();
                    let within = cut.rows.iter().filter(|at| **at > range.from).count();
                    cut.truncated = within >= limit as usize;
                }
            }
        }
        Ok(found)
    }
}

/// The latest runs of a dataset.
#[derive(Debug)]
pub struct Recent;

/// The loader of the latest runs of a dataset, latest first.
pub type RecentRuns = Batched<Recent>;

impl BatchRead for Recent {
    type Key = Uuid;
    type Value = Vec<Ran>;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Vec<Ran>>> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for (dataset_id, run) in repository::recent(tx, keys, LOOKED_AT).await? {
            found.entry(dataset_id).or_default().push(run);
        }
        Ok(found)
    }
}

/// The most versions of a dataset's own policy that history looks at, the latest.
const MAX_OWN_VERSIONS: u32 = 1_000;
/// The most versions of policies for many datasets.
const MAX_SELECTING_VERSIONS: u32 = 10_000;

/// The policies that applied to a dataset.
#[derive(Debug)]
pub struct PolicyHistory;

/// The loader of the policies that applied to a dataset, in the order in which they came into force.
pub type PolicyHistories = Batched<PolicyHistory>;

impl BatchRead for PolicyHistory {
    type Key = Uuid;
    type Value = Vec<InForce<Option<Policy>>>;

    /// Two statements: the versions, and what the policies for many choose by.
    async fn read(
        tx: &TenantTx,
        keys: &[Uuid],
    ) -> Result<HashMap<Uuid, Vec<InForce<Option<Policy>>>>> {
        let mut versions: HashMap<_, Vec<_>> = HashMap::new();
        let stored = repository::policies(tx, keys, MAX_OWN_VERSIONS, MAX_SELECTING_VERSIONS);
        for PolicyVersion { record, calendar_dates } in stored.await? {
            let version = Version { number: record.version, from: record.effective_from };
            let policy = Policy::stored(&record, &calendar_dates)?;
            let asked = (!record.removed).then_some(policy);
            versions.entry(record.policy_id).or_default().push((version, asked));
        }
        let mut own: HashMap<_, _> =
            keys.iter().filter_map(|id| Some((*id, in_force(versions.remove(id)?)))).collect();
        let selecting: Vec<_> = versions.into_values().map(in_force).collect();
        let chosen = repository::chosen(tx, keys).await?;
        let applying = |chosen: Chosen| {
            let own = own.remove(&chosen.dataset_id).unwrap_or_default();
            let id = chosen.dataset_id;
            (id, applying(&own, &selecting, chosen.domain.as_deref(), &chosen.tags))
        };
        Ok(chosen.into_iter().map(applying).collect())
    }
}
