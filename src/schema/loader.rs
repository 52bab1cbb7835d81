//! Schemas and versions, batched within a request. What a version says never changes under its hash.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::{
    drift_store,
    model::name::{SchemaName, VersionName},
    repository::{self, Record, Version, VersionKey},
};
use crate::{
    batch::{BatchRead, Batched},
    call::Call,
    db::TenantTx,
    error::{Error, Result},
};

/// Schemas by id.
#[derive(Debug)]
pub struct SchemaById;

/// The loader of schemas by id.
pub type Schemas = Batched<SchemaById>;

impl BatchRead for SchemaById {
    type Key = Uuid;
    type Value = Arc<Record>;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Arc<Record>>> {
        let found = repository::by_ids(tx, keys).await?;
        Ok(found.into_iter().map(|record| (record.schema_id, Arc::new(record))).collect())
    }
}

/// Schemas by domain and name.
#[derive(Debug)]
pub struct SchemaByName;

/// The loader of schemas by domain and name.
pub type NamedSchemas = Batched<SchemaByName>;

impl BatchRead for SchemaByName {
    type Key = (String, String);
    type Value = Arc<Record>;

    async fn read(
        tx: &TenantTx,
        keys: &[(String, String)],
    ) -> Result<HashMap<(String, String), Arc<Record>>> {
        let found = repository::by_names(tx, keys).await?;
        let named = |record: Record| ((record.domain.clone(), record.name.clone()), record.into());
        Ok(found.into_iter().map(named).collect())
    }
}

/// What was found about what runs report, by dataset.
#[derive(Debug)]
pub struct DriftOf;

/// The loader of what was found about what runs report, by dataset.
pub type Drifts = Batched<DriftOf>;

impl BatchRead for DriftOf {
    type Key = Uuid;
    type Value = drift_store::Record;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, drift_store::Record>> {
        let found = drift_store::of(tx, keys).await?;
        Ok(found.into_iter().map(|record| (record.dataset_id, record)).collect())
    }
}

/// Versions by schema and number.
#[derive(Debug)]
pub struct VersionAt;

/// The loader of versions by schema and number.
pub type Versions = Batched<VersionAt>;

impl BatchRead for VersionAt {
    type Key = VersionKey;
    type Value = Arc<Version>;

    async fn read(tx: &TenantTx, keys: &[VersionKey]) -> Result<HashMap<VersionKey, Arc<Version>>> {
        let found = repository::versions_at(tx, keys).await?;
        let keyed = |version: Version| {
            let key = VersionKey { schema_id: version.schema_id, number: version.number };
            (key, Arc::new(version))
        };
        Ok(found.into_iter().map(keyed).collect())
    }
}

/// The latest active version by schema.
#[derive(Debug)]
pub struct LatestOf;

/// The loader of the latest active version by schema.
pub type LatestVersions = Batched<LatestOf>;

impl BatchRead for LatestOf {
    type Key = Uuid;
    type Value = Arc<Version>;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Arc<Version>>> {
        let found = repository::latest_active(tx, keys).await?;
        Ok(found.into_iter().map(|version| (version.schema_id, Arc::new(version))).collect())
    }
}

/// Whether a dataset can be bound to this schema or version: it is there, and the version is in use.
///
/// # Errors
/// [`Error::BadUserInput`] at `schemaFqid` if not, or whatever the database answers.
pub async fn is_there(tx: &TenantTx, call: &Call, fqid: &str) -> Result<()> {
    let bad = |why: String| Error::bad_input("schemaFqid", why);
    let (schema, number) = match VersionName::parse(fqid) {
        Ok(version) => (version.schema, Some(version.number.get())),
        Err(_) => (SchemaName::parse(fqid).map_err(|wrong| bad(wrong.to_string()))?, None),
    };
    let missing = || bad("is no schema, or no version that is ACTIVE or DEPRECATED".to_owned());
    if schema.code() != call.principal().tenant().as_str() {
        return Err(missing());
    }
    let key = (schema.domain().to_owned(), schema.name().to_owned());
    let record = repository::by_names(tx, &[key]).await?.pop().ok_or_else(missing)?;
    let Some(number) = number else { return Ok(()) };
    let key = VersionKey { schema_id: record.schema_id, number };
    let version = repository::versions_at(tx, &[key]).await?.pop().ok_or_else(missing)?;
    if super::verdicts::is_in_use(&version) { Ok(()) } else { Err(missing()) }
}
