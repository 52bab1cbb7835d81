//! Freshness policies: batched within a request, and for the other features within a transaction of
//! theirs.

use std::collections::HashMap;

use uuid::Uuid;

use super::repository::{self, Record};
pub use super::{
    applied::AppliedPolicies,
    applying::{apply, apply_to_new, hold},
    repository::next_change,
};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// The policy that applies, by dataset id.
#[derive(Debug)]
pub struct PolicyOf;

/// The loader of the policies that apply, by dataset id.
pub type Policies = Batched<PolicyOf>;

impl BatchRead for PolicyOf {
    type Key = Uuid;
    type Value = Record;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Record>> {
        let policies = repository::current(tx, keys).await?;
        Ok(policies.into_iter().map(|applying| (applying.applied_to, applying.record)).collect())
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
