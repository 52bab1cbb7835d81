//! What is stored, read for those who check it.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{HASH_BYTES, Position},
    store::{EVENT, position},
};
use crate::{
    audit::{
        Deed,
        archive::ArchivedEvent,
        model::{Event, leaf_hash},
    },
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
};

#[derive(Debug, FromRow)]
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

/// An event as it is now, in the database or in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) position: Position,
    pub(super) event_id: Uuid,
    /// Whether it was found in an archive.
    pub(super) archived: bool,
    /// The hash that was made with it; archives have none beside what they say.
    pub(super) made: Option<Vec<u8>>,
    /// What it says; none if that is what no event can.
    pub(super) event: Option<Event>,
    /// The canonical form of that, and its hash.
    pub(super) leaf: Vec<u8>,
    pub(super) found: Option<[u8; HASH_BYTES]>,
}

impl Kept {
    fn of_row(row: Row) -> Result<Self> {
        let event = serde_json::from_value::<Event>(row.event).ok();
        let leaf = event.as_ref().map(Event::leaf);
        Ok(Self {
            position: position(&row.transaction, row.sequence).map_err(Error::internal)?,
            event_id: row.event_id,
            archived: false,
            made: row.leaf_hash,
            found: leaf.as_deref().map(leaf_hash),
            leaf: leaf.unwrap_or_default(),
            event,
        })
    }

    pub(super) fn of_archive(ArchivedEvent { position, leaf, event }: ArchivedEvent) -> Self {
        Self {
            position,
            event_id: event.event_id,
            archived: true,
            made: None,
            found: Some(leaf_hash(&leaf)),
            leaf,
            event: Some(event),
        }
    }
}

/// When events happened that are asked for: not before the first instant, and before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Range {
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
}

impl Range {
    pub(super) fn has(&self, at: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

#[derive(Debug, FromRow)]
struct Row {
    transaction: String,
    sequence: i64,
    event_id: Uuid,
    leaf_hash: Option<Vec<u8>>,
    event: sea_orm::JsonValue,
}

/// The events of a range between two places in the order of the trail, the last one included, `limit`
/// at most.
pub(super) async fn trail(
    tx: &TenantTx,
    (after, until): (Position, Position),
    range: Range,
    limit: u32,
) -> Result<Vec<Kept>> {
    let sql = format!(
        "SELECT transaction_id::text AS transaction, sequence, event_id, leaf_hash, {EVENT} AS event
           FROM audit_event
          WHERE (transaction_id, sequence) > ($1::text::xid8, $2)
            AND (transaction_id, sequence) <= ($3::text::xid8, $4)
            AND ($5::timestamptz IS NULL OR occurred_at >= $5)
            AND ($6::timestamptz IS NULL OR occurred_at < $6)
          ORDER BY transaction_id, sequence LIMIT $7"
    );
    let values = [
        after.transaction.to_string().into(),
        after.sequence.into(),
        until.transaction.to_string().into(),
        until.sequence.into(),
        range.since.into(),
        range.until.into(),
        i64::from(limit).into(),
    ];
    let rows: Vec<Row> = tx.query_sql(sql, values).await?;
    rows.into_iter().map(Kept::of_row).collect()
}

#[derive(Debug, FromRow)]
struct TileOf {
    tile: Option<i64>,
}

#[derive(Serialize)]
struct Place {
    place: usize,
    transaction: String,
    sequence: i64,
}

// The tile of an event is the first one that ends at it or after it.
const TILES_OF: &str = "
SELECT (SELECT tile FROM evidence_tile
         WHERE level = 0
           AND (last_transaction, last_sequence) >= (transaction::xid8, sequence)
         ORDER BY last_transaction, last_sequence LIMIT 1) AS tile
  FROM jsonb_to_recordset($1) AS asked (place bigint, transaction text, sequence bigint)
 ORDER BY place";

/// The tiles of leaves that events at these places are in; none for those in no complete one.
pub(super) async fn tiles_of(tx: &TenantTx, places: &[Position]) -> Result<Vec<Option<u64>>> {
    let place = |(place, at): (usize, &Position)| {
        let (transaction, sequence) = (at.transaction.to_string(), at.sequence);
        Place { place, transaction, sequence }
    };
    let asked: Vec<_> = places.iter().enumerate().map(place).collect();
    let rows: Vec<TileOf> = tx.query_sql(TILES_OF, [records(&asked)?]).await?;
    let tile = |row: TileOf| row.tile.map(u64::try_from).transpose().map_err(Error::internal);
    rows.into_iter().map(tile).collect()
}

#[derive(Debug, FromRow)]
struct Count {
    events: i64,
}

const UNSEQUENCED: &str = "
SELECT count(*) AS events FROM audit_event
 WHERE (transaction_id, sequence) > (
         SELECT coalesce(max(last_transaction), '0'), coalesce(max(last_sequence), 0)
           FROM evidence_head)
   AND ($1::timestamptz IS NULL OR occurred_at >= $1)
   AND ($2::timestamptz IS NULL OR occurred_at < $2)";

/// How many events of a range are in no log yet.
pub(super) async fn unsequenced(tx: &TenantTx, range: Range) -> Result<u64> {
    let rows: Vec<Count> =
        tx.query_sql(UNSEQUENCED, [range.since.into(), range.until.into()]).await?;
    Ok(rows.first().map_or(0, |row| row.events.unsigned_abs()))
}

#[derive(Debug, FromRow)]
struct Told {
    resource: Option<String>,
}

const TOLD: &str = "
SELECT resource FROM audit_event
 WHERE action = $1 AND (transaction_id, sequence) > ($2::text::xid8, $3)";

/// The archives of which the trail tells the end after a place in its order.
pub(super) async fn deleted_after(tx: &TenantTx, after: Position) -> Result<Vec<String>> {
    let action = Deed::ArchiveDelete.as_str();
    let values = [action.into(), after.transaction.to_string().into(), after.sequence.into()];
    let rows: Vec<Told> = tx.query_sql(TOLD, values).await?;
    Ok(rows.into_iter().filter_map(|row| row.resource).collect())
}

#[derive(Debug, FromRow)]
struct One {}

/// Says that the transaction is still wanted: one in which nothing is asked for long is ended.
pub(super) async fn stay(tx: &TenantTx) -> Result<()> {
    let _one: Vec<One> = tx.query_sql("SELECT", []).await?;
    Ok(())
}

#[derive(Debug, FromRow)]
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

// Each by the key: a join would read all of a long log when it thinks that it is short.
const SOME_TILES: &str = "
SELECT asked.level, asked.tile, found.hashes
  FROM jsonb_to_recordset($1) AS asked (level smallint, tile bigint), LATERAL (
    SELECT hashes FROM evidence_tile AS of
     WHERE of.level = asked.level AND of.tile = asked.tile LIMIT 1) AS found";

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
