//! Freshness policies as callers ask for them.

use async_graphql::{ID, InputObject};
use chrono::{DateTime, NaiveDate, Utc};

use super::{
    command::{NewDeadline, NewPolicy},
    policy_graphql::{DayOfWeek, FreshnessDriver, FreshnessPolicyMode},
};
use crate::graphql::scalars::BigInt;

/// How old the last success may grow, in seconds: a limit to warn at, one to fail at, or both in
/// this order; each 1 second to 10 years.
#[derive(Debug, InputObject)]
pub struct FreshnessMaxAgeInput {
    /// Beyond this age the dataset is WARN.
    warn_after_seconds: Option<i32>,
    /// Beyond this age the dataset is STALE.
    fail_after_seconds: Option<i32>,
}

/// By when a success must be there: a limit to warn at, one to fail at, or both in this order; each
/// at most 10 years after the deadline.
#[derive(Debug, InputObject)]
pub struct FreshnessDeadlineInput {
    /// When it is due: minute, hour, day, month and weekday on the wall clock; 100 characters at
    /// most.
    cron: String,
    /// The timezone of the wall clock, by its name in the IANA database; the policy's unless said
    /// here.
    timezone: Option<String>,
    /// How many seconds before it a success counts for it; at most the shortest time between two
    /// deadlines.
    lower_bound_seconds: i32,
    /// So many seconds after it the dataset is WARN; 0 is at once.
    warn_after_seconds: Option<i32>,
    /// So many seconds after it the dataset is STALE; 0 is at once.
    fail_after_seconds: Option<i32>,
}

/// Dates on which nothing is expected, on the wall clock of the policy's timezone.
#[derive(Debug, Default, InputObject)]
pub struct FreshnessExclusionsInput {
    /// Days of the week; not all of them.
    #[graphql(default)]
    weekdays: Vec<DayOfWeek>,
    /// Single dates; 1,000 at most.
    #[graphql(default)]
    dates: Vec<NaiveDate>,
    /// The names of calendars whose dates are excluded as well; 10 at most.
    #[graphql(default)]
    calendars: Vec<String>,
}

/// All datasets of a domain, of tags, or of both.
#[derive(Debug, InputObject)]
pub struct FreshnessSelectorInput {
    /// The domain, if it matters.
    pub(super) domain: Option<String>,
    /// The tags that a dataset must have, all of them; 32 at most.
    #[graphql(default)]
    pub(super) tags: Vec<String>,
}

/// Input types that share what a policy is made of.
macro_rules! policy_input {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, InputObject)]
        pub struct $name {
            $($(#[$field_meta])* pub(super) $field: $type,)+
            /// How old the last success may grow; or else a deadline.
            max_age: Option<FreshnessMaxAgeInput>,
            /// By when a success must be there; or else a maximum age.
            deadline: Option<FreshnessDeadlineInput>,
            /// Whose wall clock the policy's deadlines and dates are of, by its name in the IANA
            /// database; UTC unless said otherwise.
            timezone: Option<String>,
            /// When nothing is expected.
            exclusions: Option<FreshnessExclusionsInput>,
            /// Whether it counts.
            #[graphql(default_with = "FreshnessPolicyMode::Active")]
            mode: FreshnessPolicyMode,
            /// Why it is asked.
            #[graphql(default_with = "FreshnessDriver::Operational")]
            driver: FreshnessDriver,
            /// Since when the dataset is to be judged by it: now unless said otherwise, and not in
            /// the future.
            effective_from: Option<DateTime<Utc>>,
            /// The version that must be in force for this to be done; 0 stands for none at all.
            expected_version: Option<i32>,
        }

        impl $name {
            /// The policy that is asked for.
            pub(super) fn policy(self) -> NewPolicy {
                let seconds = |limit: Option<i32>| limit.map(i64::from);
                let exclusions = self.exclusions.unwrap_or_default();
                NewPolicy {
                    max_age: self.max_age.map(|limits| {
                        (seconds(limits.warn_after_seconds), seconds(limits.fail_after_seconds))
                    }),
                    deadline: self.deadline.map(|deadline| NewDeadline {
                        cron: deadline.cron,
                        lower_bound: deadline.lower_bound_seconds.into(),
                        warn_after: seconds(deadline.warn_after_seconds),
                        fail_after: seconds(deadline.fail_after_seconds),
                        timezone: deadline.timezone,
                    }),
                    timezone: self.timezone,
                    weekdays: exclusions.weekdays.into_iter().map(Into::into).collect(),
                    dates: exclusions.dates,
                    calendars: exclusions.calendars,
                    mode: self.mode.into(),
                    driver: self.driver.into(),
                    effective_from: self.effective_from,
                    expected_version: self.expected_version,
                }
            }
        }
    };
}

policy_input! {
    /// A freshness policy to be set for one dataset.
    SetFreshnessPolicyInput {
        /// For which dataset.
        dataset_id: ID,
    }
}

policy_input! {
    /// A freshness policy to be set for all datasets of a selector.
    SetFreshnessPolicyForSelectorInput {
        /// The policy that this is to be a version of; a new one unless said otherwise.
        policy_id: Option<ID>,
        /// For which datasets.
        selector: FreshnessSelectorInput,
    }
}

/// A policy to be taken away: a dataset's own, or one of a selector.
#[derive(Debug, InputObject)]
pub struct RemoveFreshnessPolicyInput {
    /// The dataset whose own policy it is; or else a policy.
    pub(super) dataset_id: Option<ID>,
    /// The policy; or else a dataset.
    pub(super) policy_id: Option<ID>,
    /// The version that must be in force for this to be done.
    pub(super) expected_version: Option<i32>,
}

/// A calendar to be made, or to be given other dates.
#[derive(Debug, InputObject)]
pub struct SetFreshnessCalendarInput {
    /// Its name, which policies refer to: `[a-z0-9][a-z0-9._-]{0,62}`.
    pub(super) name: String,
    /// What it is, in words for a person; 4,096 characters at most.
    pub(super) description: Option<String>,
    /// Its dates, in place of all that it had; 1,000 at most.
    pub(super) dates: Vec<NaiveDate>,
    /// The version it must be at for this to be done; 0 stands for none at all.
    pub(super) expected_version: Option<BigInt>,
}

/// A calendar to be removed.
#[derive(Debug, InputObject)]
pub struct RemoveFreshnessCalendarInput {
    /// Its name.
    pub(super) name: String,
    /// The version it must be at for this to be done.
    pub(super) expected_version: Option<BigInt>,
}
