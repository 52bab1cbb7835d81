//! The mutations of datasets.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use super::{
    command::{self, Changed, NewDataset, Patch, RawName},
    graphql::Dataset,
    model::Field,
};
use crate::{
    error::Result,
    graphql::{
        call,
        errors::{Nullable, nullable},
        scalars::{BigInt, uuid},
    },
};

/// A namespace and a name there, as OpenLineage names a dataset or a job.
#[derive(Debug, Clone, InputObject)]
pub struct NameInput {
    /// Where it lives; 512 bytes at most.
    pub namespace: String,
    /// Its name there; 1,024 bytes at most.
    pub name: String,
}

impl From<NameInput> for RawName {
    fn from(input: NameInput) -> Self {
        (input.namespace, input.name)
    }
}

/// A dataset to be registered.
#[derive(Debug, InputObject)]
pub struct RegisterDatasetInput {
    /// Where it lives; 512 bytes at most.
    namespace: String,
    /// Its name there; 1,024 bytes at most.
    name: String,
    /// Its other names; 16 at most.
    #[graphql(default)]
    aliases: Vec<NameInput>,
    /// What it is, in words for a person; 4,096 characters at most.
    description: Option<String>,
    /// Who answers for it, the first one first; 16 at most.
    #[graphql(default)]
    owners: Vec<String>,
    /// The business domain that it belongs to: `[a-z0-9][a-z0-9._-]{0,62}`.
    domain: Option<String>,
    /// Its tags, each like a domain; 32 at most.
    #[graphql(default)]
    tags: Vec<String>,
}

/// How registering a dataset ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RegisterDatasetStatus {
    /// It is registered.
    Registered,
    /// Another dataset has its name or one of its aliases; nothing was changed.
    NameTaken,
}

/// What became of a registration.
#[derive(Debug, SimpleObject)]
pub struct RegisterDatasetPayload {
    /// How it ended.
    status: RegisterDatasetStatus,
    /// The dataset, or the one that has its name or one of its aliases already.
    dataset: Nullable<Dataset>,
}

/// What to change about a dataset. What is left out, or null, stays as it is.
#[derive(Debug, InputObject)]
pub struct UpdateDatasetInput {
    /// Which one.
    id: ID,
    /// The version it must be at for this to be done.
    expected_version: Option<BigInt>,
    /// What it is, in words for a person.
    description: Option<String>,
    /// Takes the description away; not together with a new one.
    #[graphql(default)]
    clear_description: bool,
    /// Who answers for it, in place of all owners so far.
    owners: Option<Vec<String>>,
    /// The business domain that it belongs to.
    domain: Option<String>,
    /// Takes the domain away; not together with a new one.
    #[graphql(default)]
    clear_domain: bool,
    /// Its tags, in place of all tags so far.
    tags: Option<Vec<String>>,
    /// Its other names, in place of all aliases so far.
    aliases: Option<Vec<NameInput>>,
    /// The schema that it is bound to, or one version of it: `tenant.<code>.<domain>.<name>`, with `@<number>`.
    schema_fqid: Option<String>,
    /// Unbinds it; not together with a schema.
    #[graphql(default)]
    clear_schema_fqid: bool,
}

/// How changing a dataset ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum UpdateDatasetStatus {
    /// It is as it was asked for.
    Updated,
    /// Another dataset has one of the aliases; nothing was changed.
    NameTaken,
    /// It is at another version than was expected; nothing was changed.
    VersionConflict,
}

/// What became of a change.
#[derive(Debug, SimpleObject)]
pub struct UpdateDatasetPayload {
    /// How it ended.
    status: UpdateDatasetStatus,
    /// The dataset as it now is.
    dataset: Nullable<Dataset>,
}

/// A dataset to be retired.
#[derive(Debug, InputObject)]
pub struct RetireDatasetInput {
    /// Which one.
    id: ID,
    /// The version it must be at for this to be done.
    expected_version: Option<BigInt>,
}

/// How retiring a dataset ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RetireDatasetStatus {
    /// It is retired, now or since before.
    Retired,
    /// It is at another version than was expected; nothing was changed.
    VersionConflict,
}

/// What became of a retirement.
#[derive(Debug, SimpleObject)]
pub struct RetireDatasetPayload {
    /// How it ended.
    status: RetireDatasetStatus,
    /// The dataset as it now is.
    dataset: Nullable<Dataset>,
}

async fn register(
    context: &Context<'_>,
    input: RegisterDatasetInput,
) -> Result<RegisterDatasetPayload> {
    let new = NewDataset {
        name: (input.namespace, input.name),
        aliases: input.aliases.into_iter().map(Into::into).collect(),
        description: input.description,
        owners: input.owners,
        domain: input.domain,
        tags: input.tags,
    };
    let changed = command::register(call(context)?, new).await?;
    let status = match changed {
        Changed::Done(_) => RegisterDatasetStatus::Registered,
        Changed::NameTaken(_) | Changed::OtherVersion(_) => RegisterDatasetStatus::NameTaken,
    };
    Ok(RegisterDatasetPayload {
        status,
        dataset: Dataset::shown(context, changed.dataset_id()).await,
    })
}

async fn update(context: &Context<'_>, input: UpdateDatasetInput) -> Result<UpdateDatasetPayload> {
    let aliases = input.aliases;
    let changes = Patch {
        description: Field { set: input.description, clear: input.clear_description },
        owners: input.owners,
        domain: Field { set: input.domain, clear: input.clear_domain },
        tags: input.tags,
        aliases: aliases.map(|aliases| aliases.into_iter().map(Into::into).collect()),
        schema: Field { set: input.schema_fqid, clear: input.clear_schema_fqid },
    };
    let expected = input.expected_version.map(|version| version.0);
    let id = uuid(&input.id, "id");
    let changed = command::update(call(context)?, id.clone(), expected, changes).await?;
    let status = match changed {
        Changed::Done(_) => UpdateDatasetStatus::Updated,
        Changed::NameTaken(_) => UpdateDatasetStatus::NameTaken,
        Changed::OtherVersion(_) => UpdateDatasetStatus::VersionConflict,
    };
    Ok(UpdateDatasetPayload { status, dataset: Dataset::shown(context, id.ok()).await })
}

async fn retire(context: &Context<'_>, input: RetireDatasetInput) -> Result<RetireDatasetPayload> {
    let expected = input.expected_version.map(|version| version.0);
    let changed = command::retire(call(context)?, uuid(&input.id, "id"), expected).await?;
    let status = match changed {
        Changed::OtherVersion(_) => RetireDatasetStatus::VersionConflict,
        Changed::Done(_) | Changed::NameTaken(_) => RetireDatasetStatus::Retired,
    };
    Ok(RetireDatasetPayload {
        status,
        dataset: Dataset::shown(context, changed.dataset_id()).await,
    })
}

/// The mutations of datasets.
#[derive(Debug, Default)]
pub struct DatasetMutation;

#[Object]
impl DatasetMutation {
    /// Registers a dataset.
    async fn register_dataset(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The dataset.")] input: RegisterDatasetInput,
    ) -> Nullable<RegisterDatasetPayload> {
        nullable(register(context, input).await.map(Some))
    }

    /// Changes what is said about a dataset.
    async fn update_dataset(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The changes.")] input: UpdateDatasetInput,
    ) -> Nullable<UpdateDatasetPayload> {
        nullable(update(context, input).await.map(Some))
    }

    /// Retires a dataset: it keeps its names and its history, and is on no board any more.
    async fn retire_dataset(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RetireDatasetInput,
    ) -> Nullable<RetireDatasetPayload> {
        nullable(retire(context, input).await.map(Some))
    }
}
