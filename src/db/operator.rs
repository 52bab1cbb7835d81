//! What the program's own tasks ask of the database as the operator role: which tenants have
//! something due, and who leads. No tenant's row is seen here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use migration::GroupRole;
use sqlx::{
    Postgres, Row,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow, PgTransactionManager},
    query::Query,
};
use sqlx_core::transaction::TransactionManager;

use super::{error::mapped, pool::Db, tenant::milliseconds};
use crate::{auth::TenantId, error::Error};

/// A tenant that the database itself has named as one with something due, or to whose rows a verified
/// caller has just written. There is no other way to one: that a request came to [`Db::of_due`] with a
/// tenant of its choice cannot be written down.
#[derive(Debug, Clone)]
pub struct DueTenant {
    tenant: TenantId,
    since: DateTime<Utc>,
}

impl DueTenant {
    /// One of whose rows a transaction has just been committed.
    pub(super) const fn of_commit(tenant: TenantId) -> Self {
        Self { tenant, since: DateTime::UNIX_EPOCH }
    }

    /// What belongs to no tenant, or to all of them.
    #[must_use]
    pub fn none() -> Self {
        Self::of_commit(TenantId::none())
    }

    /// Which one.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The instant of what has been due longest.
    #[must_use]
    pub const fn since(&self) -> DateTime<Utc> {
        self.since
    }
}

/// What may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A breach to be opened, escalated or resolved.
    Breaches,
    /// An event to be delivered.
    Deliveries,
    /// A change to be announced.
    Changes,
    /// An event to be put into the evidence ledger.
    Evidence,
    /// A checkpoint of the ledger to be published.
    Checkpoints,
    /// A request for a version of a schema whose time is over.
    SchemaTransitions,
    /// A dataset of which something else is bound or was reported than was compared.
    SchemaDrift,
}

const BREACHES: &str = "SELECT tenant, due_since FROM tenants_with_breaches_due($1)";
const CHANGES: &str = "SELECT tenant, due_since FROM tenants_with_changes_due($1)";
const EVIDENCE: &str = "SELECT tenant, due_since FROM tenants_with_evidence_due($1)";
const CHECKPOINTS: &str = "SELECT tenant, due_since FROM tenants_with_checkpoints_due($1)";
const SCHEMA_TRANSITIONS: &str =
    "SELECT tenant, due_since FROM tenants_with_schema_transitions_due($1)";
const SCHEMA_DRIFT: &str = "SELECT tenant, due_since FROM tenants_with_schema_drift_due($1)";
const DELIVERIES: &str = "SELECT tenant, due_since FROM tenants_with_deliveries_due($1)";

/// The tenants with something due at `now`, in one round trip however many there are.
///
/// # Errors
/// Whatever the database answers.
pub async fn tenants_with(db: &Db, due: Due, now: DateTime<Utc>) -> Result<Vec<DueTenant>, Error> {
    let sql = match due {
        Due::Breaches => BREACHES,
        Due::Deliveries => DELIVERIES,
        Due::Changes => CHANGES,
        Due::Evidence => EVIDENCE,
        Due::Checkpoints => CHECKPOINTS,
        Due::SchemaTransitions => SCHEMA_TRANSITIONS,
        Due::SchemaDrift => SCHEMA_DRIFT,
    };
    listed(&as_operator(db, sqlx::query(sql).bind(now)).await?)
}

const WITH_AUDIT_EVENTS: &str = "SELECT tenant, due_since FROM tenants_with_audit_events($1, $2)";

/// The tenants with audit events of a class from before an instant.
///
/// # Errors
/// Whatever the database answers.
pub async fn tenants_with_audit_events(
    db: &Db,
    class: &str,
    before: DateTime<Utc>,
) -> Result<Vec<DueTenant>, Error> {
    listed(&as_operator(db, sqlx::query(WITH_AUDIT_EVENTS).bind(class).bind(before)).await?)
}

const WITH_AUDIT_ARCHIVES: &str = "SELECT tenant, due_since FROM tenants_with_audit_archives()";

/// The tenants with archived audit events.
///
/// # Errors
/// Whatever the database answers.
pub async fn tenants_with_audit_archives(db: &Db) -> Result<Vec<DueTenant>, Error> {
    listed(&as_operator(db, sqlx::query(WITH_AUDIT_ARCHIVES)).await?)
}

const LISTED: &str = "SELECT tenant, due_since FROM tenants_listed()";

/// All tenants.
///
/// # Errors
/// Whatever the database answers.
pub async fn tenants(db: &Db) -> Result<Vec<DueTenant>, Error> {
    listed(&as_operator(db, sqlx::query(LISTED)).await?)
}

const TO_STREAM: &str = "SELECT tenant, due_since FROM tenants_with_events_to_stream($1, $2)";

/// The tenants, and nobody's, with audit events that `sink` does not have yet.
///
/// # Errors
/// Whatever the database answers.
pub async fn tenants_to_stream(
    db: &Db,
    sink: &'static str,
    now: DateTime<Utc>,
) -> Result<Vec<DueTenant>, Error> {
    listed(&as_operator(db, sqlx::query(TO_STREAM).bind(sink).bind(now)).await?)
}

const SCHEMA_EVENTS: &str = "SELECT tenant, due_since FROM tenants_with_schema_events_due($1, $2)";

/// The tenants with events of schemas that `sink` does not have yet.
///
/// # Errors
/// Whatever the database answers.
pub async fn tenants_with_schema_events(
    db: &Db,
    sink: &'static str,
    now: DateTime<Utc>,
) -> Result<Vec<DueTenant>, Error> {
    listed(&as_operator(db, sqlx::query(SCHEMA_EVENTS).bind(sink).bind(now)).await?)
}

fn listed(rows: &[PgRow]) -> Result<Vec<DueTenant>, Error> {
    let read = |row: &PgRow| {
        let code: String = row.try_get(0).map_err(Error::internal)?;
        let tenant = TenantId::parse_or_none(&code).map_err(Error::internal)?;
        Ok(DueTenant { tenant, since: row.try_get(1).map_err(Error::internal)? })
    };
    rows.iter().map(read).collect()
}

const AHEAD: &str = "SELECT evidence_transaction_ahead()";

/// The number of the last transaction that audit events or logs of evidence name, if this server has
/// not come to it yet.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn transaction_ahead(db: &Db) -> Result<Option<String>, Error> {
    let rows = as_operator(db, sqlx::query(AHEAD)).await?;
    let ahead = rows.first().map(|row| row.try_get(0)).transpose().map_err(Error::internal)?;
    Ok(ahead.flatten())
}

const TAKE: &str = "
INSERT INTO lease AS held (name, holder, expires_at)
VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
  WHERE held.holder = excluded.holder OR held.expires_at <= clock_timestamp()
RETURNING 1";

/// Takes or renews the lease `name` for `holder`; answers whether it has it now, by the database's
/// clock.
///
/// # Errors
/// Whatever the database answers.
pub async fn take_lease(db: &Db, name: &str, holder: &str, ttl: Duration) -> Result<bool, Error> {
    let ttl = i64::try_from(ttl.as_millis()).map_err(Error::internal)?;
    let rows = as_operator(db, sqlx::query(TAKE).bind(name).bind(holder).bind(ttl)).await?;
    Ok(!rows.is_empty())
}

const GIVE_UP: &str = "DELETE FROM lease WHERE name = $1 AND holder = $2 RETURNING 1";

/// Gives the lease up, if `holder` has it.
///
/// # Errors
/// Whatever the database answers.
pub async fn give_up_lease(db: &Db, name: &str, holder: &str) -> Result<(), Error> {
    as_operator(db, sqlx::query(GIVE_UP).bind(name).bind(holder)).await.map(|_| ())
}

/// An open transaction of the operator role. Dropping it undoes it, as with a tenant's.
struct OperatorTx(PoolConnection<Postgres>);

impl Drop for OperatorTx {
    fn drop(&mut self) {
        PgTransactionManager::start_rollback(&mut self.0);
    }
}

/// Runs one statement as the operator role.
async fn as_operator<'q>(
    db: &Db,
    query: Query<'q, Postgres, PgArguments>,
) -> Result<Vec<PgRow>, Error> {
    let settings = db.settings();
    let role = GroupRole::Operator.name(&settings.schema);
    let timeout = milliseconds(settings.statement_timeout);
    let sql = format!("BEGIN; SET LOCAL statement_timeout = {timeout}; SET LOCAL ROLE {role}");
    let (connection, _) = db.begun(&sql).await?;
    let mut tx = OperatorTx(connection);
    let rows = query.fetch_all(&mut *tx.0).await.map_err(mapped)?;
    PgTransactionManager::commit(&mut tx.0).await.map_err(mapped)?;
    Ok(rows)
}
