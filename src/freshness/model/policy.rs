//! What is asked of a dataset's freshness.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{Deadline, Deadlines, Exclusions, Selector};
use crate::error::{Error, Result};

/// A length of time in whole seconds, of 10 years at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// The longest: 10 years of 365.25 days.
    pub const MAX: Self = Self(315_576_000);

    pub(super) fn parse(field: &'static str, least: u32, seconds: i64) -> Result<Self> {
        u32::try_from(seconds)
            .ok()
            .map(Self)
            .filter(|limit| (Self(least)..=Self::MAX).contains(limit))
            .ok_or_else(|| {
                let maximum = Self::MAX.0;
                Error::bad_input(field, format!("must be {least} to {maximum} seconds (10 years)"))
            })
    }

    /// A length to warn after and one to fail after, if they make sense together.
    pub(super) fn in_order(
        field: &'static str,
        warn_after: Option<Self>,
        fail_after: Option<Self>,
    ) -> Result<(Option<Self>, Option<Self>)> {
        match (warn_after, fail_after) {
            (None, None) => {
                Err(Error::bad_input(field, "needs a limit to warn after, to fail after, or both"))
            }
            (Some(warn), Some(fail)) if warn >= fail => Err(Error::bad_input(
                field,
                "contradicts itself: it must warn earlier than it fails",
            )),
            in_order => Ok(in_order),
        }
    }

    /// The number of seconds.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0 as i64
    }

    /// The same length of time.
    #[must_use]
    pub fn duration(self) -> TimeDelta {
        // In range by construction: 10 years are far below what a TimeDelta holds.
        TimeDelta::try_seconds(self.get()).unwrap_or(TimeDelta::MAX)
    }
}

/// How old the last success may grow: a limit to warn at, one to fail at, or both in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxAge {
    warn_after: Option<Seconds>,
    fail_after: Option<Seconds>,
}

impl MaxAge {
    /// Limits in seconds.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `warnAfterSeconds`, `failAfterSeconds` or `maxAge`: no limit at
    /// all, one that is not 1 second to 10 years, or a policy that contradicts itself.
    pub fn parse(warn_after: Option<i64>, fail_after: Option<i64>) -> Result<Self> {
        let warn_after = warn_after.map(|limit| Seconds::parse("warnAfterSeconds", 1, limit));
        let fail_after = fail_after.map(|limit| Seconds::parse("failAfterSeconds", 1, limit));
        let (warn_after, fail_after) =
            Seconds::in_order("maxAge", warn_after.transpose()?, fail_after.transpose()?)?;
        Ok(Self { warn_after, fail_after })
    }

    /// The age beyond which to warn.
    #[must_use]
    pub const fn warn_after(&self) -> Option<Seconds> {
        self.warn_after
    }

    /// The age beyond which the dataset is stale.
    #[must_use]
    pub const fn fail_after(&self) -> Option<Seconds> {
        self.fail_after
    }
}

/// What a policy asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The last success may grow only so old.
    MaxAge(MaxAge),
    /// A success must be there by each deadline.
    Deadline(Deadline),
}

impl Rule {
    /// How long to wait before a warning: since the last success, or since the deadline.
    #[must_use]
    pub const fn warn_after(&self) -> Option<Seconds> {
        match self {
            Self::MaxAge(limits) => limits.warn_after(),
            Self::Deadline(deadline) => deadline.warn_grace(),
        }
    }

    /// How long to wait before it is stale: since the last success, or since the deadline.
    #[must_use]
    pub const fn fail_after(&self) -> Option<Seconds> {
        match self {
            Self::MaxAge(limits) => limits.fail_after(),
            Self::Deadline(deadline) => deadline.fail_grace(),
        }
    }
}

crate::wire::wire_enum! {
    /// Whether a policy counts.
    pub enum Mode {
        /// It counts.
        Active = "ACTIVE",
        /// It is kept and does not count: the dataset is as if it had none. It still comes before
        /// less specific policies, and so exempts from them.
        Inactive = "INACTIVE",
        /// It is judged by and shown, and nobody is told: no breach is opened.
        Passive = "PASSIVE",
    }
}

crate::wire::wire_enum! {
    /// Why it is asked.
    pub enum Driver {
        /// A regulation asks for it.
        Regulatory = "REGULATORY",
        /// Analyses rely on it.
        Analytical = "ANALYTICS",
        /// Operations rely on it.
        Operational = "OPERATIONAL",
    }
}

/// For which datasets a policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// For this one.
    Dataset(Uuid),
    /// For all of these.
    Selector(Selector),
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The policy that it is a version of. A dataset's own policy has the dataset's id.
    pub id: Uuid,
    /// Counts up from 1 within a policy.
    pub version: i32,
    /// For which datasets.
    pub target: Target,
    /// What it asks.
    pub rule: Rule,
    /// Whether it counts.
    pub mode: Mode,
    /// Why it is asked.
    pub driver: Driver,
    /// On which dates nothing is expected.
    pub exclusions: Exclusions,
    /// Whose wall clock its deadlines and dates are of.
    pub timezone: Tz,
    /// Since when it is to be judged by.
    pub effective_from: DateTime<Utc>,
}

impl Policy {
    /// The last instants at which each limit is still kept after a success.
    pub(super) fn deadlines_after(&self, success: DateTime<Utc>) -> Deadlines {
        let (warn_after, fail_after) = (self.rule.warn_after(), self.rule.fail_after());
        match &self.rule {
            Rule::MaxAge(_) => {
                let kept = |limit: Option<Seconds>| {
                    self.exclusions.kept_until(self.timezone, success, limit?.duration())
                };
                Deadlines { due_at: None, warn_at: kept(warn_after), stale_at: kept(fail_after) }
            }
            Rule::Deadline(deadline) => {
                let due_at = deadline.after(self.timezone, &self.exclusions, success);
                let after = |grace: Option<Seconds>| due_at?.checked_add_signed(grace?.duration());
                Deadlines { due_at, warn_at: after(warn_after), stale_at: after(fail_after) }
            }
        }
    }

    /// Refuses a policy by which nothing is ever due after `now`.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `cron`, or at `exclusions` if these leave no deadline.
    pub fn check_that_it_fires(&self, now: DateTime<Utc>) -> Result<()> {
        let Rule::Deadline(deadline) = &self.rule else { return Ok(()) };
        let next = |exclusions| deadline.cron().next_after(self.timezone, exclusions, now);
        if next(&self.exclusions).is_some() {
            return Ok(());
        }
        Err(match next(&Exclusions::default()) {
            None => Error::bad_input("cron", "names no time within the next 10 years"),
            Some(_) => Error::bad_input("exclusions", "leave no deadline within the next 10 years"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_at(warn_after: Option<i64>, fail_after: Option<i64>) -> String {
        match MaxAge::parse(warn_after, fail_after) {
            Err(Error::BadUserInput { field, .. }) => field.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_policy_that_contradicts_itself_is_refused() {
        assert_eq!(refused_at(None, None), "maxAge");
        assert_eq!(refused_at(Some(60), Some(60)), "maxAge");
        assert_eq!(refused_at(Some(61), Some(60)), "maxAge");
        assert!(MaxAge::parse(Some(59), Some(60)).is_ok());
    }

    #[test]
    fn limits_are_one_second_to_ten_years() {
        let most = Seconds::MAX.get();
        for bad in [i64::MIN, -1, 0, most + 1, i64::from(u32::MAX) + 2, i64::MAX] {
            assert_eq!(refused_at(Some(bad), None), "warnAfterSeconds", "{bad}");
            assert_eq!(refused_at(None, Some(bad)), "failAfterSeconds", "{bad}");
        }
        for good in [1, most] {
            assert_eq!(
                MaxAge::parse(Some(good), None).unwrap().warn_after().map(Seconds::get),
                Some(good)
            );
            assert_eq!(
                MaxAge::parse(None, Some(good)).unwrap().fail_after().map(Seconds::get),
                Some(good)
            );
        }
        assert_eq!(Seconds::MAX.duration().num_seconds(), most);
    }
}
