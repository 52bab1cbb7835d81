//! The check of a bundle, by nothing but the bundle and a public key.

use std::{
    io::{self, BufRead, BufReader, Read},
    str,
};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Entries, Entry};

use super::{
    super::{
        model::BrokenLog,
        note::{self, Tree},
    },
    CHECKPOINT, EVENTS, KEY, MANIFEST,
    line::{self, BadLine},
    manifest::{BadManifest, Manifest},
};
use crate::audit::Event;

/// The longest line, and the longest of the files without lines.
const LINE_BYTES: u64 = 1 << 20;
const SMALL_BYTES: u64 = 1 << 22;

/// What a bundle was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it says of itself.
    pub manifest: Manifest,
    /// How many leaves the log had.
    pub log_size: u64,
    /// The public key that it was checked with.
    pub key: String,
}

/// What is wrong with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BadBundle {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file that comes next is not this one.
    #[error("the file {0} is not where it belongs")]
    Misplaced(&'static str),
    /// There is something after the last file.
    #[error("there is more in it than the manifest says")]
    More,
    /// The key in it is another one than the key that was given.
    #[error("key: it is another one than the key that signed the manifest: {0}")]
    OtherKey(String),
    /// Its manifest is none.
    #[error("manifest: {0}")]
    Manifest(#[from] BadManifest),
    /// It is another tenant's, or its key is another log's.
    #[error("manifest: it is of the log {0}")]
    OtherTenant(String),
    /// The file is not the one that the manifest tells of.
    #[error("{0}: it is not the file of the manifest")]
    OtherFile(&'static str),
    /// Its checkpoint is none of this log.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] BrokenLog),
    /// The line, from 1, is not good.
    #[error("events.ndjson, line {line}: {why}")]
    Line {
        /// Which one.
        line: u64,
        /// Why.
        why: BadLine,
    },
    /// There are more or fewer lines.
    #[error("events.ndjson: it has {found} lines, and the manifest says {said}")]
    Count {
        /// How many the manifest says.
        said: u64,
        /// How many there are.
        found: u64,
    },
}

/// Checks a bundle; with a key that came in another way, or else with the one that is in it, which shows
/// only that it is of one piece.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(
    bundle: impl Read,
    key: Option<&str>,
    tenant: Option<&str>,
) -> Result<Checked, BadBundle> {
    let mut archive = Archive::new(GzDecoder::new(bundle));
    let mut files = archive.entries()?;
    let signed = small(&mut files, MANIFEST)?;
    let own = small(&mut files, KEY)?;
    let (own_bytes, own) = (&own, str::from_utf8(&own).unwrap_or_default().trim_end());
    let key = key.unwrap_or(own);
    let manifest = Manifest::open(key, &signed)?;
    is_said(&manifest, KEY, own_bytes)?;
    if key != own {
        return Err(BadBundle::OtherKey(own.to_owned()));
    }
    let of_tenant = note::name(key).rsplit_once('/').is_some_and(|(_, of)| of == manifest.tenant);
    if !of_tenant
        || note::name(key) != manifest.log
        || tenant.is_some_and(|tenant| tenant != manifest.tenant)
    {
        return Err(BadBundle::OtherTenant(manifest.log));
    }
    let checkpoint = small(&mut files, CHECKPOINT)?;
    is_said(&manifest, CHECKPOINT, &checkpoint)?;
    let tree = note::tree(key, &checkpoint)?;
    events(next(&mut files, EVENTS)?, &manifest, tree)?;
    if files.next().is_some() || manifest.files.len() != 3 {
        return Err(BadBundle::More);
    }
    Ok(Checked { log_size: tree.size, key: key.to_owned(), manifest })
}

fn next<'a, R: Read>(
    files: &mut Entries<'a, R>,
    name: &'static str,
) -> Result<Entry<'a, R>, BadBundle> {
    let file = files.next().ok_or(BadBundle::Misplaced(name))??;
    let is_it = file.header().entry_type().is_file() && *file.path_bytes() == *name.as_bytes();
    if is_it { Ok(file) } else { Err(BadBundle::Misplaced(name)) }
}

fn small<R: Read>(files: &mut Entries<'_, R>, name: &'static str) -> Result<Vec<u8>, BadBundle> {
    let mut content = Vec::new();
    next(files, name)?.take(SMALL_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether the content is that of the file in the manifest.
fn is_said(manifest: &Manifest, name: &'static str, content: &[u8]) -> Result<(), BadBundle> {
    is_said_so(manifest, name, content.len() as u64, &Sha256::digest(content))
}

fn is_said_so(
    manifest: &Manifest,
    name: &'static str,
    bytes: u64,
    sha256: &[u8],
) -> Result<(), BadBundle> {
    let said = manifest.files.get(name);
    let is_it = said.is_some_and(|said| said.bytes == bytes && said.sha256 == hex::encode(sha256));
    if is_it { Ok(()) } else { Err(BadBundle::OtherFile(name)) }
}

/// Checks line after line, whatever their number.
fn events(file: impl Read, manifest: &Manifest, tree: Tree) -> Result<(), BadBundle> {
    let mut file = BufReader::new(file);
    let (mut hash, mut bytes, mut found) = (Sha256::new(), 0, 0);
    let (mut line, mut last) = (Vec::new(), None);
    loop {
        line.clear();
        bytes += (&mut file).take(LINE_BYTES).read_until(b'\n', &mut line)? as u64;
        if line.is_empty() {
            break;
        }
        hash.update(&line);
        found += 1;
        last = Some(
            one(&line, manifest, tree, last).map_err(|why| BadBundle::Line { line: found, why })?,
        );
    }
    if found != manifest.events {
        return Err(BadBundle::Count { said: manifest.events, found });
    }
    is_said_so(manifest, EVENTS, bytes, &hash.finalize())
}

/// Checks a line; answers which leaf it is.
fn one(line: &[u8], manifest: &Manifest, tree: Tree, last: Option<u64>) -> Result<u64, BadLine> {
    let line = line.strip_suffix(b"\n").ok_or(BadLine::Cut)?;
    let (event, leaf) = line::checked(line, tree, &manifest.program)?;
    if last.is_some_and(|last| leaf <= last) {
        return Err(BadLine::Order(leaf));
    }
    if is_of(&event, manifest) { Ok(leaf) } else { Err(BadLine::Foreign) }
}

fn is_of(event: &Event, manifest: &Manifest) -> bool {
    event.tenant_id.as_str() == manifest.tenant
        && manifest.since.is_none_or(|since| since <= event.occurred_at)
        && event.occurred_at < manifest.until
}
