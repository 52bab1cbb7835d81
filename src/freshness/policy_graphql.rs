//! Freshness policies and calendars in the graph.

use async_graphql::{Enum, ID, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc, Weekday};

use super::{
    calendars::Calendar,
    model::{self, Policy, Rule, Target},
    repository::Record,
};
use crate::{
    error::{Error, Result},
    graphql::scalars::BigInt,
};

/// Whether a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Mode")]
pub enum FreshnessPolicyMode {
    /// It counts.
    Active,
    /// It is kept and does not count: the dataset is as if it had none. It still comes before less
    /// specific policies, and so exempts from them.
    Inactive,
    /// It is judged by and shown, and nobody is told: no breach is opened.
    Passive,
}

/// Why a policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Driver")]
pub enum FreshnessDriver {
    /// A regulation asks for it.
    Regulatory,
    /// Analyses rely on it.
    #[graphql(name = "ANALYTICS")]
    Analytical,
    /// Operations rely on it.
    Operational,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum DayOfWeek {
    /// The first one, by ISO 8601.
    Monday,
    /// The second one.
    Tuesday,
    /// The third one.
    Wednesday,
    /// The fourth one.
    Thursday,
    /// The fifth one.
    Friday,
    /// The sixth one.
    Saturday,
    /// The seventh one.
    Sunday,
}

impl From<Weekday> for DayOfWeek {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Mon => Self::Monday,
            Weekday::Tue => Self::Tuesday,
            Weekday::Wed => Self::Wednesday,
            Weekday::Thu => Self::Thursday,
            Weekday::Fri => Self::Friday,
            Weekday::Sat => Self::Saturday,
            Weekday::Sun => Self::Sunday,
        }
    }
}

impl From<DayOfWeek> for Weekday {
    fn from(day: DayOfWeek) -> Self {
        match day {
            DayOfWeek::Monday => Self::Mon,
            DayOfWeek::Tuesday => Self::Tue,
            DayOfWeek::Wednesday => Self::Wed,
            DayOfWeek::Thursday => Self::Thu,
            DayOfWeek::Friday => Self::Fri,
            DayOfWeek::Saturday => Self::Sat,
            DayOfWeek::Sunday => Self::Sun,
        }
    }
}

/// How old the last success may grow, in seconds.
#[derive(Debug, SimpleObject)]
pub struct FreshnessMaxAge {
    /// Beyond this age the dataset is WARN.
    warn_after_seconds: Option<i32>,
    /// Beyond this age the dataset is STALE.
    fail_after_seconds: Option<i32>,
}

/// By when a success must be there.
#[derive(Debug, SimpleObject)]
pub struct FreshnessDeadline {
    /// When it is due: minute, hour, day, month and weekday on the wall clock of the policy's
    /// timezone.
    cron: String,
    /// How many seconds before it a success counts for it.
    lower_bound_seconds: i32,
    /// So many seconds after it the dataset is WARN.
    warn_after_seconds: Option<i32>,
    /// So many seconds after it the dataset is STALE.
    fail_after_seconds: Option<i32>,
}

/// Dates on which nothing is expected, on the wall clock of the policy's timezone.
#[derive(Debug, SimpleObject)]
pub struct FreshnessExclusions {
    /// Days of the week, Monday first.
    weekdays: Vec<DayOfWeek>,
    /// Single dates, in order.
    dates: Vec<NaiveDate>,
    /// The names of calendars whose dates are excluded as well.
    calendars: Vec<String>,
}

/// All datasets of a domain, of tags, or of both.
#[derive(Debug, SimpleObject)]
pub struct FreshnessSelector {
    /// The domain, if it matters.
    domain: Option<String>,
    /// The tags that a dataset has, all of them.
    tags: Vec<String>,
}

/// What is asked of a dataset's freshness: one version of a policy.
#[derive(Debug, SimpleObject)]
pub struct FreshnessPolicy {
    /// Its identifier; a dataset's own policy has the dataset's.
    id: ID,
    /// Counts up from 1 within a policy.
    version: i32,
    /// For which datasets it is; null for one dataset's own policy.
    selector: Option<FreshnessSelector>,
    /// Whether it counts.
    mode: FreshnessPolicyMode,
    /// Why it is asked.
    driver: FreshnessDriver,
    /// How old the last success may grow; or else there is a deadline.
    max_age: Option<FreshnessMaxAge>,
    /// By when a success must be there; or else there is a maximum age.
    deadline: Option<FreshnessDeadline>,
    /// Whose wall clock its deadlines and dates are of, by its name in the IANA database.
    timezone: String,
    /// When nothing is expected. Time on these dates does not count towards an age, and there is no
    /// deadline on them.
    exclusions: FreshnessExclusions,
    /// Since when the dataset is to be judged by it.
    effective_from: DateTime<Utc>,
    /// Whether this version took the policy away.
    removed: bool,
    /// When this version was set.
    created_at: DateTime<Utc>,
    /// Who set it: an opaque subject.
    created_by: String,
}

impl FreshnessPolicy {
    /// A version as it is stored, and as it was read.
    pub(super) fn of(record: &Record, policy: &Policy) -> Self {
        let seconds =
            |limit: Option<model::Seconds>| limit.and_then(|limit| i32::try_from(limit.get()).ok());
        let (warn, fail) = (seconds(policy.rule.warn_after()), seconds(policy.rule.fail_after()));
        let (max_age, deadline) = match &policy.rule {
            Rule::MaxAge(_) => {
                (Some(FreshnessMaxAge { warn_after_seconds: warn, fail_after_seconds: fail }), None)
            }
            Rule::Deadline(deadline) => (
                None,
                Some(FreshnessDeadline {
                    cron: deadline.cron().as_str().to_owned(),
                    lower_bound_seconds: seconds(Some(deadline.lower_bound())).unwrap_or(i32::MAX),
                    warn_after_seconds: warn,
                    fail_after_seconds: fail,
                }),
            ),
        };
        let selector = match &policy.target {
            Target::Dataset(_) => None,
            Target::Selector(selector) => Some(FreshnessSelector {
                domain: selector.domain().map(str::to_owned),
                tags: selector.tags().to_vec(),
            }),
        };
        Self {
            id: policy.id.into(),
            version: policy.version,
            selector,
            mode: policy.mode.into(),
            driver: policy.driver.into(),
            max_age,
            deadline,
            timezone: policy.timezone.name().to_owned(),
            exclusions: FreshnessExclusions {
                weekdays: policy.exclusions.weekdays().iter().map(|day| (*day).into()).collect(),
                dates: policy.exclusions.dates().to_vec(),
                calendars: policy.exclusions.calendars().to_vec(),
            },
            effective_from: policy.effective_from,
            removed: record.removed,
            created_at: record.created_at,
            created_by: record.created_by.clone(),
        }
    }
}

impl TryFrom<Record> for FreshnessPolicy {
    type Error = Error;

    fn try_from(record: Record) -> Result<Self> {
        let policy = Policy::stored(&record, &[])?;
        Ok(Self::of(&record, &policy))
    }
}

/// Named dates on which nothing is expected: of a tenant, for any of its policies.
#[derive(Debug, SimpleObject)]
pub struct FreshnessCalendar {
    /// Its name, which policies refer to.
    name: String,
    /// What it is, in words for a person.
    description: Option<String>,
    /// Its dates, in order.
    dates: Vec<NaiveDate>,
    /// Goes up by one with every change; for `expectedVersion`.
    version: BigInt,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
    /// Who changed it: an opaque subject.
    updated_by: String,
}

impl From<Calendar> for FreshnessCalendar {
    fn from(calendar: Calendar) -> Self {
        Self {
            name: calendar.name,
            description: calendar.description,
            dates: calendar.dates,
            version: BigInt(calendar.row_version),
            updated_at: calendar.updated_at,
            updated_by: calendar.updated_by,
        }
    }
}
