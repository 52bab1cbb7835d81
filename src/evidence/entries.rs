//! The leaves of a tile, as they stand in the trail.

use super::{
    model::Position,
    proof::Log,
    store::{EVENT, position},
};
use crate::{
    audit::Event,
    db::{FromRow, TenantTx},
    error::{Error, Result},
};

#[derive(Debug, FromRow)]
struct Ends {
    tile: i64,
    last_transaction: String,
    last_sequence: i64,
}

const ENDS: &str = "
SELECT tile, last_transaction::text AS last_transaction, last_sequence
  FROM evidence_tile WHERE level = 0 AND tile IN ($1 - 1, $1) ORDER BY tile";

#[derive(Debug, FromRow)]
struct Row {
    event: sea_orm::JsonValue,
}

/// The first `width` leaves of the tile with this index, all of which are in the log; none if their
/// events are not all kept any more.
pub(super) async fn of_tile(
    tx: &TenantTx,
    log: &Log,
    index: u64,
    width: usize,
) -> Result<Option<Vec<Vec<u8>>>> {
    let index = i64::try_from(index).map_err(Error::internal)?;
    let ends: Vec<Ends> = tx.query_sql(ENDS, [index.into()]).await?;
    let (mut after, mut until) = (Position::default(), log.head().last);
    for end in ends {
        let last = position(&end.last_transaction, end.last_sequence).map_err(Error::internal)?;
        if end.tile < index { after = last } else { until = until.min(last) }
    }
    let sql = format!(
        "SELECT {EVENT} AS event FROM audit_event
          WHERE (transaction_id, sequence) > ($1::text::xid8, $2)
            AND (transaction_id, sequence) <= ($3::text::xid8, $4)
          ORDER BY transaction_id, sequence LIMIT $5"
    );
    let values = [
        after.transaction.to_string().into(),
        after.sequence.into(),
        until.transaction.to_string().into(),
        until.sequence.into(),
        i64::try_from(width).map_err(Error::internal)?.into(),
    ];
    let rows: Vec<Row> = tx.query_sql(sql, values).await?;
    if rows.len() < width {
        return Ok(None);
    }
    let leaf =
        |row: Row| Ok(serde_json::from_value::<Event>(row.event).map_err(Error::internal)?.leaf());
    rows.into_iter().map(leaf).collect::<Result<_>>().map(Some)
}
