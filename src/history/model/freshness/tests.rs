use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    freshness::model::{MaxAge, Mode, Policy},
    history::model::tests::at,
};

fn policy(version: i32, warn: Option<i64>, fail: Option<i64>, mode: Mode) -> Policy {
    Policy { version, max_age: MaxAge::parse(warn, fail).unwrap(), mode }
}

fn versions() -> impl Strategy<Value = Vec<(Version, Policy)>> {
    vec((0..120_i64, 1..20_i64, 0..4_u8), 0..5).prop_map(|versions| {
        let numbered = versions.into_iter().zip(1..);
        numbered
            .map(|((from, limit, kind), number)| {
                let (warn, fail, mode) = match kind {
                    0 => (Some(limit), None, Mode::Active),
                    1 => (None, Some(limit), Mode::Active),
                    2 => (Some(limit), Some(limit * 2), Mode::Active),
                    _ => (Some(limit), None, Mode::Inactive),
                };
                let version = Version { number, from: at(from) };
                (version, policy(number, warn, fail, mode))
            })
            .collect()
    })
}

/// The status at one instant, by the words: the greatest version that judged by then, the last success
/// up to then.
fn status(now: DateTime<Utc>, successes: &[DateTime<Utc>], versions: &[(Version, Policy)]) -> Status {
    let judging = versions.iter().filter(|(version, _)| version.from <= now);
    let policy = judging.max_by_key(|(version, _)| version.number).map(|(_, policy)| policy);
    let last = successes.iter().filter(|at| **at <= now).max();
    crate::freshness::model::evaluate(now, policy, last.copied()).status
}

proptest! {
    /// Against sampling every instant at which anything can change, and those around it.
    #[test]
    fn spans_say_what_each_instant_says(
        successes in vec(0..120_i64, 0..8), versions in versions(), from in 0..60_i64, length in 1..80_i64,
    ) {
        let mut successes: Vec<_> = successes.into_iter().map(at).collect();
        successes.sort_unstable();
        let range = Range { from: at(from), to: at(from + length) };
        let spans = spans(range, &successes, &in_force(versions.clone()), Timing::of);
        prop_assert_eq!(spans.first().map(|span| span.range.from), Some(range.from));
        prop_assert_eq!(spans.last().map(|span| span.range.to), Some(range.to));
        for pair in spans.windows(2) {
            prop_assert_eq!(pair[0].range.to, pair[1].range.from);
            prop_assert_ne!(pair[0].status, pair[1].status);
        }
        let tick = TimeDelta::microseconds(1);
        let mut sums = std::collections::HashMap::<Status, TimeDelta>::new();
        for second in from..from + length {
            for now in [at(second), at(second) + tick, at(second) + tick * 2, at(second + 1) - tick] {
                let span = spans.iter().find(|span| span.range.contains(now)).unwrap();
                prop_assert_eq!(span.status, status(now, &successes, &versions), "{}", now);
            }
            // Nothing changes between the second instant of a second and its end.
            *sums.entry(status(at(second), &successes, &versions)).or_default() += tick;
            *sums.entry(status(at(second) + tick, &successes, &versions)).or_default() +=
                TimeDelta::seconds(1) - tick;
        }
        let sum = Attainment::of(&spans);
        let of = |status| sums.get(&status).copied().unwrap_or_default();
        prop_assert_eq!(sum.fresh, of(Status::Fresh));
        prop_assert_eq!(sum.warn, of(Status::Warn));
        prop_assert_eq!(sum.stale, of(Status::Stale));
        prop_assert_eq!(sum.unknown, of(Status::Unknown));
        prop_assert_eq!(sum.not_applicable, of(Status::NotApplicable));
        prop_assert_eq!(sum.attained().is_some(), sum.judged() > TimeDelta::zero());
        prop_assert!(sum.attained().is_none_or(|share| (0.0..=1.0).contains(&share)));
        prop_assert!(sum.recoveries <= sum.stale_spans);
    }
}

#[test]
fn a_late_success_is_a_recovery_and_a_new_policy_judges_from_its_day_on() {
    let versions = vec![
        (Version { number: 1, from: at(0) }, policy(1, None, Some(10), Mode::Active)),
        (Version { number: 2, from: at(50) }, policy(2, None, Some(100), Mode::Active)),
    ];
    let range = Range { from: at(-10), to: at(60) };
    let said = spans(range, &[at(5), at(30)], &in_force(versions), Timing::of);
    let tick = TimeDelta::microseconds(1);
    let span = |from, to, status| Span { range: Range { from, to }, status };
    assert_eq!(
        said,
        [
            span(at(-10), at(0), Status::NotApplicable),
            span(at(0), at(5), Status::Unknown),
            span(at(5), at(15) + tick, Status::Fresh),
            span(at(15) + tick, at(30), Status::Stale),
            span(at(30), at(40) + tick, Status::Fresh),
            span(at(40) + tick, at(50), Status::Stale),
            span(at(50), at(60), Status::Fresh),
        ]
    );
    let sum = Attainment::of(&said);
    assert_eq!((sum.stale_spans, sum.recoveries), (2, 2));
    assert_eq!(sum.unknown, TimeDelta::seconds(5));
    assert_eq!(sum.not_applicable, TimeDelta::seconds(10));
    assert_eq!(sum.judged(), TimeDelta::seconds(55));
}
