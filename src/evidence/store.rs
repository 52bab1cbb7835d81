//! What the ledger's role reads of the trail, and writes.

use serde::Serialize;

use super::{
    model::{BrokenLog, CompleteTile, Edge, HASH_BYTES, Leaf, Position},
    note::Tree,
};
use crate::{
    audit::model::Event,
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
};

/// An event as it stands in the trail, as the JSON that [`Event`] is read of.
pub(super) const EVENT: &str = "
jsonb_strip_nulls(jsonb_build_object(
  'action', action, 'actor_id', actor_id, 'also', also, 'call_id', call_id, 'calls', calls,
  'class', class, 'correlation_id', correlation_id, 'dataset_id', dataset_id,
  'document_hash', encode(document_hash, 'hex'), 'duration_us', duration_us,
  'error_code', error_code, 'event_id', event_id, 'interface', interface,
  'occurred_at', occurred_at, 'operation_name', operation_name, 'resource', resource,
  'result', result, 'row_count', row_count, 'tenant_id', tenant_id,
  'token_hash', encode(token_hash, 'hex')))";

/// What a log has come to.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) edge: Edge,
    pub(super) root: [u8; HASH_BYTES],
    pub(super) last: Position,
    /// Empty before the first pass.
    pub(super) checkpoint: String,
    /// The last one that went out of the database.
    pub(super) published: Option<String>,
}

impl Head {
    pub(super) const fn tree(&self) -> Tree {
        Tree { size: self.edge.size(), root: self.root }
    }
}

#[derive(Debug, FromRow)]
struct HeadRow {
    size: i64,
    root: Vec<u8>,
    last_transaction: String,
    last_sequence: i64,
    edge: Vec<u8>,
    checkpoint: String,
    published: Option<String>,
}

impl HeadRow {
    fn head(self) -> Result<Head, BrokenLog> {
        let size = u64::try_from(self.size).map_err(|_| BrokenLog::Malformed("a size"))?;
        Ok(Head {
            edge: Edge::read(size, &self.edge)?,
            root: self.root.try_into().map_err(|_| BrokenLog::Malformed("a root"))?,
            last: position(&self.last_transaction, self.last_sequence)?,
            checkpoint: self.checkpoint,
            published: self.published,
        })
    }
}

pub(super) fn position(transaction: &str, sequence: i64) -> Result<Position, BrokenLog> {
    let transaction = transaction.parse().map_err(|_| BrokenLog::Malformed("a transaction"))?;
    Ok(Position { transaction, sequence })
}

// SHA-256 of nothing: the root of an empty tree.
const BEGIN: &str = "
INSERT INTO evidence_head (tenant_id, size, root, last_transaction, last_sequence, edge, checkpoint)
VALUES (current_tenant(), 0, sha256(''), '0', 0, '', '') ON CONFLICT DO NOTHING";

// A statement of its own, so that the events are read by a younger snapshot.
const LOCK: &str = "
SELECT size, root, last_transaction::text, last_sequence, edge, checkpoint, published
  FROM evidence_head FOR UPDATE";

/// The head of the tenant's log, locked until the end of the transaction; a new one if there is none.
pub(super) async fn lock(tx: &TenantTx) -> Result<Head> {
    let mut rows: Vec<HeadRow> = tx.query_sql(LOCK, []).await?;
    if rows.is_empty() {
        tx.execute_sql(BEGIN, []).await?;
        rows = tx.query_sql(LOCK, []).await?;
    }
    let row = rows.pop().ok_or_else(|| Error::internal("the head of a log is gone"))?;
    row.head().map_err(Error::internal)
}

const READ: &str = "
SELECT size, root, last_transaction::text, last_sequence, edge, checkpoint, published
  FROM evidence_head";

/// The head of the tenant's log, if there is one.
pub(super) async fn head(tx: &TenantTx) -> Result<Option<Head>> {
    let row = tx.query_sql::<HeadRow>(READ, []).await?.pop();
    row.map(HeadRow::head).transpose().map_err(Error::internal)
}

const PUBLISHED: &str = "
UPDATE evidence_head SET published_size = $1, published = $2 WHERE published_size < $1";

/// Remembers that a checkpoint went out.
pub(super) async fn published(tx: &TenantTx, size: u64, checkpoint: &str) -> Result<()> {
    let size = i64::try_from(size).map_err(Error::internal)?;
    tx.execute_sql(PUBLISHED, [size.into(), checkpoint.into()]).await?;
    Ok(())
}

#[derive(Debug, FromRow)]
struct LeafRow {
    transaction: String,
    sequence: i64,
    leaf_hash: Option<Vec<u8>>,
    event: Option<sea_orm::JsonValue>,
}

impl LeafRow {
    fn leaf(self) -> Result<Leaf> {
        let position = position(&self.transaction, self.sequence).map_err(Error::internal)?;
        let hash = match (self.leaf_hash, self.event) {
            (Some(hash), _) => hash
                .try_into()
                .map_err(|_| Error::internal(BrokenLog::Malformed("the hash of a leaf")))?,
            (None, event) => {
                let event = event.unwrap_or_default();
                serde_json::from_value::<Event>(event).map_err(Error::internal)?.leaf_hash()
            }
        };
        Ok(Leaf { position, hash })
    }
}

/// The next events of the trail, in order, `limit` at most: those that none can come before any more.
pub(super) async fn next(tx: &TenantTx, after: Position, limit: u32) -> Result<Vec<Leaf>> {
    let sql = format!(
        "SELECT transaction_id::text AS transaction, sequence, leaf_hash,
                CASE WHEN leaf_hash IS NULL THEN {EVENT} END AS event
           FROM audit_event
          WHERE (transaction_id, sequence) > ($1::text::xid8, $2)
            AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
          ORDER BY transaction_id, sequence LIMIT $3"
    );
    let values =
        [after.transaction.to_string().into(), after.sequence.into(), i64::from(limit).into()];
    let rows: Vec<LeafRow> = tx.query_sql(sql, values).await?;
    rows.into_iter().map(LeafRow::leaf).collect()
}

#[derive(Serialize)]
struct TileRow {
    level: u8,
    tile: u64,
    /// Where its hashes begin among those of all tiles.
    at: usize,
    last_transaction: Option<String>,
    last_sequence: Option<i64>,
}

const TILES: &str = "
INSERT INTO evidence_tile (tenant_id, level, tile, hashes, last_transaction, last_sequence)
SELECT current_tenant(), level, tile, substring($2 FROM at + 1 FOR 8192),
       last_transaction::xid8, last_sequence
  FROM jsonb_to_recordset($1) AS made (
    level smallint, tile bigint, at integer, last_transaction text, last_sequence bigint)";

const HEAD: &str = "
UPDATE evidence_head
   SET size = $1, root = $2, last_transaction = $3::text::xid8, last_sequence = $4, edge = $5,
       checkpoint = $6";

/// Writes what a log has come to, and the tiles that were completed on the way.
pub(super) async fn grow(tx: &TenantTx, head: &Head, complete: &[CompleteTile]) -> Result<()> {
    if !complete.is_empty() {
        let mut hashes = Vec::new();
        let mut rows = Vec::new();
        for tile in complete {
            let last = (tile.level == 0).then_some(tile.last);
            rows.push(TileRow {
                level: tile.level,
                tile: tile.index,
                at: hashes.len(),
                last_transaction: last.map(|last| last.transaction.to_string()),
                last_sequence: last.map(|last| last.sequence),
            });
            hashes.extend_from_slice(&tile.hashes);
        }
        tx.execute_sql(TILES, [records(&rows)?, hashes.into()]).await?;
    }
    let size = i64::try_from(head.edge.size()).map_err(Error::internal)?;
    let values = [
        size.into(),
        head.root.to_vec().into(),
        head.last.transaction.to_string().into(),
        head.last.sequence.into(),
        head.edge.bytes().into(),
        head.checkpoint.clone().into(),
    ];
    tx.execute_sql(HEAD, values).await.map(|_| ()).map_err(Error::from)
}
