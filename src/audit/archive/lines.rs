//! Events as lines, and lines as what is stored.

use std::io::{Read, Write};

use chrono::{DateTime, Utc};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{ArchiveError, reading::ArchivedEvent, store::Archive};
use crate::{
    audit::model::{Event, leaf_hash},
    error::{Error, Result},
    evidence::model::Position,
};

/// Events in one part, at most: some 20 MB.
pub(super) const PART: u32 = 20_000;

/// An event in the trail, and its place there.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) event: Event,
    pub(super) transaction: u64,
    pub(super) sequence: i64,
    /// The hash that it was recorded with; old events have none.
    pub(super) leaf_hash: Option<Vec<u8>>,
}

/// A line: the event byte by byte as it is in the evidence ledger. `(transaction_id, sequence)` is the
/// order of the leaves there.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    leaf_hash: String,
    sequence: i64,
    transaction_id: u64,
}

/// Lines, and what is known of the events in them.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    /// Where each line ends, and whose it is.
    ends: Vec<(usize, Mark)>,
}

/// What is recorded of the events up to a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) first_at: DateTime<Utc>,
    pub(super) last_at: DateTime<Utc>,
    pub(super) transaction: u64,
    pub(super) sequence: i64,
}

impl Lines {
    /// The lines of events; none of none.
    pub(super) async fn write(events: Vec<Placed>) -> Result<Option<Self>> {
        if events.is_empty() {
            return Ok(None);
        }
        off_the_reactor(move || Self::written(&events).map(Some)).await
    }

    fn written(events: &[Placed]) -> Result<Self> {
        let (mut text, mut ends) = (Vec::new(), Vec::<(usize, Mark)>::with_capacity(events.len()));
        for Placed { event, transaction, sequence, leaf_hash: recorded } in events {
            let leaf = event.leaf();
            let hash = leaf_hash(&leaf);
            if recorded.as_ref().is_some_and(|recorded| *recorded != hash) {
                return Err(ArchiveError::Rewritten(event.event_id).into());
            }
            let line = Line {
                event: serde_json::from_slice(&leaf).map_err(Error::internal)?,
                leaf_hash: hex::encode(hash),
                sequence: *sequence,
                transaction_id: *transaction,
            };
            serde_json::to_writer(&mut text, &line).map_err(Error::internal)?;
            text.push(b'\n');
            let (mut first_at, mut last_at) = (event.occurred_at, event.occurred_at);
            if let Some((_, before)) = ends.last() {
                (first_at, last_at) = (first_at.min(before.first_at), last_at.max(before.last_at));
            }
            let (transaction, sequence) = (*transaction, *sequence);
            ends.push((text.len(), Mark { first_at, last_at, transaction, sequence }));
        }
        Ok(Self { text, ends })
    }

    pub(super) const fn events(&self) -> usize {
        self.ends.len()
    }

    /// Of all events.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.ends.last().map(|(_, mark)| *mark)
    }

    /// Those of these lines that `text` is, if it is none but the first of them.
    pub(super) fn kept(mut self, text: &[u8]) -> Option<Self> {
        let count = self.ends.iter().position(|(end, _)| *end == text.len())? + 1;
        self.ends.truncate(count);
        self.text.truncate(text.len());
        (self.text == text).then_some(self)
    }

    pub(super) async fn compressed(&self) -> Result<Vec<u8>> {
        let text = self.text.clone();
        off_the_reactor(move || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&text).and_then(|()| encoder.finish()).map_err(Error::internal)
        })
        .await
    }
}

/// What was compressed. It was opened before, so that it is this program's own.
pub(super) async fn expanded(content: Vec<u8>) -> Result<Vec<u8>> {
    off_the_reactor(move || {
        let mut text = Vec::new();
        GzDecoder::new(content.as_slice()).read_to_end(&mut text).map_err(Error::internal)?;
        Ok(text)
    })
    .await
}

/// Whether the lines are as many as the archive says, hash to what it says, and each event to what its
/// line says.
pub(super) async fn are_whole(text: &[u8], archive: &Archive) -> Result<bool> {
    let (text, events) = (text.to_vec(), archive.events);
    let hash = archive.lines_hash.clone();
    off_the_reactor(move || {
        let mut count = 0;
        let sound = text.split_inclusive(|byte| *byte == b'\n').all(|line| {
            count += 1;
            serde_json::from_slice::<Line<'_>>(line).is_ok_and(|line| {
                hex::encode(leaf_hash(line.event.get().as_bytes())) == line.leaf_hash
            })
        });
        Ok(sound && count == events && *Sha256::digest(&text) == *hash)
    })
    .await
}

/// The event of a line; none if it is no line of an archive.
pub(super) fn read(line: &[u8]) -> Option<ArchivedEvent> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let position = Position { transaction: line.transaction_id, sequence: line.sequence };
    let leaf = line.event.get().as_bytes().to_vec();
    let event = serde_json::from_slice(&leaf).ok()?;
    Some(ArchivedEvent { position, leaf, event })
}

async fn off_the_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await.map_err(Error::internal)?
}
