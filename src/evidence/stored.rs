//! What is stored, read for those who check it.

use std::collections::{BTreeSet, HashMap};

use sea_orm::FromQueryResult;
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{HASH_BYTES, Position},
    store::{EVENT, position},
};
use crate::{
    audit::model::Event,
    db::{TenantTx, records},
    error::{Error, Result},
};

#[derive(Debug, FromQueryResult)]
struct Hashes {
    hashes: Vec<u8>,
}

const TILES: &str = "
SELECT hashes FROM evidence_tile WHERE level = $1 AND tile >= $2 ORDER BY tile LIMIT $3";

/// The complete tiles of a level from this one on, `limit` at most.
pub(super) async fn tiles(tx: &TenantTx, level: u8, from: u64, limit: u32) -> Result<Vec<Vec<u8>>> {
    let from = i64::try_from(from).map_err(Error::internal)?;
    let values = [i32::from(level).into(), from.into(), i64::from(limit).into()];
    let rows: Vec<Hashes> = tx.query_sql(TILES, values).await?;
    Ok(rows.into_iter().map(|row| row.hashes).collect())
}

/// An event as it is in the trail now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) position: Position,
    pub(super) event_id: Uuid,
    /// The hash that was made with it.
    pub(super) made: Option<Vec<u8>>,
    /// The hash of what it says; none if it says what no event can.
    pub(super) found: Option<[u8; HASH_BYTES]>,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    transaction: String,
    sequence: i64,
    event_id: Uuid,
    leaf_hash: Option<Vec<u8>>,
    event: sea_orm::JsonValue,
}

/// The events of the trail between two places in its order, the last one included, `limit` at most.
pub(super) async fn trail(
    tx: &TenantTx,
    after: Position,
    until: Position,
    limit: u32,
) -> Result<Vec<Kept>> {
    let sql = format!(
        "SELECT transaction_id::text AS transaction, sequence, event_id, leaf_hash, {EVENT} AS event
           FROM audit_event
          WHERE (transaction_id, sequence) > ($1::text::xid8, $2)
            AND (transaction_id, sequence) <= ($3::text::xid8, $4)
          ORDER BY transaction_id, sequence LIMIT $5"
    );
    let values = [
        after.transaction.to_string().into(),
        after.sequence.into(),
        until.transaction.to_string().into(),
        until.sequence.into(),
        i64::from(limit).into(),
    ];
    let rows: Vec<Row> = tx.query_sql(sql, values).await?;
    let kept = |row: Row| {
        Ok(Kept {
            position: position(&row.transaction, row.sequence).map_err(Error::internal)?,
            event_id: row.event_id,
            made: row.leaf_hash,
            found: serde_json::from_value::<Event>(row.event).ok().map(|event| event.leaf_hash()),
        })
    };
    rows.into_iter().map(kept).collect()
}

#[derive(Debug, FromQueryResult)]
struct Forgotten {
    forgotten: bool,
}

// The history before all months goes with the first of them.
const FORGOTTEN: &str = "SELECT to_regclass('audit_event_api_history') IS NULL AS forgotten";

/// Whether months of events have gone because they are kept no longer.
pub(super) async fn has_forgotten(tx: &TenantTx) -> Result<bool> {
    let rows: Vec<Forgotten> = tx.query_sql(FORGOTTEN, []).await?;
    Ok(rows.first().is_some_and(|row| row.forgotten))
}

#[derive(Debug, FromQueryResult)]
struct OneTile {
    level: i16,
    tile: i64,
    hashes: Vec<u8>,
}

#[derive(Serialize)]
struct Asked {
    level: u8,
    tile: u64,
}

const SOME_TILES: &str = "
SELECT level, tile, hashes
  FROM jsonb_to_recordset($1) AS asked (level smallint, tile bigint)
  JOIN evidence_tile USING (level, tile)";

/// These complete tiles, as far as they are there, by level and index.
pub(super) async fn some_tiles(
    tx: &TenantTx,
    wanted: &BTreeSet<(u8, u64)>,
) -> Result<HashMap<(u8, u64), Vec<u8>>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let asked: Vec<_> = wanted.iter().map(|&(level, tile)| Asked { level, tile }).collect();
    let rows: Vec<OneTile> = tx.query_sql(SOME_TILES, [records(&asked)?]).await?;
    let tile = |row: OneTile| {
        let level = u8::try_from(row.level).map_err(Error::internal)?;
        Ok(((level, u64::try_from(row.tile).map_err(Error::internal)?), row.hashes))
    };
    rows.into_iter().map(tile).collect()
}
