//! Which policy applies to which dataset, written into the refresh states together with the instants
//! that follow from it: `policy_id`, `policy_version`, `policies_matching`, `alerting`,
//! `freshness_basis`, `warn_at`, `stale_at`. So neither a board nor an event costs more for the number
//! of policies.
//!
//! # Who waits for whom
//! Nobody may miss a policy that is set while a dataset comes or changes. So whoever changes what a
//! policy may depend on holds one lock per tenant until the transaction ends ([`hold`], [`hold_all`]):
//!
//! | shared | alone |
//! |---|---|
//! | a dataset is registered, its domain or tags change, its own policy is set or removed | a selector policy is set or removed, a calendar changes |
//!
//! It is taken after runs and before anything of a dataset, so that nobody who holds rows of
//! datasets waits for it. Refresh states are locked after it, in the order of their ids. Recording events of
//! datasets that are known already takes no part: it uses the policy that the locked state names.
//! While a policy for many is set, a dataset that is new waits, and so may be told to try again.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    applied::{Known, read},
    model::{Mode, Policy, PolicyKey, Selectors, Timing},
    repository,
};
use crate::{
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
};

const CHUNK: usize = 1_000;

const HOLD: &str = "SELECT pg_advisory_xact_lock_shared(
  hashtextextended('freshness policies of ' || current_tenant(), 0))";
const HOLD_ALL: &str = "SELECT pg_advisory_xact_lock(
  hashtextextended('freshness policies of ' || current_tenant(), 0))";

/// Keeps the tenant's selector policies and calendars as they are until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn hold(tx: &TenantTx) -> Result<()> {
    tx.execute_sql(HOLD, []).await?;
    Ok(())
}

/// Keeps datasets from coming and from changing their domain and tags until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn hold_all(tx: &TenantTx) -> Result<()> {
    tx.execute_sql(HOLD_ALL, []).await?;
    Ok(())
}

const LOCK: &str = "
SELECT dataset_id FROM dataset_refresh_state WHERE dataset_id = ANY ($1)
 ORDER BY dataset_id FOR UPDATE";

#[derive(FromRow)]
struct Listed {
    listed: bool,
}

const LOCK_ONE: &str = "SELECT listed FROM dataset_refresh_state WHERE dataset_id = $1 FOR UPDATE";

/// Locks the state of a dataset; answers whether it is in use, or nothing if there is none.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn lock(tx: &TenantTx, dataset_id: Uuid) -> Result<Option<bool>> {
    let found: Vec<Listed> = tx.query_sql(LOCK_ONE, [dataset_id.into()]).await?;
    Ok(found.first().map(|state| state.listed))
}

#[derive(FromRow)]
struct Facts {
    dataset_id: Uuid,
    last_success_at: Option<DateTime<Utc>>,
    domain: Option<String>,
    tags: Vec<String>,
    own_version: Option<i32>,
}

const FACTS: &str = "
SELECT s.dataset_id, s.last_success_at, r.domain, r.tags, own.version AS own_version
  FROM dataset_refresh_state s JOIN dataset_registry r USING (tenant_id, dataset_id)
  LEFT JOIN LATERAL (
    SELECT version, removed FROM freshness_policy p
     WHERE p.tenant_id = s.tenant_id AND p.policy_id = s.dataset_id
     ORDER BY version DESC LIMIT 1) AS own ON NOT own.removed
 WHERE s.dataset_id = ANY ($1)";

#[derive(Serialize)]
struct Applied {
    dataset_id: Uuid,
    policy_id: Option<Uuid>,
    policy_version: Option<i32>,
    policies_matching: usize,
    alerting: bool,
    freshness_basis: &'static str,
    warn_at: DateTime<Utc>,
    stale_at: DateTime<Utc>,
}

impl Applied {
    fn of(facts: &Facts, applying: Option<&Policy>, matching: usize) -> Self {
        let timing = Timing::of(applying, facts.last_success_at);
        let (warn_at, stale_at) = timing.stored_deadlines();
        Self {
            dataset_id: facts.dataset_id,
            policy_id: applying.map(|policy| policy.id),
            policy_version: applying.map(|policy| policy.version),
            policies_matching: matching,
            alerting: applying.is_some_and(|policy| policy.mode == Mode::Active),
            freshness_basis: timing.basis.as_str(),
            warn_at,
            stale_at,
        }
    }
}

// A state that is as it should be stays as it is.
const APPLY: &str = "
UPDATE dataset_refresh_state s SET
  policy_id = new.policy_id, policy_version = new.policy_version,
  policies_matching = new.policies_matching, alerting = new.alerting,
  freshness_basis = new.freshness_basis, warn_at = new.warn_at, stale_at = new.stale_at,
  updated_at = $2
FROM jsonb_to_recordset($1) AS new (
  dataset_id uuid, policy_id uuid, policy_version integer, policies_matching integer,
  alerting boolean, freshness_basis text, warn_at timestamptz, stale_at timestamptz)
WHERE s.dataset_id = new.dataset_id
  AND (s.policy_id, s.policy_version, s.policies_matching, s.alerting, s.freshness_basis, s.warn_at,
       s.stale_at)
    IS DISTINCT FROM
      (new.policy_id, new.policy_version, new.policies_matching, new.alerting, new.freshness_basis,
       new.warn_at, new.stale_at)";

/// Brings the states of these datasets up to the policies as this transaction sees them. Whoever
/// calls it [holds](hold) these.
///
/// # Errors
/// Whatever the database answers.
pub async fn apply(tx: &TenantTx, datasets: &[Uuid], now: DateTime<Utc>) -> Result<()> {
    let selectors = repository::selectors(tx).await?;
    apply_all(tx, &selectors, datasets, now).await
}

/// The same for datasets that this transaction registered, and that so have no policy of their own.
///
/// # Errors
/// Whatever the database answers.
pub async fn apply_to_new(tx: &TenantTx, datasets: &[Uuid], now: DateTime<Utc>) -> Result<()> {
    let selectors = repository::selectors(tx).await?;
    if selectors.is_empty() {
        return Ok(());
    }
    apply_all(tx, &selectors, datasets, now).await
}

async fn apply_all(
    tx: &TenantTx,
    selectors: &Selectors,
    datasets: &[Uuid],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut datasets = datasets.to_vec();
    datasets.sort_unstable();
    let mut known = Known::new();
    for chunk in datasets.chunks(CHUNK) {
        tx.execute_sql(LOCK, [chunk.to_vec().into()]).await?;
        let facts: Vec<Facts> = tx.query_sql(FACTS, [chunk.to_vec().into()]).await?;
        let applying = |facts: &Facts| {
            let own = facts.own_version;
            let own = own.map(|version| PolicyKey { policy_id: facts.dataset_id, version });
            selectors.applying(own, facts.domain.as_deref(), &facts.tags)
        };
        let applying: Vec<_> = facts.iter().map(applying).collect();
        read(tx, applying.iter().filter_map(|(key, _)| *key), &mut known).await?;
        let rows: Vec<_> = facts
            .iter()
            .zip(&applying)
            .map(|(facts, (key, matching))| {
                let policy = key.map(|key| known.get(&key).ok_or(key)).transpose();
                let policy = policy.map_err(|_| Error::internal("a policy has no such version"))?;
                Ok(Applied::of(facts, policy.map(|policy| &policy.1), *matching))
            })
            .collect::<Result<_>>()?;
        tx.execute_sql(APPLY, [records(&rows)?, now.into()]).await?;
    }
    metrics::counter!("drr_freshness_policies_applied_total").increment(datasets.len() as u64);
    Ok(())
}
