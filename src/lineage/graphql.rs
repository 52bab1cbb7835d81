//! Lineage in the graph.

use async_graphql::{Context, ID, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    loader::{CauseKey, MAX_DEPTH, MAX_NODES, Record, RootCauses, WalkKey, Walks},
    model::{Cause, Direction, Reached},
};
use crate::{
    auth::policy::Operation,
    dataset::graphql::Dataset,
    error::{Error, Result},
    graphql::{
        annotations::{ListSize, about},
        call,
        direct::{Direct, direct},
        errors::Nullable,
        shared,
    },
    refresh::graphql::Job,
};

/// How many datasets a walk reaches unless it is told otherwise.
const DEFAULT_NODES: u32 = 100;

/// A dataset that a walk along the lineage reached.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub struct LineageNode {
    /// How many edges away it is, the least; 1 for a neighbour.
    distance: i32,
    /// The neighbour on the way back: the dataset over which it was reached.
    via_dataset_id: ID,
    /// The job that was last seen to read the one of the two and write the other.
    job: Job,
    /// The run of that job; it may be kept no longer.
    last_run_id: ID,
    /// The time of the earliest event that says so.
    first_seen_at: DateTime<Utc>,
    /// The time of the latest event that says so.
    last_seen_at: DateTime<Utc>,
    #[graphql(skip)]
    dataset_id: Uuid,
}

#[async_graphql::ComplexObject]
impl LineageNode {
    /// The dataset.
    async fn dataset(&self, context: &Context<'_>) -> Nullable<Direct<Dataset>> {
        direct(Dataset::load(context, self.dataset_id).await)
    }
}

impl From<Reached<Record>> for LineageNode {
    fn from(reached: Reached<Record>) -> Self {
        let edge = reached.step.edge;
        Self {
            distance: i32::try_from(reached.distance).unwrap_or(i32::MAX),
            via_dataset_id: reached.step.from.into(),
            job: Job::new(edge.job_namespace, edge.job_name),
            last_run_id: edge.last_run_id.into(),
            first_seen_at: edge.first_seen_at,
            last_seen_at: edge.last_seen_at,
            dataset_id: reached.step.to,
        }
    }
}

/// What a walk along the lineage reached. An edge is there because a run read the one dataset and
/// wrote the other, by the inputs and outputs of its events.
#[derive(Debug, SimpleObject)]
pub struct LineageWalk {
    /// The datasets, each once, the nearest first.
    nodes: Vec<LineageNode>,
    /// Whether there may be more within the depth.
    truncated: bool,
}

fn bounded(value: Option<i32>, default: u32, maximum: u32, field: &'static str) -> Result<u32> {
    match value.map(u32::try_from) {
        None => Ok(default),
        Some(Ok(value)) if (1..=maximum).contains(&value) => Ok(value),
        Some(_) => Err(Error::bad_input(field, format!("must be 1 to {maximum}"))),
    }
}

/// Walks from a dataset.
pub(crate) async fn walk(
    context: &Context<'_>,
    dataset_id: Uuid,
    direction: Direction,
    depth: Option<i32>,
    first: Option<i32>,
) -> Result<LineageWalk> {
    call(context)?.authorize(Operation::RunRead)?;
    let key = WalkKey {
        dataset_id,
        direction,
        depth: bounded(depth, 1, MAX_DEPTH, "depth")?,
        first: bounded(first, DEFAULT_NODES, MAX_NODES, "first")?,
    };
    let (nodes, truncated) = shared::<Walks>(context)?.load(key).await?.unwrap_or_default();
    Ok(LineageWalk { nodes: nodes.into_iter().map(Into::into).collect(), truncated })
}

/// A dataset upstream that is late or failed itself, and has no such dataset upstream of its own.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub struct RootCause {
    /// Since when it is late, or when its last failed run ended; nothing if it never succeeded.
    since: Option<DateTime<Utc>>,
    /// One sentence for a person.
    sentence: String,
    #[graphql(skip)]
    dataset_id: Uuid,
    #[graphql(skip)]
    path: Vec<Uuid>,
}

#[async_graphql::ComplexObject]
impl RootCause {
    /// The dataset.
    async fn dataset(&self, context: &Context<'_>) -> Nullable<Direct<Dataset>> {
        direct(Dataset::load(context, self.dataset_id).await)
    }

    /// One shortest way to it over late datasets, from the late dataset itself, both included.
    #[graphql(directive = ListSize::apply(about(5)))]
    async fn path(&self, context: &Context<'_>) -> Result<Vec<Dataset>> {
        let datasets = self.path.iter().map(|id| Dataset::load(context, *id));
        let datasets = futures::future::try_join_all(datasets).await?;
        Ok(datasets.into_iter().flatten().collect())
    }
}

impl From<Cause> for RootCause {
    fn from(cause: Cause) -> Self {
        Self {
            since: cause.trouble.since(),
            sentence: cause.sentence,
            dataset_id: cause.dataset_id,
            path: cause.path,
        }
    }
}

/// Why a dataset is late, as far as that lies upstream.
#[derive(Debug, SimpleObject)]
pub struct RootCauseList {
    /// The causes, the nearest first; none if the dataset is neither late nor failed, or if nothing
    /// upstream of it is.
    causes: Vec<RootCause>,
    /// Whether there may be more: late datasets were followed 10 edges far and 500 of them at most.
    truncated: bool,
}

/// The root causes of a dataset's being late now.
pub(crate) async fn root_causes(context: &Context<'_>, dataset_id: Uuid) -> Result<RootCauseList> {
    let call = call(context)?;
    call.authorize(Operation::FreshnessRead)?;
    call.authorize(Operation::RunRead)?;
    let key = CauseKey { dataset_id, now: call.now() };
    let (causes, truncated) = shared::<RootCauses>(context)?.load(key).await?.unwrap_or_default();
    Ok(RootCauseList { causes: causes.into_iter().map(Into::into).collect(), truncated })
}
