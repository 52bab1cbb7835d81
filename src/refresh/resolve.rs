//! From the names in events to datasets: found, or registered on sight.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{DatasetFacets, Event};
use crate::{
    call::Call,
    dataset::{
        loader::{self, Draft, Reported},
        model::DatasetName,
    },
    db::TenantTx,
    error::Result,
    freshness::loader as freshness,
};

/// Datasets by the names that events have for them.
pub(super) type Ids = HashMap<DatasetName, Uuid>;

/// The datasets that the events name. One that is not known yet is registered. What events say of a
/// dataset's description and owners stands until people have their say.
pub(super) async fn datasets(tx: &TenantTx, call: &Call, events: &[&Event]) -> Result<Ids> {
    let mut named: BTreeMap<&DatasetName, Reported> = BTreeMap::new();
    for event in events {
        for (name, facets) in event.datasets() {
            let known = named.entry(name).or_default();
            *known = std::mem::take(known).or_later(reported(event.event_time(), facets));
        }
    }
    if named.is_empty() {
        return Ok(Ids::new());
    }
    let names: Vec<_> = named.keys().map(|name| (*name).clone()).collect();
    let mut ids = loader::ids(tx, &names).await?;
    let drafts = named
        .into_iter()
        .map(|(name, reported)| Draft::reported(call.new_id(), name.clone(), reported));
    let (known, mut new): (Vec<_>, Vec<_>) =
        drafts.partition(|draft| ids.contains_key(&draft.name));
    if !new.is_empty() {
        // Before any row of a dataset is locked.
        freshness::hold(tx).await?;
    }
    loader::report(tx, &known, call.now()).await?;
    if !new.is_empty() {
        let inserted = loader::register(tx, &new, call.now()).await?;
        freshness::apply_to_new(tx, &inserted, call.now()).await?;
        let inserted: HashSet<_> = inserted.into_iter().collect();
        let registered = new.extract_if(.., |draft| inserted.contains(&draft.dataset_id));
        ids.extend(registered.map(|draft| (draft.name, draft.dataset_id)));
    }
    if !new.is_empty() {
        // Another writer was first with these.
        let names: Vec<_> = new.iter().map(|draft| draft.name.clone()).collect();
        ids.extend(loader::ids(tx, &names).await?);
        loader::report(tx, &new, call.now()).await?;
    }
    Ok(ids)
}

fn reported(at: DateTime<Utc>, facets: &DatasetFacets) -> Reported {
    let owners = Some(&facets.owners).filter(|owners| !owners.is_empty());
    Reported {
        description: facets.description.clone().map(|text| (at, text)),
        owners: owners.map(|owners| (at, owners.clone())),
    }
}

/// `ids`, and those of the names that only earlier events of the runs have.
pub(super) async fn named(tx: &TenantTx, names: &HashSet<&DatasetName>, ids: &Ids) -> Result<Ids> {
    let missing = names.iter().filter(|name| !ids.contains_key(**name));
    let missing: Vec<_> = missing.map(|name| (*name).clone()).collect();
    let mut ids = ids.clone();
    if !missing.is_empty() {
        ids.extend(loader::ids(tx, &missing).await?);
    }
    Ok(ids)
}
