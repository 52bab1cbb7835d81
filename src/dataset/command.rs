//! What changes datasets: each a transaction with its audit event.

use uuid::Uuid;

use super::{
    loader,
    model::{Aliases, DatasetName, Description, Domain, Lifecycle, Owners, Tags},
    repository::{self, Draft, Record},
};
use crate::{
    audit::{self, Entry, Outcome, trail},
    auth::policy::Operation,
    call::Call,
    db::TenantTx,
    error::{Error, ErrorCode, Result},
    freshness::loader as freshness,
};

/// A namespace and a name, as they were asked for.
pub type RawName = (String, String);

/// A dataset to be registered, as it was asked for. It is read inside the frame of the change, so
/// that what is refused is audited like what is done.
#[derive(Debug, Clone)]
pub struct NewDataset {
    /// Its name.
    pub name: RawName,
    /// Its other names.
    pub aliases: Vec<RawName>,
    /// What it is.
    pub description: Option<String>,
    /// Who answers for it.
    pub owners: Vec<String>,
    /// Its business domain.
    pub domain: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

fn parse_aliases(aliases: Vec<RawName>, name: &DatasetName) -> Result<Aliases> {
    let parse = |(namespace, name)| DatasetName::parse(namespace, name);
    Aliases::parse(aliases.into_iter().map(parse).collect::<Result<_>>()?, name)
}

fn parse_domain(domain: Option<String>) -> Result<Option<String>> {
    Ok(domain.map(Domain::parse).transpose()?.map(|domain| domain.as_str().to_owned()))
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
        let id = call.new_id();
        let name = DatasetName::parse(new.name.0, new.name.1)?;
        let aliases = parse_aliases(new.aliases, &name)?;
        let description = new.description.map(Description::parse).transpose()?;
        let mut draft = Draft::named(id, name.clone()).described(description.as_ref());
        draft.owners = Owners::parse(new.owners)?.into_vec();
        draft.domain = parse_domain(new.domain)?;
        draft.tags = Tags::parse(new.tags)?.into_vec();
        let tx = call.db().write().await?;
        freshness::hold(&tx).await?;
        let inserted = repository::insert(&tx, &[draft], call.now()).await?;
        let free = !inserted.is_empty()
            && repository::replace_aliases(&tx, id, aliases.as_slice()).await?;
        if free {
            freshness::apply_to_new(&tx, &[id], call.now()).await?;
            return finish(call, tx, operation, Changed::Done(id)).await;
        }
        drop(tx);
        // In a transaction of its own, since the dataset that was just inserted must go again.
        let tx = call.db().write().await?;
        let names: Vec<_> = std::iter::once(&name).chain(aliases.as_slice()).cloned().collect();
        let found = loader::ids(&tx, &names).await?;
        let owner = names.iter().find_map(|name| found.get(name).copied());
        finish(call, tx, operation, Changed::NameTaken(owner)).await
    })
    .await
}

/// What to do with a field that may be empty.
#[derive(Debug, Clone, Default)]
pub struct Field<T> {
    /// Its new value.
    pub set: Option<T>,
    /// Whether to empty it.
    pub clear: bool,
}

impl<T> Field<T> {
    /// What becomes of the field `name`, which holds `now`.
    fn apply(self, name: &'static str, now: Option<T>) -> Result<Option<T>> {
        match (self.set, self.clear) {
            (Some(_), true) => Err(Error::bad_input(name, "is both given and to be cleared")),
            (None, true) => Ok(None),
            (Some(new), false) => Ok(Some(new)),
            (None, false) => Ok(now),
        }
    }
}

/// What to change about a dataset, as it was asked for; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// What it is.
    pub description: Field<String>,
    /// Who answers for it.
    pub owners: Option<Vec<String>>,
    /// Its business domain.
    pub domain: Field<String>,
    /// Its tags.
    pub tags: Option<Vec<String>>,
    /// Its other names.
    pub aliases: Option<Vec<RawName>>,
}

impl Patch {
    /// Whether it may change which policies are for the dataset.
    const fn selects(&self) -> bool {
        self.domain.set.is_some() || self.domain.clear || self.tags.is_some()
    }
}

/// Changes a dataset.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign dataset, [`Error::Conflict`] for a retired one.
pub async fn update(
    call: &Call,
    id: Result<Uuid>,
    expected_version: Option<i64>,
    patch: Patch,
) -> Result<Changed> {
    let operation = Operation::DatasetUpdate;
    trail::change(call, operation, id.clone().ok(), async {
        let id = id?;
        let tx = call.db().write().await?;
        let selects = patch.selects();
        if selects {
            freshness::hold(&tx).await?;
        }
        let record = repository::lock(&tx, id).await?.ok_or(Error::NotFound("dataset"))?;
        if record.lifecycle == Lifecycle::Retired.as_str() {
            return Err(Error::Conflict("the dataset is retired".into()));
        }
        if expected_version.is_some_and(|expected| expected != record.row_version) {
            return finish(call, tx, operation, Changed::OtherVersion(id)).await;
        }
        let (draft, aliases) = patched(record, patch)?;
        if let Some(aliases) = aliases
            && !repository::replace_aliases(&tx, id, aliases.as_slice()).await?
        {
            drop(tx);
            let tx = call.db().write().await?;
            return finish(call, tx, operation, Changed::NameTaken(None)).await;
        }
        repository::update(&tx, &draft, call.now()).await?;
        if selects {
            freshness::apply(&tx, &[id], call.now()).await?;
        }
        finish(call, tx, operation, Changed::Done(id)).await
    })
    .await
}

/// The dataset as it shall be, and its aliases if they shall be others.
fn patched(record: Record, patch: Patch) -> Result<(Draft, Option<Aliases>)> {
    let name = DatasetName::parse(record.namespace, record.name)?;
    let aliases = patch.aliases.map(|aliases| parse_aliases(aliases, &name)).transpose()?;
    let description = patch.description.apply("description", record.description)?;
    let description = description.map(Description::parse).transpose()?;
    let mut draft = Draft::named(record.dataset_id, name).described(description.as_ref());
    draft.owners = Owners::parse(patch.owners.unwrap_or(record.owners))?.into_vec();
    draft.domain = parse_domain(patch.domain.apply("domain", record.domain)?)?;
    draft.tags = Tags::parse(patch.tags.unwrap_or(record.tags))?.into_vec();
    draft.schema_fqid = record.schema_fqid;
    Ok((draft, aliases))
}

/// Retires a dataset: it keeps its names and its history, and is on no board any more. One that is
/// retired already stays so.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign dataset.
pub async fn retire(
    call: &Call,
    id: Result<Uuid>,
    expected_version: Option<i64>,
) -> Result<Changed> {
    let operation = Operation::DatasetRetire;
    trail::change(call, operation, id.clone().ok(), async {
        let id = id?;
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
