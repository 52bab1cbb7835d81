//! When a breach begins, worsens and ends: a pure function of (now, what is known of the dataset).

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

crate::wire::wire_enum! {
    /// How far beyond its limits a dataset is.
    pub enum Level {
        /// Beyond the limit to warn at.
        Warn = "WARN",
        /// Beyond the limit to fail at.
        Fail = "FAIL",
    }
}

crate::wire::wire_enum! {
    /// Why a breach is over.
    pub enum Resolution {
        /// A run succeeded.
        Refreshed = "REFRESHED",
        /// Another policy or version applies, or none that alerts.
        PolicyChanged = "POLICY_CHANGED",
        /// The dataset is not in use any more.
        Retired = "RETIRED",
    }
}

crate::wire::wire_enum! {
    /// Whether a breach is going on.
    pub enum State {
        /// It is.
        Open = "OPEN",
        /// It is over.
        Resolved = "RESOLVED",
    }
}

crate::wire::wire_enum! {
    /// What happened. The names are those of the webhook's messages.
    pub enum EventType {
        /// A breach began.
        Opened = "breach.opened",
        /// It went from WARN to FAIL.
        Escalated = "breach.escalated",
        /// It is over.
        Resolved = "breach.resolved",
        /// Somebody took note of it.
        Acknowledged = "breach.acknowledged",
        /// From now on nobody is told of a dataset's breaches.
        Muted = "breach.muted",
        /// That is over before its time.
        Unmuted = "breach.unmuted",
    }
}

/// The breach that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The policy it is a breach of.
    pub policy_id: Uuid,
    /// The highest level so far.
    pub level: Level,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// The last success before it.
    pub last_success_at: Option<DateTime<Utc>>,
}

/// What is known of a dataset at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Whether it is in use.
    pub listed: bool,
    /// The policy that applies and alerts, and compares with deadlines.
    pub policy_id: Option<Uuid>,
    /// The last instant before WARN.
    pub warn_at: DateTime<Utc>,
    /// The last instant before STALE; never before `warn_at`.
    pub stale_at: DateTime<Utc>,
    /// When it last succeeded.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The run that did.
    pub last_success_run: Option<Uuid>,
    /// The breach that is open.
    pub open: Option<Open>,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A breach begins.
    Open {
        /// Of which policy.
        policy_id: Uuid,
        /// FAIL at once if the last limit is passed as well.
        level: Level,
        /// The first instant beyond the limit.
        opened_at: DateTime<Utc>,
        /// The first instant beyond the last limit, if that came later and is passed.
        escalated_at: Option<DateTime<Utc>>,
    },
    /// The breach goes from WARN to FAIL.
    Escalate {
        /// The first instant beyond the last limit.
        escalated_at: DateTime<Utc>,
    },
    /// The breach is over.
    Resolve {
        /// Why.
        resolution: Resolution,
        /// Since when.
        resolved_at: DateTime<Utc>,
        /// The run that ended it.
        run: Option<Uuid>,
    },
}

/// The first instant beyond a limit; instants are whole microseconds.
fn beyond(limit: DateTime<Utc>) -> DateTime<Utc> {
    limit.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(limit)
}

impl Observed {
    /// What is to be done about it at `now`. One thing at a time: what a change leaves to be done is
    /// found when this is asked again.
    ///
    /// A run ends a breach at the instant it ended itself, however late it was reported, but not
    /// before the breach began: one that was only reported late was none, and lasts no time. A run
    /// after which the dataset is late all the same does not end it.
    #[must_use]
    pub fn judge(&self, now: DateTime<Utc>) -> Option<Change> {
        let policy_id = self.policy_id.filter(|_| self.listed);
        let Some(open) = &self.open else {
            let policy_id = policy_id.filter(|_| now > self.warn_at)?;
            let (opened_at, failed_at) = (beyond(self.warn_at), beyond(self.stale_at));
            let failed = now > self.stale_at;
            return Some(Change::Open {
                policy_id,
                level: if failed { Level::Fail } else { Level::Warn },
                opened_at,
                escalated_at: Some(failed_at).filter(|_| failed && failed_at > opened_at),
            });
        };
        let resolve = |resolution, resolved_at: DateTime<Utc>, run| {
            let resolved_at = resolved_at.max(open.opened_at);
            Some(Change::Resolve { resolution, resolved_at, run })
        };
        if !self.listed {
            return resolve(Resolution::Retired, now, None);
        }
        if policy_id != Some(open.policy_id) {
            return resolve(Resolution::PolicyChanged, now, None);
        }
        if now <= self.warn_at {
            return match self.last_success_at.filter(|at| Some(*at) > open.last_success_at) {
                Some(at) => resolve(Resolution::Refreshed, at.min(now), self.last_success_run),
                None => resolve(Resolution::PolicyChanged, now, None),
            };
        }
        (open.level == Level::Warn && now > self.stale_at)
            .then(|| Change::Escalate { escalated_at: beyond(self.stale_at).max(open.opened_at) })
    }
}

/// What an event says, as it is stored and delivered. What people wrote (the note of an
/// acknowledgement, the reason of a mute) stays here: it may be about people.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Where it lives.
    pub namespace: String,
    /// Its name there.
    pub name: String,
    /// Its business domain.
    pub domain: Option<String>,
    /// The breach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breach: Option<BreachPayload>,
    /// Until when the dataset is muted, in the event of a mute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<DateTime<Utc>>,
    /// Who did it: an opaque subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What an event says of a breach.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BreachPayload {
    /// Its identifier.
    pub id: Uuid,
    /// The policy.
    pub policy_id: Uuid,
    /// Its version, when the breach began.
    pub policy_version: i32,
    /// The highest level so far.
    pub level: &'static str,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// Since when it is FAIL, if it was WARN before.
    pub escalated_at: Option<DateTime<Utc>>,
    /// Until when.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Why it is over.
    pub resolution: Option<&'static str>,
    /// The run that ended it.
    pub resolved_by_run_id: Option<Uuid>,
    /// The last success before it.
    pub last_success_at: Option<DateTime<Utc>>,
}

/// How long an event is tried to be delivered.
pub const DELIVERED_WITHIN: TimeDelta = TimeDelta::hours(24);
const FIRST_RETRY_MILLISECONDS: i64 = 5_000;
const LAST_RETRY_MILLISECONDS: i64 = 3_600_000;

/// How long to wait after so many attempts in vain: 5 s, 10 s, 20 s … 1 h, each a quarter more or
/// less by chance, so that what failed together does not come back together. `chance` is any number.
#[must_use]
pub fn retry_after(attempts: i32, chance: u32) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
    let wait = FIRST_RETRY_MILLISECONDS.saturating_mul(1 << doublings).min(LAST_RETRY_MILLISECONDS);
    let quarter = wait / 4;
    let by_chance = i64::from(chance).saturating_mul(2 * quarter) / i64::from(u32::MAX);
    TimeDelta::milliseconds(wait - quarter + by_chance)
}

#[cfg(test)]
mod tests;
