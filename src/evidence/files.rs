//! The log as static files, by the names of C2SP tlog-tiles: `checkpoint`, `tile/<level>/<index>`,
//! `tile/entries/<index>`, and those that are not complete with `.p/<width>`.

use super::{
    entries,
    model::{HASH_BYTES, TILE_HASHES, TILE_HEIGHT},
    proof::Log,
};
use crate::{
    db::TenantTx,
    error::{Error, Result},
};

/// The name of the signed checkpoint.
const CHECKPOINT: &str = "checkpoint";
const TILES: &str = "tile/";
const ENTRIES: &str = "entries";

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// The signed checkpoint of what the log has come to.
    Checkpoint,
    /// Hashes of a level, the leaves' being 0.
    Tile {
        /// The level.
        level: u8,
        /// Which tile of it.
        index: u64,
        /// How many of its hashes, from the first.
        width: usize,
    },
    /// The leaves themselves.
    Entries {
        /// Of which tile of level 0.
        index: u64,
        /// How many of them, from the first.
        width: usize,
    },
}

impl File {
    /// The file by this name, if there can be such a one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == CHECKPOINT {
            return Some(Self::Checkpoint);
        }
        let (kind, rest) = name.strip_prefix(TILES)?.split_once('/')?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => {
                (index, decimal(width).filter(|width| (1..256).contains(width))?)
            }
            None => (rest, TILE_HASHES as u64),
        };
        let (index, width) = (number(index)?, usize::try_from(width).ok()?);
        if kind == ENTRIES {
            return Some(Self::Entries { index, width });
        }
        // There are no more levels for 64 bits.
        let level = decimal(kind).filter(|level| *level < u64::from(64 / TILE_HEIGHT))?;
        Some(Self::Tile { level: u8::try_from(level).ok()?, index, width })
    }

    /// Whether it will never be another one.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Checkpoint)
    }

    /// Its content; none if the log has not come to it, or has it no longer.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(self, tx: &TenantTx) -> Result<Option<Vec<u8>>> {
        let Some(log) = Log::read(tx).await? else { return Ok(None) };
        match self {
            Self::Checkpoint => Ok(Some(log.checkpoint().as_bytes().to_vec())),
            Self::Tile { level, index, width } => {
                let nodes = log.nodes(tx, |wanted| wanted.tile(level, index)).await?;
                let hashes =
                    nodes.tile(level, index).and_then(|hashes| hashes.get(..width * HASH_BYTES));
                Ok(hashes.map(<[u8]>::to_vec))
            }
            Self::Entries { index, width } => {
                let leaves = index.checked_mul(TILE_HASHES as u64);
                let end = leaves.and_then(|leaves| leaves.checked_add(width as u64));
                if end.is_none_or(|end| end > log.tree().size) {
                    return Ok(None);
                }
                let entries = entries::of_tile(tx, &log, index, width).await?;
                entries.map(|entries| bundle(&entries)).transpose()
            }
        }
    }
}

/// A number as it is written, without anything that it could be written without.
fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    (digits && shortest).then(|| text.parse().ok()).flatten()
}

/// The index of a tile: in groups of three digits, all but the last behind an `x`.
fn number(text: &str) -> Option<u64> {
    let (before, last) =
        text.rsplit_once('/').map_or((None, text), |(before, last)| (Some(before), last));
    let groups = before
        .into_iter()
        .flat_map(|before| before.split('/'))
        .map(|group| group.strip_prefix('x'));
    let mut index = 0_u64;
    for group in groups.chain([Some(last)]) {
        let group = group
            .filter(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()))?;
        index = index.checked_mul(1_000)?.checked_add(group.parse().ok()?)?;
    }
    // Without groups in front that say nothing.
    let few = before.is_none_or(|before| !before.starts_with("x000"));
    few.then_some(index)
}

/// Each leaf behind its length in two bytes.
fn bundle(entries: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(Error::internal)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_standard() {
        let tile = |level, index, width| Some(File::Tile { level, index, width });
        let entries = |index, width| Some(File::Entries { index, width });
        for (name, file) in [
            ("checkpoint", Some(File::Checkpoint)),
            ("tile/0/000", tile(0, 0, 256)),
            ("tile/1/x001/234.p/17", tile(1, 1_234, 17)),
            ("tile/7/x001/x234/067", tile(7, 1_234_067, 256)),
            ("tile/entries/x001/x234/067", entries(1_234_067, 256)),
            ("tile/entries/000.p/255", entries(0, 255)),
            ("tile/0/000.p/0", None),
            ("tile/0/000.p/256", None),
            ("tile/0/000.p/", None),
            ("tile/0/0", None),
            ("tile/0/x000/001", None),
            ("tile/8/000", None),
            ("tile/00/000", None),
            ("tile/data/000", None),
            ("tile/8/0/000", None),
            ("tile/-1/000", None),
            ("tile/0/../0/000", None),
            ("tile", None),
            ("", None),
            ("checkpoints", None),
            ("tile/0/x018/x446/x744/x073/x709/x551/616", None),
        ] {
            assert_eq!(File::named(name), file, "{name}");
        }
    }
}
