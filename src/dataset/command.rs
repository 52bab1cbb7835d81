//! What changes datasets: each a transaction with its audit event.

use uuid::Uuid;

use super::{
    model::{Aliases, DatasetName, Description, Domain, Lifecycle, Owners, Tags},
    repository::{self, Draft, Record},
};
use crate::{
    audit::{self, Entry, Outcome, trail},
    auth::policy::Operation,
    call::Call,
    db::TenantTx,
    error::{Error, ErrorCode, Result},
};

/// A dataset to be registered.
#[derive(Debug, Clone)]
pub struct NewDataset {
    /// Its name.
    pub name: DatasetName,
    /// Its other names.
    pub aliases: Aliases,
    /// What it is.
    pub description: Option<Description>,
    /// Who answers for it.
    pub owners: Owners,
    /// Its business domain.
    pub domain: Option<Domain>,
    /// Its tags.
    pub tags: Tags,
}

/// How a change of a dataset ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// As it was asked.
    Done(Uuid),
    /// Not at all: another dataset, this one, has the name or one of the aliases.
    NameTaken(Option<Uuid>),
    /// Not at all: the dataset is at another row version than the caller thought.
    OtherVersion(Uuid),
}

impl Changed {
    const fn outcome(self) -> Outcome {
        match self {
            Self::Done(_) => Outcome::Success,
            Self::NameTaken(_) | Self::OtherVersion(_) => Outcome::Rejected(ErrorCode::Conflict),
        }
    }

    /// The dataset that this is about, if it exists.
    #[must_use]
    pub const fn dataset_id(self) -> Option<Uuid> {
        match self {
            Self::Done(id) | Self::OtherVersion(id) => Some(id),
            Self::NameTaken(id) => id,
        }
    }
}

/// Registers a dataset.
///
/// # Errors
/// [`Error::Forbidden`], or whatever the database answers.
pub async fn register(call: &Call, new: NewDataset) -> Result<Changed> {
    let operation = Operation::DatasetRegister;
    trail::change(call, operation, None, async {
        let tx = call.db().write().await?;
        let id = call.new_id();
        let mut draft = Draft::named(id, new.name.clone()).described(new.description.as_ref());
        draft.owners = new.owners.into_vec();
        draft.domain = new.domain.map(|domain| domain.as_str().to_owned());
        draft.tags = new.tags.into_vec();
        let inserted = repository::insert(&tx, &[draft], call.now()).await?;
        let free = !inserted.is_empty()
            && repository::replace_aliases(&tx, id, new.aliases.as_slice()).await?;
        if free {
            return finish(call, tx, operation, Changed::Done(id)).await;
        }
        drop(tx);
        // In a transaction of its own, since the dataset that was just inserted must go again.
        let tx = call.db().write().await?;
        let found = repository::ids_by_names(&tx, std::slice::from_ref(&new.name)).await?;
        let taken = Changed::NameTaken(found.first().map(|found| found.dataset_id));
        finish(call, tx, operation, taken).await
    })
    .await
}

/// What to change about a dataset; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// What it is; `Some(None)` clears it.
    pub description: Option<Option<Description>>,
    /// Who answers for it.
    pub owners: Option<Owners>,
    /// Its business domain; `Some(None)` clears it.
    pub domain: Option<Option<Domain>>,
    /// Its tags.
    pub tags: Option<Tags>,
    /// Its other names.
    pub aliases: Option<Vec<DatasetName>>,
}

/// Changes a dataset.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign dataset, [`Error::Conflict`] for a retired one.
pub async fn update(
    call: &Call,
    id: Uuid,
    expected_version: Option<i64>,
    patch: Patch,
) -> Result<Changed> {
    let operation = Operation::DatasetUpdate;
    trail::change(call, operation, Some(id), async {
        let tx = call.db().write().await?;
        let record = active(&tx, id).await?;
        if expected_version.is_some_and(|expected| expected != record.row_version) {
            return finish(call, tx, operation, Changed::OtherVersion(id)).await;
        }
        let name = DatasetName::parse(record.namespace.as_str(), record.name.as_str())?;
        if let Some(aliases) = patch.aliases {
            let aliases = Aliases::parse(aliases, &name)?;
            if !repository::replace_aliases(&tx, id, aliases.as_slice()).await? {
                drop(tx);
                let tx = call.db().write().await?;
                return finish(call, tx, operation, Changed::NameTaken(None)).await;
            }
        }
        let stored = record.description.map(Description::parse).transpose()?;
        let description = patch.description.unwrap_or(stored);
        let mut draft = Draft::named(id, name).described(description.as_ref());
        draft.owners = patch.owners.map_or(record.owners, Owners::into_vec);
        draft.domain = patch
            .domain
            .map_or(record.domain, |domain| domain.map(|domain| domain.as_str().to_owned()));
        draft.tags = patch.tags.map_or(record.tags, Tags::into_vec);
        draft.schema_fqid = record.schema_fqid;
        repository::update(&tx, &draft, call.now()).await?;
        finish(call, tx, operation, Changed::Done(id)).await
    })
    .await
}

/// Retires a dataset: it keeps its names and its history, and is on no board any more. One that is
/// retired already stays so.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign dataset.
pub async fn retire(call: &Call, id: Uuid, expected_version: Option<i64>) -> Result<Changed> {
    let operation = Operation::DatasetRetire;
    trail::change(call, operation, Some(id), async {
        let tx = call.db().write().await?;
        let record = repository::lock(&tx, id).await?.ok_or(Error::NotFound("dataset"))?;
        if record.lifecycle == Lifecycle::Retired.as_str() {
            return finish(call, tx, operation, Changed::Done(id)).await;
        }
        if expected_version.is_some_and(|expected| expected != record.row_version) {
            return finish(call, tx, operation, Changed::OtherVersion(id)).await;
        }
        repository::retire(&tx, id, call.now()).await?;
        finish(call, tx, operation, Changed::Done(id)).await
    })
    .await
}

async fn active(tx: &TenantTx, id: Uuid) -> Result<Record> {
    let record = repository::lock(tx, id).await?.ok_or(Error::NotFound("dataset"))?;
    if record.lifecycle == Lifecycle::Retired.as_str() {
        return Err(Error::Conflict("the dataset is retired".into()));
    }
    Ok(record)
}

async fn finish(
    call: &Call,
    tx: TenantTx,
    operation: Operation,
    changed: Changed,
) -> Result<Changed> {
    let (dataset_id, outcome) = (changed.dataset_id(), changed.outcome());
    audit::append(&tx, call, &[Entry { operation, dataset_id, resource: None, outcome }]).await?;
    tx.commit().await?;
    Ok(changed)
}
