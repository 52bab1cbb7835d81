use proptest::prelude::*;

use super::*;

const POLICY: Uuid = Uuid::from_u128(1);
const RUN: Uuid = Uuid::from_u128(2);

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

const TICK: TimeDelta = TimeDelta::microseconds(1);

/// Late for warning after 100 s, for failing after 200 s, of a success at 0 s.
fn observed() -> Observed {
    Observed {
        listed: true,
        policy_id: Some(POLICY),
        warn_at: at(100),
        stale_at: at(200),
        last_success_at: Some(at(0)),
        last_success_run: Some(RUN),
        open: None,
    }
}

fn breached(level: Level) -> Observed {
    let open =
        Open { policy_id: POLICY, level, opened_at: at(100) + TICK, last_success_at: Some(at(0)) };
    Observed { open: Some(open), ..observed() }
}

#[test]
fn a_breach_begins_one_microsecond_after_the_limit() {
    assert_eq!(observed().judge(at(100)), None);
    let opened = |level, escalated_at| {
        let opened_at = at(100) + TICK;
        Some(Change::Open { policy_id: POLICY, level, opened_at, escalated_at })
    };
    assert_eq!(observed().judge(at(100) + TICK), opened(Level::Warn, None));
    assert_eq!(observed().judge(at(200)), opened(Level::Warn, None));
    let both = opened(Level::Fail, Some(at(200) + TICK));
    assert_eq!(observed().judge(at(200) + TICK), both, "however late it is noticed");
    let one_limit = Observed { stale_at: at(100), ..observed() };
    assert_eq!(one_limit.judge(at(100) + TICK), opened(Level::Fail, None));
    for not_watched in
        [Observed { listed: false, ..observed() }, Observed { policy_id: None, ..observed() }]
    {
        assert_eq!(not_watched.judge(at(1_000)), None);
    }
}

#[test]
fn it_worsens_once_and_stays_the_same_breach() {
    assert_eq!(breached(Level::Warn).judge(at(200)), None);
    let escalated = Some(Change::Escalate { escalated_at: at(200) + TICK });
    assert_eq!(breached(Level::Warn).judge(at(200) + TICK), escalated);
    assert_eq!(breached(Level::Fail).judge(at(300)), None);
}

#[test]
fn it_ends_for_one_reason() {
    let resolved =
        |resolution, resolved_at, run| Some(Change::Resolve { resolution, resolved_at, run });
    let refreshed = Observed {
        warn_at: at(250),
        stale_at: at(350),
        last_success_at: Some(at(150)),
        ..breached(Level::Warn)
    };
    let by_run = |at| resolved(Resolution::Refreshed, at, Some(RUN));
    assert_eq!(refreshed.judge(at(250)), by_run(at(150)), "at the end of the run");
    assert_eq!(refreshed.judge(at(250) + TICK), None, "late again: the same breach goes on");
    let ahead = Observed { last_success_at: Some(at(180)), ..refreshed };
    assert_eq!(ahead.judge(at(160)), by_run(at(160)), "not before it was known");
    let in_time = Observed { last_success_at: Some(at(90)), warn_at: at(190), ..refreshed };
    assert_eq!(in_time.judge(at(150)), by_run(at(100) + TICK), "reported late: it was none");
    let loosened = Observed { warn_at: at(500), ..breached(Level::Warn) };
    assert_eq!(loosened.judge(at(300)), resolved(Resolution::PolicyChanged, at(300), None));
    for policy_id in [None, Some(Uuid::from_u128(9))] {
        let other = Observed { policy_id, ..breached(Level::Fail) };
        assert_eq!(other.judge(at(300)), resolved(Resolution::PolicyChanged, at(300), None));
    }
    let retired = Observed { listed: false, ..refreshed };
    assert_eq!(retired.judge(at(150)), resolved(Resolution::Retired, at(150), None));
}

proptest! {
    // What a change leaves behind is found when it is asked again, and there is an end to that.
    #[test]
    fn a_pass_comes_to_rest(
        listed: bool, policy in 0_u128..3, open_policy in 0_u128..3, warn in 0_i64..300,
        more in 0_i64..200, success in 0_i64..300, fail: bool, now in 0_i64..400,
    ) {
        let mut seen = Observed {
            listed,
            policy_id: Some(Uuid::from_u128(policy)).filter(|_| policy > 0),
            warn_at: at(warn),
            stale_at: at(warn + more),
            last_success_at: Some(at(success)),
            last_success_run: Some(RUN),
            open: (open_policy > 0).then(|| Open {
                policy_id: Uuid::from_u128(open_policy),
                level: if fail { Level::Fail } else { Level::Warn },
                opened_at: at(50),
                last_success_at: Some(at(10)),
            }),
        };
        let now = at(now);
        for _ in 0..3 {
            match seen.judge(now) {
                None => {}
                Some(Change::Open { policy_id, level, opened_at, escalated_at }) => {
                    prop_assert!(seen.open.is_none() && opened_at <= now);
                    prop_assert!(escalated_at.is_none_or(|at| at <= now && level == Level::Fail));
                    let last_success_at = seen.last_success_at;
                    seen.open = Some(Open { policy_id, level, opened_at, last_success_at });
                }
                Some(Change::Escalate { escalated_at }) => {
                    let open = seen.open.as_mut().unwrap();
                    prop_assert!(open.level == Level::Warn && escalated_at >= open.opened_at);
                    open.level = Level::Fail;
                }
                Some(Change::Resolve { resolved_at, .. }) => {
                    prop_assert!(resolved_at >= seen.open.unwrap().opened_at);
                    seen.open = None;
                }
            }
        }
        prop_assert_eq!(seen.judge(now), None);
        let late = seen.listed && seen.policy_id.is_some() && now > seen.warn_at;
        prop_assert_eq!(seen.open.is_some(), late);
    }

    #[test]
    fn retries_come_later_and_later_but_within_a_quarter_more_than_an_hour(
        attempts in 1_i32..100, chance: u32,
    ) {
        let wait = retry_after(attempts, chance);
        prop_assert!(wait >= TimeDelta::milliseconds(3_750) && wait <= TimeDelta::minutes(75));
        prop_assert!(retry_after(attempts + 2, 0) >= retry_after(attempts, u32::MAX).min(
            TimeDelta::minutes(45)));
    }
}
