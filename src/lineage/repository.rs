//! Edges, written and read level by level.

use chrono::{DateTime, Utc};
use entity::dataset_lineage;
use uuid::Uuid;

use super::model::{Direction, Edges, Standing};
use crate::{
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
    freshness::model::Basis,
};

/// An edge as it is stored.
pub type Record = dataset_lineage::Model;

const LINK: &str = "
INSERT INTO dataset_lineage AS known (tenant_id, downstream_id, upstream_id, job_namespace, job_name,
                                      last_run_id, first_seen_at, last_seen_at)
SELECT current_tenant(), downstream_id, upstream_id, job_namespace, job_name, last_run_id,
       first_seen_at, last_seen_at
  FROM jsonb_to_recordset($1) AS edge (
    downstream_id uuid, upstream_id uuid, job_namespace text, job_name text, last_run_id uuid,
    first_seen_at timestamptz, last_seen_at timestamptz)
 ORDER BY downstream_id, upstream_id
ON CONFLICT (tenant_id, downstream_id, upstream_id) DO UPDATE SET
  first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
  (job_namespace, job_name, last_run_id, last_seen_at) = (
    SELECT seen.* FROM (VALUES
      (known.job_namespace, known.job_name, known.last_run_id, known.last_seen_at),
      (excluded.job_namespace, excluded.job_name, excluded.last_run_id, excluded.last_seen_at)
    ) AS seen (job_namespace, job_name, last_run_id, last_seen_at)
    ORDER BY last_seen_at DESC, last_run_id DESC LIMIT 1)
WHERE known.first_seen_at > excluded.first_seen_at
   OR (known.last_seen_at, known.last_run_id) < (excluded.last_seen_at, excluded.last_run_id)";

/// Adds edges, or what is new about them.
///
/// # Errors
/// Whatever the database answers.
pub async fn link(tx: &TenantTx, edges: &Edges) -> Result<()> {
    if edges.is_empty() {
        return Ok(());
    }
    tx.execute_sql(LINK, [records(&edges.all().collect::<Vec<_>>())?]).await?;
    Ok(())
}

/// The edges that lead up from a level. Each node's are one range of the primary key.
pub const UP: &str = "
SELECT edge.* FROM unnest($1::uuid[]) AS level (id), LATERAL (
  SELECT * FROM dataset_lineage WHERE downstream_id = level.id
   ORDER BY upstream_id LIMIT $2) AS edge LIMIT $3";

/// The edges that lead down from a level. Each node's are one range of an index.
pub const DOWN: &str = "
SELECT edge.* FROM unnest($1::uuid[]) AS level (id), LATERAL (
  SELECT * FROM dataset_lineage WHERE upstream_id = level.id
   ORDER BY downstream_id LIMIT $2) AS edge LIMIT $3";

/// The edges of a level of a walk: at most `per_node` of each node and `in_all` together.
///
/// # Errors
/// Whatever the database answers.
pub async fn edges(
    tx: &TenantTx,
    direction: Direction,
    level: &[Uuid],
    per_node: u32,
    in_all: u32,
) -> Result<Vec<Record>> {
    let sql = match direction {
        Direction::Upstream => UP,
        Direction::Downstream => DOWN,
    };
    let values = [level.to_vec().into(), i64::from(per_node).into(), i64::from(in_all).into()];
    Ok(tx.query_sql(sql, values).await?)
}

#[derive(FromRow)]
struct StandingRow {
    dataset_id: Uuid,
    name: String,
    freshness_basis: String,
    warn_at: DateTime<Utc>,
    stale_at: DateTime<Utc>,
    consecutive_failures: i32,
    last_failure_at: Option<DateTime<Utc>>,
    running_since: Option<DateTime<Utc>>,
}

const STANDINGS: &str = "
SELECT s.dataset_id, r.name, s.freshness_basis, s.warn_at, s.stale_at,
       s.consecutive_failures, s.last_failure_at, s.running_since
  FROM dataset_refresh_state s JOIN dataset_registry r USING (tenant_id, dataset_id)
 WHERE s.dataset_id = ANY ($1)";

/// How these datasets stand.
///
/// # Errors
/// Whatever the database answers.
pub async fn standings(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<Standing>> {
    let rows: Vec<StandingRow> = tx.query_sql(STANDINGS, [datasets.to_vec().into()]).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Standing {
                dataset_id: row.dataset_id,
                name: row.name,
                basis: row.freshness_basis.parse::<Basis>().map_err(Error::internal)?,
                warn_at: row.warn_at,
                stale_at: row.stale_at,
                consecutive_failures: row.consecutive_failures,
                last_failure_at: row.last_failure_at,
                running_since: row.running_since,
            })
        })
        .collect()
}
