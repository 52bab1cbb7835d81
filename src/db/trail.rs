//! What appends the events of calls that changed nothing: a connection of its own, so that audit does
//! not wait for the pool, and the pool does not wait for audit.
//!
//! It has one role for as long as it lives, that of the ledger, which may append to the trail and read
//! it, and no tenant outside the one function that it calls.

use std::{borrow::Cow, collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use migration::GroupRole;
use sea_orm::DbErr;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Encode, Executor, PgConnection, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, types::PgRecordEncoder},
};
use tokio::time::timeout;
use uuid::Uuid;

use super::{pool::Db, tenant::TenantTx};
use crate::{
    auth::TenantId,
    error::{Error, Result},
};

/// A row of the trail: whose it is, and then the members of the database's type `call_event`.
#[derive(Debug)]
#[expect(missing_docs, reason = "the columns of `audit_event`")]
pub struct TrailRow<'e> {
    pub tenant: &'e TenantId,
    pub class: &'static str,
    pub occurred_at: DateTime<Utc>,
    pub event_id: Uuid,
    pub call_id: Option<Uuid>,
    pub actor_id: &'e str,
    pub action: &'e str,
    pub also: Option<&'e [Cow<'static, str>]>,
    pub dataset_id: Option<Uuid>,
    pub resource: Option<&'e str>,
    pub result: &'e str,
    pub error_code: Option<&'e str>,
    pub correlation_id: &'e str,
    pub interface: Option<&'e str>,
    pub operation_name: Option<&'e str>,
    pub document_hash: Option<&'e [u8]>,
    pub token_hash: Option<&'e [u8]>,
    pub duration_us: Option<i64>,
    pub row_count: Option<i64>,
    pub calls: i32,
    pub leaf_hash: [u8; 32],
}

impl Type<Postgres> for TrailRow<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("call_event")
    }
}

impl PgHasArrayType for TrailRow<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("call_event")
    }
}

// Not by sqlx's macro: the tenant is no member.
impl Encode<'_, Postgres> for TrailRow<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let mut row = PgRecordEncoder::new(buffer);
        row.encode(self.class)?
            .encode(self.occurred_at)?
            .encode(self.event_id)?
            .encode(self.call_id)?
            .encode(self.actor_id)?
            .encode(self.action)?
            .encode(self.also)?
            .encode(self.dataset_id)?
            .encode(self.resource)?
            .encode(self.result)?
            .encode(self.error_code)?
            .encode(self.correlation_id)?
            .encode(self.interface)?
            .encode(self.operation_name)?
            .encode(self.document_hash)?
            .encode(self.token_hash)?
            .encode(self.duration_us)?
            .encode(self.row_count)?
            .encode(self.calls)?
            .encode(self.leaf_hash)?
            .finish();
        Ok(IsNull::No)
    }
}

// The tenant is not a parameter: it is the transaction's own.
const APPEND_IN: &str = "
WITH known AS (INSERT INTO tenant_directory VALUES (current_tenant()) ON CONFLICT DO NOTHING)
INSERT INTO audit_event
  (tenant_id, class, occurred_at, event_id, call_id, actor_id, action, also, dataset_id, resource,
   result, error_code, correlation_id, interface, operation_name, document_hash, token_hash,
   duration_us, row_count, calls, leaf_hash)
SELECT current_tenant(), class, occurred_at, event_id, call_id, actor_id, action, also, dataset_id,
       resource, result, error_code, correlation_id, interface, operation_name, document_hash,
       token_hash, duration_us, row_count, calls, leaf_hash
  FROM unnest($1::call_event[])";

impl TenantTx {
    /// Appends events in the transaction: they stand or fall with it.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn append_events(&self, rows: &[TrailRow<'_>]) -> Result<(), DbErr> {
        self.run(sqlx::query(APPEND_IN).bind(rows)).await?;
        Ok(())
    }
}

/// The part of each tenant, by its place among the rows.
const APPEND: &str = "
SELECT append_events(tenant, listed, ($3::call_event[])[low:high])
  FROM unnest($1::text[], $2::boolean[], $4::integer[], $5::integer[]) AS part (tenant, listed, low, high)";
/// The same, passing over those that are there already.
const APPEND_AGAIN: &str = "
SELECT append_events_again(tenant, listed, ($3::call_event[])[low:high])
  FROM unnest($1::text[], $2::boolean[], $4::integer[], $5::integer[]) AS part (tenant, listed, low, high)";

/// See the [module](self).
#[derive(Debug)]
pub struct TrailWriter {
    db: Db,
    link: Option<Link>,
}

/// A connection, and of which tenants it has seen that they are in the directory.
#[derive(Debug)]
struct Link {
    connection: PgConnection,
    listed: HashSet<TenantId>,
}

impl TrailWriter {
    /// Connects when it first appends, and again after a failure.
    #[must_use]
    pub const fn new(db: Db) -> Self {
        Self { db, link: None }
    }

    /// Appends `rows`, which are ordered by tenant, passing over those that are there already; they are
    /// durable when it returns.
    ///
    /// # Errors
    /// Whatever the database answers, or that it did not within `patience`: what was appended then,
    /// if anything, is not known.
    pub async fn append(&mut self, rows: &[TrailRow<'_>], patience: Duration) -> Result<()> {
        // Taken away for the time being: what is cut off is not used again.
        let kept = self.link.take();
        let done = timeout(patience, async {
            let mut link = match kept {
                Some(link) => link,
                None => Link::new(&self.db).await.map_err(Error::unavailable)?,
            };
            link.insert(rows).await.map_err(super::error::mapped)?;
            Ok::<_, Error>(link)
        });
        self.link = Some(done.await.map_err(Error::unavailable)??);
        for (tenant, _) in parts(rows) {
            self.db.appends().add(tenant);
        }
        Ok(())
    }

    /// Ends the connection.
    pub async fn close(&mut self) {
        if let Some(link) = self.link.take()
            && let Err(error) = link.connection.close().await
        {
            tracing::debug!(%error, "the audit connection was not closed in order");
        }
    }
}

impl Link {
    async fn new(db: &Db) -> sqlx::Result<Self> {
        let mut connection =
            db.connect_options().clone().application_name("drr-audit").connect().await?;
        let settings = db.settings();
        let role = GroupRole::Ledger.name(&settings.schema);
        let timeout = super::tenant::milliseconds(settings.statement_timeout);
        let sql = format!("SET ROLE {role}; SET statement_timeout = {timeout}");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        Ok(Self { connection, listed: HashSet::new() })
    }

    async fn insert(&mut self, rows: &[TrailRow<'_>]) -> sqlx::Result<()> {
        // An event of a commit that was cut off, and took place all the same: this is seldom.
        let is_there = |error: &sqlx::Error| {
            error.as_database_error().is_some_and(|error| error.is_unique_violation())
        };
        match self.execute(APPEND, rows).await {
            Err(error) if is_there(&error) => self.execute(APPEND_AGAIN, rows).await?,
            done => done?,
        }
        for (tenant, _) in parts(rows) {
            if !self.listed.contains(tenant) {
                self.listed.insert(tenant.clone());
            }
        }
        Ok(())
    }

    async fn execute(&mut self, sql: &'static str, rows: &[TrailRow<'_>]) -> sqlx::Result<()> {
        let (mut tenants, mut listed) = (Vec::new(), Vec::new());
        let (mut lows, mut highs, mut count) = (Vec::new(), Vec::new(), 0);
        for (tenant, of_tenant) in parts(rows) {
            tenants.push(tenant.as_str());
            listed.push(self.listed.contains(tenant));
            lows.push(count + 1);
            count += i32::try_from(of_tenant).unwrap_or(i32::MAX);
            highs.push(count);
        }
        let query = sqlx::query(sql).bind(tenants).bind(listed).bind(rows).bind(lows).bind(highs);
        query.execute(&mut self.connection).await.map(|_| ())
    }
}

/// The tenants of rows that are ordered by them, and how many rows each has.
fn parts<'r>(rows: &'r [TrailRow<'_>]) -> impl Iterator<Item = (&'r TenantId, usize)> {
    let parts = rows.chunk_by(|one, other| one.tenant == other.tenant);
    parts.filter_map(|part| Some((part.first()?.tenant, part.len())))
}
