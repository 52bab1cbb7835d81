//! Walks and root causes, batched within a request: all of an answer go on level by level together,
//! so that a board of 200 takes as many statements as one dataset does.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use super::repository::{Record, link};
use super::{
    model::{Cause, Direction, LateGraph, Reached, Step, Walk},
    repository,
};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// The most edges that are read for one level, of all walks together.
const MAX_EDGES: u32 = 20_000;
/// The most levels of a walk.
pub const MAX_DEPTH: u32 = 10;
/// The most datasets that one walk reaches.
pub const MAX_NODES: u32 = 1_000;
/// The most late datasets that are followed for the root causes of one answer.
const MAX_LATE_IN_ALL: usize = 5_000;

/// A walk: what it is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WalkKey {
    /// From where.
    pub dataset_id: Uuid,
    /// Which way.
    pub direction: Direction,
    /// Levels at most.
    pub depth: u32,
    /// Datasets at most.
    pub first: u32,
}

/// What a walk reached, and whether there may be more.
pub type Walked = (Vec<Reached<Record>>, bool);

/// Walks.
#[derive(Debug)]
pub struct WalkFrom;

/// The loader of walks.
pub type Walks = Batched<WalkFrom>;

impl BatchRead for WalkFrom {
    type Key = WalkKey;
    type Value = Walked;

    /// One statement per level and direction.
    async fn read(tx: &TenantTx, keys: &[WalkKey]) -> Result<HashMap<WalkKey, Walked>> {
        let start = |key: &WalkKey| (*key, Walk::new(key.dataset_id, key.first as usize));
        let mut walks: Vec<_> = keys.iter().map(start).collect();
        for direction in [Direction::Upstream, Direction::Downstream] {
            let mut these: Vec<_> =
                walks.iter_mut().filter(|(key, _)| key.direction == direction).collect();
            for depth in 0..MAX_DEPTH {
                these.retain(|(key, walk)| depth < key.depth && !walk.level().is_empty());
                let level: HashSet<_> = these.iter().flat_map(|(_, walk)| walk.level()).collect();
                let level: Vec<_> = level.into_iter().copied().collect();
                if level.is_empty() {
                    break;
                }
                let edges =
                    repository::edges(tx, direction, &level, MAX_NODES + 1, MAX_EDGES).await?;
                for (_, walk) in &mut these {
                    walk.advance(edges.iter().map(|edge| step(direction, edge)));
                    if edges.len() >= MAX_EDGES as usize {
                        walk.truncate();
                    }
                }
            }
        }
        Ok(walks.into_iter().map(|(key, walk)| (key, walk.end())).collect())
    }
}

fn step(direction: Direction, edge: &Record) -> Step<Record> {
    let (from, to) = match direction {
        Direction::Upstream => (edge.downstream_id, edge.upstream_id),
        Direction::Downstream => (edge.upstream_id, edge.downstream_id),
    };
    Step { from, to, edge: edge.clone() }
}

/// The root causes of a dataset at an instant: what they are asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CauseKey {
    /// The dataset.
    pub dataset_id: Uuid,
    /// When.
    pub now: DateTime<Utc>,
}

/// Root causes.
#[derive(Debug)]
pub struct CausesOf;

/// The loader of root causes.
pub type RootCauses = Batched<CausesOf>;

impl BatchRead for CausesOf {
    type Key = CauseKey;
    type Value = (Vec<Cause>, bool);

    /// Two statements per level: the edges, and how the datasets stand that they lead to.
    async fn read(
        tx: &TenantTx,
        keys: &[CauseKey],
    ) -> Result<HashMap<CauseKey, (Vec<Cause>, bool)>> {
        let Some(now) = keys.first().map(|key| key.now) else { return Ok(HashMap::new()) };
        let starts: Vec<_> = keys.iter().map(|key| key.dataset_id).collect();
        let (graph, cut_off) = late_graph(tx, starts, now).await?;
        let causes = |key: &CauseKey| {
            let (causes, truncated) = graph.root_causes(key.dataset_id, key.now);
            (*key, (causes, truncated || cut_off))
        };
        Ok(keys.iter().map(causes).collect())
    }
}

/// The late datasets among `starts` and above them, and whether some were not followed.
async fn late_graph(
    tx: &TenantTx,
    starts: Vec<Uuid>,
    now: DateTime<Utc>,
) -> Result<(LateGraph, bool)> {
    let mut graph = LateGraph::default();
    let (mut asked, mut reached) = (HashSet::new(), starts);
    for _ in 0..=MAX_DEPTH {
        reached.retain(|id| asked.insert(*id));
        let standings = repository::standings(tx, &reached).await?;
        let late = standings.into_iter().filter(|standing| standing.trouble(now).is_some());
        let late: Vec<_> = late.map(|standing| (standing.dataset_id, standing)).collect();
        let level: Vec<_> = late.iter().map(|(id, _)| *id).collect();
        graph.late.extend(late);
        if level.is_empty() {
            return Ok((graph, false));
        }
        let edges =
            repository::edges(tx, Direction::Upstream, &level, MAX_NODES + 1, MAX_EDGES).await?;
        for edge in &edges {
            graph.upstreams.entry(edge.downstream_id).or_default().push(edge.upstream_id);
        }
        if edges.len() >= MAX_EDGES as usize || graph.late.len() > MAX_LATE_IN_ALL {
            break;
        }
        reached = edges.into_iter().map(|edge| edge.upstream_id).collect();
        if reached.is_empty() {
            return Ok((graph, false));
        }
    }
    Ok((graph, true))
}
