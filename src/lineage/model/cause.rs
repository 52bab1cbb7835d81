//! Why a dataset is late: the datasets upstream that are late or failed themselves, followed to those
//! that have no such upstream of their own.

use std::collections::{HashMap, HashSet, VecDeque};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use super::Upstreams;
use crate::freshness::model::Basis;

/// The most late datasets that are looked at for the root causes of one.
pub const MAX_LATE: usize = 500;

/// How a dataset stands: what its refresh state says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The dataset.
    pub dataset_id: Uuid,
    /// What to call it in a sentence.
    pub name: String,
    /// What its freshness follows from.
    pub basis: Basis,
    /// The last instant before WARN.
    pub warn_at: DateTime<Utc>,
    /// The last instant before STALE.
    pub stale_at: DateTime<Utc>,
    /// Failed runs since the last success.
    pub consecutive_failures: i32,
    /// When the last failed run ended.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// Since when it is being refreshed, while it is.
    pub running_since: Option<DateTime<Utc>>,
}

/// What is wrong with a dataset, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// STALE, since when.
    Stale(DateTime<Utc>),
    /// It has a policy and never succeeded.
    NeverSucceeded,
    /// WARN, since when.
    Warn(DateTime<Utc>),
    /// In time (or without a policy), and its last decisive run failed, when.
    Failed(Option<DateTime<Utc>>),
}

impl Trouble {
    /// Since when, as far as that is known.
    #[must_use]
    pub const fn since(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Stale(at) | Self::Warn(at) => Some(at),
            Self::Failed(at) => at,
            Self::NeverSucceeded => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Stale(_) => "stale",
            Self::NeverSucceeded => "never refreshed",
            Self::Warn(_) => "late",
            Self::Failed(_) => "failed",
        }
    }
}

impl Standing {
    /// What is wrong with it at `now`; nothing if it is in time and its last decisive run succeeded.
    #[must_use]
    pub fn trouble(&self, now: DateTime<Utc>) -> Option<Trouble> {
        let begins_after = |limit: DateTime<Utc>| {
            limit.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(limit)
        };
        match self.basis {
            Basis::Timed if self.stale_at < now => {
                Some(Trouble::Stale(begins_after(self.stale_at)))
            }
            Basis::Unknown => Some(Trouble::NeverSucceeded),
            Basis::Timed if self.warn_at < now => Some(Trouble::Warn(begins_after(self.warn_at))),
            _ if self.consecutive_failures > 0 => Some(Trouble::Failed(self.last_failure_at)),
            _ => None,
        }
    }

    /// What is known of the reason, after a colon.
    fn reason(&self) -> String {
        match (self.running_since, self.consecutive_failures, self.last_failure_at) {
            (Some(since), ..) => format!("it is being refreshed since {}", text(since)),
            (None, 1.., Some(at)) => format!("its last run failed at {}", text(at)),
            (None, 1.., None) => "its last run failed".to_owned(),
            (None, ..) => "no run has come since".to_owned(),
        }
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A root cause: a late dataset upstream that has no late upstream of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The dataset.
    pub dataset_id: Uuid,
    /// What is wrong with it.
    pub trouble: Trouble,
    /// One shortest way to it, from the late dataset itself, both included.
    pub path: Vec<Uuid>,
    /// One sentence for a person.
    pub sentence: String,
}

/// The late datasets upstream of one, and which of them each is made from.
#[derive(Debug, Clone, Default)]
pub struct LateGraph {
    /// How each stands; the late ones only.
    pub late: HashMap<Uuid, Standing>,
    /// Which datasets each is made from; those that are not late do not matter.
    pub upstreams: Upstreams,
}

impl LateGraph {
    fn above(&self, id: Uuid) -> impl Iterator<Item = Uuid> {
        let upstreams = self.upstreams.get(&id).into_iter().flatten();
        upstreams.copied().filter(|id| self.late.contains_key(id))
    }

    /// `start` and the late datasets that lie upstream of it, nearest first, each of these with the
    /// one before it; [`MAX_LATE`] at most, and whether that was too few.
    fn reach(&self, start: Uuid) -> (Vec<Uuid>, HashMap<Uuid, Uuid>, bool) {
        let (mut order, mut before) = (vec![start], HashMap::new());
        let mut queue = VecDeque::from([start]);
        while let Some(id) = queue.pop_front() {
            for above in self.above(id).filter(|above| *above != start) {
                if before.contains_key(&above) {
                    continue;
                }
                if order.len() > MAX_LATE {
                    return (order, before, true);
                }
                order.push(above);
                before.insert(above, id);
                queue.push_back(above);
            }
        }
        (order, before, false)
    }

    /// The root causes of `start` being late at `now`, the nearest first; none if it is not late, or
    /// if the cause lies in itself. Of late datasets that are made from each other in a circle, with
    /// nothing late above the circle, the one that has been so longest is named. The second part
    /// says whether more than [`MAX_LATE`] late datasets lie above it: then not all were looked at.
    #[must_use]
    pub fn root_causes(&self, start: Uuid, now: DateTime<Utc>) -> (Vec<Cause>, bool) {
        let Some(own) = self.late.get(&start).and_then(|standing| standing.trouble(now)) else {
            return (Vec::new(), false);
        };
        let (order, before, truncated) = self.reach(start);
        let numbers: HashMap<_, _> = order.iter().copied().zip(0..).collect();
        let number = |id: Uuid| numbers.get(&id).copied();
        let above = order.iter().map(|id| self.above(*id).filter_map(number).collect());
        let above: Vec<Vec<usize>> = above.collect();
        let since = |id: &Uuid| {
            let trouble = self.late.get(id).and_then(|standing| standing.trouble(now));
            (trouble.and_then(Trouble::since), *id)
        };
        let roots = circles(&above).into_iter().filter(|circle| {
            let members: HashSet<_> = circle.iter().collect();
            let mut ways = circle.iter().filter_map(|member| above.get(*member)).flatten();
            ways.all(|above| members.contains(above))
        });
        let named = roots.filter_map(|circle| {
            circle.into_iter().filter_map(|member| order.get(member).copied()).min_by_key(since)
        });
        let mut named: Vec<_> = named.filter(|id| *id != start).collect();
        named.sort_by_key(|id| number(*id));
        let causes = named.into_iter().filter_map(|id| self.cause(id, own, &before, now));
        (causes.collect(), truncated)
    }

    fn cause(
        &self,
        id: Uuid,
        own: Trouble,
        before: &HashMap<Uuid, Uuid>,
        now: DateTime<Utc>,
    ) -> Option<Cause> {
        let standing = self.late.get(&id)?;
        let trouble = standing.trouble(now)?;
        let mut path = vec![id];
        while let Some(previous) = path.last().and_then(|last| before.get(last)) {
            path.push(*previous);
        }
        path.reverse();
        let since = trouble.since().map(|at| format!(" since {}", text(at))).unwrap_or_default();
        let (own, name, word) = (own.word(), &standing.name, trouble.word());
        let is = match trouble {
            Trouble::Failed(_) => "failed".to_owned(),
            Trouble::NeverSucceeded => "was never refreshed".to_owned(),
            _ => format!("is {word}{since}"),
        };
        let sentence = format!("{own} because {name} {is}: {}", standing.reason());
        Some(Cause { dataset_id: id, trouble, path, sentence })
    }
}

/// The nodes of a graph in its circles (strongly connected components); a node that is in no circle is
/// one by itself. Kosaraju's two passes, without recursion.
fn circles(next: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut before = vec![Vec::new(); next.len()];
    for (from, ways) in next.iter().enumerate() {
        for to in ways {
            if let Some(before) = before.get_mut(*to) {
                before.push(from);
            }
        }
    }
    let mut seen = HashSet::new();
    let mut finished = Vec::with_capacity(next.len());
    for node in 0..next.len() {
        finished.extend(finish(node, next, &mut seen));
    }
    let mut seen = HashSet::new();
    let circles = finished.into_iter().rev().map(|node| finish(node, &before, &mut seen));
    circles.filter(|circle| !circle.is_empty()).collect()
}

/// What is reached from `start` and was not seen, each after all that it leads to.
fn finish(start: usize, next: &[Vec<usize>], seen: &mut HashSet<usize>) -> Vec<usize> {
    let mut finished = Vec::new();
    let mut stack = Vec::new();
    if seen.insert(start) {
        stack.push((start, 0));
    }
    while let Some((node, way)) = stack.last_mut() {
        match next.get(*node).and_then(|ways| ways.get(*way)) {
            Some(to) => {
                *way += 1;
                if seen.insert(*to) {
                    stack.push((*to, 0));
                }
            }
            None => {
                finished.push(*node);
                stack.pop();
            }
        }
    }
    finished
}
