//! A PostgreSQL of the program's own, for whoever names no server: nothing to install, nothing to
//! configure, nothing that listens on a network, and gone when the program is.
//!
//! - A lock on the data folder keeps a second instance out (`data_dir`).
//! - The cluster is made whole or not at all (`cluster`); its major version is the one recorded
//!   in it, and other binaries are refused (`binaries`).
//! - The server ends with the program, however that ends (`process`); a start right after a kill
//!   waits for the old server (`previous`).
//! - As root, it runs as another account, since PostgreSQL refuses root (`account`).
//!
//! Linux only: the kernel's parent-death signal and process handles have no portable equal.
//! To set one more thing of the server that safety depends on, add it to `SETTINGS`; what an
//! operator may tune belongs in `cluster/postgresql.conf`.

mod account;
mod binaries;
mod bootstrap;
mod cluster;
mod credentials;
mod data_dir;
mod error;
mod log;
mod parent_death;
mod previous;
mod process;
mod socket;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use account::Account;
use binaries::Binaries;
use credentials::Credentials;
use data_dir::DataDir;
use log::LogState;
use process::ChildProcess;

pub use bootstrap::{APPLICATION, DATABASE, EmbeddedConnections, OWNER};
pub use data_dir::default_data_dir;
pub use error::EmbeddedError;

/// The superuser, which only [`EmbeddedPostgres::bootstrap`] and tests log in as.
const SUPERUSER: &str = "drr_admin";
/// Covers the recovery of a cluster whose machine lost power.
const START_TIME: Duration = Duration::from_secs(120);
/// For a fast shutdown, with its checkpoint; after it an immediate one follows.
const FAST_STOP_TIME: Duration = Duration::from_secs(60);
/// For an immediate shutdown; the server kills its own sessions after five seconds.
const IMMEDIATE_STOP_TIME: Duration = Duration::from_secs(15);

/// Settings that hold whatever the configuration files say. Terse messages without statements:
/// the details of an error are values of tenants.
const SETTINGS: [(&str, &str); 12] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("ssl", "off"),
    ("password_encryption", "scram-sha-256"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("lc_messages", "C"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", ""),
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
];

/// What [`EmbeddedPostgres::start`] needs to know.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Holds the cluster, its passwords and the lock; see [`default_data_dir`].
    pub data_dir: PathBuf,
    /// The folder of `postgres` and `initdb`; without it, the usual folders are searched.
    pub bin_dir: Option<PathBuf>,
}

/// A running private PostgreSQL. Dropped, it is told to end and not waited for; [`Self::stop`]
/// waits.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    // First: the server is told to end before the lock is given up.
    server: ChildProcess,
    socket_dir: PathBuf,
    superuser_password: SecretString,
    credentials: Credentials,
    version: (u32, u32),
    _data: DataDir,
}

/// What a start has settled before any process is needed.
struct Preparation {
    data: DataDir,
    account: Account,
    binaries: Binaries,
    credentials: Credentials,
    socket_dir: PathBuf,
}

impl EmbeddedPostgres {
    /// Starts the server on the cluster in the data folder, which is made first if need be, and
    /// returns once it takes connections.
    ///
    /// # Errors
    /// See [`EmbeddedError`]; each says what to do.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let folder = options.data_dir.clone();
        let Preparation { data, account, binaries, credentials, socket_dir } =
            tokio::task::spawn_blocking(move || prepare(&options))
                .await
                .map_err(|error| EmbeddedError::io("prepare", folder)(error.into()))??;
        let superuser_password =
            cluster::ensure(&data, &binaries, &account, &credentials, SUPERUSER).await?;
        previous::wait_until_gone(&data.cluster()).await?;
        let command = server_command(&binaries, &data.cluster(), &socket_dir);
        let server = ChildProcess::spawn(command, &account, Signal::INT)
            .await
            .map_err(EmbeddedError::io("run", binaries.folder.join("postgres")))?;
        until_ready(&server).await?;
        tracing::info!(%binaries, data_dir = %data.path().display(), "PostgreSQL is ready");
        let version = binaries.version;
        Ok(Self { server, socket_dir, superuser_password, credentials, version, _data: data })
    }

    /// Ends the server: fast, which breaks off sessions and leaves nothing to recover; and at
    /// once, should that take over a minute.
    ///
    /// # Errors
    /// [`EmbeddedError::NotStopped`] if the server does neither.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        for (signal, time) in [(Signal::INT, FAST_STOP_TIME), (Signal::QUIT, IMMEDIATE_STOP_TIME)] {
            self.server.signal(signal);
            if tokio::time::timeout(time, self.server.ended()).await.is_ok() {
                // Empty now. Where it is not, or is gone already, there is nothing to mend.
                let _left = std::fs::remove_dir(&self.socket_dir);
                return Ok(());
            }
        }
        Err(EmbeddedError::NotStopped { pid: self.pid(), log: self.server.log.tail() })
    }

    /// Waits until the server has ended, which it should not do by itself.
    ///
    /// # Errors
    /// [`EmbeddedError::Ended`], always: with what the server said last.
    pub async fn failed(&self) -> EmbeddedError {
        match self.server.ended().await {
            Ok(status) => EmbeddedError::Ended { status, log: self.server.log.tail() },
            Err(error) => EmbeddedError::io("watch the server in", &self.socket_dir)(error),
        }
    }

    /// How to log in to `database` as the superuser.
    #[must_use]
    pub fn superuser_options(&self, database: &str) -> PgConnectOptions {
        self.options(SUPERUSER, &self.superuser_password, database)
    }

    /// The folder of the Unix socket; only the account of the server, and root, can enter it.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The process of the server.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.server.pid().as_raw_nonzero().get()
    }

    /// The major and the minor version of the server.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    fn options(&self, role: &str, password: &SecretString, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(socket::PORT)
            .username(role)
            .password(password.expose_secret())
            .database(database)
            .application_name("drr")
            .ssl_mode(PgSslMode::Disable)
            // The statements that set the passwords hold them; sqlx would log them at DEBUG. // D29
            .disable_statement_logging()
    }
}

fn prepare(options: &EmbeddedOptions) -> Result<Preparation, EmbeddedError> {
    let data = DataDir::open(&options.data_dir)?;
    let binaries = Binaries::find(options.bin_dir.as_deref(), &data.cluster())?;
    let account = Account::choose(&data.cluster())?;
    account.check_reaches(&binaries.folder)?;
    data.admit(&account)?;
    let socket_dir = socket::prepare(data.path(), &account)?;
    let credentials = Credentials::open(data.credentials())?;
    Ok(Preparation { data, account, binaries, credentials, socket_dir })
}

fn server_command(binaries: &Binaries, cluster: &Path, socket_dir: &Path) -> std::process::Command {
    let mut command = binaries.command("postgres");
    command.arg("-D").arg(cluster);
    for (name, value) in SETTINGS {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    // The setting is a list: quoted, a comma or a space in the path is part of it. The path is
    // UTF-8, since `socket::prepare` takes no other.
    let quoted = socket_dir.display().to_string().replace('"', "\"\"");
    command.arg("-c").arg(format!("port={}", socket::PORT));
    command.arg("-c").arg(format!("unix_socket_directories=\"{quoted}\""));
    command
}

async fn until_ready(server: &ChildProcess) -> Result<(), EmbeddedError> {
    if tokio::time::timeout(START_TIME, server.log.reaches(LogState::Ready)).await.is_err() {
        let (seconds, log) = (START_TIME.as_secs(), server.log.tail());
        return Err(EmbeddedError::NotReady { seconds, log });
    }
    if server.log.is_ready() {
        return Ok(());
    }
    // The log was closed instead: the server has ended, and all that it said is there.
    let status = server.ended().await.map_err(EmbeddedError::io("watch", "postgres"))?;
    Err(EmbeddedError::Ended { status, log: server.log.tail() })
}
