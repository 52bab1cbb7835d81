//! What uses schemas and versions of them: datasets that are bound to one, versions that refer to one.

use uuid::Uuid;

use super::{
    model::name::SchemaName,
    repository::{Version, VersionKey},
};
use crate::{
    db::{FromRow, TenantTx},
    error::Result,
};

/// That a version `v` refers to the version `$4` of the schema `$3`. Row-level security lets no index be asked whether
/// an array holds something: there is one of what refers to anything at all.
pub const REFERS: &str = "v.reference_ids <> '{}' AND ARRAY[$3] <@ v.reference_ids AND EXISTS (
  SELECT FROM unnest(v.reference_ids, v.reference_numbers) AS r (id, number) WHERE r.id = $3 AND r.number = $4)";

/// Reads what refers to a schema.
pub const REFERRING: &str = "
SELECT * FROM schema_version WHERE reference_ids <> '{}' AND ARRAY[$1::uuid] <@ reference_ids
 ORDER BY schema_id, number DESC LIMIT 200";

/// Versions that refer to any version of a schema, by schema, the latest of each first.
///
/// # Errors
/// Whatever the database answers.
pub async fn referring_to(tx: &TenantTx, schema_id: Uuid) -> Result<Vec<Version>> {
    Ok(tx.query_sql(REFERRING, [schema_id.into()]).await?)
}

#[derive(FromRow)]
struct Users {
    users: i64,
}

const IN_USE: &str = "
SELECT (SELECT count(*) FROM dataset_registry WHERE lifecycle = 'ACTIVE' AND schema_fqid = $2)
     + (SELECT count(*) FROM dataset_registry
         WHERE lifecycle = 'ACTIVE' AND schema_fqid = $1 AND NOT EXISTS (
           SELECT FROM schema_version v WHERE v.schema_id = $3 AND v.state = 'ACTIVE' AND v.number > $4))
     + (SELECT count(*) FROM schema_version v WHERE v.state IN ('ACTIVE', 'DEPRECATED') AND ";

/// Counts what uses a version.
#[must_use]
pub fn in_use() -> String {
    format!("{IN_USE}{REFERS}) AS users")
}

/// How many datasets in use are bound to a version, or to its schema while none later is active, and how many
/// versions in use refer to it.
///
/// # Errors
/// Whatever the database answers.
pub async fn users(tx: &TenantTx, name: &SchemaName, key: VersionKey) -> Result<i64> {
    let (schema, version) = (name.to_string(), format!("{name}@{}", key.number));
    let values = [schema.into(), version.into(), key.schema_id.into(), key.number.into()];
    let rows: Vec<Users> = tx.query_sql(in_use(), values).await?;
    Ok(rows.first().map_or(0, |row| row.users))
}

#[derive(FromRow)]
struct Bound {
    dataset_id: Uuid,
}

/// That a dataset in use is bound to `tenant.x.y.z` itself or to `tenant.x.y.z@<number>`: a range, since `A` follows
/// `@`.
const BOUND: &str = "lifecycle = 'ACTIVE' AND (
  schema_fqid = $1 OR schema_fqid >= $1 || '@' AND schema_fqid < $1 || 'A')";

/// The datasets in use that are bound to a schema or to a version of it, by name: 200 at the most.
///
/// # Errors
/// Whatever the database answers.
pub async fn bound(tx: &TenantTx, schema: &SchemaName) -> Result<Vec<Uuid>> {
    let sql = format!(
        "SELECT dataset_id FROM dataset_registry WHERE {BOUND} ORDER BY name, dataset_id LIMIT 200"
    );
    let rows: Vec<Bound> = tx.query_sql(sql, [schema.to_string().into()]).await?;
    Ok(rows.into_iter().map(|row| row.dataset_id).collect())
}

/// How many these are.
///
/// # Errors
/// Whatever the database answers.
pub async fn bound_count(tx: &TenantTx, schema: &SchemaName) -> Result<i64> {
    let sql = format!("SELECT count(*) AS users FROM dataset_registry WHERE {BOUND}");
    let rows: Vec<Users> = tx.query_sql(sql, [schema.to_string().into()]).await?;
    Ok(rows.first().map_or(0, |row| row.users))
}
