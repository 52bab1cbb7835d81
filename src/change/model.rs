//! Whether the freshness of a dataset is another than was announced: a pure function.

use chrono::{DateTime, Utc};

use crate::freshness::model::{Basis, END_OF_CALENDAR, Status};

crate::wire::wire_enum! {
    /// Why the freshness of a dataset is another one.
    pub enum Cause {
        /// The dataset is new.
        Registered = "REGISTERED",
        /// A run succeeded, or another one is now known to be the last that did.
        Refreshed = "REFRESHED",
        /// A limit passed.
        Time = "TIME",
        /// Another policy, version or calendar applies.
        Policy = "POLICY",
        /// The dataset is not in use any more.
        Retired = "RETIRED",
    }
}

/// What freshness follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether the dataset is in use.
    pub listed: bool,
    /// Whether the limits count.
    pub basis: Basis,
    /// The last instant before WARN.
    pub warn_at: DateTime<Utc>,
    /// The last instant before STALE; never before `warn_at`.
    pub stale_at: DateTime<Utc>,
    /// When it last succeeded.
    pub last_success_at: Option<DateTime<Utc>>,
}

impl Facts {
    /// The status at `now`; one that is not in use has none.
    #[must_use]
    pub fn status_at(&self, now: DateTime<Utc>) -> Status {
        match self.basis {
            _ if !self.listed => Status::NotApplicable,
            Basis::NotApplicable => Status::NotApplicable,
            Basis::Unknown => Status::Unknown,
            Basis::Timed if now > self.stale_at => Status::Stale,
            Basis::Timed if now > self.warn_at => Status::Warn,
            Basis::Timed => Status::Fresh,
        }
    }

    /// The last instant of `status`, unless the facts change.
    const fn holds_until(&self, status: Status) -> DateTime<Utc> {
        match status {
            Status::Fresh => self.warn_at,
            Status::Warn => self.stale_at,
            Status::Stale | Status::Unknown | Status::NotApplicable => END_OF_CALENDAR,
        }
    }
}

/// What was announced last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Whether the dataset was in use.
    pub listed: bool,
    /// The status.
    pub status: Status,
    /// Its limits then.
    pub warn_at: DateTime<Utc>,
    /// Its limits then.
    pub stale_at: DateTime<Utc>,
    /// Its last success then.
    pub last_success_at: Option<DateTime<Utc>>,
}

/// What is to be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Why.
    pub cause: Cause,
    /// The status before, if the dataset was known.
    pub previous: Option<Status>,
    /// The status now.
    pub status: Status,
    /// The last instant of it, unless the facts change.
    pub holds_until: DateTime<Utc>,
}

/// What is to be announced at `now`, if anything.
#[must_use]
pub fn judge(facts: &Facts, announced: Option<&Announced>, now: DateTime<Utc>) -> Option<Change> {
    let status = facts.status_at(now);
    let cause = match announced {
        None if facts.listed => Cause::Registered,
        None => return None,
        Some(before) if !before.listed && !facts.listed => return None,
        Some(before) if before.listed && !facts.listed => Cause::Retired,
        Some(before) if !before.listed => Cause::Registered,
        Some(before) if before.last_success_at != facts.last_success_at => Cause::Refreshed,
        Some(before) if (before.warn_at, before.stale_at) != (facts.warn_at, facts.stale_at) => {
            Cause::Policy
        }
        Some(before) if before.status == status => return None,
        Some(before) => match (before.status, facts.basis) {
            (Status::Fresh | Status::Warn | Status::Stale, Basis::Timed) => Cause::Time,
            _ => Cause::Policy,
        },
    };
    let previous = announced.map(|before| before.status);
    Some(Change { cause, previous, status, holds_until: facts.holds_until(status) })
}

#[cfg(test)]
mod tests;
