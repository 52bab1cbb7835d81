//! Runs and refresh states, batched within a request.

use std::collections::HashMap;

use uuid::Uuid;

pub use super::external::loader::Verdicts;
use super::repository::{self, LogRow, Run, RunPosition, State};
use crate::{
    batch::{BatchRead, Batched},
    db::TenantTx,
    error::Result,
};

/// Runs by id.
#[derive(Debug)]
pub struct RunById;

/// The loader of runs by id.
pub type Runs = Batched<RunById>;

impl BatchRead for RunById {
    type Key = Uuid;
    type Value = Run;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Run>> {
        let runs = repository::runs(tx, keys).await?;
        Ok(runs.into_iter().map(|run| (run.run_id, run)).collect())
    }
}

/// Refresh states by dataset id.
#[derive(Debug)]
pub struct StateOf;

/// The loader of refresh states by dataset id.
pub type States = Batched<StateOf>;

impl BatchRead for StateOf {
    type Key = Uuid;
    type Value = State;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, State>> {
        let states = repository::states(tx, keys).await?;
        Ok(states.into_iter().map(|state| (state.dataset_id, state)).collect())
    }
}

/// What a run did, by its id.
#[derive(Debug)]
pub struct LogOfRun;

/// The loader of what a run did, by its id.
pub type LogsOfRuns = Batched<LogOfRun>;

impl BatchRead for LogOfRun {
    type Key = Uuid;
    type Value = Vec<LogRow>;

    async fn read(tx: &TenantTx, keys: &[Uuid]) -> Result<HashMap<Uuid, Vec<LogRow>>> {
        let mut logs: HashMap<_, Vec<_>> = HashMap::new();
        for row in repository::log_of_runs(tx, keys).await? {
            logs.entry(row.run_id).or_default().push(row);
        }
        Ok(logs)
    }
}

/// A page of a dataset's runs: what it is asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunPage {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Where the page goes on.
    pub after: Option<RunPosition>,
    /// Runs at most.
    pub limit: u32,
}

/// Pages of runs.
#[derive(Debug)]
pub struct LatestRuns;

/// The loader of pages of runs.
pub type RunPages = Batched<LatestRuns>;

impl BatchRead for LatestRuns {
    type Key = RunPage;
    type Value = Vec<LogRow>;

    /// One statement per distinct `(after, limit)`: one in all for a board, whose datasets all ask
    /// for their first page of the same size.
    async fn read(tx: &TenantTx, keys: &[RunPage]) -> Result<HashMap<RunPage, Vec<LogRow>>> {
        let mut groups: HashMap<_, Vec<Uuid>> = HashMap::new();
        for key in keys {
            groups.entry((key.after, key.limit)).or_default().push(key.dataset_id);
        }
        let mut pages: HashMap<_, Vec<_>> = HashMap::new();
        for ((after, limit), datasets) in groups {
            for row in repository::latest_runs(tx, &datasets, after, limit).await? {
                let page = RunPage { dataset_id: row.dataset_id, after, limit };
                pages.entry(page).or_default().push(row);
            }
        }
        Ok(pages)
    }
}
