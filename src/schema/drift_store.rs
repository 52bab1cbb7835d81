//! What was found about what runs report, read and written.

use chrono::{DateTime, Utc};
use entity::schema_drift;
use serde_json::Value;
use uuid::Uuid;

use super::repository::VersionKey;
use crate::{
    db::{FromRow, TenantTx},
    error::Result,
};

/// What comparing a dataset came to, as it is stored.
pub type Record = schema_drift::Model;

/// A dataset that is to be compared; one that is bound to nothing any more without anything to compare.
#[derive(Debug, FromRow)]
pub struct Due {
    /// The dataset.
    pub dataset_id: Uuid,
    schema_id: Option<Uuid>,
    number: Option<i32>,
    version_hash: Option<Vec<u8>>,
    reported_hash: Option<Vec<u8>>,
    observed_at: Option<DateTime<Utc>>,
}

/// What is to be compared.
#[derive(Debug)]
pub struct Pair {
    /// The version that the dataset is bound to.
    pub key: VersionKey,
    /// The hash of what that says.
    pub version_hash: Vec<u8>,
    /// The hash of what was last reported.
    pub reported_hash: Vec<u8>,
    /// When that was.
    pub observed_at: DateTime<Utc>,
}

impl Pair {
    /// Whether this is what was compared.
    #[must_use]
    pub fn is_in(&self, record: &Record) -> bool {
        record.schema_id == self.key.schema_id
            && record.number == self.key.number
            && record.version_hash == self.version_hash
            && record.reported_hash == self.reported_hash
    }
}

impl Due {
    /// What is to be compared.
    #[must_use]
    pub fn pair(self) -> Option<Pair> {
        Some(Pair {
            key: VersionKey { schema_id: self.schema_id?, number: self.number? },
            version_hash: self.version_hash?,
            reported_hash: self.reported_hash?,
            observed_at: self.observed_at?,
        })
    }
}

/// The statement for what is due.
pub const DUE: &str = "SELECT * FROM schema_drift_due() LIMIT $1";

/// At most `limit` datasets that are to be compared.
///
/// # Errors
/// Whatever the database answers.
pub async fn due(tx: &TenantTx, limit: u32) -> Result<Vec<Due>> {
    Ok(tx.query_sql(DUE, [i64::from(limit).into()]).await?)
}

#[derive(FromRow)]
struct Fields {
    fields: Value,
}

const REPORTED: &str = "
SELECT fields FROM dataset_observed_schema WHERE dataset_id = $1 AND content_hash = $2";

/// The fields that were reported of a dataset, by their hash.
///
/// # Errors
/// Whatever the database answers.
pub async fn reported(tx: &TenantTx, dataset_id: Uuid, hash: &[u8]) -> Result<Option<Value>> {
    let values = [dataset_id.into(), hash.to_vec().into()];
    let rows: Vec<Fields> = tx.query_sql(REPORTED, values).await?;
    Ok(rows.into_iter().next().map(|row| row.fields))
}

/// A dataset as it is named.
#[derive(Debug, FromRow)]
pub struct Named {
    /// Where it lives.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

const LOCK: &str = "
SELECT namespace, name FROM dataset_registry WHERE dataset_id = $1 FOR NO KEY UPDATE";

/// A dataset, locked until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &TenantTx, dataset_id: Uuid) -> Result<Option<Named>> {
    Ok(tx.query_sql(LOCK, [dataset_id.into()]).await?.pop())
}

const OF: &str = "SELECT * FROM schema_drift WHERE dataset_id = ANY ($1)";

/// What was found about these datasets.
///
/// # Errors
/// Whatever the database answers.
pub async fn of(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<Record>> {
    Ok(tx.query_sql(OF, [datasets.to_vec().into()]).await?)
}

const KEEP: &str = "
INSERT INTO schema_drift (tenant_id, dataset_id, schema_id, number, version_hash, reported_hash, observed_at,
                          compared_at, found_at, differences)
VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id, dataset_id) DO UPDATE SET
  schema_id = excluded.schema_id, number = excluded.number, version_hash = excluded.version_hash,
  reported_hash = excluded.reported_hash, observed_at = excluded.observed_at,
  compared_at = excluded.compared_at, found_at = excluded.found_at, differences = excluded.differences";

/// Keeps what comparing a dataset came to, in place of what it came to before.
///
/// # Errors
/// Whatever the database answers.
pub async fn keep(
    tx: &TenantTx,
    dataset_id: Uuid,
    pair: &Pair,
    (found_at, differences): (Option<DateTime<Utc>>, Value),
    now: DateTime<Utc>,
) -> Result<()> {
    let values = [
        dataset_id.into(),
        pair.key.schema_id.into(),
        pair.key.number.into(),
        pair.version_hash.clone().into(),
        pair.reported_hash.clone().into(),
        pair.observed_at.into(),
        now.into(),
        found_at.into(),
        differences.into(),
    ];
    tx.execute_sql(KEEP, values).await?;
    Ok(())
}

// Whatever it is bound to next is compared.
const END: &str = "
UPDATE schema_drift SET found_at = NULL, differences = '[]', reported_hash = '', compared_at = $2
 WHERE dataset_id = $1";

/// Keeps that there is nothing to compare a dataset with.
///
/// # Errors
/// Whatever the database answers.
pub async fn end(tx: &TenantTx, dataset_id: Uuid, now: DateTime<Utc>) -> Result<()> {
    tx.execute_sql(END, [dataset_id.into(), now.into()]).await?;
    Ok(())
}

/// What is bound to a dataset, and what was last reported of it.
#[derive(Debug, FromRow)]
pub struct Reported {
    /// The schema or version that it is bound to.
    pub schema_fqid: Option<String>,
    /// The fields that were last reported.
    pub fields: Option<Value>,
}

const LAST: &str = "
SELECT d.schema_fqid, o.fields FROM dataset_registry d LEFT JOIN LATERAL (
  SELECT fields FROM dataset_observed_schema WHERE dataset_id = d.dataset_id
   ORDER BY last_observed_at DESC, content_hash LIMIT 1) o ON true
 WHERE d.dataset_id = $1";

/// What is bound to a dataset, and what was last reported of it.
///
/// # Errors
/// Whatever the database answers.
pub async fn last(tx: &TenantTx, dataset_id: Uuid) -> Result<Option<Reported>> {
    Ok(tx.query_sql(LAST, [dataset_id.into()]).await?.pop())
}
