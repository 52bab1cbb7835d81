//! The private pool.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, PgConnection, PgPool, Postgres, SqlSafeStr,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgTransactionManager},
};
use sqlx_core::transaction::TransactionManager;
use tokio::time::Instant;

use super::{
    abandoned::Canceller,
    error::{is_unavailable, mapped},
    listen::{Commits, Observer},
    operator::DueTenant,
    tenant::TenantDb,
};
use crate::{auth::Principal, error::Error};

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct DbSettings {
    /// Where, as whom, over which transport.
    pub connect: PgConnectOptions,
    /// The logical schema of the environment (`storage_drr`, …). // D6, D23
    pub schema: String,
    /// Connections at most.
    pub max_connections: u32,
    /// How long a caller waits for a connection before it is told to come again.
    pub acquire_timeout: Duration,
    /// How long one statement may run; set in every BEGIN.
    pub statement_timeout: Duration,
}

/// The database. Holds the pool and shows it to nobody. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db(Arc<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    pool: PgPool,
    canceller: Canceller,
    connect: PgConnectOptions,
    settings: DbSettings,
    names: Arc<Names>,
    commits: Arc<Commits>,
    appends: Arc<Commits>,
    observer: Option<Arc<dyn Observer>>,
}

impl Db {
    /// Makes the pool; connections open when they are first needed.
    #[must_use]
    pub fn new(settings: DbSettings) -> Self {
        let connect = settings
            .connect
            .clone()
            .application_name(APPLICATION)
            .options([
                ("search_path", format!("{},pg_temp", settings.schema).as_str()),
                ("timezone", "UTC"),
                // A statement is planned once, not with every execution: its lists are arrays, and how
                // long they are decides nothing. Planning took longer than what was planned.
                ("plan_cache_mode", "force_generic_plan"),
                // The last net under a transaction that was left open.
                ("idle_in_transaction_session_timeout", "60000"),
            ])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async { connection.execute(sqlx::raw_sql(PREPARE)).await.map(drop) })
            })
            .connect_lazy_with(connect.clone());
        let canceller = Canceller::new(connect.clone());
        let (commits, appends) = Default::default();
        let (names, observer) = (Arc::new(Names::new()), None);
        let parts = Parts { pool, canceller, connect, settings, names, commits, appends, observer };
        Self(Arc::new(parts))
    }

    /// The same; every write is told to `observer`.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        let observer = Some(observer);
        Self(Arc::new(Parts { observer, ..Parts::clone(&self.0) }))
    }

    pub(super) fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.0.observer.as_ref()
    }

    /// The database as this caller may see it.
    #[must_use]
    pub fn scoped_to(&self, principal: &Principal) -> TenantDb {
        TenantDb::new(self.clone(), principal)
    }

    /// A tenant's database for the program's own tasks, which have no caller and so no token.
    ///
    /// Not to be reached with anything that a request says: a [`DueTenant`] is made by the database's
    /// own list of tenants, or by the commit of a caller's own transaction, and by nothing else. // D22
    #[must_use]
    pub fn of_due(&self, tenant: &DueTenant) -> TenantDb {
        TenantDb::of_own_task(self.clone(), tenant.tenant().clone())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        sqlx::query("SELECT 1")
            .execute(&mut *connection)
            .await
            .map(|_| ())
            .map_err(Error::unavailable)
    }

    /// Closes the pool once what is under way has ended.
    pub async fn close(&self) {
        self.0.pool.close().await;
        self.0.canceller.close().await;
    }

    pub(super) fn canceller(&self) -> &Canceller {
        &self.0.canceller
    }

    /// As the pool connects.
    pub(super) fn connect_options(&self) -> &PgConnectOptions {
        &self.0.connect
    }

    pub(super) fn commits(&self) -> &Arc<Commits> {
        &self.0.commits
    }

    pub(super) fn appends(&self) -> &Arc<Commits> {
        &self.0.appends
    }

    pub(super) fn settings(&self) -> &DbSettings {
        &self.0.settings
    }

    /// A clean connection, on which nothing is begun.
    pub(super) async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        self.lend(None).await
    }

    /// A clean connection with the transaction that `sql` begins, and the name that it has in the server.
    pub(super) async fn begun(
        &self,
        sql: &str,
    ) -> Result<(PoolConnection<Postgres>, SessionName), Error> {
        let name = self.0.names.next();
        let sql = format!("{CLEAN}; {sql}; SET LOCAL application_name = '{name}'");
        Ok((self.lend(Some(sql)).await?, name))
    }

    /// A connection that was found clean, with the transaction that `begin` begins, which asks for that.
    ///
    /// One that is not, or that was lost while nobody had it, is closed, and the next one is taken.
    #[expect(clippy::disallowed_methods, reason = "the one place that takes from the pool")]
    async fn lend(&self, begin: Option<String>) -> Result<PoolConnection<Postgres>, Error> {
        let patience = Instant::now() + self.0.settings.acquire_timeout;
        loop {
            let connection = self.0.pool.acquire().await.map_err(Error::unavailable)?;
            let error = match Asked(Some(connection)).ask(begin.as_deref()).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            let unclean = is_unclean(&error);
            if unclean {
                metrics::counter!("drr_db_unclean_connections_total").increment(1);
                tracing::error!(
                    "a connection came back with an open transaction or a tenant; it is closed"
                );
            }
            if !(unclean || is_unavailable(&error)) || Instant::now() >= patience {
                return Err(mapped(error));
            }
        }
    }
}

const APPLICATION: &str = "drr";

/// What each transaction is called in the server while it is open: by this name it is found there by
/// whoever is to stop it, and nothing else can be hit.
#[derive(Debug)]
struct Names {
    instance: u64,
    next: AtomicU64,
}

/// The `application_name` of one transaction, different from all others of all instances.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionName {
    instance: u64,
    number: u64,
}

impl Names {
    fn new() -> Self {
        // Of different seeds in each process.
        let instance = RandomState::new().hash_one(std::process::id());
        Self { instance, next: AtomicU64::default() }
    }

    fn next(&self) -> SessionName {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        SessionName { instance: self.instance, number }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{APPLICATION} {:016x}/{}", self.instance, self.number)
    }
}

/// A connection that is being asked, mostly in one message with a BEGIN. sqlx counts a transaction only once the answer has
/// come; before that, a connection given back to the pool would carry an open transaction with this
/// tenant's id to the next borrower. So until then, dropping it closes it.
struct Asked(Option<PoolConnection<Postgres>>);

impl Asked {
    async fn ask(mut self, begin: Option<&str>) -> sqlx::Result<PoolConnection<Postgres>> {
        let connection: &mut PgConnection = self.0.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        match begin {
            Some(sql) => {
                let sql = AssertSqlSafe(sql).into_sql_str();
                PgTransactionManager::begin(connection, Some(sql)).await?;
            }
            None => {
                connection.execute(sqlx::raw_sql(CLEAN)).await?;
            }
        }
        self.0.take().ok_or(sqlx::Error::PoolClosed)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(connection) = self.0.as_mut() {
            connection.close_on_drop();
        }
    }
}

/// Asked of every connection before it is lent, in place of a ping, in one message with the BEGIN: no
/// transaction is open on it, no tenant is left and no role is taken on. What does not hold is a division
/// by zero. Prepared, because to plan it takes several times as long as to answer it.
///
/// As a simple query, of which the start of the statement is the start of its transaction unless
/// one was open before. (The extended protocol takes the two times from two messages.) In a
/// transaction that has failed it is refused.
const PREPARE: &str = "
PREPARE drr_clean AS
SELECT 1 / (now() = statement_timestamp() AND current_user = session_user
            AND coalesce(current_setting('app.tenant_id', true), '') = '')::int";
const CLEAN: &str = "EXECUTE drr_clean";

fn is_unclean(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // A division by zero, or a transaction that has failed.
    code.is_some_and(|code| matches!(code.as_ref(), "22012" | "25P02"))
}
