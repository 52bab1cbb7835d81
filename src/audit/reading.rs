//! The trail, read: for auditors, newest first.

use chrono::{DateTime, TimeDelta, Utc};
use entity::audit_event;
use sea_orm::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::{Class, Ended, Event};
use crate::{
    auth::TenantId,
    db::TenantTx,
    error::{Error, Result},
};

/// Which events are asked for. `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who did it.
    pub actor_id: Option<String>,
    /// What was asked for, or what else the same call asked for.
    pub action: Option<String>,
    /// The dataset that it was about.
    pub dataset_id: Option<Uuid>,
    /// How it ended.
    pub result: Option<Ended>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// What ties it to an answer and the log.
    pub correlation_id: Option<String>,
    /// How long it is kept.
    pub class: Option<Class>,
}

/// Where a page goes on: the last event before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventPosition {
    /// When it was.
    pub occurred_at: DateTime<Utc>,
    /// Its id.
    pub event_id: Uuid,
}

impl EventPosition {
    /// The place of an event.
    #[must_use]
    pub const fn of(event: &Event) -> Self {
        Self { occurred_at: event.occurred_at, event_id: event.event_id }
    }
}

// Constants, not parameters: the index of what was no success holds that only, and the classes are
// partitions.
const fn with_result(result: Ended) -> &'static str {
    match result {
        Ended::Success => " AND result = 'SUCCESS'",
        Ended::Partial => " AND result = 'PARTIAL'",
        Ended::Denied => " AND result = 'DENIED'",
        Ended::Rejected => " AND result = 'REJECTED'",
        Ended::Failure => " AND result = 'FAILURE'",
        Ended::Cancelled => " AND result = 'CANCELLED'",
    }
}

const fn of_class(class: Class) -> &'static str {
    match class {
        Class::Api => " AND class = 'API'",
        Class::Schema => " AND class = 'SCHEMA'",
    }
}

/// The statement for a page, and its values.
#[must_use]
pub fn page_statement(
    filter: &Filter,
    after: Option<EventPosition>,
    limit: u32,
) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![i64::from(limit).into()];
    let mut sql = "SELECT * FROM audit_event WHERE true".to_owned();
    let mut also = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            sql += &condition.replace('?', &format!("${}", values.len()));
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    also(" AND actor_id = ?", text(&filter.actor_id));
    also(" AND (action = ? OR ? = ANY (also))", text(&filter.action));
    also(" AND dataset_id = ?", filter.dataset_id.map(Value::from));
    also(" AND correlation_id = ?", text(&filter.correlation_id));
    also(" AND occurred_at >= ?", filter.since.map(Value::from));
    also(" AND occurred_at < ?", filter.until.map(Value::from));
    if let Some(after) = after {
        values.extend([after.occurred_at.into(), after.event_id.into()]);
        let (id, at) = (values.len(), values.len() - 1);
        // The months after it are not opened, which they would be by the second condition alone.
        sql += &format!(" AND occurred_at <= ${at} AND (occurred_at, event_id) < (${at}, ${id})");
    }
    sql += filter.result.map_or("", with_result);
    sql += filter.class.map_or("", of_class);
    sql += " ORDER BY occurred_at DESC, event_id DESC LIMIT $1";
    (sql, values)
}

/// At most `limit` events after `after`, the latest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn page(
    tx: &TenantTx,
    filter: &Filter,
    after: Option<EventPosition>,
    limit: u32,
) -> Result<Vec<Event>> {
    let (sql, values) = page_statement(filter, after, limit);
    let rows: Vec<audit_event::Model> = tx.query_sql(sql, values).await?;
    rows.into_iter().map(event).collect()
}

/// The statement for one event, by its id and the times between which it was.
pub const BY_ID: &str = "
SELECT * FROM audit_event
 WHERE event_id = $1 AND occurred_at >= $2 AND occurred_at < $3 LIMIT 1";

/// How far the time that is in an id may be from that of its event, where the program of before
/// `m0017_append` made both: the longest that a call took.
const UNLIKE: TimeDelta = TimeDelta::minutes(1);

/// The event with this id, which says when it was.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_id(tx: &TenantTx, event_id: Uuid) -> Result<Option<Event>> {
    let Some(at) = time_of(event_id) else { return Ok(None) };
    let next = at + TimeDelta::milliseconds(1);
    for (since, until) in [(at, next), (at - UNLIKE, next + UNLIKE)] {
        let values = [event_id.into(), since.into(), until.into()];
        let rows: Vec<audit_event::Model> = tx.query_sql(BY_ID, values).await?;
        if let Some(row) = rows.into_iter().next() {
            return event(row).map(Some);
        }
    }
    Ok(None)
}

/// The time that a UUID names, of the kinds that do.
fn time_of(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

/// An event as it was when it was written.
///
/// # Errors
/// [`Error::Internal`] for a row that this program cannot have written.
pub fn event(row: audit_event::Model) -> Result<Event> {
    let number =
        |number: Option<i64>| number.map(u64::try_from).transpose().map_err(Error::internal);
    let class = Class::parse(&row.class).ok_or_else(|| Error::internal("an unknown class"))?;
    Ok(Event {
        action: row.action.into(),
        actor_id: row.actor_id.into(),
        also: row.also.unwrap_or_default().into_iter().map(Into::into).collect(),
        call_id: row.call_id,
        calls: u32::try_from(row.calls).map_err(Error::internal)?,
        class,
        correlation_id: row.correlation_id,
        dataset_id: row.dataset_id,
        document_hash: row.document_hash,
        duration_us: number(row.duration_us)?,
        error_code: row.error_code.map(Into::into),
        event_id: row.event_id,
        interface: row.interface.map(Into::into),
        occurred_at: row.occurred_at,
        operation_name: row.operation_name,
        resource: row.resource,
        result: row.result.into(),
        row_count: number(row.row_count)?,
        tenant_id: TenantId::parse_or_none(&row.tenant_id).map_err(Error::internal)?,
        token_hash: row.token_hash,
    })
}
