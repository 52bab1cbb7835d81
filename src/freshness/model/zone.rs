//! Wall clocks and instants. A wall clock skips times (a gap) and repeats some (an overlap).

use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc,
};
use chrono_tz::{GapInfo, Tz};

use crate::error::{Error, Result};

/// How far a search looks: ten years of days. What does not come within them never comes.
pub const HORIZON_DAYS: u64 = 3_653;

/// Reads the name of a timezone.
///
/// # Errors
/// [`Error::BadUserInput`] for one that the IANA database does not have.
pub fn parse(name: &str) -> Result<Tz> {
    let refuse = || {
        Error::bad_input("timezone", "is no timezone of the IANA database, such as Europe/Berlin")
    };
    name.parse().map_err(|_| refuse())
}

/// Whether an instant is out of the calendar in which searches are done.
#[must_use]
pub fn is_unusual(at: DateTime<Utc>) -> bool {
    !(1..=9_998).contains(&at.year())
}

/// The date on the wall at an instant; `None` for one that no calendar of a database has.
pub(super) fn local_date(zone: Tz, at: DateTime<Utc>) -> Option<NaiveDate> {
    (!is_unusual(at)).then(|| at.with_timezone(&zone).date_naive())
}

/// The instants at which the wall clock shows this, the first one first. A time in a gap is at the
/// first instant after it.
pub(super) fn instants(zone: Tz, wall: NaiveDateTime) -> (Showing, [Option<DateTime<Utc>>; 2]) {
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) => (Showing::Once, [Some(at.to_utc()), None]),
        MappedLocalTime::Ambiguous(one, other) => {
            let (one, other) = (one.to_utc(), other.to_utc());
            (Showing::Twice, [Some(one.min(other)), Some(one.max(other))])
        }
        MappedLocalTime::None => {
            let end = GapInfo::new(&wall, &zone).and_then(|gap| gap.end);
            (Showing::Never, [end.map(|end| end.to_utc()), None])
        }
    }
}

/// How often a wall clock shows a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Showing {
    Never,
    Once,
    Twice,
}

/// The first instant of a date, or of the next one where a place left it out.
#[must_use]
pub fn start_of(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    instants(zone, date.and_time(NaiveTime::MIN)).1[0]
}

/// The first instant of a date whose clock is not changed on it.
pub(super) fn start_of_even(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    let (first, next) = (instants_of(zone, date)?, instants_of(zone, date.succ_opt()?)?);
    ((next - first).num_seconds() == 86_400).then_some(first)
}

fn instants_of(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    match instants(zone, date.and_time(NaiveTime::MIN)) {
        (Showing::Once, [first, _]) => first,
        _ => None,
    }
}
