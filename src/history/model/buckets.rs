//! Buckets of a range, cut along a local calendar.
//!
//! A bucket begins where a local clock shows its beginning, so that a day has 23, 24 or 25 hours when
//! clocks change. Buckets of hours or minutes begin anew at each local midnight, and the last of a day
//! ends with it. Where a clock shows midnight twice, the day begins at the first; where it shows none,
//! at the first instant that it shows of the day. A day that a place left out has no bucket.
//!
//! Buckets are whole: the first may begin before the range, and the last end after it.

use chrono::{Datelike, Days, Months, NaiveDate, TimeDelta};
use chrono_tz::Tz;

use super::{Ran, Range, durations, percentile};
use crate::{
    error::{Error, Result},
    freshness::model::zone::start_of,
    refresh::model::RunState,
};

/// The most buckets of one answer.
pub const MAX_BUCKETS: usize = 400;

/// How large buckets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// So many minutes: 1 to 1,440.
    Minutes(u32),
    /// A local day.
    Day,
    /// A local week, from Monday.
    Week,
    /// A local month.
    Month,
}

impl Size {
    /// Buckets of so many minutes.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] unless there are 1 to 1,440.
    pub fn minutes(minutes: i32) -> Result<Self> {
        let refuse = || Error::bad_input("minutes", "must be 1 to 1,440");
        let minutes = u32::try_from(minutes).map_err(|_| refuse())?;
        if (1..=1_440).contains(&minutes) { Ok(Self::Minutes(minutes)) } else { Err(refuse()) }
    }

    /// The local date that the bucket (or the day of buckets) with `date` in it begins on.
    fn begin(self, date: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Minutes(_) | Self::Day => Some(date),
            Self::Week => {
                date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into()))
            }
            Self::Month => date.with_day(1),
        }
    }

    fn next(self, begin: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Minutes(_) | Self::Day => begin.checked_add_days(Days::new(1)),
            Self::Week => begin.checked_add_days(Days::new(7)),
            Self::Month => begin.checked_add_months(Months::new(1)),
        }
    }
}

/// The buckets that a range has a part in, the earliest first.
///
/// # Errors
/// [`Error::LimitExceeded`] if there are more than [`MAX_BUCKETS`]; [`Error::BadUserInput`] if one
/// would lie beyond the calendar.
pub fn cut(range: Range, size: Size, zone: Tz) -> Result<Vec<Range>> {
    let beyond = || Error::bad_input("from", "lies too near the end of the calendar");
    let first = range.from.with_timezone(&zone).date_naive();
    // One earlier, for where the clock shows a date, the next one, and the first one again.
    let first = first.pred_opt().ok_or_else(beyond)?;
    let mut date = size.begin(first).ok_or_else(beyond)?;
    let mut buckets = Vec::new();
    let mut start = start_of(zone, date).ok_or_else(beyond)?;
    while start < range.to {
        date = size.next(date).ok_or_else(beyond)?;
        let end = start_of(zone, date).ok_or_else(beyond)?;
        let step = match size {
            Size::Minutes(minutes) => TimeDelta::minutes(minutes.into()),
            _ => end - start,
        };
        while start < end && start < range.to {
            let bucket = Range { from: start, to: end.min(start + step) };
            start = bucket.to;
            if bucket.to > range.from {
                buckets.push(bucket);
            }
            if buckets.len() > MAX_BUCKETS {
                let maximum = MAX_BUCKETS as u64;
                return Err(Error::LimitExceeded { limit: "buckets of one range", maximum });
            }
        }
        start = end;
    }
    Ok(buckets)
}

/// What the runs of one bucket amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The bucket.
    pub range: Range,
    /// Runs that took place in it.
    pub runs: usize,
    /// Those that completed.
    pub completed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that were aborted.
    pub aborted: usize,
    /// The length of the completed ones that half of them do not exceed.
    pub duration_p50: Option<TimeDelta>,
    /// The length of the completed ones that 95 % of them do not exceed.
    pub duration_p95: Option<TimeDelta>,
    /// Rows that the completed ones wrote, of those that said so.
    pub rows: Option<i64>,
}

/// Counts runs by bucket; buckets without any are there too. A run belongs to the bucket in which it
/// took place, whenever it ended. `buckets` are in order and do not overlap.
#[must_use]
pub fn tally(buckets: &[Range], runs: &[Ran]) -> Vec<Tally> {
    let mut sorted: Vec<_> = runs.iter().collect();
    sorted.sort_by_key(|run| run.effective_at);
    let mut rest = sorted.as_slice();
    let mut take = |range: &Range| {
        let before = rest.partition_point(|run| run.effective_at < range.from);
        let end = rest.partition_point(|run| run.effective_at < range.to);
        let (seen, after) = rest.split_at(end);
        rest = after;
        of_bucket(*range, seen.get(before..).unwrap_or_default())
    };
    buckets.iter().map(&mut take).collect()
}

fn of_bucket(range: Range, runs: &[&Ran]) -> Tally {
    let count = |state| runs.iter().filter(|run| run.state == state).count();
    let durations = durations(runs.iter().copied());
    let written = runs.iter().filter(|run| run.completed()).filter_map(|run| run.row_count);
    Tally {
        range,
        runs: runs.len(),
        completed: count(RunState::Completed),
        failed: count(RunState::Failed),
        aborted: count(RunState::Aborted),
        duration_p50: percentile(&durations, 50),
        duration_p95: percentile(&durations, 95),
        rows: written.reduce(i64::saturating_add),
    }
}

#[cfg(test)]
mod tests;
