//! Setting and removing policies: each a transaction with its audit event.

use chrono::{DateTime, NaiveDate, Utc, Weekday};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    applying, calendars,
    model::{
        Deadline, Driver, Exclusions, MaxAge, Mode, Policy, PolicyKey, Rule, Selector, Target, zone,
    },
    repository::{self, Record},
    selected,
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    db::TenantTx,
    error::{Error, ErrorCode, Result},
};

/// The most policies of selectors that a tenant may have.
pub const MAX_SELECTOR_POLICIES: usize = 1_000;

/// How setting or removing a policy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// It was done to this version, and so many datasets were brought up to date.
    Done(PolicyKey, usize),
    /// Another version is in force than the caller thought; nothing was changed.
    OtherVersion,
}

impl Changed {
    const fn outcome(self) -> Outcome {
        match self {
            Self::Done(..) => Outcome::Success,
            Self::OtherVersion => Outcome::Rejected(ErrorCode::Conflict),
        }
    }

    /// With its audit event.
    fn done(
        self,
        operation: Operation,
        dataset_id: Option<Uuid>,
        policy_id: Option<Uuid>,
    ) -> Done<Self> {
        let resource = policy_id.map(|id| format!("policy:{id}"));
        let outcome = self.outcome();
        Done::new(self, vec![Entry { operation, dataset_id, resource, outcome }])
    }
}

/// A deadline, as it was asked for; in seconds.
#[derive(Debug, Clone)]
pub struct NewDeadline {
    /// When it is due.
    pub cron: String,
    /// How long before it a success counts.
    pub lower_bound: i64,
    /// How long after it to warn.
    pub warn_after: Option<i64>,
    /// How long after it the dataset is stale.
    pub fail_after: Option<i64>,
    /// Whose wall clock the pattern is of, if that is said here.
    pub timezone: Option<String>,
}

/// A policy to be set, as it was asked for. It is read inside the frame of the change, so that what
/// is refused is audited like what is done.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// The ages in seconds beyond which to warn, and beyond which the dataset is stale.
    pub max_age: Option<(Option<i64>, Option<i64>)>,
    /// The deadline, in place of a maximum age.
    pub deadline: Option<NewDeadline>,
    /// Whose wall clock its deadlines and dates are of; UTC unless said otherwise.
    pub timezone: Option<String>,
    /// Weekdays on which nothing is expected.
    pub weekdays: Vec<Weekday>,
    /// Dates on which nothing is expected.
    pub dates: Vec<NaiveDate>,
    /// Calendars that name more such dates.
    pub calendars: Vec<String>,
    /// Whether it counts.
    pub mode: Mode,
    /// Why it is asked.
    pub driver: Driver,
    /// Since when it is to be judged by; since now unless said otherwise.
    pub effective_from: Option<DateTime<Utc>>,
    /// The version that the caller believes to be in force, if it matters; 0 stands for none.
    pub expected_version: Option<i32>,
}

impl NewPolicy {
    /// The first version of the policy that was asked for, without what its calendars name.
    fn read(self, id: Uuid, target: Target, now: DateTime<Utc>) -> Result<Policy> {
        let named = self.deadline.as_ref().and_then(|deadline| deadline.timezone.clone());
        let timezone = match (self.timezone, named) {
            (Some(one), Some(other)) if one != other => {
                return Err(Error::bad_input("timezone", "is given twice, and not alike"));
            }
            (one, other) => zone::parse(&one.or(other).unwrap_or_else(|| "UTC".to_owned()))?,
        };
        let rule = match (self.max_age, self.deadline) {
            (Some((warn, fail)), None) => Rule::MaxAge(MaxAge::parse(warn, fail)?),
            (None, Some(new)) => Rule::Deadline(Deadline::parse(
                new.cron,
                new.lower_bound,
                new.warn_after,
                new.fail_after,
            )?),
            _ => {
                let message = "must be given, or a deadline in its place, and not both";
                return Err(Error::bad_input("maxAge", message));
            }
        };
        let effective_from = self.effective_from.unwrap_or(now);
        if effective_from > now {
            return Err(Error::bad_input("effectiveFrom", "lies in the future"));
        }
        if zone::is_unusual(effective_from) {
            return Err(Error::bad_input("effectiveFrom", "must lie in the years 1 to 9998"));
        }
        let exclusions = Exclusions::parse(self.weekdays, self.dates, self.calendars)?;
        let (mode, driver) = (self.mode, self.driver);
        let version = 1;
        Ok(Policy { id, version, target, rule, mode, driver, exclusions, timezone, effective_from })
    }
}

/// The versions of a policy: how many there are, and whether the last one is in force.
struct Versions {
    last: i32,
    in_force: bool,
}

impl Versions {
    fn of(latest: Option<&Record>) -> Self {
        Self {
            last: latest.map_or(0, |record| record.version),
            in_force: latest.is_some_and(|record| !record.removed),
        }
    }

    fn is(&self, expected: Option<i32>) -> bool {
        let in_force = if self.in_force { self.last } else { 0 };
        expected.is_none_or(|expected| expected == in_force)
    }

    fn next(&self) -> Result<i32> {
        self.last.checked_add(1).ok_or(Error::LimitExceeded {
            limit: "policyVersions",
            maximum: i32::MAX.unsigned_abs().into(),
        })
    }
}

/// Adds the version if it makes sense together with what is stored.
async fn add(tx: &TenantTx, call: &Call, mut policy: Policy) -> Result<PolicyKey> {
    let dates = calendars::dates(tx, policy.exclusions.calendars()).await?;
    policy.exclusions = policy.exclusions.resolved(&dates);
    policy.check_that_it_fires(call.now())?;
    repository::insert(tx, call, &policy).await?;
    Ok(PolicyKey { policy_id: policy.id, version: policy.version })
}

/// Adds a version of a dataset's own policy and puts it into force.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a missing or a foreign dataset,
/// [`Error::Conflict`] for a retired one, [`Error::BadUserInput`] for a policy that makes no sense.
pub async fn set(call: &Call, dataset_id: Result<Uuid>, new: NewPolicy) -> Result<Changed> {
    let operation = Operation::FreshnessPolicySet;
    let (about, expected) = (dataset_id.clone().ok(), new.expected_version);
    let prepare = async {
        let id = dataset_id?;
        new.read(id, Target::Dataset(id), call.now())
    };
    trail::change(call, operation, about, prepare, async |tx, mut policy| {
        let id = policy.id;
        applying::hold(tx).await?;
        if !applying::lock(tx, id).await?.ok_or(Error::NotFound("dataset"))? {
            return Err(Error::Conflict("the dataset is retired".into()));
        }
        let versions = Versions::of(repository::latest(tx, id).await?.as_ref());
        let changed = if versions.is(expected) {
            policy.version = versions.next()?;
            let key = add(tx, call, policy).await?;
            applying::apply(tx, &[id], call.now()).await?;
            Changed::Done(key, 1)
        } else {
            Changed::OtherVersion
        };
        Ok(changed.done(operation, Some(id), None))
    })
    .await
}

/// Which policy of a selector: a new one, or this one.
pub type Which = Option<Result<Uuid>>;

/// Adds a version of a policy for all datasets of a selector and puts it into force.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a missing or a foreign policy,
/// [`Error::BadUserInput`] for a policy that makes no sense, [`Error::LimitExceeded`] for a selector
/// of too many datasets and for too many policies.
pub async fn set_for_selector(
    call: &Call,
    which: Which,
    (domain, tags): (Option<String>, Vec<String>),
    new: NewPolicy,
) -> Result<Changed> {
    let operation = Operation::FreshnessPolicySetForSelector;
    let expected = new.expected_version;
    let prepare = async {
        let known = which.transpose()?;
        let selector = Selector::parse(domain, tags)?;
        let id = known.unwrap_or_else(|| call.new_id());
        let policy = new.read(id, Target::Selector(selector.clone()), call.now())?;
        Ok((known.is_some(), selector, policy))
    };
    trail::change(call, operation, None, prepare, async |tx, (known, selector, mut policy)| {
        let id = policy.id;
        applying::hold_all(tx).await?;
        let (mut before, mut versions) = (selector.clone(), Versions::of(None));
        if known {
            let record = in_force(tx, id).await?.filter(|record| record.dataset_id.is_none());
            let record = record.ok_or(Error::NotFound("freshness policy"))?;
            versions = Versions::of(Some(&record));
            before = Selector::parse(record.selector_domain, record.selector_tags)?;
        } else if repository::selectors(tx).await?.len() >= MAX_SELECTOR_POLICIES {
            let maximum = MAX_SELECTOR_POLICIES as u64;
            return Err(Error::LimitExceeded { limit: "selectorPolicies", maximum });
        }
        let changed = if versions.is(expected) {
            policy.version = versions.next()?;
            let key = add(tx, call, policy).await?;
            let datasets = selected::of_selectors(tx, &selector, &before).await?;
            applying::apply(tx, &datasets, call.now()).await?;
            Changed::Done(key, datasets.len())
        } else {
            Changed::OtherVersion
        };
        Ok(changed.done(operation, None, Some(id)))
    })
    .await
}

async fn in_force(tx: &TenantTx, policy_id: Uuid) -> Result<Option<Record>> {
    Ok(repository::latest(tx, policy_id).await?.filter(|record| !record.removed))
}

/// Takes a policy away: of a dataset (`own`), which has the dataset's id, or any. What it was for is
/// then judged by the next most specific policy.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a missing, a foreign or a removed policy,
/// [`Error::LimitExceeded`] for a selector of too many datasets.
pub async fn remove(
    call: &Call,
    which: Result<Uuid>,
    own: bool,
    expected_version: Option<i32>,
) -> Result<Changed> {
    let operation = Operation::FreshnessPolicyRemove;
    trail::change(call, operation, None, async { which }, async |tx, id| {
        let missing = || Error::NotFound("freshness policy");
        let found = in_force(tx, id).await?.filter(|record| !own || record.dataset_id.is_some());
        let target = found.ok_or_else(missing)?.dataset_id;
        match target {
            Some(_) => applying::hold(tx).await?,
            None => applying::hold_all(tx).await?,
        }
        if let Some(dataset_id) = target {
            applying::lock(tx, dataset_id).await?;
        }
        // As it is now that nobody else changes it.
        let record = in_force(tx, id).await?.ok_or_else(missing)?;
        let versions = Versions::of(Some(&record));
        let changed = if versions.is(expected_version) {
            let version = versions.next()?;
            let before = PolicyKey { policy_id: id, version: versions.last };
            repository::remove(tx, call, before).await?;
            let datasets = match target {
                Some(dataset_id) => vec![dataset_id],
                None => {
                    let selector = Selector::parse(record.selector_domain, record.selector_tags)?;
                    selected::of_selectors(tx, &selector, &selector).await?
                }
            };
            applying::apply(tx, &datasets, call.now()).await?;
            Changed::Done(PolicyKey { policy_id: id, version }, datasets.len())
        } else {
            Changed::OtherVersion
        };
        Ok(changed.done(operation, target, Some(id).filter(|_| target.is_none())))
    })
    .await
}
