//! What clients of Confluent's registry ask for: schemas as subjects, by their short names, and versions by the
//! number that each has within its tenant.

use super::{
    page::{REACHED, reached},
    repository::{Version, VersionKey},
    usage::REFERS,
};
use crate::{
    auth::Reach,
    db::{FromRow, TenantTx},
    error::Result,
};

/// The domain that short names leave out.
pub const DEFAULT_DOMAIN: &str = "default";

/// The short name, as subjects are sorted by it.
const SHORT: &str = "(CASE s.domain WHEN 'default' THEN s.name ELSE s.domain || '.' || s.name END)";

/// Which subjects are asked for.
#[derive(Debug, Clone)]
pub struct Listing<'a> {
    /// What their short names begin with.
    pub prefix: &'a str,
    /// The states of which one of their versions has one.
    pub states: &'a [&'static str],
    /// How many are left out at the beginning.
    pub offset: u32,
    /// How many there are then at most.
    pub limit: u32,
}

impl Listing<'_> {
    fn values(&self, reach: &Reach) -> [sea_orm::Value; 6] {
        let [domains, names] = reached(reach);
        let states: Vec<_> = self.states.iter().map(|state| (*state).to_owned()).collect();
        let (offset, limit) = (i64::from(self.offset).into(), i64::from(self.limit).into());
        [domains, names, self.prefix.into(), states.into(), offset, limit]
    }
}

/// The name of a schema within its tenant.
#[derive(Debug, FromRow)]
pub struct Named {
    /// Its domain.
    pub domain: String,
    /// Its name there.
    pub name: String,
}

/// The schemas that have a version in one of these states, in the order of their short names.
///
/// # Errors
/// Whatever the database answers.
pub async fn names(tx: &TenantTx, reach: &Reach, listing: &Listing<'_>) -> Result<Vec<Named>> {
    let sql = format!(
        "SELECT s.domain, s.name FROM schema_registry s
          WHERE {REACHED} AND starts_with({SHORT}, $3) AND EXISTS (
            SELECT FROM schema_version v WHERE v.schema_id = s.schema_id AND v.state = ANY ($4))
          ORDER BY {SHORT} COLLATE \"C\" OFFSET $5 LIMIT $6"
    );
    Ok(tx.query_sql(sql, listing.values(reach)).await?)
}

/// The versions in one of these states, of each schema or the latest of each only.
///
/// # Errors
/// Whatever the database answers.
pub async fn versions(
    tx: &TenantTx,
    reach: &Reach,
    listing: &Listing<'_>,
    latest_only: bool,
) -> Result<Vec<Version>> {
    let latest = if latest_only {
        "AND NOT EXISTS (SELECT FROM schema_version l
           WHERE l.schema_id = v.schema_id AND l.number > v.number AND l.state = ANY ($4))"
    } else {
        ""
    };
    let sql = format!(
        "SELECT v.* FROM schema_registry s JOIN schema_version v USING (tenant_id, schema_id)
          WHERE {REACHED} AND starts_with({SHORT}, $3) AND v.state = ANY ($4) {latest}
          ORDER BY {SHORT} COLLATE \"C\", v.number OFFSET $5 LIMIT $6"
    );
    Ok(tx.query_sql(sql, listing.values(reach)).await?)
}

const BY_CONTENT_ID: &str = "SELECT * FROM schema_version WHERE content_id = $1";

/// The version that has this number within its tenant.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_content_id(tx: &TenantTx, content_id: i32) -> Result<Option<Version>> {
    Ok(tx.query_sql(BY_CONTENT_ID, [content_id.into()]).await?.pop())
}

#[derive(FromRow)]
struct Referring {
    content_id: i32,
}

/// The numbers within their tenant of the versions in one of these states that refer to a version.
///
/// # Errors
/// Whatever the database answers.
pub async fn referring(
    tx: &TenantTx,
    reach: &Reach,
    key: VersionKey,
    states: &[&'static str],
) -> Result<Vec<i32>> {
    let sql = format!(
        "SELECT v.content_id FROM schema_registry s JOIN schema_version v USING (tenant_id, schema_id)
          WHERE {REACHED} AND v.state = ANY ($5) AND {REFERS}
          ORDER BY v.content_id LIMIT 10000"
    );
    let [domains, names] = reached(reach);
    let states: Vec<_> = states.iter().map(|state| (*state).to_owned()).collect();
    let values = [domains, names, key.schema_id.into(), key.number.into(), states.into()];
    let rows: Vec<Referring> = tx.query_sql(sql, values).await?;
    Ok(rows.into_iter().map(|row| row.content_id).collect())
}
