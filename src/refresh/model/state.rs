//! What the runs of a dataset amount to: its refresh state.
//!
//! A function of the **set** of its runs, so that a late or repeated report cannot confuse it:
//!
//! - the last run is the one with the greatest `(effective_at, run_id)`. While it is running, the
//!   dataset is REFRESHING;
//! - otherwise the last decisive run (completed or failed) tells: the one with the greatest
//!   `(ended_at, run_id)`. READY if it completed, FAILED if it failed, NEVER if there is none. An
//!   aborted run decides nothing;
//! - the last success is the completed run with the greatest `(ended_at, run_id)`. It alone says
//!   when the dataset was last refreshed, how much was written and how far its source had come;
//! - consecutive failures are the failed runs that ended after it (all of them if there is none).
//!
//! Months of the log may be gone, and a state must not forget with them: what it knew of a run that
//! the log does not have any more, it keeps ([`DatasetRuns::keep`]).
//!
//! A run that is [`RunState::New`] has no part in any of this: nothing is known of its state.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{RunState, WatermarkOrigin};

crate::wire::wire_enum! {
    /// What became of the refreshes of a dataset so far.
    pub enum RefreshStatus {
        /// None of them came to an end that decides anything.
        Never = "NEVER",
        /// One is going on.
        Refreshing = "REFRESHING",
        /// The last one succeeded.
        Ready = "READY",
        /// The last one failed.
        Failed = "FAILED",
    }
}

/// One run, as far as a dataset that it writes is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub run_id: Uuid,
    /// When it took place; see [`RunFold::effective_at`](super::RunFold::effective_at).
    pub effective_at: DateTime<Utc>,
    /// When it ended; present if and only if its state is an end.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its state.
    pub state: RunState,
    /// Rows written to the dataset.
    pub row_count: Option<i64>,
    /// Bytes written to the dataset.
    pub byte_count: Option<i64>,
    /// How far the source had come.
    pub source_watermark: Option<DateTime<Utc>>,
    /// Where that watermark came from.
    pub source_watermark_origin: Option<WatermarkOrigin>,
}

impl RunRow {
    /// Its place among those that ended.
    fn end(&self) -> (Option<DateTime<Utc>>, Uuid) {
        (self.ended_at, self.run_id)
    }
}

/// The few runs of a dataset that decide its refresh state: each is one step into an index, however
/// long the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatasetRuns {
    /// The greatest `(effective_at, run_id)` of all runs that are not NEW.
    pub last_run: Option<RunRow>,
    /// The greatest `(ended_at, run_id)` of the completed ones.
    pub last_success: Option<RunRow>,
    /// The greatest `(ended_at, run_id)` of the failed ones.
    pub last_failure: Option<RunRow>,
    /// The number of failed ones with a greater `(ended_at, run_id)` than the last success.
    pub failures_since_success: i32,
}

impl DatasetRuns {
    /// The greatest `(ended_at, run_id)` of the completed and failed ones.
    #[must_use]
    pub fn last_decisive(&self) -> Option<&RunRow> {
        [&self.last_success, &self.last_failure].into_iter().flatten().max_by_key(|run| run.end())
    }

    /// Adds what was known of runs that the log does not have any more. What the log has, it has in
    /// full: `gone` must hold none of it.
    pub fn keep(&mut self, gone: Self) {
        fn later<K: Ord>(known: &mut Option<RunRow>, gone: Option<RunRow>, key: fn(&RunRow) -> K) {
            if known.as_ref().map(key) < gone.as_ref().map(key) {
                *known = gone;
            }
        }
        later(&mut self.last_run, gone.last_run, |run| (run.effective_at, run.run_id));
        later(&mut self.last_success, gone.last_success, RunRow::end);
        later(&mut self.last_failure, gone.last_failure, RunRow::end);
    }

    /// Adds a run of the dataset as it is from now on, be it new or known; answers whether these are still the
    /// runs that decide. They may not be if the run decided before and does so no longer, or if failures are
    /// to be counted: then the log is to be asked.
    #[must_use]
    pub fn absorb(&mut self, run: RunRow) -> bool {
        let same = |known: &RunRow| known.run_id == run.run_id;
        let moved = |known: &RunRow| same(known) && run.effective_at < known.effective_at;
        let failing = self.last_decisive().is_some_and(|known| known.state == RunState::Failed);
        if self.last_run.as_ref().is_some_and(moved)
            || self.last_success.as_ref().is_some_and(same)
            || self.last_failure.as_ref().is_some_and(same)
            || failing
        {
            return false;
        }
        let mut added = Self::default();
        match run.state {
            RunState::New => return true,
            RunState::Completed => added.last_success = Some(run.clone()),
            // The first one since the last success, if it came after that.
            RunState::Failed => {
                let success = self.last_success.as_ref().map(RunRow::end);
                self.failures_since_success = i32::from(success < Some(run.end()));
                added.last_failure = Some(run.clone());
            }
            RunState::Running | RunState::Aborted => {}
        }
        // As it was before.
        self.last_run.take_if(|known| known.run_id == run.run_id);
        added.last_run = Some(run);
        self.keep(added);
        true
    }
}

/// The refresh state of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshState {
    /// What became of its refreshes.
    pub status: RefreshStatus,
    /// When the last success ended. Only a completed run moves it.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The last success.
    pub last_success_run_id: Option<Uuid>,
    /// The last run.
    pub last_run_id: Option<Uuid>,
    /// When the last run took place.
    pub last_run_at: Option<DateTime<Utc>>,
    /// The state of the last run.
    pub last_run_state: Option<RunState>,
    /// Since when the dataset is being refreshed, while it is.
    pub running_since: Option<DateTime<Utc>>,
    /// Rows written by the last success.
    pub row_count: Option<i64>,
    /// Bytes written by the last success.
    pub byte_count: Option<i64>,
    /// How far the source had come at the last success.
    pub source_watermark: Option<DateTime<Utc>>,
    /// Where that watermark came from.
    pub source_watermark_origin: Option<WatermarkOrigin>,
    /// When the last failed run ended.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// The last failed run.
    pub last_failure_run_id: Option<Uuid>,
    /// Failed runs since the last success, of those that the log still has; at least one if the last
    /// decisive run failed.
    pub consecutive_failures: i32,
}

impl RefreshState {
    /// The refresh state that the runs of a dataset amount to.
    #[must_use]
    pub fn of(runs: &DatasetRuns) -> Self {
        let last_run = runs.last_run.as_ref();
        let last_success = runs.last_success.as_ref();
        let running = last_run.filter(|run| run.state == RunState::Running);
        let last_failure = runs.last_failure.as_ref();
        let last_decisive = runs.last_decisive();
        let failed = last_decisive.is_some_and(|run| run.state == RunState::Failed);
        let status = match (running, last_decisive) {
            (Some(_), _) => RefreshStatus::Refreshing,
            (None, Some(run)) if run.state == RunState::Completed => RefreshStatus::Ready,
            (None, Some(_)) => RefreshStatus::Failed,
            (None, None) => RefreshStatus::Never,
        };
        Self {
            status,
            last_success_at: last_success.and_then(|run| run.ended_at),
            last_success_run_id: last_success.map(|run| run.run_id),
            last_run_id: last_run.map(|run| run.run_id),
            last_run_at: last_run.map(|run| run.effective_at),
            last_run_state: last_run.map(|run| run.state),
            running_since: running.map(|run| run.effective_at),
            row_count: last_success.and_then(|run| run.row_count),
            byte_count: last_success.and_then(|run| run.byte_count),
            source_watermark: last_success.and_then(|run| run.source_watermark),
            source_watermark_origin: last_success.and_then(|run| run.source_watermark_origin),
            last_failure_at: last_failure.and_then(|run| run.ended_at),
            last_failure_run_id: last_failure.map(|run| run.run_id),
            consecutive_failures: if failed { runs.failures_since_success.max(1) } else { 0 },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
