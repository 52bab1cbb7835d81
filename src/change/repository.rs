//! The logs of changes, read.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{FromRow, TenantTx},
    error::Result,
    live::{Bounds, Selection},
};

const FRESHNESS_BOUNDS: &str =
    "SELECT freshness AS head, freshness_dropped AS dropped FROM change_head";
const RUN_BOUNDS: &str = "SELECT runs AS head, runs_dropped AS dropped FROM change_head";

pub(super) async fn freshness_bounds(tx: &TenantTx) -> Result<Bounds> {
    Ok(tx.query_sql(FRESHNESS_BOUNDS, []).await?.pop().unwrap_or_default())
}

pub(super) async fn run_bounds(tx: &TenantTx) -> Result<Bounds> {
    Ok(tx.query_sql(RUN_BOUNDS, []).await?.pop().unwrap_or_default())
}

/// A change of freshness as it is stored.
#[derive(Debug, Clone, FromRow)]
pub struct FreshnessRow {
    /// Its number.
    pub sequence: i64,
    /// The dataset.
    pub dataset_id: Uuid,
    /// Why.
    pub cause: String,
    /// The status before.
    pub previous_status: Option<String>,
    /// The status from then on.
    pub status: String,
    /// When it was found out.
    pub changed_at: DateTime<Utc>,
    /// Whether it was asked for.
    pub wanted: bool,
}

const FRESHNESS: &str = "
SELECT c.*, (cardinality($3::uuid[]) = 0 OR c.dataset_id = ANY ($3))
       AND ($4::text IS NULL OR r.namespace = $4) AND ($5::text IS NULL OR r.domain = $5)
       AND (cardinality($6::text[]) = 0 OR c.status = ANY ($6))
       AND (NOT $7 OR c.previous_status IS DISTINCT FROM c.status) AS wanted
  FROM (SELECT * FROM freshness_change WHERE sequence > $1 ORDER BY sequence LIMIT $2) AS c
  JOIN LATERAL (
    SELECT namespace, domain FROM dataset_registry named
     WHERE named.dataset_id = c.dataset_id LIMIT 1) AS r ON true
 ORDER BY c.sequence";

/// At most `limit` changes after the one with the number `after`, in their order, wanted or not.
pub(super) async fn freshness(
    tx: &TenantTx,
    after: i64,
    limit: u32,
    selection: &Selection,
    statuses: &[&'static str],
    status_only: bool,
) -> Result<Vec<FreshnessRow>> {
    let statuses: Vec<_> = statuses.iter().map(|status| (*status).to_owned()).collect();
    let values = [
        after.into(),
        i64::from(limit).into(),
        selection.datasets.clone().into(),
        selection.namespace.clone().into(),
        selection.domain.clone().into(),
        statuses.into(),
        status_only.into(),
    ];
    Ok(tx.query_sql(FRESHNESS, values).await?)
}

/// A run event as it is stored.
#[derive(Debug, Clone, FromRow)]
pub struct RunEventRow {
    /// Its number.
    pub sequence: i64,
    /// The run.
    pub run_id: Uuid,
    /// What happened.
    pub event_type: String,
    /// When.
    pub event_time: DateTime<Utc>,
    /// When it was reported.
    pub recorded_at: DateTime<Utc>,
    /// Whether it was asked for.
    pub wanted: bool,
}

const RUN_EVENTS: &str = "
SELECT e.*, (cardinality($3::text[]) = 0 OR e.event_type = ANY ($3))
       AND (NOT $4 OR EXISTS (
         SELECT FROM dataset_run_log l JOIN dataset_registry r ON r.dataset_id = l.dataset_id
          WHERE l.run_id = e.run_id AND (cardinality($5::uuid[]) = 0 OR l.dataset_id = ANY ($5))
            AND ($6::text IS NULL OR r.namespace = $6) AND ($7::text IS NULL OR r.domain = $7)))
       AS wanted
  FROM (
    SELECT b.last_sequence - cardinality(b.run_ids) + each.position AS sequence, each.run_id,
           each.event_type, each.event_time, b.recorded_at
      FROM (SELECT * FROM run_event_batch WHERE last_sequence > $1
             ORDER BY last_sequence LIMIT 20) AS b,
           unnest(b.run_ids, b.event_types, b.event_times) WITH ORDINALITY
             AS each (run_id, event_type, event_time, position)
  ) AS e
 WHERE e.sequence > $1 ORDER BY e.sequence LIMIT $2";

/// At most `limit` run events after the one with the number `after`, in their order, wanted or not.
pub(super) async fn run_events(
    tx: &TenantTx,
    after: i64,
    limit: u32,
    selection: &Selection,
    types: &[&'static str],
) -> Result<Vec<RunEventRow>> {
    let types: Vec<_> = types.iter().map(|kind| (*kind).to_owned()).collect();
    let values = [
        after.into(),
        i64::from(limit).into(),
        types.into(),
        (!selection.is_empty()).into(),
        selection.datasets.clone().into(),
        selection.namespace.clone().into(),
        selection.domain.clone().into(),
    ];
    Ok(tx.query_sql(RUN_EVENTS, values).await?)
}
