//! Verdicts of other tools in the graph.

use async_graphql::{Context, Enum, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{loader::Verdicts, model, store::Record};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    graphql::{call, scalars::BigInt, shared},
};

/// A tool that judges freshness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Source")]
pub enum ExternalVerdictSource {
    /// dbt, by `dbt source freshness`.
    Dbt,
}

/// What another tool found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::VerdictStatus")]
pub enum ExternalVerdictStatus {
    /// Within every limit.
    Pass,
    /// Beyond the limit to warn at.
    Warn,
    /// Beyond the limit to fail at.
    Error,
    /// It could not tell.
    RuntimeError,
}

/// What another tool found about the freshness of a dataset, when it looked last. It decides nothing
/// here.
#[derive(Debug, SimpleObject)]
pub struct ExternalVerdict {
    /// The tool.
    source: ExternalVerdictSource,
    /// What it found.
    status: ExternalVerdictStatus,
    /// Its limit to warn at.
    warn_after_seconds: Option<BigInt>,
    /// Its limit to fail at.
    error_after_seconds: Option<BigInt>,
    /// The rows that it looked at, as a condition in SQL; all of them if there is none.
    filter: Option<String>,
    /// When the newest row was loaded; null where there is none.
    max_loaded_at: Option<DateTime<Utc>>,
    /// When it looked.
    snapshotted_at: DateTime<Utc>,
    /// The whole seconds between the newest row and the look at it.
    age_seconds: Option<BigInt>,
    /// Why it could not tell.
    message: Option<String>,
    /// When this was imported.
    imported_at: DateTime<Utc>,
}

impl TryFrom<Record> for ExternalVerdict {
    type Error = Error;

    fn try_from(record: Record) -> Result<Self> {
        let source: model::Source = record.source.parse().map_err(Error::internal)?;
        let status: model::VerdictStatus = record.status.parse().map_err(Error::internal)?;
        Ok(Self {
            source: source.into(),
            status: status.into(),
            warn_after_seconds: record.warn_after_seconds.map(BigInt),
            error_after_seconds: record.error_after_seconds.map(BigInt),
            filter: record.filter,
            max_loaded_at: record.max_loaded_at,
            snapshotted_at: record.snapshotted_at,
            age_seconds: record.age_seconds.map(BigInt),
            message: record.message,
            imported_at: record.imported_at,
        })
    }
}

/// What other tools found about a dataset.
///
/// # Errors
/// [`Error::Forbidden`], or whatever the database answers.
pub async fn verdicts(context: &Context<'_>, dataset_id: Uuid) -> Result<Vec<ExternalVerdict>> {
    call(context)?.authorize(Operation::FreshnessRead)?;
    let records = shared::<Verdicts>(context)?.load(dataset_id).await?;
    records.unwrap_or_default().into_iter().map(TryInto::try_into).collect()
}
