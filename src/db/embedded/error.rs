//! What can go wrong with the private cluster, each with what a person can do about it.

use std::path::PathBuf;
use std::process::ExitStatus;

/// Why the private PostgreSQL could not be started, prepared or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No folder holds both `postgres` and `initdb` of a usable version.
    #[error(
        "no PostgreSQL {minimum} or newer was found (searched: {searched}); install it \
         (`apt-get install postgresql`), or name its folder in DRR_PG_BIN, or name a server in \
         DRR_DATABASE_URL"
    )]
    NoBinaries {
        /// The oldest major version that will do.
        minimum: u32,
        /// Where was looked, and what was found there.
        searched: String,
    },
    /// The cluster was made by another major version than those on this machine.
    #[error(
        "the data in {} belong to PostgreSQL {recorded}, but this machine has only {found}; \
         install PostgreSQL {recorded} or name its folder in DRR_PG_BIN, or choose another \
         folder in DRR_DATA_DIR", cluster.display()
    )]
    WrongMajor {
        /// The cluster's folder.
        cluster: PathBuf,
        /// The version that made it.
        recorded: String,
        /// The versions that were found.
        found: String,
    },
    /// Another instance holds the folder.
    #[error(
        "{} is in use by another instance ({owner}); stop it, or choose another folder in \
         DRR_DATA_DIR", data_dir.display()
    )]
    InUse {
        /// The data folder.
        data_dir: PathBuf,
        /// Who holds it, as well as it is known.
        owner: String,
    },
    /// The server of an earlier run was asked to end and did not.
    #[error(
        "an earlier PostgreSQL (process {pid}) on {} does not end; look at what it does, then \
         stop it with `kill -QUIT {pid}`", cluster.display()
    )]
    PreviousStillRunning {
        /// Its process.
        pid: i32,
        /// The cluster's folder.
        cluster: PathBuf,
    },
    /// Running as root, and there is no other account to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither an account `postgres` \
         nor `nobody`; run this program as an ordinary user"
    )]
    NoAccount,
    /// The account that PostgreSQL runs as cannot enter a folder it needs.
    #[error(
        "the account `{account}`, which PostgreSQL runs as, may not enter {}; choose a folder \
         that it can reach (DRR_DATA_DIR for data, DRR_PG_BIN for binaries)", folder.display()
    )]
    Unreachable {
        /// The account's name.
        account: String,
        /// The first folder on the way that is closed to it.
        folder: PathBuf,
    },
    /// No folder for the Unix socket is short enough, private, and reachable.
    #[error("no folder is fit for PostgreSQL's Unix socket: {tried}; set TMPDIR to a short path")]
    NoSocketFolder {
        /// The folders tried, each with what is wrong with it.
        tried: String,
    },
    /// Neither `XDG_DATA_HOME` nor a home folder is known.
    #[error("there is no home folder to keep data in; name a folder in DRR_DATA_DIR")]
    NoHome,
    /// The cluster is there and its password is not.
    #[error(
        "the password file {} is missing or unusable, so its cluster cannot be opened; restore \
         the file from a backup, or move the data folder away to begin anew", path.display()
    )]
    CredentialLost {
        /// Where the password should be.
        path: PathBuf,
    },
    /// `initdb` did not succeed; nothing of its attempt is kept.
    #[error("PostgreSQL's initdb failed ({reason}):\n{log}")]
    InitialisationFailed {
        /// How it ended.
        reason: String,
        /// The end of what it said.
        log: String,
    },
    /// The server ended without being told to, at its start or later.
    #[error("PostgreSQL ended by itself ({status}):\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server was not ready in time.
    #[error("PostgreSQL was not ready within {seconds} s:\n{log}")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// The server ended neither at a fast nor at an immediate shutdown.
    #[error("PostgreSQL (process {pid}) did not stop:\n{log}")]
    NotStopped {
        /// Its process.
        pid: i32,
        /// The end of its log.
        log: String,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal.
        source: std::io::Error,
    },
    /// The server refused a statement of [`super::EmbeddedPostgres::bootstrap`].
    #[error("cannot prepare the database and its roles: {0}")]
    Bootstrap(#[from] sqlx::Error),
}

impl EmbeddedError {
    /// For `map_err`: the refusal of `action` on `path`.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
