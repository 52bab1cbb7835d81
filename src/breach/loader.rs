//! Breaches and mutes, batched within a request.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    model::State,
    repository::{self, BreachPosition, Mute, Record},
};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// Breaches by id.
#[derive(Debug)]
pub struct BreachById;

/// The loader of breaches by id.
pub type Breaches = Batched<BreachById>;

impl BatchRead for BreachById {
    type Key = Uuid;
    type Value = Record;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Record>> {
        let breaches = repository::by_ids(tx, keys).await?;
        Ok(breaches.into_iter().map(|breach| (breach.breach_id, breach)).collect())
    }
}

/// The open breach by dataset id.
#[derive(Debug)]
pub struct OpenBreachOf;

/// The loader of open breaches by dataset id.
pub type OpenBreaches = Batched<OpenBreachOf>;

impl BatchRead for OpenBreachOf {
    type Key = Uuid;
    type Value = Record;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Record>> {
        let breaches = repository::open(tx, keys).await?;
        Ok(breaches.into_iter().map(|breach| (breach.dataset_id, breach)).collect())
    }
}

/// The last mute by dataset id.
#[derive(Debug)]
pub struct MuteOf;

/// The loader of mutes by dataset id.
pub type Mutes = Batched<MuteOf>;

impl BatchRead for MuteOf {
    type Key = Uuid;
    type Value = Mute;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Mute>> {
        let mutes = repository::mutes(tx, keys).await?;
        Ok(mutes.into_iter().map(|mute| (mute.dataset_id, mute)).collect())
    }
}

/// A page of a dataset's breaches: what it is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BreachPage {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Whether they are going on.
    pub state: Option<State>,
    /// Where the page goes on.
    pub after: Option<BreachPosition>,
    /// Breaches at most.
    pub limit: u32,
}

/// Pages of breaches.
#[derive(Debug)]
pub struct BreachesOf;

/// The loader of pages of breaches.
pub type BreachPages = Batched<BreachesOf>;

impl BatchRead for BreachesOf {
    type Key = BreachPage;
    type Value = Vec<Record>;

    /// One statement per distinct page: one in all for a board, whose datasets all ask for their
    /// first page of the same size.
    async fn read(tx: &TenantTx, keys: &[BreachPage]) -> Result<HashMap<BreachPage, Vec<Record>>> {
        let mut groups: HashMap<_, Vec<Uuid>> = HashMap::new();
        for key in keys {
            groups.entry((key.state, key.after, key.limit)).or_default().push(key.dataset_id);
        }
        let mut pages: HashMap<_, Vec<_>> = HashMap::new();
        for ((state, after, limit), datasets) in groups {
            for row in repository::of_datasets(tx, &datasets, state, after, limit).await? {
                let page = BreachPage { dataset_id: row.dataset_id, state, after, limit };
                pages.entry(page).or_default().push(row);
            }
        }
        Ok(pages)
    }
}
