//! Freshness policies and counts by status.

use chrono::{DateTime, Utc};
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::model::{MaxAge, Mode, Policy, Timing};
use crate::{
    call::Call,
    db::TenantTx,
    error::{Error, Result},
};

/// A policy as it is stored.
pub type Record = entity::freshness_policy::Model;

impl TryFrom<&Record> for Policy {
    type Error = Error;

    fn try_from(record: &Record) -> Result<Self> {
        Ok(Self {
            version: record.version,
            max_age: MaxAge::parse(record.warn_after_seconds, record.fail_after_seconds)?,
            mode: record.mode.parse::<Mode>().map_err(Error::internal)?,
        })
    }
}

const CURRENT: &str = "
SELECT p.* FROM dataset_refresh_state s
  JOIN freshness_policy p ON p.policy_id = s.policy_id AND p.version = s.policy_version
 WHERE s.dataset_id = ANY ($1)";

/// The current policies of these datasets.
///
/// # Errors
/// Whatever the database answers.
pub async fn current(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<Record>> {
    Ok(tx.query_sql(CURRENT, [datasets.to_vec().into()]).await?)
}

/// What a new policy is set upon.
#[derive(Debug, FromQueryResult)]
pub struct Locked {
    /// The version of the policy in force.
    pub policy_version: Option<i32>,
    /// When the dataset last succeeded.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Whether the dataset is in use.
    pub listed: bool,
}

const LOCK: &str = "
SELECT policy_version, last_success_at, listed FROM dataset_refresh_state
 WHERE dataset_id = $1 FOR UPDATE";

/// Locks what a new policy of the dataset is set upon; `None` if there is no such dataset.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &TenantTx, dataset_id: Uuid) -> Result<Option<Locked>> {
    Ok(tx.query_sql(LOCK, [dataset_id.into()]).await?.pop())
}

// One data-modifying statement: the version, and the deadlines that now follow from it.
const SET: &str = "
WITH policy AS (
  INSERT INTO freshness_policy (tenant_id, policy_id, dataset_id, version, mode, warn_after_seconds,
                                fail_after_seconds, effective_from, created_at, created_by)
  VALUES (current_tenant(), $1, $1, $2, $3, $4, $5, $6, $6, $7)
)
UPDATE dataset_refresh_state SET
  policy_id = $1, policy_version = $2, alerting = $8 <> 'NOT_APPLICABLE', freshness_basis = $8, warn_at = $9, stale_at = $10, updated_at = $6
WHERE dataset_id = $1";

/// Adds a version of the dataset's policy and puts it into force.
///
/// # Errors
/// Whatever the database answers.
pub async fn set(
    tx: &TenantTx,
    call: &Call,
    dataset_id: Uuid,
    policy: &Policy,
    timing: &Timing,
) -> Result<()> {
    let (warn_at, stale_at) = timing.stored_deadlines();
    let seconds = |limit: Option<super::model::Seconds>| limit.map(super::model::Seconds::get);
    let values: [Value; 10] = [
        dataset_id.into(),
        policy.version.into(),
        policy.mode.as_str().into(),
        seconds(policy.max_age.warn_after()).into(),
        seconds(policy.max_age.fail_after()).into(),
        call.now().into(),
        call.principal().actor().into(),
        timing.basis.as_str().into(),
        warn_at.into(),
        stale_at.into(),
    ];
    tx.execute_sql(SET, values).await?;
    Ok(())
}

/// How many active datasets are in each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Counts {
    /// Within every limit.
    pub fresh: i64,
    /// Beyond the first limit.
    pub warn: i64,
    /// Beyond the last limit.
    pub stale: i64,
    /// With a policy, and never succeeded.
    pub unknown: i64,
    /// Without a policy.
    pub not_applicable: i64,
}

// Each count is a range of an index that holds all it needs. What is beyond the last limit is
// beyond the first one too, hence the difference.
const COUNT: &str = "
SELECT fresh, past_warn - stale AS warn, stale, unknown, not_applicable FROM
  (SELECT count(*) AS fresh FROM dataset_refresh_state
    WHERE listed AND freshness_basis = 'TIMED' AND warn_at >= $1) AS a,
  (SELECT count(*) AS past_warn FROM dataset_refresh_state
    WHERE listed AND freshness_basis = 'TIMED' AND warn_at < $1) AS b,
  (SELECT count(*) AS stale FROM dataset_refresh_state
    WHERE listed AND freshness_basis = 'TIMED' AND stale_at < $1) AS c,
  (SELECT count(*) AS unknown FROM dataset_refresh_state
    WHERE listed AND freshness_basis = 'UNKNOWN') AS d,
  (SELECT count(*) AS not_applicable FROM dataset_refresh_state
    WHERE listed AND freshness_basis = 'NOT_APPLICABLE') AS e";

/// The number of active datasets in each status at `now`.
///
/// # Errors
/// Whatever the database answers.
pub async fn count(tx: &TenantTx, now: DateTime<Utc>) -> Result<Counts> {
    let mut rows: Vec<Counts> = tx.query_sql(COUNT, [now.into()]).await?;
    rows.pop().ok_or_else(|| Error::internal("counting gave no row"))
}
