use chrono_tz::Tz;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

mod clocks;
mod slow;

const MICRO: TimeDelta = TimeDelta::microseconds(1);

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

fn policy(warn_after: Option<i64>, fail_after: Option<i64>) -> Policy {
    asking(Rule::MaxAge(MaxAge::parse(warn_after, fail_after).unwrap()), Tz::UTC)
}

fn asking(rule: Rule, timezone: Tz) -> Policy {
    Policy {
        id: Uuid::nil(),
        version: 1,
        target: Target::Dataset(Uuid::nil()),
        rule,
        mode: Mode::Active,
        driver: Driver::Operational,
        exclusions: Exclusions::default(),
        timezone,
        effective_from: at(0),
    }
}

/// The definition again, by another way: ages in microseconds instead of deadlines.
fn slow(now: i64, warn: Option<i64>, fail: Option<i64>, last_success: i64) -> Status {
    let age = i128::from(now) - i128::from(last_success);
    let exceeds = |limit: Option<i64>| limit.is_some_and(|s| age > i128::from(s) * 1_000_000);
    match (exceeds(warn), exceeds(fail)) {
        (_, true) => Status::Stale,
        (true, false) => Status::Warn,
        (false, false) => Status::Fresh,
    }
}

fn rank(status: Status) -> usize {
    [Status::Fresh, Status::Warn, Status::Stale].iter().position(|&s| s == status).unwrap()
}

#[test]
fn a_limit_is_kept_at_exactly_its_instant() {
    let last = at(1_700_000_000_123_456);
    let policy = policy(Some(60), Some(3_600));
    let warn_at = last + TimeDelta::seconds(60);
    let stale_at = last + TimeDelta::seconds(3_600);
    let status = |now| evaluate(now, Some(&policy), Some(last)).status;

    assert_eq!(status(last), Status::Fresh);
    assert_eq!(status(warn_at), Status::Fresh);
    assert_eq!(status(warn_at + TimeDelta::nanoseconds(999)), Status::Fresh);
    assert_eq!(status(warn_at + MICRO), Status::Warn);
    assert_eq!(status(stale_at), Status::Warn);
    assert_eq!(status(stale_at + MICRO), Status::Stale);

    let fresh = evaluate(warn_at, Some(&policy), Some(last));
    assert_eq!((fresh.since, fresh.next_change_at), (Some(last), Some(warn_at + MICRO)));
    assert_eq!((fresh.warn_at, fresh.stale_at), (Some(warn_at), Some(stale_at)));
    assert_eq!(fresh.age, Some(TimeDelta::seconds(60)));
    let warn = evaluate(stale_at, Some(&policy), Some(last));
    assert_eq!((warn.since, warn.next_change_at), (fresh.next_change_at, Some(stale_at + MICRO)));
    let stale = evaluate(stale_at + MICRO, Some(&policy), Some(last));
    assert_eq!((stale.since, stale.next_change_at), (warn.next_change_at, None));
}

#[test]
fn one_limit_alone_is_enough() {
    let last = at(0);
    let later = at(11_000_000);
    let only_warn = evaluate(later, Some(&policy(Some(10), None)), Some(last));
    assert_eq!((only_warn.status, only_warn.next_change_at), (Status::Warn, None));
    let only_fail = evaluate(later, Some(&policy(None, Some(10))), Some(last));
    assert_eq!((only_fail.status, only_fail.next_change_at), (Status::Stale, None));
    let before = evaluate(at(10_000_000), Some(&policy(None, Some(10))), Some(last));
    assert_eq!((before.status, before.next_change_at), (Status::Fresh, Some(at(10_000_001))));
}

#[test]
fn without_a_policy_that_counts_or_a_success_there_is_no_deadline() {
    let now = at(1_000_000_000);
    let active = policy(Some(1), Some(2));
    let inactive = Policy { mode: Mode::Inactive, ..active.clone() };
    for (policy, last, expected, basis) in [
        (None, None, Status::NotApplicable, Basis::NotApplicable),
        (None, Some(at(0)), Status::NotApplicable, Basis::NotApplicable),
        (Some(&inactive), Some(at(0)), Status::NotApplicable, Basis::NotApplicable),
        (Some(&inactive), None, Status::NotApplicable, Basis::NotApplicable),
        (Some(&active), None, Status::Unknown, Basis::Unknown),
    ] {
        let freshness = evaluate(now, policy, last);
        assert_eq!(freshness.status, expected);
        assert_eq!(freshness.age.is_some(), last.is_some());
        let instants =
            [freshness.since, freshness.warn_at, freshness.stale_at, freshness.next_change_at];
        assert_eq!(instants, [None; 4]);
        assert_eq!(Timing::of(policy, last), Timing { basis, deadlines: Deadlines::default() });
    }
}

#[test]
fn a_success_ahead_of_the_clock_is_fresh_and_of_age_zero() {
    let (now, last) = (at(0), at(5_000_000));
    let freshness = evaluate(now, Some(&policy(Some(1), Some(2))), Some(last));
    assert_eq!(freshness.status, Status::Fresh);
    assert_eq!(freshness.age, Some(TimeDelta::zero()));
    assert_eq!(freshness.since, Some(now));
    assert_eq!(freshness.next_change_at, Some(at(6_000_001)));
}

#[test]
fn the_ends_of_the_calendar_do_not_panic() {
    let ends = [DateTime::<Utc>::MIN_UTC, at(0), DateTime::<Utc>::MAX_UTC];
    let policies = [policy(Some(1), None), policy(None, Some(Seconds::MAX.get()))];
    for now in ends {
        for last in ends {
            for policy in &policies {
                let freshness = evaluate(now, Some(policy), Some(last));
                assert!(freshness.age.unwrap() >= TimeDelta::zero());
            }
        }
    }
    let last = DateTime::<Utc>::MAX_UTC;
    let never = evaluate(last, Some(&policy(Some(1), Some(2))), Some(last));
    assert_eq!((never.status, never.warn_at, never.next_change_at), (Status::Fresh, None, None));
}

fn limits() -> impl Strategy<Value = (Option<i64>, Option<i64>)> {
    let seconds = 1..=Seconds::MAX.get() - 1;
    prop_oneof![
        seconds.clone().prop_map(|warn| (Some(warn), None)),
        seconds.clone().prop_map(|fail| (None, Some(fail))),
        seconds.prop_flat_map(|warn| (
            Just(Some(warn)),
            (warn + 1..=Seconds::MAX.get()).prop_map(Some)
        )),
    ]
}

proptest! {
    #[test]
    fn it_agrees_with_the_definition(
        (warn, fail) in limits(),
        last in -10_i64.pow(16)..10_i64.pow(16),
        shift in prop_oneof![-3_i64..=3, -10_i64.pow(15)..10_i64.pow(15)],
        near in 0..3_usize,
    ) {
        // Around the success itself, the first limit, or the second.
        let limit = [Some(0), warn, fail][near].unwrap_or(0) * 1_000_000;
        let now = last + limit + shift;
        let policy = policy(warn, fail);
        let freshness = evaluate(at(now), Some(&policy), Some(at(last)));
        prop_assert_eq!(freshness.status, slow(now, warn, fail, last));
        prop_assert_eq!(Timing::of(Some(&policy), Some(at(last))).status_at(at(now)), freshness.status);
    }

    #[test]
    fn it_changes_exactly_when_it_says_and_only_for_the_worse(
        (warn, fail) in limits(),
        last in -10_i64.pow(16)..10_i64.pow(16),
        ahead in 0..10_i64.pow(15),
    ) {
        let policy = policy(warn, fail);
        let see = |now| evaluate(now, Some(&policy), Some(at(last)));
        let mut now = at(last);
        let mut seen = vec![see(now).status];
        while let Some(next) = see(now).next_change_at {
            prop_assert_eq!(see(next - MICRO).status, see(now).status);
            prop_assert!(rank(see(next).status) > rank(see(now).status));
            prop_assert_eq!(see(next).since, Some(next));
            now = next;
            seen.push(see(now).status);
        }
        prop_assert_eq!(see(now + TimeDelta::microseconds(ahead)).status, see(now).status);
        prop_assert_eq!(seen.len(), 1 + usize::from(warn.is_some()) + usize::from(fail.is_some()));
    }

    #[test]
    fn it_never_gets_better_by_waiting(
        (warn, fail) in limits(),
        last in -10_i64.pow(16)..10_i64.pow(16),
        from in -10_i64.pow(15)..10_i64.pow(15),
        wait in 0..10_i64.pow(15),
    ) {
        let policy = policy(warn, fail);
        let see = |now| rank(evaluate(at(now), Some(&policy), Some(at(last))).status);
        prop_assert!(see(last + from) <= see(last + from + wait));
    }
}
