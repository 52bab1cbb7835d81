//! How far each sink has come in the trail of a tenant.
//!
//! The order is the ledger's: by transaction, then by sequence. An event is read once every transaction
//! with a lower number has ended: from then on none can come before it, and a cursor leaves none out.

use chrono::{DateTime, Utc};
use entity::audit_event;

use crate::{
    audit::{Event, reading},
    db::{FromRow, TenantTx},
    error::Result,
};

/// A place in the order of the trail.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Position {
    /// The number of the transaction, in decimal.
    transaction: String,
    /// The event's own number.
    sequence: i64,
}

impl Default for Position {
    /// Before the first event.
    fn default() -> Self {
        Self { transaction: "0".to_owned(), sequence: 0 }
    }
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    event: audit_event::Model,
    #[sqlx(flatten)]
    place: Position,
}

const CURSOR: &str =
    "SELECT transaction_id::text AS transaction, sequence FROM siem_cursor WHERE sink = $1";

/// The last event that a sink has; the beginning if it has none.
///
/// # Errors
/// Whatever the database answers.
pub async fn reached(tx: &TenantTx, sink: &str) -> Result<Position> {
    let rows: Vec<Position> = tx.query_sql(CURSOR, [sink.into()]).await?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// The statement for the events after a place.
pub const AFTER: &str = "
SELECT e.*, e.transaction_id::text AS transaction FROM audit_event e
 WHERE (e.transaction_id, e.sequence) > ($1::text::xid8, $2)
   AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY e.transaction_id, e.sequence LIMIT $3";

/// At most `limit` events after `place`, in their order, and the place of the last of them.
///
/// # Errors
/// Whatever the database answers.
pub async fn after(
    tx: &TenantTx,
    place: &Position,
    limit: u32,
) -> Result<(Vec<Event>, Option<Position>)> {
    let values =
        [place.transaction.as_str().into(), place.sequence.into(), i64::from(limit).into()];
    let rows: Vec<Row> = tx.query_sql(AFTER, values).await?;
    let last = rows.last().map(|row| row.place.clone());
    let events = rows.into_iter().map(|row| reading::event(row.event)).collect::<Result<_>>()?;
    Ok((events, last))
}

const LAST: &str = "
SELECT * FROM (
  SELECT e.*, e.transaction_id::text AS transaction FROM audit_event e
   WHERE e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
   ORDER BY e.transaction_id DESC, e.sequence DESC LIMIT greatest($1, 1)) AS latest
 ORDER BY transaction_id, sequence";

/// The last `count` events, in their order, and the place of the last of them.
///
/// # Errors
/// Whatever the database answers.
pub async fn last(tx: &TenantTx, count: u32) -> Result<(Vec<Event>, Position)> {
    let rows: Vec<Row> = tx.query_sql(LAST, [i64::from(count).into()]).await?;
    let place = rows.last().map(|row| row.place.clone()).unwrap_or_default();
    let wanted = rows.into_iter().take(count as usize);
    Ok((wanted.map(|row| reading::event(row.event)).collect::<Result<_>>()?, place))
}

const ADVANCE: &str = "
INSERT INTO siem_cursor (tenant_id, sink, transaction_id, sequence, delivered_at)
VALUES (current_tenant(), $1, $2::text::xid8, $3, $4)
ON CONFLICT (tenant_id, sink) DO UPDATE
  SET transaction_id = excluded.transaction_id, sequence = excluded.sequence,
      delivered_at = excluded.delivered_at
WHERE (siem_cursor.transaction_id, siem_cursor.sequence) < (excluded.transaction_id, excluded.sequence)";

/// Says that a sink has all up to `place`. It never goes back.
///
/// # Errors
/// Whatever the database answers.
pub async fn advance(
    tx: &TenantTx,
    sink: &str,
    place: &Position,
    now: DateTime<Utc>,
) -> Result<()> {
    let values =
        [sink.into(), place.transaction.as_str().into(), place.sequence.into(), now.into()];
    tx.execute_sql(ADVANCE, values).await?;
    Ok(())
}
