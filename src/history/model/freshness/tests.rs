use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use super::*;
use crate::{
    freshness::model::{Driver, Exclusions, MaxAge, Mode, Rule, Selector},
    history::model::tests::at,
};

fn policy(version: i32, warn: Option<i64>, fail: Option<i64>, mode: Mode) -> Policy {
    Policy {
        id: Uuid::nil(),
        version,
        target: Target::Dataset(Uuid::nil()),
        rule: Rule::MaxAge(MaxAge::parse(warn, fail).unwrap()),
        mode,
        driver: Driver::Operational,
        exclusions: Exclusions::default(),
        timezone: chrono_tz::Tz::UTC,
        effective_from: at(0),
    }
}

fn timing(policy: Option<&Option<Policy>>, last: Option<DateTime<Utc>>) -> Timing {
    Timing::of(policy.and_then(Option::as_ref), last)
}

type Versions = Vec<(Version, Option<Policy>)>;

fn versions() -> impl Strategy<Value = Versions> {
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
                let removed = kind == 3 && limit % 2 == 0;
                (version, (!removed).then(|| policy(number, warn, fail, mode)))
            })
            .collect()
    })
}

/// The status at one instant, by the words: the greatest version that judged by then, the last success
/// up to then.
fn status(
    now: DateTime<Utc>,
    successes: &[DateTime<Utc>],
    versions: &[(Version, Option<Policy>)],
) -> Status {
    let judging = versions.iter().filter(|(version, _)| version.from <= now);
    let policy =
        judging.max_by_key(|(version, _)| version.number).and_then(|(_, policy)| policy.as_ref());
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
        let spans = spans(range, &successes, &in_force(versions.clone()), timing);
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
        (Version { number: 1, from: at(0) }, Some(policy(1, None, Some(10), Mode::Active))),
        (Version { number: 2, from: at(50) }, Some(policy(2, None, Some(100), Mode::Active))),
    ];
    let range = Range { from: at(-10), to: at(60) };
    let said = spans(range, &[at(5), at(30)], &in_force(versions), timing);
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

#[test]
fn its_own_policy_comes_before_the_most_specific_one_for_many_and_each_in_its_time() {
    let selecting = |id: u128, version, domain: Option<&str>, tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let selector = Selector::parse(domain.map(str::to_owned), tags).unwrap();
        Policy {
            id: Uuid::from_u128(id),
            target: Target::Selector(selector),
            ..policy(version, None, Some(10), Mode::Active)
        }
    };
    let known = |from, policy| InForce { from: at(from), policy };
    let own = [known(50, Some(policy(1, None, Some(10), Mode::Active))), known(80, None)];
    let by_domain = vec![known(10, Some(selecting(1, 1, Some("sales"), &[])))];
    let by_tag = vec![
        known(30, Some(selecting(2, 1, None, &["gold"]))),
        known(60, Some(selecting(2, 2, None, &["gold"]))),
        known(90, None),
    ];
    let elsewhere = vec![known(20, Some(selecting(3, 1, Some("risk"), &["gold"])))];
    let all = [by_domain, by_tag, elsewhere];
    let applied = |tags: &[&str]| {
        let tags: Vec<_> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let applying = applying(&own, &all, Some("sales"), &tags);
        let said = |known: InForce<Option<Policy>>| {
            let policy = known.policy.map(|policy| (policy.id.as_u128(), policy.version));
            ((known.from - at(0)).num_seconds(), policy)
        };
        applying.into_iter().map(said).collect::<Vec<_>>()
    };
    assert_eq!(
        applied(&["gold"]),
        [
            (10, Some((1, 1))),
            (30, Some((2, 1))),
            (50, Some((0, 1))),
            (60, Some((0, 1))),
            (80, Some((2, 2))),
            (90, Some((1, 1))),
        ]
    );
    assert_eq!(applied(&[]), [(10, Some((1, 1))), (50, Some((0, 1))), (80, Some((1, 1)))]);
}
