//! What appends the events of calls that changed nothing: a connection of its own, so that audit does
//! not wait for the pool, and the pool does not wait for audit.
//!
//! It has one role for as long as it lives, that of the ledger, which may append to the trail and read
//! it, and no tenant outside the one function that it calls.

use std::time::Duration;

use chrono::{DateTime, Utc};
use migration::GroupRole;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use super::pool::Db;
use crate::{
    auth::TenantId,
    error::{Error, Result},
};

/// Rows of the trail, column by column, ordered by tenant.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the columns of `audit_event`")]
pub struct TrailRows {
    pub tenants: Vec<String>,
    pub classes: Vec<&'static str>,
    pub occurred: Vec<DateTime<Utc>>,
    pub ids: Vec<Uuid>,
    pub call_ids: Vec<Option<Uuid>>,
    pub actors: Vec<String>,
    pub actions: Vec<String>,
    pub alsos: Vec<Option<String>>,
    pub datasets: Vec<Option<Uuid>>,
    pub resources: Vec<Option<String>>,
    pub results: Vec<String>,
    pub codes: Vec<Option<String>>,
    pub correlations: Vec<String>,
    pub interfaces: Vec<Option<String>>,
    pub operations: Vec<Option<String>>,
    pub documents: Vec<Option<Vec<u8>>>,
    pub tokens: Vec<Option<Vec<u8>>>,
    pub durations: Vec<Option<i64>>,
    pub row_counts: Vec<Option<i64>>,
    pub call_counts: Vec<i32>,
    pub leaves: Vec<Vec<u8>>,
}

const APPEND: &str = "SELECT append_calls($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
                      $14, $15, $16, $17, $18, $19, $20, $21)";

/// See the [module](self).
#[derive(Debug)]
pub struct TrailWriter {
    db: Db,
    connection: Option<PgConnection>,
}

impl TrailWriter {
    /// Connects when it first appends, and again after a failure.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db, connection: None }
    }

    /// Appends `rows`, passing over those that are there already; they are durable when it returns.
    ///
    /// # Errors
    /// Whatever the database answers, or that it did not within `patience`: what was appended then,
    /// if anything, is not known.
    pub async fn append(&mut self, rows: &TrailRows, patience: Duration) -> Result<()> {
        // Taken away for the time being: what is cut off is not used again.
        let kept = self.connection.take();
        let done = timeout(patience, async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => connect(&self.db).await.map_err(Error::unavailable)?,
            };
            insert(&mut connection, rows).await.map_err(super::error::mapped)?;
            Ok::<_, Error>(connection)
        });
        self.connection = Some(done.await.map_err(Error::unavailable)??);
        let codes = rows.tenants.chunk_by(|one, other| one == other).filter_map(|of| of.first());
        for tenant in codes.filter_map(|code| TenantId::parse_or_none(code).ok()) {
            self.db.appends().add(&tenant);
        }
        Ok(())
    }

    /// Ends the connection.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the audit connection was not closed in order");
        }
    }
}

async fn connect(db: &Db) -> sqlx::Result<PgConnection> {
    let mut connection =
        db.connect_options().clone().application_name("drr-audit").connect().await?;
    let settings = db.settings();
    let role = GroupRole::Ledger.name(&settings.schema);
    let timeout = super::tenant::milliseconds(settings.statement_timeout);
    let sql = format!("SET ROLE {role}; SET statement_timeout = {timeout}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    Ok(connection)
}

async fn insert(connection: &mut PgConnection, rows: &TrailRows) -> sqlx::Result<()> {
    let query = sqlx::query(APPEND)
        .bind(&rows.tenants)
        .bind(&rows.classes)
        .bind(&rows.occurred)
        .bind(&rows.ids)
        .bind(&rows.call_ids)
        .bind(&rows.actors)
        .bind(&rows.actions)
        .bind(&rows.alsos)
        .bind(&rows.datasets)
        .bind(&rows.resources)
        .bind(&rows.results)
        .bind(&rows.codes)
        .bind(&rows.correlations)
        .bind(&rows.interfaces)
        .bind(&rows.operations)
        .bind(&rows.documents)
        .bind(&rows.tokens)
        .bind(&rows.durations)
        .bind(&rows.row_counts)
        .bind(&rows.call_counts)
        .bind(&rows.leaves);
    query.execute(connection).await.map(|_| ())
}
