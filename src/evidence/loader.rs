//! The place of events in the ledger, and the proof of it, for all events of an answer at once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tlog_tiles::tlog;
use uuid::Uuid;

use super::{
    model::{BrokenLog, HASH_BYTES, Position, TILE_HASHES},
    proof::{Inclusion, Log},
    store::position,
};
use crate::{
    audit::Event,
    batch::{BatchRead, Batched},
    call::Call,
    db::{FromRow, Lent, TenantTx, records},
    error::{Error, Result},
};

/// An event as it says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Said {
    occurred_at: DateTime<Utc>,
    event_id: Uuid,
    leaf_hash: [u8; HASH_BYTES],
}

impl Said {
    /// What this event says.
    #[must_use]
    pub fn by(event: &Event) -> Self {
        let Event { occurred_at, event_id, .. } = *event;
        Self { occurred_at, event_id, leaf_hash: event.leaf_hash() }
    }
}

/// The proof that an event is in the ledger; none while it waits to be put there.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The proof, in the tree of the checkpoint.
    pub inclusion: Inclusion,
    /// The signed checkpoint.
    pub checkpoint: std::sync::Arc<str>,
}

/// Proofs by event.
#[derive(Debug)]
pub struct OfEvent;

/// The loader of proofs by event.
pub type Proofs = Batched<OfEvent>;

impl BatchRead for OfEvent {
    type Key = Said;
    type Value = Proven;

    async fn begin(call: &Call) -> Result<Lent> {
        call.db().read_trail().await.map(Lent::from)
    }

    async fn read(tx: &TenantTx, keys: &[Said]) -> Result<HashMap<Said, Proven>> {
        let Some(log) = Log::read(tx).await? else { return Ok(HashMap::new()) };
        let tiles = tiles(tx, &log, keys).await?;
        let size = log.tree().size;
        let nodes = log.nodes(tx, |wanted| {
            for &tile in tiles.values() {
                wanted.tile(0, tile);
                // The path above it is that of its first leaf.
                let _ = tlog::prove_record(size, tile * TILE_HASHES as u64, wanted);
            }
        });
        let nodes = nodes.await?;
        let checkpoint: std::sync::Arc<str> = log.checkpoint().into();
        let proof = |said: &Said| {
            let Some(&tile) = tiles.get(&said.event_id) else { return Ok(None) };
            let leaf_hash = said.leaf_hash;
            let Some(leaf_index) = nodes.leaf(tile, &leaf_hash) else {
                tracing::error!(event = %said.event_id, tile, "an event is not the one of its leaf");
                return Err(Error::internal(BrokenLog::Malformed("an event that was changed")));
            };
            let hashes = tlog::prove_record(size, leaf_index, &nodes).map_err(BrokenLog::from);
            let hashes = hashes.map_err(Error::internal)?.into_iter().map(|hash| hash.0).collect();
            let inclusion = Inclusion { leaf_index, leaf_hash, tree: log.tree(), hashes };
            Ok(Some((*said, Proven { inclusion, checkpoint: checkpoint.clone() })))
        };
        keys.iter().filter_map(|said| proof(said).transpose()).collect()
    }
}

#[derive(Serialize)]
struct Asked {
    occurred_at: DateTime<Utc>,
    event_id: Uuid,
}

#[derive(Debug, FromRow)]
struct Placed {
    event_id: Uuid,
    transaction: String,
    sequence: i64,
    tile: Option<i64>,
}

// The tile of an event is the first one that ends at it or after it.
const TILES: &str = "
SELECT event_id, transaction_id::text AS transaction, sequence, (
         SELECT tile FROM evidence_tile
          WHERE level = 0
            AND (last_transaction, last_sequence) >= (transaction_id, sequence)
          ORDER BY last_transaction, last_sequence LIMIT 1) AS tile
  FROM jsonb_to_recordset($1) AS asked (occurred_at timestamptz, event_id uuid)
  JOIN audit_event USING (occurred_at, event_id)";

/// The tiles of the leaves of those events that are in the log.
async fn tiles(tx: &TenantTx, log: &Log, keys: &[Said]) -> Result<HashMap<Uuid, u64>> {
    let asked = |said: &Said| Asked { occurred_at: said.occurred_at, event_id: said.event_id };
    let asked: Vec<_> = keys.iter().map(asked).collect();
    let rows: Vec<Placed> = tx.query_sql(TILES, [records(&asked)?]).await?;
    let mut tiles = HashMap::new();
    for row in rows {
        let place: Position = position(&row.transaction, row.sequence).map_err(Error::internal)?;
        if place > log.head().last {
            continue;
        }
        let open = log.tree().size / TILE_HASHES as u64;
        let tile = row.tile.map(u64::try_from).transpose().map_err(Error::internal)?;
        // One that was completed since the head was read is still the open one in its tree.
        tiles.insert(row.event_id, tile.map_or(open, |tile| tile.min(open)));
    }
    Ok(tiles)
}
