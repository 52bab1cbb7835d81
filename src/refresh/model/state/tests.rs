use proptest::{collection::vec, prelude::*};

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn row(run_id: u128, effective: i64, ended: i64, state: RunState) -> RunRow {
    let ends = !matches!(state, RunState::New | RunState::Running);
    RunRow {
        run_id: Uuid::from_u128(run_id),
        effective_at: at(effective),
        ended_at: ends.then(|| at(ended)),
        state,
        row_count: Some(effective * 100 + ended),
        byte_count: None,
        source_watermark: Some(at(effective - 1)),
        source_watermark_origin: Some(WatermarkOrigin::DbtSources),
    }
}

impl DatasetRuns {
    /// As the repository finds them: each by one maximum.
    fn of_all<'r>(rows: impl IntoIterator<Item = &'r RunRow>) -> Self {
        let rows: Vec<_> = rows.into_iter().collect();
        let those = |states: &'static [RunState]| {
            rows.iter().copied().filter(move |row| states.contains(&row.state))
        };
        let ended = |row: &&RunRow| (row.ended_at, row.run_id);
        let known = those(&RunState::ALL[1..]);
        let last_success = those(&[RunState::Completed]).max_by_key(ended);
        let last_failure = those(&[RunState::Failed]).max_by_key(ended);
        let success = last_success.as_ref().map(ended);
        let failures = those(&[RunState::Failed]).filter(|row| Some(ended(row)) > success).count();
        Self {
            last_run: known.max_by_key(|row| (row.effective_at, row.run_id)).cloned(),
            last_success: last_success.cloned(),
            last_failure: last_failure.cloned(),
            failures_since_success: i32::try_from(failures).unwrap(),
        }
    }
}

impl RefreshState {
    /// The definition again, by sorting.
    pub(crate) fn of_all(rows: &[RunRow]) -> Self {
        let mut by_start: Vec<_> = rows.iter().filter(|row| row.state != RunState::New).collect();
        by_start.sort_by_key(|row| (row.effective_at, row.run_id));
        let mut by_end: Vec<_> = rows
            .iter()
            .filter(|row| matches!(row.state, RunState::Completed | RunState::Failed))
            .collect();
        by_end.sort_by_key(|row| (row.ended_at, row.run_id));
        let last = by_start.last();
        let running = last.filter(|row| row.state == RunState::Running);
        let success = by_end.iter().rfind(|row| row.state == RunState::Completed);
        let failure = by_end.iter().rfind(|row| row.state == RunState::Failed);
        let failures = by_end.iter().rev().take_while(|row| row.state == RunState::Failed).count();
        let status = if running.is_some() {
            RefreshStatus::Refreshing
        } else if by_end.is_empty() {
            RefreshStatus::Never
        } else if failures > 0 {
            RefreshStatus::Failed
        } else {
            RefreshStatus::Ready
        };
        Self {
            status,
            last_success_at: success.and_then(|row| row.ended_at),
            last_success_run_id: success.map(|row| row.run_id),
            last_run_id: last.map(|row| row.run_id),
            last_run_at: last.map(|row| row.effective_at),
            last_run_state: last.map(|row| row.state),
            running_since: running.map(|row| row.effective_at),
            row_count: success.and_then(|row| row.row_count),
            byte_count: success.and_then(|row| row.byte_count),
            source_watermark: success.and_then(|row| row.source_watermark),
            source_watermark_origin: success.and_then(|row| row.source_watermark_origin),
            last_failure_at: failure.and_then(|row| row.ended_at),
            last_failure_run_id: failure.map(|row| row.run_id),
            consecutive_failures: i32::try_from(failures).unwrap(),
        }
    }
}

fn rows() -> impl Strategy<Value = Vec<RunRow>> {
    // Few instants, so that ties are frequent; run ids are distinct, in no order of time.
    vec((0..RunState::ALL.len(), 0..4_i64, 0..4_i64), 0..9).prop_map(|runs| {
        let numbered = runs.into_iter().zip(0..);
        numbered
            .map(|((state, effective, length), number)| {
                let run_id = (number * 5 + 3) % 11;
                row(run_id, effective, effective + length, RunState::ALL[state])
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn it_is_what_the_definition_says_in_any_order(
        (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let expected = RefreshState::of_all(&rows);
        prop_assert_eq!(&RefreshState::of(&DatasetRuns::of_all(&rows)), &expected);
        prop_assert_eq!(&RefreshState::of(&DatasetRuns::of_all(&shuffled)), &expected);
        prop_assert_eq!(&RefreshState::of_all(&shuffled), &expected);
    }

    #[test]
    fn only_a_completed_run_moves_the_last_success(rows in rows(), effective in 0..9_i64) {
        let before = RefreshState::of_all(&rows);
        for state in [RunState::New, RunState::Running, RunState::Aborted, RunState::Failed] {
            let mut more = rows.clone();
            more.push(row(99, effective, effective, state));
            let after = RefreshState::of_all(&more);
            let facts = |state: &RefreshState| {
                (state.last_success_at, state.last_success_run_id, state.row_count, state.source_watermark)
            };
            prop_assert_eq!(facts(&after), facts(&before));
            if state == RunState::New {
                prop_assert_eq!(&after, &before);
            }
        }
    }
}

proptest! {
    /// Whatever part of the log goes, the oldest first: with what the state knew of it, the state
    /// stays, but for the number of failures, which the log must count.
    #[test]
    fn a_state_does_not_forget_with_the_log(rows in rows(), gone in 0..9_usize, late in rows()) {
        let mut rows = rows;
        rows.sort_by_key(|row| (row.effective_at, row.run_id));
        let left = rows.split_off(gone.min(rows.len()));
        let gone = DatasetRuns::of_all(&rows);
        let mut log = left;
        log.extend(late.into_iter().map(|row| RunRow { run_id: Uuid::from_u128(row.run_id.as_u128() + 100), ..row }));
        let mut runs = DatasetRuns::of_all(&log);
        runs.keep(gone);
        // Counted by the log, after what is kept is known.
        let success = runs.last_success.as_ref().map(RunRow::end);
        let failures = log.iter().filter(|row| row.state == RunState::Failed);
        let since = failures.filter(|row| Some(row.end()) > success).count();
        runs.failures_since_success = i32::try_from(since).unwrap();
        let kept = RefreshState::of(&runs);
        let all: Vec<_> = rows.iter().chain(&log).cloned().collect();
        let expected = RefreshState::of_all(&all);
        prop_assert!(kept.consecutive_failures <= expected.consecutive_failures);
        prop_assert_eq!(kept.consecutive_failures > 0, expected.consecutive_failures > 0);
        let uncounted = |state| RefreshState { consecutive_failures: 0, ..state };
        prop_assert_eq!(uncounted(kept), uncounted(expected));
    }
}

proptest! {
    /// Whatever comes, in whatever order, and however a run that is known changes: the runs that decide
    /// are those that the whole log has, or it is said that they may not be.
    #[test]
    fn what_is_absorbed_is_what_the_log_says(rows in rows(), then in rows()) {
        let mut log: Vec<RunRow> = rows;
        let mut runs = DatasetRuns::of_all(&log);
        for row in then {
            let known = log.iter_mut().find(|known| known.run_id == row.run_id);
            match known {
                // Nothing that is known of a run is ever taken back.
                Some(known) if known.state != RunState::New && row.state == RunState::New => continue,
                Some(known) => *known = row.clone(),
                None => log.push(row.clone()),
            }
            if !runs.absorb(row) {
                runs = DatasetRuns::of_all(&log);
            }
            prop_assert_eq!(RefreshState::of(&runs), RefreshState::of_all(&log));
        }
    }
}

#[test]
fn the_runs_of_every_day_are_absorbed() {
    let mut runs = DatasetRuns::default();
    for day in 0..3 {
        let (start, end) = (day * 100, day * 100 + 10);
        assert!(runs.absorb(row(day as u128, start, 0, RunState::Running)));
        assert_eq!(RefreshState::of(&runs).status, RefreshStatus::Refreshing);
        assert!(runs.absorb(row(day as u128, start, end, RunState::Completed)));
        assert_eq!(RefreshState::of(&runs).last_success_at, Some(at(end)));
    }
    assert!(runs.absorb(row(7, 400, 410, RunState::Failed)));
    assert_eq!(RefreshState::of(&runs).consecutive_failures, 1);
    assert!(!runs.absorb(row(8, 500, 510, RunState::Failed)), "the log counts them");
}

fn state(rows: &[RunRow]) -> RefreshState {
    RefreshState::of(&DatasetRuns::of_all(rows))
}

#[test]
fn the_life_of_a_dataset() {
    let first = row(1, 0, 10, RunState::Completed);
    let failed = [row(2, 20, 30, RunState::Failed), row(3, 40, 50, RunState::Failed)];
    let aborted = row(4, 60, 70, RunState::Aborted);
    let running = row(5, 80, 0, RunState::Running);
    let mut rows = Vec::new();
    assert_eq!(state(&rows).status, RefreshStatus::Never);

    rows.push(first);
    assert_eq!(state(&rows).status, RefreshStatus::Ready);
    rows.extend(failed);
    let now = state(&rows);
    assert_eq!((now.status, now.consecutive_failures), (RefreshStatus::Failed, 2));
    assert_eq!((now.last_success_at, now.row_count), (Some(at(10)), Some(10)));

    rows.push(aborted);
    let now = state(&rows);
    assert_eq!((now.status, now.last_run_state), (RefreshStatus::Failed, Some(RunState::Aborted)));
    rows.push(running);
    let now = state(&rows);
    assert_eq!((now.status, now.running_since), (RefreshStatus::Refreshing, Some(at(80))));
    assert_eq!(now.consecutive_failures, 2);

    // The end of a run that started long before is no end of the one that runs.
    rows.push(row(6, 5, 90, RunState::Completed));
    let now = state(&rows);
    assert_eq!((now.status, now.last_success_at), (RefreshStatus::Refreshing, Some(at(90))));
    assert_eq!(now.consecutive_failures, 0);
}

#[test]
fn a_run_that_was_only_aborted_decides_nothing() {
    let now = state(&[row(1, 0, 10, RunState::Aborted)]);
    assert_eq!((now.status, now.last_success_at), (RefreshStatus::Never, None));
    assert_eq!(now.last_run_state, Some(RunState::Aborted));
}
