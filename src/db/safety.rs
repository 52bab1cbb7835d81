//! What must hold before the program serves: its login cannot go around row-level security, every
//! tenant table is behind it, and the schema is the one of this environment. // D15, D19, D20, D23

use migration::{Migrator, MigratorTrait};

use super::{maintenance, operator, pool::Db};
use crate::error::Error;

/// Something that makes the database unsafe to serve from. The program refuses to start.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeDatabase {
    /// The database cannot be asked.
    #[error("the database cannot be checked: {0}")]
    Unreachable(#[from] sqlx::Error),
    /// The pool has no connection to ask with.
    #[error("the database cannot be reached: {}", std::error::Error::source(.0).map_or_else(|| .0.to_string(), ToString::to_string))]
    Unavailable(#[from] Error),
    /// The schema of this environment is missing.
    #[error("the schema {0} does not exist in this database; run `drr migrate up`")]
    NoSchema(String),
    /// The schema is older or newer than this program.
    #[error("the schema is not at this program's version ({0}); run `drr migrate up`")]
    NotMigrated(String),
    /// The login, or a role it may take on, escapes row-level security.
    #[error(
        "the login may act as {0}, which is a superuser or has BYPASSRLS, REPLICATION or CREATEROLE"
    )]
    Bypass(String),
    /// The login, or a role it may take on, owns tables or the schema.
    #[error("the login may act as {0}, which owns {1}; owners can switch row-level security off")]
    Owner(String, String),
    /// The login reaches another environment's schema.
    #[error("the login also reaches the schema {0} of another environment")]
    OtherEnvironment(String),
    /// A tenant table is not behind the door.
    #[error(
        "the table {0} holds tenant rows without forced row-level security and the one policy tenant_isolation"
    )]
    Unguarded(String),
    /// A write to a tenant table could pass without an audit event.
    #[error(
        "writes to the table {0} could leave no audit event: a trigger of the guard is missing"
    )]
    Unaudited(String),
    /// The events are from a server whose transactions had higher numbers.
    #[error(
        "audit events are numbered up to the transaction {0}, which this server has not come to: the \
         database was restored into a younger one; see \"A restored database\" in docs/operating.md"
    )]
    Younger(String),
}

/// Checks everything; the first thing that does not hold is the error.
///
/// # Errors
/// [`UnsafeDatabase`], which says what to mend.
pub async fn verify(db: &Db) -> Result<(), UnsafeDatabase> {
    let schema = db.settings().schema.as_str();
    let mut connection = db.connection().await?;
    let connection = &mut *connection;

    if let Some(role) = first(connection, BYPASS, schema).await? {
        return Err(UnsafeDatabase::Bypass(role));
    }
    if first(connection, "SELECT nspname::text FROM pg_namespace WHERE nspname = $1", schema)
        .await?
        .is_none()
    {
        return Err(UnsafeDatabase::NoSchema(schema.to_owned()));
    }
    if let Some(owned) = first(connection, OWNED, schema).await? {
        let (role, object) = owned.split_once(' ').unwrap_or((&owned, ""));
        return Err(UnsafeDatabase::Owner(role.to_owned(), object.to_owned()));
    }
    if let Some(other) = first(connection, OTHER_ENVIRONMENT, schema).await? {
        return Err(UnsafeDatabase::OtherEnvironment(other));
    }
    if let Some(table) = first(connection, UNGUARDED, schema).await? {
        return Err(UnsafeDatabase::Unguarded(table));
    }
    // A schema of another version has other triggers.
    verify_version(db).await?;
    if let Some(table) = first(connection, UNAUDITED, schema).await? {
        return Err(UnsafeDatabase::Unaudited(table));
    }
    match operator::transaction_ahead(db).await? {
        Some(transaction) => Err(UnsafeDatabase::Younger(transaction)),
        None => Ok(()),
    }
}

async fn verify_version(db: &Db) -> Result<(), UnsafeDatabase> {
    let applied = match maintenance::applied_migrations(db).await {
        Ok(applied) => applied,
        Err(sqlx::Error::Database(error)) if is_unprepared(error.code().as_deref()) => {
            return Err(UnsafeDatabase::NotMigrated(error.message().to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    let known: Vec<String> =
        Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
    if let Some(missing) = known.iter().find(|step| !applied.contains(step)) {
        return Err(UnsafeDatabase::NotMigrated(format!("{missing} is not applied")));
    }
    if let Some(unknown) = applied.iter().find(|step| !known.contains(step)) {
        return Err(UnsafeDatabase::NotMigrated(format!("{unknown} is from a newer program")));
    }
    Ok(())
}

/// Whether this is what the question for the migrations is answered with before the first of them:
/// no such table, no such role, or no right to take it on.
fn is_unprepared(sqlstate: Option<&str>) -> bool {
    matches!(sqlstate, Some("42P01" | "22023" | "42501"))
}

async fn first(
    connection: &mut sqlx::PgConnection,
    sql: &'static str,
    schema: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(sql).bind(schema).fetch_optional(connection).await
}

/// Every role that the login is or may become. A superuser may become any, so its own flag is
/// looked at first. Replication reads every tenant's log; before PostgreSQL 16, CREATEROLE grants
/// itself the owner.
const BYPASS: &str = "
SELECT rolname::text FROM pg_roles
 WHERE (rolsuper OR rolbypassrls OR rolreplication OR rolcreaterole) AND pg_has_role(session_user, oid, 'MEMBER') AND $1 <> ''
 ORDER BY rolname <> session_user, rolname LIMIT 1";

const OWNED: &str = "
SELECT pg_get_userbyid(owner) || ' ' || object FROM (
  SELECT nspowner AS owner, nspname::text AS object FROM pg_namespace WHERE nspname = $1
  UNION ALL
  SELECT relowner, relname::text FROM pg_class WHERE relnamespace = $1::regnamespace
  UNION ALL
  SELECT proowner, proname::text FROM pg_proc WHERE pronamespace = $1::regnamespace
) AS owned
 WHERE pg_has_role(session_user, owner, 'MEMBER') LIMIT 1";

const OTHER_ENVIRONMENT: &str = "
SELECT nspname::text FROM pg_namespace, pg_roles
 WHERE nspname <> $1 AND nspname LIKE 'storage\\_drr%'
   AND pg_has_role(session_user, pg_roles.oid, 'MEMBER')
   AND has_schema_privilege(pg_roles.oid, pg_namespace.oid, 'USAGE') LIMIT 1";

/// A table or partition with a tenant column that lacks ENABLE, FORCE, NOT NULL or the policy, or
/// that has a policy besides it (permissive policies are joined by OR). The directory of tenants has
/// one more: its owner, whom the login cannot be or become, may list the codes. A view shows its owner's
/// rows unless it is `security_invoker`; a materialised view or a foreign table has no policies.
///
/// The expression names the function with its schema if the login itself cannot see it, and else
/// without, since this schema is first on the search path.
const UNGUARDED: &str = "
SELECT c.relname::text FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
 WHERE c.relnamespace = $1::regnamespace
   AND CASE c.relkind
     WHEN 'i' THEN false WHEN 'I' THEN false WHEN 'c' THEN false
     WHEN 'v' THEN NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)
     ELSE NOT (
     c.relrowsecurity AND c.relforcerowsecurity AND a.attnotnull
     AND (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid
             AND NOT (c.relname = 'tenant_directory' AND p.polname = 'directory_listing'
                      AND p.polcmd = 'r' AND p.polroles = ARRAY[c.relowner])) = 1
     AND EXISTS (
       SELECT FROM pg_policy p
        WHERE p.polrelid = c.oid AND p.polname = 'tenant_isolation'
          AND p.polcmd = '*' AND p.polpermissive AND p.polroles = '{0}'
          AND pg_get_expr(p.polqual, c.oid) IN (
            '(tenant_id = ( SELECT current_tenant() AS current_tenant))',
            '(tenant_id = ( SELECT ' || $1 || '.current_tenant() AS current_tenant))')
          AND pg_get_expr(p.polwithcheck, c.oid) = pg_get_expr(p.polqual, c.oid))) END
 ORDER BY c.relname LIMIT 1";

/// A table or partition whose triggers are not those of the guard (`m0009_once`): the right function,
/// for every kind of statement, switched on. The tables named first need none: what is in them is about
/// requests, or repeats what audited changes did. // D44
const UNAUDITED: &str = "
WITH guarded AS (
  SELECT c.oid, c.relname FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
   WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p')
     AND c.relname NOT IN ('idempotency_record', 'token_nonce', 'tenant_directory', 'change_mark',
                           'change_head', 'freshness_announced', 'freshness_change', 'run_event_batch',
                           'evidence_head', 'evidence_tile', 'siem_cursor', 'schema_event_cursor')
), expected (oid, relname, name, function, kind) AS (
  -- The bits of tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate.
  SELECT oid, relname, 'audit_owed', 'owe_audit_event', 2 + 4 + 8 + 16 + 32 FROM guarded
   WHERE relname NOT LIKE 'audit\\_event%'
  UNION ALL
  SELECT oid, relname, 'audit_paid', 'pay_audit_debt', 4 FROM guarded WHERE relname = 'audit_event'
  UNION ALL
  SELECT oid, relname, 'audit_kept', 'refuse_audit_rewrite', 2 + 8 + 16 + 32 FROM guarded
   WHERE relname LIKE 'audit\\_event%'
  UNION ALL
  SELECT oid, relname, name, function, kind FROM pg_class JOIN
    (VALUES ('evidence_tile', 'audit_kept', 'refuse_audit_rewrite', 2 + 8 + 16 + 32),
            ('evidence_head', 'audit_kept', 'refuse_audit_rewrite', 2 + 8 + 32),
            ('evidence_head', 'evidence_grows', 'refuse_audit_rewrite', 1 + 16))
      AS ledger (table_name, name, function, kind) ON table_name = relname
   WHERE relnamespace = $1::regnamespace
  UNION ALL
  SELECT oid, relname, 'audit_kept', 'refuse_audit_rewrite', 2 + 8 + 16 + 32 FROM pg_class
   WHERE relnamespace = $1::regnamespace AND relname IN ('audit_archive', 'legal_hold')
  UNION ALL
  SELECT oid, relname, name, function, kind FROM pg_class,
    (VALUES ('audit_debt_settled', 'settle_audit_debt', 1 + 4),
            ('audit_debt_kept', 'refuse_audit_rewrite', 2 + 4 + 8 + 16 + 32)) AS debt (name, function, kind)
   WHERE relnamespace = $1::regnamespace AND relname = 'audit_debt'
)
SELECT relname::text FROM expected
 WHERE NOT EXISTS (
   SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = expected.oid AND t.tgname = expected.name AND t.tgtype = expected.kind
      AND p.proname = expected.function AND p.pronamespace = $1::regnamespace AND p.prosecdef
      AND t.tgenabled IN ('O', 'A') AND t.tgnargs = 0 AND t.tgattr = ''
      AND (t.tgqual IS NULL OR expected.name IN ('audit_debt_kept', 'evidence_grows')
        OR expected.name = 'audit_paid' AND pg_get_triggerdef(t.oid) LIKE '%WHEN ((CURRENT_USER <> '''
          || replace($1, 'storage_drr', 'drr_ledger') || '''::name)) EXECUTE%')
      AND (t.tgdeferrable AND t.tginitdeferred) = (expected.name = 'audit_debt_settled'))
 ORDER BY relname LIMIT 1";
