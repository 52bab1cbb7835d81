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
    cache::Fact,
    call::Call,
    db::TenantTx,
    error::Result,
};

/// A version of a policy as it is stored and as it is judged by it, the dates of calendars apart, which
/// change. Many datasets have the same.
pub type PolicyVersion = (Record, Policy);

/// Nobody may update a version of a policy, or delete one.
impl Fact for PolicyKey {
    type Value = PolicyVersion;

    fn name(&self) -> (Uuid, i64) {
        (self.policy_id, self.version.into())
    }

    fn bytes((record, _): &PolicyVersion) -> usize {
        // What both have on the heap is about as large as what they have not.
        let days = record.exclude_dates.len() * size_of::<chrono::NaiveDate>();
        2 * (size_of::<PolicyVersion>() + days)
    }
}

/// Versions of policies.
#[derive(Debug)]
pub struct PolicyAt;

/// The loader of versions of policies.
pub type Policies = Batched<PolicyAt>;

impl BatchRead for PolicyAt {
    type Key = PolicyKey;
    type Value = Arc<PolicyVersion>;

    fn known(call: &Call, key: &PolicyKey) -> Option<Arc<PolicyVersion>> {
        call.known(key)
    }

    fn learn(call: &Call, key: &PolicyKey, value: &Arc<PolicyVersion>) {
        call.learn(key, value.clone());
    }

    async fn read(
        tx: &TenantTx,
        keys: &[PolicyKey],
    ) -> Result<HashMap<PolicyKey, Arc<PolicyVersion>>> {
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
