//! From runs to the edges of the lineage: every dataset that a run reads, with every one it writes.
//!
//! Inputs and outputs may come in different events of a run, hence from its fold. What a run may add
//! is bounded: [`MAX_PAIRS_PER_RUN`] pairs in the order of their names, [`MAX_PAIRS`] in one
//! transaction. What is left out is counted, and comes with a later run of the job.

use super::{model::RunFold, resolve::Ids};
use crate::{
    db::TenantTx,
    error::Result,
    lineage::{
        loader,
        model::{Edge, Edges},
    },
};

/// The most pairs of an input and an output of one run.
const MAX_PAIRS_PER_RUN: usize = 5_000;
/// The most edges that one transaction writes.
const MAX_PAIRS: usize = 20_000;

/// Writes the edges of these runs: one statement, none if they have no inputs.
pub(super) async fn link<'r>(
    tx: &TenantTx,
    runs: impl Iterator<Item = &'r RunFold>,
    ids: &Ids,
) -> Result<()> {
    let (mut edges, mut left_out) = (Edges::default(), 0);
    for run in runs {
        let pairs = run.inputs().len().saturating_mul(run.outputs().len());
        left_out += pairs.saturating_sub(MAX_PAIRS_PER_RUN);
        for edge in edges_of(run, ids).take(MAX_PAIRS_PER_RUN) {
            if !edges.add(edge, MAX_PAIRS) {
                left_out += 1;
            }
        }
    }
    if left_out > 0 {
        metrics::counter!("drr_lineage_edges_left_out_total").increment(left_out as u64);
        tracing::warn!(left_out, "runs with too many inputs and outputs: not all edges were kept");
    }
    loader::link(tx, &edges).await
}

fn edges_of<'r>(run: &'r RunFold, ids: &'r Ids) -> impl Iterator<Item = Edge> {
    let pairs = run
        .outputs()
        .keys()
        .flat_map(|output| run.inputs().iter().map(move |(input, seen)| (output, input, seen)));
    // A pair of which one end is unknown counts among the pairs, and is no edge.
    pairs.filter_map(|(output, input, seen)| {
        Some(Edge {
            upstream_id: *ids.get(input)?,
            downstream_id: *ids.get(output)?,
            job_namespace: run.job().namespace().to_owned(),
            job_name: run.job().name().to_owned(),
            last_run_id: run.run_id(),
            first_seen_at: seen.first_at,
            last_seen_at: seen.last_at,
        })
    })
}
