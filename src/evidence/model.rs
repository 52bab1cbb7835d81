//! A log by itself: its tiles, its right edge, its root.

use std::mem;

use tlog_tiles::{
    tile::Tile,
    tlog::{self, Hash, HashReader},
};

/// How many levels of the tree a tile holds: that of C2SP tlog-tiles.
pub const TILE_HEIGHT: u8 = 8;
/// Hashes in a complete tile.
pub const TILE_HASHES: usize = 1 << TILE_HEIGHT;
/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;
/// Levels of tiles that a log of 2⁶³ leaves has.
const LEVELS: u8 = 8;

/// Why a log cannot be gone on with: what is stored does not agree with itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLog {
    /// The bytes of the tiles that are not complete are not those of a log of this size.
    #[error("the edge of the log does not fit its size {0}")]
    Edge(u64),
    /// The stored root is not the root of the stored tiles.
    #[error("the root of the log is not the one of its tiles")]
    Root,
    /// The checkpoint cannot be read, is another log's, or is not signed by this key.
    #[error("the checkpoint is not one of this log by this key: {0}")]
    Checkpoint(String),
    /// The checkpoint is of another size or root than the log.
    #[error("the checkpoint is of another tree than the log")]
    OtherTree,
    /// A number or a hash that no log has.
    #[error("the log holds what no log can hold: {0}")]
    Malformed(&'static str),
    /// Tiles are missing, or do not hash to what is above them.
    #[error("tiles of the log are missing or do not fit each other: {0}")]
    Tiles(String),
}

impl From<tlog::Error> for BrokenLog {
    fn from(error: tlog::Error) -> Self {
        Self::Tiles(error.to_string())
    }
}

/// Where an event stands in the order of the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The transaction that appended it.
    pub transaction: u64,
    /// Its number.
    pub sequence: i64,
}

/// A leaf to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Where its event stands.
    pub position: Position,
    /// Its hash.
    pub hash: [u8; HASH_BYTES],
}

/// A tile that will not change any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteTile {
    /// 0 is that of the leaves.
    pub level: u8,
    /// Which one of its level.
    pub index: u64,
    /// 256 of them.
    pub hashes: Vec<u8>,
    /// The last event in it.
    pub last: Position,
}

/// The right edge of a log: the tiles that are not complete. With it the log can be appended to, and its
/// root is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    /// The hashes of each level, from the leaves upwards; fewer than a tile has.
    levels: Vec<Vec<u8>>,
}

impl Edge {
    /// That of a log of `size` leaves from its [`Self::bytes`].
    ///
    /// # Errors
    /// [`BrokenLog::Edge`] when they are not as many as such a log has.
    pub fn read(size: u64, mut bytes: &[u8]) -> Result<Self, BrokenLog> {
        let mut levels = Vec::new();
        for level in 0..LEVELS {
            let nodes = size >> (TILE_HEIGHT * level);
            if nodes == 0 {
                break;
            }
            let taken = usize::try_from(nodes % TILE_HASHES as u64).unwrap_or_default();
            let split = bytes.split_at_checked(taken * HASH_BYTES).ok_or(BrokenLog::Edge(size))?;
            levels.push(split.0.to_vec());
            bytes = split.1;
        }
        if bytes.is_empty() { Ok(Self { size, levels }) } else { Err(BrokenLog::Edge(size)) }
    }

    /// All hashes, from the leaves upwards.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.levels.concat()
    }

    /// How many leaves the log has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the tile of `level` that is not complete, and which one of its level it is.
    #[must_use]
    pub fn tile(&self, level: u8) -> Option<(u64, &[u8])> {
        let hashes = self.levels.get(usize::from(level))?;
        Some((self.size >> (TILE_HEIGHT * level) >> TILE_HEIGHT, hashes))
    }

    /// Appends a leaf; what becomes complete by it goes to `complete`.
    pub fn append(&mut self, leaf: &Leaf, complete: &mut Vec<CompleteTile>) {
        let mut hash = leaf.hash;
        for level in 0..LEVELS {
            if self.levels.len() == usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { break };
            hashes.extend_from_slice(&hash);
            if hashes.len() < TILE_HASHES * HASH_BYTES {
                break;
            }
            let hashes = mem::take(hashes);
            hash = Tile::subtree_hash(&hashes).0;
            let index = self.size >> (TILE_HEIGHT * level) >> TILE_HEIGHT;
            complete.push(CompleteTile { level, index, hashes, last: leaf.position });
        }
        self.size += 1;
    }

    /// The root of the tree.
    ///
    /// # Errors
    /// [`BrokenLog`]: none for an edge that was read or appended to.
    pub fn root(&self) -> Result<[u8; HASH_BYTES], BrokenLog> {
        Ok(tlog::tree_hash(self.size, self)?.0)
    }
}

/// The subtrees that a root is made of lie all in tiles that are not complete: a complete one is a
/// single hash in the level above.
impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let hash = |&index: &u64| {
            let tile = Tile::from_index(TILE_HEIGHT, index);
            match self.tile(tile.level()) {
                Some((at, hashes)) if at == tile.level_index() => tile.hash_at_index(hashes, index),
                _ => Err(tlog::Error::InvalidTile),
            }
        };
        indexes.iter().map(hash).collect()
    }
}

#[cfg(test)]
mod tests;
