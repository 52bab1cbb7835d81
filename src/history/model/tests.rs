use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};

use super::{statistics::Statistics, *};

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// A run that took place at `effective` and ended `length` later, if its state is an end.
pub(super) fn ran(number: u128, effective: i64, length: i64, state: RunState) -> Ran {
    let ends = !matches!(state, RunState::New | RunState::Running);
    Ran {
        run_id: Uuid::from_u128(number),
        effective_at: at(effective),
        state,
        started_at: (number % 5 != 4).then(|| at(effective)),
        ended_at: ends.then(|| at(effective + length)),
        row_count: (number % 3 != 2).then_some(effective.abs() + 1),
    }
}

pub(super) fn runs(span: i64) -> impl Strategy<Value = Vec<Ran>> {
    vec((0..RunState::ALL.len(), 0..span, 0..400_i64), 0..40).prop_map(|runs| {
        let numbered = runs.into_iter().zip(0..);
        numbered
            .map(|((state, effective, length), number)| {
                ran(number, effective, length, RunState::ALL[state])
            })
            .collect()
    })
}

#[test]
fn a_percentile_is_the_least_that_so_many_do_not_exceed() {
    let sorted: Vec<_> = (1..=20).collect();
    assert_eq!((percentile(&sorted, 50), percentile(&sorted, 95)), (Some(10), Some(19)));
    assert_eq!((percentile(&[7], 50), percentile(&[7], 95)), (Some(7), Some(7)));
    assert_eq!(percentile::<i32>(&[], 50), None);
    assert_eq!(percentile(&[1, 2, 3], 95), Some(3));
}

#[test]
fn ranges_are_bounded() {
    let day = TimeDelta::days(1);
    assert!(Range::parse(at(0), at(0) + day * 400).is_ok());
    for (from, to) in [
        (at(0), at(0)),
        (at(1), at(0)),
        (at(0), at(0) + day * 400 + TimeDelta::microseconds(1)),
        (DateTime::UNIX_EPOCH - TimeDelta::microseconds(1), at(0)),
        (DateTime::<Utc>::MAX_UTC - day, DateTime::<Utc>::MAX_UTC),
        (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC),
    ] {
        assert!(Range::parse(from, to).is_err(), "{from} {to}");
    }
}

proptest! {
    /// Time to recover by the words: for each success in order of ends, back over the failures right
    /// before it to the first of them.
    #[test]
    fn statistics_are_what_counting_gives(runs in runs(3_000)) {
        let said = Statistics::of(&runs);
        let those = |state| runs.iter().filter(|run| run.state == state).count();
        prop_assert_eq!(said.runs, runs.len());
        prop_assert_eq!(said.completed, those(RunState::Completed));
        prop_assert_eq!(said.failed, those(RunState::Failed));
        prop_assert_eq!(said.aborted, those(RunState::Aborted));
        prop_assert_eq!(said.success_rate.is_some(), said.completed + said.failed > 0);

        let mut ended: Vec<_> = runs.iter().filter(|run| run.ended_at.is_some()).collect();
        ended.retain(|run| run.state != RunState::Aborted);
        ended.sort_by_key(|run| (run.ended_at, run.run_id));
        let mut times = Vec::new();
        for (place, run) in ended.iter().enumerate().filter(|(_, run)| run.completed()) {
            let failures = ended[..place].iter().rev().take_while(|run| !run.completed());
            if let Some(first) = failures.last() {
                times.push((run.ended_at.unwrap() - first.ended_at.unwrap()).num_seconds());
            }
        }
        prop_assert_eq!(said.recoveries, times.len());
        let mean = said.mean_time_to_recover.map(|mean| mean.num_microseconds().unwrap());
        let count = i64::try_from(times.len()).unwrap();
        let expected = (count > 0).then(|| times.iter().sum::<i64>() * 1_000_000 / count);
        prop_assert_eq!(mean, expected);

        let completed = runs.iter().filter(|run| run.completed());
        let lengths: Vec<_> = completed.filter_map(Ran::duration).collect();
        for (percent, said) in [(50, said.duration_p50), (95, said.duration_p95)] {
            let enough = |length: &&TimeDelta| {
                lengths.iter().filter(|other| other <= length).count() * 100 >= lengths.len() * percent
            };
            prop_assert_eq!(said, lengths.iter().filter(enough).min().copied());
        }
    }
}
