use proptest::{collection::vec, prelude::*};

use super::*;
use crate::history::model::{expected::ExpectedRun, tests::at};

fn run(number: u128, effective: i64, length: i64, rows: i64) -> Ran {
    Ran {
        run_id: Uuid::from_u128(number),
        effective_at: at(effective),
        state: RunState::Completed,
        started_at: Some(at(effective)),
        ended_at: Some(at(effective + length)),
        row_count: Some(rows),
    }
}

/// `count` runs an hour apart, latest first, before at(0).
fn usual(count: i64, length: i64, rows: i64) -> Vec<Ran> {
    let number = |back: i64| u128::try_from(back).unwrap();
    (1..=count).map(|back| run(number(back), -3_600 * back, length, rows)).collect()
}

fn kinds(last: Ran, before: &[Ran], now: i64) -> Vec<AnomalyKind> {
    let runs: Vec<_> = std::iter::once(last).chain(before.iter().cloned()).collect();
    anomalies(&runs, at(now)).into_iter().map(|anomaly| anomaly.kind).collect()
}

#[test]
fn a_constant_history_makes_no_noise_and_what_is_far_off_is_named() {
    let before = usual(30, 60, 1_000);
    for (length, rows, expected) in [
        (60, 1_000, vec![]),
        (90, 1_300, vec![]),
        (30, 700, vec![]),
        (91, 1_000, vec![AnomalyKind::DurationHigh]),
        (29, 1_000, vec![AnomalyKind::DurationLow]),
        (60, 1_301, vec![AnomalyKind::RowsHigh]),
        (60, 699, vec![AnomalyKind::RowsLow]),
        (600, 0, vec![AnomalyKind::DurationHigh, AnomalyKind::RowsLow]),
    ] {
        assert_eq!(kinds(run(0, 0, length, rows), &before, 0), expected, "{length} {rows}");
    }
    // Nine runs say nothing.
    assert_eq!(kinds(run(0, 0, 600, 0), &before[..9], 0), []);
    assert_eq!(kinds(run(0, 0, 600, 0), &before[..10], 0).len(), 2);
}

#[test]
fn an_anomaly_says_what_it_is_in_one_sentence() {
    let runs: Vec<_> = std::iter::once(run(0, 0, 4_000, 5)).chain(usual(70, 60, 1_000)).collect();
    let found = anomalies(&runs, at(0));
    assert_eq!(found[0].sample_size, SAMPLE);
    assert_eq!(
        (found[0].value, found[0].expected_low, found[0].expected_high),
        (4_000.0, 30.0, 90.0)
    );
    let said: Vec<_> = found.iter().map(|anomaly| anomaly.sentence.as_str()).collect();
    assert_eq!(
        said,
        [
            "The last run took 1 h 6 min; by the 50 completed runs before it, 30 s to 1 min 30 s is usual.",
            "The last run wrote 5 rows; by the 50 completed runs before it, 700 to 1300 is usual.",
        ]
    );
}

#[test]
fn a_run_that_never_ends_is_named_once_it_is_far_beyond_its_own() {
    let running = Ran { state: RunState::Running, ended_at: None, ..run(0, 0, 0, 0) };
    let long = usual(20, 600, 1);
    assert_eq!(kinds(running.clone(), &long, 1_800), []);
    assert_eq!(kinds(running.clone(), &long, 1_801), [AnomalyKind::RunNeverEnds]);
    let short = usual(20, 10, 1);
    assert_eq!(kinds(running.clone(), &short, 900), []);
    assert_eq!(kinds(running.clone(), &short, 901), [AnomalyKind::RunNeverEnds]);
    for few in [&short[..0], &short[..9]] {
        assert_eq!(kinds(running.clone(), few, 86_400), []);
        assert_eq!(kinds(running.clone(), few, 86_401), [AnomalyKind::RunNeverEnds]);
    }
    let runs: Vec<_> = std::iter::once(running).chain(short).collect();
    assert_eq!(
        anomalies(&runs, at(90_000))[0].sentence,
        "The last run has not ended after 1 d 1 h; 95 % of the 20 completed runs before it took 10 s at most."
    );
}

#[test]
fn a_failed_run_and_no_run_are_no_anomaly() {
    let failed = Ran { state: RunState::Failed, ..run(0, 0, 9_999, 0) };
    assert_eq!(kinds(failed, &usual(30, 60, 1_000), 0), []);
    assert_eq!(anomalies(&[], at(0)), []);
}

#[test]
fn the_next_run_is_expected_a_median_interval_after_the_last() {
    let hourly = usual(20, 60, 1);
    let expected = ExpectedRun::by_interval(&hourly).unwrap();
    assert_eq!((expected.at, expected.sample_size), (at(0), 19));
    // One long pause does not move it.
    let mut paused = hourly.clone();
    paused.iter_mut().skip(10).for_each(|run| run.effective_at -= TimeDelta::days(9));
    assert_eq!(ExpectedRun::by_interval(&paused).unwrap().at, at(0));
    assert_eq!(ExpectedRun::by_interval(&hourly[..2]), None);
    assert_eq!(ExpectedRun::by_interval(&[]), None);
}

proptest! {
    #[test]
    fn a_fence_holds_whatever_lies_between_the_quartiles_and_knows_no_order(
        (sample, shuffled) in vec(0..100_000_i64, 10..60)
            .prop_flat_map(|sample| (Just(sample.clone()), Just(sample).prop_shuffle())),
        more in 0..1_000_i64,
    ) {
        let floats = |sample: &[i64]| sample.iter().copied().map(whole).collect::<Vec<_>>();
        let fence = Fence::of(&floats(&sample)).unwrap();
        prop_assert_eq!(Some(fence), Fence::of(&floats(&shuffled)));
        let mut sorted = floats(&sample);
        sorted.sort_unstable_by(f64::total_cmp);
        // By counting: the quartiles lie within the middle half.
        let middle = &sorted[sorted.len() / 4..=sorted.len() * 3 / 4 - usize::from(sorted.len() % 4 == 0)];
        prop_assert!(middle.iter().all(|value| fence.low <= *value && *value <= fence.high));
        prop_assert!(fence.low >= 0.0);
        // At least three times the least spread lies between the middle and each end.
        let median = sorted[sorted.len() / 2];
        prop_assert!(fence.high - median >= 0.0 && fence.high >= sorted[sorted.len() / 2] + 30.0 - 1e-9);
        // Moving all by as much moves the fence by no less, as long as it is not cut off at nothing.
        let moved: Vec<_> = sample.iter().map(|value| value + more).collect();
        let moved = Fence::of(&floats(&moved)).unwrap();
        prop_assert!(moved.high >= fence.high + whole(more) - 1e-6);
    }

    /// Further off is never more usual.
    #[test]
    fn what_is_further_off_is_no_less_unusual(
        lengths in vec(1..5_000_i64, 10..60), length in 0..50_000_i64, more in 0..9_999_i64,
    ) {
        let before: Vec<_> = lengths
            .iter()
            .zip(1_i64..)
            .map(|(length, back)| run(u128::try_from(back).unwrap(), -9_000 * back, *length, 1))
            .collect();
        let high = |length| kinds(run(0, 0, length, 1), &before, 0).contains(&AnomalyKind::DurationHigh);
        prop_assert!(!high(length) || high(length + more));
    }
}
