//! Where the Unix socket lives: a private folder whose path is short enough for one.

use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::EmbeddedError;

/// Part of the socket's file name, and nothing else: the server listens on no network.
pub(super) const PORT: u16 = 5432;
/// What a `sockaddr_un` holds beside the closing zero, in bytes.
const MAXIMUM_PATH: usize = 107;

/// Makes the folder for the socket of the cluster in `data_dir`: within it, or, where that path is
/// too long, within the first of the machine's folders for such things that will do.
///
/// Its name there is derived from `data_dir`, so that a later start finds the same one again.
pub(super) fn prepare(data_dir: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
    let digest = Sha256::digest(data_dir.as_os_str().as_bytes());
    let id: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let elsewhere = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .into_iter()
        .chain([std::env::temp_dir(), PathBuf::from("/tmp")])
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("drr-{id}")));
    let mut tried = Vec::new();
    for folder in std::iter::once(data_dir.join("run")).chain(elsewhere) {
        match make_private(&folder, account) {
            Ok(()) => return Ok(folder),
            Err(reason) => tried.push(format!("{}: {reason}", folder.display())),
        }
    }
    Err(EmbeddedError::NoSocketFolder { tried: tried.join("; ") })
}

fn make_private(folder: &Path, account: &Account) -> Result<(), String> {
    // The database driver writes the path as text.
    let text = folder.to_str().ok_or("not UTF-8")?;
    let length = text.len() + format!("/.s.PGSQL.{PORT}").len();
    if length > MAXIMUM_PATH {
        return Err(format!("the socket's path would have {length} bytes, {MAXIMUM_PATH} fit"));
    }
    let parent = folder.parent().unwrap_or(folder);
    if let Some(barred) = account.barred_at(parent) {
        return Err(format!("PostgreSQL's account may not enter {}", barred.display()));
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error.to_string());
        }
        _ => {}
    }
    // In a folder that others write to, somebody else may have been faster.
    let metadata = std::fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !metadata.is_dir() || !account.may_own(metadata.uid()) {
        return Err("belongs to somebody else".to_owned());
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
        .map_err(|error| error.to_string())?;
    account.own(folder).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_or_too_long_folder_is_passed_over() {
        let top = tempfile::tempdir().unwrap();
        let link = top.path().join("link");
        std::os::unix::fs::symlink(top.path(), &link).unwrap();
        assert_eq!(make_private(&link, &Account::Own).unwrap_err(), "belongs to somebody else");
        let long = top.path().join("x".repeat(100));
        assert!(make_private(&long, &Account::Own).unwrap_err().contains("107 fit"));
        assert!(!long.exists());
    }

    #[test]
    fn an_open_folder_of_our_own_is_closed() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("run");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        make_private(&folder, &Account::Own).unwrap();
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
    }
}
