//! What changes breaches: statements over sets of datasets, under the tenant's lock of events.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::model::{EventType, Level, Observed, Open};
use crate::{
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
    freshness::model::Basis,
    live::{self, Topic},
};

// Not held by ingestion. A statement of its own, so that the next one's snapshot is of after it. The
// statements that follow are planned for the tables as they are: a plan that was kept from when there
// was hardly a breach would go through all of them for each dataset.
const LOCK: &str = "
SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
       pg_advisory_xact_lock(hashtext('drr.freshness_event'), hashtext(current_tenant()))";

/// From here on to the end of the transaction, nobody else appends events of this tenant: the order
/// of their numbers is the order of commit.
pub(super) async fn lock(tx: &TenantTx) -> Result<()> {
    tx.execute_sql(LOCK, []).await?;
    Ok(())
}

/// A dataset about which something is to be done, locked.
#[derive(Debug, FromRow)]
pub(super) struct DueRow {
    pub(super) dataset_id: Uuid,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) domain: Option<String>,
    pub(super) policy_id: Option<Uuid>,
    pub(super) policy_version: Option<i32>,
    pub(super) listed: bool,
    alerting: bool,
    freshness_basis: String,
    warn_at: DateTime<Utc>,
    stale_at: DateTime<Utc>,
    pub(super) last_success_at: Option<DateTime<Utc>>,
    last_success_run_id: Option<Uuid>,
    pub(super) muted_until: Option<DateTime<Utc>>,
    pub(super) breach_id: Option<Uuid>,
    pub(super) breach_policy_id: Option<Uuid>,
    pub(super) breach_policy_version: Option<i32>,
    pub(super) breach_level: Option<String>,
    pub(super) breach_opened_at: Option<DateTime<Utc>>,
    pub(super) breach_escalated_at: Option<DateTime<Utc>>,
    pub(super) breach_last_success_at: Option<DateTime<Utc>>,
}

impl DueRow {
    pub(super) fn observed(&self) -> Result<Observed> {
        let watched = self.alerting && self.freshness_basis == Basis::Timed.as_str();
        let level = self.breach_level.as_deref().map(str::parse::<Level>).transpose();
        let open = self.breach_policy_id.zip(level.map_err(Error::internal)?);
        Ok(Observed {
            listed: self.listed,
            policy_id: self.policy_id.filter(|_| watched),
            warn_at: self.warn_at,
            stale_at: self.stale_at,
            last_success_at: self.last_success_at,
            last_success_run: self.last_success_run_id,
            open: open.zip(self.breach_opened_at).map(|((policy_id, level), opened_at)| Open {
                policy_id,
                level,
                opened_at,
                last_success_at: self.breach_last_success_at,
            }),
        })
    }
}

// The conditions are those of the indexes, word for word. A dataset that a writer holds is left to
// the next pass: waiting for it could dead-lock, and it may not be due any more after that. What was
// locked is read anew, so that the judgement is of the row as it is. The open breach is looked for where
// there is one only, row by row: joined, all open ones would be gone through for each dataset as long as
// there are no statistics of them.
const DUE: &str = "
WITH due AS (
  (SELECT dataset_id FROM dataset_refresh_state
    WHERE listed AND alerting AND policy_id IS NOT NULL AND freshness_basis = 'TIMED'
      AND breach_level = 'NONE' AND warn_at < $1 ORDER BY warn_at LIMIT $2)
  UNION
  (SELECT dataset_id FROM dataset_refresh_state
    WHERE breach_level = 'WARN' AND stale_at < $1 ORDER BY stale_at LIMIT $2)
  UNION
  (SELECT dataset_id FROM dataset_refresh_state
    WHERE breach_level <> 'NONE' AND warn_at >= $1 ORDER BY warn_at LIMIT $2)
  UNION
  (SELECT dataset_id FROM dataset_refresh_state
    WHERE breach_level <> 'NONE' AND (NOT listed OR NOT alerting OR freshness_basis <> 'TIMED'
      OR policy_id IS DISTINCT FROM breach_policy_id) ORDER BY dataset_id LIMIT $2)
  LIMIT $2
)
SELECT s.dataset_id, r.namespace, r.name, r.domain, s.policy_id, s.policy_version, s.listed,
       s.alerting, s.freshness_basis, s.warn_at, s.stale_at, s.last_success_at,
       s.last_success_run_id, s.muted_until, b.breach_id, b.policy_id AS breach_policy_id,
       b.policy_version AS breach_policy_version, b.level AS breach_level,
       b.opened_at AS breach_opened_at, b.escalated_at AS breach_escalated_at,
       b.last_success_at AS breach_last_success_at
  FROM due JOIN dataset_refresh_state s USING (dataset_id)
  JOIN dataset_registry r USING (dataset_id)
  LEFT JOIN LATERAL (
    SELECT * FROM freshness_breach open
     WHERE s.breach_level <> 'NONE' AND open.dataset_id = s.dataset_id
       AND open.policy_id = s.breach_policy_id AND open.resolved_at IS NULL
     LIMIT 1) AS b ON true
   FOR UPDATE OF s SKIP LOCKED";

/// At most `limit` datasets about which something is to be done at `now`.
pub(super) async fn due(tx: &TenantTx, now: DateTime<Utc>, limit: u32) -> Result<Vec<DueRow>> {
    Ok(tx.query_sql(DUE, [now.into(), i64::from(limit).into()]).await?)
}

/// A breach as it shall be, and the level that the dataset's state shall have.
#[derive(Debug, Serialize)]
pub(super) struct BreachRow {
    pub(super) breach_id: Uuid,
    pub(super) dataset_id: Uuid,
    pub(super) is_new: bool,
    pub(super) policy_id: Uuid,
    pub(super) policy_version: i32,
    pub(super) level: &'static str,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) escalated_at: Option<DateTime<Utc>>,
    pub(super) resolved_at: Option<DateTime<Utc>>,
    pub(super) resolution: Option<&'static str>,
    pub(super) resolved_by_run: Option<Uuid>,
    pub(super) last_success_at: Option<DateTime<Utc>>,
}

const APPLY: &str = "
WITH change AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1) AS change (
    breach_id uuid, dataset_id uuid, is_new boolean, policy_id uuid, policy_version integer,
    level text, opened_at timestamptz, escalated_at timestamptz, resolved_at timestamptz,
    resolution text, resolved_by_run uuid, last_success_at timestamptz)
), opened AS (
  INSERT INTO freshness_breach (tenant_id, breach_id, dataset_id, policy_id, policy_version, level,
                                opened_at, detected_at, escalated_at, last_success_at)
  SELECT current_tenant(), breach_id, dataset_id, policy_id, policy_version, level, opened_at, $2,
         escalated_at, last_success_at
    FROM change WHERE is_new
), moved AS (
  UPDATE freshness_breach b
     SET level = change.level, escalated_at = change.escalated_at,
         resolved_at = change.resolved_at, resolution = change.resolution,
         resolved_by_run = change.resolved_by_run
    FROM change WHERE NOT change.is_new AND b.breach_id = change.breach_id
)
UPDATE dataset_refresh_state s
   SET breach_level = CASE WHEN resolved_at IS NULL THEN change.level ELSE 'NONE' END,
       breach_policy_id = CASE WHEN resolved_at IS NULL THEN change.policy_id END
  FROM change WHERE s.dataset_id = change.dataset_id";

/// Stores breaches, new ones and changed ones, and what the states keep of them.
pub(super) async fn apply(tx: &TenantTx, rows: &[BreachRow], now: DateTime<Utc>) -> Result<()> {
    tx.execute_sql(APPLY, [records(rows)?, now.into()]).await?;
    Ok(())
}

/// Something that happened, to be told.
#[derive(Debug, Serialize)]
pub(super) struct NewEvent {
    pub(super) event_id: Uuid,
    pub(super) event_type: &'static str,
    pub(super) dataset_id: Uuid,
    pub(super) breach_id: Option<Uuid>,
    pub(super) level: Option<&'static str>,
    pub(super) muted: bool,
    pub(super) payload: serde_json::Value,
    pub(super) delivery: &'static str,
    pub(super) deliverable_at: DateTime<Utc>,
}

impl NewEvent {
    pub(super) const fn is_delivered(kind: EventType) -> bool {
        !matches!(kind, EventType::Muted | EventType::Unmuted)
    }
}

// Behind what waits already of the same dataset, so that it does not overtake a delivery that failed.
const TELL: &str = "
INSERT INTO freshness_event
  (tenant_id, sequence, event_id, event_type, dataset_id, breach_id, level, muted, occurred_at,
   payload, delivery, deliverable_at, next_attempt_at)
SELECT current_tenant(), (SELECT coalesce(max(sequence), 0) FROM freshness_event) + position,
       event_id, event_type, dataset_id, breach_id, level, muted, $2, payload, delivery,
       deliverable_at,
       greatest(deliverable_at, (SELECT max(waiting.next_attempt_at) FROM freshness_event waiting
         WHERE waiting.dataset_id = event.dataset_id AND waiting.delivery = 'PENDING'))
  FROM ROWS FROM (jsonb_to_recordset($1) AS (
    event_id uuid, event_type text, dataset_id uuid, breach_id uuid, level text, muted boolean,
    payload jsonb, delivery text, deliverable_at timestamptz)) WITH ORDINALITY AS event (
    event_id, event_type, dataset_id, breach_id, level, muted, payload, delivery, deliverable_at,
    position)";

/// Appends events, in this order. The tenant's events must be [locked](lock).
pub(super) async fn tell(tx: &TenantTx, events: &[NewEvent], now: DateTime<Utc>) -> Result<()> {
    tx.execute_sql(TELL, [records(events)?, now.into()]).await?;
    live::notify(tx, Topic::Breaches).await
}

#[derive(FromRow)]
struct Withheld {
    breach_id: Uuid,
}

const WITHHOLD: &str = "
UPDATE freshness_event e SET delivery = 'WITHHELD'
  FROM freshness_event opened
 WHERE opened.dataset_id = ANY ($1) AND opened.breach_id = ANY ($2) AND opened.delivery = 'PENDING'
   AND opened.event_type = 'breach.opened' AND opened.muted AND opened.attempts = 0
   AND e.dataset_id = opened.dataset_id AND e.breach_id = opened.breach_id AND e.delivery = 'PENDING'
RETURNING e.breach_id";

/// Withholds for ever what nobody was told of these breaches, which are over, because they began
/// under a mute; answers which breaches these are.
pub(super) async fn withhold(
    tx: &TenantTx,
    datasets: Vec<Uuid>,
    breaches: Vec<Uuid>,
) -> Result<Vec<Uuid>> {
    let rows: Vec<Withheld> = tx.query_sql(WITHHOLD, [datasets.into(), breaches.into()]).await?;
    Ok(rows.into_iter().map(|row| row.breach_id).collect())
}
