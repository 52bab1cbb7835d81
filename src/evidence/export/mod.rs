//! Events that anybody can check without us: a bundle of one tenant's events of a time, in the ledger's
//! order, each with what shows that it is in the log that was signed. // S17
//!
//! A bundle is a `.tar.gz` of four files: `manifest`, a signed note that tells of the others; `key`, the
//! public key; `checkpoint`, the signed tree that all proofs are for; and `events.ndjson`, a line for each
//! event. The events are in the database or, where months are gone, in archives. However many there are,
//! they are not in memory.
//!
//! Invariants: what is committed and of that time is in the bundle, or there is no bundle: what is not in
//! the log yet is put there first, and archives that were deleted are named in the manifest. No bundle is
//! there before the trail tells of it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tlog_tiles::tlog::{self, Hash, HashReader};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use uuid::Uuid;

use self::{line::Evidence, manifest::Manifest};
use super::{
    Signatory,
    model::{BrokenLog, TILE_HASHES},
    proof::{Log, Nodes, Wanted},
    sequencer::Sequencer,
    stored::{self, Kept, Range},
    trail::Trail,
};
use crate::{
    audit::{
        Deed, OwnEntry, OwnTask, append_own,
        archive::{Archive, Archivist},
    },
    clock::SharedClock,
    db::{Db, TenantTx, operator::DueTenant},
    error::Error,
};

pub mod check;
mod line;
pub mod manifest;
mod pack;

/// The files of a bundle, in their order.
const MANIFEST: &str = "manifest";
const KEY: &str = "key";
const CHECKPOINT: &str = "checkpoint";
const EVENTS: &str = "events.ndjson";

/// How long events are waited for that are not in the log yet, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Events that are proved at once.
const BATCH: usize = 1_024;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Something of the log does not fit what was signed.
    #[error("the log is not the one that was signed: {0} (see `drr audit verify`)")]
    Broken(#[from] BrokenLog),
    /// An event is not what it was when it was made, or its leaf is not in the log.
    #[error("the event {0} is not the one of the log (see `drr audit verify`)")]
    NotInLog(Uuid),
    /// The log cannot take events, because a transaction has been open for long.
    #[error("{0} events of that time are not in the log after a minute: try again")]
    Waiting(u64),
    /// The end is not after the beginning.
    #[error("nothing is between {0} and {1}")]
    Nothing(DateTime<Utc>, DateTime<Utc>),
    /// The tenant has no event.
    #[error("there is nothing in the log")]
    NoLog,
    /// There is a file of this name.
    #[error("{0} is there already")]
    WasThere(PathBuf),
    /// The bundle cannot be written.
    #[error("the bundle cannot be written: {0}")]
    Unwritten(#[from] io::Error),
    /// The database or the store do not answer.
    #[error("{}", std::error::Error::source(.0).map_or_else(|| .0.to_string(), ToString::to_string))]
    Failed(#[from] Error),
}

/// Makes bundles.
#[derive(Debug, Clone)]
pub struct Exporter {
    db: Db,
    clock: SharedClock,
    signatory: Arc<Signatory>,
    archivist: Archivist,
}

impl Exporter {
    /// One for logs that are signed so, and events that are archived so.
    #[must_use]
    pub const fn new(
        db: Db,
        clock: SharedClock,
        signatory: Arc<Signatory>,
        archivist: Archivist,
    ) -> Self {
        Self { db, clock, signatory, archivist }
    }

    /// Makes a bundle of a tenant's events that happened not before `since` and before `until`, which is
    /// now unless it is earlier; at `path`, where nothing may be.
    ///
    /// # Errors
    /// [`ExportError`]; there is no bundle then.
    pub async fn export(
        &self,
        tenant: &DueTenant,
        (since, until): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        path: &Path,
    ) -> Result<Manifest, ExportError> {
        let now = self.clock.now();
        let until = until.map_or(now, |until| until.min(now));
        if let Some(since) = since.filter(|since| *since >= until) {
            return Err(ExportError::Nothing(since, until));
        }
        if path.exists() {
            return Err(ExportError::WasThere(path.to_owned()));
        }
        let range = Range { since, until: Some(until) };
        let gathered = self.gather(tenant, range, path).await?;
        let manifest = self.manifest(tenant, &gathered, (since, until), now);
        let text = manifest.text().map_err(Error::internal)?;
        let signed = self.signatory.sign_text(tenant.tenant(), text.as_bytes())?;
        let hash = hex::encode(Sha256::digest(&signed));
        let made_at = now.timestamp().unsigned_abs();
        let path = path.to_owned();
        let pack = move || pack::Packed::of(&signed, gathered, made_at, &path);
        let packed = spawn_blocking(pack).await.map_err(Error::internal)??;
        self.tell(tenant, &manifest, &hash).await?;
        packed.keep()?;
        Ok(manifest)
    }

    /// Writes the events of a range as lines that nobody else sees.
    async fn gather(
        &self,
        tenant: &DueTenant,
        range: Range,
        path: &Path,
    ) -> Result<Gathered, ExportError> {
        self.settle(tenant, range).await?;
        let tx = self.db.of_due(tenant).ledger().await?;
        let log = Log::read(&tx).await?.ok_or(ExportError::NoLog)?;
        if self.signatory.open(tx.tenant(), log.checkpoint())? != log.tree() {
            return Err(BrokenLog::OtherTree.into());
        }
        let mut lines = pack::Lines::new(pack::folder(path))?;
        let (mut trail, deleted) =
            Trail::begin(&tx, log.head().last, range, &self.archivist, tenant).await?;
        loop {
            let batch = trail.batch(BATCH).await?;
            if batch.is_empty() {
                break;
            }
            write(&tx, &log, &batch, &mut lines).await?;
        }
        let (events, (told, lines)) = (lines.count, lines.done()?);
        let key = format!("{}\n", self.signatory.verifier_key(tenant.tenant()));
        let had = |archive: Archive| (archive.object, archive.events.unsigned_abs());
        let deleted = deleted.into_iter().map(had).collect();
        // The one that was published has what witnesses added, if it is of the same tree.
        let of_tree = |text: &&str| self.signatory.open(tx.tenant(), text) == Ok(log.tree());
        let published = log.published().filter(of_tree);
        let checkpoint = published.unwrap_or(log.checkpoint()).to_owned();
        Ok(Gathered { key, checkpoint, events, told, lines, deleted })
    }

    /// Waits until what happened in a range is in the log, putting it there.
    async fn settle(&self, tenant: &DueTenant, range: Range) -> Result<(), ExportError> {
        let (db, clock) = (self.db.clone(), self.clock.clone());
        let sequencer = Sequencer::new(db, clock, self.signatory.clone());
        let mut left = 0;
        let settled = async {
            loop {
                sequencer.catch_up(tenant).await?;
                let tx = self.db.of_due(tenant).ledger().await?;
                left = stored::unsequenced(&tx, range).await?;
                if left == 0 {
                    return Ok::<_, Error>(());
                }
                drop(tx);
                sleep(LOOK_EVERY).await;
            }
        };
        match timeout(PATIENCE, settled).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(ExportError::Waiting(left)),
        }
    }

    fn manifest(
        &self,
        tenant: &DueTenant,
        gathered: &Gathered,
        (since, until): (Option<DateTime<Utc>>, DateTime<Utc>),
        made_at: DateTime<Utc>,
    ) -> Manifest {
        let files = [
            (KEY, pack::told(gathered.key.as_bytes())),
            (CHECKPOINT, pack::told(gathered.checkpoint.as_bytes())),
            (EVENTS, gathered.told.clone()),
        ];
        Manifest {
            log: self.signatory.origin(tenant.tenant()),
            tenant: tenant.tenant().to_string(),
            since,
            until,
            events: gathered.events,
            deleted: gathered.deleted.clone(),
            made_at,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            files: files.map(|(name, file)| (name.to_owned(), file)).into(),
        }
    }

    /// Says in the trail what is in the bundle.
    async fn tell(
        &self,
        tenant: &DueTenant,
        manifest: &Manifest,
        hash: &str,
    ) -> Result<(), ExportError> {
        let since = manifest.since.map_or_else(|| "..".to_owned(), |since| since.to_rfc3339());
        let (until, events) = (manifest.until.to_rfc3339(), manifest.events);
        let resource = format!("export:{since}/{until} events:{events} manifest:sha256:{hash}");
        let task = OwnTask::exporter(self.clock.as_ref(), self.clock.now());
        let entry =
            OwnEntry { deed: Deed::TrailExport, dataset_id: None, resource: Some(resource) };
        let tx = self.db.of_due(tenant).write().await?;
        append_own(&tx, &task, &[entry]).await?;
        Ok(tx.commit().await?)
    }
}

/// What a bundle is made of.
#[derive(Debug)]
struct Gathered {
    key: String,
    checkpoint: String,
    events: u64,
    /// What the manifest says of the lines, and themselves.
    told: manifest::File,
    lines: File,
    /// Archives that were deleted, and how many events they had.
    deleted: BTreeMap<String, u64>,
}

/// Writes events as lines, each with its proof.
async fn write(
    tx: &TenantTx,
    log: &Log,
    batch: &[Kept],
    lines: &mut pack::Lines,
) -> Result<(), ExportError> {
    let size = log.tree().size;
    let places: Vec<_> = batch.iter().map(|event| event.position).collect();
    // One that was completed since the head was read is still the open one in its tree.
    let open = size / TILE_HASHES as u64;
    let tiles = stored::tiles_of(tx, &places).await?;
    let tiles: Vec<_> = tiles.into_iter().map(|tile| tile.unwrap_or(open).min(open)).collect();
    let wanted = |wanted: &Wanted| {
        for &tile in &tiles {
            wanted.tile(0, tile);
            // The path above it is that of its first leaf.
            let _ = tlog::prove_record(size, tile * TILE_HASHES as u64, wanted);
        }
    };
    let nodes = log.nodes(tx, wanted).await?;
    let nodes = Remembered { nodes: &nodes, hashes: RefCell::default() };
    for (kept, &tile) in batch.iter().zip(&tiles) {
        let changed = || ExportError::NotInLog(kept.event_id);
        let (event, hash) = kept.event.as_ref().zip(kept.found.as_ref()).ok_or_else(changed)?;
        let index = nodes.nodes.leaf(tile, hash).ok_or_else(changed)?;
        let proof = tlog::prove_record(size, index, &nodes).map_err(BrokenLog::from)?;
        let leaf = String::from_utf8(kept.leaf.clone()).map_err(Error::internal)?;
        let line = line::written(event, &Evidence::new(index, leaf, &proof));
        lines.push(&line.map_err(Error::internal)?)?;
    }
    Ok(())
}

/// Nodes of a log that are calculated once: each within a tile is that of many leaves.
struct Remembered<'n> {
    nodes: &'n Nodes<'n>,
    hashes: RefCell<HashMap<u64, Hash>>,
}

impl HashReader for Remembered<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let mut hashes = self.hashes.borrow_mut();
        let mut read = |&index: &u64| match hashes.entry(index) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                let hash = self.nodes.read_hashes(&[index])?.pop();
                Ok(*unknown.insert(hash.ok_or(tlog::Error::InvalidTile)?))
            }
        };
        indexes.iter().map(&mut read).collect()
    }
}
