//! Freshness policies: batched within a request, and for the other features within a transaction of
//! theirs.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

pub use super::{
    applied::AppliedPolicies,
    applying::{apply, apply_to_new, hold},
    repository::next_change,
};
use super::{
    model::{Policy, PolicyKey},
    repository::{self, Record},
};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// Versions of policies, as they are stored and as it is judged by them: many datasets have the same.
#[derive(Debug)]
pub struct PolicyAt;

/// The loader of versions of policies.
pub type Policies = Batched<PolicyAt>;

impl BatchRead for PolicyAt {
    type Key = PolicyKey;
    type Value = Arc<(Record, Policy)>;

    async fn read(
        tx: &TenantTx,
        keys: &[PolicyKey],
    ) -> Result<HashMap<PolicyKey, Arc<(Record, Policy)>>> {
        let stored = |record: Record| {
            let key = PolicyKey { policy_id: record.policy_id, version: record.version };
            let policy = Policy::stored(&record, &[])?;
            Ok((key, Arc::new((record, policy))))
        };
        repository::at(tx, keys).await?.into_iter().map(stored).collect()
    }
}

/// A page of the versions of a dataset's own policy: what it is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionPage {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Before which version the page begins.
    pub before: Option<i32>,
    /// Versions at most.
    pub limit: u32,
}

/// Pages of the versions of datasets' own policies, latest first.
#[derive(Debug)]
pub struct VersionsOf;

/// The loader of pages of the versions of datasets' own policies.
pub type PolicyVersions = Batched<VersionsOf>;

impl BatchRead for VersionsOf {
    type Key = VersionPage;
    type Value = Vec<Record>;

    /// One statement per distinct `(before, limit)`: one in all for a board.
    async fn read(
        tx: &TenantTx,
        keys: &[VersionPage],
    ) -> Result<HashMap<VersionPage, Vec<Record>>> {
        let mut groups: HashMap<_, Vec<Uuid>> = HashMap::new();
        for key in keys {
            groups.entry((key.before, key.limit)).or_default().push(key.dataset_id);
        }
        let mut pages: HashMap<_, Vec<_>> = HashMap::new();
        for ((before, limit), datasets) in groups {
            let first = before.map_or(i64::MAX, i64::from);
            for record in repository::versions(tx, &datasets, first, limit).await? {
                let page = VersionPage { dataset_id: record.policy_id, before, limit };
                pages.entry(page).or_default().push(record);
            }
        }
        Ok(pages)
    }
}
