//! Drift in the graph.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    drift::Difference,
    drift_accept::{self, Accepted},
    drift_store::Record,
    graphql::SchemaVersion,
    loader::Drifts,
    model::observed,
    mutation::SchemaRefusal,
    repository::VersionKey,
    transition_graphql::SchemaTransition,
};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    graphql::{
        annotations::{ListSize, about},
        call,
        direct::Direct,
        errors::{Nullable, nullable},
        scalars::uuid,
        shared,
    },
};

/// How what runs report differs from the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "observed::DriftKind")]
pub enum SchemaDriftKind {
    /// A field is reported that the schema has not.
    NotInSchema,
    /// The schema has a field that is not reported.
    NotReported,
    /// Both have it, and their types are of different families.
    TypeDiffers,
    /// The names differ in case only.
    CaseDiffers,
    /// There is more than was compared or is told.
    NotWhole,
}

/// One difference between what runs report and the schema.
#[derive(Debug, SimpleObject)]
pub struct SchemaDriftDifference {
    /// The field: names with dots between, `[]` for an array's items, `{}` for a map's values. Empty for the
    /// dataset as a whole.
    path: String,
    /// How.
    kind: SchemaDriftKind,
    /// What is reported: a type in the words of the source, or a name.
    reported: Option<String>,
    /// What the schema has: families of types, or a name.
    registered: Option<String>,
    /// The same in a sentence.
    message: String,
}

impl TryFrom<Difference> for SchemaDriftDifference {
    type Error = Error;

    fn try_from(difference: Difference) -> Result<Self> {
        let kind: observed::DriftKind = difference.kind.parse().map_err(Error::internal)?;
        Ok(Self {
            path: difference.path,
            kind: kind.into(),
            reported: difference.reported,
            registered: difference.registered,
            message: difference.message,
        })
    }
}

/// What runs report of a dataset is not what its schema says.
#[derive(Debug)]
pub struct SchemaDrift {
    record: Record,
    found_at: DateTime<Utc>,
    version: SchemaVersion,
}

/// What runs report of a dataset is not what its schema says.
#[Object]
impl SchemaDrift {
    /// Since when that is known.
    async fn found_at(&self) -> DateTime<Utc> {
        self.found_at
    }

    /// The version that was compared with: that which the dataset is bound to.
    async fn version(&self) -> Direct<SchemaVersion> {
        Direct(self.version.clone())
    }

    /// When the fields that were compared had last been reported.
    async fn observed_at(&self) -> DateTime<Utc> {
        self.record.observed_at
    }

    /// What differs, in order of the path: 1,001 at most.
    #[graphql(directive = ListSize::apply(about(5)))]
    async fn differences(&self) -> Result<Vec<SchemaDriftDifference>> {
        let kept: Vec<Difference> =
            serde_json::from_value(self.record.differences.clone()).map_err(Error::internal)?;
        kept.into_iter().map(TryInto::try_into).collect()
    }
}

/// What was found about a dataset, while it differs, and if the caller's token is for the schema.
pub(crate) async fn drift(context: &Context<'_>, dataset_id: Uuid) -> Result<Option<SchemaDrift>> {
    call(context)?.authorize(Operation::SchemaRead)?;
    let Some(record) = shared::<Drifts>(context)?.load(dataset_id).await? else { return Ok(None) };
    let key = VersionKey { schema_id: record.schema_id, number: record.number };
    let version = SchemaVersion::load(context, key).await?;
    Ok(record.found_at.zip(version).map(|(found_at, version)| SchemaDrift {
        found_at,
        version,
        record,
    }))
}

/// What runs report of a dataset, to be what its schema says.
#[derive(Debug, InputObject)]
pub struct AcceptSchemaDriftInput {
    /// The dataset.
    dataset_id: ID,
    /// What a new schema is to be called, for a dataset that is bound to none: `tenant.<code>.<domain>.<name>`.
    schema_fqid: Option<String>,
}

/// How that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum AcceptSchemaDriftStatus {
    /// There is a version that says so, and a request that it becomes active.
    Proposed,
    /// There is a draft that says so, and it cannot be put forward.
    Refused,
    /// There is a version already that says so, and it is no draft any more.
    Same,
    /// No run has reported any fields.
    NothingReported,
    /// The dataset is bound to no schema, and it is not said what a new one is to be called.
    NameNeeded,
    /// The dataset is bound to a schema, and it is said what a new one is to be called.
    Bound,
    /// Another schema has the name.
    NameTaken,
    /// The schema is not written in Avro: what is to change is a person's to write.
    NotAvro,
    /// Nothing can be made of what is reported.
    NoDraft,
}

/// What became of it.
#[derive(Debug, SimpleObject)]
pub struct AcceptSchemaDriftPayload {
    /// How it ended.
    status: AcceptSchemaDriftStatus,
    /// Why the draft cannot be put forward.
    refused: Option<SchemaRefusal>,
    /// Why nothing can be made of what is reported.
    message: Option<String>,
    /// The version.
    version: Nullable<SchemaVersion>,
    /// The request.
    transition: Nullable<SchemaTransition>,
}

/// Takes what runs report of a dataset as what its schema is to say.
pub(super) async fn accept(
    context: &Context<'_>,
    input: AcceptSchemaDriftInput,
) -> Result<AcceptSchemaDriftPayload> {
    let dataset_id = uuid(&input.dataset_id, "datasetId");
    let accepted = drift_accept::accept(call(context)?, dataset_id, input.schema_fqid).await?;
    let (mut refused, mut message, mut key, mut transition) = (None, None, None, None);
    let status = match accepted {
        Accepted::Proposed(version, id) => {
            (key, transition) = (Some(version), Some(id));
            AcceptSchemaDriftStatus::Proposed
        }
        Accepted::Refused(version, why) => {
            (key, refused) = (Some(version), Some(why.into()));
            AcceptSchemaDriftStatus::Refused
        }
        Accepted::Same(version) => {
            key = Some(version);
            AcceptSchemaDriftStatus::Same
        }
        Accepted::NoDraft(why) => {
            message = Some(why.to_string());
            AcceptSchemaDriftStatus::NoDraft
        }
        Accepted::NothingReported => AcceptSchemaDriftStatus::NothingReported,
        Accepted::NameNeeded => AcceptSchemaDriftStatus::NameNeeded,
        Accepted::Bound => AcceptSchemaDriftStatus::Bound,
        Accepted::NameTaken => AcceptSchemaDriftStatus::NameTaken,
        Accepted::NotAvro => AcceptSchemaDriftStatus::NotAvro,
    };
    Ok(AcceptSchemaDriftPayload {
        status,
        refused,
        message,
        version: SchemaVersion::shown(context, key).await,
        transition: SchemaTransition::shown(context, transition).await,
    })
}

/// The mutations of drift.
#[derive(Debug, Default)]
pub struct SchemaDriftMutation;

#[Object]
impl SchemaDriftMutation {
    /// Takes what runs report of a dataset as what its schema is to say: drafts a version of it, and asks that it
    /// becomes active. For a dataset that is bound to no schema, one is registered, of Avro; it is not bound to it.
    async fn accept_schema_drift(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The dataset.")] input: AcceptSchemaDriftInput,
    ) -> Nullable<AcceptSchemaDriftPayload> {
        nullable(Box::pin(accept(context, input)).await.map(Some))
    }
}
