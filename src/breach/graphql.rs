//! Breaches in the graph.

use async_graphql::{Context, Enum, ID, Object, SimpleObject, Subscription};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt};
use uuid::Uuid;

pub use super::mutation::BreachMutation;
use super::{
    feed::BreachFeed,
    loader::{BreachPage, BreachPages, Breaches, Mutes, OpenBreaches},
    model,
    repository::{self, BreachPosition, Event, Filter, Record},
};
use crate::{
    auth::policy::Operation,
    dataset::{graphql::Dataset, model::Domain},
    error::{Error, Result},
    graphql::{
        AGES_HOLD,
        annotations::{ListSize, page},
        call,
        connection::{Connection, Page, Place, is_possible_instant},
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        scalars::{BigInt, uuid},
        shared,
        subscription::{self, Cursor, cursor, selection},
    },
    live,
    refresh::graphql::RefreshRun,
};

/// How far beyond its limits a dataset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Level")]
pub enum BreachLevel {
    /// Beyond the limit to warn at.
    Warn,
    /// Beyond the limit to fail at.
    Fail,
}

/// Whether a breach is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::State")]
pub enum BreachState {
    /// It is.
    Open,
    /// It is over.
    Resolved,
}

/// Why a breach is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Resolution")]
pub enum BreachResolution {
    /// A run succeeded.
    Refreshed,
    /// Another policy or version applies, or none that alerts.
    PolicyChanged,
    /// The dataset is not in use any more.
    Retired,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::EventType")]
pub enum FreshnessEventType {
    /// A breach began.
    Opened,
    /// It went from WARN to FAIL.
    Escalated,
    /// It is over.
    Resolved,
    /// Somebody took note of it.
    Acknowledged,
    /// From now on nobody is told of the dataset's breaches.
    Muted,
    /// That is over before its time.
    Unmuted,
}

/// Who took note of a breach.
#[derive(Debug, SimpleObject)]
pub struct BreachAcknowledgement {
    /// When.
    at: DateTime<Utc>,
    /// Who: an opaque subject.
    by: String,
    /// What others should know.
    note: Option<String>,
}

/// A time in which nobody is told of a dataset's breaches.
#[derive(Debug, SimpleObject)]
pub struct FreshnessMute {
    /// Until when.
    until: DateTime<Utc>,
    /// Why.
    reason: String,
    /// Who said so: an opaque subject.
    by: String,
}

/// A time for which a dataset was beyond a limit of its policy.
#[derive(Debug, Clone)]
pub struct Breach(Record);

impl Breach {
    async fn load(context: &Context<'_>, id: Uuid) -> Result<Option<Self>> {
        call(context)?.authorize(Operation::BreachRead)?;
        Ok(shared::<Breaches>(context)?.load(id).await?.map(Self))
    }

    async fn with_id(context: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        call(context)?.authorize(Operation::BreachRead)?;
        Self::load(context, uuid(id, "id")?).await
    }

    /// As [`Dataset::shown`].
    pub(super) async fn shown(context: &Context<'_>, id: Option<Uuid>) -> Nullable<Self> {
        let readable = call(context).is_ok_and(|call| call.may(Operation::BreachRead));
        nullable(Self::load(context, id.filter(|_| readable)?).await)
    }

    fn position(&self) -> BreachPosition {
        BreachPosition { opened_at: self.0.opened_at, breach_id: self.0.breach_id }
    }
}

/// A time for which a dataset was beyond a limit of its policy.
#[Object]
impl Breach {
    /// Its identifier.
    async fn id(&self) -> ID {
        self.0.breach_id.into()
    }

    /// The dataset.
    async fn dataset(&self, context: &Context<'_>) -> Nullable<Direct<Dataset>> {
        direct(Dataset::load(context, self.0.dataset_id).await)
    }

    /// The policy that it is a breach of: the dataset's own has the dataset's identifier.
    async fn policy_id(&self) -> ID {
        self.0.policy_id.into()
    }

    /// The version of the policy when the breach began.
    async fn policy_version(&self) -> i32 {
        self.0.policy_version
    }

    /// Whether it is going on.
    async fn state(&self) -> BreachState {
        if self.0.resolved_at.is_some() { BreachState::Resolved } else { BreachState::Open }
    }

    /// The highest level that it reached.
    async fn level(&self) -> Result<BreachLevel> {
        let level: model::Level = self.0.level.parse().map_err(Error::internal)?;
        Ok(level.into())
    }

    /// The first instant beyond the limit.
    async fn opened_at(&self) -> DateTime<Utc> {
        self.0.opened_at
    }

    /// When that was found out.
    async fn detected_at(&self) -> DateTime<Utc> {
        self.0.detected_at
    }

    /// The first instant beyond the limit to fail at, if it was WARN before.
    async fn escalated_at(&self) -> Option<DateTime<Utc>> {
        self.0.escalated_at
    }

    /// When it was over: the end of the run that ended it, else when that was found out.
    async fn resolved_at(&self) -> Option<DateTime<Utc>> {
        self.0.resolved_at
    }

    /// Why it is over.
    async fn resolution(&self) -> Nullable<BreachResolution> {
        let resolution = self.0.resolution.as_deref()?.parse::<model::Resolution>();
        Some(resolution.map(Into::into).map_err(|error| Error::internal(error).into()))
    }

    /// The run that ended it.
    async fn resolved_by(&self, context: &Context<'_>) -> Nullable<Direct<RefreshRun>> {
        direct(RefreshRun::load(context, self.0.resolved_by_run?).await)
    }

    /// The dataset's last success before it.
    async fn last_success_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_success_at
    }

    /// For how many whole seconds it lasted, or lasts by now.
    async fn duration_seconds(&self, context: &Context<'_>) -> Result<i32> {
        let end = match self.0.resolved_at {
            Some(at) => at,
            None => {
                let (call, now) = (call(context)?, call(context)?.judged_at());
                call.lifetime().ends(now + AGES_HOLD);
                now
            }
        };
        Ok(i32::try_from((end - self.0.opened_at).num_seconds()).unwrap_or(i32::MAX).max(0))
    }

    /// Who took note of it.
    async fn acknowledgement(&self) -> Option<BreachAcknowledgement> {
        let (at, by) = self.0.acknowledged_at.zip(self.0.acknowledged_by.clone())?;
        Some(BreachAcknowledgement { at, by, note: self.0.acknowledgement_note.clone() })
    }

    /// The mute of its dataset, while it holds.
    async fn mute(&self, context: &Context<'_>) -> Nullable<FreshnessMute> {
        nullable(mute(context, self.0.dataset_id).await)
    }
}

/// The mute of a dataset, while it holds.
pub(crate) async fn mute(context: &Context<'_>, dataset_id: Uuid) -> Result<Option<FreshnessMute>> {
    let call = call(context)?;
    call.authorize(Operation::BreachRead)?;
    let mute = shared::<Mutes>(context)?.load(dataset_id).await?;
    let mute = mute.filter(|mute| mute.muted_until > call.judged_at());
    if let Some(mute) = &mute {
        call.lifetime().ends(mute.muted_until);
    }
    Ok(mute.map(|mute| FreshnessMute {
        until: mute.muted_until,
        reason: mute.mute_reason.unwrap_or_default(),
        by: mute.muted_by.unwrap_or_default(),
    }))
}

/// The breach of a dataset that is going on.
pub(crate) async fn open_breach(context: &Context<'_>, dataset_id: Uuid) -> Result<Option<Breach>> {
    call(context)?.authorize(Operation::BreachRead)?;
    Ok(shared::<OpenBreaches>(context)?.load(dataset_id).await?.map(Breach))
}

/// The place of a breach in a list.
pub type BreachCursor = BreachPosition;

impl Place for BreachPosition {
    fn is_possible(&self) -> bool {
        is_possible_instant(self.opened_at)
    }
}

/// A page of breaches.
pub type BreachConnection = Connection<BreachCursor, Breach>;

fn connection(page: &Page<BreachPosition>, rows: Vec<Record>) -> BreachConnection {
    page.connection(rows.into_iter().map(Breach).map(|breach| (breach.position(), breach)))
}

/// The breaches of a dataset, the latest first.
pub(crate) async fn breaches_of(
    context: &Context<'_>,
    dataset_id: Uuid,
    state: Option<BreachState>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<BreachConnection> {
    call(context)?.authorize(Operation::BreachRead)?;
    let page = Page::<BreachPosition>::parse(first, after, 10)?;
    let (after, limit) = (page.after, page.limit());
    let wanted = BreachPage { dataset_id, state: state.map(Into::into), after, limit };
    let rows = shared::<BreachPages>(context)?.load(wanted).await?.unwrap_or_default();
    Ok(connection(&page, rows))
}

/// Something that happened to a dataset's breaches.
#[derive(Debug)]
pub struct FreshnessEvent(Event);

/// Something that happened to a dataset's breaches.
#[Object]
impl FreshnessEvent {
    /// Its identifier; the webhook's message has the same.
    async fn id(&self) -> ID {
        self.0.event_id.into()
    }

    /// Its number: 1, 2, 3 … within the tenant, in the order in which things were done.
    async fn sequence(&self) -> BigInt {
        BigInt(self.0.sequence)
    }

    /// What happened.
    async fn r#type(&self) -> Result<FreshnessEventType> {
        let kind: model::EventType = self.0.event_type.parse().map_err(Error::internal)?;
        Ok(kind.into())
    }

    /// When it was done.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }

    /// Whether the dataset was muted then.
    async fn muted(&self) -> bool {
        self.0.muted
    }

    /// The level of the breach then.
    async fn level(&self) -> Nullable<BreachLevel> {
        let level = self.0.level.as_deref()?.parse::<model::Level>();
        Some(level.map(Into::into).map_err(|error| Error::internal(error).into()))
    }

    /// The dataset.
    async fn dataset(&self, context: &Context<'_>) -> Nullable<Direct<Dataset>> {
        direct(Dataset::load(context, self.0.dataset_id).await)
    }

    /// The breach, as it is now.
    async fn breach(&self, context: &Context<'_>) -> Nullable<Breach> {
        nullable(Breach::load(context, self.0.breach_id?).await)
    }

    /// Its place among the events, to go on after.
    async fn cursor(&self) -> String {
        FreshnessEventCursor::at(self.0.sequence).text()
    }
}

cursor! {
    /// The place of an event: its number.
    pub struct FreshnessEventCursor { sequence }
}

async fn events(
    context: &Context<'_>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<FreshnessEventCursor, FreshnessEvent>> {
    let call = call(context)?;
    call.authorize(Operation::BreachRead)?;
    let page = Page::<FreshnessEventCursor>::parse(first, after, 50)?;
    let last = page.after.map_or(0, |after| after.sequence());
    let rows = repository::events(&*call.read().await?, last, page.limit()).await?;
    let place = |event: &Event| FreshnessEventCursor::at(event.sequence);
    Ok(page.connection(rows.into_iter().map(|event| (place(&event), FreshnessEvent(event)))))
}

/// The root fields about breaches.
#[derive(Debug, Default)]
pub struct BreachQuery;

#[Object]
impl BreachQuery {
    /// The breach with this id.
    async fn breach(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its identifier.")] id: ID,
    ) -> Nullable<Breach> {
        nullable(Breach::with_id(context, &id).await)
    }

    /// The breaches of the caller's tenant, the latest first.
    #[expect(clippy::too_many_arguments, reason = "they are the field's")]
    #[graphql(directive = ListSize::apply(page(50)))]
    async fn breaches(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Going on, or over.")] state: Option<BreachState>,
        #[graphql(desc = "The highest level that they reached.")] level: Option<BreachLevel>,
        #[graphql(desc = "Whether somebody took note of them.")] acknowledged: Option<bool>,
        #[graphql(desc = "The domain of their datasets.")] domain: Option<String>,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<BreachConnection> {
        let call = call(context)?;
        call.authorize(Operation::BreachRead)?;
        let domain = domain.map(Domain::parse).transpose()?;
        let filter = Filter {
            state: state.map(Into::into),
            level: level.map(Into::into),
            acknowledged,
            domain: domain.map(|domain| domain.as_str().to_owned()),
        };
        let page = Page::<BreachPosition>::parse(first, after.as_deref(), 50)?;
        let tx = call.read().await?;
        Ok(connection(&page, repository::page(&tx, &filter, page.after, page.limit()).await?))
    }

    /// What happened to breaches, in the order in which it was done, to catch up: nothing is left out
    /// between the last event of one page and the first of the next, however much later that is
    /// asked for.
    #[graphql(directive = ListSize::apply(page(50)))]
    async fn freshness_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<Connection<FreshnessEventCursor, FreshnessEvent>> {
        events(context, first, after.as_deref()).await
    }

    #[graphql(entity)]
    async fn find_breach_by_id(&self, context: &Context<'_>, id: ID) -> Nullable<Breach> {
        nullable(Breach::with_id(context, &id).await)
    }
}

/// What can be followed of breaches.
#[derive(Debug, Default)]
pub struct BreachSubscription;

#[Subscription]
impl BreachSubscription {
    /// What happens to breaches, as `freshnessEvents` has it: one item for each event, in their order.
    async fn breaches(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only of these datasets; 200 at the most.")] dataset_ids: Option<Vec<ID>>,
        #[graphql(desc = "Only of datasets of this namespace.")] namespace: Option<String>,
        #[graphql(desc = "Only of datasets of this domain.")] domain: Option<String>,
        #[graphql(desc = "Only of breaches of this level.")] level: Option<BreachLevel>,
        #[graphql(
            desc = "Go on after this cursor, of an item or of `freshnessEvents`; without one, with \
                          what happens from now on."
        )]
        after: Option<String>,
    ) -> Result<impl Stream<Item = FreshnessEvent>> {
        call(context)?.authorize(Operation::BreachRead)?;
        let feed = BreachFeed {
            selection: selection(dataset_ids, namespace, domain)?,
            level: level.map(|level| model::Level::from(level).as_str()),
        };
        let place = live::Place::new(feed, FreshnessEventCursor::read(after.as_deref())?);
        Ok(subscription::items(context, place)?.map(FreshnessEvent))
    }
}
