//! Runs and refresh states in the graph.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use super::{
    external::graphql::{ExternalVerdict, verdicts},
    mutation::{RefreshMutation, RunEventType},
};
use super::{
    loader::{LogsOfRuns, RunPage, RunPages, Runs, States},
    model,
    repository::{self, LogRow, Run, RunPosition, State},
};
use crate::{
    auth::policy::Operation,
    dataset::graphql::Dataset,
    error::{Error, Result},
    graphql::{
        annotations::{Cost, LOG, ListSize, about},
        call,
        connection::{Connection, Page, Place, is_possible_instant},
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        scalars::{BigInt, uuid},
        shared,
    },
    history::graphql::{self as history, ExpectedRun, RefreshAnomaly},
    schema::graphql::{self as schema, SchemaVersion},
};

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::RunState")]
pub enum RunState {
    /// Nothing is known of its state yet.
    New,
    /// It started, or is running, and did not end.
    Running,
    /// It succeeded.
    Completed,
    /// It was stopped.
    Aborted,
    /// It failed.
    Failed,
}

/// What became of the refreshes of a dataset so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::RefreshStatus")]
pub enum RefreshStatus {
    /// None of them came to an end that decides anything.
    Never,
    /// One is going on.
    Refreshing,
    /// The last one succeeded.
    Ready,
    /// The last one failed.
    Failed,
}

/// Where a source watermark came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::WatermarkOrigin")]
pub enum WatermarkOrigin {
    /// An event of a run said it.
    Openlineage,
    /// dbt measured it (`max_loaded_at` of a source).
    DbtSources,
    /// A refresh state was reported as such.
    RefreshState,
}

fn origin(stored: Option<&str>) -> Nullable<WatermarkOrigin> {
    let origin = stored?.parse::<model::WatermarkOrigin>();
    Some(origin.map(Into::into).map_err(|error| Error::internal(error).into()))
}

/// A namespace and a name there, as OpenLineage names a job.
#[derive(Debug, SimpleObject)]
pub struct Job {
    /// Where it lives: usually the scheduler.
    namespace: String,
    /// Its name there.
    name: String,
}

impl Job {
    pub(crate) const fn new(namespace: String, name: String) -> Self {
        Self { namespace, name }
    }
}

/// What became of the refreshes of a dataset so far: a function of the set of its runs, whatever
/// the order in which they were reported.
#[derive(Debug)]
pub struct RefreshState(State);

/// What became of the refreshes of a dataset so far: a function of the set of its runs, whatever
/// the order in which they were reported.
#[Object]
impl RefreshState {
    /// What became of them.
    async fn status(&self) -> Result<RefreshStatus> {
        let status: model::RefreshStatus = self.0.status.parse().map_err(Error::internal)?;
        Ok(status.into())
    }

    /// When the last completed run ended. Nothing else moves it.
    async fn last_success_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_success_at
    }

    /// The last completed run.
    async fn last_success_run_id(&self) -> Option<ID> {
        self.0.last_success_run_id.map(Into::into)
    }

    /// The last run, however it ended.
    async fn last_run_id(&self) -> Option<ID> {
        self.0.last_run_id.map(Into::into)
    }

    /// When the last run took place.
    async fn last_run_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_run_at
    }

    /// The state of the last run.
    async fn last_run_state(&self) -> Nullable<RunState> {
        let state = self.0.last_run_state.as_deref()?.parse::<model::RunState>();
        Some(state.map(Into::into).map_err(|error| Error::internal(error).into()))
    }

    /// Since when the dataset is being refreshed, while it is.
    async fn running_since(&self) -> Option<DateTime<Utc>> {
        self.0.running_since
    }

    /// Rows written by the last completed run.
    async fn row_count(&self) -> Option<BigInt> {
        self.0.row_count.map(BigInt)
    }

    /// Bytes written by the last completed run.
    async fn byte_count(&self) -> Option<BigInt> {
        self.0.byte_count.map(BigInt)
    }

    /// How far the source had come that the last completed run read.
    async fn source_watermark(&self) -> Option<DateTime<Utc>> {
        self.0.source_watermark
    }

    /// Where that watermark came from.
    async fn source_watermark_origin(&self) -> Nullable<WatermarkOrigin> {
        origin(self.0.source_watermark_origin.as_deref())
    }

    /// When the last failed run ended.
    async fn last_failure_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_failure_at
    }

    /// The last failed run.
    async fn last_failure_run_id(&self) -> Option<ID> {
        self.0.last_failure_run_id.map(Into::into)
    }

    /// Failed runs since the last completed one, of those that the log still has; at least 1 if the
    /// last run that completed or failed did fail.
    async fn consecutive_failures(&self) -> i32 {
        self.0.consecutive_failures
    }

    /// When the next run is to be expected; nothing while there are fewer than three to go by.
    #[graphql(directive = Cost::apply(LOG))]
    async fn expected_next_run(&self, context: &Context<'_>) -> Nullable<ExpectedRun> {
        nullable(history::expected_next_run(context, self.0.dataset_id).await)
    }

    /// What is unlike the dataset's other runs about the last one.
    #[graphql(directive = Cost::apply(LOG), directive = ListSize::apply(about(3)))]
    async fn anomalies(&self, context: &Context<'_>) -> Nullable<Vec<RefreshAnomaly>> {
        nullable(history::anomalies(context, self.0.dataset_id).await.map(Some))
    }

    /// When this was last brought up to date.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

async fn load_state(context: &Context<'_>, dataset_id: Uuid) -> Result<State> {
    let state = shared::<States>(context)?.load(dataset_id).await?;
    state.ok_or_else(|| Error::internal("a dataset has no refresh state"))
}

/// The refresh state of a dataset.
pub(crate) async fn state(context: &Context<'_>, dataset_id: Uuid) -> Result<RefreshState> {
    call(context)?.authorize(Operation::FreshnessRead)?;
    load_state(context, dataset_id).await.map(RefreshState)
}

/// What one run did to one dataset.
#[derive(Debug)]
pub struct DatasetRun(LogRow);

/// What one run did to one dataset.
#[Object]
impl DatasetRun {
    /// The run's identifier.
    async fn run_id(&self) -> ID {
        self.0.run_id.into()
    }

    /// The run.
    async fn run(&self, context: &Context<'_>) -> Nullable<Direct<RefreshRun>> {
        direct(RefreshRun::load(context, self.0.run_id).await)
    }

    /// The dataset.
    async fn dataset(&self, context: &Context<'_>) -> Nullable<Direct<Dataset>> {
        direct(Dataset::load(context, self.0.dataset_id).await)
    }

    /// The job that it is a run of.
    async fn job(&self) -> Job {
        Job { namespace: self.0.job_namespace.clone(), name: self.0.job_name.clone() }
    }

    /// The state of the run.
    async fn state(&self) -> Result<RunState> {
        let state: model::RunState = self.0.state.parse().map_err(Error::internal)?;
        Ok(state.into())
    }

    /// When the run started; unknown until its START arrives.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }

    /// When the run ended.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.0.ended_at
    }

    /// Rows written to the dataset.
    async fn row_count(&self) -> Option<BigInt> {
        self.0.row_count.map(BigInt)
    }

    /// Bytes written to the dataset.
    async fn byte_count(&self) -> Option<BigInt> {
        self.0.byte_count.map(BigInt)
    }

    /// Files written to the dataset.
    async fn file_count(&self) -> Option<BigInt> {
        self.0.file_count.map(BigInt)
    }

    /// How far the source had come that the run read.
    async fn source_watermark(&self) -> Option<DateTime<Utc>> {
        self.0.source_watermark
    }

    /// Where that watermark came from.
    async fn source_watermark_origin(&self) -> Nullable<WatermarkOrigin> {
        origin(self.0.source_watermark_origin.as_deref())
    }

    /// The version of a schema that the dataset was bound to when the run was recorded.
    async fn schema_version(&self, context: &Context<'_>) -> Nullable<Direct<SchemaVersion>> {
        direct(schema::bound_version(context, self.0.schema_version.as_deref()?).await)
    }

    /// Whether events contradicted each other about how the run ended.
    async fn conflict(&self) -> bool {
        self.0.conflict
    }

    /// Why the run failed, if it did and said so.
    async fn error_message(&self) -> Option<&str> {
        self.0.error_message.as_deref()
    }
}

/// The place of a run among those of a dataset.
pub type RunCursor = RunPosition;

impl Place for RunPosition {
    fn is_possible(&self) -> bool {
        is_possible_instant(self.effective_at)
    }
}

/// The runs that wrote a dataset, latest first.
pub(crate) async fn runs(
    context: &Context<'_>,
    dataset_id: Uuid,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<RunCursor, DatasetRun>> {
    call(context)?.authorize(Operation::RunRead)?;
    let page = Page::<RunPosition>::parse(first, after, 10)?;
    let wanted = RunPage { dataset_id, after: page.after, limit: page.limit() };
    let rows = shared::<RunPages>(context)?.load(wanted).await?.unwrap_or_default();
    let nodes = rows.into_iter().map(|row| {
        (RunPosition { effective_at: row.effective_at, run_id: row.run_id }, DatasetRun(row))
    });
    Ok(page.connection(nodes))
}

/// The latest runs that wrote a dataset by this version of a schema.
pub(crate) async fn runs_by_version(
    context: &Context<'_>,
    name: &str,
    limit: u32,
) -> Result<Vec<DatasetRun>> {
    let call = call(context)?;
    call.authorize(Operation::RunRead)?;
    let rows = repository::of_schema_version(&*call.read().await?, name, limit).await?;
    Ok(rows.into_iter().map(DatasetRun).collect())
}

/// A run of a job: the fold of its events.
#[derive(Debug, Clone)]
pub struct RefreshRun(Run);

impl RefreshRun {
    /// The run with this id, or none: a missing and a foreign one look the same.
    pub(crate) async fn load(context: &Context<'_>, id: Uuid) -> Result<Option<Self>> {
        call(context)?.authorize(Operation::RunRead)?;
        Ok(shared::<Runs>(context)?.load(id).await?.map(Self))
    }

    async fn with_id(context: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        let call = call(context)?;
        call.authorize(Operation::RunRead)?;
        let id = uuid(id, "id")?;
        call.record().about(|| format!("run:{id}"));
        Self::load(context, id).await
    }
}

/// A run of a job: the fold of its events.
#[Object]
impl RefreshRun {
    /// Its identifier, as its producer has it.
    async fn id(&self) -> ID {
        self.0.run_id.into()
    }

    /// The job that it is a run of.
    async fn job(&self) -> Job {
        Job { namespace: self.0.job_namespace.clone(), name: self.0.job_name.clone() }
    }

    /// Its state: its earliest terminal event decides.
    async fn state(&self) -> Result<RunState> {
        let state: model::RunState = self.0.state.parse().map_err(Error::internal)?;
        Ok(state.into())
    }

    /// When it started; unknown until its START arrives.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }

    /// When it ended.
    async fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.0.ended_at
    }

    /// The start of the period that it was scheduled for.
    async fn nominal_start_at(&self) -> Option<DateTime<Utc>> {
        self.0.nominal_start_at
    }

    /// The end of the period that it was scheduled for.
    async fn nominal_end_at(&self) -> Option<DateTime<Utc>> {
        self.0.nominal_end_at
    }

    /// The run that started it.
    async fn parent_run_id(&self) -> Option<ID> {
        self.0.parent_run_id.map(Into::into)
    }

    /// Whether events contradicted each other about how it ended.
    async fn conflict(&self) -> bool {
        self.0.conflict
    }

    /// Why it failed, if it did and said so.
    async fn error_message(&self) -> Option<&str> {
        self.0.error_message.as_deref()
    }

    /// What it did, dataset by dataset.
    #[graphql(directive = ListSize::apply(about(3)))]
    async fn outputs(&self, context: &Context<'_>) -> Result<Vec<DatasetRun>> {
        let rows = shared::<LogsOfRuns>(context)?.load(self.0.run_id).await?;
        Ok(rows.unwrap_or_default().into_iter().map(DatasetRun).collect())
    }
}

/// The root fields about runs.
#[derive(Debug, Default)]
pub struct RefreshQuery;

#[Object]
impl RefreshQuery {
    /// The run with this id.
    async fn run(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its identifier, as its producer has it.")] id: ID,
    ) -> Nullable<Direct<RefreshRun>> {
        direct(RefreshRun::with_id(context, &id).await)
    }

    #[graphql(entity)]
    async fn find_refresh_run_by_id(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> Nullable<Direct<RefreshRun>> {
        direct(RefreshRun::with_id(context, &id).await)
    }
}
