//! Our verdicts beside those of Dagster's and of dbt's own evaluators (`tests/clients/freshness.py`).
//! `DRR_TEST_PYTHON` names the Python that has them (`scripts/test` sets it up).
//!
//! They agree but for two differences, which stay (`docs/decisions.md`): a limit of Dagster's is
//! passed at its instant and not after it; and of a named time that a clock shows twice, Dagster takes
//! the second.

use std::{io::Write, path::Path, process::Stdio};

use chrono::{DateTime, LocalResult, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use drr::freshness::model::{
    Deadline, Driver, Exclusions, MaxAge, Mode, Policy, Rule, Target, Timing,
};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::{cluster::run, lineage::Dice};

const MICRO: TimeDelta = TimeDelta::microseconds(1);
const CASES: usize = 1_500;

fn policy(rule: Rule, timezone: Tz) -> Policy {
    Policy {
        id: Uuid::nil(),
        version: 1,
        target: Target::Dataset(Uuid::nil()),
        rule,
        mode: Mode::Active,
        driver: Driver::Operational,
        exclusions: Exclusions::default(),
        timezone,
        effective_from: DateTime::UNIX_EPOCH,
    }
}

/// A case, and what we say of it.
struct Case {
    asked: Value,
    ours: &'static str,
    /// Whether a clock shows the deadline twice.
    repeated: bool,
}

fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1_000.0
}

fn below(dice: &mut Dice, most: usize) -> i64 {
    i64::try_from(dice.roll(most)).unwrap()
}

/// An instant of the years 2020 to 2029, on half a second.
fn some_instant(dice: &mut Dice) -> DateTime<Utc> {
    let day = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
    day + TimeDelta::days(below(dice, 3_652)) + TimeDelta::milliseconds(500 * below(dice, 172_800))
}

/// At the instant or half a second beside it, or anywhere in the two days before and after.
fn near(dice: &mut Dice, at: DateTime<Utc>) -> DateTime<Utc> {
    match dice.roll(6) {
        0 => at,
        1 => at + TimeDelta::milliseconds(500),
        2 => at - TimeDelta::milliseconds(500),
        _ => at + TimeDelta::milliseconds(500 * (below(dice, 691_200) - 345_600)),
    }
}

fn cron(dice: &mut Dice) -> (String, i64) {
    let (minute, hour, other) = (below(dice, 60), below(dice, 24), below(dice, 12));
    match dice.roll(6) {
        0 => (format!("{minute} * * * *"), 3_600),
        1 => ("*/15 * * * *".to_owned(), 900),
        2 => (format!("{minute} {other},{} * * *", other + 12), 43_200),
        3 => (format!("{minute} {hour} * * {}", dice.roll(7)), 604_800),
        // At the hours at which clocks change.
        4 => (format!("{minute} {} * * *", 1 + dice.roll(3)), 86_400),
        _ => (format!("{minute} {hour} * * 1-5"), 86_400),
    }
}

fn deadline_case(dice: &mut Dice) -> Case {
    let zones = [Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Sydney];
    let zone = zones[dice.roll(zones.len())];
    let (cron, most) = cron(dice);
    let bound = 60 + below(dice, usize::try_from(most - 59).unwrap());
    let rule = Deadline::parse(cron.clone(), bound, None, Some(0)).unwrap();
    let policy = policy(Rule::Deadline(rule), zone);
    // Two days before a clock changes, more often than not.
    let before = match dice.roll(4) {
        0 => some_instant(dice),
        change => {
            let days = [
                "2026-03-27",
                "2026-10-23",
                "2026-03-06",
                "2026-10-30",
                "2026-04-03",
                "2026-10-02",
            ];
            let day: NaiveDate = days[dice.roll(days.len())].parse().unwrap();
            let ahead = TimeDelta::milliseconds(500 * below(dice, 172_800 * change));
            day.and_hms_opt(0, 0, 0).unwrap().and_utc() + ahead
        }
    };
    let due = |success| Timing::of(Some(&policy), Some(success)).deadlines.due_at.unwrap();
    let success = near(dice, due(before) - TimeDelta::seconds(bound));
    let now = near(dice, due(success)).max(success);
    let timing = Timing::of(Some(&policy), Some(success));
    let repeated = [due(before), due(success)].into_iter().any(|at| {
        let wall = at.with_timezone(&zone).naive_local();
        matches!(zone.from_local_datetime(&wall), LocalResult::Ambiguous(..))
    });
    let asked = json!({ "of": "dagster.cron", "cron": cron, "lower_bound": bound,
        "timezone": zone.name(), "success": seconds(success), "now": seconds(now) });
    Case { asked, ours: timing.status_at(now + MICRO).as_str(), repeated }
}

fn age_case(dice: &mut Dice, of: &str) -> Case {
    let warn = 60 * (1 + below(dice, 5_000));
    let fail = warn + 60 * (1 + below(dice, 5_000));
    let (warn, fail) = match dice.roll(if of == "dbt" { 3 } else { 2 }) {
        0 => (Some(warn), Some(fail)),
        1 => (None, Some(fail)),
        _ => (Some(warn), None),
    };
    let policy = policy(Rule::MaxAge(MaxAge::parse(warn, fail).unwrap()), Tz::UTC);
    let success = some_instant(dice);
    let limit = if dice.roll(2) == 0 { warn.or(fail) } else { fail.or(warn) };
    let now = near(dice, success + TimeDelta::seconds(limit.unwrap())).max(success);
    // A limit of Dagster's is passed at its instant.
    let judged = if of == "dbt" { now } else { now + MICRO };
    let ours = Timing::of(Some(&policy), Some(success)).status_at(judged).as_str();
    let asked = json!({ "of": of, "warn": warn, "fail": fail,
        "success": seconds(success), "now": seconds(now) });
    Case { asked, ours, repeated: false }
}

async fn verdicts(python: &Path, cases: &[Case]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/freshness.py");
    let mut input = tempfile::tempfile().unwrap();
    for case in cases {
        writeln!(input, "{}", case.asked).unwrap();
    }
    std::io::Seek::rewind(&mut input).unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(script)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home.path())
        .env("LANG", "C.UTF-8")
        .env("DO_NOT_TRACK", "1")
        .stdin(Stdio::from(input))
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn dagster_and_dbt_say_the_same() {
    let Some(python) = crate::lineage::clients::python() else { return };
    run(async {
        let mut dice = Dice::new(7);
        let mut cases: Vec<_> = (0..2 * CASES).map(|_| deadline_case(&mut dice)).collect();
        cases.extend((0..CASES).map(|_| age_case(&mut dice, "dagster.window")));
        cases.extend((0..CASES).map(|_| age_case(&mut dice, "dbt")));
        let theirs = verdicts(&python, &cases).await;
        assert_eq!(theirs.len(), cases.len());
        let mut repeated = 0;
        for (case, theirs) in cases.iter().zip(&theirs) {
            if case.repeated {
                repeated += 1;
                continue;
            }
            assert_eq!(theirs, case.ours, "{}", case.asked);
        }
        assert!((1..cases.len() / 20).contains(&repeated), "{repeated}");
        for status in ["FRESH", "WARN", "STALE"] {
            let count = theirs.iter().filter(|theirs| *theirs == status).count();
            assert!(count > cases.len() / 10, "{status}: {count}");
        }
    });
}

/// The differences that stay, so that it is noticed when one of them goes.
#[test]
fn where_dagster_says_otherwise() {
    let Some(python) = crate::lineage::clients::python() else { return };
    run(async {
        let at = |text: &str| seconds(text.parse().unwrap());
        let twice = |now: &str| {
            json!({ "of": "dagster.cron", "cron": "30 2 * * *", "lower_bound": 3_600,
                "timezone": "Europe/Berlin", "success": at("2026-10-24T12:00:00Z"), "now": at(now) })
        };
        let window = |age| json!({ "of": "dagster.window", "warn": null, "fail": 120, "success": 0, "now": age });
        let cases = [
            // After the first 02:30, and after the second.
            (twice("2026-10-25T00:30:01Z"), "FRESH"),
            (twice("2026-10-25T01:30:01Z"), "STALE"),
            (window(120), "STALE"),
        ];
        let asked = cases.clone().map(|(asked, _)| Case { asked, ours: "", repeated: false });
        assert_eq!(verdicts(&python, &asked).await, cases.map(|(_, theirs)| theirs));

        let rule = Deadline::parse("30 2 * * *".to_owned(), 3_600, None, Some(0)).unwrap();
        let policy = policy(Rule::Deadline(rule), Tz::Europe__Berlin);
        let success = "2026-10-24T12:00:00Z".parse().unwrap();
        let due = Timing::of(Some(&policy), Some(success)).deadlines.due_at;
        assert_eq!(due, "2026-10-25T00:30:00Z".parse().ok());
    });
}
