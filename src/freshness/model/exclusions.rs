//! Dates on which nothing is expected: weekends, single dates, and what the tenant's calendars name.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;

use super::zone::{self, HORIZON_DAYS};
use crate::error::{Error, Result};

/// The most dates that a policy or a calendar may name.
pub const MAX_DATES: usize = 1_000;
/// The most calendars that a policy may name.
pub const MAX_CALENDARS: usize = 10;

/// Local dates, in the policy's timezone, on which nothing is expected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exclusions {
    weekdays: Vec<Weekday>,
    dates: Vec<NaiveDate>,
    calendars: Vec<String>,
    /// Its own dates and those of its calendars, sorted.
    resolved: Vec<NaiveDate>,
}

/// Sorted, each once, and such as every client's calendar has them.
///
/// # Errors
/// [`Error::BadUserInput`] at `field` for more than [`MAX_DATES`], or for one out of the calendar.
pub fn parse_dates(field: &'static str, mut dates: Vec<NaiveDate>) -> Result<Vec<NaiveDate>> {
    dates.sort_unstable();
    dates.dedup();
    if dates.len() > MAX_DATES {
        return Err(Error::bad_input(field, format!("must not be more than {MAX_DATES} dates")));
    }
    if dates.iter().any(|date| !(1..=9_999).contains(&date.year())) {
        return Err(Error::bad_input(field, "must lie in the years 1 to 9999"));
    }
    Ok(dates)
}

impl Exclusions {
    /// The exclusions of a policy, without what its calendars say.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `exclusions.…`: all seven weekdays, more than [`MAX_DATES`] dates
    /// or [`MAX_CALENDARS`] calendars.
    pub fn parse(
        mut weekdays: Vec<Weekday>,
        dates: Vec<NaiveDate>,
        mut calendars: Vec<String>,
    ) -> Result<Self> {
        weekdays.sort_unstable_by_key(Weekday::num_days_from_monday);
        weekdays.dedup();
        if weekdays.len() == 7 {
            return Err(Error::bad_input("exclusions.weekdays", "leave no day of the week"));
        }
        calendars.sort_unstable();
        calendars.dedup();
        if calendars.len() > MAX_CALENDARS {
            let message = format!("must not be more than {MAX_CALENDARS} calendars");
            return Err(Error::bad_input("exclusions.calendars", message));
        }
        let dates = parse_dates("exclusions.dates", dates)?;
        Ok(Self { weekdays, resolved: dates.clone(), dates, calendars })
    }

    /// The same with the dates that its calendars name.
    #[must_use]
    pub fn resolved(mut self, calendar_dates: &[NaiveDate]) -> Self {
        self.resolved = [&self.dates, calendar_dates].concat();
        self.resolved.sort_unstable();
        self.resolved.dedup();
        self
    }

    /// The weekdays, Monday first.
    #[must_use]
    pub fn weekdays(&self) -> &[Weekday] {
        &self.weekdays
    }

    /// The policy's own dates, sorted.
    #[must_use]
    pub fn dates(&self) -> &[NaiveDate] {
        &self.dates
    }

    /// The names of the calendars, sorted.
    #[must_use]
    pub fn calendars(&self) -> &[String] {
        &self.calendars
    }

    /// Whether nothing is expected on this date.
    #[must_use]
    pub fn exclude(&self, date: NaiveDate) -> bool {
        self.weekdays.contains(&date.weekday()) || self.resolved.binary_search(&date).is_ok()
    }

    /// The last instant at which the time since `from` is at most `limit`, where time on excluded
    /// dates does not count; `None` if that is not within the ten years after `from`, unless there
    /// is nothing to exclude. A date is taken to begin when it first begins.
    pub(super) fn kept_until(
        &self,
        zone: Tz,
        from: DateTime<Utc>,
        limit: TimeDelta,
    ) -> Option<DateTime<Utc>> {
        if self.weekdays.is_empty() && self.resolved.is_empty() {
            return from.checked_add_signed(limit);
        }
        let mut date = zone::local_date(zone, from)?;
        let end = date.checked_add_days(chrono::Days::new(HORIZON_DAYS))?;
        let (mut counted_from, mut left) = (from, limit);
        loop {
            let open = self.first(date, end, false)?;
            if open > date {
                counted_from = zone::start_of(zone, open)?.max(counted_from);
            }
            let closed = self.first(open, end, true).unwrap_or(end);
            let counts = zone::start_of(zone, closed)? - counted_from;
            if left < counts {
                return counted_from.checked_add_signed(left);
            }
            left -= counts;
            counted_from = zone::start_of(zone, closed)?;
            date = closed;
            if date >= end {
                return None;
            }
        }
    }

    /// The first date in `from..end` that is excluded, or is not.
    fn first(&self, from: NaiveDate, end: NaiveDate, excluded: bool) -> Option<NaiveDate> {
        from.iter_days().take_while(|date| *date < end).find(|date| self.exclude(*date) == excluded)
    }
}
