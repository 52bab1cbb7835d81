//! What changes datasets: each a transaction with its audit event.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    loader,
    model::{Aliases, DatasetName, Description, Domain, Field, Lifecycle, Owners, Tags},
    repository::{self, Draft, Record},
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    error::{Error, ErrorCode, Result},
    freshness::loader as freshness,
    schema::loader as schema,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

    /// With its audit event.
    fn done(self, operation: Operation) -> Done<Self> {
        Done::new(self, self.entries(operation))
    }

    /// Nothing was to be changed after all; with its audit event.
    fn undone(self, operation: Operation) -> Done<Self> {
        Done::undone(self, self.entries(operation))
    }

    fn entries(self, operation: Operation) -> Vec<Entry> {
        let (dataset_id, outcome) = (self.dataset_id(), self.outcome());
        vec![Entry { operation, dataset_id, resource: None, outcome }]
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
    let prepare = async { Registration::parse(call.new_id(), new) };
    trail::change(call, operation, None, prepare, async |tx, registration| {
        let Registration { id, name, aliases, draft } = registration;
        freshness::hold(tx).await?;
        let inserted = repository::insert(tx, &[draft], call.now()).await?;
        let free =
            !inserted.is_empty() && repository::replace_aliases(tx, id, aliases.as_slice()).await?;
        if free {
            freshness::apply_to_new(tx, &[id], call.now()).await?;
            return Ok(Changed::Done(id).done(operation));
        }
        let names: Vec<_> = std::iter::once(&name).chain(aliases.as_slice()).cloned().collect();
        let found = loader::ids(tx, &names).await?;
        // The dataset that was just inserted has some of the names, and must go again.
        let owners = names.iter().filter_map(|name| found.get(name).copied());
        let owner = owners.into_iter().find(|owner| *owner != id);
        Ok(Changed::NameTaken(owner).undone(operation))
    })
    .await
}

/// A dataset to be registered, as it was read.
struct Registration {
    id: Uuid,
    name: DatasetName,
    aliases: Aliases,
    draft: Draft,
}

impl Registration {
    fn parse(id: Uuid, new: NewDataset) -> Result<Self> {
        let name = DatasetName::parse(new.name.0, new.name.1)?;
        let aliases = parse_aliases(new.aliases, &name)?;
        let description = new.description.map(Description::parse).transpose()?;
        let mut draft = Draft::named(id, name.clone()).described(description.as_ref());
        draft.owners = Owners::parse(new.owners)?.into_vec();
        draft.domain = parse_domain(new.domain)?;
        draft.tags = Tags::parse(new.tags)?.into_vec();
        Ok(Self { id, name, aliases, draft })
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
    /// The schema that it is bound to, or one version of it.
    pub schema: Field<String>,
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
    let selects = patch.selects();
    trail::change(call, operation, id.clone().ok(), async { id }, async |tx, id| {
        if selects {
            freshness::hold(tx).await?;
        }
        let record = repository::lock(tx, id).await?.ok_or(Error::NotFound("dataset"))?;
        if record.lifecycle == Lifecycle::Retired.as_str() {
            return Err(Error::Conflict("the dataset is retired".into()));
        }
        if expected_version.is_some_and(|expected| expected != record.row_version) {
            return Ok(Changed::OtherVersion(id).done(operation));
        }
        if let Some(fqid) = &patch.schema.set {
            schema::is_there(tx, call, fqid).await?;
        }
        let (draft, aliases) = patched(record, patch)?;
        if let Some(aliases) = aliases
            && !repository::replace_aliases(tx, id, aliases.as_slice()).await?
        {
            return Ok(Changed::NameTaken(None).undone(operation));
        }
        repository::update(tx, &draft, call.now()).await?;
        if selects {
            freshness::apply(tx, &[id], call.now()).await?;
        }
        Ok(Changed::Done(id).done(operation))
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
    draft.schema_fqid = patch.schema.apply("schemaFqid", record.schema_fqid)?;
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
    trail::change(call, operation, id.clone().ok(), async { id }, async |tx, id| {
        let record = repository::lock(tx, id).await?.ok_or(Error::NotFound("dataset"))?;
        if record.lifecycle == Lifecycle::Retired.as_str() {
            return Ok(Changed::Done(id).done(operation));
        }
        if expected_version.is_some_and(|expected| expected != record.row_version) {
            return Ok(Changed::OtherVersion(id).done(operation));
        }
        repository::retire(tx, id, call.now()).await?;
        Ok(Changed::Done(id).done(operation))
    })
    .await
}
