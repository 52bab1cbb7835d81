//! What became of one dataset, in the terms of this service: a report is turned into the OpenLineage
//! events that say the same, and recorded as these are.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    model::{Event, EventType, JobName},
    openlineage::{self, ParseLimits, SOURCE_WATERMARK_FACET},
    record::{self, Batch, Recorded, Submitted},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    dataset::{
        loader::{Datasets, NamedDatasets},
        model::{DatasetName, Urn},
    },
    error::{Coded, Error, Result},
};

/// The name of the job when a report has none; its namespace is then that of the dataset.
pub const DEFAULT_JOB: &str = "refresh-state";

/// What a pipeline reports of one dataset.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run.
    pub run_id: Uuid,
    /// What happened to it.
    pub state: EventType,
    /// When.
    pub event_time: DateTime<Utc>,
    /// When it started, reported together with what happened later.
    pub started_at: Option<DateTime<Utc>>,
    /// The job that it is a run of.
    pub job: Option<JobName>,
    /// Rows written.
    pub row_count: Option<u64>,
    /// Bytes written.
    pub byte_count: Option<u64>,
    /// How far the source had come.
    pub source_watermark: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error_message: Option<String>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy)]
pub struct Reported {
    /// The dataset.
    pub dataset_id: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// Whether anything of it was new.
    pub is_new: bool,
}

/// Records a report on the dataset that `dataset` names by id or URN. `report` is read inside the
/// frame of the change, so that one that cannot be read is audited as well.
///
/// # Errors
/// [`Error::NotFound`] for a dataset that is not there, [`Error::Forbidden`], what `report` answers,
/// or why it cannot be recorded; nothing of it is then.
pub async fn record<E: Coded + Send>(
    call: &Call,
    dataset: &str,
    report: impl Future<Output = Result<Report, E>> + Send,
) -> Result<Reported, E> {
    let batch = async {
        let report = report.await?;
        let (dataset_id, name) = find(call, dataset).await?;
        let events = events(&report, &name, call.now())?;
        // Of a call that comes again, the run of the first time.
        Ok::<_, E>(Batch { events, verdicts: Vec::new(), told: (dataset_id, report.run_id) })
    };
    let recorded = record::record_with(call, Operation::RunEventsRecord, batch).await?;
    let (recorded, (dataset_id, run_id)) = recorded;
    let mut is_new = false;
    for outcome in recorded {
        match outcome {
            Recorded::Added => is_new = true,
            Recorded::Duplicate => {}
            Recorded::Rejected(error) => return Err(error.into()),
        }
    }
    Ok(Reported { dataset_id, run_id, is_new })
}

/// The dataset with this id or URN, under its own name.
async fn find(call: &Call, dataset: &str) -> Result<(Uuid, DatasetName)> {
    let missing = || Error::NotFound("dataset");
    let call = Arc::new(call.clone());
    let record = if dataset.starts_with("urn:") {
        let urn: Urn = dataset.parse()?;
        if urn.tenant != *call.principal().tenant() {
            return Err(missing());
        }
        NamedDatasets::new(&call).load(urn.dataset).await?
    } else {
        let id = Uuid::try_parse(dataset);
        let id = id.map_err(|_| Error::bad_input("id", "is not an identifier"))?;
        Datasets::new(&call).load(id).await?
    };
    let record = record.ok_or_else(missing)?;
    Ok((record.dataset_id, DatasetName::parse(record.namespace, record.name)?))
}

/// The events that say what the report does: all of them can be read, or none is recorded.
fn events(report: &Report, dataset: &DatasetName, now: DateTime<Utc>) -> Result<Vec<Submitted>> {
    let started = report.started_at.map(|at| (EventType::Start, at, "startedAt"));
    let moments = [started, Some((report.state, report.event_time, "eventTime"))];
    let limits = ParseLimits::at(now);
    let read = |(index, (state, at, field)): (usize, (EventType, DateTime<Utc>, &'static str))| {
        let event = openlineage::read(index, event(report, dataset, state, at), &limits);
        event.map(Ok).map_err(|error| match error.field.as_str() {
            "eventTime" => Error::bad_input(field, error.message),
            _ => Error::bad_input(error.field, error.message),
        })
    };
    moments.into_iter().flatten().enumerate().map(read).collect()
}

fn event(report: &Report, dataset: &DatasetName, state: EventType, at: DateTime<Utc>) -> Value {
    let (job_namespace, job_name) = match &report.job {
        Some(job) => (job.namespace(), job.name()),
        None => (dataset.namespace(), DEFAULT_JOB),
    };
    // What is known at the end is no part of the beginning.
    let (mut run_facets, mut output_facets) = (Map::new(), Map::new());
    if state == report.state {
        let statistics = json!({ "rowCount": report.row_count, "size": report.byte_count });
        output_facets.insert("outputStatistics".to_owned(), statistics);
        if let Some(at) = report.source_watermark {
            output_facets.insert(SOURCE_WATERMARK_FACET.to_owned(), json!({ "at": text(at) }));
        }
        if let Some(message) = &report.error_message {
            run_facets.insert("errorMessage".to_owned(), json!({ "message": message }));
        }
    }
    json!({
        "eventType": state.as_str(),
        "eventTime": text(at),
        "run": { "runId": report.run_id, "facets": run_facets },
        "job": { "namespace": job_namespace, "name": job_name },
        "outputs": [{
            "namespace": dataset.namespace(),
            "name": dataset.name(),
            "outputFacets": output_facets,
        }],
    })
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// An event of its own that says a run completed at `at`, for the importers.
pub(super) fn completed(
    index: usize,
    run_id: Uuid,
    job: JobName,
    dataset: &DatasetName,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Event, openlineage::EventError> {
    let report = Report {
        run_id,
        state: EventType::Complete,
        event_time: at,
        started_at: None,
        job: Some(job),
        row_count: None,
        byte_count: None,
        source_watermark: Some(at),
        error_message: None,
    };
    let event = event(&report, dataset, EventType::Complete, at);
    openlineage::read(index, event, &ParseLimits::at(now))
}
