//! Proofs: that a leaf is in a log, and that a log is the beginning of a later one (RFC 6962 §2.1).
//!
//! What a proof is made of lies in few tiles, which are known beforehand: they are read in one statement
//! for as many proofs as are wanted. Tiles only grow, so that proofs in the tree of a head that was read
//! before them fit it.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tlog_tiles::{
    tile::Tile,
    tlog::{self, Hash, HashReader},
};

use super::{
    model::{BrokenLog, HASH_BYTES, TILE_HASHES, TILE_HEIGHT},
    note::Tree,
    store::{self, Head},
    stored,
};
use crate::{
    db::TenantTx,
    error::{Error, Result},
};

/// A proof that a leaf is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// Which leaf, from 0.
    pub leaf_index: u64,
    /// Its hash.
    pub leaf_hash: [u8; HASH_BYTES],
    /// The tree.
    pub tree: Tree,
    /// The audit path, from the leaf upwards.
    pub hashes: Vec<[u8; HASH_BYTES]>,
}

impl Inclusion {
    /// The proof with the signed checkpoint of its tree, as one text (C2SP tlog-proof).
    #[must_use]
    pub fn with_checkpoint(&self, checkpoint: &str) -> String {
        let path: String = self.hashes.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
        format!("c2sp.org/tlog-proof@v1\nindex {}\n{path}\n{checkpoint}", self.leaf_index)
    }
}

/// A proof that a tree is the beginning of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// The earlier tree.
    pub from: Tree,
    /// The later one.
    pub to: Tree,
    /// The nodes that both roots are made of.
    pub hashes: Vec<[u8; HASH_BYTES]>,
}

/// A tenant's log as it was when it was read.
#[derive(Debug, Clone)]
pub struct Log(Head);

impl Log {
    /// The log of the transaction's tenant, if there is one.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(tx: &TenantTx) -> Result<Option<Self>> {
        Ok(store::head(tx).await?.map(Self))
    }

    /// Its size and root.
    #[must_use]
    pub const fn tree(&self) -> Tree {
        self.0.tree()
    }

    /// The signed checkpoint of [`Self::tree`].
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.0.checkpoint
    }

    /// The last checkpoint that went out of the database.
    #[must_use]
    pub fn published(&self) -> Option<&str> {
        self.0.published.as_deref()
    }

    pub(super) const fn head(&self) -> &Head {
        &self.0
    }

    /// The proof that a leaf is in the tree of the first `size` leaves.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] if there is no such leaf in it or no such tree yet.
    pub async fn inclusion(&self, tx: &TenantTx, leaf_index: u64, size: u64) -> Result<Inclusion> {
        self.has("treeSize", size)?;
        if leaf_index >= size {
            return Err(Error::bad_input("leafIndex", "is not less than the size of the tree"));
        }
        let own = tlog::stored_hash_index(0, leaf_index);
        let proof = |reader: &Wanted| {
            let _ = tlog::prove_record(size, leaf_index, reader);
            let _ = tlog::tree_hash(size, reader);
            let _ = reader.read_hashes(&[own]);
        };
        let nodes = self.nodes(tx, proof).await?;
        let leaf_hash = nodes.hash(own)?;
        let hashes = tlog::prove_record(size, leaf_index, &nodes).map_err(broken)?;
        let root = tlog::tree_hash(size, &nodes).map_err(broken)?.0;
        let tree = Tree { size, root };
        Ok(Inclusion { leaf_index, leaf_hash, tree, hashes: bytes(hashes) })
    }

    /// The audit paths of leaves in [`Self::tree`], in their order.
    ///
    /// # Errors
    /// What the database answers, and [`Error::Internal`] for leaves that are not in it.
    pub async fn paths(&self, tx: &TenantTx, leaves: &[u64]) -> Result<Vec<Vec<[u8; HASH_BYTES]>>> {
        let size = self.tree().size;
        let wanted = |reader: &Wanted| {
            for &leaf in leaves {
                let _ = tlog::prove_record(size, leaf, reader);
            }
        };
        let nodes = self.nodes(tx, wanted).await?;
        let path = |&leaf: &u64| Ok(bytes(tlog::prove_record(size, leaf, &nodes).map_err(broken)?));
        leaves.iter().map(path).collect()
    }

    /// The proof that the tree of the first `from` leaves is the beginning of that of the first `to`.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for sizes that are none, or not yet.
    pub async fn consistency(&self, tx: &TenantTx, from: u64, to: u64) -> Result<Consistency> {
        self.has("to", to)?;
        if from == 0 || from > to {
            return Err(Error::bad_input("from", "must be from 1 to the size of the later tree"));
        }
        let proof = |reader: &Wanted| {
            let _ = tlog::prove_tree(to, from, reader);
            let _ = tlog::tree_hash(from, reader);
            let _ = tlog::tree_hash(to, reader);
        };
        let nodes = self.nodes(tx, proof).await?;
        let tree = |size| {
            let root = tlog::tree_hash(size, &nodes).map_err(broken)?.0;
            Ok::<_, Error>(Tree { size, root })
        };
        let hashes = tlog::prove_tree(to, from, &nodes).map_err(broken)?;
        Ok(Consistency { from: tree(from)?, to: tree(to)?, hashes: bytes(hashes) })
    }

    fn has(&self, field: &'static str, size: u64) -> Result<()> {
        match self.tree().size {
            there if size <= there => Ok(()),
            there => Err(Error::bad_input(field, format!("is more than the log has: {there}"))),
        }
    }

    /// Whether a tile is complete in this log; those that are not are its edge.
    pub(super) const fn has_complete(&self, level: u8, index: u64) -> bool {
        index < self.0.edge.size() >> (TILE_HEIGHT * level) >> TILE_HEIGHT
    }

    /// Everything that `proof` asks a reader for.
    pub(super) async fn nodes(&self, tx: &TenantTx, proof: impl Fn(&Wanted)) -> Result<Nodes<'_>> {
        let wanted = Wanted::default();
        proof(&wanted);
        let mut tiles = wanted.0.into_inner();
        tiles.retain(|&(level, index)| self.has_complete(level, index));
        let tiles = stored::some_tiles(tx, &tiles).await?;
        Ok(Nodes { head: &self.0, tiles })
    }
}

fn broken(error: tlog::Error) -> Error {
    Error::internal(BrokenLog::from(error))
}

fn bytes(hashes: Vec<Hash>) -> Vec<[u8; HASH_BYTES]> {
    hashes.into_iter().map(|hash| hash.0).collect()
}

/// Finds out which tiles a proof is made of: reads nothing, and so nothing comes of the proof.
#[derive(Default)]
pub(super) struct Wanted(RefCell<BTreeSet<(u8, u64)>>);

impl Wanted {
    /// This tile.
    pub(super) fn tile(&self, level: u8, index: u64) {
        self.0.borrow_mut().insert((level, index));
    }
}

impl HashReader for Wanted {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        for &index in indexes {
            let tile = Tile::from_index(TILE_HEIGHT, index);
            self.tile(tile.level(), tile.level_index());
        }
        Err(tlog::Error::InvalidTile)
    }
}

/// Tiles that were read, and the edge.
pub(super) struct Nodes<'l> {
    head: &'l Head,
    tiles: HashMap<(u8, u64), Vec<u8>>,
}

impl Nodes<'_> {
    /// The hashes of a tile, as far as the log has them.
    pub(super) fn tile(&self, level: u8, index: u64) -> Option<&[u8]> {
        match self.tiles.get(&(level, index)) {
            Some(hashes) => Some(hashes),
            None => self.head.edge.tile(level).filter(|tile| tile.0 == index).map(|tile| tile.1),
        }
    }

    /// Which leaf has this hash, if it is in this tile of leaves.
    pub(super) fn leaf(&self, tile: u64, hash: &[u8; HASH_BYTES]) -> Option<u64> {
        let (hashes, _) = self.tile(0, tile)?.as_chunks();
        let place = hashes.iter().position(|there| there == hash)?;
        Some(tile * TILE_HASHES as u64 + place as u64)
    }

    fn hash(&self, index: u64) -> Result<[u8; HASH_BYTES]> {
        let hashes = self.read_hashes(&[index]).map_err(broken)?;
        let first = hashes.first().ok_or_else(|| broken(tlog::Error::InvalidTile))?;
        Ok(first.0)
    }
}

impl HashReader for Nodes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let hash = |&index: &u64| {
            let tile = Tile::from_index(TILE_HEIGHT, index);
            let hashes = self.tile(tile.level(), tile.level_index());
            tile.hash_at_index(hashes.ok_or(tlog::Error::InvalidTile)?, index)
        };
        indexes.iter().map(hash).collect()
    }
}
