//! What recording an event writes: runs, the log, the events, the refresh states.
//!
//! Locks are taken in one order, so that writers wait for each other and never dead-lock: new runs
//! by id, then known runs by id, then (where a dataset is new) the tenant's policies, then names of
//! datasets, then refresh states by dataset id, then edges of the lineage by their ends.

use chrono::{DateTime, Utc};
use sea_orm::JsonValue;
use serde::Serialize;
use uuid::Uuid;

use super::model::{ContentHash, Event, OutputFold, RunFold, RunRow, RunState, WatermarkOrigin};
use crate::{
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
};

#[derive(Serialize)]
struct RunRecord<'a> {
    run_id: Uuid,
    job_namespace: &'a str,
    job_name: &'a str,
    state: &'static str,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    effective_at: DateTime<Utc>,
    nominal_start_at: Option<DateTime<Utc>>,
    nominal_end_at: Option<DateTime<Utc>>,
    parent_run_id: Option<Uuid>,
    conflict: bool,
    error_message: Option<&'a str>,
    fold: &'a RunFold,
}

impl<'a> From<&'a RunFold> for RunRecord<'a> {
    fn from(fold: &'a RunFold) -> Self {
        Self {
            run_id: fold.run_id(),
            job_namespace: fold.job().namespace(),
            job_name: fold.job().name(),
            state: fold.state().as_str(),
            started_at: fold.started_at(),
            ended_at: fold.ended_at(),
            effective_at: fold.effective_at(),
            nominal_start_at: fold.nominal_time().map(|nominal| nominal.start_at),
            nominal_end_at: fold.nominal_time().and_then(|nominal| nominal.end_at),
            parent_run_id: fold.parent_run_id(),
            conflict: fold.conflict(),
            error_message: fold.error_message(),
            fold,
        }
    }
}

#[derive(FromRow)]
struct RunId {
    run_id: Uuid,
}

const INSERT_RUNS: &str = "
INSERT INTO run (tenant_id, run_id, job_namespace, job_name, state, started_at, ended_at,
                 effective_at, nominal_start_at, nominal_end_at, parent_run_id, conflict,
                 error_message, fold, recorded_at, updated_at)
SELECT current_tenant(), run_id, job_namespace, job_name, state, started_at, ended_at, effective_at,
       nominal_start_at, nominal_end_at, parent_run_id, conflict, error_message, fold, $2, $2
  FROM jsonb_to_recordset($1) AS run (
    run_id uuid, job_namespace text, job_name text, state text, started_at timestamptz,
    ended_at timestamptz, effective_at timestamptz, nominal_start_at timestamptz,
    nominal_end_at timestamptz, parent_run_id uuid, conflict boolean, error_message text,
    fold jsonb)
 ORDER BY run_id
ON CONFLICT DO NOTHING
RETURNING run_id";

/// Inserts the runs that are not known yet; answers which these were.
pub(super) async fn insert_runs(
    tx: &TenantTx,
    runs: &[&RunFold],
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>> {
    let rows: Vec<_> = runs.iter().map(|fold| RunRecord::from(*fold)).collect();
    let inserted: Vec<RunId> = tx.query_sql(INSERT_RUNS, [records(&rows)?, now.into()]).await?;
    Ok(inserted.into_iter().map(|row| row.run_id).collect())
}

#[derive(FromRow)]
struct StoredFold {
    fold: JsonValue,
}

const LOCK_RUNS: &str =
    "SELECT fold FROM run WHERE run_id = ANY ($1) ORDER BY run_id FOR NO KEY UPDATE";

/// The folds of these runs, locked until the transaction ends.
pub(super) async fn lock_runs(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<RunFold>> {
    let rows: Vec<StoredFold> = tx.query_sql(LOCK_RUNS, [ids.to_vec().into()]).await?;
    rows.into_iter().map(|row| serde_json::from_value(row.fold).map_err(Error::internal)).collect()
}

const UPDATE_RUNS: &str = "
UPDATE run SET
  state = new.state, started_at = new.started_at, ended_at = new.ended_at,
  effective_at = new.effective_at, nominal_start_at = new.nominal_start_at,
  nominal_end_at = new.nominal_end_at, parent_run_id = new.parent_run_id, conflict = new.conflict,
  error_message = new.error_message, fold = new.fold, updated_at = $2
FROM jsonb_to_recordset($1) AS new (
  run_id uuid, state text, started_at timestamptz, ended_at timestamptz, effective_at timestamptz,
  nominal_start_at timestamptz, nominal_end_at timestamptz, parent_run_id uuid, conflict boolean,
  error_message text, fold jsonb)
WHERE run.run_id = new.run_id";

/// Stores runs that are known already.
pub(super) async fn update_runs(
    tx: &TenantTx,
    runs: &[&RunFold],
    now: DateTime<Utc>,
) -> Result<()> {
    let rows: Vec<_> = runs.iter().map(|fold| RunRecord::from(*fold)).collect();
    tx.execute_sql(UPDATE_RUNS, [records(&rows)?, now.into()]).await?;
    Ok(())
}

/// An event as it is stored.
#[derive(Serialize)]
pub(super) struct EventRecord<'a> {
    event_time: DateTime<Utc>,
    content_hash: ContentHash,
    kind: &'static str,
    run_id: Option<Uuid>,
    event_type: Option<&'static str>,
    producer: Option<&'a str>,
    payload: &'a JsonValue,
}

impl<'a> EventRecord<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        let (kind, run_id, event_type, producer, payload) = match event {
            Event::Run(event) => (
                "RUN",
                Some(event.run_id),
                Some(event.event_type.as_str()),
                &event.producer,
                &event.payload,
            ),
            Event::Job(event) => ("JOB", None, None, &event.producer, &event.payload),
            Event::Dataset(event) => ("DATASET", None, None, &event.producer, &event.payload),
        };
        let producer = producer.as_deref();
        let (event_time, content_hash) = (event.event_time(), event.content_hash());
        Self { event_time, content_hash, kind, run_id, event_type, producer, payload }
    }
}

#[derive(FromRow)]
struct InsertedEvent {
    content_hash: Vec<u8>,
}

// The mark is what the events are announced by (`crate::change`).
const INSERT_EVENTS: &str = "
WITH added AS (
INSERT INTO run_event (tenant_id, event_time, content_hash, kind, run_id, event_type, producer,
                       payload, recorded_at)
SELECT current_tenant(), event_time, decode(content_hash, 'hex'), kind, run_id, event_type, producer,
       payload, $2
  FROM jsonb_to_recordset($1) AS event (
    event_time timestamptz, content_hash text, kind text, run_id uuid, event_type text,
    producer text, payload jsonb)
 ORDER BY event_time, content_hash
ON CONFLICT DO NOTHING
RETURNING event_time, content_hash, run_id, event_type
), marked AS (
INSERT INTO change_mark (tenant_id, run_ids, event_types, event_times, recorded_at)
SELECT current_tenant(), array_agg(run_id ORDER BY event_time, content_hash),
       array_agg(event_type ORDER BY event_time, content_hash),
       array_agg(event_time ORDER BY event_time, content_hash), $2
  FROM added WHERE run_id IS NOT NULL HAVING count(*) > 0
)
SELECT content_hash FROM added";

/// Adds events; answers which of them were not there yet.
pub(super) async fn insert_events(
    tx: &TenantTx,
    events: &[EventRecord<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<ContentHash>> {
    let rows: Vec<InsertedEvent> =
        tx.query_sql(INSERT_EVENTS, [records(events)?, now.into()]).await?;
    let hash = |row: InsertedEvent| row.content_hash.try_into().ok().map(ContentHash);
    Ok(rows.into_iter().filter_map(hash).collect())
}

/// A run's place in the log moved: its start became known, or turned out to be earlier.
#[derive(Serialize)]
pub(super) struct Moved {
    pub(super) run_id: Uuid,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

const MOVE_LOG: &str = r#"
UPDATE dataset_run_log log SET effective_at = moved."to"
  FROM jsonb_to_recordset($1) AS moved (run_id uuid, "from" timestamptz, "to" timestamptz)
 WHERE log.run_id = moved.run_id AND log.effective_at = moved."from""#;

/// Moves the log's rows of runs to where these now belong.
pub(super) async fn move_log(tx: &TenantTx, moved: &[Moved]) -> Result<()> {
    tx.execute_sql(MOVE_LOG, [records(moved)?]).await?;
    Ok(())
}

/// One row of the log.
#[derive(Serialize)]
pub(super) struct LogRecord<'a> {
    dataset_id: Uuid,
    effective_at: DateTime<Utc>,
    run_id: Uuid,
    job_namespace: &'a str,
    job_name: &'a str,
    state: RunState,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    row_count: Option<i64>,
    byte_count: Option<i64>,
    file_count: Option<i64>,
    source_watermark: Option<DateTime<Utc>>,
    source_watermark_origin: Option<WatermarkOrigin>,
    conflict: bool,
    error_message: Option<&'a str>,
}

impl<'a> LogRecord<'a> {
    /// What `run` did to the dataset `dataset_id`, which its outputs name as `output`.
    pub(super) fn of(run: &'a RunFold, dataset_id: Uuid, output: &OutputFold) -> Self {
        let statistics = output.statistics();
        Self {
            dataset_id,
            effective_at: run.effective_at(),
            run_id: run.run_id(),
            job_namespace: run.job().namespace(),
            job_name: run.job().name(),
            state: run.state(),
            started_at: run.started_at(),
            ended_at: run.ended_at(),
            row_count: statistics.row_count,
            byte_count: statistics.byte_count,
            file_count: statistics.file_count,
            source_watermark: output.source_watermark(),
            source_watermark_origin: output.source_watermark_origin(),
            conflict: run.conflict(),
            error_message: run.error_message(),
        }
    }

    /// The dataset.
    pub(super) const fn dataset_id(&self) -> Uuid {
        self.dataset_id
    }

    /// The same as far as the dataset's state follows from it.
    pub(super) const fn run(&self) -> RunRow {
        RunRow {
            run_id: self.run_id,
            effective_at: self.effective_at,
            ended_at: self.ended_at,
            state: self.state,
            row_count: self.row_count,
            byte_count: self.byte_count,
            source_watermark: self.source_watermark,
            source_watermark_origin: self.source_watermark_origin,
        }
    }
}
