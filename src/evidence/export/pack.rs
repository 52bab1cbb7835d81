//! Files on their way into a bundle.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::{CHECKPOINT, EVENTS, Gathered, KEY, MANIFEST, manifest};

/// A file without a name that others see yet, for its owner alone, in the folder where it is to be.
fn nameless(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().make_in(folder, |name| {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(name)
    })
}

/// The lines of a bundle, which are counted and hashed as they are written.
#[derive(Debug)]
pub(super) struct Lines {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
    pub(super) count: u64,
}

impl Lines {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let file = BufWriter::new(tempfile::tempfile_in(folder)?);
        Ok(Self { file, hash: Sha256::new(), bytes: 0, count: 0 })
    }

    pub(super) fn push(&mut self, line: &[u8]) -> io::Result<()> {
        self.hash.update(line);
        self.bytes += line.len() as u64;
        self.count += 1;
        self.file.write_all(line)
    }

    /// What the manifest says of them, and themselves.
    pub(super) fn done(self) -> io::Result<(manifest::File, File)> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let sha256 = hex::encode(self.hash.finalize());
        Ok((manifest::File { bytes: self.bytes, sha256 }, file))
    }
}

/// What the manifest says of a file.
pub(super) fn told(content: &[u8]) -> manifest::File {
    let sha256 = hex::encode(Sha256::digest(content));
    manifest::File { bytes: content.len() as u64, sha256 }
}

/// A bundle that has no name yet.
#[derive(Debug)]
pub(super) struct Packed {
    file: NamedTempFile,
    path: PathBuf,
}

impl Packed {
    pub(super) fn of(
        manifest: &str,
        mut gathered: Gathered,
        made_at: u64,
        path: &Path,
    ) -> io::Result<Self> {
        let mut file = nameless(folder(path))?;
        let mut bundle =
            Builder::new(GzEncoder::new(BufWriter::new(&mut file), Compression::default()));
        let mut add = |name: &str, bytes: u64, content: &mut dyn Read| {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes);
            header.set_mode(0o600);
            header.set_mtime(made_at);
            bundle.append_data(&mut header, name, content)
        };
        let small = [
            (MANIFEST, manifest),
            (KEY, gathered.key.as_str()),
            (CHECKPOINT, gathered.checkpoint.as_str()),
        ];
        for (name, content) in small {
            add(name, content.len() as u64, &mut content.as_bytes())?;
        }
        add(EVENTS, gathered.told.bytes, &mut gathered.lines)?;
        bundle.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Gives it its name, if nothing has that.
    pub(super) fn keep(self) -> io::Result<()> {
        self.file.persist_noclobber(&self.path)?;
        File::open(folder(&self.path))?.sync_all()
    }
}

pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
