//! Datasets and their aliases: batched within a request, and for the other features within a
//! transaction of theirs.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::DatasetName,
    repository::{self, Record},
};
pub use super::{
    reported::{Reported, report},
    repository::Draft,
};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// Datasets by id.
#[derive(Debug)]
pub struct ById;

/// The loader of datasets by id.
pub type Datasets = Batched<ById>;

impl BatchRead for ById {
    type Key = Uuid;
    type Value = Record;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Record>> {
        let records = repository::by_ids(tx, keys).await?;
        Ok(records.into_iter().map(|record| (record.dataset_id, record)).collect())
    }
}

/// Datasets by natural key or alias.
#[derive(Debug)]
pub struct ByName;

/// The loader of datasets by natural key or alias.
pub type NamedDatasets = Batched<ByName>;

impl BatchRead for ByName {
    type Key = DatasetName;
    type Value = Record;

    async fn read(tx: &TenantTx, keys: &[DatasetName]) -> Result<HashMap<DatasetName, Record>> {
        let found = repository::by_names(tx, keys).await?.into_iter();
        let named = found.map(|named| {
            Ok((DatasetName::parse(named.asked_namespace, named.asked_name)?, named.record))
        });
        named.collect()
    }
}

/// The ids of the datasets with these names or aliases.
///
/// # Errors
/// Whatever the database answers.
pub async fn ids(tx: &TenantTx, names: &[DatasetName]) -> Result<HashMap<DatasetName, Uuid>> {
    let found = repository::ids_by_names(tx, names).await?;
    found
        .into_iter()
        .map(|row| Ok((DatasetName::parse(row.namespace, row.name)?, row.dataset_id)))
        .collect()
}

/// Registers those drafts whose name is free; answers the ids of these.
///
/// # Errors
/// Whatever the database answers.
pub async fn register(tx: &TenantTx, drafts: &[Draft], now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    repository::insert(tx, drafts, now).await
}

/// Aliases by dataset id.
#[derive(Debug)]
pub struct AliasesOf;

/// The loader of aliases by dataset id.
pub type Aliases = Batched<AliasesOf>;

impl BatchRead for AliasesOf {
    type Key = Uuid;
    type Value = Vec<DatasetName>;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Vec<DatasetName>>> {
        let mut aliases: HashMap<_, Vec<_>> = HashMap::new();
        for row in repository::aliases(tx, keys).await? {
            let name = DatasetName::parse(row.namespace, row.name)?;
            aliases.entry(row.dataset_id).or_default().push(name);
        }
        aliases.values_mut().for_each(|names| names.sort_unstable());
        Ok(aliases)
    }
}
