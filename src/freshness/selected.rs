//! Which datasets a selector or a calendar is for.

use uuid::Uuid;

use super::model::Selector;
use crate::{
    db::{FromRow, TenantTx},
    error::{Error, Result},
};

/// The most datasets that one change of a selector policy or a calendar may bring up to date.
pub const MAX_SELECTED: usize = 100_000;

#[derive(FromRow)]
struct Selected {
    dataset_id: Uuid,
}

const OF_SELECTORS: &str = "
SELECT dataset_id FROM dataset_registry
 WHERE (($1::text IS NULL OR domain = $1) AND tags @> $2)
    OR (($3::text IS NULL OR domain = $3) AND tags @> $4)
 ORDER BY dataset_id LIMIT $5";

const OF_CALENDAR: &str = "
SELECT s.dataset_id FROM dataset_refresh_state s
  JOIN freshness_policy p ON p.policy_id = s.policy_id AND p.version = s.policy_version
 WHERE $1 = ANY (p.exclude_calendars) ORDER BY s.dataset_id LIMIT $2";

fn limited(selected: Vec<Selected>) -> Result<Vec<Uuid>> {
    if selected.len() > MAX_SELECTED {
        return Err(Error::LimitExceeded {
            limit: "selectedDatasets",
            maximum: MAX_SELECTED as u64,
        });
    }
    Ok(selected.into_iter().map(|row| row.dataset_id).collect())
}

/// One more than may be selected.
const LIMIT: i64 = MAX_SELECTED as i64 + 1;

/// The datasets of either selector.
///
/// # Errors
/// [`Error::LimitExceeded`] for more than [`MAX_SELECTED`].
pub(super) async fn of_selectors(
    tx: &TenantTx,
    one: &Selector,
    other: &Selector,
) -> Result<Vec<Uuid>> {
    let domain = |selector: &Selector| selector.domain().map(str::to_owned).into();
    let tags = |selector: &Selector| selector.tags().to_vec().into();
    let values = [domain(one), tags(one), domain(other), tags(other), LIMIT.into()];
    limited(tx.query_sql(OF_SELECTORS, values).await?)
}

/// The datasets that are judged by a calendar.
///
/// # Errors
/// [`Error::LimitExceeded`] for more than [`MAX_SELECTED`].
pub(super) async fn of_calendar(tx: &TenantTx, name: &str) -> Result<Vec<Uuid>> {
    limited(tx.query_sql(OF_CALENDAR, [name.into(), LIMIT.into()]).await?)
}
