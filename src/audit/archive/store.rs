//! What is read of the trail for archives, and what is recorded of them.

use chrono::{DateTime, Months, NaiveDate, Utc};
use sha2::{Digest, Sha256};

use super::lines::{Lines, Placed};
use crate::{
    audit::{Class, model::Event},
    db::{FromRow, TenantTx},
    error::{Error, Result},
    evidence::model::Position,
};

/// An archive: one part of a month of a tenant's events.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Archive {
    /// `API` or `SCHEMA`.
    pub class: String,
    /// The first day of the month that it went with.
    pub month: NaiveDate,
    /// Which part of it, from 1.
    pub part: i32,
    /// The object's name.
    pub object: String,
    /// How many events are in it.
    pub events: i64,
    /// The earliest of them.
    pub first_at: DateTime<Utc>,
    /// The latest of them.
    pub last_at: DateTime<Utc>,
    pub(super) last_transaction: String,
    pub(super) last_sequence: i64,
    /// SHA-256 of the lines.
    pub lines_hash: Vec<u8>,
    /// SHA-256 of the object.
    pub object_hash: Vec<u8>,
    /// The object's size.
    pub object_bytes: i64,
}

impl Archive {
    pub(super) fn new(
        (class, month, part): (Class, NaiveDate, i32),
        object: String,
        lines: &Lines,
        stored: &[u8],
    ) -> Self {
        let mark = lines.mark();
        let first_at = mark.map_or(DateTime::UNIX_EPOCH, |mark| mark.first_at);
        let last_at = mark.map_or(DateTime::UNIX_EPOCH, |mark| mark.last_at);
        Self {
            class: class.as_str().to_owned(),
            month,
            part,
            object,
            events: lines.events().try_into().unwrap_or(i64::MAX),
            first_at,
            last_at,
            last_transaction: mark.map_or(0, |mark| mark.transaction).to_string(),
            last_sequence: mark.map_or(0, |mark| mark.sequence),
            lines_hash: Sha256::digest(&lines.text).to_vec(),
            object_hash: Sha256::digest(stored).to_vec(),
            object_bytes: stored.len().try_into().unwrap_or(i64::MAX),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_test(
        (class, month): (Class, NaiveDate),
        object: String,
        events: i64,
        last_at: DateTime<Utc>,
        last: Position,
    ) -> Self {
        Self {
            class: class.as_str().to_owned(),
            month,
            part: 1,
            object,
            events,
            first_at: last_at,
            last_at,
            last_transaction: last.transaction.to_string(),
            last_sequence: last.sequence,
            lines_hash: Vec::new(),
            object_hash: Vec::new(),
            object_bytes: 0,
        }
    }

    /// Whether these bytes are the object that was recorded.
    pub(super) fn is_of(&self, stored: &[u8]) -> bool {
        *Sha256::digest(stored) == *self.object_hash
    }

    /// The first day after its month.
    #[must_use]
    pub fn following(&self) -> NaiveDate {
        self.month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX)
    }

    /// Where its last event stands in the ledger's order.
    ///
    /// # Errors
    /// [`Error::Internal`] for what is no number.
    pub fn last(&self) -> Result<Position> {
        let transaction = self.last_transaction.parse().map_err(Error::internal)?;
        Ok(Position { transaction, sequence: self.last_sequence })
    }

    /// As the trail names it: with the hash of its lines, which is so in the ledger too.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("{}#sha256:{}", self.object, hex::encode(&self.lines_hash))
    }
}

/// An event as it stands in the trail, as the JSON that [`Event`] is read of.
const NEXT: &str = "
SELECT transaction_id::text AS transaction, sequence, leaf_hash, jsonb_strip_nulls(jsonb_build_object(
         'action', action, 'actor_id', actor_id, 'also', also, 'call_id', call_id, 'calls', calls,
         'class', class, 'correlation_id', correlation_id, 'dataset_id', dataset_id,
         'document_hash', encode(document_hash, 'hex'), 'duration_us', duration_us,
         'error_code', error_code, 'event_id', event_id, 'interface', interface,
         'occurred_at', occurred_at, 'operation_name', operation_name, 'resource', resource,
         'result', result, 'row_count', row_count, 'tenant_id', tenant_id,
         'token_hash', encode(token_hash, 'hex'))) AS event
  FROM audit_event
 WHERE class = $1 AND occurred_at < $2
   AND (transaction_id, sequence) > ($3::text::xid8, $4)
   AND (transaction_id, sequence) <= (SELECT last_transaction, last_sequence FROM evidence_head)
 ORDER BY transaction_id, sequence LIMIT $5";

#[derive(Debug, FromRow)]
struct Row {
    transaction: String,
    sequence: i64,
    leaf_hash: Option<Vec<u8>>,
    event: sea_orm::JsonValue,
}

impl Row {
    fn placed(self) -> Result<Placed> {
        Ok(Placed {
            event: serde_json::from_value::<Event>(self.event).map_err(Error::internal)?,
            transaction: self.transaction.parse().map_err(Error::internal)?,
            sequence: self.sequence,
            leaf_hash: self.leaf_hash,
        })
    }
}

/// The next events of a class from before an instant, in the order of the ledger: those that
/// are in it.
pub(super) async fn next(
    tx: &TenantTx,
    class: Class,
    before: DateTime<Utc>,
    last: Option<&Archive>,
    limit: u32,
) -> Result<Vec<Placed>> {
    let (transaction, sequence) =
        last.map_or(("0", 0), |last| (last.last_transaction.as_str(), last.last_sequence));
    let values = [
        class.as_str().into(),
        before.into(),
        transaction.into(),
        sequence.into(),
        i64::from(limit).into(),
    ];
    let rows: Vec<Row> = tx.query_sql(NEXT, values).await?;
    rows.into_iter().map(Row::placed).collect()
}

const ARCHIVES: &str = "
SELECT class, month, part, object, events, first_at, last_at, last_transaction::text, last_sequence,
       lines_hash, object_hash, object_bytes
  FROM audit_archive";

/// The archives of a month, in order.
pub(super) async fn of_month(
    tx: &TenantTx,
    class: Class,
    month: NaiveDate,
) -> Result<Vec<Archive>> {
    let sql = format!("{ARCHIVES} WHERE class = $1 AND month = $2 ORDER BY part");
    Ok(tx.query_sql(sql, [class.as_str().into(), month.into()]).await?)
}

/// All archives of the tenant, in order.
pub(super) async fn all(tx: &TenantTx) -> Result<Vec<Archive>> {
    Ok(tx.query_sql(format!("{ARCHIVES} ORDER BY class, month, part"), []).await?)
}

const RECORD: &str = "
INSERT INTO audit_archive
  (tenant_id, class, month, part, object, events, first_at, last_at, last_transaction, last_sequence,
   lines_hash, object_hash, object_bytes, archived_at)
VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8::text::xid8, $9, $10, $11, $12, $13)";

/// Records an archive.
pub(super) async fn record(tx: &TenantTx, archive: &Archive, at: DateTime<Utc>) -> Result<()> {
    let values = [
        archive.class.as_str().into(),
        archive.month.into(),
        archive.part.into(),
        archive.object.as_str().into(),
        archive.events.into(),
        archive.first_at.into(),
        archive.last_at.into(),
        archive.last_transaction.as_str().into(),
        archive.last_sequence.into(),
        archive.lines_hash.clone().into(),
        archive.object_hash.clone().into(),
        archive.object_bytes.into(),
        at.into(),
    ];
    tx.execute_sql(RECORD, values).await?;
    Ok(())
}
