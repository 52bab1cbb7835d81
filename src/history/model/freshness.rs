//! When a dataset was late: its freshness at every instant of a range, as spans.
//!
//! At an instant counts what had succeeded by then, by the ends of runs, and the version of the policy
//! that was in force then. A run that is reported late counts from when it ended, so that it changes
//! the history it belongs to.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Range, statistics::mean};
use crate::freshness::model::{Policy, PolicyKey, Selectors, Status, Target, Timing};

/// A stretch of one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When.
    pub range: Range,
    /// The status.
    pub status: Status,
}

/// Something in force from an instant on, until the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce<P> {
    /// From when on.
    pub from: DateTime<Utc>,
    /// What.
    pub policy: P,
}

/// A version of a policy: from when on it judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Counts up with each version.
    pub number: i32,
    /// From when on it judges. A later version may judge from earlier on than the one before it, which
    /// then never did.
    pub from: DateTime<Utc>,
}

/// Which version was in force when: the greatest of those that judged by then.
#[must_use]
pub fn in_force<P>(mut versions: Vec<(Version, P)>) -> Vec<InForce<P>> {
    versions.sort_by_key(|(version, _)| (version.from, version.number));
    let mut greatest = None;
    versions.retain(|(version, _)| {
        let greater = greatest.is_none_or(|known| known < version.number);
        if greater {
            greatest = Some(version.number);
        }
        greater
    });
    versions.into_iter().map(|(version, policy)| InForce { from: version.from, policy }).collect()
}

/// Which policy applied to a dataset when, by the versions in force of its own and of those for many:
/// its own comes first, then the most specific one. What chooses it (its domain and tags) is taken as it
/// is now.
#[must_use]
pub fn applying(
    own: &[InForce<Option<Policy>>],
    selecting: &[Vec<InForce<Option<Policy>>>],
    domain: Option<&str>,
    tags: &[String],
) -> Vec<InForce<Option<Policy>>> {
    fn at(chain: &[InForce<Option<Policy>>], now: DateTime<Utc>) -> Option<&Policy> {
        let place = chain.partition_point(|known| known.from <= now).checked_sub(1)?;
        chain.get(place)?.policy.as_ref()
    }
    let chooses = |known: &InForce<Option<Policy>>| match known.policy.as_ref().map(|p| &p.target) {
        Some(Target::Selector(selector)) => selector.matches(domain, tags),
        _ => false,
    };
    let selecting: Vec<_> = selecting.iter().filter(|chain| chain.iter().any(chooses)).collect();
    let changes = selecting.iter().flat_map(|chain| chain.iter()).chain(own);
    let mut turns: Vec<_> = changes.map(|known| known.from).collect();
    turns.sort_unstable();
    turns.dedup();
    let applying = |now| {
        let candidates = selecting.iter().filter_map(|chain| at(chain, now));
        let candidates: Vec<_> = candidates.collect();
        let selectors = candidates.iter().filter_map(|policy| match &policy.target {
            Target::Selector(selector) => Some((selector.clone(), key(policy))),
            Target::Dataset(_) => None,
        });
        let (best, _) = Selectors::new(selectors.collect()).applying(None, domain, tags);
        let selected = candidates.into_iter().find(|policy| Some(key(policy)) == best);
        at(own, now).or(selected).cloned()
    };
    turns.into_iter().map(|from| InForce { from, policy: applying(from) }).collect()
}

const fn key(policy: &Policy) -> PolicyKey {
    PolicyKey { policy_id: policy.id, version: policy.version }
}

/// The spans of `range`, each as long as its status lasted, in order and without a gap.
///
/// `successes` are the ends of completed runs, in order: those in the range, and the last one before
/// it. `policies` are in order of `from`. `timing` says what a policy (none before the first) and a
/// last success amount to.
pub fn spans<P>(
    range: Range,
    successes: &[DateTime<Utc>],
    policies: &[InForce<P>],
    timing: impl Fn(Option<&P>, Option<DateTime<Utc>>) -> Timing,
) -> Vec<Span> {
    let changes = policies.iter().map(|policy| policy.from);
    let mut turns: Vec<_> = successes.iter().copied().chain(changes).collect();
    turns.retain(|at| range.from < *at && *at < range.to);
    turns.extend([range.from, range.to]);
    turns.sort_unstable();
    turns.dedup();
    let mut spans: Vec<Span> = Vec::new();
    for stretch in turns.windows(2) {
        let &[from, to] = stretch else { continue };
        let last = successes.partition_point(|at| *at <= from).checked_sub(1);
        let last = last.and_then(|last| successes.get(last)).copied();
        let policy = policies.partition_point(|policy| policy.from <= from).checked_sub(1);
        let policy = policy.and_then(|policy| policies.get(policy)).map(|known| &known.policy);
        let timing = timing(policy, last);
        let limits = [timing.deadlines.warn_at, timing.deadlines.stale_at];
        let begins =
            |limit: Option<DateTime<Utc>>| limit?.checked_add_signed(TimeDelta::microseconds(1));
        let mut parts: Vec<_> = limits.into_iter().filter_map(begins).collect();
        parts.retain(|at| from < *at && *at < to);
        parts.extend([from, to]);
        parts.sort_unstable();
        for part in parts.windows(2) {
            let &[from, to] = part else { continue };
            if from < to {
                push(
                    &mut spans,
                    Span { range: Range { from, to }, status: timing.status_at(from) },
                );
            }
        }
    }
    spans
}

fn push(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if last.status == span.status => last.range.to = span.range.to,
        _ => spans.push(span),
    }
}

/// How much of a range a dataset was in time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Attainment {
    /// For how long it was FRESH.
    pub fresh: TimeDelta,
    /// For how long it was WARN.
    pub warn: TimeDelta,
    /// For how long it was STALE.
    pub stale: TimeDelta,
    /// For how long it was UNKNOWN.
    pub unknown: TimeDelta,
    /// For how long it was NOT_APPLICABLE.
    pub not_applicable: TimeDelta,
    /// How often it became STALE within the range, or was so at its beginning.
    pub stale_spans: usize,
    /// How many of these ended by its being in time again.
    pub recoveries: usize,
    /// The mean length of those that so ended.
    pub mean_time_to_recover: Option<TimeDelta>,
}

impl Attainment {
    /// What the spans of a range amount to.
    #[must_use]
    pub fn of(spans: &[Span]) -> Self {
        let mut sum = Self::default();
        for span in spans {
            let length = span.range.to - span.range.from;
            let total = match span.status {
                Status::Fresh => &mut sum.fresh,
                Status::Warn => &mut sum.warn,
                Status::Stale => &mut sum.stale,
                Status::Unknown => &mut sum.unknown,
                Status::NotApplicable => &mut sum.not_applicable,
            };
            *total += length;
        }
        sum.stale_spans = spans.iter().filter(|span| span.status == Status::Stale).count();
        let recovered = spans.windows(2).filter_map(|pair| match pair {
            [late, next]
                if late.status == Status::Stale
                    && matches!(next.status, Status::Fresh | Status::Warn) =>
            {
                Some(late.range.to - late.range.from)
            }
            _ => None,
        });
        let recovered: Vec<_> = recovered.collect();
        sum.recoveries = recovered.len();
        sum.mean_time_to_recover = mean(&recovered);
        sum
    }

    /// The share of the judged time (FRESH, WARN and STALE) in which it was not STALE, from 0 to 1.
    #[must_use]
    pub fn attained(&self) -> Option<f64> {
        share(self.fresh + self.warn, self.judged())
    }

    /// The share of the judged time in which it was FRESH, from 0 to 1.
    #[must_use]
    pub fn fresh_share(&self) -> Option<f64> {
        share(self.fresh, self.judged())
    }

    /// How much time was judged at all.
    #[must_use]
    pub fn judged(&self) -> TimeDelta {
        self.fresh + self.warn + self.stale
    }
}

fn share(part: TimeDelta, whole: TimeDelta) -> Option<f64> {
    let (part, whole) = (part.num_microseconds()?, whole.num_microseconds()?);
    #[expect(clippy::cast_precision_loss, reason = "400 days of microseconds are below 2^52")]
    let share = |part: i64, whole: i64| part as f64 / whole as f64;
    (whole > 0).then(|| share(part, whole))
}

#[cfg(test)]
mod tests;
