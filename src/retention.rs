//! What is kept no longer: whole months of runs and events, and of the audit trail.
//!
//! Invariants: what the refresh states know stands, whatever goes (`refresh::retained`); months go as a
//! whole, by the database's operator role, which sees no row; those of the audit trail only after they
//! were archived ([`crate::audit::archive`]).

use chrono::{DateTime, Days, TimeDelta, Utc};

pub use crate::config::Retention;
use crate::{
    audit::{
        Class,
        archive::{Archivist, Retained},
    },
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

    /// The instant before which audit events of a class do not stay in the database at `now`.
    #[must_use]
    pub fn audit_horizon(self, class: Class, now: DateTime<Utc>) -> DateTime<Utc> {
        before(
            now,
            match class {
                Class::Api => self.audit_days,
                Class::Schema => self.schema_audit_days,
            },
        )
    }

    /// The instant before which archived audit events are kept no longer at `now`.
    #[must_use]
    pub fn evidence_horizon(self, now: DateTime<Utc>) -> DateTime<Utc> {
        before(now, self.evidence_days)
    }
}

fn before(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    now.checked_sub_days(Days::new(days.into())).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// What a pass dropped and deleted, or would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The months of runs and events.
    pub runs: Vec<OldPartition>,
    /// Those of the audit trail, and its archives.
    pub audit: Retained,
}

/// Drops whatever is kept no longer, or only says what that is.
///
/// # Errors
/// Whatever the database or the store answers, after all was tried; the next call goes on.
pub async fn apply(
    db: &Db,
    archivist: &Archivist,
    retention: Retention,
    now: DateTime<Utc>,
    dry_run: bool,
) -> Result<Applied> {
    let runs = drop_runs(db, retention, now, dry_run).await;
    let audit = archivist.retain(retention, now, dry_run).await;
    Ok(Applied { runs: runs?, audit: audit? })
}

/// Drops the months of runs and events that lie before the horizon as a whole, or only says which these
/// are.
///
/// # Errors
/// Whatever the database answers; the next call goes on.
pub async fn drop_runs(
    db: &Db,
    retention: Retention,
    now: DateTime<Utc>,
    dry_run: bool,
) -> Result<Vec<OldPartition>> {
    let Some(horizon) = retention.horizon(now) else { return Ok(Vec::new()) };
    let old = maintenance::drop_partitions(db, horizon, dry_run).await?;
    if !dry_run && !old.is_empty() {
        tracing::info!(partitions = old.len(), "dropped what is kept no longer");
        metrics::counter!("drr_retention_partitions_total").increment(old.len() as u64);
    }
    Ok(old)
}
