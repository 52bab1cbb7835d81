//! From the names in events to datasets: found, or registered on sight.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{
    model::{ContentHash, DatasetFacets, Event, RunFold},
    store::{self, SchemaRecord},
};
use crate::{
    call::Call,
    dataset::{
        loader,
        model::{DatasetName, Description},
    },
    db::TenantTx,
    error::Result,
};

/// Datasets by the names that events have for them.
pub(super) type Ids = HashMap<DatasetName, Uuid>;

/// The datasets that the events name. One that is not known yet is registered, with the
/// description and the owners that an event gives; those of a known one are left to its people.
pub(super) async fn datasets(tx: &TenantTx, call: &Call, events: &[&Event]) -> Result<Ids> {
    let mut named: BTreeMap<&DatasetName, Option<&DatasetFacets>> = BTreeMap::new();
    for (name, facets) in events.iter().flat_map(|event| event.datasets()) {
        let known = named.entry(name).or_default();
        *known = known.or(facets);
    }
    let names: Vec<_> = named.keys().map(|name| (*name).clone()).collect();
    let mut ids = loader::ids(tx, &names).await?;
    let drafts: Vec<_> = named
        .into_iter()
        .filter(|(name, _)| !ids.contains_key(name))
        .map(|(name, facets)| {
            let description = facets.and_then(|facets| facets.description.as_deref());
            let description = description.and_then(|text| Description::parse(text).ok());
            let mut draft = loader::Draft::named(call.new_id(), name.clone());
            draft.owners = facets.map(|facets| facets.owners.clone()).unwrap_or_default();
            draft.described(description.as_ref())
        })
        .collect();
    if !drafts.is_empty() {
        loader::register(tx, &drafts, call.now()).await?;
        // Asked again, since another writer may have been first with some of them.
        let missing: Vec<_> = drafts.into_iter().map(|draft| draft.name).collect();
        ids.extend(loader::ids(tx, &missing).await?);
    }
    Ok(ids)
}

/// `ids`, and those of the outputs that only earlier events of these runs named.
pub(super) async fn outputs<'a>(
    tx: &TenantTx,
    runs: impl Iterator<Item = &'a RunFold>,
    ids: &Ids,
) -> Result<Ids> {
    let missing: HashSet<_> = runs
        .flat_map(|run| run.outputs().keys())
        .filter(|name| !ids.contains_key(name))
        .cloned()
        .collect();
    let mut ids = ids.clone();
    if !missing.is_empty() {
        ids.extend(loader::ids(tx, &missing.into_iter().collect::<Vec<_>>()).await?);
    }
    Ok(ids)
}

/// Keeps the schemas that events report, for the schema registry.
pub(super) async fn observe_schemas(tx: &TenantTx, events: &[&Event], ids: &Ids) -> Result<()> {
    let mut observed: BTreeMap<(Uuid, ContentHash), SchemaRecord<'_>> = BTreeMap::new();
    for event in events {
        for (name, facets) in event.datasets() {
            let fields = facets.and_then(|facets| facets.schema_fields.as_ref());
            let (Some(fields), Some(dataset_id)) = (fields, ids.get(name)) else { continue };
            let hash = ContentHash::of(fields);
            observed
                .entry((*dataset_id, hash))
                .and_modify(|schema| schema.extend(event.event_time()))
                .or_insert_with(|| SchemaRecord::of(*dataset_id, hash, fields, event.event_time()));
        }
    }
    if observed.is_empty() {
        return Ok(());
    }
    store::observe_schemas(tx, &observed.into_values().collect::<Vec<_>>()).await
}
