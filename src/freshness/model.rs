//! Freshness as a pure function of (now, policy, last success).
//!
//! # The boundary
//! A limit is still kept at exactly its instant, as dbt and Dagster have it (`age > warn_after`):
//!
//! | status | while |
//! |---|---|
//! | FRESH | `now ≤ warn_at` and `now ≤ stale_at` |
//! | WARN | `warn_at < now ≤ stale_at` |
//! | STALE | `stale_at < now` |
//!
//! A limit that the policy does not have is never reached. Instants are whole microseconds, so a
//! status that begins, begins at its limit + 1 µs. A last success that lies ahead of `now` (another
//! machine's clock is fast) has age zero, and is fresh.
//!
//! # What is stored
//! [`Timing`]: facts, from which the status at any instant follows by comparing. With it stored
//! beside an index, a status, and a count by status, is an index range over `warn_at` and `stale_at`.

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};

pub mod policy;

pub use policy::{MaxAge, Mode, Policy, Seconds};

crate::wire::wire_enum! {
    /// How fresh a dataset is.
    pub enum Status {
        /// Within every limit.
        Fresh = "FRESH",
        /// Beyond the first limit.
        Warn = "WARN",
        /// Beyond the last limit.
        Stale = "STALE",
        /// It has a policy and never succeeded.
        Unknown = "UNKNOWN",
        /// It has no policy, or one that is switched off.
        NotApplicable = "NOT_APPLICABLE",
    }
}

crate::wire::wire_enum! {
    /// What a status follows from.
    pub enum Basis {
        /// No policy, or one that is switched off: always [`Status::NotApplicable`].
        NotApplicable = "NOT_APPLICABLE",
        /// No success yet: always [`Status::Unknown`].
        Unknown = "UNKNOWN",
        /// The deadlines, compared with the present instant.
        Timed = "TIMED",
    }
}

/// The last instants at which each limit is still kept; `None` is a limit that is never reached,
/// because the policy has none or because it lies beyond the end of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadlines {
    /// The last instant before WARN.
    pub warn_at: Option<DateTime<Utc>>,
    /// The last instant before STALE.
    pub stale_at: Option<DateTime<Utc>>,
}

/// What is stored for a limit that is never reached: 9999-12-31, in every client's calendar.
pub const END_OF_CALENDAR: DateTime<Utc> =
    NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date").and_time(NaiveTime::MIN).and_utc();

/// What decides a dataset's status at every instant, until its policy or last success changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Whether the deadlines count at all.
    pub basis: Basis,
    /// Empty unless the basis is [`Basis::Timed`].
    pub deadlines: Deadlines,
}

impl Timing {
    /// The timing that a policy and a last success amount to.
    #[must_use]
    pub fn of(policy: Option<&Policy>, last_success_at: Option<DateTime<Utc>>) -> Self {
        let untimed = |basis| Self { basis, deadlines: Deadlines::default() };
        let Some(policy) = policy.filter(|policy| policy.mode == Mode::Active) else {
            return untimed(Basis::NotApplicable);
        };
        let Some(last_success_at) = last_success_at else {
            return untimed(Basis::Unknown);
        };
        let after = |limit: Option<Seconds>| {
            last_success_at.trunc_subsecs(6).checked_add_signed(limit?.duration())
        };
        let (warn_after, fail_after) = (policy.max_age.warn_after(), policy.max_age.fail_after());
        let deadlines = Deadlines { warn_at: after(warn_after), stale_at: after(fail_after) };
        Self { basis: Basis::Timed, deadlines }
    }

    /// The deadlines as they are stored, `(warn_at, stale_at)`, in this order always: a limit that
    /// is never reached is the end of the calendar, and where there is only a limit to fail at, it
    /// is also the one to warn at. So the status at any instant is a comparison with these two.
    #[must_use]
    pub fn stored_deadlines(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let Deadlines { warn_at, stale_at } = self.deadlines;
        (warn_at.or(stale_at).unwrap_or(END_OF_CALENDAR), stale_at.unwrap_or(END_OF_CALENDAR))
    }

    /// The status at an instant.
    #[must_use]
    pub fn status_at(&self, now: DateTime<Utc>) -> Status {
        let now = now.trunc_subsecs(6);
        let is_past = |limit: Option<DateTime<Utc>>| limit.is_some_and(|limit| now > limit);
        match self.basis {
            Basis::NotApplicable => Status::NotApplicable,
            Basis::Unknown => Status::Unknown,
            Basis::Timed if is_past(self.deadlines.stale_at) => Status::Stale,
            Basis::Timed if is_past(self.deadlines.warn_at) => Status::Warn,
            Basis::Timed => Status::Fresh,
        }
    }
}

/// How fresh a dataset is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The status.
    pub status: Status,
    /// The first instant of this status, as far as the last success tells: for FRESH that success
    /// itself (or `now`, should it lie ahead), for WARN and STALE the limit + 1 µs.
    pub since: Option<DateTime<Utc>>,
    /// The last instant before WARN.
    pub warn_at: Option<DateTime<Utc>>,
    /// The last instant before STALE.
    pub stale_at: Option<DateTime<Utc>>,
    /// The first instant with another status, if nothing succeeds until then.
    pub next_change_at: Option<DateTime<Utc>>,
    /// The time since the last success, never negative; whatever the policy.
    pub age: Option<TimeDelta>,
}

/// How fresh a dataset is at `now`. Instants are cut to whole microseconds.
#[must_use]
pub fn evaluate(
    now: DateTime<Utc>,
    policy: Option<&Policy>,
    last_success_at: Option<DateTime<Utc>>,
) -> Freshness {
    let now = now.trunc_subsecs(6);
    let last_success_at = last_success_at.map(|at| at.trunc_subsecs(6));
    let timing = Timing::of(policy, last_success_at);
    let status = timing.status_at(now);
    let Deadlines { warn_at, stale_at } = timing.deadlines;
    let begins_after =
        |limit: Option<DateTime<Utc>>| limit?.checked_add_signed(TimeDelta::microseconds(1));
    let since = match status {
        Status::Fresh => last_success_at.map(|at| at.min(now)),
        Status::Warn => begins_after(warn_at),
        Status::Stale => begins_after(stale_at),
        Status::Unknown | Status::NotApplicable => None,
    };
    let next_change_at = match status {
        Status::Fresh => begins_after(warn_at.or(stale_at)),
        Status::Warn => begins_after(stale_at),
        Status::Stale | Status::Unknown | Status::NotApplicable => None,
    };
    let age = last_success_at.map(|at| (now - at).max(TimeDelta::zero()));
    Freshness { status, since, warn_at, stale_at, next_change_at, age }
}

#[cfg(test)]
mod tests;
