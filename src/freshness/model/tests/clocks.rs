//! Deadlines where clocks change, patterns that make no sense, and bounds: by example.

use chrono::Weekday;

use super::*;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The deadlines of a pattern from one instant until another.
fn deadlines(cron: &str, zone: Tz, from: &str, until: &str) -> Vec<String> {
    let cron = Cron::parse(cron.to_owned()).unwrap();
    let mut found = Vec::new();
    let mut at = instant(from);
    while let Some(next) = cron.next_after(zone, &Exclusions::default(), at) {
        if next >= instant(until) {
            break;
        }
        found.push(next.with_timezone(&zone).format("%d %H:%M %z").to_string());
        at = next;
    }
    found
}

#[test]
fn a_named_time_in_a_gap_is_at_its_end_and_one_in_an_overlap_is_the_first() {
    let berlin = |cron| {
        let spring =
            deadlines(cron, Tz::Europe__Berlin, "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z");
        let autumn =
            deadlines(cron, Tz::Europe__Berlin, "2026-10-24T23:00:00Z", "2026-10-25T12:00:00Z");
        (spring, autumn)
    };
    let (spring, autumn) = berlin("30 2 * * *");
    assert_eq!(spring, ["29 03:00 +0200"]);
    assert_eq!(autumn, ["25 02:30 +0200"]);
    // Unlike `croner`, which takes two hours for an interval, and would lose the first.
    let (spring, autumn) = berlin("30 2,11 * * *");
    assert_eq!(spring, ["29 03:00 +0200", "29 11:30 +0200"]);
    assert_eq!(autumn, ["25 02:30 +0200", "25 11:30 +0100"]);
    let (spring, autumn) = berlin("0 */3 * * *");
    assert_eq!(spring, ["29 03:00 +0200", "29 06:00 +0200", "29 09:00 +0200", "29 12:00 +0200"]);
    assert_eq!(autumn, ["25 03:00 +0100", "25 06:00 +0100", "25 09:00 +0100", "25 12:00 +0100"]);
}

#[test]
fn every_half_hour_goes_with_the_clock_on_the_wall() {
    let berlin = |from, until| deadlines("*/30 * * * *", Tz::Europe__Berlin, from, until);
    assert_eq!(
        berlin("2026-03-29T00:15:00Z", "2026-03-29T02:00:00Z"),
        ["29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]
    );
    assert_eq!(
        berlin("2026-10-25T00:15:00Z", "2026-10-25T02:15:00Z"),
        ["25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100"]
    );
    // By half an hour, on Lord Howe: 02:00 becomes 02:30, and 02:00 becomes 01:30.
    let howe = |from, until| deadlines("45 1,2 * * *", Tz::Australia__Lord_Howe, from, until);
    assert_eq!(
        howe("2026-10-03T12:00:00Z", "2026-10-04T00:00:00Z"),
        ["04 01:45 +1030", "04 02:45 +1100"]
    );
    assert_eq!(
        howe("2026-04-04T12:00:00Z", "2026-04-05T00:00:00Z"),
        ["05 01:45 +1100", "05 02:45 +1030"]
    );
}

/// Samoa had no 30 December 2011. What was due on it was due when the 31st began.
#[test]
fn a_date_that_never_was_loses_no_deadline() {
    let found =
        deadlines("0 6 * * *", Tz::Pacific__Apia, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z");
    assert_eq!(found, ["29 06:00 -1000", "31 00:00 +1400", "31 06:00 +1400", "01 06:00 +1400"]);
}

#[test]
fn a_leap_day_comes_when_it_comes() {
    let found = deadlines("0 0 29 2 *", Tz::UTC, "2024-03-01T00:00:00Z", "2033-01-01T00:00:00Z");
    assert_eq!(found, ["29 00:00 +0000", "29 00:00 +0000"]);
}

/// A pattern with one hour and one minute is a fixed time to `croner` as well, and one of every
/// hour is an interval: there we find what it finds.
#[test]
fn what_croner_finds_is_found() {
    let mut compared = 0;
    for pattern in [
        "0 6 * * *",
        "30 2 * * 1-5",
        "15 0 L * *",
        "0 12 * * 5#2",
        "59 23 15W * *",
        "*/20 * * * *",
        "5 */2 * * 0",
    ] {
        for zone in [Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe] {
            let (ours, theirs) = (
                Cron::parse(pattern.to_owned()).unwrap(),
                pattern.parse::<croner::Cron>().unwrap(),
            );
            let mut at = instant("2026-03-01T00:00:00Z");
            for _ in 0..700 {
                let expected =
                    theirs.find_next_occurrence(&at.with_timezone(&zone), false).unwrap();
                let found = ours.next_after(zone, &Exclusions::default(), at);
                assert_eq!(found, Some(expected.to_utc()), "{pattern} {zone}");
                at = expected.to_utc();
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 7 * 4 * 700);
}

#[test]
fn the_shortest_interval_is_of_the_wall_clock() {
    for (cron, seconds) in [
        ("0 6 * * *", Some(86_400)),
        ("* * * * *", Some(60)),
        ("*/7 * * * *", Some(240)),
        ("0 6,18 * * *", Some(43_200)),
        ("0 1,23 * * *", Some(7_200)),
        ("0 1,23 * * 1", Some(79_200)),
        ("0 6 * * 1-5", Some(86_400)),
        ("0 6 * * 1,4", Some(3 * 86_400)),
        ("0 0 1 * *", Some(28 * 86_400)),
        ("0 0 29 2 *", Some(1_461 * 86_400)),
        ("0 0 30 2 *", None),
        ("0,30 0 30 2 *", None),
    ] {
        let shortest = Cron::parse(cron.to_owned()).unwrap().shortest_interval();
        assert_eq!(shortest.map(|shortest| shortest.num_seconds()), seconds, "{cron}");
    }
}

fn refused(result: Result<impl std::fmt::Debug, crate::error::Error>) -> String {
    match result {
        Err(crate::error::Error::BadUserInput { field, .. }) => field.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deadline_that_makes_no_sense_is_refused_where_it_does_not() {
    let parse = |cron: &str, bound, warn, fail| Deadline::parse(cron.to_owned(), bound, warn, fail);
    for cron in [
        "",
        "6",
        "0 6 * *",
        "0 0 6 * * *",
        "60 6 * * *",
        "0 6 * * 8",
        "0 24 * * *",
        "x",
        "0 6 * * é",
        &format!("0 6 * * {}", ["1"; 60].join(",")),
    ] {
        assert_eq!(refused(parse(cron, 60, Some(0), None)), "cron", "{cron}");
    }
    for (bound, warn, fail, field) in [
        (0, Some(0), None, "lowerBoundSeconds"),
        (86_401, Some(0), None, "lowerBoundSeconds"),
        (315_576_001, Some(0), None, "lowerBoundSeconds"),
        (60, None, None, "deadline"),
        (60, Some(0), Some(0), "deadline"),
        (60, Some(1), Some(0), "deadline"),
        (60, Some(-1), None, "warnAfterSeconds"),
        (60, None, Some(-1), "failAfterSeconds"),
    ] {
        assert_eq!(
            refused(parse("0 6 * * *", bound, warn, fail)),
            field,
            "{bound} {warn:?} {fail:?}"
        );
    }
    assert!(parse("0 6 * * *", 86_400, Some(0), Some(1)).is_ok());
    assert!(parse("@daily", 86_400, None, Some(0)).is_ok());
}

#[test]
fn a_pattern_that_never_falls_is_refused() {
    let now = instant("2026-01-01T00:00:00Z");
    let fires = |cron: &str, weekdays: Vec<Weekday>, dates: Vec<NaiveDate>| {
        let rule = Rule::Deadline(Deadline::parse(cron.to_owned(), 60, Some(0), None).unwrap());
        let mut policy = asking(rule, Tz::UTC);
        policy.exclusions = Exclusions::parse(weekdays, dates, vec![]).unwrap();
        policy.check_that_it_fires(now)
    };
    assert_eq!(refused(fires("0 6 30 2 *", vec![], vec![])), "cron");
    assert_eq!(refused(fires("0 6 * * 6", vec![Weekday::Sat], vec![])), "exclusions");
    let leap_days = [2028, 2032].map(|year| NaiveDate::from_ymd_opt(year, 2, 29).unwrap());
    assert_eq!(refused(fires("0 6 29 2 *", vec![], leap_days.to_vec())), "exclusions");
    assert!(fires("0 6 29 2 *", vec![], leap_days[..1].to_vec()).is_ok());
    let week =
        |days: usize| (0..days).map(|day| Weekday::try_from(u8::try_from(day).unwrap()).unwrap());
    assert_eq!(
        refused(Exclusions::parse(week(7).collect(), vec![], vec![])),
        "exclusions.weekdays"
    );
    assert!(Exclusions::parse(week(6).collect(), vec![], vec![]).is_ok());
}

/// Whatever is asked of whatever instant, an answer comes, and in no time.
#[test]
fn searches_end() {
    let asked = |cron: &str| Deadline::parse(cron.to_owned(), 60, Some(0), Some(1)).unwrap();
    for zone in [Tz::UTC, Tz::Pacific__Apia, Tz::America__St_Johns] {
        for cron in ["* * * * *", "0 0 30 2 *", "0 0 29 2 *"] {
            let policy = asking(Rule::Deadline(asked(cron)), zone);
            for last in [
                DateTime::<Utc>::MIN_UTC,
                at(0),
                instant("9998-12-31T23:59:59Z"),
                DateTime::<Utc>::MAX_UTC,
            ] {
                let timing = Timing::of(Some(&policy), Some(last));
                assert_eq!(timing.basis, Basis::Timed);
                assert_eq!(timing.status_at(last), Status::Fresh);
            }
        }
    }
    // Ten years of a limit, six days of each week left out: never, and not after a long search.
    let mut policy = policy(Some(Seconds::MAX.get()), None);
    let week = (0..6).map(|day| Weekday::try_from(day).unwrap()).collect();
    policy.exclusions = Exclusions::parse(week, vec![], vec![]).unwrap();
    let timing = Timing::of(Some(&policy), Some(at(0)));
    assert_eq!((timing.deadlines.warn_at, timing.stored_deadlines().0), (None, END_OF_CALENDAR));
}

#[test]
fn a_passive_policy_judges_and_an_inactive_one_does_not() {
    let active = policy(Some(1), None);
    let timing = |mode| Timing::of(Some(&Policy { mode, ..active.clone() }), Some(at(0)));
    assert_eq!(timing(Mode::Passive), timing(Mode::Active));
    assert_eq!(timing(Mode::Inactive).basis, Basis::NotApplicable);
}
