//! Datasets in the graph.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use super::mutation::{DatasetMutation, NameInput};
use super::{
    loader::{Aliases, Datasets, NamedDatasets},
    model::{self, DatasetName, Urn},
    page::{self, NamePosition, Ranked, WorstPosition},
    repository::Record,
};
use crate::{
    auth::policy::Operation,
    breach::graphql::{self as breach, Breach, BreachConnection, BreachState, FreshnessMute},
    call::Call,
    error::{Error, Result},
    freshness::{
        graphql::{
            self as freshness, Freshness, FreshnessPolicy, FreshnessStatus, PolicyConnection,
        },
        loader::next_change,
    },
    graphql::{
        annotations::{Cost, LOG, ListSize, WALK, about, holding, page, sliced},
        call,
        connection::{Connection, Page, Place, is_possible_instant},
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        scalars::{BigInt, searched, uuid},
        shared,
    },
    history::graphql::{
        self as history, FreshnessHistory, RunBucketSize, RunBuckets, RunStatistics, SlaAttainment,
    },
    lineage::{
        graphql::{self as lineage, LineageWalk, RootCauseList},
        model::Direction,
    },
    refresh::graphql::{self as refresh, DatasetRun, ExternalVerdict, RefreshState, RunCursor},
    schema::graphql::{self as schema, Schema, SchemaDrift, SchemaVersion},
};

/// Whether a dataset is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Lifecycle")]
pub enum DatasetLifecycle {
    /// It is in use.
    Active,
    /// It is not any more: it keeps its names and its history, and is on no board.
    Retired,
}

/// A namespace and a name there, as OpenLineage names a dataset or a job.
#[derive(Debug, SimpleObject)]
pub struct DatasetAlias {
    /// Where it lives.
    namespace: String,
    /// Its name there.
    name: String,
}

/// A dataset: something that runs refresh.
#[derive(Debug, Clone)]
pub struct Dataset(Record);

impl Dataset {
    /// The dataset with this id, or none: a missing and a foreign one look the same.
    pub(crate) async fn load(context: &Context<'_>, id: Uuid) -> Result<Option<Self>> {
        call(context)?.authorize(Operation::DatasetRead)?;
        Ok(shared::<Datasets>(context)?.load(id).await?.map(Self))
    }

    /// The dataset to show in the payload of a mutation, which is done by then and must not fail
    /// any more: nothing to a caller that may write and not read, and an error of this one field
    /// when it cannot be read.
    pub(crate) async fn shown(context: &Context<'_>, id: Option<Uuid>) -> Nullable<Self> {
        let readable = call(context).is_ok_and(|call| call.may(Operation::DatasetRead));
        nullable(Self::load(context, id.filter(|_| readable)?).await)
    }

    async fn with_id(context: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        let call = call(context)?;
        call.authorize(Operation::DatasetRead)?;
        let id = uuid(id, "id")?;
        call.record().about_dataset(id);
        Self::load(context, id).await
    }

    async fn named(context: &Context<'_>, name: Result<DatasetName>) -> Result<Option<Self>> {
        let call = call(context)?;
        call.authorize(Operation::DatasetRead)?;
        let found = shared::<NamedDatasets>(context)?.load(name?).await?.map(Self);
        if let Some(Self(dataset)) = &found {
            call.record().about_dataset(dataset.dataset_id);
        }
        Ok(found)
    }

    async fn with_urn(context: &Context<'_>, urn: &str) -> Result<Option<Self>> {
        let call = call(context)?;
        call.authorize(Operation::DatasetRead)?;
        // Also if there is no such dataset, or it is not the caller's.
        call.record().about(|| urn.to_owned());
        let urn: Urn = urn.parse()?;
        if urn.tenant != *call.principal().tenant() {
            return Ok(None);
        }
        Self::named(context, Ok(urn.dataset)).await
    }
}

/// A dataset: something that runs refresh.
#[Object]
impl Dataset {
    /// Its identifier.
    async fn id(&self) -> ID {
        self.0.dataset_id.into()
    }

    /// Its name in the world: `urn:drr:dataset:<tenant>:<namespace>:<name>`, percent-encoded.
    async fn urn(&self, context: &Context<'_>) -> Result<String> {
        let tenant = call(context)?.principal().tenant().clone();
        let dataset = DatasetName::parse(self.0.namespace.as_str(), self.0.name.as_str())?;
        Ok(Urn { tenant, dataset }.to_string())
    }

    /// Where it lives: in OpenLineage, usually the URI of a data source.
    async fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// Its name there.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Its other names.
    #[graphql(directive = ListSize::apply(about(5)))]
    async fn aliases(&self, context: &Context<'_>) -> Result<Vec<DatasetAlias>> {
        let aliases = shared::<Aliases>(context)?.load(self.0.dataset_id).await?;
        let alias = |name: DatasetName| DatasetAlias {
            namespace: name.namespace().to_owned(),
            name: name.name().to_owned(),
        };
        Ok(aliases.unwrap_or_default().into_iter().map(alias).collect())
    }

    /// What it is, in words for a person.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Who answers for it, the first one first.
    async fn owners(&self) -> &[String] {
        &self.0.owners
    }

    /// The business domain that it belongs to.
    async fn domain(&self) -> Option<&str> {
        self.0.domain.as_deref()
    }

    /// Its tags, sorted.
    async fn tags(&self) -> &[String] {
        &self.0.tags
    }

    /// Whether it is in use.
    async fn lifecycle(&self) -> Result<DatasetLifecycle> {
        let lifecycle: model::Lifecycle = self.0.lifecycle.parse().map_err(Error::internal)?;
        Ok(lifecycle.into())
    }

    /// The full name of the schema that it is bound to, or of one version of it.
    async fn schema_fqid(&self) -> Option<&str> {
        self.0.schema_fqid.as_deref()
    }

    /// The schema that it is bound to.
    async fn schema(&self, context: &Context<'_>) -> Nullable<Direct<Schema>> {
        direct(schema::bound(context, self.0.schema_fqid.as_deref()?).await)
    }

    /// The version that it is bound to; of a schema the latest that is ACTIVE.
    async fn schema_version(&self, context: &Context<'_>) -> Nullable<Direct<SchemaVersion>> {
        direct(schema::bound_version(context, self.0.schema_fqid.as_deref()?).await)
    }

    /// What runs report of it that is not what that version says, found within a minute.
    async fn schema_drift(&self, context: &Context<'_>) -> Nullable<SchemaDrift> {
        nullable(schema::drift(context, self.0.dataset_id).await)
    }

    /// Goes up by one with every change of the dataset; for `expectedVersion`.
    async fn version(&self) -> BigInt {
        BigInt(self.0.row_version)
    }

    /// When it was registered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last changed; a refresh does not change it.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// What became of its refreshes so far.
    async fn refresh_state(&self, context: &Context<'_>) -> Result<Direct<RefreshState>> {
        refresh::state(context, self.0.dataset_id).await.map(Direct)
    }

    /// What is asked of its freshness: the policy that applies, its own or a selector's.
    async fn freshness_policy(&self, context: &Context<'_>) -> Nullable<FreshnessPolicy> {
        nullable(freshness::policy(context, self.0.dataset_id).await)
    }

    /// How fresh it is now.
    async fn freshness(&self, context: &Context<'_>) -> Result<Direct<Freshness>> {
        freshness::freshness(context, self.0.dataset_id).await.map(Direct)
    }

    /// The versions of its own freshness policy, latest first. What a selector asks of it is not
    /// among them.
    #[graphql(directive = ListSize::apply(page(10)))]
    async fn freshness_policies(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most so many; 10 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<PolicyConnection> {
        freshness::versions(context, self.0.dataset_id, first, after.as_deref()).await
    }

    /// What other tools found about its freshness; it decides nothing here.
    #[graphql(directive = ListSize::apply(about(1)))]
    async fn external_verdicts(&self, context: &Context<'_>) -> Result<Vec<ExternalVerdict>> {
        refresh::verdicts(context, self.0.dataset_id).await
    }

    /// Its breach that is going on.
    async fn open_breach(&self, context: &Context<'_>) -> Nullable<Breach> {
        nullable(breach::open_breach(context, self.0.dataset_id).await)
    }

    /// Its breaches, the latest first.
    #[graphql(directive = ListSize::apply(page(10)))]
    async fn breaches(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Going on, or over.")] state: Option<BreachState>,
        #[graphql(desc = "At most so many; 10 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<BreachConnection> {
        breach::breaches_of(context, self.0.dataset_id, state, first, after.as_deref()).await
    }

    /// Its mute, while it holds: nobody is told of its breaches.
    async fn freshness_mute(&self, context: &Context<'_>) -> Nullable<FreshnessMute> {
        nullable(breach::mute(context, self.0.dataset_id).await)
    }

    /// The runs that wrote it, latest first.
    #[graphql(directive = ListSize::apply(page(10)))]
    async fn runs(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most so many; 10 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<Connection<RunCursor, DatasetRun>> {
        refresh::runs(context, self.0.dataset_id, first, after.as_deref()).await
    }

    /// The runs that wrote it in a range of time, bucket by bucket: for a sparkline.
    #[graphql(
        directive = Cost::apply(LOG),
        directive = ListSize::apply(holding(&["buckets"], 100))
    )]
    async fn run_buckets(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The beginning of the range, which is at most 400 days long.")]
        from: DateTime<Utc>,
        #[graphql(desc = "The end of the range.")] to: DateTime<Utc>,
        #[graphql(desc = "How large the buckets are; DAY unless said otherwise.")] bucket: Option<
            RunBucketSize,
        >,
        #[graphql(desc = "Or how many minutes large: 1 to 1,440. At most 400 buckets.")]
        minutes: Option<i32>,
        #[graphql(
            default_with = "\"UTC\".to_owned()",
            desc = "The place whose clocks cut the buckets, as IANA names it: Europe/Berlin."
        )]
        timezone: String,
    ) -> Nullable<RunBuckets> {
        let (range, size) = ((from, to), (bucket, minutes));
        let id = self.0.dataset_id;
        nullable(history::run_buckets(context, id, range, size, &timezone).await.map(Some))
    }

    /// What the runs that wrote it in a range of time amount to.
    #[graphql(directive = Cost::apply(LOG))]
    async fn run_statistics(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The beginning of the range, which is at most 400 days long.")]
        from: DateTime<Utc>,
        #[graphql(desc = "The end of the range.")] to: DateTime<Utc>,
    ) -> Nullable<RunStatistics> {
        nullable(history::run_statistics(context, self.0.dataset_id, from, to).await.map(Some))
    }

    /// How fresh it was over a range of time.
    #[graphql(
        directive = Cost::apply(LOG),
        directive = ListSize::apply(sliced(&["intervals"], "last", 100))
    )]
    async fn freshness_history(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The beginning of the range, which is at most 400 days long.")]
        from: DateTime<Utc>,
        #[graphql(desc = "The end of the range; what lies ahead is left out.")] to: DateTime<Utc>,
        #[graphql(
            desc = "Only the last so many intervals; 100 unless said otherwise, 1,000 at the most."
        )]
        last: Option<i32>,
    ) -> Nullable<FreshnessHistory> {
        let id = self.0.dataset_id;
        nullable(history::freshness_history(context, id, from, to, last).await.map(Some))
    }

    /// How much of a range of time it was in time.
    #[graphql(directive = Cost::apply(LOG))]
    async fn sla_attainment(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The beginning of the range, which is at most 400 days long.")]
        from: DateTime<Utc>,
        #[graphql(desc = "The end of the range; what lies ahead is left out.")] to: DateTime<Utc>,
    ) -> Nullable<SlaAttainment> {
        nullable(history::sla_attainment(context, self.0.dataset_id, from, to).await.map(Some))
    }

    /// What it is made from: the datasets that runs read that wrote it, those that runs read that
    /// wrote these, and so on.
    #[graphql(
        directive = Cost::apply(WALK),
        directive = ListSize::apply(sliced(&["nodes"], "first", 100))
    )]
    async fn upstream(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many edges far; 1 unless said otherwise, 10 at the most.")]
        depth: Option<i32>,
        #[graphql(
            desc = "At most so many datasets; 100 unless said otherwise, 1,000 at the most."
        )]
        first: Option<i32>,
    ) -> Nullable<LineageWalk> {
        let id = self.0.dataset_id;
        let walk = lineage::walk(context, id, Direction::Upstream, depth, first).await;
        nullable(walk.map(Some))
    }

    /// What is made from it: the datasets that runs wrote that read it, and so on.
    #[graphql(
        directive = Cost::apply(WALK),
        directive = ListSize::apply(sliced(&["nodes"], "first", 100))
    )]
    async fn downstream(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many edges far; 1 unless said otherwise, 10 at the most.")]
        depth: Option<i32>,
        #[graphql(
            desc = "At most so many datasets; 100 unless said otherwise, 1,000 at the most."
        )]
        first: Option<i32>,
    ) -> Nullable<LineageWalk> {
        let id = self.0.dataset_id;
        let walk = lineage::walk(context, id, Direction::Downstream, depth, first).await;
        nullable(walk.map(Some))
    }

    /// Why it is late or failed, as far as that lies upstream: followed over datasets that are late
    /// or failed themselves, to those with no such dataset above them.
    #[graphql(
        directive = Cost::apply(WALK),
        directive = ListSize::apply(holding(&["causes"], 10))
    )]
    async fn root_causes(&self, context: &Context<'_>) -> Nullable<RootCauseList> {
        nullable(lineage::root_causes(context, self.0.dataset_id).await.map(Some))
    }
}

/// The order of datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
pub enum DatasetOrder {
    /// By name.
    #[default]
    Name,
    /// STALE, UNKNOWN, WARN, FRESH, NOT_APPLICABLE. Of the STALE and the WARN the one that has been
    /// so longest comes first, of the FRESH the one that will be so no longer first.
    /// All pages of one list are judged at the instant of its first page.
    WorstFirst,
}

/// Which datasets are asked for. What is left out does not matter.
#[derive(Debug, Default, InputObject)]
pub struct DatasetFilter {
    /// In any of these statuses.
    status: Option<Vec<FreshnessStatus>>,
    /// One of its owners is exactly this.
    owner: Option<String>,
    /// Its domain is exactly this.
    domain: Option<String>,
    /// It has this tag.
    tag: Option<String>,
    /// Its namespace, name or description holds this, whatever the case.
    text: Option<String>,
    /// ACTIVE unless said otherwise.
    lifecycle: Option<DatasetLifecycle>,
}

impl TryFrom<DatasetFilter> for page::Filter {
    type Error = Error;

    fn try_from(filter: DatasetFilter) -> Result<Self> {
        let texts = [
            ("filter.owner", &filter.owner),
            ("filter.domain", &filter.domain),
            ("filter.tag", &filter.tag),
            ("filter.text", &filter.text),
        ];
        searched(&texts)?;
        let statuses = filter.status.unwrap_or_default();
        Ok(Self {
            statuses: statuses.into_iter().map(Into::into).collect(),
            owner: filter.owner,
            domain: filter.domain,
            tag: filter.tag,
            text: filter.text,
            lifecycle: filter.lifecycle.map(Into::into),
        })
    }
}

/// The place of a dataset in either order. A cursor of one order is none of the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DatasetCursor {
    /// By name.
    #[serde(rename = "n")]
    Name(NamePosition),
    /// Worst first.
    #[serde(rename = "w")]
    Worst(WorstPosition),
}

impl Place for DatasetCursor {
    fn is_possible(&self) -> bool {
        match self {
            Self::Name(place) => !place.name.contains('\0'),
            Self::Worst(place) => {
                is_possible_instant(place.as_of) && is_possible_instant(place.deadline)
            }
        }
    }
}

type DatasetConnection = Connection<DatasetCursor, Dataset>;

async fn datasets(
    call: &Call,
    filter: &page::Filter,
    order: DatasetOrder,
    page: Page<DatasetCursor>,
) -> Result<DatasetConnection> {
    let (tx, now) = (call.read().await?, call.judged_at());
    let limit = page.limit();
    // By the clock: until it says something else of any dataset, whether it is in this page or not.
    if order == DatasetOrder::WorstFirst || !filter.statuses.is_empty() {
        if filter.lifecycle.is_some_and(|lifecycle| lifecycle != model::Lifecycle::Active) {
            call.lifetime().is_over();
        }
        if let Some(at) = next_change(&tx, now).await? {
            call.lifetime().ends(at);
        }
    }
    let nodes: Vec<_> = match (order, &page.after) {
        (DatasetOrder::Name, None) => {
            named_nodes(page::by_name(&tx, filter, now, None, limit).await?)
        }
        (DatasetOrder::Name, Some(DatasetCursor::Name(after))) => {
            named_nodes(page::by_name(&tx, filter, now, Some(after), limit).await?)
        }
        (DatasetOrder::WorstFirst, None) => {
            ranked_nodes(page::worst_first(&tx, filter, now, None, limit).await?)
        }
        (DatasetOrder::WorstFirst, Some(DatasetCursor::Worst(after))) => {
            ranked_nodes(page::worst_first(&tx, filter, now, Some(after), limit).await?)
        }
        _ => return Err(Error::bad_input("after", "is a cursor of another order")),
    };
    Ok(page.connection(nodes))
}

fn named_nodes(records: Vec<Record>) -> Vec<(DatasetCursor, Dataset)> {
    let position =
        |record: &Record| NamePosition { name: record.name.clone(), dataset_id: record.dataset_id };
    let node = |record| (DatasetCursor::Name(position(&record)), Dataset(record));
    records.into_iter().map(node).collect()
}

fn ranked_nodes(ranked: Vec<Ranked>) -> Vec<(DatasetCursor, Dataset)> {
    let node = |ranked: Ranked| (DatasetCursor::Worst(ranked.position), Dataset(ranked.record));
    ranked.into_iter().map(node).collect()
}

/// The root fields about datasets.
#[derive(Debug, Default)]
pub struct DatasetQuery;

#[Object]
impl DatasetQuery {
    /// The dataset with this id.
    async fn dataset(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its identifier.")] id: ID,
    ) -> Nullable<Direct<Dataset>> {
        direct(Dataset::with_id(context, &id).await)
    }

    /// The dataset with this URN; an alias's URN finds it as well.
    async fn dataset_by_urn(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "`urn:drr:dataset:<tenant>:<namespace>:<name>`, percent-encoded.")]
        urn: String,
    ) -> Nullable<Direct<Dataset>> {
        direct(Dataset::with_urn(context, &urn).await)
    }

    /// The datasets of the caller's tenant.
    #[graphql(directive = ListSize::apply(page(50)))]
    async fn datasets(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which ones.")] filter: Option<DatasetFilter>,
        #[graphql(desc = "In which order; by name unless said otherwise.")] order: Option<
            DatasetOrder,
        >,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<DatasetConnection> {
        let call = call(context)?;
        call.authorize(Operation::DatasetRead)?;
        let filter = filter.unwrap_or_default().try_into()?;
        datasets(
            call,
            &filter,
            order.unwrap_or_default(),
            Page::parse(first, after.as_deref(), 50)?,
        )
        .await
    }

    #[graphql(entity)]
    async fn find_dataset_by_id(&self, context: &Context<'_>, id: ID) -> Nullable<Direct<Dataset>> {
        direct(Dataset::with_id(context, &id).await)
    }

    #[graphql(entity)]
    async fn find_dataset_by_name(
        &self,
        context: &Context<'_>,
        namespace: String,
        name: String,
    ) -> Nullable<Direct<Dataset>> {
        let name = DatasetName::parse(namespace, name);
        direct(Dataset::named(context, name).await)
    }
}
