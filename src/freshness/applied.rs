//! Policies read with the dates that their calendars name.

use std::{collections::HashMap, sync::Arc};

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use super::{
    loader::PolicyVersion,
    model::{Policy, PolicyKey},
    repository::Record,
};
use crate::{
    call::Call,
    db::{FromRow, TenantTx, records},
    error::Result,
};

#[derive(FromRow)]
struct Resolved {
    #[sqlx(flatten)]
    record: Record,
    calendar_dates: Vec<NaiveDate>,
}

const POLICIES: &str = "
SELECT p.*, coalesce((SELECT array_agg(DISTINCT date) FROM freshness_calendar c, unnest(c.dates) AS date
                       WHERE c.tenant_id = p.tenant_id AND c.name = ANY (p.exclude_calendars)),
         '{}'::date[]) AS calendar_dates
  FROM freshness_policy p
  JOIN jsonb_to_recordset($1) AS wanted (policy_id uuid, version integer)
    USING (policy_id, version)";

#[derive(Serialize)]
struct Wanted {
    policy_id: Uuid,
    version: i32,
}

/// Policies that were read already.
pub(super) type Known = HashMap<PolicyKey, Arc<PolicyVersion>>;

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
        let policy = Policy::stored(&record, &calendar_dates)?;
        known.insert(key, Arc::new((record, policy)));
    }
    Ok(())
}

/// The policies that apply to datasets.
#[derive(Debug)]
pub struct AppliedPolicies(Known);

impl AppliedPolicies {
    /// Those that locked states name, calendars resolved: one statement for what the call does not know.
    /// In a transaction that sets no policy.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(
        tx: &TenantTx,
        call: &Call,
        keys: impl Iterator<Item = PolicyKey> + Clone,
    ) -> Result<Self> {
        // The dates of a calendar change, and with them what follows from the policy.
        let lasting = |policy: &Arc<PolicyVersion>| policy.0.exclude_calendars.is_empty();
        let known = |key| Some((key, call.known(&key).filter(lasting)?));
        let mut policies: Known = keys.clone().filter_map(known).collect();
        let mut asked = Known::new();
        read(tx, keys.filter(|key| !policies.contains_key(key)), &mut asked).await?;
        for (key, policy) in asked.iter().filter(|(_, policy)| lasting(policy)) {
            call.learn(key, policy.clone());
        }
        policies.extend(asked);
        Ok(Self(policies))
    }

    /// The policy of this name.
    #[must_use]
    pub fn of(&self, key: PolicyKey) -> Option<&Policy> {
        self.0.get(&key).map(|policy| &policy.1)
    }
}
