//! Named calendars in the database.

use std::collections::HashSet;

use chrono::NaiveDate;
use uuid::Uuid;

use crate::{
    call::Call,
    db::{FromRow, TenantTx, records},
    error::{Error, Result},
};

/// A calendar as it is stored.
pub type Calendar = entity::freshness_calendar::Model;

/// The most calendars that a tenant may have.
pub const MAX_CALENDARS: usize = 100;

const ALL: &str = "SELECT * FROM freshness_calendar ORDER BY name";

/// All calendars of the tenant, by name.
///
/// # Errors
/// Whatever the database answers.
pub async fn all(tx: &TenantTx) -> Result<Vec<Calendar>> {
    Ok(tx.query_sql(ALL, []).await?)
}

const NAMED: &str = "SELECT * FROM freshness_calendar WHERE name = ANY ($1)";

/// The dates of these calendars.
///
/// # Errors
/// [`Error::BadUserInput`] at `exclusions.calendars` for one that does not exist.
pub async fn dates(tx: &TenantTx, names: &[String]) -> Result<Vec<NaiveDate>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<Calendar> = tx.query_sql(NAMED, [names.to_vec().into()]).await?;
    let known: HashSet<_> = found.iter().map(|calendar| calendar.name.as_str()).collect();
    if let Some(missing) = names.iter().find(|name| !known.contains(name.as_str())) {
        let message = format!("there is no calendar {missing:?}");
        return Err(Error::bad_input("exclusions.calendars", message));
    }
    Ok(found.into_iter().flat_map(|calendar| calendar.dates).collect())
}

/// The calendar of this name, if there is one.
///
/// # Errors
/// Whatever the database answers.
pub async fn named(tx: &TenantTx, name: &str) -> Result<Option<Calendar>> {
    Ok(tx.query_sql(NAMED, [vec![name.to_owned()].into()]).await?.pop())
}

const PUT: &str = "
INSERT INTO freshness_calendar (tenant_id, name, description, dates, updated_at, updated_by)
SELECT current_tenant(), $1, $2, coalesce(array_agg(date ORDER BY date), '{}'), $4, $5
  FROM jsonb_array_elements_text($3) AS named (day), CAST (day AS date) AS date
ON CONFLICT (tenant_id, name) DO UPDATE SET
  description = excluded.description, dates = excluded.dates,
  row_version = freshness_calendar.row_version + 1,
  updated_at = excluded.updated_at, updated_by = excluded.updated_by";

/// Makes or changes a calendar.
///
/// # Errors
/// Whatever the database answers.
pub async fn put(
    tx: &TenantTx,
    call: &Call,
    name: &str,
    description: Option<String>,
    dates: &[NaiveDate],
) -> Result<()> {
    let actor = call.principal().actor().into();
    let values = [name.into(), description.into(), records(dates)?, call.now().into(), actor];
    tx.execute_sql(PUT, values).await?;
    Ok(())
}

const REMOVE: &str = "DELETE FROM freshness_calendar WHERE name = $1";

/// Removes a calendar.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove(tx: &TenantTx, name: &str) -> Result<()> {
    tx.execute_sql(REMOVE, [name.into()]).await?;
    Ok(())
}

#[derive(FromRow)]
struct Naming {
    policy_id: Uuid,
}

const NAMING: &str = "
SELECT policy_id FROM freshness_policy p
 WHERE $1 = ANY (exclude_calendars) AND NOT removed
   AND NOT EXISTS (SELECT FROM freshness_policy later
                    WHERE later.policy_id = p.policy_id AND later.version > p.version)
 LIMIT 1";

/// Whether a policy that is in force names the calendar.
///
/// # Errors
/// Whatever the database answers.
pub async fn is_named(tx: &TenantTx, name: &str) -> Result<bool> {
    let found: Vec<Naming> = tx.query_sql(NAMING, [name.into()]).await?;
    Ok(found.first().is_some_and(|naming| !naming.policy_id.is_nil()))
}
