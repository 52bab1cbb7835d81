//! Setting and removing calendars: each a transaction with its audit event.

use chrono::NaiveDate;

use super::{
    applying,
    calendars::{self, Calendar, MAX_CALENDARS},
    model::exclusions::parse_dates,
};
use crate::{
    audit::{self, Entry, Outcome, trail},
    auth::policy::Operation,
    call::Call,
    dataset::model::{Description, Domain},
    db::TenantTx,
    error::{Error, ErrorCode, Result},
};

/// How changing a calendar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// As it was asked, and so many datasets were brought up to date.
    Done(usize),
    /// Not at all: the calendar is at another version than the caller thought.
    OtherVersion,
    /// Not at all: a policy that is in force names it.
    InUse,
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
    trail::change(call, operation, None, async {
        let name = read_name(new.name)?;
        let description = new.description.map(Description::parse).transpose()?;
        let dates = parse_dates("dates", new.dates)?;
        let tx = call.db().write().await?;
        applying::hold_all(&tx).await?;
        let before = calendars::named(&tx, &name).await?;
        if !is_at(before.as_ref(), new.expected_version) {
            return finish(call, tx, operation, &name, Changed::OtherVersion).await;
        }
        if before.is_none() && calendars::all(&tx).await?.len() >= MAX_CALENDARS {
            let maximum = MAX_CALENDARS as u64;
            return Err(Error::LimitExceeded { limit: "calendars", maximum });
        }
        let description = description.map(|description| description.as_str().to_owned());
        calendars::put(&tx, call, &name, description, &dates).await?;
        let datasets = applying::judged_by_calendar(&tx, &name).await?;
        applying::apply(&tx, &datasets, call.now()).await?;
        finish(call, tx, operation, &name, Changed::Done(datasets.len())).await
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
    trail::change(call, operation, None, async {
        let name = read_name(name)?;
        let tx = call.db().write().await?;
        applying::hold_all(&tx).await?;
        let before = calendars::named(&tx, &name).await?;
        if before.is_none() {
            return Err(Error::NotFound("freshness calendar"));
        }
        let changed = if !is_at(before.as_ref(), expected_version) {
            Changed::OtherVersion
        } else if calendars::is_named(&tx, &name).await? {
            Changed::InUse
        } else {
            calendars::remove(&tx, &name).await?;
            Changed::Done(0)
        };
        finish(call, tx, operation, &name, changed).await
    })
    .await
}

async fn finish(
    call: &Call,
    tx: TenantTx,
    operation: Operation,
    name: &str,
    changed: Changed,
) -> Result<Changed> {
    let resource = Some(format!("calendar:{name}"));
    let outcome = match changed {
        Changed::Done(_) => Outcome::Success,
        Changed::OtherVersion | Changed::InUse => Outcome::Rejected(ErrorCode::Conflict),
    };
    audit::append(&tx, call, &[Entry { operation, dataset_id: None, resource, outcome }]).await?;
    tx.commit().await?;
    Ok(changed)
}
