//! What the program does to the database for itself, touching no tenant's row: the migrations (as
//! the owner) and the monthly partitions (as the operator role).

use std::io;

use chrono::{DateTime, Months, NaiveDate, Utc};
use migration::{GroupRole, Migrator, MigratorTrait};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};

use super::pool::Db;
use crate::error::Error;

/// How far ahead of the calendar partitions are made.
const MONTHS_AHEAD: Months = Months::new(3);

/// Makes the monthly partitions that are missing up to three months from `now`, and answers how
/// many it made. Safe to call from any number of instances at once.
///
/// # Errors
/// Whatever the database answers.
pub async fn ensure_partitions(db: &Db, now: DateTime<Utc>) -> Result<u32, Error> {
    let until = now.checked_add_months(MONTHS_AHEAD).unwrap_or(now).date_naive();
    let sql = format!("SELECT ensure_partitions('{until}')");
    let rows = as_operator(db, &sql).await.map_err(super::error::mapped)?;
    let made = rows.first().map(|row| row.try_get::<i32, _>(0)).transpose();
    let made = made.map_err(Error::internal)?.unwrap_or_default();
    Ok(u32::try_from(made).unwrap_or_default())
}

/// How long dropping a month waits for those who read or write the table, who wait behind it.
const DROP_LOCK_TIMEOUT: &str = "5s";

/// A month of the log or of the events that is kept no longer, or the history before all months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldPartition {
    /// The table's name.
    pub name: String,
    /// What it takes on disk, with its indexes.
    pub bytes: u64,
}

/// Drops the months of the log and of the events that ended before the month of `before`; with
/// `dry_run`, only says which these are. Safe to call from any number of instances at once.
///
/// The history before all months goes with the first of them; until then it stays.
///
/// # Errors
/// Whatever the database answers: nothing of the last 28 days is dropped, and a table that others use
/// for long is waited for 5 seconds.
pub async fn drop_partitions(
    db: &Db,
    before: DateTime<Utc>,
    dry_run: bool,
) -> Result<Vec<OldPartition>, Error> {
    let sql = format!(
        "SET LOCAL lock_timeout = '{DROP_LOCK_TIMEOUT}';
         SELECT partition::text, bytes FROM drop_partitions('{}', {dry_run})",
        before.date_naive()
    );
    let rows = as_operator(db, &sql).await.map_err(super::error::mapped)?;
    let old = rows.iter().map(|row| {
        let bytes: i64 = row.try_get(1)?;
        Ok(OldPartition { name: row.try_get(0)?, bytes: bytes.try_into().unwrap_or_default() })
    });
    old.collect::<Result<_, sqlx::Error>>().map_err(Error::internal)
}

/// A month of one class of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditMonth {
    /// The table's name.
    pub partition: String,
    /// Its first day.
    pub month: NaiveDate,
}

impl AuditMonth {
    /// The first day after it.
    #[must_use]
    pub fn following(&self) -> NaiveDate {
        self.month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX)
    }
}

/// The months of a class of the audit trail that have tables, in order.
///
/// # Errors
/// Whatever the database answers.
pub async fn audit_months(db: &Db, class: &'static str) -> Result<Vec<AuditMonth>, Error> {
    let sql = format!(
        "SELECT c.relname::text, to_date(right(c.relname, 6), 'YYYYMM') FROM pg_inherits
           JOIN pg_class c ON c.oid = inhrelid
          WHERE inhparent = 'audit_event_{}'::regclass AND c.relname ~ '_[0-9]{{6}}$'
          ORDER BY c.relname",
        class.to_lowercase()
    );
    let rows = as_operator(db, &sql).await.map_err(super::error::mapped)?;
    let months = rows
        .iter()
        .map(|row| Ok(AuditMonth { partition: row.try_get(0)?, month: row.try_get(1)? }));
    months.collect::<Result<_, sqlx::Error>>().map_err(Error::internal)
}

/// What became of a month of the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// A legal hold keeps it.
    Held,
    /// There are events in it that are not archived.
    Missing,
    /// It could be dropped.
    Ready,
    /// It is gone.
    Dropped,
}

/// Drops a month of the audit trail, with the history before it, if all of it is archived and nothing of
/// it is held; with `dry_run`, only says whether. `None` if months come before it.
///
/// # Errors
/// Whatever the database answers: nothing of the last 28 days is dropped, and a table that others use
/// for long is waited for 5 seconds.
pub async fn drop_audit_month(
    db: &Db,
    class: &'static str,
    month: &AuditMonth,
    dry_run: bool,
) -> Result<Option<Dropped>, Error> {
    if audit_months(db, class).await?.first() != Some(month) {
        return Ok(None);
    }
    let sql = format!(
        "SET LOCAL lock_timeout = '{DROP_LOCK_TIMEOUT}';
         SELECT drop_audit_month('{class}', '{}', {dry_run})",
        month.month
    );
    let rows = as_operator(db, &sql).await.map_err(super::error::mapped)?;
    let said = rows.first().map(|row| row.try_get::<String, _>(0)).transpose();
    match said.map_err(Error::internal)?.as_deref() {
        Some("HELD") => Ok(Some(Dropped::Held)),
        Some("MISSING") => Ok(Some(Dropped::Missing)),
        Some("READY") => Ok(Some(Dropped::Ready)),
        Some("DROPPED") => Ok(Some(Dropped::Dropped)),
        _ => Err(Error::internal("drop_audit_month answered something else")),
    }
}

/// The names of the migrations that are applied, in order.
pub(super) async fn applied_migrations(db: &Db) -> Result<Vec<String>, sqlx::Error> {
    let rows = as_operator(db, "SELECT version FROM seaql_migrations ORDER BY version").await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Runs a statement of the program's own as the operator role. The connection is closed afterwards:
/// it goes back to nobody with a role or a transaction on it, even when this future is dropped.
async fn as_operator(db: &Db, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
    let mut connection =
        db.connection().await.map_err(|error| sqlx::Error::Io(io::Error::other(error)))?;
    connection.close_on_drop();
    let role = GroupRole::Operator.name(&db.settings().schema);
    let sql = format!("BEGIN; SET LOCAL ROLE {role}; {sql}; COMMIT");
    (&mut *connection).fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await
}

/// Which way to migrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Apply what is pending.
    Up,
    /// Take back the last so many steps.
    Down(u32),
}

/// A migration and whether it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// A failed migration.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The owner's connection could not be opened.
    #[error("cannot connect as the owner of the schema: {0}")]
    Connect(#[from] sqlx::Error),
    /// A step failed; its transaction was undone.
    #[error("a migration failed: {0}")]
    Step(#[from] sea_orm::DbErr),
}

/// Migrates `schema` as its owner, and lets `login` take on the schema's group roles.
///
/// # Errors
/// [`MigrationError`]; a step that fails is undone whole.
pub async fn migrate(
    owner: &PgConnectOptions,
    schema: &str,
    login: &str,
    direction: Direction,
) -> Result<(), MigrationError> {
    let connection = connect_as_owner(owner, schema).await?;
    match direction {
        Direction::Up => {
            Migrator::up(&connection, None).await?;
            migration::grant_roles(&connection, schema, login).await?;
        }
        Direction::Down(steps) => Migrator::down(&connection, Some(steps)).await?,
    }
    connection.close().await?;
    Ok(())
}

/// Every migration and whether `schema` has it.
///
/// # Errors
/// [`MigrationError`].
pub async fn migration_status(
    owner: &PgConnectOptions,
    schema: &str,
) -> Result<Vec<MigrationStatus>, MigrationError> {
    let connection = connect_as_owner(owner, schema).await?;
    let steps = Migrator::get_migration_with_status(&connection).await?;
    connection.close().await?;
    Ok(steps
        .into_iter()
        .map(|step| MigrationStatus {
            name: step.name().to_owned(),
            applied: step.status() == migration::MigrationStatus::Applied,
        })
        .collect())
}

#[expect(clippy::disallowed_types, reason = "sea-orm-migration runs on its own connection type")]
async fn connect_as_owner(
    owner: &PgConnectOptions,
    schema: &str,
) -> Result<sea_orm::DatabaseConnection, MigrationError> {
    let options = owner
        .clone()
        .application_name("drr-migrate")
        .options([("search_path", format!("{schema},pg_temp").as_str()), ("timezone", "UTC")])
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    connection.execute(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}"))).await?;
    connection.close().await?;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
    Ok(sea_orm::SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}
