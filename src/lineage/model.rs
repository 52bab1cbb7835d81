//! Edges, walks over them and root causes, without a database.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub mod cause;

pub use cause::{Cause, LateGraph, Standing, Trouble};

/// A run read the one dataset and wrote the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The dataset that was read.
    pub upstream_id: Uuid,
    /// The dataset that was written.
    pub downstream_id: Uuid,
    /// The namespace of the run's job.
    pub job_namespace: String,
    /// The name of the run's job.
    pub job_name: String,
    /// The run.
    pub last_run_id: Uuid,
    /// The earliest event that says so.
    pub first_seen_at: DateTime<Utc>,
    /// The latest event that says so.
    pub last_seen_at: DateTime<Utc>,
}

impl Edge {
    /// What two reports of one edge amount to: the latest one's word stands.
    fn merge(self, other: Self) -> Self {
        let first_seen_at = self.first_seen_at.min(other.first_seen_at);
        let later = |edge: &Self| (edge.last_seen_at, edge.last_run_id);
        let latest = if later(&other) > later(&self) { other } else { self };
        Self { first_seen_at, ..latest }
    }
}

/// Edges, each once.
#[derive(Debug, Clone, Default)]
pub struct Edges(BTreeMap<(Uuid, Uuid), Edge>);

impl Edges {
    /// Adds an edge or what it says that is new; answers whether there was room. A dataset that is
    /// made from itself is no edge.
    pub fn add(&mut self, edge: Edge, room: usize) -> bool {
        if edge.upstream_id == edge.downstream_id {
            return true;
        }
        let ends = (edge.downstream_id, edge.upstream_id);
        let edge = match self.0.remove(&ends) {
            Some(known) => known.merge(edge),
            None if self.0.len() >= room => return false,
            None => edge,
        };
        self.0.insert(ends, edge);
        true
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by their ends.
    pub fn all(&self) -> impl Iterator<Item = &Edge> {
        self.0.values()
    }
}

/// Which way to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To what a dataset is made from.
    Upstream,
    /// To what is made from it.
    Downstream,
}

/// A step of a walk: over which edge, from which dataset to which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<E> {
    /// The dataset that was reached before.
    pub from: Uuid,
    /// The dataset that it leads to.
    pub to: Uuid,
    /// What is known of the edge.
    pub edge: E,
}

/// A dataset that a walk reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached<E> {
    /// How many edges away it is; the least.
    pub distance: u32,
    /// The first of the edges over which it is that near.
    pub step: Step<E>,
}

/// A walk in breadth: level by level, each dataset once, so that cycles do no harm.
#[derive(Debug, Clone)]
pub struct Walk<E> {
    reached: Vec<Reached<E>>,
    seen: HashSet<Uuid>,
    level: Vec<Uuid>,
    distance: u32,
    room: usize,
    truncated: bool,
}

impl<E> Walk<E> {
    /// A walk from `start` that reaches `room` datasets at most.
    #[must_use]
    pub fn new(start: Uuid, room: usize) -> Self {
        let seen = HashSet::from([start]);
        Self { reached: Vec::new(), seen, level: vec![start], distance: 0, room, truncated: false }
    }

    /// The datasets that the last level reached: whose edges are wanted next.
    #[must_use]
    pub fn level(&self) -> &[Uuid] {
        &self.level
    }

    /// Takes the edges of the level, in their order.
    pub fn advance(&mut self, steps: impl IntoIterator<Item = Step<E>>) {
        let level: HashSet<_> = std::mem::take(&mut self.level).into_iter().collect();
        self.distance += 1;
        for step in steps {
            if !level.contains(&step.from) || self.seen.contains(&step.to) {
                continue;
            }
            if self.reached.len() >= self.room {
                self.truncated = true;
                break;
            }
            self.seen.insert(step.to);
            self.level.push(step.to);
            self.reached.push(Reached { distance: self.distance, step });
        }
        if self.reached.len() >= self.room {
            // Whether there is more behind the last one is not asked.
            self.truncated |= !self.level.is_empty();
            self.level.clear();
        }
    }

    /// Says that not every edge was read.
    pub fn truncate(&mut self) {
        self.truncated = true;
    }

    /// What was reached, the nearest first, and whether there may be more within the depth.
    #[must_use]
    pub fn end(self) -> (Vec<Reached<E>>, bool) {
        (self.reached, self.truncated)
    }
}

/// Which datasets each is made from, as far as they were read.
pub type Upstreams = HashMap<Uuid, Vec<Uuid>>;

#[cfg(test)]
mod tests;
