//! What is kept no longer: whole months of runs and events.
//!
//! Invariants: what the refresh states know stands, whatever goes (`refresh::retained`); the audit trail
//! has no part in this; months go as a whole, by the database's operator role, which sees no row.

use chrono::{DateTime, Days, TimeDelta, Utc};

pub use crate::config::Retention;
use crate::{
    db::{
        Db,
        maintenance::{self, OldPartition},
    },
    error::Result,
};

impl Retention {
    /// For how long changes are kept for those who go on after the last one they saw.
    #[must_use]
    pub fn changes(self) -> TimeDelta {
        TimeDelta::hours(self.changes_hours.into())
    }

    /// The instant before which runs and events are kept no longer at `now`; none if all are kept.
    #[must_use]
    pub fn horizon(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.runs_days == 0 {
            return None;
        }
        now.checked_sub_days(Days::new(self.runs_days.into()))
    }
}

/// Drops the months that lie before the horizon as a whole, or only says which these are.
///
/// # Errors
/// Whatever the database answers; the next call goes on.
pub async fn apply(
    db: &Db,
    retention: Retention,
    now: DateTime<Utc>,
    dry_run: bool,
) -> Result<Vec<OldPartition>> {
    let Some(horizon) = retention.horizon(now) else { return Ok(Vec::new()) };
    let old = maintenance::drop_partitions(db, horizon, dry_run).await?;
    if !dry_run {
        metrics::counter!("drr_retention_partitions_total").increment(old.len() as u64);
    }
    Ok(old)
}
