//! Times as producers write them.

use chrono::{DateTime, Datelike, Utc};

/// A time that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    /// In whole microseconds; a leap second is the second after it.
    pub(super) at: DateTime<Utc>,
    /// Whether a zone was given; without one it was taken for UTC.
    pub(super) zoned: bool,
}

/// Reads a time of RFC 3339, with or without its zone, between the years 0 and 9999.
pub(super) fn read(text: &str) -> Option<Instant> {
    let zoned = DateTime::parse_from_rfc3339(text).ok();
    let time = zoned.or_else(|| DateTime::parse_from_rfc3339(&format!("{text}Z")).ok())?;
    let at = DateTime::from_timestamp_micros(time.timestamp_micros())?;
    (0..=9999).contains(&at.year()).then_some(Instant { at, zoned: zoned.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        for (text, micros, zoned) in [
            ("1970-01-01T00:00:01Z", 1_000_000, true),
            ("1970-01-01T00:00:01.123456+00:00", 1_123_456, true),
            ("1970-01-01T00:00:01.123456999Z", 1_123_456, true),
            ("1970-01-01T02:00:01+02:00", 1_000_000, true),
            ("1969-12-31T23:59:59.9999999Z", -1, true),
            ("1970-01-01T00:00:01.5", 1_500_000, false),
            ("1970-01-01T00:00:01", 1_000_000, false),
            ("1972-06-30T23:59:60Z", 78_796_800_000_000, true),
        ] {
            let at = DateTime::from_timestamp_micros(micros).unwrap();
            assert_eq!(read(text), Some(Instant { at, zoned }), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_not_guessed() {
        for text in [
            "",
            "Z",
            "now",
            "1970-01-01",
            "1970-01-01T00:00",
            "1970-02-30T00:00:00Z",
            "01/02/1970 00:00:00",
            "1970-01-01T00:00:00+0000",
            "1970-01-01T00:00:00Z[UTC]",
            "1970-01-01T25:00:00Z",
            "+12026-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
            "1582675200",
            "1970-01-01T00:00:00ZZ",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
