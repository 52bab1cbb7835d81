//! Runs and refresh states, read.

use chrono::{DateTime, Utc};
use entity::{dataset_refresh_state, dataset_run_log, run};
use sea_orm::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{db::TenantTx, error::Result};

/// A run as it is stored.
pub type Run = run::Model;
/// What a run did to one dataset.
pub type LogRow = dataset_run_log::Model;
/// A dataset's refresh state as it is stored.
pub type State = dataset_refresh_state::Model;

// Arrays, not lists of parameters: one text, and so one prepared statement, for any number.
const RUNS: &str = "SELECT * FROM run WHERE run_id = ANY ($1)";
const STATES: &str = "SELECT * FROM dataset_refresh_state WHERE dataset_id = ANY ($1)";
const LOG_OF_RUNS: &str =
    "SELECT * FROM dataset_run_log WHERE run_id = ANY ($1) ORDER BY run_id, dataset_id";

/// The runs with these ids; a missing or a foreign one is not in the answer.
///
/// # Errors
/// Whatever the database answers.
pub async fn runs(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<Run>> {
    Ok(tx.query_sql(RUNS, [ids.to_vec().into()]).await?)
}

/// The refresh states of these datasets.
///
/// # Errors
/// Whatever the database answers.
pub async fn states(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<State>> {
    Ok(tx.query_sql(STATES, [datasets.to_vec().into()]).await?)
}

/// What these runs did, dataset by dataset.
///
/// # Errors
/// Whatever the database answers.
pub async fn log_of_runs(tx: &TenantTx, runs: &[Uuid]) -> Result<Vec<LogRow>> {
    Ok(tx.query_sql(LOG_OF_RUNS, [runs.to_vec().into()]).await?)
}

const OF_VERSION: &str = "
SELECT * FROM dataset_run_log WHERE schema_version = $1
 ORDER BY effective_at DESC, run_id DESC LIMIT $2";

/// The latest rows of datasets that were bound to this version of a schema when their run was recorded.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_schema_version(tx: &TenantTx, name: &str, limit: u32) -> Result<Vec<LogRow>> {
    Ok(tx.query_sql(OF_VERSION, [name.into(), i64::from(limit).into()]).await?)
}

/// Where a page of runs goes on: the last run before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunPosition {
    /// When it took place.
    pub effective_at: DateTime<Utc>,
    /// Its id.
    pub run_id: Uuid,
}

// The partitions are read one after the other, the latest first, until each dataset has enough.
const LATEST: &str = "
SELECT log.* FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
  SELECT * FROM dataset_run_log WHERE dataset_id = wanted.dataset_id
   ORDER BY effective_at DESC, run_id DESC LIMIT $2) AS log";

const LATEST_AFTER: &str = "
SELECT log.* FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
  SELECT * FROM dataset_run_log WHERE dataset_id = wanted.dataset_id
     AND effective_at <= $3 AND (effective_at, run_id) < ($3, $4)
   ORDER BY effective_at DESC, run_id DESC LIMIT $2) AS log";

/// The statements that read the log for boards, by what they read.
pub const STATEMENTS: [(&str, &str); 2] = [("latest", LATEST), ("latest after", LATEST_AFTER)];

/// The latest `limit` runs of each of these datasets, after `after`, latest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn latest_runs(
    tx: &TenantTx,
    datasets: &[Uuid],
    after: Option<RunPosition>,
    limit: u32,
) -> Result<Vec<LogRow>> {
    let mut values: Vec<Value> = vec![datasets.to_vec().into(), i64::from(limit).into()];
    let Some(after) = after else { return Ok(tx.query_sql(LATEST, values).await?) };
    values.extend([after.effective_at.into(), after.run_id.into()]);
    Ok(tx.query_sql(LATEST_AFTER, values).await?)
}
