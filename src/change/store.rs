//! What the announcer reads and writes, in its one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::model::{Announced, Change, Facts};
use crate::{
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
    live::{self, Topic},
};

#[derive(FromRow)]
struct Any {
    any: bool,
}

const WAITING: &str = "
SELECT EXISTS (SELECT FROM change_mark) OR coalesce(
  (SELECT holds_until FROM freshness_announced ORDER BY holds_until LIMIT 1) < $1, false) AS any";

/// Whether there is anything to announce.
pub(super) async fn is_waiting(tx: &TenantTx, now: DateTime<Utc>) -> Result<bool> {
    let rows: Vec<Any> = tx.query_sql(WAITING, [now.into()]).await?;
    Ok(rows.first().is_some_and(|row| row.any))
}

/// The last number of each log.
#[derive(Debug, Clone, Copy, FromRow)]
pub(super) struct Head {
    pub(super) freshness: i64,
    pub(super) runs: i64,
}

const LOCK: &str = "SELECT freshness, runs FROM change_head FOR UPDATE";
const MAKE: &str =
    "INSERT INTO change_head (tenant_id) VALUES (current_tenant()) ON CONFLICT DO NOTHING";

/// The last numbers, locked: until the end of the transaction nobody else numbers anything.
pub(super) async fn lock(tx: &TenantTx) -> Result<Head> {
    let mut head: Vec<Head> = tx.query_sql(LOCK, []).await?;
    if head.is_empty() {
        tx.execute_sql(MAKE, []).await?;
        head = tx.query_sql(LOCK, []).await?;
    }
    head.pop().ok_or_else(|| Error::internal("a tenant's head of changes cannot be made"))
}

/// What marks there were.
#[derive(Debug, FromRow)]
pub(super) struct Taken {
    pub(super) marks: i64,
    /// Run events that were numbered.
    pub(super) runs: i64,
    /// The datasets whose freshness may be another one.
    pub(super) datasets: Vec<Uuid>,
}

const TAKE: &str = "
WITH taken AS (
  DELETE FROM change_mark m USING (SELECT mark_id FROM change_mark ORDER BY mark_id LIMIT $1) AS first
   WHERE m.mark_id = first.mark_id
  RETURNING m.mark_id, datasets, run_ids, event_types, event_times, recorded_at
), numbered AS (
  INSERT INTO run_event_batch
    (tenant_id, last_sequence, run_ids, event_types, event_times, recorded_at)
  SELECT current_tenant(), $2 + sum(cardinality(run_ids)) OVER (ORDER BY mark_id), run_ids,
         event_types, event_times, recorded_at
    FROM taken WHERE cardinality(run_ids) > 0
  RETURNING cardinality(run_ids) AS runs
)
SELECT (SELECT count(*) FROM taken) AS marks,
       (SELECT coalesce(sum(runs), 0)::bigint FROM numbered) AS runs,
       coalesce((SELECT array_agg(DISTINCT id) FROM taken, unnest(datasets) AS id), '{}') AS datasets";

/// Takes the first marks away, and numbers the run events that they tell of.
pub(super) async fn take(tx: &TenantTx, head: Head, limit: u32) -> Result<Taken> {
    let values = [i64::from(limit).into(), head.runs.into()];
    let mut taken: Vec<Taken> = tx.query_sql(TAKE, values).await?;
    taken.pop().ok_or_else(|| Error::internal("taking marks gave no row"))
}

/// A dataset to be judged.
#[derive(Debug, FromRow)]
pub(super) struct Judged {
    pub(super) dataset_id: Uuid,
    listed: bool,
    freshness_basis: String,
    warn_at: DateTime<Utc>,
    stale_at: DateTime<Utc>,
    last_success_at: Option<DateTime<Utc>>,
    announced_listed: Option<bool>,
    announced_status: Option<String>,
    announced_warn_at: Option<DateTime<Utc>>,
    announced_stale_at: Option<DateTime<Utc>>,
    announced_success_at: Option<DateTime<Utc>>,
}

impl Judged {
    pub(super) fn facts(&self) -> Result<Facts> {
        Ok(Facts {
            listed: self.listed,
            basis: self.freshness_basis.parse().map_err(Error::internal)?,
            warn_at: self.warn_at,
            stale_at: self.stale_at,
            last_success_at: self.last_success_at,
        })
    }

    pub(super) fn announced(&self) -> Result<Option<Announced>> {
        let limits = self.announced_warn_at.zip(self.announced_stale_at);
        let known = self.announced_listed.zip(self.announced_status.as_deref()).zip(limits);
        let Some(((listed, status), (warn_at, stale_at))) = known else { return Ok(None) };
        let status = status.parse().map_err(Error::internal)?;
        let last_success_at = self.announced_success_at;
        Ok(Some(Announced { listed, status, warn_at, stale_at, last_success_at }))
    }
}

// Row by row: joined, all that there is of a tenant might be gone through for one dataset.
const JUDGED: &str = "
SELECT s.dataset_id, s.listed, s.freshness_basis, s.warn_at, s.stale_at, s.last_success_at,
       a.listed AS announced_listed, a.status AS announced_status,
       a.warn_at AS announced_warn_at, a.stale_at AS announced_stale_at,
       a.last_success_at AS announced_success_at
  FROM (SELECT unnest($1::uuid[]) AS dataset_id
        UNION
        (SELECT dataset_id FROM freshness_announced WHERE holds_until < $2
          ORDER BY holds_until LIMIT $3)) AS wanted
  JOIN LATERAL (
    SELECT * FROM dataset_refresh_state state WHERE state.dataset_id = wanted.dataset_id LIMIT 1
  ) AS s ON true
  LEFT JOIN LATERAL (
    SELECT * FROM freshness_announced known WHERE known.dataset_id = wanted.dataset_id LIMIT 1
  ) AS a ON true
 ORDER BY least(a.holds_until, $2), s.dataset_id";

/// These datasets, and at most `limit` whose status has ended by itself.
pub(super) async fn judged(
    tx: &TenantTx,
    datasets: Vec<Uuid>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Judged>> {
    Ok(tx.query_sql(JUDGED, [datasets.into(), now.into(), i64::from(limit).into()]).await?)
}

/// A change, and what is known from then on.
#[derive(Debug, Serialize)]
pub(super) struct ChangeRow {
    dataset_id: Uuid,
    cause: &'static str,
    previous_status: Option<&'static str>,
    status: &'static str,
    listed: bool,
    warn_at: DateTime<Utc>,
    stale_at: DateTime<Utc>,
    last_success_at: Option<DateTime<Utc>>,
    holds_until: DateTime<Utc>,
}

impl ChangeRow {
    pub(super) fn of(dataset_id: Uuid, facts: &Facts, change: &Change) -> Self {
        Self {
            dataset_id,
            cause: change.cause.as_str(),
            previous_status: change.previous.map(|status| status.as_str()),
            status: change.status.as_str(),
            listed: facts.listed,
            warn_at: facts.warn_at,
            stale_at: facts.stale_at,
            last_success_at: facts.last_success_at,
            holds_until: change.holds_until,
        }
    }
}

const TELL: &str = "
WITH change AS MATERIALIZED (
  SELECT * FROM ROWS FROM (jsonb_to_recordset($1) AS (
    dataset_id uuid, cause text, previous_status text, status text, listed boolean,
    warn_at timestamptz, stale_at timestamptz, last_success_at timestamptz,
    holds_until timestamptz)) WITH ORDINALITY AS change (
    dataset_id, cause, previous_status, status, listed, warn_at, stale_at, last_success_at,
    holds_until, position)
), counted AS (
  SELECT status, sum(number)::bigint AS number FROM (
    SELECT status, 1 AS number FROM change WHERE listed
    UNION ALL
    SELECT before.status, -1 FROM change, LATERAL (
      SELECT listed, status FROM freshness_announced known
       WHERE known.dataset_id = change.dataset_id LIMIT 1) AS before
     WHERE before.listed
  ) AS moved GROUP BY status
), known AS (
  INSERT INTO freshness_announced
    (tenant_id, dataset_id, listed, status, last_success_at, warn_at, stale_at, holds_until)
  SELECT current_tenant(), dataset_id, listed, status, last_success_at, warn_at, stale_at,
         holds_until
    FROM change
  ON CONFLICT (tenant_id, dataset_id) DO UPDATE SET
    listed = excluded.listed, status = excluded.status,
    last_success_at = excluded.last_success_at, warn_at = excluded.warn_at,
    stale_at = excluded.stale_at, holds_until = excluded.holds_until
), told AS (
  INSERT INTO freshness_change
    (tenant_id, sequence, dataset_id, cause, previous_status, status, changed_at)
  SELECT current_tenant(), $2 + position, dataset_id, cause, previous_status, status, $3 FROM change
)
UPDATE change_head SET
  freshness = $2 + (SELECT count(*) FROM change), runs = $4,
  fresh = fresh + coalesce((SELECT number FROM counted WHERE status = 'FRESH'), 0),
  warn = warn + coalesce((SELECT number FROM counted WHERE status = 'WARN'), 0),
  stale = stale + coalesce((SELECT number FROM counted WHERE status = 'STALE'), 0),
  unknown = unknown + coalesce((SELECT number FROM counted WHERE status = 'UNKNOWN'), 0),
  not_applicable = not_applicable
                 + coalesce((SELECT number FROM counted WHERE status = 'NOT_APPLICABLE'), 0)";

/// Appends changes, in this order, and moves the head on.
pub(super) async fn tell(
    tx: &TenantTx,
    head: Head,
    runs: i64,
    changes: &[ChangeRow],
    now: DateTime<Utc>,
) -> Result<()> {
    let runs = head.runs.saturating_add(runs);
    let values = [records(changes)?, head.freshness.into(), now.into(), runs.into()];
    tx.execute_sql(TELL, values).await?;
    if !changes.is_empty() {
        live::notify(tx, Topic::Freshness).await?;
    }
    if runs > head.runs {
        live::notify(tx, Topic::Runs).await?;
    }
    Ok(())
}

const DROP: &str = "
WITH old AS (
  DELETE FROM freshness_change c USING (
    SELECT sequence, changed_at FROM freshness_change ORDER BY sequence LIMIT $2) AS first
   WHERE c.sequence = first.sequence AND first.changed_at < $1
  RETURNING c.sequence
), old_runs AS (
  DELETE FROM run_event_batch b USING (
    SELECT last_sequence, recorded_at FROM run_event_batch ORDER BY last_sequence LIMIT $2) AS first
   WHERE b.last_sequence = first.last_sequence AND first.recorded_at < $1
  RETURNING b.last_sequence
)
UPDATE change_head SET
  freshness_dropped = greatest(freshness_dropped, (SELECT max(sequence) FROM old)),
  runs_dropped = greatest(runs_dropped, (SELECT max(last_sequence) FROM old_runs))
 WHERE EXISTS (SELECT FROM old) OR EXISTS (SELECT FROM old_runs)";

/// Drops at most `limit` entries of each log that are kept no longer.
pub(super) async fn drop_old(
    tx: &TenantTx,
    now: DateTime<Utc>,
    kept: TimeDelta,
    limit: usize,
) -> Result<()> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    tx.execute_sql(DROP, [(now - kept).into(), limit.into()]).await?;
    Ok(())
}
