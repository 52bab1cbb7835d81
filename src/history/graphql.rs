//! History in the graph.

use async_graphql::{Context, Enum, ID, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    loader::{InRange, PolicyHistories, RecentRuns, RunRanges, SuccessRanges},
    model::{
        self, Range,
        anomaly::{self, AnomalyKind},
        buckets::{self, Size},
        expected,
        freshness::{self, Attainment, Span},
        statistics::Statistics,
    },
};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    freshness::{
        graphql::{self as present, FreshnessStatus},
        model::{Policy, Timing, zone},
    },
    graphql::{call, scalars::BigInt, shared},
};

/// How large a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RunBucketSize {
    /// 60 minutes, from each local midnight on.
    Hour,
    /// A local day: 23 or 25 hours long when clocks change.
    Day,
    /// A local week, from Monday.
    Week,
    /// A local month.
    Month,
}

/// The runs that took place in a stretch of time.
#[derive(Debug, SimpleObject)]
pub struct RunBucket {
    /// Its first instant.
    from: DateTime<Utc>,
    /// The first instant after it.
    to: DateTime<Utc>,
    /// All runs, also those that have not ended.
    runs: i32,
    /// Those that completed.
    succeeded: i32,
    /// Those that failed.
    failed: i32,
    /// Those that were aborted.
    aborted: i32,
    /// How long the completed ones took, in seconds: the least that half of them did not exceed.
    duration_p50_seconds: Option<f64>,
    /// How long the completed ones took, in seconds: the least that 95 % of them did not exceed.
    duration_p95_seconds: Option<f64>,
    /// Rows that the completed ones wrote, of those that said so.
    rows: Option<BigInt>,
}

/// The runs of a range of time, bucket by bucket.
#[derive(Debug, SimpleObject)]
pub struct RunBuckets {
    /// The buckets that the range has a part in, each whole, the earliest first; empty ones too. A run
    /// is in the bucket in which it took place, whenever it ended.
    buckets: Vec<RunBucket>,
    /// Whether there were more runs than one answer looks at (10,000 of a dataset, fewer if it asks for
    /// more than 20): then the earliest ones were left out.
    truncated: bool,
}

/// What the runs of a range of time amount to.
#[derive(Debug, SimpleObject)]
pub struct RunStatistics {
    /// The first instant of the range.
    from: DateTime<Utc>,
    /// The first instant after it.
    to: DateTime<Utc>,
    /// The runs that took place in it, also those that have not ended.
    runs: i32,
    /// Those that completed.
    succeeded: i32,
    /// Those that failed.
    failed: i32,
    /// Those that were aborted.
    aborted: i32,
    /// The completed ones among those that completed or failed, from 0 to 1.
    success_rate: Option<f64>,
    /// How long the completed ones took, in seconds: the least that half of them did not exceed.
    duration_p50_seconds: Option<f64>,
    /// How long the completed ones took, in seconds: the least that 95 % of them did not exceed.
    duration_p95_seconds: Option<f64>,
    /// How often a failure was followed by a success, other failures between them or not.
    recoveries: i32,
    /// The mean time, in seconds, from the end of the first failure to the end of that success.
    mean_time_to_recover_seconds: Option<f64>,
    /// Whether there were more runs than one answer looks at: then the earliest were left out.
    truncated: bool,
}

/// A stretch of time with one freshness.
#[derive(Debug, SimpleObject)]
pub struct FreshnessInterval {
    /// Its first instant.
    from: DateTime<Utc>,
    /// The first instant after it.
    to: DateTime<Utc>,
    /// How fresh the dataset was.
    status: FreshnessStatus,
}

/// How fresh a dataset was over a range of time: at each instant by the runs that had completed by
/// then, whenever they were reported, and by the version of its policy that was in force then.
#[derive(Debug, SimpleObject)]
pub struct FreshnessHistory {
    /// The intervals, in order and without a gap.
    intervals: Vec<FreshnessInterval>,
    /// Whether the earliest part of the range was left out: there were more intervals than asked for,
    /// or more completed runs than one answer looks at.
    truncated: bool,
}

/// How much of a range of time a dataset was in time. Times are in seconds.
#[derive(Debug, SimpleObject)]
pub struct SlaAttainment {
    /// The first instant of what was judged.
    from: DateTime<Utc>,
    /// The first instant after it; not later than now.
    to: DateTime<Utc>,
    /// The share of the time FRESH, WARN or STALE in which it was not STALE, from 0 to 1; nothing if
    /// there was no such time.
    attained: Option<f64>,
    /// The share of that time in which it was FRESH.
    fresh_share: Option<f64>,
    /// For how long it was FRESH.
    fresh_seconds: f64,
    /// For how long it was WARN.
    warn_seconds: f64,
    /// For how long it was STALE.
    stale_seconds: f64,
    /// For how long it was UNKNOWN, which is not judged.
    unknown_seconds: f64,
    /// For how long it was NOT_APPLICABLE, which is not judged.
    not_applicable_seconds: f64,
    /// How often it became STALE, or was so at the beginning.
    stale_intervals: i32,
    /// How many of these ended by its being in time again.
    recoveries: i32,
    /// How long those took that so ended, on average.
    mean_time_to_recover_seconds: Option<f64>,
    /// Whether the earliest part of the range was left out, for more completed runs than one answer
    /// looks at.
    truncated: bool,
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn seconds(length: Option<TimeDelta>) -> Option<f64> {
    length.map(|length| length.as_seconds_f64())
}

fn size(size: Option<RunBucketSize>, minutes: Option<i32>) -> Result<Size> {
    match (size, minutes) {
        (Some(_), Some(_)) => Err(Error::bad_input("minutes", "cannot stand beside a `bucket`")),
        (None, Some(minutes)) => Size::minutes(minutes),
        (Some(RunBucketSize::Hour), None) => Ok(Size::Minutes(60)),
        (Some(RunBucketSize::Day) | None, None) => Ok(Size::Day),
        (Some(RunBucketSize::Week), None) => Ok(Size::Week),
        (Some(RunBucketSize::Month), None) => Ok(Size::Month),
    }
}

/// The runs of a dataset, bucket by bucket.
pub(crate) async fn run_buckets(
    context: &Context<'_>,
    dataset_id: Uuid,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    (bucket, minutes): (Option<RunBucketSize>, Option<i32>),
    timezone: &str,
) -> Result<RunBuckets> {
    call(context)?.authorize(Operation::RunRead)?;
    let zone = zone::parse(timezone)?;
    let cut = buckets::cut(Range::parse(from, to)?, size(bucket, minutes)?, zone)?;
    let (Some(first), Some(last)) = (cut.first(), cut.last()) else {
        return Ok(RunBuckets { buckets: Vec::new(), truncated: false });
    };
    let range = Range { from: first.from, to: last.to };
    let key = InRange { dataset_id, range };
    let runs = shared::<RunRanges>(context)?.load(key).await?.unwrap_or_default();
    let bucket = |tally: buckets::Tally| RunBucket {
        from: tally.range.from,
        to: tally.range.to,
        runs: count(tally.runs),
        succeeded: count(tally.completed),
        failed: count(tally.failed),
        aborted: count(tally.aborted),
        duration_p50_seconds: seconds(tally.duration_p50),
        duration_p95_seconds: seconds(tally.duration_p95),
        rows: tally.rows.map(BigInt),
    };
    let buckets = buckets::tally(&cut, &runs.rows).into_iter().map(bucket).collect();
    Ok(RunBuckets { buckets, truncated: runs.truncated })
}

/// What the runs of a dataset amount to.
pub(crate) async fn run_statistics(
    context: &Context<'_>,
    dataset_id: Uuid,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<RunStatistics> {
    call(context)?.authorize(Operation::RunRead)?;
    let key = InRange { dataset_id, range: Range::parse(from, to)? };
    let runs = shared::<RunRanges>(context)?.load(key).await?.unwrap_or_default();
    let statistics = Statistics::of(&runs.rows);
    Ok(RunStatistics {
        from,
        to,
        runs: count(statistics.runs),
        succeeded: count(statistics.completed),
        failed: count(statistics.failed),
        aborted: count(statistics.aborted),
        success_rate: statistics.success_rate,
        duration_p50_seconds: seconds(statistics.duration_p50),
        duration_p95_seconds: seconds(statistics.duration_p95),
        recoveries: count(statistics.recoveries),
        mean_time_to_recover_seconds: seconds(statistics.mean_time_to_recover),
        truncated: runs.truncated,
    })
}

/// The spans of a dataset's freshness in a range, as far as it lies in the past.
async fn spans(
    context: &Context<'_>,
    dataset_id: Uuid,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<(Vec<Span>, bool)> {
    let call = call(context)?;
    call.authorize(Operation::FreshnessRead)?;
    let asked = Range::parse(from, to)?;
    let mut range = Range { to: asked.to.min(call.now()), ..asked };
    if range.from >= range.to {
        return Ok((Vec::new(), false));
    }
    let key = InRange { dataset_id, range };
    let (successes, policies) = futures::future::try_join(
        shared::<SuccessRanges>(context)?.load(key),
        shared::<PolicyHistories>(context)?.load(dataset_id),
    )
    .await?;
    let successes = successes.unwrap_or_default();
    if successes.truncated {
        // Before the earliest one that was read, nothing is known.
        let known = successes.rows.iter().find(|at| **at > range.from);
        range.from = known.copied().unwrap_or(range.from);
    }
    let policies = policies.unwrap_or_default();
    let timing =
        |policy: Option<&Option<Policy>>, last| Timing::of(policy.and_then(Option::as_ref), last);
    let spans = freshness::spans(range, &successes.rows, &policies, timing);
    Ok((spans, successes.truncated))
}

/// How many intervals an answer has unless it is told otherwise.
const DEFAULT_INTERVALS: u32 = 100;
const MAX_INTERVALS: u32 = 1_000;

/// How fresh a dataset was.
pub(crate) async fn freshness_history(
    context: &Context<'_>,
    dataset_id: Uuid,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    last: Option<i32>,
) -> Result<FreshnessHistory> {
    let last = match last.map(u32::try_from) {
        None => DEFAULT_INTERVALS,
        Some(Ok(last)) if (1..=MAX_INTERVALS).contains(&last) => last,
        Some(_) => {
            return Err(Error::bad_input("last", format!("must be 1 to {MAX_INTERVALS}")));
        }
    };
    let (mut spans, truncated) = spans(context, dataset_id, from, to).await?;
    let left_out = spans.len().saturating_sub(last as usize);
    spans.drain(..left_out);
    let interval = |span: Span| FreshnessInterval {
        from: span.range.from,
        to: span.range.to,
        status: span.status.into(),
    };
    Ok(FreshnessHistory {
        intervals: spans.into_iter().map(interval).collect(),
        truncated: truncated || left_out > 0,
    })
}

/// How much of a range a dataset was in time.
pub(crate) async fn sla_attainment(
    context: &Context<'_>,
    dataset_id: Uuid,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<SlaAttainment> {
    let (spans, truncated) = spans(context, dataset_id, from, to).await?;
    let sum = Attainment::of(&spans);
    Ok(SlaAttainment {
        from: spans.first().map_or(from, |span| span.range.from),
        to: spans.last().map_or(from, |span| span.range.to),
        attained: sum.attained(),
        fresh_share: sum.fresh_share(),
        fresh_seconds: sum.fresh.as_seconds_f64(),
        warn_seconds: sum.warn.as_seconds_f64(),
        stale_seconds: sum.stale.as_seconds_f64(),
        unknown_seconds: sum.unknown.as_seconds_f64(),
        not_applicable_seconds: sum.not_applicable.as_seconds_f64(),
        stale_intervals: count(sum.stale_spans),
        recoveries: count(sum.recoveries),
        mean_time_to_recover_seconds: seconds(sum.mean_time_to_recover),
        truncated,
    })
}

/// What is unlike a dataset's other runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "AnomalyKind")]
pub enum RefreshAnomalyKind {
    /// The last run took much longer than the others.
    DurationHigh,
    /// The last run took much less time than the others.
    DurationLow,
    /// The last run wrote many more rows than the others.
    RowsHigh,
    /// The last run wrote far fewer rows than the others.
    RowsLow,
    /// The run that is going on has done so for far longer than the others took.
    RunNeverEnds,
}

/// Something about the last run that is unlike the dataset's own completed runs before it. Usual is
/// from `q1 − 3 × spread` to `q3 + 3 × spread` of the last 50 of them (at least 10), where the spread is
/// that between the quartiles, at least a tenth of the median and at least 10 seconds or rows. A run
/// never ends beyond three times what 95 % of them took and 15 minutes, or a day where there are fewer
/// than 10.
#[derive(Debug, SimpleObject)]
pub struct RefreshAnomaly {
    /// What it is.
    kind: RefreshAnomalyKind,
    /// The run.
    run_id: ID,
    /// What it took, in seconds, or how many rows it wrote.
    value: f64,
    /// The least that would be usual.
    expected_low: f64,
    /// The most that would be usual.
    expected_high: f64,
    /// How many runs it was compared with.
    sample_size: i32,
    /// One sentence for a person.
    sentence: String,
}

impl From<anomaly::Anomaly> for RefreshAnomaly {
    fn from(anomaly: anomaly::Anomaly) -> Self {
        Self {
            kind: anomaly.kind.into(),
            run_id: anomaly.run_id.into(),
            value: anomaly.value,
            expected_low: anomaly.expected_low,
            expected_high: anomaly.expected_high,
            sample_size: count(anomaly.sample_size),
            sentence: anomaly.sentence,
        }
    }
}

async fn recent(context: &Context<'_>, dataset_id: Uuid) -> Result<Vec<model::Ran>> {
    call(context)?.authorize(Operation::RunRead)?;
    Ok(shared::<RecentRuns>(context)?.load(dataset_id).await?.unwrap_or_default())
}

/// What is unusual about a dataset's last run now.
pub(crate) async fn anomalies(
    context: &Context<'_>,
    dataset_id: Uuid,
) -> Result<Vec<RefreshAnomaly>> {
    let runs = recent(context, dataset_id).await?;
    let found = anomaly::anomalies(&runs, call(context)?.now());
    Ok(found.into_iter().map(Into::into).collect())
}

/// What an expectation follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "expected::ExpectedBasis")]
pub enum ExpectedRunBasis {
    /// The next deadline of the dataset's policy.
    Deadline,
    /// The last start and the median time between the starts of the last 75 runs.
    MedianInterval,
}

/// When the next run of a dataset is to be expected.
#[derive(Debug, SimpleObject)]
pub struct ExpectedRun {
    /// When. In the past, the run is overdue.
    at: DateTime<Utc>,
    /// What that follows from.
    basis: ExpectedRunBasis,
    /// The median time between starts, in seconds, if it follows from that.
    interval_seconds: Option<f64>,
    /// How many intervals that is the median of.
    sample_size: i32,
}

/// When a dataset's next run is to be expected.
pub(crate) async fn expected_next_run(
    context: &Context<'_>,
    dataset_id: Uuid,
) -> Result<Option<ExpectedRun>> {
    let runs = recent(context, dataset_id).await?;
    let deadline = present::freshness(context, dataset_id).await?.next_deadline();
    let by_deadline = deadline.map(expected::ExpectedRun::by_deadline);
    let expected = by_deadline.or_else(|| expected::ExpectedRun::by_interval(&runs));
    Ok(expected.map(|expected| ExpectedRun {
        at: expected.at,
        basis: expected.basis.into(),
        interval_seconds: seconds(expected.interval),
        sample_size: count(expected.sample_size),
    }))
}
