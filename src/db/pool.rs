//! The private pool.

use std::{cell::Cell, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Executor, PgPool, Postgres, Row,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    abandoned::Canceller,
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

/// The database. Holds the pool and shows it to nobody.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
    canceller: Canceller,
    connect: Arc<PgConnectOptions>,
    settings: Arc<DbSettings>,
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
            .application_name("drr")
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
            .after_connect(|connection, _| Box::pin(async { is_new(connection).await }))
            .before_acquire(|connection, _| Box::pin(async { is_clean(connection).await }))
            .connect_lazy_with(connect.clone());
        let canceller = Canceller::new(connect.clone());
        let (commits, appends) = Default::default();
        let (settings, observer) = (Arc::new(settings), None);
        let connect = Arc::new(connect);
        Self { pool, canceller, connect, settings, commits, appends, observer }
    }

    /// The same; every write is told to `observer`.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(super) const fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.observer.as_ref()
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
        self.pool.close().await;
        self.canceller.close().await;
    }

    pub(super) const fn canceller(&self) -> &Canceller {
        &self.canceller
    }

    /// As the pool connects.
    pub(super) fn connect_options(&self) -> &PgConnectOptions {
        &self.connect
    }

    pub(super) const fn commits(&self) -> &Arc<Commits> {
        &self.commits
    }

    pub(super) const fn appends(&self) -> &Arc<Commits> {
        &self.appends
    }

    pub(super) fn settings(&self) -> &DbSettings {
        &self.settings
    }

    pub(super) async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        self.lend().await.map(|(connection, _)| connection)
    }

    /// A connection, and the process that serves it.
    #[expect(clippy::disallowed_methods, reason = "the one place that takes from the pool")]
    pub(super) async fn lend(&self) -> Result<(PoolConnection<Postgres>, Backend), Error> {
        let lent = BACKEND.scope(Cell::new(Backend(0)), async {
            let connection = self.pool.acquire().await?;
            Ok::<_, sqlx::Error>((connection, BACKEND.with(Cell::get)))
        });
        lent.await.map_err(Error::unavailable)
    }
}

/// A process of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backend(pub(super) i32);

tokio::task_local! {
    /// The process behind the connection that is being lent. sqlx keeps it to itself; the questions
    /// that are asked of each connection anyhow learn it.
    static BACKEND: Cell<Backend>;
}

fn learn(row: &sqlx::postgres::PgRow) -> sqlx::Result<()> {
    let backend = Backend(row.try_get("backend")?);
    // Outside of `Db::lend` nobody wants to know.
    let _ = BACKEND.try_with(|cell| cell.set(backend));
    Ok(())
}

async fn is_new(connection: &mut sqlx::PgConnection) -> sqlx::Result<()> {
    learn(&connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid() AS backend")).await?)
}

/// Asked of every connection before it is lent, in place of a ping. One that fails is closed, never
/// lent: no transaction is open on it, no tenant is left and no role is taken on.
///
/// As a simple query, of which the start of the statement is the start of its transaction unless
/// one was open before. (The extended protocol takes the two times from two messages.) In a
/// transaction that has failed it is refused.
async fn is_clean(connection: &mut sqlx::PgConnection) -> sqlx::Result<bool> {
    let clean = match connection.fetch_one(sqlx::raw_sql(CLEAN)).await {
        Ok(row) => {
            learn(&row)?;
            row.try_get("clean")?
        }
        Err(error) if is_in_failed_transaction(&error) => false,
        Err(error) => return Err(error),
    };
    if !clean {
        metrics::counter!("drr_db_unclean_connections_total").increment(1);
        tracing::error!(
            "a connection came back with an open transaction or a tenant; it is closed"
        );
    }
    Ok(clean)
}

fn is_in_failed_transaction(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "25P02")
}

const CLEAN: &str = "
SELECT now() = statement_timestamp() AND current_user = session_user
   AND coalesce(current_setting('app.tenant_id', true), '') = '' AS clean,
   pg_backend_pid() AS backend";
