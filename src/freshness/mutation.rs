//! The mutations of freshness.

use async_graphql::{Context, Enum, Object, SimpleObject};
use uuid::Uuid;

use super::{
    calendar_command::{self, NewCalendar},
    calendars,
    command::{self, Changed},
    input::{
        RemoveFreshnessCalendarInput, RemoveFreshnessPolicyInput, SetFreshnessCalendarInput,
        SetFreshnessPolicyForSelectorInput, SetFreshnessPolicyInput,
    },
    policy_graphql::{FreshnessCalendar, FreshnessPolicy},
    repository,
};
use crate::{
    auth::policy::Operation,
    call::Call,
    dataset::graphql::Dataset,
    error::{Error, Result},
    graphql::{
        call,
        errors::{Nullable, nullable},
        scalars::uuid,
    },
};

/// How setting a policy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SetFreshnessPolicyStatus {
    /// It is in force.
    Set,
    /// Another version is in force than was expected; nothing was changed.
    VersionConflict,
}

impl From<Changed> for SetFreshnessPolicyStatus {
    fn from(changed: Changed) -> Self {
        match changed {
            Changed::Done(..) => Self::Set,
            Changed::OtherVersion => Self::VersionConflict,
        }
    }
}

/// What became of a policy, and the dataset as it now is.
#[derive(Debug, SimpleObject)]
pub struct SetFreshnessPolicyPayload {
    /// How it ended.
    status: SetFreshnessPolicyStatus,
    /// The dataset.
    dataset: Nullable<Dataset>,
}

/// What became of a policy for all datasets of a selector.
#[derive(Debug, SimpleObject)]
pub struct SetFreshnessPolicyForSelectorPayload {
    /// How it ended.
    status: SetFreshnessPolicyStatus,
    /// The policy as it now is.
    policy: Nullable<FreshnessPolicy>,
    /// How many datasets are, or were until now, among those that it is for.
    selected_datasets: i32,
}

/// How removing a policy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RemoveFreshnessPolicyStatus {
    /// It is not in force any more.
    Removed,
    /// Another version is in force than was expected; nothing was changed.
    VersionConflict,
}

/// What became of a removal.
#[derive(Debug, SimpleObject)]
pub struct RemoveFreshnessPolicyPayload {
    /// How it ended.
    status: RemoveFreshnessPolicyStatus,
    /// The dataset whose own policy it was.
    dataset: Nullable<Dataset>,
    /// How many datasets it was for.
    selected_datasets: i32,
}

/// How setting a calendar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SetFreshnessCalendarStatus {
    /// It is as it was asked for.
    Set,
    /// It is at another version than was expected; nothing was changed.
    VersionConflict,
}

/// What became of a calendar.
#[derive(Debug, SimpleObject)]
pub struct SetFreshnessCalendarPayload {
    /// How it ended.
    status: SetFreshnessCalendarStatus,
    /// The calendar as it now is.
    calendar: Nullable<FreshnessCalendar>,
    /// How many datasets are judged by it.
    judged_datasets: i32,
}

/// How removing a calendar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RemoveFreshnessCalendarStatus {
    /// It is gone.
    Removed,
    /// A policy in force names it; nothing was changed.
    InUse,
    /// It is at another version than was expected; nothing was changed.
    VersionConflict,
}

/// What became of the removal of a calendar.
#[derive(Debug, SimpleObject)]
pub struct RemoveFreshnessCalendarPayload {
    /// How it ended.
    status: RemoveFreshnessCalendarStatus,
}

fn whole(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

async fn set(
    context: &Context<'_>,
    input: SetFreshnessPolicyInput,
) -> Result<SetFreshnessPolicyPayload> {
    let dataset_id = uuid(&input.dataset_id, "datasetId");
    let changed = command::set(call(context)?, dataset_id.clone(), input.policy()).await?;
    let dataset = Dataset::shown(context, dataset_id.ok()).await;
    Ok(SetFreshnessPolicyPayload { status: changed.into(), dataset })
}

/// What a caller who may read freshness is shown of a change that is done.
async fn shown<T>(call: &Call, read: impl Future<Output = Result<Option<T>>>) -> Nullable<T> {
    if !call.may(Operation::FreshnessRead) {
        return None;
    }
    nullable(read.await)
}

async fn read_policy(call: &Call, id: Option<Uuid>) -> Result<Option<FreshnessPolicy>> {
    let Some(id) = id else { return Ok(None) };
    let record = repository::latest(&*call.read().await?, id).await?;
    record.map(TryInto::try_into).transpose()
}

async fn set_for_selector(
    context: &Context<'_>,
    input: SetFreshnessPolicyForSelectorInput,
) -> Result<SetFreshnessPolicyForSelectorPayload> {
    let call = call(context)?;
    let which = input.policy_id.as_ref().map(|id| uuid(id, "policyId"));
    let selector = (input.selector.domain.clone(), input.selector.tags.clone());
    let changed = command::set_for_selector(call, which.clone(), selector, input.policy()).await?;
    let (id, selected) = match changed {
        Changed::Done(key, selected) => (Some(key.policy_id), selected),
        Changed::OtherVersion => (which.and_then(Result::ok), 0),
    };
    let policy = shown(call, read_policy(call, id)).await;
    let selected_datasets = whole(selected);
    Ok(SetFreshnessPolicyForSelectorPayload { status: changed.into(), policy, selected_datasets })
}

async fn remove(
    context: &Context<'_>,
    input: RemoveFreshnessPolicyInput,
) -> Result<RemoveFreshnessPolicyPayload> {
    let which = match (&input.dataset_id, &input.policy_id) {
        (Some(id), None) => uuid(id, "datasetId"),
        (None, Some(id)) => uuid(id, "policyId"),
        _ => Err(Error::bad_input("datasetId", "must be given, or policyId in its place")),
    };
    let (call, own) = (call(context)?, input.dataset_id.is_some());
    let changed = command::remove(call, which.clone(), own, input.expected_version).await?;
    let (status, selected) = match changed {
        Changed::Done(_, selected) => (RemoveFreshnessPolicyStatus::Removed, selected),
        Changed::OtherVersion => (RemoveFreshnessPolicyStatus::VersionConflict, 0),
    };
    let dataset_id = which.ok().filter(|_| own);
    let dataset = Dataset::shown(context, dataset_id).await;
    Ok(RemoveFreshnessPolicyPayload { status, dataset, selected_datasets: whole(selected) })
}

async fn read_calendar(call: &Call, name: &str) -> Result<Option<FreshnessCalendar>> {
    let calendar = calendars::named(&*call.read().await?, name).await?;
    Ok(calendar.map(Into::into))
}

async fn set_calendar(
    context: &Context<'_>,
    input: SetFreshnessCalendarInput,
) -> Result<SetFreshnessCalendarPayload> {
    let call = call(context)?;
    let name = input.name.clone();
    let new = NewCalendar {
        name: input.name,
        description: input.description,
        dates: input.dates,
        expected_version: input.expected_version.map(|version| version.0),
    };
    let (status, judged) = match calendar_command::set(call, new).await? {
        calendar_command::Changed::Done(judged) => (SetFreshnessCalendarStatus::Set, judged),
        _ => (SetFreshnessCalendarStatus::VersionConflict, 0),
    };
    let calendar = shown(call, read_calendar(call, &name)).await;
    Ok(SetFreshnessCalendarPayload { status, calendar, judged_datasets: whole(judged) })
}

async fn remove_calendar(
    context: &Context<'_>,
    input: RemoveFreshnessCalendarInput,
) -> Result<RemoveFreshnessCalendarPayload> {
    let expected = input.expected_version.map(|version| version.0);
    let changed = calendar_command::remove(call(context)?, input.name, expected).await?;
    let status = match changed {
        calendar_command::Changed::Done(_) => RemoveFreshnessCalendarStatus::Removed,
        calendar_command::Changed::InUse => RemoveFreshnessCalendarStatus::InUse,
        calendar_command::Changed::OtherVersion => RemoveFreshnessCalendarStatus::VersionConflict,
    };
    Ok(RemoveFreshnessCalendarPayload { status })
}

/// The mutations of freshness.
#[derive(Debug, Default)]
pub struct FreshnessMutation;

#[Object]
impl FreshnessMutation {
    /// Sets the freshness policy of a dataset: adds a version and puts it into force.
    async fn set_freshness_policy(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The policy.")] input: SetFreshnessPolicyInput,
    ) -> Nullable<SetFreshnessPolicyPayload> {
        nullable(set(context, input).await.map(Some))
    }

    /// Sets a freshness policy for all datasets of a domain, of tags, or of both, those to come
    /// included. A dataset's own policy comes before it, and so does a more specific selector.
    async fn set_freshness_policy_for_selector(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The policy.")] input: SetFreshnessPolicyForSelectorInput,
    ) -> Nullable<SetFreshnessPolicyForSelectorPayload> {
        nullable(set_for_selector(context, input).await.map(Some))
    }

    /// Takes a freshness policy away; what it was for is judged by the next most specific one.
    async fn remove_freshness_policy(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RemoveFreshnessPolicyInput,
    ) -> Nullable<RemoveFreshnessPolicyPayload> {
        nullable(remove(context, input).await.map(Some))
    }

    /// Makes a calendar of dates on which nothing is expected, or gives it other dates.
    async fn set_freshness_calendar(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The calendar.")] input: SetFreshnessCalendarInput,
    ) -> Nullable<SetFreshnessCalendarPayload> {
        nullable(set_calendar(context, input).await.map(Some))
    }

    /// Removes a calendar that no policy in force names.
    async fn remove_freshness_calendar(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RemoveFreshnessCalendarInput,
    ) -> Nullable<RemoveFreshnessCalendarPayload> {
        nullable(remove_calendar(context, input).await.map(Some))
    }
}
