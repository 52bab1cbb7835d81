//! When a dataset's next run is to be expected.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Ran, percentile};

crate::wire::wire_enum! {
    /// What an expectation follows from.
    pub enum ExpectedBasis {
        /// The next deadline of the dataset's policy.
        Deadline = "DEADLINE",
        /// The last start and the median time between the starts of the recent runs.
        MedianInterval = "MEDIAN_INTERVAL",
    }
}

/// The least number of runs that an interval is taken from.
const ENOUGH: usize = 3;

/// When the next run is to be expected, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedRun {
    /// When.
    pub at: DateTime<Utc>,
    /// What that follows from.
    pub basis: ExpectedBasis,
    /// The median interval, if it follows from that.
    pub interval: Option<TimeDelta>,
    /// How many intervals that is the median of.
    pub sample_size: usize,
}

impl ExpectedRun {
    /// By the first deadline of a policy that the last success does not cover.
    #[must_use]
    pub const fn by_deadline(at: DateTime<Utc>) -> Self {
        Self { at, basis: ExpectedBasis::Deadline, interval: None, sample_size: 0 }
    }

    /// By the intervals between runs: the latest of a dataset, the latest first. Nothing for fewer
    /// than three. It may lie in the past: then the run is overdue.
    #[must_use]
    pub fn by_interval(runs: &[Ran]) -> Option<Self> {
        let last = runs.first()?;
        let pairs = runs.windows(2);
        let mut intervals: Vec<_> = pairs
            .filter_map(|pair| match pair {
                [later, earlier] => Some(later.effective_at - earlier.effective_at),
                _ => None,
            })
            .collect();
        if runs.len() < ENOUGH {
            return None;
        }
        intervals.sort_unstable();
        let interval = percentile(&intervals, 50)?;
        Some(Self {
            at: last.effective_at.checked_add_signed(interval)?,
            basis: ExpectedBasis::MedianInterval,
            interval: Some(interval),
            sample_size: intervals.len(),
        })
    }
}
