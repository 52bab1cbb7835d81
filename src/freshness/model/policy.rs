//! What is asked of a dataset's freshness.

use chrono::TimeDelta;

use crate::error::{Error, Result};

/// A limit in whole seconds: 1 second to 10 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// The longest limit: 10 years of 365.25 days.
    pub const MAX: Self = Self(315_576_000);

    fn parse(field: &'static str, seconds: i64) -> Result<Self> {
        u32::try_from(seconds)
            .ok()
            .map(Self)
            .filter(|limit| (Self(1)..=Self::MAX).contains(limit))
            .ok_or_else(|| {
                let maximum = Self::MAX.0;
                Error::bad_input(field, format!("must be 1 to {maximum} seconds (10 years)"))
            })
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
        let warn_after = warn_after.map(|limit| Seconds::parse("warnAfterSeconds", limit));
        let fail_after = fail_after.map(|limit| Seconds::parse("failAfterSeconds", limit));
        match (warn_after.transpose()?, fail_after.transpose()?) {
            (None, None) => Err(Error::bad_input(
                "maxAge",
                "needs a limit to warn after, to fail after, or both",
            )),
            (Some(warn), Some(fail)) if warn >= fail => Err(Error::bad_input(
                "maxAge",
                "contradicts itself: it must warn earlier than it fails",
            )),
            (warn_after, fail_after) => Ok(Self { warn_after, fail_after }),
        }
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

crate::wire::wire_enum! {
    /// Whether a policy counts.
    pub enum Mode {
        /// It counts.
        Active = "ACTIVE",
        /// It is kept and does not count: the dataset is as if it had none.
        Inactive = "INACTIVE",
    }
}

/// One version of a dataset's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Counts up from 1 within a dataset.
    pub version: i32,
    /// What it asks.
    pub max_age: MaxAge,
    /// Whether it counts.
    pub mode: Mode,
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
