//! One tenant's view of the database, and the only transaction there is.

use std::time::Duration;

use migration::GroupRole;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, FromQueryResult, QueryResult, RuntimeErr,
    SqlxError, Statement, Value,
};
use sea_query_sqlx::SqlxValues;
use serde::Serialize;
use sqlx::{
    AssertSqlSafe, Postgres, SqlSafeStr, pool::PoolConnection, postgres::PgTransactionManager,
};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::Mutex;

use super::pool::Db;
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
}

impl TenantDb {
    pub(super) fn new(db: Db, principal: &Principal) -> Self {
        let reading_as = match principal.role() {
            Role::Auditor => GroupRole::Auditor,
            _ => GroupRole::Reader,
        };
        Self { db, tenant: principal.tenant().clone(), reading_as }
    }

    /// A read-only transaction. Dropping it ends it; there is nothing to commit.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection can be had.
    pub async fn read(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN READ ONLY", self.reading_as).await
    }

    /// A transaction that may write. Dropping it without [`TenantTx::commit`] undoes it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection can be had.
    pub async fn write(&self) -> Result<TenantTx, Error> {
        self.begin("BEGIN", GroupRole::Writer).await
    }

    /// The tenant and the role go with the BEGIN, in one message: there is no moment at which the
    /// transaction is open and the tenant is not set. // D21
    async fn begin(&self, begin: &str, role: GroupRole) -> Result<TenantTx, Error> {
        let settings = self.db.settings();
        let timeout = milliseconds(settings.statement_timeout);
        let sql = format!(
            "{begin}; SET LOCAL statement_timeout = {timeout}; SET LOCAL ROLE {}; \
             SET LOCAL app.tenant_id = '{}'",
            role.name(&settings.schema),
            // Needs no escaping: a TenantId is `[a-z0-9-]` by construction.
            self.tenant
        );
        let mut opening = Opening(Some(self.db.connection().await?));
        opening.begin(sql).await.map_err(|error| {
            if super::error::is_unavailable(&error) {
                Error::unavailable(error)
            } else {
                Error::internal(error)
            }
        })
    }
}

fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis().max(1)
}

/// A connection on which a BEGIN is on its way. sqlx counts a transaction only once the answer has
/// come; before that, a connection given back to the pool would carry an open transaction with this
/// tenant's id to the next borrower. So until then, dropping it closes it.
struct Opening(Option<PoolConnection<Postgres>>);

impl Opening {
    async fn begin(&mut self, sql: String) -> Result<TenantTx, SqlxError> {
        let connection = self.0.as_mut().ok_or(SqlxError::PoolClosed)?;
        PgTransactionManager::begin(connection, Some(AssertSqlSafe(sql).into_sql_str())).await?;
        metrics::counter!("drr_db_transactions_total").increment(1);
        self.0
            .take()
            .map(|connection| TenantTx { connection: Mutex::new(connection) })
            .ok_or(SqlxError::PoolClosed)
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
#[derive(Debug)]
pub struct TenantTx {
    connection: Mutex<PoolConnection<Postgres>>,
}

impl TenantTx {
    /// Makes what was written lasting.
    ///
    /// # Errors
    /// Whatever the database answers; nothing was written then.
    pub async fn commit(self) -> Result<(), Error> {
        let mut connection = self.connection.lock().await;
        PgTransactionManager::commit(&mut connection)
            .await
            .map_err(|error| Error::from(DbErr::Exec(RuntimeErr::SqlxError(error.into()))))
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
        PgTransactionManager::start_rollback(self.connection.get_mut());
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
        let mut connection = self.connection.lock().await;
        let result = bound(&statement).execute(&mut **connection).await;
        result.map(Into::into).map_err(execute_error)
    }

    /// Refused: every statement is prepared and its parameters are bound. // D42
    async fn execute_unprepared(&self, _sql: &str) -> Result<ExecResult, DbErr> {
        Err(DbErr::Custom("unprepared statements are refused".to_owned()))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut connection = self.connection.lock().await;
        let row = bound(&statement).fetch_optional(&mut **connection).await;
        row.map(|row| row.map(Into::into)).map_err(query_error)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut connection = self.connection.lock().await;
        let rows = bound(&statement).fetch_all(&mut **connection).await;
        rows.map(|rows| rows.into_iter().map(Into::into).collect()).map_err(query_error)
    }
}
