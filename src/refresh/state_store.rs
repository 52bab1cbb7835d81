//! The log and the refresh states, brought up to what was reported by the writer that changed it.
//!
//! What a state knows and what changed tell nearly always what the state is now. Where they do not, the log
//! is asked, which has it all.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{DatasetRuns, RefreshState, RunRow, RunState, WatermarkOrigin},
    repository::State,
    retained,
    store::LogRecord,
};
use crate::{
    call::Call,
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
    freshness::{
        loader::AppliedPolicies,
        model::{Policy, PolicyKey, Timing},
    },
};

// Nothing but the locked rows: what a statement that waited for a lock reads beside them is as it was
// before it waited.
const LOCK: &str = "
SELECT * FROM dataset_refresh_state WHERE dataset_id = ANY ($1) ORDER BY dataset_id FOR UPDATE";

#[derive(FromRow)]
struct Deciding {
    dataset_id: Uuid,
    part: String,
    run_id: Uuid,
    effective_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    state: String,
    row_count: Option<i64>,
    byte_count: Option<i64>,
    source_watermark: Option<DateTime<Utc>>,
    source_watermark_origin: Option<String>,
}

// Each part is one step into an index of each partition, however long the log is.
const DECIDING: &str = "
SELECT wanted.dataset_id, run.* FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
  (SELECT 'LAST' AS part, run_id, effective_at, ended_at, state, row_count, byte_count,
          source_watermark, source_watermark_origin
     FROM dataset_run_log WHERE dataset_id = wanted.dataset_id AND state <> 'NEW'
    ORDER BY effective_at DESC, run_id DESC LIMIT 1)
  UNION ALL
  (SELECT 'SUCCESS', run_id, effective_at, ended_at, state, row_count, byte_count, source_watermark,
          source_watermark_origin
     FROM dataset_run_log WHERE dataset_id = wanted.dataset_id AND state = 'COMPLETED'
    ORDER BY ended_at DESC, run_id DESC LIMIT 1)
  UNION ALL
  (SELECT 'FAILURE', run_id, effective_at, ended_at, state, row_count, byte_count, source_watermark,
          source_watermark_origin
     FROM dataset_run_log WHERE dataset_id = wanted.dataset_id AND state = 'FAILED'
    ORDER BY ended_at DESC, run_id DESC LIMIT 1)
) AS run";

#[derive(Serialize)]
struct Since {
    dataset_id: Uuid,
    ended_at: Option<DateTime<Utc>>,
    run_id: Option<Uuid>,
}

#[derive(FromRow)]
struct Failures {
    dataset_id: Uuid,
    failures: i64,
}

const FAILURES: &str = "
SELECT since.dataset_id, count(*) AS failures
  FROM jsonb_to_recordset($1) AS since (dataset_id uuid, ended_at timestamptz, run_id uuid)
  JOIN dataset_run_log log ON log.dataset_id = since.dataset_id AND log.state = 'FAILED'
   AND (log.ended_at, log.run_id) > (coalesce(since.ended_at, '-infinity'),
         coalesce(since.run_id, '00000000-0000-0000-0000-000000000000'))
 GROUP BY since.dataset_id";

/// Locks the refresh states of these datasets until the transaction ends; answers them as they are.
pub(super) async fn lock(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<State>> {
    Ok(tx.query_sql(LOCK, [datasets.to_vec().into()]).await?)
}

/// Writes rows of the log, those of a dataset together, at the place that [`move_log`](super::store::move_log) left them in, and brings the
/// locked states of their datasets up to them: in one statement, where the log need not be asked.
///
/// Whatever is read is read after the states were locked, by statements of their own, and so with snapshots of
/// their own: what another writer committed before it gave up the lock is seen.
pub(super) async fn write(
    tx: &TenantTx,
    call: &Call,
    known: &[State],
    log: &[LogRecord<'_>],
) -> Result<()> {
    let policy = |state: &State| {
        let (policy_id, version) = state.policy_id.zip(state.policy_version)?;
        Some(PolicyKey { policy_id, version })
    };
    let policies = AppliedPolicies::read(tx, call, known.iter().filter_map(policy)).await?;
    let rows = log.chunk_by(|one, other| one.dataset_id() == other.dataset_id());
    let rows = rows.filter_map(|rows| Some((rows.first()?.dataset_id(), rows)));
    let rows: HashMap<_, _> = rows.collect();
    let (mut runs, mut unknown) = (HashMap::new(), Vec::new());
    for state in known {
        match after(state, rows.get(&state.dataset_id).copied().unwrap_or_default())? {
            Some(decide) => drop(runs.insert(state.dataset_id, decide)),
            None => unknown.push(state.clone()),
        }
    }
    let mut log = log;
    if !unknown.is_empty() {
        tx.execute_sql(WRITE, [records(log)?, records::<StateRecord>(&[])?, call.now().into()])
            .await?;
        log = &[];
        runs.extend(as_logged(tx, &unknown).await?);
    }
    let states: Vec<_> = known
        .iter()
        .map(|of| {
            let state = RefreshState::of(&runs.remove(&of.dataset_id).unwrap_or_default());
            let policy = policy(of).and_then(|key| policies.of(key));
            StateRecord::of(of.dataset_id, &state, policy)
        })
        .collect();
    tx.execute_sql(WRITE, [records(log)?, records(&states)?, call.now().into()]).await?;
    Ok(())
}

/// The runs that decide a dataset's state once these rows are in its log, if its state as it is tells.
fn after(state: &State, rows: &[LogRecord<'_>]) -> Result<Option<DatasetRuns>> {
    let mut runs = retained::remembered(state)?;
    let whole = rows.iter().map(LogRecord::run).all(|run| runs.absorb(run));
    Ok(whole.then_some(runs))
}

/// The runs that decide these states, as the log says.
async fn as_logged(tx: &TenantTx, known: &[State]) -> Result<HashMap<Uuid, DatasetRuns>> {
    let datasets: Vec<_> = known.iter().map(|state| state.dataset_id).collect();
    let mut runs = deciding(tx, &datasets).await?;
    retained::keep(tx, known, &mut runs).await?;
    count_failures(tx, &mut runs).await?;
    Ok(runs)
}

async fn deciding(tx: &TenantTx, datasets: &[Uuid]) -> Result<HashMap<Uuid, DatasetRuns>> {
    let rows: Vec<Deciding> = tx.query_sql(DECIDING, [datasets.to_vec().into()]).await?;
    let mut runs: HashMap<Uuid, DatasetRuns> = HashMap::new();
    for row in rows {
        let runs = runs.entry(row.dataset_id).or_default();
        let run = RunRow {
            run_id: row.run_id,
            effective_at: row.effective_at,
            ended_at: row.ended_at,
            state: row.state.parse::<RunState>().map_err(Error::internal)?,
            row_count: row.row_count,
            byte_count: row.byte_count,
            source_watermark: row.source_watermark,
            source_watermark_origin: row
                .source_watermark_origin
                .map(|origin| origin.parse().map_err(Error::internal))
                .transpose()?,
        };
        match row.part.as_str() {
            "LAST" => runs.last_run = Some(run),
            "SUCCESS" => runs.last_success = Some(run),
            _ => runs.last_failure = Some(run),
        }
    }
    Ok(runs)
}

async fn count_failures(tx: &TenantTx, runs: &mut HashMap<Uuid, DatasetRuns>) -> Result<()> {
    // A dataset whose last decisive run succeeded has no failure since.
    let since: Vec<_> = runs
        .iter()
        .filter(|(_, runs)| runs.last_decisive().is_some_and(|run| run.state == RunState::Failed))
        .map(|(dataset_id, runs)| Since {
            dataset_id: *dataset_id,
            ended_at: runs.last_success.as_ref().and_then(|run| run.ended_at),
            run_id: runs.last_success.as_ref().map(|run| run.run_id),
        })
        .collect();
    if since.is_empty() {
        return Ok(());
    }
    let counted: Vec<Failures> = tx.query_sql(FAILURES, [records(&since)?]).await?;
    for row in counted {
        if let Some(runs) = runs.get_mut(&row.dataset_id) {
            runs.failures_since_success = i32::try_from(row.failures).unwrap_or(i32::MAX);
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct StateRecord {
    dataset_id: Uuid,
    status: &'static str,
    last_success_at: Option<DateTime<Utc>>,
    last_success_run_id: Option<Uuid>,
    last_run_id: Option<Uuid>,
    last_run_at: Option<DateTime<Utc>>,
    last_run_state: Option<&'static str>,
    running_since: Option<DateTime<Utc>>,
    row_count: Option<i64>,
    byte_count: Option<i64>,
    source_watermark: Option<DateTime<Utc>>,
    source_watermark_origin: Option<&'static str>,
    last_failure_at: Option<DateTime<Utc>>,
    last_failure_run_id: Option<Uuid>,
    consecutive_failures: i32,
    freshness_basis: &'static str,
    warn_at: DateTime<Utc>,
    stale_at: DateTime<Utc>,
}

impl StateRecord {
    fn of(dataset_id: Uuid, state: &RefreshState, policy: Option<&Policy>) -> Self {
        let timing = Timing::of(policy, state.last_success_at);
        let (warn_at, stale_at) = timing.stored_deadlines();
        Self {
            dataset_id,
            status: state.status.as_str(),
            last_success_at: state.last_success_at,
            last_success_run_id: state.last_success_run_id,
            last_run_id: state.last_run_id,
            last_run_at: state.last_run_at,
            last_run_state: state.last_run_state.map(RunState::as_str),
            running_since: state.running_since,
            row_count: state.row_count,
            byte_count: state.byte_count,
            source_watermark: state.source_watermark,
            source_watermark_origin: state.source_watermark_origin.map(WatermarkOrigin::as_str),
            last_failure_at: state.last_failure_at,
            last_failure_run_id: state.last_failure_run_id,
            consecutive_failures: state.consecutive_failures,
            freshness_basis: timing.basis.as_str(),
            warn_at,
            stale_at,
        }
    }
}

const WRITE: &str = "
WITH logged AS (
INSERT INTO dataset_run_log AS log
  (tenant_id, dataset_id, effective_at, run_id, job_namespace, job_name, state, started_at, ended_at,
   row_count, byte_count, file_count, source_watermark, source_watermark_origin, conflict,
   error_message, schema_version)
SELECT current_tenant(), dataset_id, effective_at, run_id, job_namespace, job_name, state, started_at,
       ended_at, row_count, byte_count, file_count, source_watermark, source_watermark_origin, conflict,
       error_message,
       (SELECT split_part(d.schema_fqid, '@', 1) || '@' || bound.number
          FROM dataset_registry d CROSS JOIN LATERAL bound_schema_version(d.schema_fqid) bound
         WHERE d.dataset_id = new.dataset_id AND d.schema_fqid IS NOT NULL)
  FROM jsonb_to_recordset($1) AS new (
    dataset_id uuid, effective_at timestamptz, run_id uuid, job_namespace text, job_name text,
    state text, started_at timestamptz, ended_at timestamptz, row_count bigint, byte_count bigint,
    file_count bigint, source_watermark timestamptz, source_watermark_origin text, conflict boolean,
    error_message text)
ON CONFLICT (tenant_id, dataset_id, effective_at, run_id) DO UPDATE SET
  state = excluded.state, started_at = excluded.started_at, ended_at = excluded.ended_at,
  row_count = excluded.row_count, byte_count = excluded.byte_count,
  file_count = excluded.file_count, source_watermark = excluded.source_watermark,
  source_watermark_origin = excluded.source_watermark_origin,
  conflict = excluded.conflict, error_message = excluded.error_message,
  schema_version = coalesce(log.schema_version, excluded.schema_version)
)
UPDATE dataset_refresh_state s SET
  status = new.status, last_success_at = new.last_success_at,
  last_success_run_id = new.last_success_run_id, last_run_id = new.last_run_id,
  last_run_at = new.last_run_at, last_run_state = new.last_run_state,
  running_since = new.running_since, row_count = new.row_count, byte_count = new.byte_count,
  source_watermark = new.source_watermark, source_watermark_origin = new.source_watermark_origin,
  last_failure_at = new.last_failure_at, last_failure_run_id = new.last_failure_run_id,
  consecutive_failures = new.consecutive_failures,
  freshness_basis = new.freshness_basis, warn_at = new.warn_at, stale_at = new.stale_at,
  updated_at = $3
FROM jsonb_to_recordset($2) AS new (
  dataset_id uuid, status text, last_success_at timestamptz, last_success_run_id uuid,
  last_run_id uuid, last_run_at timestamptz, last_run_state text, running_since timestamptz,
  row_count bigint, byte_count bigint, source_watermark timestamptz, source_watermark_origin text,
  last_failure_at timestamptz, last_failure_run_id uuid, consecutive_failures integer,
  freshness_basis text, warn_at timestamptz, stale_at timestamptz)
WHERE s.dataset_id = new.dataset_id";
