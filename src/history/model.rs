//! Runs over time, without a database: [`buckets`] cut a range along a local calendar, [`statistics`]
//! count, [`freshness`] says when a dataset was late, [`anomaly`] what is unlike its other runs.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    refresh::model::RunState,
};

pub mod anomaly;
pub mod buckets;
pub mod expected;
pub mod freshness;
pub mod statistics;

/// The longest range that history is asked for.
pub const MAX_DAYS: i64 = 400;

/// One run, as far as history is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The run.
    pub run_id: Uuid,
    /// When it took place: its start, or its earliest event while no start is known.
    pub effective_at: DateTime<Utc>,
    /// Its state.
    pub state: RunState,
    /// When it started, if that is known.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, if it did.
    pub ended_at: Option<DateTime<Utc>>,
    /// Rows written to the dataset.
    pub row_count: Option<i64>,
}

impl Ran {
    /// How long it took: known if its start and its end are, and the one is not after the other.
    #[must_use]
    pub fn duration(&self) -> Option<TimeDelta> {
        let duration = self.ended_at?.signed_duration_since(self.started_at?);
        Some(duration).filter(|duration| *duration >= TimeDelta::zero())
    }

    fn completed(&self) -> bool {
        self.state == RunState::Completed
    }
}

/// A stretch of time, with its beginning and without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub to: DateTime<Utc>,
}

impl Range {
    /// A range that history may be asked for.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for one that ends before it begins or lies before 1970,
    /// [`Error::LimitExceeded`] for one of more than [`MAX_DAYS`].
    pub fn parse(from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Self> {
        let end = crate::freshness::model::END_OF_CALENDAR;
        if from < DateTime::UNIX_EPOCH || to > end {
            return Err(Error::bad_input("from", "and `to` must lie between 1970 and 9999"));
        }
        if from >= to {
            return Err(Error::bad_input("to", "must be after `from`"));
        }
        if to.signed_duration_since(from) > TimeDelta::days(MAX_DAYS) {
            return Err(Error::LimitExceeded {
                limit: "days of one range",
                maximum: MAX_DAYS.unsigned_abs(),
            });
        }
        Ok(Self { from, to })
    }

    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.to
    }
}

/// The smallest of `sorted` that at least `percent` % of them do not exceed.
fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

/// The durations of the completed ones, sorted.
fn durations<'r>(runs: impl IntoIterator<Item = &'r Ran>) -> Vec<TimeDelta> {
    let completed = runs.into_iter().filter(|run| run.completed());
    let mut durations: Vec<_> = completed.filter_map(Ran::duration).collect();
    durations.sort_unstable();
    durations
}

#[cfg(test)]
mod tests;
