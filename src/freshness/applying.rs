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

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::FromQueryResult;
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{Mode, Policy, PolicyKey, Selector, Selectors, Timing},
    repository::{self, Record},
};
use crate::{
    db::{TenantTx, records},
    error::{Error, Result},
};

/// The most datasets that one change of a selector policy or a calendar may bring up to date.
pub const MAX_SELECTED: usize = 100_000;
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

#[derive(FromQueryResult)]
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

#[derive(FromQueryResult)]
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

#[derive(FromQueryResult)]
struct Resolved {
    #[sea_orm(nested)]
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
type Known = HashMap<PolicyKey, Policy>;

async fn read(
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
                Ok(Applied::of(facts, policy, *matching))
            })
            .collect::<Result<_>>()?;
        tx.execute_sql(APPLY, [records(&rows)?, now.into()]).await?;
    }
    metrics::counter!("drr_freshness_policies_applied_total").increment(datasets.len() as u64);
    Ok(())
}

#[derive(FromQueryResult)]
struct Selected {
    dataset_id: Uuid,
}

const OF_SELECTORS: &str = "
SELECT dataset_id FROM dataset_registry
 WHERE (($1::text IS NULL OR domain = $1) AND tags @> $2)
    OR (($3::text IS NULL OR domain = $3) AND tags @> $4)
 ORDER BY dataset_id LIMIT $5";

const OF_CALENDAR: &str = "
SELECT s.dataset_id FROM dataset_refresh_state s
  JOIN freshness_policy p ON p.policy_id = s.policy_id AND p.version = s.policy_version
 WHERE $1 = ANY (p.exclude_calendars) ORDER BY s.dataset_id LIMIT $2";

fn limited(selected: Vec<Selected>) -> Result<Vec<Uuid>> {
    if selected.len() > MAX_SELECTED {
        return Err(Error::LimitExceeded {
            limit: "selectedDatasets",
            maximum: MAX_SELECTED as u64,
        });
    }
    Ok(selected.into_iter().map(|row| row.dataset_id).collect())
}

/// One more than may be selected.
const LIMIT: i64 = MAX_SELECTED as i64 + 1;

/// The datasets of either selector.
///
/// # Errors
/// [`Error::LimitExceeded`] for more than [`MAX_SELECTED`].
pub(super) async fn selected(tx: &TenantTx, one: &Selector, other: &Selector) -> Result<Vec<Uuid>> {
    let domain = |selector: &Selector| selector.domain().map(str::to_owned).into();
    let tags = |selector: &Selector| selector.tags().to_vec().into();
    let values = [domain(one), tags(one), domain(other), tags(other), LIMIT.into()];
    limited(tx.query_sql(OF_SELECTORS, values).await?)
}

/// The datasets that are judged by a calendar.
///
/// # Errors
/// [`Error::LimitExceeded`] for more than [`MAX_SELECTED`].
pub(super) async fn judged_by_calendar(tx: &TenantTx, name: &str) -> Result<Vec<Uuid>> {
    limited(tx.query_sql(OF_CALENDAR, [name.into(), LIMIT.into()]).await?)
}

#[derive(FromQueryResult)]
struct AppliedTo {
    datasets: Vec<Uuid>,
    #[sea_orm(nested)]
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
