//! Policies read with the dates that their calendars name.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{Policy, PolicyKey},
    repository::Record,
};
use crate::{
    db::{FromRow, TenantTx, records},
    error::Result,
};

/// What a calendar names, as part of a policy `p`.
macro_rules! with_calendars {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " p.*, coalesce((SELECT array_agg(DISTINCT date) FROM freshness_calendar c, unnest(c.dates) AS date
                 WHERE c.tenant_id = p.tenant_id AND c.name = ANY (p.exclude_calendars)),
               '{}'::date[]) AS calendar_dates ",
            $after
        )
    };
}

#[derive(FromRow)]
struct Resolved {
    #[sqlx(flatten)]
    record: Record,
    calendar_dates: Vec<NaiveDate>,
}

const POLICIES: &str = with_calendars!(
    "SELECT",
    "FROM freshness_policy p
       JOIN jsonb_to_recordset($1) AS wanted (policy_id uuid, version integer)
         USING (policy_id, version)"
);

#[derive(Serialize)]
struct Wanted {
    policy_id: Uuid,
    version: i32,
}

/// Policies that were read already.
pub(super) type Known = HashMap<PolicyKey, Policy>;

/// Reads those of these versions that are not known yet.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn read(
    tx: &TenantTx,
    keys: impl Iterator<Item = PolicyKey>,
    known: &mut Known,
) -> Result<()> {
    let mut wanted: Vec<_> = keys.filter(|key| !known.contains_key(key)).collect();
    wanted.sort_unstable_by_key(|key| (key.policy_id, key.version));
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|key| Wanted { policy_id: key.policy_id, version: key.version })
        .collect();
    let found: Vec<Resolved> = tx.query_sql(POLICIES, [records(&wanted)?]).await?;
    for Resolved { record, calendar_dates } in found {
        let key = PolicyKey { policy_id: record.policy_id, version: record.version };
        known.insert(key, Policy::stored(&record, &calendar_dates)?);
    }
    Ok(())
}

#[derive(FromRow)]
struct AppliedTo {
    datasets: Vec<Uuid>,
    #[sqlx(flatten)]
    resolved: Resolved,
}

const APPLIED: &str = with_calendars!(
    "SELECT applied.datasets,",
    "FROM (SELECT policy_id, policy_version AS version, array_agg(dataset_id) AS datasets
             FROM dataset_refresh_state WHERE dataset_id = ANY ($1) AND policy_id IS NOT NULL
            GROUP BY policy_id, policy_version) AS applied
       JOIN freshness_policy p USING (policy_id, version)"
);

/// The policies that apply to these datasets, by dataset.
#[derive(Debug)]
pub struct AppliedPolicies {
    policies: Vec<Policy>,
    by_dataset: HashMap<Uuid, usize>,
}

impl AppliedPolicies {
    /// Those that the states of these datasets name, calendars resolved: one statement.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(tx: &TenantTx, datasets: &[Uuid]) -> Result<Self> {
        let found: Vec<AppliedTo> = tx.query_sql(APPLIED, [datasets.to_vec().into()]).await?;
        let (mut policies, mut by_dataset) = (Vec::new(), HashMap::new());
        for AppliedTo { datasets, resolved: Resolved { record, calendar_dates } } in found {
            by_dataset.extend(datasets.into_iter().map(|id| (id, policies.len())));
            policies.push(Policy::stored(&record, &calendar_dates)?);
        }
        Ok(Self { policies, by_dataset })
    }

    /// The policy that applies to this one.
    #[must_use]
    pub fn of(&self, dataset: Uuid) -> Option<&Policy> {
        self.policies.get(*self.by_dataset.get(&dataset)?)
    }
}
