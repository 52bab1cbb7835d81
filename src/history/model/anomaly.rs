//! What is unlike a dataset's other runs, said simply.
//!
//! Its last run is compared with its own [`SAMPLE`] completed runs before it (fewer than [`ENOUGH`] say
//! nothing) by Tukey's far fences: a value is unusual below `q1 − 3 × spread` or above
//! `q3 + 3 × spread`, where the spread is that between the quartiles, but at least a tenth of the
//! median and at least 10 seconds or 10 rows: a history without any spread makes no noise.
//!
//! A run that is still going on never ends, as it seems, when it takes more than three times what 95 %
//! of those runs took, and more than 15 minutes; where there is nothing to compare with, more than a
//! day.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Ran;
use crate::refresh::model::RunState;

/// How many completed runs a run is compared with.
pub const SAMPLE: usize = 50;
/// How many of them there must be.
pub const ENOUGH: usize = 10;
/// How many of the latest runs are looked at for those.
pub const LOOKED_AT: u32 = 75;

/// Beyond so many spreads a value is unusual.
const FAR: f64 = 3.0;
/// The least spread, as a share of the median.
const LEAST_SHARE: f64 = 0.1;
/// The least spread, in seconds or rows.
const LEAST: f64 = 10.0;
/// A run never ends beyond so many times its 95th percentile …
const ENDLESS_TIMES: f64 = 3.0;
/// … and so many seconds.
const ENDLESS_LEAST: f64 = 900.0;
/// Without anything to compare with: beyond so many seconds.
const ENDLESS_ALONE: f64 = 86_400.0;

crate::wire::wire_enum! {
    /// What is unusual.
    pub enum AnomalyKind {
        /// The last run took much longer than the others.
        DurationHigh = "DURATION_HIGH",
        /// The last run took much less time than the others.
        DurationLow = "DURATION_LOW",
        /// The last run wrote many more rows than the others.
        RowsHigh = "ROWS_HIGH",
        /// The last run wrote far fewer rows than the others.
        RowsLow = "ROWS_LOW",
        /// The run that is going on has done so for far longer than the others took.
        RunNeverEnds = "RUN_NEVER_ENDS",
    }
}

/// Something unusual about a dataset's last run.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// The run.
    pub run_id: Uuid,
    /// What it took or wrote, in seconds or rows.
    pub value: f64,
    /// The least that would be usual.
    pub expected_low: f64,
    /// The most that would be usual.
    pub expected_high: f64,
    /// How many runs it was compared with.
    pub sample_size: usize,
    /// One sentence for a person.
    pub sentence: String,
}

/// What is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fence {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Fence {
    /// What is usual by a sample, in whatever order; nothing if it is too small.
    #[must_use]
    pub fn of(sample: &[f64]) -> Option<Self> {
        if sample.len() < ENOUGH {
            return None;
        }
        let mut sorted = sample.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (q1, median, q3) =
            (quantile(&sorted, 0.25)?, quantile(&sorted, 0.5)?, quantile(&sorted, 0.75)?);
        let spread = (q3 - q1).max(median.abs() * LEAST_SHARE).max(LEAST);
        Some(Self { low: (q1 - FAR * spread).max(0.0), high: q3 + FAR * spread })
    }
}

/// A quantile of a sorted sample, between neighbours in proportion (as R, NumPy and PostgreSQL's
/// `percentile_cont` have it).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a sample of a few dozen"
)]
fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let place = (sorted.len().checked_sub(1)?) as f64 * at;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// What is unusual about the last of `runs` at `now`. They are the latest runs of a dataset, the
/// latest first.
#[must_use]
pub fn anomalies(runs: &[Ran], now: DateTime<Utc>) -> Vec<Anomaly> {
    let Some((last, before)) = runs.split_first() else { return Vec::new() };
    let completed: Vec<_> = before.iter().filter(|run| run.completed()).take(SAMPLE).collect();
    let lengths: Vec<f64> =
        completed.iter().filter_map(|run| run.duration()).map(seconds).collect();
    match last.state {
        RunState::Completed => {
            let rows = completed.iter().filter_map(|run| run.row_count).map(whole).collect();
            let took = last.duration().map(seconds);
            let wrote = last.row_count.map(whole);
            let found = [unusual(last, Measure::Duration, took, &lengths), {
                let rows: Vec<f64> = rows;
                unusual(last, Measure::Rows, wrote, &rows)
            }];
            found.into_iter().flatten().collect()
        }
        RunState::Running => never_ends(last, &lengths, now).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    Duration,
    Rows,
}

fn unusual(run: &Ran, measure: Measure, value: Option<f64>, sample: &[f64]) -> Option<Anomaly> {
    let (value, fence) = (value?, Fence::of(sample)?);
    let high = value > fence.high;
    if !high && value >= fence.low {
        return None;
    }
    let kind = match (measure, high) {
        (Measure::Duration, true) => AnomalyKind::DurationHigh,
        (Measure::Duration, false) => AnomalyKind::DurationLow,
        (Measure::Rows, true) => AnomalyKind::RowsHigh,
        (Measure::Rows, false) => AnomalyKind::RowsLow,
    };
    let count = sample.len();
    let sentence = match measure {
        Measure::Duration => format!(
            "The last run took {}; by the {count} completed runs before it, {} to {} is usual.",
            length(value),
            length(fence.low),
            length(fence.high)
        ),
        Measure::Rows => format!(
            "The last run wrote {value:.0} rows; by the {count} completed runs before it, {:.0} to \
             {:.0} is usual.",
            fence.low.ceil(),
            fence.high.floor()
        ),
    };
    Some(anomaly(kind, run, value, fence, count, sentence))
}

fn anomaly(
    kind: AnomalyKind,
    run: &Ran,
    value: f64,
    fence: Fence,
    sample_size: usize,
    sentence: String,
) -> Anomaly {
    let Fence { low: expected_low, high: expected_high } = fence;
    let run_id = run.run_id;
    Anomaly { kind, run_id, value, expected_low, expected_high, sample_size, sentence }
}

/// Whether a run that is going on has taken too long for one that will end.
fn never_ends(run: &Ran, lengths: &[f64], now: DateTime<Utc>) -> Option<Anomaly> {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let compared = sorted.len() >= ENOUGH;
    let p95 = super::percentile(&sorted, 95).filter(|_| compared);
    let high = p95.map_or(ENDLESS_ALONE, |p95| (p95 * ENDLESS_TIMES).max(ENDLESS_LEAST));
    let value = seconds(now.signed_duration_since(run.effective_at));
    if value <= high {
        return None;
    }
    let mut sentence = format!("The last run has not ended after {}", length(value));
    // Writing to a text cannot fail.
    let _ = match p95 {
        Some(p95) => write!(
            sentence,
            "; 95 % of the {} completed runs before it took {} at most.",
            sorted.len(),
            length(p95)
        ),
        None => write!(sentence, ", and there are too few completed runs to compare it with."),
    };
    let fence = Fence { low: 0.0, high };
    let sample_size = if compared { sorted.len() } else { 0 };
    Some(anomaly(AnomalyKind::RunNeverEnds, run, value, fence, sample_size, sentence))
}

fn seconds(length: TimeDelta) -> f64 {
    length.as_seconds_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a count to compare and to show")]
fn whole(count: i64) -> f64 {
    count as f64
}

/// A length of time for a person: `42 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`.
fn length(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
    let whole = seconds.round() as i64;
    let (unit, part, names) = match whole {
        ..60 => return format!("{whole} s"),
        60..3_600 => (60, 1, ("min", "s")),
        3_600..86_400 => (3_600, 60, ("h", "min")),
        _ => (86_400, 3_600, ("d", "h")),
    };
    let rest = whole % unit / part;
    let large = format!("{} {}", whole / unit, names.0);
    if rest == 0 { large } else { format!("{large} {rest} {}", names.1) }
}

#[cfg(test)]
mod tests;
