//! Pages of datasets, by name or worst first.
//!
//! Both are keyset pages: what a page costs does not grow with how far down it is. "Worst first" is
//! STALE, UNKNOWN, WARN, FRESH, NOT_APPLICABLE, and within each status the dataset with the earliest
//! deadline. Each status is a range of an index over the stored deadlines, and a page takes at
//! most one page of each: one statement, bounded work.

use chrono::{DateTime, Utc};
use sea_orm::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    model::{Lifecycle, profile::normalised},
    repository::Record,
};
use crate::{
    db::{FromRow, TenantTx},
    error::Result,
    freshness::model::Status,
};

/// Which datasets are asked for; what is left out does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In any of these statuses; empty is in any at all.
    pub statuses: Vec<Status>,
    /// One of its owners is exactly this.
    pub owner: Option<String>,
    /// Its domain is exactly this.
    pub domain: Option<String>,
    /// It has this tag.
    pub tag: Option<String>,
    /// Its namespace, name or description holds this, whatever the case.
    pub text: Option<String>,
    /// ACTIVE unless said otherwise.
    pub lifecycle: Option<Lifecycle>,
}

/// Where a page by name goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamePosition {
    /// The name of the last dataset before it.
    pub name: String,
    /// Its id.
    pub dataset_id: Uuid,
}

/// Where a page of the worst goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstPosition {
    /// The instant at which the first page was judged. Later pages are judged at the same, so that
    /// no dataset is passed over because its status changed in between.
    pub as_of: DateTime<Utc>,
    /// How bad the last dataset before it is; 0 is the worst.
    pub rank: i32,
    /// Its deadline.
    pub deadline: DateTime<Utc>,
    /// Its id.
    pub dataset_id: Uuid,
}

/// A dataset and its place in the order of the worst.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// The dataset.
    pub record: Record,
    /// Its place.
    pub position: WorstPosition,
}

/// The statuses, worst first, each with the range of the index that holds it and the column that
/// orders it. `$1` is the instant.
const WORST_FIRST: [(Status, &str, &str); 5] = [
    (Status::Stale, "s.freshness_basis = 'TIMED' AND s.stale_at < $1", "stale_at"),
    (Status::Unknown, "s.freshness_basis = 'UNKNOWN'", "warn_at"),
    (
        Status::Warn,
        "s.freshness_basis = 'TIMED' AND s.warn_at < $1 AND s.stale_at >= $1",
        "warn_at",
    ),
    (
        Status::Fresh,
        "s.freshness_basis = 'TIMED' AND s.warn_at >= $1 AND s.stale_at >= $1",
        "warn_at",
    ),
    (Status::NotApplicable, "s.freshness_basis = 'NOT_APPLICABLE'", "warn_at"),
];

/// The condition of one status, with `$1` as the instant.
fn condition(status: Status) -> &'static str {
    WORST_FIRST.iter().find(|(of, ..)| *of == status).map_or("false", |(_, condition, _)| condition)
}

/// Says that `$1` is there, and of which type: not every status asks for the instant.
const HAS_INSTANT: &str = "$1::timestamptz IS NOT NULL";

/// SQL text made of constants, and the values bound to it.
struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    fn bind(&mut self, value: impl Into<Value>) -> usize {
        self.values.push(value.into());
        self.values.len()
    }

    /// What every page asks of `dataset_registry r`.
    fn registry_filter(&mut self, filter: &Filter) -> String {
        let lifecycle = filter.lifecycle.unwrap_or(Lifecycle::Active);
        let mut conditions = format!(" AND r.lifecycle = ${}", self.bind(lifecycle.as_str()));
        if let Some(owner) = &filter.owner {
            conditions += &format!(" AND ${} = ANY (r.owners)", self.bind(owner.as_str()));
        }
        if let Some(domain) = &filter.domain {
            conditions += &format!(" AND r.domain = ${}", self.bind(domain.as_str()));
        }
        if let Some(tag) = &filter.tag {
            conditions += &format!(" AND ${} = ANY (r.tags)", self.bind(tag.as_str()));
        }
        if let Some(text) = &filter.text {
            conditions +=
                &format!(" AND strpos(r.search_text, ${}) > 0", self.bind(normalised(text)));
        }
        conditions
    }
}

/// At most `limit` datasets by name, after `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_name(
    tx: &TenantTx,
    filter: &Filter,
    now: DateTime<Utc>,
    after: Option<&NamePosition>,
    limit: u32,
) -> Result<Vec<Record>> {
    let mut sql = Sql { text: String::new(), values: Vec::new() };
    if filter.statuses.is_empty() {
        sql.text += "SELECT r.* FROM dataset_registry r WHERE true";
    } else {
        sql.bind(now);
        let statuses: Vec<_> =
            filter.statuses.iter().map(|status| format!("({})", condition(*status))).collect();
        sql.text += &format!(
            "SELECT r.* FROM dataset_registry r
               JOIN dataset_refresh_state s USING (tenant_id, dataset_id)
              WHERE {HAS_INSTANT} AND ({})",
            statuses.join(" OR ")
        );
    }
    let registry = sql.registry_filter(filter);
    sql.text += &registry;
    if let Some(after) = after {
        let (name, id) = (sql.bind(after.name.as_str()), sql.bind(after.dataset_id));
        sql.text += &format!(" AND (r.name, r.dataset_id) > (${name}, ${id})");
    }
    let limit = sql.bind(i64::from(limit));
    sql.text += &format!(" ORDER BY r.name, r.dataset_id LIMIT ${limit}");
    Ok(tx.query_sql(sql.text, sql.values).await?)
}

#[derive(FromRow)]
struct RankedRow {
    #[sqlx(flatten)]
    record: Record,
    worst_rank: i32,
    worst_deadline: DateTime<Utc>,
}

/// At most `limit` datasets, worst first, after `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn worst_first(
    tx: &TenantTx,
    filter: &Filter,
    now: DateTime<Utc>,
    after: Option<&WorstPosition>,
    limit: u32,
) -> Result<Vec<Ranked>> {
    let as_of = after.map_or(now, |position| position.as_of);
    let mut sql = Sql { text: String::new(), values: vec![as_of.into()] };
    let listed = filter.lifecycle.unwrap_or(Lifecycle::Active) == Lifecycle::Active;
    // A constant, not a parameter: the indexes hold the listed ones only.
    let listed = if listed { "s.listed" } else { "NOT s.listed" };
    let registry = sql.registry_filter(filter);
    let limit = sql.bind(i64::from(limit));

    let mut ranges = Vec::new();
    for (rank, (status, condition, deadline)) in (0..).zip(WORST_FIRST) {
        if !filter.statuses.is_empty() && !filter.statuses.contains(&status) {
            continue;
        }
        let beyond = match after {
            Some(after) if rank < after.rank => continue,
            Some(after) if rank == after.rank => {
                let (at, id) = (sql.bind(after.deadline), sql.bind(after.dataset_id));
                format!(" AND (s.{deadline}, s.dataset_id) > (${at}, ${id})")
            }
            _ => String::new(),
        };
        ranges.push(format!(
            "(SELECT r.*, {rank} AS worst_rank, s.{deadline} AS worst_deadline
                FROM dataset_refresh_state s JOIN dataset_registry r USING (tenant_id, dataset_id)
               WHERE {HAS_INSTANT} AND {listed} AND {condition}{beyond}{registry}
               ORDER BY s.{deadline}, s.dataset_id LIMIT ${limit})"
        ));
    }
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    sql.text = format!(
        "SELECT * FROM ({}) AS ranked
          ORDER BY worst_rank, worst_deadline, dataset_id LIMIT ${limit}",
        ranges.join(" UNION ALL ")
    );
    let rows: Vec<RankedRow> = tx.query_sql(sql.text, sql.values).await?;
    Ok(rows
        .into_iter()
        .map(|row| Ranked {
            position: WorstPosition {
                as_of,
                rank: row.worst_rank,
                deadline: row.worst_deadline,
                dataset_id: row.record.dataset_id,
            },
            record: row.record,
        })
        .collect())
}
