//! Pages of schemas, versions, requests and events: keyset pages, of what the caller's token is for.

use chrono::{DateTime, Utc};
use entity::schema_event;
use sea_orm::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::repository::{Record, Transition, Version};
use crate::{
    auth::{Reach, reach::Named},
    dataset::model::profile::normalised,
    db::{FromRow, TenantTx},
    error::Result,
    live::Bounds,
};

/// An event as it is stored.
pub type Event = schema_event::Model;

/// `$1` and `$2` are the domains and the names that a token is for: NULL for all, and an empty name for a domain.
pub(super) const REACHED: &str = "($1::text[] IS NULL OR EXISTS (
  SELECT FROM unnest($1::text[], $2::text[]) AS reach (domain, name)
   WHERE reach.domain = s.domain AND reach.name IN ('', s.name)))";

pub(super) fn reached(reach: &Reach) -> [Value; 2] {
    let none = || Value::Array(sea_orm::sea_query::ArrayType::String, None);
    let Reach::Named(named) = reach else { return [none(), none()] };
    let domain = |entry: &Named| entry.domain.clone();
    let name = |entry: &Named| entry.name.clone().unwrap_or_default();
    let (domains, names): (Vec<_>, Vec<_>) =
        named.iter().map(|entry| (domain(entry), name(entry))).unzip();
    [domains.into(), names.into()]
}

/// Which schemas are asked for; what is left out does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Its domain is exactly this.
    pub domain: Option<String>,
    /// It is written in this.
    pub format: Option<&'static str>,
    /// One of its owners is exactly this.
    pub owner: Option<String>,
    /// It has this tag.
    pub tag: Option<String>,
    /// A version of it is in this state.
    pub state: Option<&'static str>,
    /// Its name or description holds this, whatever the case.
    pub text: Option<String>,
}

/// Where a page by name goes on: the last schema before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamePosition {
    /// Its domain.
    pub domain: String,
    /// Its name there.
    pub name: String,
}

const SCHEMAS: &str = "
   AND ($3::text IS NULL OR s.domain = $3) AND ($4::text IS NULL OR s.format = $4)
   AND ($5::text IS NULL OR $5 = ANY (s.owners)) AND ($6::text IS NULL OR $6 = ANY (s.tags))
   AND ($7::text IS NULL OR EXISTS (
     SELECT FROM schema_version v WHERE v.schema_id = s.schema_id AND v.state = $7))
   AND ($8::text IS NULL OR strpos(lower(s.domain || '.' || s.name || ' ' || coalesce(s.description, '')), $8) > 0)
   AND ($9::text IS NULL OR (s.domain, s.name) > ($9, $10))
 ORDER BY s.domain, s.name LIMIT $11";

/// At most `limit` schemas by name, after `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn schemas(
    tx: &TenantTx,
    reach: &Reach,
    filter: &Filter,
    after: Option<&NamePosition>,
    limit: u32,
) -> Result<Vec<Record>> {
    let [domains, names] = reached(reach);
    let values = [
        domains,
        names,
        filter.domain.clone().into(),
        filter.format.into(),
        filter.owner.clone().into(),
        filter.tag.clone().into(),
        filter.state.into(),
        filter.text.as_deref().map(normalised).into(),
        after.map(|after| after.domain.clone()).into(),
        after.map(|after| after.name.clone()).into(),
        i64::from(limit).into(),
    ];
    Ok(tx
        .query_sql(format!("SELECT s.* FROM schema_registry s WHERE {REACHED}{SCHEMAS}"), values)
        .await?)
}

const VERSIONS: &str = "
SELECT * FROM schema_version WHERE schema_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3";

/// At most `limit` versions of a schema before `before`, the latest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn versions(
    tx: &TenantTx,
    schema_id: Uuid,
    before: Option<i32>,
    limit: u32,
) -> Result<Vec<Version>> {
    let before = before.unwrap_or(i32::MAX);
    Ok(tx.query_sql(VERSIONS, [schema_id.into(), before.into(), i64::from(limit).into()]).await?)
}

/// Where a page of open requests goes on: the last one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WaitingPosition {
    /// When it was made.
    pub requested_at: DateTime<Utc>,
    /// Its id.
    pub transition_id: Uuid,
}

const WAITING: &str = "
   AND t.status = 'OPEN' AND t.expires_at > $3 AND (t.requested_at, t.transition_id) > ($4, $5)
 ORDER BY t.requested_at, t.transition_id LIMIT $6";

/// At most `limit` requests that wait for a decision at `now`, the oldest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn waiting(
    tx: &TenantTx,
    reach: &Reach,
    now: DateTime<Utc>,
    after: Option<WaitingPosition>,
    limit: u32,
) -> Result<Vec<Transition>> {
    let (at, id) = after.map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |after| {
        (after.requested_at, after.transition_id)
    });
    let [domains, names] = reached(reach);
    let values = [domains, names, now.into(), at.into(), id.into(), i64::from(limit).into()];
    let sql = format!(
        "SELECT t.* FROM schema_transition t JOIN schema_registry s USING (tenant_id, schema_id)
          WHERE {REACHED}{WAITING}"
    );
    Ok(tx.query_sql(sql, values).await?)
}

/// At most `limit` events after the number `after`, in their order, of what `reach` includes. Those of no schema
/// are of whoever is for all of them.
///
/// # Errors
/// Whatever the database answers.
pub async fn events(tx: &TenantTx, reach: &Reach, after: i64, limit: u32) -> Result<Vec<Event>> {
    let [domains, names] = reached(reach);
    let sql = format!(
        "SELECT e.* FROM schema_event e LEFT JOIN schema_registry s USING (tenant_id, schema_id)
          WHERE {REACHED} AND e.sequence > $3 ORDER BY e.sequence LIMIT $4"
    );
    Ok(tx.query_sql(sql, [domains, names, after.into(), i64::from(limit).into()]).await?)
}

/// A number that operators are told.
#[derive(Debug, FromRow)]
pub struct Figure {
    /// `SCHEMA`, `VERSION` or `TRANSITION`.
    pub what: String,
    /// The format, the state or the status.
    pub of_state: String,
    /// How many.
    pub figure: i64,
    /// Since when the oldest is so.
    pub oldest: Option<DateTime<Utc>>,
}

/// The numbers that operators are told.
///
/// # Errors
/// Whatever the database answers.
pub async fn figures(tx: &TenantTx) -> Result<Vec<Figure>> {
    Ok(tx.query_sql("SELECT * FROM schema_figures()", []).await?)
}

/// An event, and whether a token is for its schema.
#[derive(Debug, FromRow)]
pub struct Reached {
    /// The event.
    #[sqlx(flatten)]
    pub event: Event,
    /// Whether a token is for its schema.
    pub reached: bool,
}

/// At most `limit` events after the number `after`, in their order, of any schema.
///
/// # Errors
/// Whatever the database answers.
pub async fn events_of_all(
    tx: &TenantTx,
    reach: &Reach,
    after: i64,
    limit: u32,
) -> Result<Vec<Reached>> {
    let [domains, names] = reached(reach);
    let sql = format!(
        "SELECT e.*, coalesce({REACHED}, false) AS reached
           FROM schema_event e LEFT JOIN schema_registry s USING (tenant_id, schema_id)
          WHERE e.sequence > $3 ORDER BY e.sequence LIMIT $4"
    );
    Ok(tx.query_sql(sql, [domains, names, after.into(), i64::from(limit).into()]).await?)
}

const BOUNDS: &str =
    "SELECT coalesce(max(sequence), 0) AS head, 0::bigint AS dropped FROM schema_event";

/// Where the events begin and end.
///
/// # Errors
/// Whatever the database answers.
pub async fn event_bounds(tx: &TenantTx) -> Result<Bounds> {
    Ok(tx.query_sql(BOUNDS, []).await?.pop().unwrap_or_default())
}
