//! The records. All statements run in a tenant's transaction as its writer.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::attempt::Answer;
use crate::{
    db::{FromRow, TenantTx},
    error::{Error, Result},
};

/// Whose record, of what.
pub(super) struct Naming<'a> {
    pub(super) tenant: &'a str,
    pub(super) actor: &'a str,
    pub(super) operation: &'static str,
    pub(super) key: &'a str,
    pub(super) request: &'a [u8; 32],
    pub(super) now: DateTime<Utc>,
}

impl Naming<'_> {
    /// The advisory lock of the key. No part contains a NUL, so that no two names run together; two
    /// keys that meet in 64 bits make each other wait, and nothing worse.
    fn lock(&self) -> i64 {
        let parts = [self.tenant, self.actor, self.operation, self.key];
        let hash = parts
            .iter()
            .fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update([0]));
        let hash = hash.finalize();
        hash.iter().take(8).fold(0_i64, |lock, byte| lock << 8 | i64::from(*byte))
    }
}

/// What is there under a key.
pub(super) enum Records {
    Nothing,
    InFlight,
    OfAnother,
    Outcome(Value),
    Answer(Answer),
}

#[derive(FromRow)]
struct Record {
    free: bool,
    slot: Option<i16>,
    request_hash: Option<Vec<u8>>,
    outcome: Option<Value>,
    answer_status: Option<i16>,
    answer_headers: Option<Value>,
    answer_body: Option<Vec<u8>>,
}

// A function, and a volatile one, since the records must be looked at after the lock was taken: a
// statement's own snapshot is older.
const FIND: &str = "SELECT * FROM find_idempotency_records($1, $2, $3, $4, $5, $6)";

pub(super) async fn find(tx: &TenantTx, naming: &Naming<'_>, slot: u16) -> Result<Records> {
    let values = [
        naming.lock().into(),
        naming.actor.into(),
        naming.operation.into(),
        naming.key.into(),
        number(slot)?.into(),
        naming.now.into(),
    ];
    let records: Vec<Record> = tx.query_sql(FIND, values).await?;
    if records.iter().any(|record| !record.free) {
        return Ok(Records::InFlight);
    }
    let other = |hash: &Vec<u8>| hash.as_slice() != naming.request;
    if records.iter().any(|record| record.request_hash.as_ref().is_some_and(other)) {
        return Ok(Records::OfAnother);
    }
    let mut found = Records::Nothing;
    for record in records {
        match record {
            Record {
                slot: Some(0),
                answer_status: Some(status),
                answer_headers: Some(headers),
                answer_body: Some(body),
                ..
            } => {
                let status = u16::try_from(status).map_err(Error::internal)?;
                let headers = serde_json::from_value(headers).map_err(Error::internal)?;
                return Ok(Records::Answer(Answer { status, headers, body }));
            }
            Record { outcome: Some(outcome), .. } => found = Records::Outcome(outcome),
            _ => {}
        }
    }
    Ok(found)
}

const KEEP_OUTCOME: &str = "
INSERT INTO idempotency_record (tenant_id, actor_id, operation, idempotency_key, slot, request_hash,
                                outcome, created_at, expires_at)
VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, actor_id, operation, idempotency_key, slot) DO UPDATE
   SET request_hash = EXCLUDED.request_hash, outcome = EXCLUDED.outcome,
       created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
 WHERE idempotency_record.expires_at <= EXCLUDED.created_at";

pub(super) async fn keep_outcome(
    tx: &TenantTx,
    naming: &Naming<'_>,
    slot: u16,
    expires_at: DateTime<Utc>,
    outcome: Value,
) -> Result<()> {
    let values = [
        naming.actor.into(),
        naming.operation.into(),
        naming.key.into(),
        number(slot)?.into(),
        naming.request.to_vec().into(),
        outcome.into(),
        naming.now.into(),
        expires_at.into(),
    ];
    if tx.execute_sql(KEEP_OUTCOME, values).await? == 1 {
        return Ok(());
    }
    // The lock keeps others away; without it, the effect must not be made twice all the same.
    Err(Error::Conflict("a request with this idempotency key was made meanwhile".into()))
}

// An answer that is there already stays. Each one that is kept takes a few with it that have ended.
const KEEP_ANSWER: &str = "
WITH ended AS (
  SELECT tenant_id, actor_id, operation, idempotency_key, slot FROM idempotency_record
   WHERE tenant_id = current_tenant() AND expires_at <= $7 AND idempotency_key <> $3
   ORDER BY expires_at LIMIT 16 FOR UPDATE SKIP LOCKED
), purged AS (
  DELETE FROM idempotency_record AS record USING ended
   WHERE record.tenant_id = ended.tenant_id AND record.actor_id = ended.actor_id
     AND record.operation = ended.operation AND record.idempotency_key = ended.idempotency_key
     AND record.slot = ended.slot
)
INSERT INTO idempotency_record (tenant_id, actor_id, operation, idempotency_key, slot, request_hash,
                                answer_status, answer_headers, answer_body, created_at, expires_at)
VALUES (current_tenant(), $1, $2, $3, 0, $4, $5, $6, $9, $7, $8)
ON CONFLICT (tenant_id, actor_id, operation, idempotency_key, slot) DO UPDATE
   SET request_hash = EXCLUDED.request_hash, answer_status = EXCLUDED.answer_status,
       answer_headers = EXCLUDED.answer_headers, answer_body = EXCLUDED.answer_body,
       created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
 WHERE idempotency_record.expires_at <= EXCLUDED.created_at";

pub(super) async fn keep_answer(
    tx: &TenantTx,
    naming: &Naming<'_>,
    expires_at: DateTime<Utc>,
    answer: &Answer,
) -> Result<()> {
    let headers = serde_json::to_value(&answer.headers).map_err(Error::internal)?;
    let values = [
        naming.actor.into(),
        naming.operation.into(),
        naming.key.into(),
        naming.request.to_vec().into(),
        number(answer.status)?.into(),
        headers.into(),
        naming.now.into(),
        expires_at.into(),
        answer.body.clone().into(),
    ];
    tx.execute_sql(KEEP_ANSWER, values).await?;
    Ok(())
}

fn number(number: u16) -> Result<i16> {
    i16::try_from(number).map_err(Error::internal)
}
