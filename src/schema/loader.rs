//! Schemas and versions, batched within a request. What a version says never changes under its hash.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::repository::{self, Record, Version, VersionKey};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
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
