//! Setting and removing calendars: each a transaction with its audit event.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{
    applying,
    calendars::{self, Calendar, MAX_CALENDARS},
    model::exclusions::parse_dates,
    selected,
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    dataset::model::{Description, Domain},
    error::{Error, ErrorCode, Result},
};

/// How changing a calendar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// As it was asked, and so many datasets were brought up to date.
    Done(usize),
    /// Not at all: the calendar is at another version than the caller thought.
    OtherVersion,
    /// Not at all: a policy that is in force names it.
    InUse,
}

impl Changed {
    /// With its audit event.
    fn done(self, operation: Operation, name: &str) -> Done<Self> {
        let resource = Some(format!("calendar:{name}"));
        let outcome = match self {
            Self::Done(_) => Outcome::Success,
            Self::OtherVersion | Self::InUse => Outcome::Rejected(ErrorCode::Conflict),
        };
        Done::new(self, vec![Entry { operation, dataset_id: None, resource, outcome }])
    }
}

/// A calendar to be, as it was asked for.
#[derive(Debug, Clone)]
pub struct NewCalendar {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Its dates, in place of all that it had.
    pub dates: Vec<NaiveDate>,
    /// The version that the caller believes it to be at, if it matters; 0 stands for none.
    pub expected_version: Option<i64>,
}

fn read_name(name: String) -> Result<String> {
    let refuse = |error| match error {
        Error::BadUserInput { message, .. } => Error::bad_input("name", message),
        other => other,
    };
    Ok(Domain::parse(name).map_err(refuse)?.as_str().to_owned())
}

/// Makes a calendar or gives it other dates, and brings the datasets up to date that are judged by
/// it.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::BadUserInput`]; [`Error::LimitExceeded`] for too many calendars or
/// datasets.
pub async fn set(call: &Call, new: NewCalendar) -> Result<Changed> {
    let operation = Operation::FreshnessCalendarSet;
    let expected = new.expected_version;
    let prepare = async {
        let description = new.description.map(Description::parse).transpose()?;
        Ok((read_name(new.name)?, description, parse_dates("dates", new.dates)?))
    };
    trail::change(call, operation, None, prepare, async |tx, (name, description, dates)| {
        applying::hold_all(tx).await?;
        let before = calendars::named(tx, &name).await?;
        if !is_at(before.as_ref(), expected) {
            return Ok(Changed::OtherVersion.done(operation, &name));
        }
        if before.is_none() && calendars::all(tx).await?.len() >= MAX_CALENDARS {
            let maximum = MAX_CALENDARS as u64;
            return Err(Error::LimitExceeded { limit: "calendars", maximum });
        }
        let description = description.map(|description| description.as_str().to_owned());
        calendars::put(tx, call, &name, description, &dates).await?;
        let datasets = selected::of_calendar(tx, &name).await?;
        applying::apply(tx, &datasets, call.now()).await?;
        Ok(Changed::Done(datasets.len()).done(operation, &name))
    })
    .await
}

fn is_at(calendar: Option<&Calendar>, expected: Option<i64>) -> bool {
    let version = calendar.map_or(0, |calendar| calendar.row_version);
    expected.is_none_or(|expected| expected == version)
}

/// Removes a calendar that no policy in force names.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for one that does not exist.
pub async fn remove(call: &Call, name: String, expected_version: Option<i64>) -> Result<Changed> {
    let operation = Operation::FreshnessCalendarRemove;
    trail::change(call, operation, None, async { read_name(name) }, async |tx, name| {
        applying::hold_all(tx).await?;
        let before = calendars::named(tx, &name).await?;
        if before.is_none() {
            return Err(Error::NotFound("freshness calendar"));
        }
        let changed = if !is_at(before.as_ref(), expected_version) {
            Changed::OtherVersion
        } else if calendars::is_named(tx, &name).await? {
            Changed::InUse
        } else {
            calendars::remove(tx, &name).await?;
            Changed::Done(0)
        };
        Ok(changed.done(operation, &name))
    })
    .await
}
