//! The log and the versions of policies, read in bounded ranges.
//!
//! Each statement is one range of an index per dataset, read backwards and cut off at a stated number
//! of rows; [`STATEMENTS`] lists them for the test that asks the database how it reads them.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::model::{Ran, Range};
use crate::{
    db::{FromRow, TenantTx},
    error::{Error, Result},
};

/// A dataset's run, as far as history is concerned.
#[derive(Debug, Clone, FromRow)]
struct RanRow {
    dataset_id: Uuid,
    run_id: Uuid,
    effective_at: DateTime<Utc>,
    state: String,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    row_count: Option<i64>,
}

/// Runs in a range, the latest first. The range is one of the partitions' key: those outside it are
/// not even opened.
const BETWEEN: &str = "
SELECT log.* FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
  SELECT dataset_id, run_id, effective_at, state, started_at, ended_at, row_count
    FROM dataset_run_log
   WHERE dataset_id = wanted.dataset_id AND effective_at >= $2 AND effective_at < $3
     AND state <> 'NEW'
   ORDER BY effective_at DESC, run_id DESC LIMIT $4) AS log";

/// The latest runs. The partitions are read one after the other, until there are enough.
const RECENT: &str = "
SELECT log.* FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
  SELECT dataset_id, run_id, effective_at, state, started_at, ended_at, row_count
    FROM dataset_run_log
   WHERE dataset_id = wanted.dataset_id AND state <> 'NEW'
   ORDER BY effective_at DESC, run_id DESC LIMIT $2) AS log";

/// The ends of completed runs in a range, and the last one up to it. A run's end says nothing of the
/// partition it is in, so each of these asks every partition, by its index. The refresh state knows the
/// last success even if the log has it no more.
const SUCCESSES: &str = "
SELECT wanted.dataset_id, success.ended_at FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
  (SELECT ended_at FROM dataset_run_log
    WHERE dataset_id = wanted.dataset_id AND state = 'COMPLETED' AND ended_at > $2 AND ended_at < $3
    ORDER BY ended_at DESC, run_id DESC LIMIT $4)
  UNION ALL
  (SELECT ended_at FROM dataset_run_log
    WHERE dataset_id = wanted.dataset_id AND state = 'COMPLETED' AND ended_at <= $2
    ORDER BY ended_at DESC, run_id DESC LIMIT 1)
  UNION ALL
  (SELECT last_success_at FROM dataset_refresh_state
    WHERE dataset_id = wanted.dataset_id AND last_success_at <= $2)
) AS success";

/// The statements that read the log, by what they read.
pub const STATEMENTS: [(&str, &str); 3] =
    [("between", BETWEEN), ("recent", RECENT), ("successes", SUCCESSES)];

/// A version of a policy, and the dates that its calendars name now.
#[derive(Debug, FromRow)]
pub struct PolicyVersion {
    /// The version.
    #[sqlx(flatten)]
    pub record: entity::freshness_policy::Model,
    /// The dates.
    pub calendar_dates: Vec<NaiveDate>,
}

/// The latest versions of datasets' own policies, and those of the policies for many.
const POLICIES: &str = "
SELECT p.*, coalesce((SELECT array_agg(DISTINCT date)
                        FROM freshness_calendar c, unnest(c.dates) AS date
                       WHERE c.tenant_id = p.tenant_id AND c.name = ANY (p.exclude_calendars)),
                     '{}'::date[]) AS calendar_dates
  FROM (
    SELECT own.* FROM unnest($1::uuid[]) AS wanted (policy_id), LATERAL (
      SELECT * FROM freshness_policy WHERE policy_id = wanted.policy_id
       ORDER BY version DESC LIMIT $2) AS own
    UNION ALL
    (SELECT * FROM freshness_policy WHERE dataset_id IS NULL
      ORDER BY policy_id, version LIMIT $3)
  ) AS p";

/// The versions of the policies that these datasets have or had: the latest `own` of each one's own,
/// and `selecting` of those for many.
///
/// # Errors
/// Whatever the database answers.
pub async fn policies(
    tx: &TenantTx,
    datasets: &[Uuid],
    own: u32,
    selecting: u32,
) -> Result<Vec<PolicyVersion>> {
    let values = [datasets.to_vec().into(), i64::from(own).into(), i64::from(selecting).into()];
    Ok(tx.query_sql(POLICIES, values).await?)
}

/// What policies for many datasets choose them by.
#[derive(Debug, FromRow)]
pub struct Chosen {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Its domain.
    pub domain: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

const CHOSEN: &str =
    "SELECT dataset_id, domain, tags FROM dataset_registry WHERE dataset_id = ANY ($1)";

/// What policies for many datasets choose these by.
///
/// # Errors
/// Whatever the database answers.
pub async fn chosen(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<Chosen>> {
    Ok(tx.query_sql(CHOSEN, [datasets.to_vec().into()]).await?)
}

fn ran(rows: Vec<RanRow>) -> Result<Vec<(Uuid, Ran)>> {
    let ran = |row: RanRow| {
        let state = row.state.parse().map_err(Error::internal)?;
        let RanRow { dataset_id, run_id, effective_at, started_at, ended_at, row_count, .. } = row;
        Ok((dataset_id, Ran { run_id, effective_at, state, started_at, ended_at, row_count }))
    };
    rows.into_iter().map(ran).collect()
}

/// The runs of each of these datasets that took place in `range`, the latest `limit` of each, latest
/// first.
///
/// # Errors
/// Whatever the database answers.
pub async fn between(
    tx: &TenantTx,
    datasets: &[Uuid],
    range: Range,
    limit: u32,
) -> Result<Vec<(Uuid, Ran)>> {
    let values =
        [datasets.to_vec().into(), range.from.into(), range.to.into(), i64::from(limit).into()];
    ran(tx.query_sql(BETWEEN, values).await?)
}

/// The latest `limit` runs of each of these datasets, latest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn recent(tx: &TenantTx, datasets: &[Uuid], limit: u32) -> Result<Vec<(Uuid, Ran)>> {
    let values = [datasets.to_vec().into(), i64::from(limit).into()];
    ran(tx.query_sql(RECENT, values).await?)
}

#[derive(FromRow)]
struct Success {
    dataset_id: Uuid,
    ended_at: DateTime<Utc>,
}

/// When each of these datasets succeeded in `range`, the latest `limit` times of each, and the last
/// time up to its beginning; in no order.
///
/// # Errors
/// Whatever the database answers.
pub async fn successes(
    tx: &TenantTx,
    datasets: &[Uuid],
    range: Range,
    limit: u32,
) -> Result<Vec<(Uuid, DateTime<Utc>)>> {
    let values =
        [datasets.to_vec().into(), range.from.into(), range.to.into(), i64::from(limit).into()];
    let rows: Vec<Success> = tx.query_sql(SUCCESSES, values).await?;
    Ok(rows.into_iter().map(|row| (row.dataset_id, row.ended_at)).collect())
}
