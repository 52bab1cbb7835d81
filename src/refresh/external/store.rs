//! The table of verdicts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::dataset_external_verdict;
use serde::Serialize;
use uuid::Uuid;

use super::model::Verdict;
use crate::{
    db::{TenantTx, records},
    error::Result,
};

/// A verdict as it is stored.
pub type Record = dataset_external_verdict::Model;

const OF_DATASETS: &str = "SELECT * FROM dataset_external_verdict WHERE dataset_id = ANY ($1) ORDER BY dataset_id, source";

/// The verdicts on these datasets.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_datasets(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<Record>> {
    Ok(tx.query_sql(OF_DATASETS, [datasets.to_vec().into()]).await?)
}

#[derive(Serialize)]
struct Row<'a> {
    dataset_id: Uuid,
    source: &'static str,
    status: &'static str,
    warn_after_seconds: Option<i64>,
    error_after_seconds: Option<i64>,
    filter: Option<&'a str>,
    max_loaded_at: Option<DateTime<Utc>>,
    snapshotted_at: DateTime<Utc>,
    age_seconds: Option<i64>,
    message: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(dataset_id: Uuid, verdict: &'a Verdict) -> Self {
        Self {
            dataset_id,
            source: verdict.source.as_str(),
            status: verdict.status.as_str(),
            warn_after_seconds: verdict.warn_after_seconds,
            error_after_seconds: verdict.error_after_seconds,
            filter: verdict.filter.as_deref(),
            max_loaded_at: verdict.max_loaded_at,
            snapshotted_at: verdict.snapshotted_at,
            age_seconds: verdict.age_seconds(),
            message: verdict.message.as_deref(),
        }
    }

    /// Of two verdicts of one instant, the greater text: so that their order does not matter.
    fn place(&self) -> (DateTime<Utc>, &'static str) {
        (self.snapshotted_at, self.status)
    }
}

// The order of the rows is that in which they are locked.
const KEEP: &str = r#"
INSERT INTO dataset_external_verdict AS known
  (tenant_id, dataset_id, source, status, warn_after_seconds, error_after_seconds, filter,
   max_loaded_at, snapshotted_at, age_seconds, message, imported_at)
SELECT current_tenant(), dataset_id, source, status, warn_after_seconds, error_after_seconds, filter,
       max_loaded_at, snapshotted_at, age_seconds, message, $2
  FROM jsonb_to_recordset($1) AS new (
    dataset_id uuid, source text, status text, warn_after_seconds bigint,
    error_after_seconds bigint, filter text, max_loaded_at timestamptz, snapshotted_at timestamptz,
    age_seconds bigint, message text)
 ORDER BY dataset_id, source
ON CONFLICT (tenant_id, dataset_id, source) DO UPDATE SET
  status = excluded.status, warn_after_seconds = excluded.warn_after_seconds,
  error_after_seconds = excluded.error_after_seconds, filter = excluded.filter,
  max_loaded_at = excluded.max_loaded_at, snapshotted_at = excluded.snapshotted_at,
  age_seconds = excluded.age_seconds, message = excluded.message,
  imported_at = excluded.imported_at
WHERE (excluded.snapshotted_at, excluded.status COLLATE "C")
    > (known.snapshotted_at, known.status COLLATE "C")"#;

/// Keeps verdicts, each on its dataset, where they are later than what is known.
pub(in crate::refresh) async fn keep(
    tx: &TenantTx,
    verdicts: impl Iterator<Item = (Uuid, &Verdict)>,
    now: DateTime<Utc>,
) -> Result<()> {
    // Two results may be about two names of one dataset.
    let mut rows: BTreeMap<_, Row<'_>> = BTreeMap::new();
    for (dataset_id, verdict) in verdicts {
        let row = Row::of(dataset_id, verdict);
        let known = rows.get(&(dataset_id, verdict.source));
        if known.is_none_or(|known| known.place() < row.place()) {
            rows.insert((dataset_id, verdict.source), row);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.into_values().collect();
    tx.execute_sql(KEEP, [records(&rows)?, now.into()]).await?;
    Ok(())
}
