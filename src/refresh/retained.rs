//! What a refresh state knew of runs that the log does not have any more.
//!
//! Rows of the log never go one by one: a run that wrote a dataset once has a row there, whatever
//! else its events say, until retention drops the month. So a run that a state names and the log does
//! not have is one of a month that is gone, and what the state knew of it still holds.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{DatasetRuns, RunRow, RunState},
    repository::State,
};
use crate::{
    db::{FromRow, TenantTx},
    error::{Error, Result},
};

#[derive(FromRow)]
struct Logged {
    dataset_id: Uuid,
    run_id: Uuid,
}

// A run of which nothing is known but that it was there (NEW) decides nothing.
const LOGGED: &str = "
SELECT dataset_id, run_id FROM dataset_run_log
 WHERE run_id = ANY ($1) AND dataset_id = ANY ($2) AND state <> 'NEW'";

/// Adds to `runs`, which the log decided, what the states knew of runs that it does not have. Asks the
/// log only if one of them comes later than what the log has, which is as rare as a dropped month.
pub(super) async fn keep(
    tx: &TenantTx,
    known: &[State],
    runs: &mut HashMap<Uuid, DatasetRuns>,
) -> Result<()> {
    let mut missed = HashMap::new();
    for state in known {
        let log = runs.entry(state.dataset_id).or_default();
        let mut with_known = log.clone();
        let remembered = remembered(state)?;
        with_known.keep(remembered.clone());
        if with_known != *log {
            missed.insert(state.dataset_id, remembered);
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    let named = |runs: &DatasetRuns| {
        let named = [&runs.last_run, &runs.last_success, &runs.last_failure];
        named.into_iter().flatten().map(|run| run.run_id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = missed.values().flat_map(named).collect();
    let datasets: Vec<_> = missed.keys().copied().collect();
    let logged: Vec<Logged> = tx.query_sql(LOGGED, [ids.into(), datasets.into()]).await?;
    let logged: HashSet<_> = logged.into_iter().map(|row| (row.dataset_id, row.run_id)).collect();
    for (dataset_id, mut gone) in missed {
        for run in [&mut gone.last_run, &mut gone.last_success, &mut gone.last_failure] {
            run.take_if(|run| logged.contains(&(dataset_id, run.run_id)));
        }
        runs.entry(dataset_id).or_default().keep(gone);
    }
    Ok(())
}

/// The runs that a state names, as far as it knows them.
pub(super) fn remembered(state: &State) -> Result<DatasetRuns> {
    let run = |run_id: Uuid, at: Option<DateTime<Utc>>, run_state| RunRow {
        run_id,
        effective_at: at.unwrap_or_default(),
        ended_at: at,
        state: run_state,
        row_count: None,
        byte_count: None,
        source_watermark: None,
        source_watermark_origin: None,
    };
    let last_run_state = state.last_run_state.as_deref().map(str::parse::<RunState>);
    let last_run_state = last_run_state.transpose().map_err(Error::internal)?;
    let origin = state.source_watermark_origin.as_deref().map(str::parse);
    let origin = origin.transpose().map_err(Error::internal)?;
    let last_run = state.last_run_id.zip(last_run_state);
    let last_success = state.last_success_run_id.map(|id| RunRow {
        row_count: state.row_count,
        byte_count: state.byte_count,
        source_watermark: state.source_watermark,
        source_watermark_origin: origin,
        ..run(id, state.last_success_at, RunState::Completed)
    });
    let failure = |id| run(id, state.last_failure_at, RunState::Failed);
    Ok(DatasetRuns {
        last_run: last_run.map(|(id, run_state)| run(id, state.last_run_at, run_state)),
        last_success,
        last_failure: state.last_failure_run_id.map(failure),
        failures_since_success: 0,
    })
}
