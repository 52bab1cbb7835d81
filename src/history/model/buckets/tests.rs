use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    freshness::model::zone,
    history::model::tests::{at, runs},
};

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn range(from: &str, to: &str) -> Range {
    Range::parse(utc(from), utc(to)).unwrap()
}

fn hours(buckets: &[Range]) -> Vec<f64> {
    buckets.iter().map(|bucket| (bucket.to - bucket.from).as_seconds_f64() / 3_600.0).collect()
}

fn local(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%m-%d %H:%M").to_string()
}

#[test]
fn days_have_23_24_and_25_hours() {
    let berlin = zone::parse("Europe/Berlin").unwrap();
    let days = cut(range("2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z"), Size::Day, berlin);
    let days = days.unwrap();
    assert_eq!(hours(&days), [24.0, 23.0, 24.0, 24.0]);
    assert_eq!(days[0].from, utc("2026-03-27T23:00:00Z"), "whole, though the range begins later");
    let days = cut(range("2026-10-25T10:00:00Z", "2026-10-25T11:00:00Z"), Size::Day, berlin);
    assert_eq!(hours(&days.unwrap()), [25.0]);
    let week = cut(range("2026-10-25T10:00:00Z", "2026-10-25T11:00:00Z"), Size::Week, berlin);
    assert_eq!(local(week.unwrap()[0].from, berlin), "10-19 00:00");
    let months = cut(range("2026-01-15T00:00:00Z", "2026-04-15T00:00:00Z"), Size::Month, berlin);
    let months: Vec<_> = hours(&months.unwrap()).into_iter().map(|hours| hours / 24.0).collect();
    assert_eq!(months, [31.0, 28.0, 31.0 - 1.0 / 24.0, 30.0]);
}

#[test]
fn hours_begin_anew_at_local_midnight() {
    let berlin = zone::parse("Europe/Berlin").unwrap();
    let day = range("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_eq!(cut(day, Size::Minutes(60), berlin).unwrap().len(), 23);
    // Clocks here change by half an hour: the day has 23.5 hours, and its last bucket half of one.
    let lord_howe = zone::parse("Australia/Lord_Howe").unwrap();
    let day = range("2026-10-03T14:00:00Z", "2026-10-04T13:00:00Z");
    let buckets = cut(day, Size::Minutes(60), lord_howe).unwrap();
    assert_eq!(hours(&buckets).last(), Some(&0.5), "{buckets:?}");
    // A length that does not divide a day.
    let day = range("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    assert_eq!(
        hours(&cut(day, Size::Minutes(1_000), Tz::UTC).unwrap()),
        [1_000.0 / 60.0, 440.0 / 60.0]
    );
}

#[test]
fn a_day_begins_at_its_first_instant_even_without_or_with_two_midnights() {
    // Midnight is skipped: the day begins at one o'clock.
    let beirut = zone::parse("Asia/Beirut").unwrap();
    let day =
        cut(range("2026-03-29T06:00:00Z", "2026-03-29T07:00:00Z"), Size::Day, beirut).unwrap();
    assert_eq!((local(day[0].from, beirut).as_str(), hours(&day)[0]), ("03-29 01:00", 23.0));
    // Clocks went back from 00:01 to 23:01: midnight comes twice, and the first one counts.
    let st_johns = zone::parse("America/St_Johns").unwrap();
    let days = range("2009-11-01T00:00:00Z", "2009-11-01T12:00:00Z");
    let days = cut(days, Size::Day, st_johns).unwrap();
    assert_eq!(days.len(), 2);
    assert_eq!(days[1].from, utc("2009-11-01T02:30:00Z"));
    assert_eq!(hours(&days), [24.0, 25.0]);
    // An instant that the clock shows as of the day before, after the day began.
    let late = cut(range("2009-11-01T02:45:00Z", "2009-11-01T02:46:00Z"), Size::Day, st_johns);
    assert_eq!(late.unwrap(), [days[1]]);
    // A day that was left out altogether.
    let apia = zone::parse("Pacific/Apia").unwrap();
    let days = cut(range("2011-12-29T12:00:00Z", "2012-01-01T00:00:00Z"), Size::Day, apia).unwrap();
    let dates: Vec<_> = days.iter().map(|day| local(day.from, apia)).collect();
    assert_eq!(dates, ["12-29 00:00", "12-31 00:00", "01-01 00:00"]);
}

#[test]
fn there_are_400_buckets_at_most() {
    let minutes = |count| Range { from: at(0), to: at(0) + TimeDelta::minutes(count) };
    let midnight = utc("2026-01-01T00:00:00Z");
    let exact = Range { from: midnight, to: midnight + TimeDelta::minutes(400) };
    assert_eq!(cut(exact, Size::Minutes(1), Tz::UTC).unwrap().len(), 400);
    for (range, size) in
        [(minutes(401), Size::Minutes(1)), (minutes(400 * 1_440), Size::Minutes(60))]
    {
        assert!(matches!(
            cut(range, size, Tz::UTC),
            Err(Error::LimitExceeded { maximum: 400, .. })
        ));
    }
    for bad in [-1, 0, 1_441] {
        assert!(Size::minutes(bad).is_err());
    }
}

const ZONES: [Tz; 6] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Asia__Kolkata,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Chatham,
];

proptest! {
    /// Without a gap, in order, over the whole range, each edge where a local clock says so.
    #[test]
    fn buckets_cover_the_range_along_the_clock(
        from in 1_200_000_000..1_900_000_000_i64, days in 1..60_i64, zone in 0..ZONES.len(),
        size in 0..4_usize,
    ) {
        let from = DateTime::from_timestamp(from, 0).unwrap();
        let range = Range { from, to: from + TimeDelta::days(days) };
        let (zone, size) = (ZONES[zone], [Size::Minutes(360), Size::Day, Size::Week, Size::Month][size]);
        let buckets = cut(range, size, zone).unwrap();
        let (first, last) = (buckets.first().unwrap(), buckets.last().unwrap());
        prop_assert!(first.contains(range.from));
        prop_assert!(last.from < range.to && range.to <= last.to);
        prop_assert!(buckets.windows(2).all(|pair| pair[0].to == pair[1].from));
        for bucket in &buckets {
            let (begin, before) = (
                bucket.from.with_timezone(&zone),
                (bucket.from - TimeDelta::microseconds(1)).with_timezone(&zone),
            );
            let new_day = begin.date_naive() != before.date_naive();
            match size {
                Size::Minutes(_) => prop_assert!(bucket.to - bucket.from <= TimeDelta::hours(6)),
                Size::Day => prop_assert!(new_day),
                Size::Week => prop_assert!(new_day && begin.weekday() == chrono::Weekday::Mon),
                Size::Month => prop_assert!(new_day && begin.day() == 1),
            }
        }
    }

    #[test]
    fn each_run_is_counted_in_its_bucket(runs in runs(20_000), minutes in 30..200_u32) {
        let range = Range { from: at(1_000), to: at(18_000) };
        let buckets = cut(range, Size::Minutes(minutes), Tz::UTC).unwrap();
        let tallies = tally(&buckets, &runs);
        prop_assert_eq!(tallies.len(), buckets.len(), "empty ones too");
        for (bucket, tally) in buckets.iter().zip(tallies) {
            let within: Vec<_> =
                runs.iter().filter(|run| bucket.contains(run.effective_at)).collect();
            let those = |state| within.iter().filter(|run| run.state == state).count();
            prop_assert_eq!(tally.range, *bucket);
            prop_assert_eq!(tally.runs, within.len());
            prop_assert_eq!(tally.completed, those(RunState::Completed));
            prop_assert_eq!(tally.failed, those(RunState::Failed));
            prop_assert_eq!(tally.aborted, those(RunState::Aborted));
            let completed = within.iter().filter(|run| run.state == RunState::Completed);
            let rows: Vec<_> = completed.filter_map(|run| run.row_count).collect();
            prop_assert_eq!(tally.rows, (!rows.is_empty()).then(|| rows.iter().sum()));
        }
    }
}
