//! The data folder and the lock on it.
//!
//! ```text
//! <data_dir>/lock          held while the program runs; says whose it is
//!           /credentials/  one password per role
//!           /cluster/      PostgreSQL's own data folder
//!           /new-*/        a cluster in the making; becomes `cluster` by a rename
//!           /run/          the Unix socket, where the path is short enough
//! ```

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::EmbeddedError;

/// `/var/lib/drr` for root, else `$XDG_DATA_HOME/drr` or `~/.local/share/drr`.
///
/// # Errors
/// [`EmbeddedError::NoHome`] when there is no home folder.
pub fn default_data_dir() -> Result<PathBuf, EmbeddedError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/drr"));
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let data = data.or_else(|| Some(std::env::home_dir()?.join(".local/share")));
    data.map(|data| data.join("drr")).ok_or(EmbeddedError::NoHome)
}

/// The data folder, held against every other instance until this value is dropped or the process
/// ends. No child inherits the lock: the file closes on exec.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    lock: File,
}

impl Drop for DataDir {
    /// A child that another thread has forked, and that has not executed its program yet, has the file
    /// too: to close it here would leave the lock with the child for a moment.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl DataDir {
    /// Makes `path` if it is not there, and takes its lock.
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(EmbeddedError::io("make the folder", parent))?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if !path.is_dir() => {
                return Err(EmbeddedError::io("make the folder", path)(error));
            }
            _ => {}
        }
        let path = path.canonicalize().map_err(EmbeddedError::io("resolve", path))?;
        let lock = take_lock(&path)?;
        Ok(Self { path, lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    pub(super) fn credentials(&self) -> PathBuf {
        self.path.join("credentials")
    }

    /// Lets `account` walk through (not read) this folder, by its group, and checks that the
    /// folders above let it through too.
    pub(super) fn admit(&self, account: &Account) -> Result<(), EmbeddedError> {
        if let Account::Other { gid, .. } = account
            && account.barred_at(&self.path) == Some(&self.path)
        {
            let metadata =
                std::fs::metadata(&self.path).map_err(EmbeddedError::io("inspect", &self.path))?;
            let mode = metadata.permissions().mode() | 0o010;
            chown(&self.path, None, Some(*gid))
                .and_then(|()| std::fs::set_permissions(&self.path, Permissions::from_mode(mode)))
                .map_err(EmbeddedError::io("open the way through", &self.path))?;
        }
        account.check_reaches(&self.path)
    }
}

fn take_lock(data_dir: &Path) -> Result<File, EmbeddedError> {
    let path = data_dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(EmbeddedError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let known = file.read_to_string(&mut owner).is_ok() && !owner.is_empty();
            let owner = if known { owner.trim() } else { "an unknown process" }.to_owned();
            return Err(EmbeddedError::InUse { data_dir: data_dir.to_owned(), owner });
        }
        Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", path)(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "process {}", std::process::id()))
        .map_err(EmbeddedError::io("write", path))?;
    Ok(file)
}
