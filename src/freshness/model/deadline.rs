//! Deadlines: instants by which a dataset must have been refreshed, as a cron pattern names them.
//!
//! A success at S covers every deadline D with `D - lower bound ≤ S`. The first deadline that is not
//! covered counts: until it (and the grace after it) the dataset is fresh, and a success however late
//! makes it so again until the next one that is not covered.
//!
//! # When the clock is changed
//! `croner` reads the pattern and says on which dates it falls; the instants are found here, so that
//! a search is bounded by a number of days.
//!
//! | the pattern's hours | a time that the clock skips | a time that the clock shows twice |
//! |---|---|---|
//! | named (`6`, `6,18`, `8-17`) | is the first instant after the gap | is the first of the two |
//! | `*`, `*/2` | is no deadline | is two deadlines |
//!
//! Interval patterns so follow the clock on the wall, and no named time is ever lost. (`croner` itself
//! takes a pattern as named only if it has one hour and one minute.)

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds as SecondsField, Year};

use super::{
    exclusions::Exclusions,
    policy::Seconds,
    zone::{self, HORIZON_DAYS, Showing},
};
use crate::error::{Error, Result};

/// The longest cron pattern, in characters.
pub const MAX_CRON_CHARS: usize = 100;
const DAY_MINUTES: u32 = 24 * 60;

/// A cron pattern of five fields, as it was written and as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    pattern: croner::Cron,
    /// Its minutes of the day, in order.
    minutes: Vec<u32>,
    /// Whether it names its hours.
    named: bool,
}

impl Cron {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `cron` for one that is too long or that cannot be read.
    pub fn parse(text: String) -> Result<Self> {
        let refuse = |message: String| Error::bad_input("cron", message);
        if text.chars().count() > MAX_CRON_CHARS {
            return Err(refuse(format!("must not exceed {MAX_CRON_CHARS} characters")));
        }
        if !text.chars().all(|char| char.is_ascii_graphic() || char == ' ') {
            return Err(refuse("must be of printable ASCII characters".into()));
        }
        let parser =
            CronParser::builder().seconds(SecondsField::Disallowed).year(Year::Disallowed).build();
        let unreadable = |error| {
            refuse(format!("is no pattern of minute, hour, day, month and weekday: {error}"))
        };
        let pattern = parser.parse(&text).map_err(unreadable)?;
        let hours = pattern.pattern.hours.values();
        let minutes = pattern.pattern.minutes.values();
        let minutes = hours.iter().flat_map(|hour| {
            minutes.iter().map(move |minute| u32::from(*hour) * 60 + u32::from(*minute))
        });
        let mut minutes: Vec<_> = minutes.filter(|minute| *minute < DAY_MINUTES).collect();
        minutes.sort_unstable();
        let named = !pattern.pattern.hours.from_wildcard;
        Ok(Self { text, pattern, minutes, named })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn is_on(&self, date: NaiveDate) -> bool {
        let pattern = &self.pattern.pattern;
        let weekday = croner::Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
        pattern.month_match(date.month()).unwrap_or(false)
            && pattern.day_match(date.year(), date.month(), date.day(), weekday).unwrap_or(false)
    }

    /// The first deadline after `after` whose date is not excluded, if there is one within ten years.
    #[must_use]
    pub fn next_after(
        &self,
        zone: Tz,
        exclusions: &Exclusions,
        after: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        // A day earlier: a time in a gap may come to lie on the next date.
        let from = zone::local_date(zone, after)?.pred_opt()?;
        let on = |date: NaiveDate| {
            let counts = self.is_on(date) && !exclusions.exclude(date);
            counts.then(|| self.first_on(zone, date, after)).flatten()
        };
        let horizon = usize::try_from(HORIZON_DAYS + 2).unwrap_or(usize::MAX);
        let (date, first) =
            from.iter_days().take(horizon).find_map(|date| Some((date, on(date)?)))?;
        // Where the clock steps back over midnight, the next date begins before this one ends.
        let next = date.succ_opt().and_then(on);
        Some(next.map_or(first, |next| next.min(first)))
    }

    fn first_on(&self, zone: Tz, date: NaiveDate, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Some(midnight) = zone::start_of_even(zone, date) {
            let at = |minute: &u32| midnight + TimeDelta::minutes(i64::from(*minute));
            let passed = self.minutes.partition_point(|minute| at(minute) <= after);
            return self.minutes.get(passed).map(at);
        }
        let shown = self.minutes.iter().filter_map(|minute| {
            let time = NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0)?;
            let (showing, [first, second]) = zone::instants(zone, date.and_time(time));
            Some(match (showing, self.named) {
                (Showing::Never, false) => [None, None],
                (Showing::Twice, true) => [first, None],
                _ => [first, second],
            })
        });
        shown.flatten().flatten().filter(|at| *at > after).min()
    }

    /// The shortest time between two of its deadlines on the wall clock, where no clock is ever
    /// changed; `None` if it never falls twice. 28 years have every weekday of every leap year.
    #[must_use]
    pub fn shortest_interval(&self) -> Option<TimeDelta> {
        let pairs = self.minutes.iter().zip(self.minutes.iter().skip(1));
        let within = pairs.filter_map(|(one, next)| next.checked_sub(*one)).min();
        if within == Some(1) {
            return within.map(|minutes| TimeDelta::minutes(minutes.into()));
        }
        let (first, last) = (self.minutes.first()?, self.minutes.last()?);
        let start = NaiveDate::from_ymd_opt(2000, 1, 1)?;
        let mut before: Option<NaiveDate> = None;
        let mut days: Option<i64> = None;
        for date in start.iter_days().take(28 * 366).filter(|date| self.is_on(*date)) {
            let apart = before.map(|before| (date - before).num_days());
            days = days.into_iter().chain(apart).min();
            before = Some(date);
        }
        // A pattern that is on no date at all has no interval within a date either.
        before?;
        let over =
            days.map(|days| days * i64::from(DAY_MINUTES) - i64::from(*last) + i64::from(*first));
        within.map(i64::from).into_iter().chain(over).min().map(TimeDelta::minutes)
    }
}

/// By when a dataset must have been refreshed, and how long before that a refresh counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// Boxed, so that a rule is small.
    cron: Box<Cron>,
    lower_bound: Seconds,
    warn_grace: Option<Seconds>,
    fail_grace: Option<Seconds>,
}

impl Deadline {
    /// A deadline. The graces are seconds after it; 0 is a grace of no time.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] at `cron`, `lowerBoundSeconds`, `warnAfterSeconds`,
    /// `failAfterSeconds` or `deadline`: what cannot be read or contradicts itself, and an interval
    /// between deadlines that is smaller than the lower bound.
    pub fn parse(
        cron: String,
        lower_bound: i64,
        warn_grace: Option<i64>,
        fail_grace: Option<i64>,
    ) -> Result<Self> {
        let deadline = Self::accepted(cron, lower_bound, warn_grace, fail_grace)?;
        match deadline.cron.shortest_interval() {
            Some(interval) if interval < deadline.lower_bound.duration() => Err(Error::bad_input(
                "lowerBoundSeconds",
                format!(
                    "is longer than the shortest time between two deadlines, {} seconds on the \
                     wall clock: one refresh would have to count for both",
                    interval.num_seconds()
                ),
            )),
            _ => Ok(deadline),
        }
    }

    /// The same of one whose interval was found to be long enough before, which takes a while.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn accepted(
        cron: String,
        lower_bound: i64,
        warn_grace: Option<i64>,
        fail_grace: Option<i64>,
    ) -> Result<Self> {
        let cron = Box::new(Cron::parse(cron)?);
        let lower_bound = Seconds::parse("lowerBoundSeconds", 1, lower_bound)?;
        let warn_grace = warn_grace.map(|grace| Seconds::parse("warnAfterSeconds", 0, grace));
        let fail_grace = fail_grace.map(|grace| Seconds::parse("failAfterSeconds", 0, grace));
        let (warn_grace, fail_grace) =
            Seconds::in_order("deadline", warn_grace.transpose()?, fail_grace.transpose()?)?;
        Ok(Self { cron, lower_bound, warn_grace, fail_grace })
    }

    /// The pattern.
    #[must_use]
    pub fn cron(&self) -> &Cron {
        &self.cron
    }

    /// How long before a deadline a success counts for it.
    #[must_use]
    pub const fn lower_bound(&self) -> Seconds {
        self.lower_bound
    }

    /// How long after the deadline to warn.
    #[must_use]
    pub const fn warn_grace(&self) -> Option<Seconds> {
        self.warn_grace
    }

    /// How long after the deadline the dataset is stale.
    #[must_use]
    pub const fn fail_grace(&self) -> Option<Seconds> {
        self.fail_grace
    }

    /// The first deadline that a success does not cover.
    pub(super) fn after(
        &self,
        zone: Tz,
        exclusions: &Exclusions,
        success: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let covered = success.checked_add_signed(self.lower_bound.duration())?;
        self.cron.next_after(zone, exclusions, covered)
    }
}
