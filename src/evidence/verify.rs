//! The check of everything that is stored: the events against the leaves, the leaves against the tiles,
//! the tiles against the root, the root against the signed checkpoint and those that were published.
//!
//! Events are looked for in the database and, when their month is gone, in its archives. The first thing
//! that is wrong is named. Events of archives that were deleted cannot be checked, but their leaves are:
//! they are passed over and counted, as many as those archives had and no more, and the trail has to say
//! of each of them that it was deleted.

use std::{collections::VecDeque, sync::Arc};

use uuid::Uuid;

use self::deleted::Deleted;
use super::{
    model::{BrokenLog, Edge, HASH_BYTES, Leaf, Position, TILE_HASHES},
    note::{Signatory, Tree},
    store::{self, Head},
    stored::{self, Kept, Range},
    trail::Trail,
};
use crate::{
    audit::archive::{ArchiveError, Archivist, told_deleted},
    config::Retention,
    db::{Db, TenantTx, operator::DueTenant},
    error::Error,
};

mod deleted;

/// Tiles that are read at once.
const TILES: u32 = 64;

type Hash = [u8; HASH_BYTES];

/// What is wrong with a tenant's evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says in its message what it names")]
pub enum Fault {
    #[error(transparent)]
    Broken(#[from] BrokenLog),
    #[error("leaf {leaf}: the event {event} is not as it was")]
    Altered { leaf: u64, event: Uuid },
    #[error("leaf {leaf}: its event is missing")]
    Missing { leaf: u64 },
    #[error("leaf {leaf}: the events {first} and {second} are in the place of each other")]
    Swapped { leaf: u64, first: Uuid, second: Uuid },
    #[error("leaf {leaf}: the event {event} before it was added afterwards")]
    Added { leaf: u64, event: Uuid },
    #[error("{0}")]
    Archive(String),
    #[error("the archive {0} is gone, and nothing in the trail says that it was deleted")]
    Untold(String),
    #[error("the tile {index} of level {level} is missing or not that of its leaves")]
    Tile { level: u8, index: u64 },
    #[error("the log has {size} leaves, and the checkpoint {name} was published over more")]
    Shorter { size: u64, name: String },
    #[error("the log is another one than that of the published checkpoint {name}")]
    Forked { name: String },
    #[error("the published checkpoint {name}: {why}")]
    Published { name: String, why: BrokenLog },
}

/// Why a log is not verified.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// Something is wrong with it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It cannot be read.
    #[error("it cannot be read: {}", std::error::Error::source(.0).map_or_else(|| .0.to_string(), ToString::to_string))]
    Failed(Error),
}

impl From<Error> for Unverified {
    fn from(error: Error) -> Self {
        match ArchiveError::of(&error) {
            Some(wrong) => Self::Fault(Fault::Archive(wrong.to_string())),
            None => Self::Failed(error),
        }
    }
}

impl From<BrokenLog> for Unverified {
    fn from(error: BrokenLog) -> Self {
        Self::Fault(error.into())
    }
}

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Leaves.
    pub leaves: u64,
    /// Leaves of which the events are in archives, and no longer in the database.
    pub archived: u64,
    /// Leaves of which the events are kept no longer.
    pub gone: u64,
    /// Published checkpoints.
    pub published: u64,
}

/// A checkpoint that was published: its name, and its text.
pub type Published = (String, String);

/// Checks logs.
#[derive(Debug, Clone)]
pub struct Verifier {
    db: Db,
    signatory: Arc<Signatory>,
    archivist: Archivist,
    retention: Retention,
}

impl Verifier {
    /// One for logs that are signed so, and events that are archived and kept so.
    #[must_use]
    pub const fn new(
        db: Db,
        signatory: Arc<Signatory>,
        archivist: Archivist,
        retention: Retention,
    ) -> Self {
        Self { db, signatory, archivist, retention }
    }

    /// Checks a tenant's log.
    ///
    /// # Errors
    /// The first [`Fault`], or what the database or the store answer.
    pub async fn verify(
        &self,
        tenant: &DueTenant,
        published: Vec<Published>,
    ) -> Result<Verified, Unverified> {
        let tx = self.db.of_due(tenant).ledger().await?;
        let trees = trees(&tx, &self.signatory, published)?;
        let Some(head) = store::head(&tx).await? else {
            return match trees.front() {
                Some((name, _)) => Err(Fault::Shorter { size: 0, name: name.clone() }.into()),
                None => Ok(Verified::default()),
            };
        };
        if self.signatory.open(tx.tenant(), &head.checkpoint)? != head.tree() {
            return Err(BrokenLog::OtherTree.into());
        }
        let (mut trail, gone) =
            Trail::begin(&tx, head.last, Range::default(), &self.archivist, tenant).await?;
        let mut deleted = Deleted::new(gone)?;
        let done = compared(&tx, &head, trees, &mut trail, &mut deleted).await?;
        for resource in stored::deleted_after(&tx, head.last).await? {
            deleted.told(&resource);
        }
        match deleted.untold(self.retention) {
            Some(name) => Err(Fault::Untold(name).into()),
            None => Ok(done),
        }
    }
}

/// Compares a log with the events of its trail and with the published trees.
async fn compared(
    tx: &TenantTx,
    head: &Head,
    mut trees: VecDeque<(String, Tree)>,
    trail: &mut Trail<'_>,
    deleted: &mut Deleted,
) -> Result<Verified, Unverified> {
    let mut done = Verified::default();
    let mut leaves = Leaves { tx, head, next: 0, ended: false, ahead: VecDeque::new() };
    let (mut rebuilt, mut complete) = (Edge::default(), Vec::new());
    loop {
        leaves.look().await?;
        trail.look().await?;
        let Some(&hash) = leaves.ahead.front() else { break };
        if let Some(event) = trail.ahead.pop_front_if(|event| event.found == Some(hash)) {
            done.archived += u64::from(event.archived);
            event.event.iter().filter_map(told_deleted).for_each(|archive| deleted.told(archive));
            deleted.pass(event.position);
        } else if !trail.made(&hash) && deleted.had_one_more() {
            done.gone += 1;
        } else {
            return Err(difference(rebuilt.size(), &leaves.ahead, &trail.ahead).into());
        }
        leaves.ahead.pop_front();
        rebuilt.append(&Leaf { position: Position::default(), hash }, &mut complete);
        for tile in complete.drain(..) {
            let stored = stored::tiles(tx, tile.level, tile.index, 1).await?;
            if stored.first() != Some(&tile.hashes) {
                return Err(Fault::Tile { level: tile.level, index: tile.index }.into());
            }
        }
        while let Some((name, tree)) = trees.pop_front_if(|(_, tree)| tree.size == rebuilt.size()) {
            if rebuilt.root()? != tree.root {
                return Err(Fault::Forked { name }.into());
            }
            done.published += 1;
        }
    }
    if let Some(added) = trail.ahead.front() {
        return Err(Fault::Added { leaf: rebuilt.size(), event: added.event_id }.into());
    }
    if rebuilt != head.edge || rebuilt.root()? != head.root {
        return Err(BrokenLog::Root.into());
    }
    if let Some((name, _)) = trees.pop_front() {
        return Err(Fault::Shorter { size: rebuilt.size(), name }.into());
    }
    Ok(Verified { leaves: rebuilt.size(), ..done })
}

/// What published checkpoints say, the smallest tree first.
fn trees(
    tx: &TenantTx,
    signatory: &Signatory,
    published: Vec<Published>,
) -> Result<VecDeque<(String, Tree)>, Fault> {
    let open = |(name, text): Published| match signatory.open(tx.tenant(), &text) {
        Ok(tree) => Ok((name, tree)),
        Err(why) => Err(Fault::Published { name, why }),
    };
    let mut trees: Vec<_> = published.into_iter().map(open).collect::<Result<_, _>>()?;
    trees.sort_by_key(|(_, tree)| tree.size);
    Ok(trees.into())
}

/// What is wrong with the next event, which is not that of the next leaf.
fn difference(leaf: u64, leaves: &VecDeque<Hash>, events: &VecDeque<Kept>) -> Fault {
    let (hash, second) = (leaves.front(), leaves.get(1));
    let Some(event) = events.front() else { return Fault::Missing { leaf } };
    let (found, id) = (event.found.as_ref(), event.event_id);
    let next = events.get(1).filter(|next| next.found.as_ref() == hash);
    if event.made.as_deref() == hash.map(<[u8; HASH_BYTES]>::as_slice) {
        Fault::Altered { leaf, event: id }
    } else if let Some(next) = next.filter(|_| second.is_some() && found == second) {
        Fault::Swapped { leaf, first: id, second: next.event_id }
    } else if events.iter().any(|later| later.found.as_ref() == hash) {
        Fault::Added { leaf, event: id }
    } else if leaves.iter().any(|later| found == Some(later)) {
        Fault::Missing { leaf }
    } else {
        Fault::Altered { leaf, event: id }
    }
}

/// The hashes of a log's leaves, in order; two of them are looked at.
struct Leaves<'t> {
    tx: &'t TenantTx,
    head: &'t Head,
    /// The next tile.
    next: u64,
    ended: bool,
    ahead: VecDeque<Hash>,
}

impl Leaves<'_> {
    async fn look(&mut self) -> Result<(), Unverified> {
        let complete = self.head.edge.size() / TILE_HASHES as u64;
        while self.ahead.len() < 2 && !self.ended {
            if self.next < complete {
                let tiles = stored::tiles(self.tx, 0, self.next, TILES).await?;
                if tiles.is_empty() {
                    return Err(Fault::Tile { level: 0, index: self.next }.into());
                }
                self.next += tiles.len() as u64;
                tiles.iter().for_each(|tile| self.take(tile));
            } else {
                if let Some((_, hashes)) = self.head.edge.tile(0) {
                    self.take(hashes);
                }
                self.ended = true;
            }
        }
        Ok(())
    }

    fn take(&mut self, hashes: &[u8]) {
        self.ahead.extend(hashes.as_chunks().0);
    }
}
