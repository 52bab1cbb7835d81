//! Freshness in the graph.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    calendars,
    loader::{Policies, PolicyVersion, PolicyVersions, VersionPage, next_change},
    model::{self, Basis, PolicyKey, Timing},
    repository::{self, Record},
};
pub use super::{
    mutation::FreshnessMutation,
    policy_graphql::{FreshnessCalendar, FreshnessPolicy},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    error::{Error, Result},
    graphql::{
        AGES_HOLD,
        annotations::{ListSize, about, page},
        call,
        connection::{Connection, Page, Place},
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        shared,
    },
    refresh::{graphql::RefreshRun, loader::States},
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

/// How fresh a dataset is at one instant, and what that follows from.
#[derive(Debug)]
pub struct Freshness {
    judged: model::Freshness,
    evaluated_at: DateTime<Utc>,
    policy: Option<Arc<PolicyVersion>>,
    last_success_at: Option<DateTime<Utc>>,
    last_success_run_id: Option<Uuid>,
    /// How many policies are for the dataset.
    matching: usize,
}

/// How fresh a dataset is at one instant, and what that follows from.
#[Object]
impl Freshness {
    /// The verdict.
    async fn status(&self) -> FreshnessStatus {
        self.judged.status.into()
    }

    /// The verdict and what it follows from, in one sentence for a person.
    async fn explanation(&self) -> String {
        let policy = self.policy.as_ref().map(|policy| &policy.1);
        model::explanation(&self.judged, policy, self.last_success_at)
    }

    /// The instant it was judged at: the same one for everything in an answer.
    async fn evaluated_at(&self) -> DateTime<Utc> {
        self.evaluated_at
    }

    /// The first instant of this status, as far as the last success tells.
    async fn since(&self) -> Option<DateTime<Utc>> {
        self.judged.since
    }

    /// The first deadline that the last success does not cover, of a policy with deadlines.
    async fn deadline(&self) -> Option<DateTime<Utc>> {
        self.judged.due_at
    }

    /// The last instant before WARN.
    async fn warn_at(&self) -> Option<DateTime<Utc>> {
        self.judged.warn_at
    }

    /// The last instant before STALE.
    async fn stale_at(&self) -> Option<DateTime<Utc>> {
        self.judged.stale_at
    }

    /// The first instant with another status, if nothing succeeds until then.
    async fn next_change_at(&self) -> Option<DateTime<Utc>> {
        self.judged.next_change_at
    }

    /// The policy that applies: of those for the dataset, the most specific one.
    async fn policy(&self) -> Option<FreshnessPolicy> {
        self.policy.as_ref().map(|policy| FreshnessPolicy::of(&policy.0, &policy.1))
    }

    /// Why that policy applies, in a sentence for a person.
    async fn policy_reason(&self) -> Option<String> {
        self.policy.as_ref().map(|policy| model::reason(&policy.1, self.matching))
    }

    /// The whole seconds since the last success, at `evaluatedAt`; whatever the policy.
    async fn age_seconds(&self, context: &Context<'_>) -> Nullable<i32> {
        let seconds = |call: &Call| {
            call.lifetime().ends(self.evaluated_at + AGES_HOLD);
            let age = self.judged.age;
            Ok(age.map(|age| i32::try_from(age.num_seconds()).unwrap_or(i32::MAX)))
        };
        nullable(call(context).and_then(seconds))
    }

    /// The run that decided: the last one that succeeded. Null before the first success, and to a
    /// caller who may not read runs.
    async fn decided_by(&self, context: &Context<'_>) -> Nullable<Direct<RefreshRun>> {
        let readable = call(context).is_ok_and(|call| call.may(Operation::RunRead));
        direct(RefreshRun::load(context, self.last_success_run_id.filter(|_| readable)?).await)
    }
}

impl Freshness {
    /// The first deadline that the last success does not cover, of a policy with deadlines.
    pub(crate) const fn next_deadline(&self) -> Option<DateTime<Utc>> {
        self.judged.due_at
    }
}

/// How fresh a dataset is now: by the instants in its state, which stand whatever the policy.
pub(crate) async fn freshness(context: &Context<'_>, dataset_id: Uuid) -> Result<Freshness> {
    call(context)?.authorize(Operation::FreshnessRead)?;
    let now = call(context)?.judged_at();
    let state = shared::<States>(context)?.load(dataset_id).await?.ok_or_else(no_state)?;
    let policy = applying(context, (state.policy_id, state.policy_version)).await?;
    let basis: Basis = state.freshness_basis.parse().map_err(Error::internal)?;
    let timing =
        Timing::stored(basis, (state.warn_at, state.stale_at), policy.as_deref().map(|it| &it.1));
    let judged = timing.at(now, state.last_success_at);
    if let Some(at) = judged.next_change_at {
        call(context)?.lifetime().ends(at);
    }
    Ok(Freshness {
        judged,
        evaluated_at: now,
        policy,
        last_success_at: state.last_success_at,
        last_success_run_id: state.last_success_run_id,
        matching: usize::try_from(state.policies_matching).unwrap_or_default(),
    })
}

/// The policy that applies to a dataset.
pub(crate) async fn policy(
    context: &Context<'_>,
    dataset_id: Uuid,
) -> Result<Option<FreshnessPolicy>> {
    call(context)?.authorize(Operation::FreshnessRead)?;
    let state = shared::<States>(context)?.load(dataset_id).await?.ok_or_else(no_state)?;
    let policy = applying(context, (state.policy_id, state.policy_version)).await?;
    Ok(policy.map(|policy| FreshnessPolicy::of(&policy.0, &policy.1)))
}

fn no_state() -> Error {
    Error::internal("a dataset has no refresh state")
}

/// The policy that a state was judged by.
async fn applying(
    context: &Context<'_>,
    key: (Option<Uuid>, Option<i32>),
) -> Result<Option<Arc<PolicyVersion>>> {
    let (Some(policy_id), Some(version)) = key else { return Ok(None) };
    shared::<Policies>(context)?.load(PolicyKey { policy_id, version }).await
}

/// The place of a version of a policy in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCursor {
    policy_id: Uuid,
    version: i32,
}

impl Place for PolicyCursor {
    fn is_possible(&self) -> bool {
        true
    }
}

pub(crate) type PolicyConnection = Connection<PolicyCursor, FreshnessPolicy>;

fn node(record: Record) -> Result<(PolicyCursor, FreshnessPolicy)> {
    let cursor = PolicyCursor { policy_id: record.policy_id, version: record.version };
    Ok((cursor, record.try_into()?))
}

/// The versions of a dataset's own policy, latest first.
pub(crate) async fn versions(
    context: &Context<'_>,
    dataset_id: Uuid,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<PolicyConnection> {
    call(context)?.authorize(Operation::FreshnessRead)?;
    let page = Page::<PolicyCursor>::parse(first, after, 10)?;
    let before = page.after.map(|place| place.version);
    let wanted = VersionPage { dataset_id, before, limit: page.limit() };
    let records = shared::<PolicyVersions>(context)?.load(wanted).await?.unwrap_or_default();
    let nodes = records.into_iter().map(node).collect::<Result<Vec<_>>>()?;
    Ok(page.connection(nodes))
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
    let (tx, now) = (call.read().await?, call.judged_at());
    let counts = repository::count(&tx, now).await?;
    if let Some(at) = next_change(&tx, now).await? {
        call.lifetime().ends(at);
    }
    let whole = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let repository::Counts { fresh, warn, stale, unknown, not_applicable } = counts;
    Ok(FreshnessSummary {
        evaluated_at: now,
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

    /// The policies in force that are for all datasets of a domain or of tags, in the order in which
    /// they were first set.
    #[graphql(directive = ListSize::apply(page(50)))]
    async fn freshness_policies(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<PolicyConnection> {
        let call = call(context)?;
        call.authorize(Operation::FreshnessRead)?;
        let page = Page::<PolicyCursor>::parse(first, after.as_deref(), 50)?;
        let after = page.after.map(|place| place.policy_id);
        let tx = call.read().await?;
        let records = repository::selector_page(&tx, after, page.limit()).await?;
        let nodes = records.into_iter().map(node).collect::<Result<Vec<_>>>()?;
        Ok(page.connection(nodes))
    }

    /// The calendars of the caller's tenant, by name; 100 at the most.
    #[graphql(directive = ListSize::apply(about(100)))]
    async fn freshness_calendars(&self, context: &Context<'_>) -> Result<Vec<FreshnessCalendar>> {
        let call = call(context)?;
        call.authorize(Operation::FreshnessRead)?;
        let calendars = calendars::all(&*call.read().await?).await?;
        Ok(calendars.into_iter().map(Into::into).collect())
    }
}
