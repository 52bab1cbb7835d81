//! Which account PostgreSQL runs as: the program's own, except for root, which it refuses.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::EmbeddedError;

const ACCOUNTS: &str = "/etc/passwd";
/// Whom root becomes, in this order.
const PREFERRED: [&str; 2] = ["postgres", "nobody"];

/// The account PostgreSQL runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// The one this program runs as.
    Own,
    /// Another one, because this program runs as root.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// As root: the owner of `cluster` if it is there (an account installed later must not orphan
    /// it), else `postgres`, else `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let accounts = std::fs::read_to_string(ACCOUNTS)
            .map_err(EmbeddedError::io("read the accounts in", ACCOUNTS))?;
        if let Ok(metadata) = std::fs::metadata(cluster) {
            let (uid, gid) = (metadata.uid(), metadata.gid());
            let known = parse(&accounts).find(|(_, known, _)| *known == uid);
            let name = known.map_or_else(|| uid.to_string(), |(name, ..)| name.to_owned());
            return Ok(Self::Other { name, uid, gid });
        }
        PREFERRED
            .iter()
            .find_map(|wanted| parse(&accounts).find(|(name, ..)| name == wanted))
            .map(|(name, uid, gid)| Self::Other { name: name.to_owned(), uid, gid })
            .ok_or(EmbeddedError::NoAccount)
    }

    /// Makes `command` run as this account, with none of root's groups.
    pub(super) fn apply(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Hands over `path`, which this program has just made.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid))
                .map_err(EmbeddedError::io("change the owner of", path)),
        }
    }

    /// Whether `uid` may own a folder of this account: root's own count, they are handed over.
    pub(super) fn may_own(&self, uid: u32) -> bool {
        match self {
            Self::Own => uid == rustix::process::geteuid().as_raw(),
            Self::Other { uid: own, .. } => uid == *own || uid == 0,
        }
    }

    /// The first of `path` and the folders above it that this account may not enter.
    pub(super) fn barred_at<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let Self::Other { uid, gid, .. } = self else { return None };
        path.ancestors().find(|folder| {
            std::fs::metadata(folder).is_ok_and(|metadata| {
                let search = match () {
                    () if metadata.uid() == *uid => 0o100,
                    () if metadata.gid() == *gid => 0o010,
                    () => 0o001,
                };
                metadata.mode() & search == 0
            })
        })
    }

    /// An error unless this account can enter `path` and every folder above it.
    pub(super) fn check_reaches(&self, path: &Path) -> Result<(), EmbeddedError> {
        match (self, self.barred_at(path)) {
            (Self::Other { name, .. }, Some(folder)) => Err(EmbeddedError::Unreachable {
                account: name.clone(),
                folder: PathBuf::from(folder),
            }),
            _ => Ok(()),
        }
    }
}

fn parse(accounts: &str) -> impl Iterator<Item = (&str, u32, u32)> {
    accounts.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((name, uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_by_position() {
        let lines = "root:x:0:0:root:/root:/bin/sh\nbad\npostgres:x:101:104::/x:/bin/sh\n";
        assert_eq!(parse(lines).collect::<Vec<_>>(), [("root", 0, 0), ("postgres", 101, 104)]);
    }

    #[test]
    fn a_closed_folder_on_the_way_is_found() {
        let top = tempfile::tempdir().unwrap();
        let closed = top.path().join("closed");
        let inner = closed.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        let open = |path: &Path, mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(path, mode).unwrap();
        };
        open(top.path(), 0o755);
        open(&closed, 0o700);
        let stranger = Account::Other { name: "stranger".into(), uid: 54_321, gid: 54_321 };
        assert_eq!(stranger.barred_at(&inner), Some(closed.as_path()));
        let error = stranger.check_reaches(&inner).unwrap_err().to_string();
        assert!(error.contains("stranger") && error.contains("closed"), "{error}");
        open(&closed, 0o711);
        assert_eq!(stranger.barred_at(&inner), None);
        stranger.check_reaches(&inner).unwrap();
    }
}
