//! Events on their way to the webhook: claimed, sent, settled.
//!
//! Of each dataset only the earliest event that waits can be claimed, so that its events arrive in
//! their order. A claim is an instant of the next attempt that lies a little ahead: whoever dies
//! between sending and settling leaves the event to be claimed again after that.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::model::DELIVERED_WITHIN;
use crate::{
    db::{FromRow, TenantTx, records},
    error::Result,
};

/// Events that are claimed at once, at most.
pub(super) const CLAIMED_AT_ONCE: u32 = 64;
/// Longer than sending that many takes, however slow the receiver.
pub(super) const CLAIMED_FOR: TimeDelta = TimeDelta::seconds(60);

/// An event to be sent.
#[derive(Debug, FromRow)]
pub(super) struct Claimed {
    pub(super) sequence: i64,
    pub(super) event_id: Uuid,
    pub(super) event_type: String,
    pub(super) dataset_id: Uuid,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) deliverable_at: DateTime<Utc>,
    pub(super) payload: Value,
    pub(super) attempts: i32,
}

const CLAIM: &str = "
WITH waiting AS (
  SELECT DISTINCT dataset_id FROM (
    SELECT dataset_id FROM freshness_event
     WHERE delivery = 'PENDING' AND next_attempt_at <= $1
     ORDER BY next_attempt_at, sequence LIMIT $2) AS earliest
), head AS (
  SELECT first.sequence FROM waiting, LATERAL (
    SELECT sequence, next_attempt_at FROM freshness_event
     WHERE dataset_id = waiting.dataset_id AND delivery = 'PENDING'
     ORDER BY sequence LIMIT 1) AS first
   WHERE first.next_attempt_at <= $1
)
UPDATE freshness_event e SET attempts = attempts + 1, next_attempt_at = $3
  FROM head WHERE e.sequence = head.sequence
RETURNING e.sequence, event_id, event_type, dataset_id, occurred_at, deliverable_at, payload,
          attempts";

/// Claims what is to be sent now.
pub(super) async fn claim(tx: &TenantTx, now: DateTime<Utc>) -> Result<Vec<Claimed>> {
    let values = [now.into(), i64::from(CLAIMED_AT_ONCE).into(), (now + CLAIMED_FOR).into()];
    Ok(tx.query_sql(CLAIM, values).await?)
}

/// What became of a claimed event.
#[derive(Debug, Serialize)]
pub(super) struct Settled {
    pub(super) sequence: i64,
    pub(super) dataset_id: Uuid,
    /// `PENDING` if it is to be tried again, at `next_attempt_at`.
    pub(super) delivery: &'static str,
    pub(super) next_attempt_at: DateTime<Utc>,
}

// What waits behind an event that is to be tried again waits as long; behind one that is done, not
// at all. An event that a mute has put off meanwhile stays put off.
const SETTLE: &str = "
WITH settled AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1) AS settled (
    sequence bigint, dataset_id uuid, delivery text, next_attempt_at timestamptz)
)
UPDATE freshness_event e SET
  delivery = CASE WHEN e.sequence = settled.sequence THEN settled.delivery ELSE e.delivery END,
  delivered_at = CASE WHEN e.sequence = settled.sequence AND settled.delivery = 'DELIVERED'
                      THEN $2 END,
  next_attempt_at = greatest(e.deliverable_at, CASE WHEN settled.delivery = 'PENDING'
                                                    THEN settled.next_attempt_at END)
FROM settled
WHERE e.dataset_id = settled.dataset_id AND e.delivery = 'PENDING'";

/// Stores what became of claimed events.
pub(super) async fn settle(tx: &TenantTx, settled: &[Settled], now: DateTime<Utc>) -> Result<()> {
    tx.execute_sql(SETTLE, [records(settled)?, now.into()]).await?;
    Ok(())
}

const EXPIRE: &str = "
UPDATE freshness_event e SET delivery = 'DEAD'
  FROM (SELECT sequence FROM freshness_event
         WHERE delivery = 'PENDING' AND next_attempt_at <= $1 AND deliverable_at < $2
         ORDER BY next_attempt_at LIMIT 5000) AS expired
 WHERE e.sequence = expired.sequence";

/// Gives up what could have been delivered for too long; answers how much that is.
pub(super) async fn expire(tx: &TenantTx, now: DateTime<Utc>) -> Result<u64> {
    let values = [now.into(), (now - DELIVERED_WITHIN).into()];
    Ok(tx.execute_sql(EXPIRE, values).await?)
}
