//! The function against a slow and obvious model, which goes minute by minute and asks of each what
//! the clock on the wall shows. They share no code.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDateTime, TimeZone, Timelike, Weekday};

use super::*;

/// A cron pattern as sets; `None` is `*`.
#[derive(Debug, Clone)]
struct Pattern {
    minutes: BTreeSet<u32>,
    hours: Option<BTreeSet<u32>>,
    days: Option<BTreeSet<u32>>,
    weekdays: Option<BTreeSet<u32>>,
}

impl Pattern {
    fn text(&self) -> String {
        let list =
            |set: &BTreeSet<u32>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let field = |set: &Option<BTreeSet<u32>>| set.as_ref().map_or("*".to_owned(), list);
        let (hours, days, weekdays) =
            (field(&self.hours), field(&self.days), field(&self.weekdays));
        format!("{} {hours} {days} * {weekdays}", list(&self.minutes))
    }

    fn shows(&self, wall: NaiveDateTime) -> bool {
        let day = self.days.as_ref().map(|days| days.contains(&wall.day()));
        let weekday = wall.weekday().num_days_from_sunday();
        let weekday = self.weekdays.as_ref().map(|weekdays| weekdays.contains(&weekday));
        let date = match (day, weekday) {
            (Some(day), Some(weekday)) => day || weekday,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => true,
        };
        date && self.minutes.contains(&wall.minute())
            && self.hours.as_ref().is_none_or(|hours| hours.contains(&wall.hour()))
    }
}

/// What the slow model knows of a policy.
#[derive(Debug, Clone)]
struct Slow {
    zone: Tz,
    weekdays: BTreeSet<u32>,
    dates: BTreeSet<NaiveDate>,
}

impl Slow {
    fn wall(&self, at: DateTime<Utc>) -> NaiveDateTime {
        self.zone.from_utc_datetime(&at.naive_utc()).naive_local()
    }

    fn counts(&self, wall: NaiveDateTime) -> bool {
        !self.weekdays.contains(&wall.weekday().num_days_from_monday())
            && !self.dates.contains(&wall.date())
    }

    /// Whether a deadline of the pattern is at this minute.
    fn is_deadline(&self, pattern: &Pattern, at: DateTime<Utc>) -> bool {
        let minute = TimeDelta::minutes(1);
        let (wall, before) = (self.wall(at), self.wall(at - minute));
        let is = |wall| pattern.shows(wall) && self.counts(wall);
        if pattern.hours.is_none() {
            return is(wall);
        }
        let shown_before = || (1..=180).any(|ago| self.wall(at - minute * ago) == wall);
        if is(wall) && !shown_before() {
            return true;
        }
        let mut skipped = before + minute;
        while skipped < wall {
            if is(skipped) {
                return true;
            }
            skipped += minute;
        }
        false
    }

    /// The first deadline that a success does not cover, if it is within so many days.
    fn due(
        &self,
        pattern: &Pattern,
        bound: TimeDelta,
        success: DateTime<Utc>,
        days: i64,
    ) -> Option<DateTime<Utc>> {
        let first = success.with_second(0)?.with_nanosecond(0)?;
        (0..days * 1_440)
            .map(|minutes| first + TimeDelta::minutes(minutes))
            .find(|at| *at - bound > success && self.is_deadline(pattern, *at))
    }

    /// The time from one instant to another, without what does not count.
    fn age(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
        let mut minute = from.with_second(0).unwrap().with_nanosecond(0).unwrap();
        let mut age = TimeDelta::zero();
        while minute < to {
            let next = minute + TimeDelta::minutes(1);
            if self.counts(self.wall(minute)) {
                age += next.min(to) - minute.max(from);
            }
            minute = next;
        }
        age
    }
}

const ZONES: [Tz; 5] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
];

/// Days on which clocks change (in Apia, the day that never was), a leap day, and any other.
const DAYS: [&str; 8] = [
    "2026-03-29",
    "2026-10-25",
    "2026-03-08",
    "2026-11-01",
    "2026-04-05",
    "2026-10-04",
    "2011-12-30",
    "2028-02-29",
];

fn slow() -> impl Strategy<Value = (Slow, DateTime<Utc>)> {
    let weekdays = prop_oneof![
        Just(BTreeSet::new()),
        Just(BTreeSet::from([5, 6])),
        prop::collection::btree_set(0..7_u32, 0..4),
    ];
    let zone = prop::sample::select(ZONES.to_vec());
    let day = prop_oneof![
        4 => prop::sample::select(DAYS.to_vec()).prop_map(|day| day.parse().unwrap()),
        1 => (0..14_000_i64).prop_map(|day| NaiveDate::default() + TimeDelta::days(day)),
    ];
    let dates = prop::collection::btree_set(-3..9_i64, 0..4);
    let back = 0..4 * 86_400_000_000_i64;
    (zone, day, weekdays, dates, back).prop_map(|(zone, day, weekdays, dates, back)| {
        let dates = dates.into_iter().map(|after| day + TimeDelta::days(after)).collect();
        let success = day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(1);
        (Slow { zone, weekdays, dates }, success - TimeDelta::microseconds(back))
    })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let set = |range: std::ops::Range<u32>, most| prop::collection::btree_set(range, 1..most);
    // Around the hours at which clocks change, more often than not.
    let hours = prop_oneof![set(0..4, 3), set(0..24, 4)];
    let minutes = prop_oneof![Just(BTreeSet::from([0])), Just(BTreeSet::from([30])), set(0..60, 4)];
    let hours = prop::option::weighted(0.7, hours);
    let days = prop::option::weighted(0.1, set(1..32, 12));
    let weekdays = prop::option::weighted(0.2, set(0..7, 6));
    (minutes, hours, days, weekdays).prop_map(|(minutes, hours, days, weekdays)| Pattern {
        minutes,
        hours,
        days,
        weekdays,
    })
}

fn exclusions(slow: &Slow) -> Exclusions {
    let weekday = |day: &u32| Weekday::try_from(u8::try_from(*day).unwrap()).unwrap();
    let weekdays = slow.weekdays.iter().map(weekday).collect();
    // Half of them by a calendar.
    let (own, named): (Vec<_>, Vec<_>) = slow.dates.iter().partition(|date| date.day() % 2 == 0);
    Exclusions::parse(weekdays, own, vec!["named".into()]).unwrap().resolved(&named)
}

/// What a timing is after it was stored and read again.
fn as_stored(policy: &Policy, timing: &Timing) -> Timing {
    Timing::stored(timing.basis, timing.stored_deadlines(), Some(policy))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn a_deadline_is_the_one_that_the_slow_model_finds(
        (slow, success) in slow(),
        pattern in pattern(),
        bound in prop_oneof![1..7_200_i64, 1..86_400_i64],
        (warn, more) in (0..7_200_i64, 1..7_200_i64),
    ) {
        const DAYS: i64 = 12;
        let (cron, parse) = (pattern.text(), |bound| {
            Deadline::parse(pattern.text(), bound, Some(warn), Some(warn + more))
        });
        let shortest = Cron::parse(cron).unwrap().shortest_interval();
        let bound = shortest.map_or(bound, |shortest| bound.min(shortest.num_seconds()));
        let mut policy = asking(Rule::Deadline(parse(bound).unwrap()), slow.zone);
        policy.exclusions = exclusions(&slow);
        let timing = Timing::of(Some(&policy), Some(success));
        prop_assert_eq!(as_stored(&policy, &timing), timing);
        let expected = slow.due(&pattern, TimeDelta::seconds(bound), success, DAYS);
        let found = timing.deadlines.due_at;
        let Some(due) = expected else {
            // It is none, or so late that the slow model did not get there.
            prop_assert!(found.is_none_or(|at| at - success > TimeDelta::days(DAYS - 1)), "{:?}", found);
            return Ok(());
        };
        prop_assert_eq!(found, Some(due));
        let (warn_at, stale_at) = (due + TimeDelta::seconds(warn), due + TimeDelta::seconds(warn + more));
        for (now, status) in [
            (success, Status::Fresh),
            (warn_at - MICRO, Status::Fresh),
            (warn_at, Status::Fresh),
            (warn_at + MICRO, Status::Warn),
            (stale_at, Status::Warn),
            (stale_at + MICRO, Status::Stale),
            (stale_at + TimeDelta::days(100), Status::Stale),
        ] {
            prop_assert_eq!(evaluate(now, Some(&policy), Some(success)).status, status);
        }
        // A success at the lower bound heals it, and one just before does not.
        let healed = |at| evaluate(stale_at + MICRO, Some(&policy), Some(at)).due_at > Some(due);
        prop_assert!(healed(due - TimeDelta::seconds(bound)));
        prop_assert!(!healed(due - TimeDelta::seconds(bound) - MICRO));
    }

    #[test]
    fn an_age_does_not_grow_on_excluded_dates(
        (slow, success) in slow(),
        (warn, more) in (prop_oneof![1..86_400_i64, 1..400_000_i64], 1..100_000_i64),
    ) {
        let limits = MaxAge::parse(Some(warn), Some(warn + more)).unwrap();
        let mut policy = asking(Rule::MaxAge(limits), slow.zone);
        policy.exclusions = exclusions(&slow);
        let timing = Timing::of(Some(&policy), Some(success));
        prop_assert_eq!(as_stored(&policy, &timing), timing);
        for (limit, at, worse) in [
            (warn, timing.deadlines.warn_at, Status::Warn),
            (warn + more, timing.deadlines.stale_at, Status::Stale),
        ] {
            let (limit, at) = (TimeDelta::seconds(limit), at.unwrap());
            prop_assert!(slow.age(success, at) <= limit);
            prop_assert!(slow.age(success, at + MICRO) > limit);
            prop_assert!(timing.status_at(at) != worse);
            prop_assert_eq!(timing.status_at(at + MICRO), worse);
        }
    }
}
