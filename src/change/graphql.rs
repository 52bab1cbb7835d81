//! Changes in the graph.

use async_graphql::{Context, Enum, ID, Object, Subscription};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt};

use super::{
    feed::{FreshnessFeed, RunFeed},
    model,
    repository::{FreshnessRow, RunEventRow},
};
use crate::{
    auth::policy::Operation,
    dataset::graphql::Dataset,
    error::{Error, Result},
    freshness::{
        graphql::{Freshness, FreshnessStatus, freshness},
        model::Status,
    },
    graphql::{
        call,
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        subscription::{self, Cursor, cursor, selection},
    },
    live,
    refresh::{
        graphql::{RefreshRun, RunEventType},
        model::EventType,
    },
};

/// Why the freshness of a dataset is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Cause")]
pub enum FreshnessCause {
    /// The dataset is new.
    Registered,
    /// A run succeeded, or another one is now known to be the last that did.
    Refreshed,
    /// A limit passed.
    Time,
    /// Another policy, version or calendar applies.
    Policy,
    /// The dataset is not in use any more.
    Retired,
}

cursor! {
    /// The place of a change of freshness.
    pub(super) struct FreshnessChangeCursor { freshness }
}

cursor! {
    /// The place of a run event.
    pub(super) struct RunEventCursor { runs }
}

/// The freshness of a dataset is another one: its status, or what that follows from.
#[derive(Debug)]
pub struct FreshnessChange(FreshnessRow);

/// The freshness of a dataset is another one: its status, or what that follows from.
#[Object]
impl FreshnessChange {
    /// Its place among the changes, to go on after.
    async fn cursor(&self) -> String {
        FreshnessChangeCursor::at(self.0.sequence).text()
    }

    /// Why.
    async fn cause(&self) -> Result<FreshnessCause> {
        let cause: model::Cause = self.0.cause.parse().map_err(Error::internal)?;
        Ok(cause.into())
    }

    /// The status before; null for a new dataset.
    async fn previous_status(&self) -> Nullable<FreshnessStatus> {
        nullable(self.0.previous_status.as_deref().map(status).transpose())
    }

    /// The status from then on: NOT_APPLICABLE once the dataset is not in use.
    async fn status(&self) -> Result<FreshnessStatus> {
        status(&self.0.status)
    }

    /// When that was found out, within a second or so.
    async fn changed_at(&self) -> DateTime<Utc> {
        self.0.changed_at
    }

    /// The dataset.
    async fn dataset(&self, context: &Context<'_>) -> Nullable<Direct<Dataset>> {
        direct(Dataset::load(context, self.0.dataset_id).await)
    }

    /// How fresh the dataset is now, which may be later than this change.
    async fn freshness(&self, context: &Context<'_>) -> Result<Direct<Freshness>> {
        freshness(context, self.0.dataset_id).await.map(Direct)
    }
}

fn status(stored: &str) -> Result<FreshnessStatus> {
    let status: Status = stored.parse().map_err(Error::internal)?;
    Ok(status.into())
}

/// An event of a run that was reported.
#[derive(Debug)]
pub struct RunEvent(RunEventRow);

/// An event of a run that was reported.
#[Object]
impl RunEvent {
    /// Its place among the events, to go on after.
    async fn cursor(&self) -> String {
        RunEventCursor::at(self.0.sequence).text()
    }

    /// What happened.
    async fn r#type(&self) -> Result<RunEventType> {
        let kind: EventType = self.0.event_type.parse().map_err(Error::internal)?;
        Ok(kind.into())
    }

    /// When it happened.
    async fn event_time(&self) -> DateTime<Utc> {
        self.0.event_time
    }

    /// When it was reported.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }

    /// The run.
    async fn run_id(&self) -> ID {
        self.0.run_id.into()
    }

    /// The run, as it is now.
    async fn run(&self, context: &Context<'_>) -> Nullable<Direct<RefreshRun>> {
        direct(RefreshRun::load(context, self.0.run_id).await)
    }
}

/// What can be followed of freshness and of runs.
#[derive(Debug, Default)]
pub struct ChangeSubscription;

#[Subscription]
impl ChangeSubscription {
    /// Changes of the freshness of datasets: by runs, by policies, and by time alone. One item for
    /// each change, in their order.
    #[expect(clippy::too_many_arguments, reason = "they are the field's")]
    async fn freshness_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only of these datasets; 200 at the most.")] dataset_ids: Option<Vec<ID>>,
        #[graphql(desc = "Only of datasets of this namespace.")] namespace: Option<String>,
        #[graphql(desc = "Only of datasets of this domain.")] domain: Option<String>,
        #[graphql(desc = "Only changes to one of these statuses.")] statuses: Option<
            Vec<FreshnessStatus>,
        >,
        #[graphql(
            default,
            desc = "Only changes to another status: not those of a dataset that was fresh and was \
                    refreshed again."
        )]
        status_only: bool,
        #[graphql(desc = "Go on after this cursor; without one, with what changes from now on.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = FreshnessChange>> {
        call(context)?.authorize(Operation::FreshnessRead)?;
        let statuses = statuses.unwrap_or_default();
        let feed = FreshnessFeed {
            selection: selection(dataset_ids, namespace, domain)?,
            statuses: statuses.into_iter().map(|status| Status::from(status).as_str()).collect(),
            status_only,
        };
        let place = live::Place::new(feed, FreshnessChangeCursor::read(after.as_deref())?);
        Ok(subscription::items(context, place)?.map(FreshnessChange))
    }

    /// Events of runs as they are reported, each one once, in the order in which they were recorded. An
    /// event that is reported again is none.
    async fn run_events(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Only of runs that are known to write one of these datasets; 200 at the \
                          most."
        )]
        dataset_ids: Option<Vec<ID>>,
        #[graphql(desc = "Only of runs that are known to write a dataset of this namespace.")]
        namespace: Option<String>,
        #[graphql(desc = "Only of runs that are known to write a dataset of this domain.")] domain: Option<String>,
        #[graphql(desc = "Only events of these types.")] types: Option<Vec<RunEventType>>,
        #[graphql(
            desc = "Go on after this cursor; without one, with what is reported from now on."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = RunEvent>> {
        call(context)?.authorize(Operation::RunRead)?;
        let types = types.unwrap_or_default();
        let feed = RunFeed {
            selection: selection(dataset_ids, namespace, domain)?,
            types: types.into_iter().map(|kind| EventType::from(kind).as_str()).collect(),
        };
        let place = live::Place::new(feed, RunEventCursor::read(after.as_deref())?);
        Ok(subscription::items(context, place)?.map(RunEvent))
    }
}
