//! One private PostgreSQL for all tests of this binary, and a database of its own for each: a clone
//! of a template that was migrated once.

use std::{
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use drr::db::{
    embedded::{APPLICATION, DATABASE, EmbeddedOptions, EmbeddedPostgres},
    maintenance::{self, Direction},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{runtime::Runtime, sync::OnceCell};

/// The logical schema that the tests work in.
pub const SCHEMA: &str = "storage_drr";

/// The runtime that everything shared lives on; a test's own would end with the test.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(4).build().unwrap()
});

/// Runs a test on the shared runtime.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// A running cluster with its migrated template.
#[derive(Debug)]
pub struct Cluster {
    server: EmbeddedPostgres,
    application: PgConnectOptions,
    owner: PgConnectOptions,
    clones: AtomicU32,
    /// One clone at a time: a template must not be in use.
    cloning: tokio::sync::Mutex<()>,
}

static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// The folder that this process's cluster lives in; those of processes that are gone are removed.
fn folder() -> PathBuf {
    let name = |id: u32| format!("drr-it-{id}");
    let top = std::env::temp_dir();
    for entry in std::fs::read_dir(&top).into_iter().flatten().flatten() {
        let id =
            entry.file_name().to_str().and_then(|name| name.strip_prefix("drr-it-")?.parse().ok());
        if id.is_some_and(|id: u32| !Path::new("/proc").join(id.to_string()).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    top.join(name(std::process::id()))
}

/// A folder for what one service keeps on disk; it goes with that of the cluster.
pub fn spool_folder() -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name =
        format!("drr-it-{}/spool-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(name)
}

impl Cluster {
    /// The cluster that the tests share.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(folder())).await
    }

    /// A cluster in `data_dir`; for a test that changes roles, which belong to a whole cluster.
    pub async fn start(data_dir: PathBuf) -> Self {
        let bin_dir = std::env::var_os("DRR_PG_BIN").map(PathBuf::from);
        let server = EmbeddedPostgres::start(EmbeddedOptions { data_dir, bin_dir }).await.unwrap();
        let connections = server.bootstrap().await.unwrap();
        let mut admin =
            PgConnection::connect_with(&server.superuser_options(DATABASE)).await.unwrap();
        // Nothing of a test outlives the machine's power.
        for sql in ["ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"] {
            admin.execute(sql).await.unwrap();
        }
        admin.close().await.unwrap();
        maintenance::migrate(&connections.owner, SCHEMA, APPLICATION, Direction::Up).await.unwrap();
        Self {
            server,
            application: connections.application,
            owner: connections.owner,
            clones: AtomicU32::new(0),
            cloning: tokio::sync::Mutex::new(()),
        }
    }

    /// A fresh database with the schema and no row.
    pub async fn database(&self) -> Database<'_> {
        let name = format!("clone_{}", self.clones.fetch_add(1, Ordering::Relaxed));
        let _one_at_a_time = self.cloning.lock().await;
        let mut admin = self.admin("postgres").await;
        for sql in [
            format!("CREATE DATABASE {name} TEMPLATE {DATABASE} OWNER drr_owner"),
            format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
            format!("GRANT CONNECT ON DATABASE {name} TO {APPLICATION}"),
        ] {
            admin.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        admin.close().await.unwrap();
        Database { cluster: self, name }
    }

    /// A superuser's connection, which row-level security does not hold.
    pub async fn admin(&self, database: &str) -> PgConnection {
        let options = self.server.superuser_options(database).options([("search_path", SCHEMA)]);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// Ends a cluster of a test's own.
    pub async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

/// One test's database.
#[derive(Debug)]
pub struct Database<'c> {
    pub cluster: &'c Cluster,
    pub name: String,
}

impl<'c> Database<'c> {
    /// The same, for a second service on it.
    pub fn reopened(&self) -> Database<'c> {
        Database { cluster: self.cluster, name: self.name.clone() }
    }

    /// As the program logs in.
    pub fn application(&self) -> PgConnectOptions {
        self.cluster.application.clone().database(&self.name)
    }

    /// As the migrations log in.
    pub fn owner(&self) -> PgConnectOptions {
        self.cluster.owner.clone().database(&self.name)
    }

    /// As a superuser, whom row-level security does not hold: for looking behind the door.
    pub fn superuser(&self) -> PgConnectOptions {
        self.cluster.server.superuser_options(&self.name)
    }

    /// A superuser's connection.
    pub async fn admin(&self) -> PgConnection {
        self.cluster.admin(&self.name).await
    }
}
