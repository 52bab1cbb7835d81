//! Events on this machine's disk while the database does not take them.
//!
//! One file of frames, only appended to: length, CRC-32, and the event as JSON. What was appended is
//! synced before it counts. Once all is delivered the file is emptied; until then a restart delivers all
//! of it again, which the database bears, since it takes each event once. A frame that is cut off at the
//! end was never acknowledged, and is dropped.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::model::Event;

/// Length and checksum.
const HEAD: u64 = 8;
/// The longest frame that can be one.
const LONGEST: u32 = 1 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    file: File,
    /// How far the file is whole.
    end: u64,
    /// How far it is delivered.
    delivered: u64,
    maximum: u64,
}

impl Drop for Spool {
    /// As with the lock of the data folder: a child in the making has the file too.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or the file in it cannot be used.
    #[error("audit events cannot be kept in {path}: {source}")]
    Unusable {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another instance uses it.
    #[error("{0} is in use by another instance of the program; give each its own data_dir")]
    InUse(PathBuf),
}

impl Spool {
    /// Opens the spool in `folder`, which is made if need be; at most `maximum` bytes.
    pub(super) fn open(folder: &Path, maximum: u64) -> Result<Self, SpoolError> {
        let path = folder.join("events");
        let unusable = |source| SpoolError::Unusable { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(SpoolError::InUse(path)),
            Err(std::fs::TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let end = whole(&mut file).map_err(unusable)?;
        file.set_len(end).map_err(unusable)?;
        Ok(Self { folder: folder.to_owned(), file, end, delivered: 0, maximum })
    }

    /// Whether all is delivered.
    pub(super) const fn is_empty(&self) -> bool {
        self.delivered == self.end
    }

    /// Bytes that are not delivered.
    pub(super) const fn pending(&self) -> u64 {
        self.end - self.delivered
    }

    /// Appends events; they are on the disk when it returns, all or none.
    pub(super) fn append(&mut self, events: &[Event]) -> io::Result<()> {
        let mut frames = Vec::new();
        for event in events {
            push_frame(&mut frames, &event.leaf())?;
        }
        let end = self.end + frames.len() as u64;
        if end > self.maximum {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "audit.spool_bytes are used up",
            ));
        }
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| {
            self.file.write_all(&frames)?;
            self.file.sync_data()
        });
        if written.is_err() {
            // What is half written is written over next time, or dropped at the next start.
            let _ = self.file.set_len(self.end);
        } else {
            self.end = end;
        }
        written
    }

    /// The next events that are not delivered, `most` of them at most, and where they end.
    pub(super) fn next(&mut self, most: usize) -> io::Result<(Vec<Event>, u64)> {
        self.file.seek(SeekFrom::Start(self.delivered))?;
        let mut reader = io::BufReader::new(&self.file);
        let (mut events, mut at) = (Vec::new(), self.delivered);
        while events.len() < most && at < self.end {
            let Some(event) = read_frame(&mut reader)? else { break };
            at += HEAD + event.len() as u64;
            events.push(serde_json::from_slice(&event)?);
        }
        Ok((events, at))
    }

    /// Says that everything before `at` is delivered.
    pub(super) fn delivered(&mut self, at: u64) -> io::Result<()> {
        self.delivered = at;
        if self.is_empty() {
            self.file.set_len(0)?;
            self.file.sync_data()?;
            (self.end, self.delivered) = (0, 0);
        }
        Ok(())
    }

    /// Puts an event aside that the database refuses for what it is; somebody has to look at it.
    pub(super) fn put_aside(&self, event: &Event) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let path = self.folder.join("refused.ndjson");
        let mut file = options.append(true).create(true).mode(0o600).open(path)?;
        let mut line = event.leaf();
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
    }
}

fn push_frame(frames: &mut Vec<u8>, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    frames.extend_from_slice(body);
    Ok(())
}

/// The next frame's body, unless what is there is not one.
fn read_frame(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let (mut length, mut checksum) = ([0; 4], [0; 4]);
    let head = reader.read_exact(&mut length).and_then(|()| reader.read_exact(&mut checksum));
    match head {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length);
    if length == 0 || length > LONGEST {
        return Ok(None);
    }
    let mut body = Vec::new();
    reader.take(length.into()).read_to_end(&mut body)?;
    let whole = body.len() as u64 == u64::from(length)
        && crc32fast::hash(&body) == u32::from_le_bytes(checksum);
    Ok(whole.then_some(body))
}

/// How far the file consists of whole frames.
fn whole(file: &mut File) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = io::BufReader::new(&*file);
    let mut end = 0;
    while let Some(body) = read_frame(&mut reader)? {
        end += HEAD + body.len() as u64;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::{audit::model::Class, auth::TenantId};

    fn event(number: u128) -> Event {
        Event {
            action: "dataset.read".into(),
            actor_id: "somebody".into(),
            also: Vec::new(),
            call_id: Some(Uuid::from_u128(number)),
            calls: 1,
            class: Class::Api,
            correlation_id: format!("call-{number}"),
            dataset_id: None,
            document_hash: None,
            duration_us: Some(1),
            error_code: None,
            event_id: Uuid::from_u128(number),
            interface: None,
            occurred_at: DateTime::UNIX_EPOCH,
            operation_name: None,
            resource: None,
            result: "SUCCESS".into(),
            row_count: None,
            tenant_id: TenantId::none(),
            token_hash: None,
        }
    }

    #[test]
    fn what_was_appended_is_there_after_a_restart_in_order() {
        let folder = TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.append(&[event(1), event(2)]).unwrap();
        spool.append(&[event(3)]).unwrap();
        drop(spool);
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let (first, at) = spool.next(2).unwrap();
        assert_eq!(first, [event(1), event(2)]);
        spool.delivered(at).unwrap();
        assert!(!spool.is_empty());
        let (rest, at) = spool.next(2).unwrap();
        assert_eq!(rest, [event(3)]);
        spool.delivered(at).unwrap();
        assert!(spool.is_empty());
        spool.append(&[event(4)]).unwrap();
        assert_eq!(spool.next(9).unwrap().0, [event(4)]);
    }

    #[test]
    fn a_frame_that_is_cut_off_or_altered_ends_the_file() {
        let folder = TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        spool.append(&[event(1), event(2)]).unwrap();
        let end = spool.end;
        drop(spool);
        let path = folder.path().join("events");
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
            let found = spool.next(9).unwrap().0;
            let whole = usize::from(cut as u64 >= end / 2);
            assert_eq!(found, [event(1)][..whole], "{cut} of {end}");
        }
        let mut altered = bytes;
        altered[12] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        assert!(spool.next(9).unwrap().0.is_empty());
    }

    #[test]
    fn over_its_limit_it_takes_nothing_and_keeps_what_it_has() {
        let folder = TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), 700).unwrap();
        spool.append(&[event(1)]).unwrap();
        let error = spool.append(&[event(2), event(3)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(spool.next(9).unwrap().0, [event(1)]);
    }

    #[test]
    fn two_instances_cannot_share_one() {
        let folder = TempDir::new().unwrap();
        let _spool = Spool::open(folder.path(), 700).unwrap();
        let second = Spool::open(folder.path(), 700);
        assert!(matches!(second, Err(SpoolError::InUse(_))));
    }
}
