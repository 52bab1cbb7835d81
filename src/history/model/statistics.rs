//! What the runs of a range amount to.

use chrono::TimeDelta;

use super::{Ran, durations, percentile};
use crate::refresh::model::RunState;

/// Counts and lengths.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statistics {
    /// All runs.
    pub runs: usize,
    /// Those that completed.
    pub completed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that were aborted.
    pub aborted: usize,
    /// The completed ones among those that completed or failed, from 0 to 1.
    pub success_rate: Option<f64>,
    /// The length of the completed ones that half of them do not exceed.
    pub duration_p50: Option<TimeDelta>,
    /// The length of the completed ones that 95 % of them do not exceed.
    pub duration_p95: Option<TimeDelta>,
    /// How often a failure was followed by a success, whatever the failures between them.
    pub recoveries: usize,
    /// The mean time from the end of the first failure of a row to the end of the next success.
    pub mean_time_to_recover: Option<TimeDelta>,
}

impl Statistics {
    /// What `runs` amount to, in whatever order they come.
    #[must_use]
    pub fn of(runs: &[Ran]) -> Self {
        let count = |state| runs.iter().filter(|run| run.state == state).count();
        let (completed, failed) = (count(RunState::Completed), count(RunState::Failed));
        let durations = durations(runs);
        let recoveries = recoveries(runs);
        #[expect(clippy::cast_precision_loss, reason = "far fewer runs than 2^52")]
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        Self {
            runs: runs.len(),
            completed,
            failed,
            aborted: count(RunState::Aborted),
            success_rate: (completed + failed > 0).then(|| share(completed, completed + failed)),
            duration_p50: percentile(&durations, 50),
            duration_p95: percentile(&durations, 95),
            recoveries: recoveries.len(),
            mean_time_to_recover: mean(&recoveries),
        }
    }
}

/// The mean, in whole microseconds.
pub(super) fn mean(durations: &[TimeDelta]) -> Option<TimeDelta> {
    let count = i64::try_from(durations.len()).ok().filter(|count| *count > 0)?;
    let micros = durations.iter().filter_map(TimeDelta::num_microseconds);
    Some(TimeDelta::microseconds(micros.fold(0_i64, i64::saturating_add) / count))
}

/// The times from a first failure to the next success, by the ends of runs.
fn recoveries(runs: &[Ran]) -> Vec<TimeDelta> {
    let decides = |run: &&Ran| matches!(run.state, RunState::Completed | RunState::Failed);
    let mut decisive: Vec<_> = runs
        .iter()
        .filter(decides)
        .filter_map(|run| Some((run.ended_at?, run.run_id, run.completed())))
        .collect();
    decisive.sort_unstable();
    let (mut failing_since, mut found) = (None, Vec::new());
    for (at, _, completed) in decisive {
        if !completed {
            failing_since.get_or_insert(at);
        } else if let Some(since) = failing_since.take() {
            found.push(at - since);
        }
    }
    found
}
