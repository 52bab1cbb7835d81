//! One tenant's view of the database, and the only transaction there is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use migration::GroupRole;
use sea_orm::{DbErr, RuntimeErr, SqlxError, Value};
use sea_query_sqlx::SqlxValues;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::{
    AssertSqlSafe, Column, PgConnection, Postgres, Row,
    pool::PoolConnection,
    postgres::{PgRow, PgTransactionManager},
};
use sqlx_core::transaction::TransactionManager;
use tokio::{sync::Mutex, time::Instant};

use super::{
    listen::{Commits, Writing},
    pool::{Db, SessionName},
};
use crate::{
    auth::{Principal, TenantId, policy::Role},
    error::Error,
};

/// The database as one caller may see it: its tenant's rows, through its database role.
#[derive(Debug, Clone)]
pub struct TenantDb {
    db: Db,
    tenant: TenantId,
    reading_as: GroupRole,
    deadline: Option<Instant>,
    /// Who is told of commits: not of those of the program's own tasks.
    commits: Option<Arc<Commits>>,
    /// Rows that were answered or changed.
    rows: Arc<AtomicU64>,
}

/// How much longer than the rest of its request a statement may run in the server: it is cancelled at
/// the deadline, and this is for when nobody is left to do so.
const AFTERMATH: Duration = Duration::from_millis(500);

impl TenantDb {
    pub(super) fn new(db: Db, principal: &Principal) -> Self {
        let reading_as = match principal.role() {
            Role::Auditor => GroupRole::Auditor,
            // Who operates sees numbers, and no row. // S9
            Role::Operator => GroupRole::Operator,
            _ => GroupRole::Reader,
        };
        let (tenant, commits) = (principal.tenant().clone(), Some(db.commits().clone()));
        Self { db, tenant, reading_as, deadline: None, commits, rows: Arc::default() }
    }

    /// The same, counting in `rows` what is answered or changed.
    #[must_use]
    pub fn counting(mut self, rows: Arc<AtomicU64>) -> Self {
        self.rows = rows;
        self
    }

    /// The same, for work that nobody waits for after `deadline`.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// For the program's own tasks; see [`Db::of_due`].
    pub(super) fn of_own_task(db: Db, tenant: TenantId) -> Self {
        let (reading_as, rows) = (GroupRole::Reader, Arc::default());
        Self { db, tenant, reading_as, deadline: None, commits: None, rows }
    }

    /// A read-only transaction. Dropping it ends it; there is nothing to commit.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection can be had, [`Error::DeadlineExceeded`] after the
    /// deadline.
    pub async fn read(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN READ ONLY", self.reading_as, Tells::default()).await
    }

    /// A read-only transaction that sees the tenant's audit trail too, whatever role the caller has: for
    /// whom the table of rights lets read it.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn read_trail(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN READ ONLY", GroupRole::Auditor, Tells::default()).await
    }

    /// A transaction that may write. Dropping it without [`TenantTx::commit`] undoes it.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn write(&self) -> Result<TenantTx, Error> {
        let tells = Tells { commits: self.commits.clone(), observer: true };
        self.begin("BEGIN", GroupRole::Writer, tells).await
    }

    /// A transaction that may decide about versions of schemas, and change nothing else.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn approve(&self) -> Result<TenantTx, Error> {
        let tells = Tells { commits: self.commits.clone(), observer: true };
        self.begin("BEGIN", GroupRole::Approver, tells).await
    }

    /// A transaction that writes only what follows from what was written before, and changes no answer:
    /// its commit is told to nobody.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn repeat(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN", GroupRole::Writer, Tells::default()).await
    }

    /// A transaction that reads the trail and appends to the evidence ledger, and nothing else.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn ledger(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN", GroupRole::Ledger, Tells::default()).await
    }

    /// The tenant and the role go with the BEGIN, in one message: there is no moment at which the
    /// transaction is open and the tenant is not set. // D21
    async fn begin(&self, begin: &str, role: GroupRole, tells: Tells) -> Result<TenantTx, Error> {
        let settings = self.db.settings();
        let timeout = milliseconds(self.statement_timeout()?);
        let sql = format!(
            "{begin}; SET LOCAL statement_timeout = {timeout}; SET LOCAL ROLE {}; \
             SET LOCAL app.tenant_id = '{}'",
            role.name(&settings.schema),
            // Needs no escaping: a TenantId is `[a-z0-9-]` by construction.
            self.tenant
        );
        let (connection, name) = self.db.begun(&sql).await?;
        metrics::counter!("drr_db_transactions_total").increment(1);
        let connection = Some(connection);
        let session = Mutex::new(Session { connection, name, running: false, unsettled: 0 });
        let (db, tenant, rows) = (self.db.clone(), self.tenant.clone(), self.rows.clone());
        Ok(TenantTx { db, tenant, session, tells, rows })
    }

    /// How long a statement may run that begins now.
    fn statement_timeout(&self) -> Result<Duration, Error> {
        let most = self.db.settings().statement_timeout;
        let Some(deadline) = self.deadline else { return Ok(most) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::DeadlineExceeded);
        }
        Ok(most.min(left + AFTERMATH))
    }
}

pub(super) fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis().max(1)
}

/// An open transaction in which `app.tenant_id` is set. The only thing that queries can run on.
///
/// A statement whose future is dropped is cancelled in the server, unless it ends at once; the
/// connection is lent again only after that and after the rollback.
#[derive(Debug)]
pub struct TenantTx {
    db: Db,
    tenant: TenantId,
    session: Mutex<Session>,
    tells: Tells,
    rows: Arc<AtomicU64>,
}

/// Who is told of a commit.
#[derive(Debug, Default)]
struct Tells {
    /// Those who go on with what callers have written.
    commits: Option<Arc<Commits>>,
    /// The observer of the database.
    observer: bool,
}

#[derive(Debug)]
struct Session {
    /// There until the transaction is dropped.
    connection: Option<PoolConnection<Postgres>>,
    name: SessionName,
    /// Whether a statement is under way.
    running: bool,
    /// Statements that failed, or whose answer was not waited for.
    unsettled: usize,
}

impl Session {
    fn connection(&mut self) -> Result<&mut PgConnection, SqlxError> {
        self.connection.as_deref_mut().ok_or(SqlxError::PoolClosed)
    }

    /// Begins a statement, which counts as unsettled until [`Self::settled`].
    fn begin(&mut self) -> Result<&mut PgConnection, SqlxError> {
        metrics::counter!("drr_db_statements_total").increment(1);
        self.unsettled += 1;
        self.running = true;
        self.connection()
    }

    /// Says that a statement has its answer; answers it.
    fn settled<T>(&mut self, answer: Result<T, SqlxError>) -> Result<T, SqlxError> {
        self.running = false;
        if answer.is_ok() {
            self.unsettled -= 1;
        }
        answer
    }
}

/// PostgreSQL answers the COMMIT of a failed transaction with a silent ROLLBACK.
#[derive(Debug, thiserror::Error)]
#[error("a statement of this transaction failed or was cut off: nothing was written")]
struct Unsettled;

/// The last net under row-level security. // D41
#[derive(Debug, thiserror::Error)]
#[error("the database answered with a row of another tenant; it was withheld")]
struct ForeignRow;

impl TenantTx {
    /// Whose rows it reads and writes.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Makes what was written lasting. When it is dropped before it answers, the change is written
    /// whole or not at all, and nobody can tell which.
    ///
    /// # Errors
    /// Whatever the database answers, or that a statement before has failed or was cut off; nothing
    /// was written then, unless the connection was lost.
    pub async fn commit(self) -> Result<(), Error> {
        let mut session = self.session.lock().await;
        if session.unsettled > 0 {
            return Err(Error::internal(Unsettled));
        }
        let connection = session.connection().map_err(super::error::mapped)?;
        // Told of one that failed or was cut off as well: it may have been written all the same.
        let observer = self.db.observer().filter(|_| self.tells.observer);
        let writing = Writing::new(observer, &self.tenant);
        let committed = PgTransactionManager::commit(connection).await;
        if let Some(commits) = &self.tells.commits {
            commits.add(&self.tenant);
            self.db.appends().add(&self.tenant);
        }
        writing.ends().await;
        committed.map_err(super::error::mapped)
    }

    /// Whether every statement so far has its answer, and none has failed.
    pub(super) fn is_settled(&self) -> bool {
        self.session.try_lock().is_ok_and(|session| session.unsettled == 0)
    }

    /// Withholds an answer that has another tenant's row in it, which only a broken policy can let
    /// through. // D41
    fn only_own(&self, rows: Vec<PgRow>) -> Result<Vec<PgRow>, SqlxError> {
        let Some(column) = rows.first().and_then(|row| row.try_column("tenant_id").ok()) else {
            return Ok(rows);
        };
        let column = column.ordinal();
        for row in &rows {
            // An outer join's missing row has none.
            let tenant: Option<&str> = row.try_get(column)?;
            if tenant.is_some_and(|tenant| tenant != self.tenant.as_str()) {
                metrics::counter!("drr_tenant_isolation_violations_total").increment(1);
                tracing::error!(tenant = %self.tenant, "{ForeignRow}");
                return Err(SqlxError::Decode(ForeignRow.into()));
            }
        }
        Ok(rows)
    }
}

/// Statements written as SQL. The text is `'static`, or put together from such texts: what a caller
/// sent is always a bound value. // D42
impl TenantTx {
    /// Runs a statement; answers how many rows it touched.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn execute_sql<const N: usize>(
        &self,
        sql: &'static str,
        values: [Value; N],
    ) -> Result<u64, DbErr> {
        self.run(bound(sql, values)).await
    }

    /// Runs a statement; answers how many rows it touched.
    pub(super) async fn run<'q, A>(
        &self,
        statement: sqlx::query::Query<'q, Postgres, A>,
    ) -> Result<u64, DbErr>
    where
        A: 'q + sqlx::IntoArguments<Postgres>,
    {
        let mut session = self.session.lock().await;
        let connection = session.begin().map_err(execute_error)?;
        let done = statement.execute(connection).await;
        let touched = session.settled(done).map_err(execute_error)?.rows_affected();
        self.rows.fetch_add(touched, Ordering::Relaxed);
        Ok(touched)
    }

    /// Runs a query; its rows as `T`.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn query_sql<T: for<'r> FromRow<'r, PgRow>>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, DbErr> {
        let mut session = self.session.lock().await;
        let connection = session.begin().map_err(query_error)?;
        let rows = bound(&sql.into(), values).fetch_all(connection).await;
        let rows = rows.and_then(|rows| self.only_own(rows));
        let rows = session.settled(rows).map_err(query_error)?;
        self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        rows.iter().map(T::from_row).collect::<Result<_, _>>().map_err(query_error)
    }
}

/// Rows for `jsonb_to_recordset`: how many rows go to the database in one value. (sea-query's own
/// arrays cannot hold a NULL: it panics on one.)
///
/// # Errors
/// [`Error::Internal`] for what JSON cannot say.
pub fn records<T: Serialize>(rows: &[T]) -> Result<Value, Error> {
    serde_json::to_value(rows).map(Value::from).map_err(Error::internal)
}

impl Drop for TenantTx {
    /// Queues the rollback, which travels when the connection goes back to the pool. After a commit
    /// there is nothing to roll back, and this does nothing.
    fn drop(&mut self) {
        let session = self.session.get_mut();
        let Some(mut connection) = session.connection.take() else { return };
        PgTransactionManager::start_rollback(&mut connection);
        if session.running {
            self.db.canceller().give_back(connection, session.name);
        }
    }
}

/// Every statement is prepared, and its parameters are bound. // D42
fn bound(
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> sqlx::query::Query<'_, Postgres, SqlxValues> {
    let values = sea_orm::Values(values.into_iter().collect());
    sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values))
}

fn query_error(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

fn execute_error(error: SqlxError) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}
