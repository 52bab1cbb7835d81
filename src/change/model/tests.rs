use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

const TICK: TimeDelta = TimeDelta::microseconds(1);

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn facts() -> Facts {
    Facts {
        listed: true,
        basis: Basis::Timed,
        warn_at: at(100),
        stale_at: at(200),
        last_success_at: Some(at(0)),
    }
}

/// What is known after a change was announced.
fn after(facts: &Facts, change: &Change) -> Announced {
    Announced {
        listed: facts.listed,
        status: change.status,
        warn_at: facts.warn_at,
        stale_at: facts.stale_at,
        last_success_at: facts.last_success_at,
    }
}

#[test]
fn each_change_has_its_cause() {
    let new = judge(&facts(), None, at(50)).unwrap();
    assert_eq!((new.cause, new.previous, new.status), (Cause::Registered, None, Status::Fresh));
    assert_eq!(new.holds_until, at(100));
    let known = after(&facts(), &new);
    let told = |facts: Facts, now| {
        judge(&facts, Some(&known), now).map(|change| (change.cause, change.status))
    };
    assert_eq!(told(facts(), at(100)), None, "a limit is kept at its instant");
    assert_eq!(told(facts(), at(100) + TICK), Some((Cause::Time, Status::Warn)));
    assert_eq!(told(facts(), at(201)), Some((Cause::Time, Status::Stale)), "both at once");
    let refreshed = Facts { last_success_at: Some(at(40)), warn_at: at(140), ..facts() };
    assert_eq!(told(refreshed, at(50)), Some((Cause::Refreshed, Status::Fresh)));
    let tighter = Facts { warn_at: at(30), ..facts() };
    assert_eq!(told(tighter, at(50)), Some((Cause::Policy, Status::Warn)));
    let end = END_OF_CALENDAR;
    let none = Facts { basis: Basis::NotApplicable, warn_at: end, stale_at: end, ..facts() };
    assert_eq!(told(none, at(50)), Some((Cause::Policy, Status::NotApplicable)));
    let retired = Facts { listed: false, ..facts() };
    assert_eq!(told(retired, at(50)), Some((Cause::Retired, Status::NotApplicable)));
    assert_eq!(judge(&retired, None, at(50)), None);
    let waiting = Facts { basis: Basis::Unknown, last_success_at: None, ..none };
    let untimed = Facts { last_success_at: None, ..none };
    let known = after(&untimed, &judge(&untimed, None, at(0)).unwrap());
    let given_a_policy = judge(&waiting, Some(&known), at(0)).unwrap();
    assert_eq!((given_a_policy.cause, given_a_policy.status), (Cause::Policy, Status::Unknown));
}

proptest! {
    // Whoever looks again only when a status ends misses no status, and is told nothing twice.
    #[test]
    fn a_change_holds_exactly_until_it_says(
        listed: bool, basis in 0_u8..3, warn in 0_i64..300, more in 0_i64..200, now in 0_i64..500,
        later in 0_i64..500,
    ) {
        let basis = [Basis::NotApplicable, Basis::Unknown, Basis::Timed][usize::from(basis)];
        let facts =
            Facts { listed, basis, warn_at: at(warn), stale_at: at(warn + more), ..facts() };
        let Some(first) = judge(&facts, None, at(now)) else {
            prop_assert!(!listed);
            return Ok(());
        };
        let known = after(&facts, &first);
        prop_assert!(first.holds_until >= at(now));
        let later = at(now + later);
        let told = judge(&facts, Some(&known), later);
        prop_assert_eq!(told.is_some(), later > first.holds_until);
        if let Some(second) = told {
            prop_assert_eq!(second.cause, Cause::Time);
            prop_assert_eq!(judge(&facts, Some(&after(&facts, &second)), later), None);
        }
    }
}
