//! Freshness as a pure function of (now, policy, last success).
//!
//! # The boundary
//! A limit is still kept at exactly its instant, as dbt has it (`age > warn_after`; Dagster: `≥`):
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
//! # What counts
//! By a maximum age, the time since the last success, without the time on excluded local dates. By
//! deadlines, see [`deadline`]. In either case both limits are instants that stand until the policy,
//! a calendar that it names, or the last success changes. Searches look ten years ahead; what does
//! not come by then never comes.
//!
//! # What is stored
//! [`Timing`]: facts, from which the status at any instant follows by comparing. With it stored
//! beside an index, a status, and a count by status, is an index range over `warn_at` and `stale_at`.

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};

pub mod deadline;
pub mod exclusions;
mod explain;
pub mod policy;
pub mod selector;
pub mod zone;

pub use deadline::{Cron, Deadline};
pub use exclusions::Exclusions;
pub use explain::{explanation, reason};
pub use policy::{Driver, MaxAge, Mode, Policy, Rule, Seconds, Target};
pub use selector::{PolicyKey, Selector, Selectors};

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
    /// The first deadline that the last success does not cover, of a policy with deadlines.
    pub due_at: Option<DateTime<Utc>>,
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
        let Some(policy) = policy.filter(|policy| policy.mode != Mode::Inactive) else {
            return untimed(Basis::NotApplicable);
        };
        let Some(last_success_at) = last_success_at else {
            return untimed(Basis::Unknown);
        };
        let deadlines = policy.deadlines_after(last_success_at.trunc_subsecs(6));
        Self { basis: Basis::Timed, deadlines }
    }

    /// The timing that [`Self::stored_deadlines`] were stored of, and the policy that they follow
    /// from: what reading it costs does not depend on what the policy asks.
    #[must_use]
    pub fn stored(
        basis: Basis,
        (warn_at, stale_at): (DateTime<Utc>, DateTime<Utc>),
        policy: Option<&Policy>,
    ) -> Self {
        let Some(rule) = policy.map(|policy| &policy.rule).filter(|_| basis == Basis::Timed) else {
            return Self { basis, deadlines: Deadlines::default() };
        };
        let reached = |at: DateTime<Utc>, limit: Option<Seconds>| {
            limit.map(|limit| (at, limit)).filter(|(at, _)| *at < END_OF_CALENDAR)
        };
        let (warn, fail) =
            (reached(warn_at, rule.warn_after()), reached(stale_at, rule.fail_after()));
        let due_at = match rule {
            Rule::MaxAge(_) => None,
            Rule::Deadline(_) => warn.or(fail).map(|(at, grace)| at - grace.duration()),
        };
        let at = |limit: Option<(DateTime<Utc>, Seconds)>| limit.map(|(at, _)| at);
        Self { basis, deadlines: Deadlines { due_at, warn_at: at(warn), stale_at: at(fail) } }
    }

    /// The deadlines as they are stored, `(warn_at, stale_at)`, in this order always: a limit that
    /// is never reached is the end of the calendar, and where there is only a limit to fail at, it
    /// is also the one to warn at. So the status at any instant is a comparison with these two.
    #[must_use]
    pub fn stored_deadlines(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let Deadlines { warn_at, stale_at, .. } = self.deadlines;
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
    /// The first deadline that the last success does not cover, of a policy with deadlines.
    pub due_at: Option<DateTime<Utc>>,
    /// The last instant before WARN.
    pub warn_at: Option<DateTime<Utc>>,
    /// The last instant before STALE.
    pub stale_at: Option<DateTime<Utc>>,
    /// The first instant with another status, if nothing succeeds until then.
    pub next_change_at: Option<DateTime<Utc>>,
    /// The time since the last success, never negative; whatever the policy.
    pub age: Option<TimeDelta>,
}

impl Timing {
    /// How fresh a dataset is at `now` whose last success this is the timing of.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>, last_success_at: Option<DateTime<Utc>>) -> Freshness {
        let now = now.trunc_subsecs(6);
        let last_success_at = last_success_at.map(|at| at.trunc_subsecs(6));
        let status = self.status_at(now);
        let Deadlines { warn_at, stale_at, due_at } = self.deadlines;
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
        Freshness { status, since, due_at, warn_at, stale_at, next_change_at, age }
    }
}

/// How fresh a dataset is at `now`. Instants are cut to whole microseconds.
#[must_use]
pub fn evaluate(
    now: DateTime<Utc>,
    policy: Option<&Policy>,
    last_success_at: Option<DateTime<Utc>>,
) -> Freshness {
    Timing::of(policy, last_success_at).at(now, last_success_at)
}

#[cfg(test)]
mod tests;
