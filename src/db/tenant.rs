//! One tenant's view of the database, and the only transaction there is.

use std::{sync::Arc, time::Duration};

use migration::GroupRole;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, FromQueryResult, QueryResult, RuntimeErr,
    SqlxError, Statement, Value,
};
use sea_query_sqlx::SqlxValues;
use serde::Serialize;
use sqlx::{
    AssertSqlSafe, Column, Postgres, Row, SqlSafeStr,
    pool::PoolConnection,
    postgres::{PgRow, PgTransactionManager},
};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::Mutex;

use super::{listen::Commits, pool::Db};
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
    /// Who is told of commits: not of those of the program's own tasks.
    commits: Option<Arc<Commits>>,
}

impl TenantDb {
    pub(super) fn new(db: Db, principal: &Principal) -> Self {
        let reading_as = match principal.role() {
            Role::Auditor => GroupRole::Auditor,
            _ => GroupRole::Reader,
        };
        let commits = Some(db.commits().clone());
        Self { db, tenant: principal.tenant().clone(), reading_as, commits }
    }

    /// For the program's own tasks; see [`Db::of_due`].
    pub(super) const fn of_own_task(db: Db, tenant: TenantId) -> Self {
        Self { db, tenant, reading_as: GroupRole::Reader, commits: None }
    }

    /// A read-only transaction. Dropping it ends it; there is nothing to commit.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection can be had.
    pub async fn read(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN READ ONLY", self.reading_as, None).await
    }

    /// A transaction that may write. Dropping it without [`TenantTx::commit`] undoes it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection can be had.
    pub async fn write(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN", GroupRole::Writer, self.commits.clone()).await
    }

    /// The tenant and the role go with the BEGIN, in one message: there is no moment at which the
    /// transaction is open and the tenant is not set. // D21
    async fn begin(
        &self,
        begin: &str,
        role: GroupRole,
        commits: Option<Arc<Commits>>,
    ) -> Result<TenantTx, Error> {
        let settings = self.db.settings();
        let timeout = milliseconds(settings.statement_timeout);
        let sql = format!(
            "{begin}; SET LOCAL statement_timeout = {timeout}; SET LOCAL ROLE {}; \
             SET LOCAL app.tenant_id = '{}'",
            role.name(&settings.schema),
            // Needs no escaping: a TenantId is `[a-z0-9-]` by construction.
            self.tenant
        );
        let connection = open(&self.db, sql).await?;
        metrics::counter!("drr_db_transactions_total").increment(1);
        let session = Mutex::new(Session { connection, unsettled: 0 });
        Ok(TenantTx { tenant: self.tenant.clone(), session, commits })
    }
}

/// A connection with the transaction that `sql` begins.
pub(super) async fn open(db: &Db, sql: String) -> Result<PoolConnection<Postgres>, Error> {
    let mut opening = Opening(Some(db.connection().await?));
    opening.begin(sql).await.map_err(super::error::mapped)
}

pub(super) fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis().max(1)
}

/// A connection on which a BEGIN is on its way. sqlx counts a transaction only once the answer has
/// come; before that, a connection given back to the pool would carry an open transaction with this
/// tenant's id to the next borrower. So until then, dropping it closes it.
struct Opening(Option<PoolConnection<Postgres>>);

impl Opening {
    async fn begin(&mut self, sql: String) -> Result<PoolConnection<Postgres>, SqlxError> {
        let connection = self.0.as_mut().ok_or(SqlxError::PoolClosed)?;
        PgTransactionManager::begin(connection, Some(AssertSqlSafe(sql).into_sql_str())).await?;
        self.0.take().ok_or(SqlxError::PoolClosed)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(connection) = self.0.as_mut() {
            connection.close_on_drop();
        }
    }
}

/// An open transaction in which `app.tenant_id` is set. The only thing that queries can run on.
///
/// A statement whose future is dropped runs on in the server until it ends or its time is over; the
/// connection is lent again only after that and after the rollback.
#[derive(Debug)]
pub struct TenantTx {
    tenant: TenantId,
    session: Mutex<Session>,
    commits: Option<Arc<Commits>>,
}

#[derive(Debug)]
struct Session {
    connection: PoolConnection<Postgres>,
    /// Statements that failed, or whose answer was not waited for.
    unsettled: usize,
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
        let committed = PgTransactionManager::commit(&mut session.connection).await;
        // Told of one that failed as well: it may have been written all the same.
        if let Some(commits) = &self.commits {
            commits.add(&self.tenant);
        }
        committed.map_err(super::error::mapped)
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
        self.execute_raw(statement(sql, values)).await.map(|result| result.rows_affected())
    }

    /// Runs a query; its rows as `T`.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn query_sql<T: FromQueryResult>(
        &self,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, DbErr> {
        let rows = self.query_all_raw(statement(sql, values)).await?;
        rows.iter().map(|row| T::from_query_result(row, "")).collect()
    }
}

fn statement(sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
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
        PgTransactionManager::start_rollback(&mut self.session.get_mut().connection);
    }
}

fn bound(statement: &Statement) -> sqlx::query::Query<'_, Postgres, SqlxValues> {
    metrics::counter!("drr_db_statements_total").increment(1);
    let values = statement.values.clone().unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

fn query_error(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

fn execute_error(error: SqlxError) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

#[async_trait::async_trait]
impl ConnectionTrait for TenantTx {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut session = self.session.lock().await;
        session.unsettled += 1;
        let result =
            bound(&statement).execute(&mut *session.connection).await.map_err(execute_error)?;
        session.unsettled -= 1;
        Ok(result.into())
    }

    /// Refused: every statement is prepared and its parameters are bound. // D42
    async fn execute_unprepared(&self, _sql: &str) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom("unprepared statements are refused".to_owned()))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut session = self.session.lock().await;
        session.unsettled += 1;
        let rows = bound(&statement).fetch_all(&mut *session.connection).await;
        let rows = rows.and_then(|rows| self.only_own(rows)).map_err(query_error)?;
        session.unsettled -= 1;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}
