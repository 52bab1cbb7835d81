//! The database, one step per file.
//!
//! Every step works in the schema that is first on the connection's search path, so that the same
//! steps make `storage_drr`, `storage_drr_staging` and `storage_drr_dev`. A table that holds tenant
//! rows gets its row-level security from [`rls`]; a table partitioned by month gets its partitions
//! from the function that `m0006_partitions` makes.
//!
//! To add a step: a new file, and its line in [`Migrator::migrations`]. A step that has been
//! released is never edited.

use sea_orm_migration::sea_orm::{DbBackend, Statement};
pub use sea_orm_migration::{MigrationStatus, prelude::*};

mod m0001_roles_and_context;
mod m0002_datasets;
mod m0003_runs;
mod m0004_freshness_policy;
mod m0005_audit_and_idempotency;
mod m0006_partitions;
mod m0007_policies;
mod m0008_breaches;
mod m0009_once;
mod m0010_verdicts;
mod m0011_history;
mod m0012_changes;
mod m0013_calls;
mod m0014_evidence;
mod m0015_siem;
mod m0016_archive;
mod m0017_append;
mod m0018_schemas;
mod m0019_schema_expiry;
mod m0020_schema_drift;
mod rls;

/// The list of steps, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_roles_and_context::Migration),
            Box::new(m0002_datasets::Migration),
            Box::new(m0003_runs::Migration),
            Box::new(m0004_freshness_policy::Migration),
            Box::new(m0005_audit_and_idempotency::Migration),
            Box::new(m0006_partitions::Migration),
            Box::new(m0007_policies::Migration),
            Box::new(m0008_breaches::Migration),
            Box::new(m0009_once::Migration),
            Box::new(m0010_verdicts::Migration),
            Box::new(m0011_history::Migration),
            Box::new(m0012_changes::Migration),
            Box::new(m0013_calls::Migration),
            Box::new(m0014_evidence::Migration),
            Box::new(m0015_siem::Migration),
            Box::new(m0016_archive::Migration),
            Box::new(m0017_append::Migration),
            Box::new(m0018_schemas::Migration),
            Box::new(m0019_schema_expiry::Migration),
            Box::new(m0020_schema_drift::Migration),
        ]
    }
}

/// The roles that the program takes on inside a transaction. None can log in, own a table or
/// bypass row-level security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupRole {
    /// Reads what a tenant may see.
    Reader,
    /// Records runs, keeps datasets and policies, appends audit events.
    Writer,
    /// Reads freshness metadata and the audit trail.
    Auditor,
    /// Keeps the partitions ahead of the calendar, holds leases, asks which tenants have something
    /// due; sees no tenant's row.
    Operator,
    /// Appends the events of calls to the trail, and all events to the evidence ledger.
    Ledger,
    /// Decides about versions of schemas, and can change nothing but what follows from that.
    Approver,
}

impl GroupRole {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Reader, Self::Writer, Self::Auditor, Self::Operator, Self::Ledger, Self::Approver];

    const fn placeholder(self) -> &'static str {
        match self {
            Self::Reader => "{reader}",
            Self::Writer => "{writer}",
            Self::Auditor => "{auditor}",
            Self::Operator => "{operator}",
            Self::Ledger => "{ledger}",
            Self::Approver => "{approver}",
        }
    }

    /// The role's name in the environment of `schema`: `drr_reader` for `storage_drr`,
    /// `drr_reader_dev` for `storage_drr_dev`. Roles belong to the whole cluster, so each
    /// environment has its own, with USAGE on its own schema and no other. // D23–D25
    #[must_use]
    pub fn name(self, schema: &str) -> String {
        let environment = schema.strip_prefix("storage_drr").unwrap_or_default();
        format!("drr_{}{environment}", self.placeholder().trim_matches(['{', '}']))
    }
}

/// Lets `login` take on every group role of `schema` (and inherit from none).
///
/// # Errors
/// Whatever the database answers; `login` must exist.
pub async fn grant_roles(
    connection: &impl ConnectionTrait,
    schema: &str,
    login: &str,
) -> Result<(), DbErr> {
    let login = login.replace('"', "\"\"");
    for role in GroupRole::ALL {
        let sql = format!("GRANT {} TO \"{login}\"", role.name(schema));
        #[expect(clippy::disallowed_methods, reason = "a role's name cannot be a parameter")]
        connection.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Runs one step's SQL, with `{reader}`, `{writer}` … standing for this environment's roles.
async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let current = Statement::from_string(DbBackend::Postgres, "SELECT current_schema()::text");
    let schema: String = match connection.query_one_raw(current).await? {
        Some(row) => row.try_get_by_index(0)?,
        None => return Err(DbErr::Custom("no schema is first on the search path".to_owned())),
    };
    let mut sql = sql.to_owned();
    for role in GroupRole::ALL {
        sql = sql.replace(role.placeholder(), &role.name(&schema));
    }
    #[expect(clippy::disallowed_methods, reason = "a migration is a script: it has no parameters")]
    connection.execute_unprepared(&sql).await.map(|_| ())
}
