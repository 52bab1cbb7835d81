//! Breaches, events and mutes, read.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use entity::{freshness_breach, freshness_event};
use sea_orm::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::{Level, State};
use crate::{
    db::{FromRow, TenantTx},
    error::Result,
    live::{Bounds, Selection},
};

/// A breach as it is stored.
pub type Record = freshness_breach::Model;
/// An event as it is stored.
pub type Event = freshness_event::Model;

const BY_IDS: &str = "SELECT * FROM freshness_breach WHERE breach_id = ANY ($1)";

/// The breaches with these ids; a missing or a foreign one is not in the answer.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_ids(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<Record>> {
    Ok(tx.query_sql(BY_IDS, [ids.to_vec().into()]).await?)
}

const OPEN: &str = "
SELECT * FROM freshness_breach WHERE dataset_id = ANY ($1) AND resolved_at IS NULL";

/// The open breaches of these datasets, one of each at most.
///
/// # Errors
/// Whatever the database answers.
pub async fn open(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<Record>> {
    Ok(tx.query_sql(OPEN, [datasets.to_vec().into()]).await?)
}

/// A mute, over or not.
#[derive(Debug, Clone, FromRow)]
pub struct Mute {
    /// The dataset.
    pub dataset_id: Uuid,
    /// Until when nobody is told.
    pub muted_until: DateTime<Utc>,
    /// Why.
    pub mute_reason: Option<String>,
    /// Who said so: an opaque subject.
    pub muted_by: Option<String>,
}

const MUTES: &str = "
SELECT dataset_id, muted_until, mute_reason, muted_by FROM dataset_refresh_state
 WHERE dataset_id = ANY ($1) AND muted_until IS NOT NULL";

/// The last mutes of these datasets.
///
/// # Errors
/// Whatever the database answers.
pub async fn mutes(tx: &TenantTx, datasets: &[Uuid]) -> Result<Vec<Mute>> {
    Ok(tx.query_sql(MUTES, [datasets.to_vec().into()]).await?)
}

/// Which breaches are asked for. `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whether they are going on.
    pub state: Option<State>,
    /// The highest level that they reached.
    pub level: Option<Level>,
    /// Whether somebody took note of them.
    pub acknowledged: Option<bool>,
    /// The domain of their datasets.
    pub domain: Option<String>,
}

/// Where a page goes on: the last breach before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BreachPosition {
    /// Since when it is.
    pub opened_at: DateTime<Utc>,
    /// Its id.
    pub breach_id: Uuid,
}

// A constant, not a parameter: the index of the open ones holds these only.
const fn condition(state: Option<State>) -> &'static str {
    match state {
        None => "",
        Some(State::Open) => " AND b.resolved_at IS NULL",
        Some(State::Resolved) => " AND b.resolved_at IS NOT NULL",
    }
}

/// At most `limit` breaches after `after`, the latest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn page(
    tx: &TenantTx,
    filter: &Filter,
    after: Option<BreachPosition>,
    limit: u32,
) -> Result<Vec<Record>> {
    let mut values: Vec<Value> = vec![i64::from(limit).into()];
    let mut bind = |value: Value| {
        values.push(value);
        values.len()
    };
    let mut sql = "SELECT b.* FROM freshness_breach b".to_owned();
    if let Some(domain) = &filter.domain {
        let at = bind(domain.as_str().into());
        sql += &format!(
            " JOIN dataset_registry r ON r.dataset_id = b.dataset_id AND r.domain = ${at}"
        );
    }
    sql += " WHERE true";
    sql += condition(filter.state);
    if let Some(level) = filter.level {
        sql += &format!(" AND b.level = ${}", bind(level.as_str().into()));
    }
    match filter.acknowledged {
        None => {}
        Some(true) => sql += " AND b.acknowledged_at IS NOT NULL",
        Some(false) => sql += " AND b.acknowledged_at IS NULL",
    }
    if let Some(after) = after {
        let (at, id) = (bind(after.opened_at.into()), bind(after.breach_id.into()));
        sql += &format!(" AND (b.opened_at, b.breach_id) < (${at}, ${id})");
    }
    sql += " ORDER BY b.opened_at DESC, b.breach_id DESC LIMIT $1";
    Ok(tx.query_sql(sql, values).await?)
}

/// At most `limit` breaches of each of these datasets after `after`, the latest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_datasets(
    tx: &TenantTx,
    datasets: &[Uuid],
    state: Option<State>,
    after: Option<BreachPosition>,
    limit: u32,
) -> Result<Vec<Record>> {
    let mut values: Vec<Value> = vec![datasets.to_vec().into(), i64::from(limit).into()];
    let beyond = match after {
        None => "",
        Some(after) => {
            values.extend([after.opened_at.into(), after.breach_id.into()]);
            " AND (b.opened_at, b.breach_id) < ($3, $4)"
        }
    };
    let state = condition(state);
    let sql = format!(
        "SELECT page.* FROM unnest($1::uuid[]) AS wanted (dataset_id), LATERAL (
           SELECT b.* FROM freshness_breach b WHERE b.dataset_id = wanted.dataset_id{state}{beyond}
            ORDER BY b.opened_at DESC, b.breach_id DESC LIMIT $2) AS page"
    );
    Ok(tx.query_sql(sql, values).await?)
}

const EVENTS: &str = "SELECT * FROM freshness_event WHERE sequence > $1 ORDER BY sequence LIMIT $2";

/// At most `limit` events after the one with the number `after`, in their order.
///
/// # Errors
/// Whatever the database answers.
pub async fn events(tx: &TenantTx, after: i64, limit: u32) -> Result<Vec<Event>> {
    Ok(tx.query_sql(EVENTS, [after.into(), i64::from(limit).into()]).await?)
}

const EVENT_BOUNDS: &str =
    "SELECT coalesce(max(sequence), 0) AS head, 0::bigint AS dropped FROM freshness_event";

/// The first and the last number of an event.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn event_bounds(tx: &TenantTx) -> Result<Bounds> {
    Ok(tx.query_sql(EVENT_BOUNDS, []).await?.pop().unwrap_or_default())
}

#[derive(FromRow)]
struct Selected {
    dataset_id: Uuid,
}

const SELECTED: &str = "
SELECT dataset_id FROM dataset_registry
 WHERE dataset_id = ANY ($1) AND (cardinality($2::uuid[]) = 0 OR dataset_id = ANY ($2))
   AND ($3::text IS NULL OR namespace = $3) AND ($4::text IS NULL OR domain = $4)";

/// Those of these datasets that are asked for.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn selected(
    tx: &TenantTx,
    datasets: Vec<Uuid>,
    selection: &Selection,
) -> Result<HashSet<Uuid>> {
    let values = [
        datasets.into(),
        selection.datasets.clone().into(),
        selection.namespace.clone().into(),
        selection.domain.clone().into(),
    ];
    let rows: Vec<Selected> = tx.query_sql(SELECTED, values).await?;
    Ok(rows.into_iter().map(|row| row.dataset_id).collect())
}
