//! Freshness in the graph.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    command::{self, NewPolicy, Set},
    loader::Policies,
    model::{self, Policy},
    repository::{self, Record},
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
        shared,
    },
};

/// How fresh a dataset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Status")]
pub enum FreshnessStatus {
    /// Within every limit of its policy. A limit is still kept at exactly its instant.
    Fresh,
    /// Beyond the limit to warn at.
    Warn,
    /// Beyond the limit to fail at.
    Stale,
    /// It has a policy, and never succeeded.
    Unknown,
    /// It has no policy, or one that is switched off.
    NotApplicable,
}

/// Whether a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Mode")]
pub enum FreshnessPolicyMode {
    /// It counts.
    Active,
    /// It is kept and does not count.
    Inactive,
}

/// How old the last success may grow, in seconds.
#[derive(Debug, SimpleObject)]
pub struct FreshnessMaxAge {
    /// Beyond this age the dataset is WARN.
    warn_after_seconds: Option<i32>,
    /// Beyond this age the dataset is STALE.
    fail_after_seconds: Option<i32>,
}

/// What is asked of a dataset's freshness: one version of its policy.
#[derive(Debug, SimpleObject)]
pub struct FreshnessPolicy {
    /// Counts up from 1 within a dataset.
    version: i32,
    /// Whether it counts.
    mode: FreshnessPolicyMode,
    /// How old the last success may grow.
    max_age: FreshnessMaxAge,
    /// When this version was set.
    created_at: DateTime<Utc>,
    /// Who set it: an opaque subject.
    created_by: String,
}

impl TryFrom<Record> for FreshnessPolicy {
    type Error = Error;

    fn try_from(record: Record) -> Result<Self> {
        let policy = Policy::try_from(&record)?;
        let seconds =
            |limit: Option<model::Seconds>| limit.and_then(|limit| i32::try_from(limit.get()).ok());
        Ok(Self {
            version: policy.version,
            mode: policy.mode.into(),
            max_age: FreshnessMaxAge {
                warn_after_seconds: seconds(policy.max_age.warn_after()),
                fail_after_seconds: seconds(policy.max_age.fail_after()),
            },
            created_at: record.created_at,
            created_by: record.created_by,
        })
    }
}

/// How fresh a dataset is at one instant, and what that follows from.
#[derive(Debug, SimpleObject)]
pub struct Freshness {
    /// The verdict.
    status: FreshnessStatus,
    /// The instant it was judged at: the same one for everything in an answer.
    evaluated_at: DateTime<Utc>,
    /// The first instant of this status, as far as the last success tells.
    since: Option<DateTime<Utc>>,
    /// The last instant before WARN.
    warn_at: Option<DateTime<Utc>>,
    /// The last instant before STALE.
    stale_at: Option<DateTime<Utc>>,
    /// The first instant with another status, if nothing succeeds until then.
    next_change_at: Option<DateTime<Utc>>,
    /// The whole seconds since the last success; whatever the policy.
    age_seconds: Option<i32>,
}

impl Freshness {
    fn at(now: DateTime<Utc>, policy: Option<&Policy>, last: Option<DateTime<Utc>>) -> Self {
        let freshness = model::evaluate(now, policy, last);
        Self {
            status: freshness.status.into(),
            evaluated_at: now,
            since: freshness.since,
            warn_at: freshness.warn_at,
            stale_at: freshness.stale_at,
            next_change_at: freshness.next_change_at,
            age_seconds: freshness
                .age
                .map(|age| i32::try_from(age.num_seconds()).unwrap_or(i32::MAX)),
        }
    }
}

/// How fresh the dataset is whose last success was at `last_success_at`.
pub(crate) async fn freshness(
    context: &Context<'_>,
    dataset_id: Uuid,
    last_success_at: Option<DateTime<Utc>>,
) -> Result<Freshness> {
    let record = shared::<Policies>(context)?.load(dataset_id).await?;
    let policy = record.as_ref().map(Policy::try_from).transpose()?;
    Ok(Freshness::at(call(context)?.now(), policy.as_ref(), last_success_at))
}

/// The policy of a dataset.
pub(crate) async fn policy(
    context: &Context<'_>,
    dataset_id: Uuid,
) -> Result<Option<FreshnessPolicy>> {
    let record = shared::<Policies>(context)?.load(dataset_id).await?;
    record.map(TryInto::try_into).transpose()
}

/// How many active datasets are in each status at one instant.
#[derive(Debug, SimpleObject)]
pub struct FreshnessSummary {
    /// The instant it was judged at.
    evaluated_at: DateTime<Utc>,
    /// All active datasets.
    total: i32,
    /// Those that are FRESH.
    fresh: i32,
    /// Those that are WARN.
    warn: i32,
    /// Those that are STALE.
    stale: i32,
    /// Those that are UNKNOWN.
    unknown: i32,
    /// Those that are NOT_APPLICABLE.
    not_applicable: i32,
}

async fn summarise(call: &Call) -> Result<FreshnessSummary> {
    call.authorize(Operation::FreshnessRead)?;
    let counts = repository::count(&call.db().read().await?, call.now()).await?;
    let whole = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let repository::Counts { fresh, warn, stale, unknown, not_applicable } = counts;
    Ok(FreshnessSummary {
        evaluated_at: call.now(),
        total: whole(fresh + warn + stale + unknown + not_applicable),
        fresh: whole(fresh),
        warn: whole(warn),
        stale: whole(stale),
        unknown: whole(unknown),
        not_applicable: whole(not_applicable),
    })
}

/// The root fields about freshness.
#[derive(Debug, Default)]
pub struct FreshnessQuery;

#[Object]
impl FreshnessQuery {
    /// How many active datasets of the caller's tenant are in each status.
    async fn freshness_summary(&self, context: &Context<'_>) -> Result<FreshnessSummary> {
        summarise(call(context)?).await
    }
}

/// How old the last success may grow, in seconds: a limit to warn at, one to fail at, or both in
/// this order; each 1 second to 10 years.
#[derive(Debug, InputObject)]
pub struct FreshnessMaxAgeInput {
    /// Beyond this age the dataset is WARN.
    warn_after_seconds: Option<i32>,
    /// Beyond this age the dataset is STALE.
    fail_after_seconds: Option<i32>,
}

/// A freshness policy to be set.
#[derive(Debug, InputObject)]
pub struct SetFreshnessPolicyInput {
    /// For which dataset.
    dataset_id: ID,
    /// How old the last success may grow.
    max_age: FreshnessMaxAgeInput,
    /// Whether it counts.
    #[graphql(default_with = "FreshnessPolicyMode::Active")]
    mode: FreshnessPolicyMode,
    /// The version that must be in force for this to be done; 0 stands for none at all.
    expected_version: Option<i32>,
}

/// How setting a policy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SetFreshnessPolicyStatus {
    /// It is in force.
    Set,
    /// Another version is in force than was expected; nothing was changed.
    VersionConflict,
}

/// What became of a policy, and the dataset as it now is.
#[derive(Debug, SimpleObject)]
pub struct SetFreshnessPolicyPayload {
    /// How it ended.
    status: SetFreshnessPolicyStatus,
    /// The dataset.
    dataset: Option<Dataset>,
}

async fn set(
    context: &Context<'_>,
    input: SetFreshnessPolicyInput,
) -> Result<SetFreshnessPolicyPayload> {
    let call = call(context)?;
    let seconds = |limit: Option<i32>| limit.map(i64::from);
    let limits = &input.max_age;
    let dataset_id = uuid(&input.dataset_id, "datasetId");
    let new = NewPolicy {
        dataset_id: dataset_id.clone(),
        warn_after: seconds(limits.warn_after_seconds),
        fail_after: seconds(limits.fail_after_seconds),
        mode: input.mode.into(),
        expected_version: input.expected_version,
    };
    let status = match command::set(call, new).await? {
        Set::Done => SetFreshnessPolicyStatus::Set,
        Set::OtherVersion => SetFreshnessPolicyStatus::VersionConflict,
    };
    let dataset = Dataset::shown(context, dataset_id?).await?;
    Ok(SetFreshnessPolicyPayload { status, dataset })
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
        input: SetFreshnessPolicyInput,
    ) -> Nullable<SetFreshnessPolicyPayload> {
        nullable(set(context, input).await.map(Some))
    }
}
