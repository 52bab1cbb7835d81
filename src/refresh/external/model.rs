//! A verdict of another tool.

use chrono::{DateTime, Utc};

use crate::dataset::model::DatasetName;

crate::wire::wire_enum! {
    /// A tool that judges freshness.
    pub enum Source {
        /// dbt, by `dbt source freshness`.
        Dbt = "DBT",
    }
}

crate::wire::wire_enum! {
    /// What a tool found.
    pub enum VerdictStatus {
        /// Within every limit.
        Pass = "PASS",
        /// Beyond the limit to warn at.
        Warn = "WARN",
        /// Beyond the limit to fail at.
        Error = "ERROR",
        /// It could not tell.
        RuntimeError = "RUNTIME_ERROR",
    }
}

/// What a tool found about a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// About which dataset.
    pub dataset: DatasetName,
    /// Which tool.
    pub source: Source,
    /// What it found.
    pub status: VerdictStatus,
    /// Its limit to warn at.
    pub warn_after_seconds: Option<i64>,
    /// Its limit to fail at.
    pub error_after_seconds: Option<i64>,
    /// The rows that it looked at, as a condition in SQL; all of them if there is none.
    pub filter: Option<String>,
    /// When the newest row was loaded; unknown where there is none.
    pub max_loaded_at: Option<DateTime<Utc>>,
    /// When it looked.
    pub snapshotted_at: DateTime<Utc>,
    /// Why it could not tell.
    pub message: Option<String>,
}

impl Verdict {
    /// Whole seconds between the newest row and the look at it.
    #[must_use]
    pub fn age_seconds(&self) -> Option<i64> {
        Some((self.snapshotted_at - self.max_loaded_at?).num_seconds().max(0))
    }
}
