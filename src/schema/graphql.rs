//! Schemas in the graph: the types. The root fields are in [`query`](super::query) and
//! [`mutation`](super::mutation).

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use uuid::Uuid;

pub(crate) use super::drift_graphql::{SchemaDrift, drift};
use super::{
    command::is_reached,
    content,
    loader::{LatestVersions, NamedSchemas, Schemas, Versions},
    model::{
        compatibility::{self, Compatibility},
        format, lifecycle,
        name::{SchemaName, VersionName},
        verdict,
    },
    page,
    repository::{self, Record, Version, VersionKey, key_of, name_of, references_of},
    transition_graphql::SchemaTransition,
    usage_graphql::SchemaUsage,
    verdicts::{self, Subject},
};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    graphql::{
        annotations::{Cost, LOG, ListSize, about, page as paged},
        call,
        connection::{Connection, Page},
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        scalars::{BigInt, uuid},
        shared,
        subscription::cursor,
    },
    refresh::graphql::{self as refresh, DatasetRun},
};

/// What a schema is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "format::Format")]
pub enum SchemaFormat {
    /// Apache Avro.
    Avro,
    /// JSON Schema, draft-04 to 2020-12.
    Json,
    /// Protocol Buffers, proto2 and proto3.
    Protobuf,
}

/// What the versions of a schema promise to those who read and write by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Compatibility")]
pub enum SchemaCompatibility {
    /// The new version reads what the last one wrote.
    Backward,
    /// The new version reads what any earlier one wrote.
    BackwardTransitive,
    /// The last version reads what the new one writes.
    Forward,
    /// Every earlier version reads what the new one writes.
    ForwardTransitive,
    /// Both ways with the last version.
    Full,
    /// Both ways with every earlier version.
    FullTransitive,
    /// Nothing is promised.
    None,
}

/// What an approver may override of a promise, with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "compatibility::Policy")]
pub enum SchemaPolicy {
    /// Only that it cannot be told whether it is kept.
    Strict,
    /// Also that it is broken.
    Lenient,
}

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::State")]
pub enum SchemaState {
    /// Being written.
    Draft,
    /// Put forward, and frozen.
    Proposed,
    /// In use.
    Active,
    /// In use still, and not to be taken up.
    Deprecated,
    /// Out of use, for good.
    Retired,
}

/// Whom a version may be shown to. No tenant sees another's schemas here; this is for who hands them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::Visibility")]
pub enum SchemaVisibility {
    /// Its tenant.
    Private,
    /// Everybody: two people of the tenant have agreed to that.
    Public,
}

/// Whether data written with one schema can be read with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "verdict::Verdict")]
pub enum SchemaVerdict {
    /// Every value that the writer's schema accepts can be read.
    Compatible,
    /// It cannot be told.
    Unknown,
    /// Some value cannot be read.
    Incompatible,
}

/// The most runs of a version that are told.
const MAX_RUNS: u32 = 50;

/// A schema: a name in the tenant's namespace, and what its versions have in common.
#[derive(Debug, Clone)]
pub struct Schema(pub(super) Arc<Record>);

impl Schema {
    /// The schema with this id, or none: a missing and a foreign one look the same.
    pub(crate) async fn load(context: &Context<'_>, id: Uuid) -> Result<Option<Self>> {
        let call = call(context)?;
        call.authorize(Operation::SchemaRead)?;
        let found = shared::<Schemas>(context)?.load(id).await?;
        Ok(found.filter(|record| is_reached(call, record)).map(Self))
    }

    pub(super) async fn with_id(context: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        call(context)?.authorize(Operation::SchemaRead)?;
        Self::load(context, uuid(id, "id")?).await
    }

    /// The schema with this full name.
    pub(crate) async fn named(context: &Context<'_>, fqid: &str) -> Result<Option<Self>> {
        let call = call(context)?;
        call.authorize(Operation::SchemaRead)?;
        let name =
            SchemaName::parse(fqid).map_err(|wrong| Error::bad_input("fqid", wrong.to_string()))?;
        call.record().about(|| format!("schema:{name}"));
        if name.code() != call.principal().tenant().as_str() {
            return Ok(None);
        }
        let key = (name.domain().to_owned(), name.name().to_owned());
        let found = shared::<NamedSchemas>(context)?.load(key).await?;
        Ok(found.filter(|record| is_reached(call, record)).map(Self))
    }

    /// The schema to show in the payload of a mutation, as for datasets.
    pub(super) async fn shown(context: &Context<'_>, id: Option<Uuid>) -> Nullable<Self> {
        let readable = call(context).is_ok_and(|call| call.may(Operation::SchemaRead));
        nullable(Self::load(context, id.filter(|_| readable)?).await)
    }

    pub(super) fn subject(&self, context: &Context<'_>) -> Result<Subject> {
        Subject::of(call(context)?.principal().tenant(), &self.0)
    }
}

/// Who has agreed beforehand to versions that are compatible.
#[derive(Debug, SimpleObject)]
pub struct SchemaStanding {
    /// Who: an opaque subject.
    by: String,
    /// Since when.
    since: DateTime<Utc>,
}

/// A schema: a name in the tenant's namespace, and what its versions have in common.
#[Object]
impl Schema {
    /// Its identifier.
    async fn id(&self) -> ID {
        self.0.schema_id.into()
    }

    /// Its full name: `tenant.<code>.<domain>.<name>`.
    async fn fqid(&self, context: &Context<'_>) -> Result<String> {
        Ok(name_of(call(context)?.principal().tenant(), &self.0)?.to_string())
    }

    /// The domain within the tenant's namespace.
    async fn domain(&self) -> &str {
        &self.0.domain
    }

    /// Its name within the domain.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is written in.
    async fn format(&self) -> Result<SchemaFormat> {
        let format: format::Format = self.0.format.parse().map_err(Error::internal)?;
        Ok(format.into())
    }

    /// What its versions promise to those who read and write by it.
    async fn compatibility(&self) -> Result<SchemaCompatibility> {
        let compatibility: Compatibility = self.0.compatibility.parse().map_err(Error::internal)?;
        Ok(compatibility.into())
    }

    /// What an approver may override of that.
    async fn policy(&self) -> Result<SchemaPolicy> {
        let policy: compatibility::Policy = self.0.policy.parse().map_err(Error::internal)?;
        Ok(policy.into())
    }

    /// What it is, in words for a person.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Who answers for it, the first one first.
    async fn owners(&self) -> &[String] {
        &self.0.owners
    }

    /// Its tags, sorted.
    async fn tags(&self) -> &[String] {
        &self.0.tags
    }

    /// Who has agreed beforehand to versions that others ask for and that are COMPATIBLE; nothing while each
    /// needs an approval of its own.
    async fn standing(&self) -> Option<SchemaStanding> {
        let by = self.0.standing_by.clone();
        by.zip(self.0.standing_at).map(|(by, since)| SchemaStanding { by, since })
    }

    /// Goes up by one with every change of what is said about it; for `expectedVersion`.
    async fn row_version(&self) -> BigInt {
        BigInt(self.0.row_version)
    }

    /// When it was registered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// Who registered it: an opaque subject.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When what is said about it was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Its latest version that is ACTIVE.
    async fn latest(&self, context: &Context<'_>) -> Nullable<Direct<SchemaVersion>> {
        let latest = match shared::<LatestVersions>(context) {
            Ok(loader) => loader.load(self.0.schema_id).await,
            Err(error) => Err(error),
        };
        let schema = self.clone();
        direct(latest.map(|found| found.map(|version| SchemaVersion { schema, version })))
    }

    /// Its versions, the latest first.
    #[graphql(directive = Cost::apply(LOG), directive = ListSize::apply(paged(10)))]
    async fn versions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most so many; 10 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<Connection<SchemaVersionCursor, SchemaVersion>> {
        let page = Page::<SchemaVersionCursor>::parse(first, after.as_deref(), 10)?;
        let before = page.after.map(|after| i32::try_from(after.number).unwrap_or_default());
        let tx = call(context)?.read().await?;
        let rows = page::versions(&tx, self.0.schema_id, before, page.limit()).await?;
        Ok(page.connection(rows.into_iter().map(|version| {
            let place = SchemaVersionCursor { number: version.number.into() };
            (place, SchemaVersion { schema: self.clone(), version: Arc::new(version) })
        })))
    }

    /// What uses it.
    async fn usage(&self) -> SchemaUsage {
        SchemaUsage::of(self.clone())
    }
}

cursor! {
    /// The place of a version among those of its schema: its number.
    pub struct SchemaVersionCursor { number }
}

/// One version of a schema.
#[derive(Debug, Clone)]
pub struct SchemaVersion {
    pub(super) schema: Schema,
    pub(super) version: Arc<Version>,
}

impl SchemaVersion {
    /// The version with this key, or none.
    pub(crate) async fn load(context: &Context<'_>, key: VersionKey) -> Result<Option<Self>> {
        let Some(schema) = Schema::load(context, key.schema_id).await? else { return Ok(None) };
        let found = shared::<Versions>(context)?.load(key).await?;
        Ok(found.map(|version| Self { schema, version }))
    }

    pub(super) async fn with_id(context: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        call(context)?.authorize(Operation::SchemaRead)?;
        Self::load(context, version_key(id, "id")?).await
    }

    /// The version with this name: `<fqid>@<number>`.
    pub(crate) async fn named(context: &Context<'_>, name: &str) -> Result<Option<Self>> {
        call(context)?.authorize(Operation::SchemaRead)?;
        let name = VersionName::parse(name)
            .map_err(|wrong| Error::bad_input("name", wrong.to_string()))?;
        let schema = Schema::named(context, &name.schema.to_string()).await?;
        let Some(Schema(record)) = schema else { return Ok(None) };
        let key = VersionKey { schema_id: record.schema_id, number: name.number.get() };
        Self::load(context, key).await
    }

    /// The version to show in the payload of a mutation.
    pub(super) async fn shown(context: &Context<'_>, key: Option<VersionKey>) -> Nullable<Self> {
        let readable = call(context).is_ok_and(|call| call.may(Operation::SchemaRead));
        nullable(Self::load(context, key.filter(|_| readable)?).await)
    }
}

/// The schema that a dataset is bound to, by the name of it or of a version.
pub(crate) async fn bound(context: &Context<'_>, fqid: &str) -> Result<Option<Schema>> {
    Schema::named(context, fqid.split_once('@').map_or(fqid, |(schema, _)| schema)).await
}

/// The version that a dataset is bound to; of a schema the latest that is ACTIVE.
pub(crate) async fn bound_version(
    context: &Context<'_>,
    fqid: &str,
) -> Result<Option<SchemaVersion>> {
    if fqid.contains('@') {
        return SchemaVersion::named(context, fqid).await;
    }
    let Some(schema) = Schema::named(context, fqid).await? else { return Ok(None) };
    let latest = shared::<LatestVersions>(context)?.load(schema.0.schema_id).await?;
    Ok(latest.map(|version| SchemaVersion { schema, version }))
}

/// The id of a version.
pub(super) fn version_id(key: VersionKey) -> ID {
    format!("{}@{}", key.schema_id, key.number).into()
}

/// Reads the id of a version.
pub(super) fn version_key(id: &ID, field: &'static str) -> Result<VersionKey> {
    let read = || {
        let (schema_id, number) = id.split_once('@')?;
        let key = VersionKey { schema_id: schema_id.parse().ok()?, number: number.parse().ok()? };
        // In the one way in which it is written.
        (version_id(key) == *id).then_some(key)
    };
    read().ok_or_else(|| Error::bad_input(field, "is no identifier"))
}

/// A field of a schema.
#[derive(Debug, SimpleObject)]
pub struct SchemaField {
    /// The names from the outermost: `[]` stands for the items of a list, `{}` for the values of a map.
    path: String,
    /// Its type, in the words of the format.
    #[graphql(name = "type")]
    kind: String,
}

/// A version that another one refers to.
#[derive(Debug, SimpleObject)]
pub struct SchemaReference {
    /// The name that it is referred to by.
    name: String,
    /// The version.
    version: Nullable<SchemaVersion>,
}

/// One version of a schema. What it says is frozen once it is PROPOSED.
#[Object]
impl SchemaVersion {
    /// Its identifier.
    async fn id(&self) -> ID {
        version_id(key_of(&self.version))
    }

    /// Its full name: `tenant.<code>.<domain>.<name>@<number>`.
    async fn name(&self, context: &Context<'_>) -> Result<String> {
        let schema = self.schema.subject(context)?.name;
        Ok(format!("{schema}@{}", self.version.number))
    }

    /// Its number among the versions of its schema; no number is given twice.
    async fn number(&self) -> i32 {
        self.version.number
    }

    /// The number that clients of Confluent's registry know it by, within the tenant.
    async fn content_id(&self) -> i32 {
        self.version.content_id
    }

    /// Its schema.
    async fn schema(&self) -> Direct<&Schema> {
        Direct(&self.schema)
    }

    /// Where it is in its life.
    async fn state(&self) -> Result<SchemaState> {
        let state: lifecycle::State = self.version.state.parse().map_err(Error::internal)?;
        Ok(state.into())
    }

    /// Whom it may be shown to.
    async fn visibility(&self) -> Result<SchemaVisibility> {
        let visibility: lifecycle::Visibility =
            self.version.visibility.parse().map_err(Error::internal)?;
        Ok(visibility.into())
    }

    /// What it says.
    #[graphql(directive = Cost::apply(LOG))]
    async fn content(&self, context: &Context<'_>) -> Nullable<String> {
        let read = async {
            let name = self.schema.subject(context)?.name;
            let hash = repository::hash_of(&self.version.content_hash)?;
            let text = content::get(call(context)?, &name, hash).await?;
            Ok(Some(text.0.clone()))
        };
        nullable(read.await)
    }

    /// How many bytes that is.
    async fn content_bytes(&self) -> i32 {
        self.version.content_bytes
    }

    /// SHA-256 of what it says. An approval is bound to it, and every read is checked against it.
    async fn content_hash(&self) -> String {
        hex::encode(&self.version.content_hash)
    }

    /// The same for all that differ only in how they are written.
    async fn canonical_hash(&self) -> String {
        hex::encode(&self.version.canonical_hash)
    }

    /// The versions that it refers to.
    #[graphql(directive = ListSize::apply(about(3)))]
    async fn references(&self, context: &Context<'_>) -> Result<Vec<SchemaReference>> {
        let references = references_of(&self.version).into_iter().map(async |(name, key)| {
            let version = nullable(SchemaVersion::load(context, key).await);
            SchemaReference { name, version }
        });
        Ok(join_all(references).await)
    }

    /// Its fields, in their order: at most 10,000.
    #[graphql(directive = Cost::apply(LOG), directive = ListSize::apply(about(50)))]
    async fn fields(&self, context: &Context<'_>) -> Result<Vec<SchemaField>> {
        let subject = self.schema.subject(context)?;
        let whole = content::whole(call(context)?, &subject.name, &self.version).await?;
        let fields = tokio::task::spawn_blocking(move || {
            Ok::<_, Error>(verdicts::parsed(subject.format, &whole)?.fields())
        });
        let fields = fields.await.map_err(Error::internal)??;
        Ok(fields.into_iter().map(|(path, kind)| SchemaField { path, kind }).collect())
    }

    /// When it was first drafted.
    async fn created_at(&self) -> DateTime<Utc> {
        self.version.created_at
    }

    /// Who drafted it first: an opaque subject.
    async fn created_by(&self) -> &str {
        &self.version.created_by
    }

    /// When it was last written or moved on.
    async fn changed_at(&self) -> DateTime<Utc> {
        self.version.changed_at
    }

    /// The latest runs that wrote a dataset which was bound to it when they were recorded: 50 at most.
    #[graphql(directive = Cost::apply(LOG), directive = ListSize::apply(about(50)))]
    async fn runs(&self, context: &Context<'_>) -> Result<Vec<DatasetRun>> {
        let schema = self.schema.subject(context)?.name;
        let name = format!("{schema}@{}", self.version.number);
        refresh::runs_by_version(context, &name, MAX_RUNS).await
    }

    /// What was asked for it and decided about it, the earliest first: at most 200.
    #[graphql(directive = Cost::apply(LOG), directive = ListSize::apply(about(3)))]
    async fn transitions(&self, context: &Context<'_>) -> Result<Vec<SchemaTransition>> {
        let call = call(context)?;
        call.authorize(Operation::SchemaTransitionRead)?;
        let tx = call.read().await?;
        let rows = repository::transitions_of(&tx, key_of(&self.version)).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}
