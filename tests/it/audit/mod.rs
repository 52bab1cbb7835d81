//! The audit trail: every call leaves one event, whatever becomes of it.

mod append;
mod backlog;
mod behind;
mod bench;
mod calls;
mod chaos;
mod full;
mod sockets;
mod spool;

use std::time::{Duration, Instant};

use drr::{clock::SystemClock, db::PgConnectOptions};
use sqlx::{Connection, FromRow, PgConnection, Row, postgres::PgRow};

use crate::app::TestApp;

/// An event as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    tenant_id: String,
    actor_id: String,
    action: String,
    also: Option<Vec<String>>,
    dataset_id: Option<String>,
    resource: Option<String>,
    result: String,
    error_code: Option<String>,
    interface: Option<String>,
    operation_name: Option<String>,
    document: Option<String>,
    token: Option<String>,
    rows: Option<i64>,
    calls: i32,
    /// Whether it is the event of the call itself.
    own: bool,
}

impl FromRow<'_, PgRow> for Event {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            tenant_id: row.try_get("tenant_id")?,
            actor_id: row.try_get("actor_id")?,
            action: row.try_get("action")?,
            also: row.try_get("also")?,
            dataset_id: row.try_get("dataset_id")?,
            resource: row.try_get("resource")?,
            result: row.try_get("result")?,
            error_code: row.try_get("error_code")?,
            interface: row.try_get("interface")?,
            operation_name: row.try_get("operation_name")?,
            document: row.try_get("document")?,
            token: row.try_get("token")?,
            rows: row.try_get("rows")?,
            calls: row.try_get("calls")?,
            own: row.try_get("own")?,
        })
    }
}

const EVENTS: &str = "
SELECT tenant_id, actor_id, action, also, dataset_id::text AS dataset_id, resource, result, error_code,
       interface, operation_name, encode(document_hash, 'hex') AS document,
       encode(token_hash, 'hex') AS token, row_count AS rows, calls,
       call_id IS NOT DISTINCT FROM event_id AS own
  FROM audit_event WHERE correlation_id = $1 ORDER BY sequence";

/// The events of a correlation id.
async fn events(admin: &mut PgConnection, correlation_id: &str) -> Vec<Event> {
    sqlx::query_as(EVENTS).bind(correlation_id).fetch_all(admin).await.unwrap()
}

/// The same once there are so many: for calls that nobody waits for.
async fn awaited(admin: &mut PgConnection, correlation_id: &str, many: usize) -> Vec<Event> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let found = events(admin, correlation_id).await;
        if found.len() >= many {
            return found;
        }
        assert!(Instant::now() < end, "{correlation_id}: {found:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn count(admin: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(admin).await.unwrap()
}

/// Lets nobody into the application's database, and ends who is there, until [`let_in`].
async fn lock_out(app: &TestApp) {
    let name = &app.database.name;
    let mut admin = app.database.cluster.admin("postgres").await;
    for sql in [
        format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
        format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
        ),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    }
}

async fn let_in(app: &TestApp) {
    allow(app.database.cluster.admin("postgres").await, &app.database.name).await;
}

async fn allow(mut admin: PgConnection, database: &str) {
    let sql = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
}

/// A name for a call.
fn name() -> String {
    use drr::clock::Clock;

    SystemClock.new_id().to_string()
}

/// A superuser's connection to a database.
async fn connect(options: &PgConnectOptions) -> PgConnection {
    let options = options.clone().options([("search_path", crate::cluster::SCHEMA)]);
    PgConnection::connect_with(&options).await.unwrap()
}
