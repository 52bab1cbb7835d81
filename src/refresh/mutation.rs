//! The mutation that records run events.
//!
//! An event is turned into the OpenLineage event that says the same and read by the same reader, so
//! that there is one set of rules, one content hash and one stored form.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, SecondsFormat, Utc};
use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::{
    model,
    openlineage::{self, ParseLimits, SOURCE_WATERMARK_FACET},
    record::{self, Recorded, Submitted},
};
use crate::{
    auth::policy::Operation,
    dataset::{graphql::NameInput, loader::Datasets},
    error::{Error, Result},
    graphql::{
        annotations::{ListSize, holding},
        call,
        errors::{Nullable, nullable},
        scalars::{BigInt, uuid},
        shared,
    },
};

/// What an event says of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::EventType")]
pub enum RunEventType {
    /// It began.
    Start,
    /// It is still going on.
    Running,
    /// It succeeded. Ends the run.
    Complete,
    /// It was stopped. Ends the run.
    Abort,
    /// It failed. Ends the run.
    Fail,
    /// Nothing of its state: more about it, at any time.
    Other,
}

/// A dataset that a run wrote: by its id, or by namespace and name. A name that is not known yet
/// registers the dataset; an id that is not known is refused.
#[derive(Debug, InputObject)]
pub struct RunOutputInput {
    /// Its id; then no namespace and no name.
    dataset_id: Option<ID>,
    /// Where it lives.
    namespace: Option<String>,
    /// Its name there.
    name: Option<String>,
    /// Rows written.
    row_count: Option<BigInt>,
    /// Bytes written.
    byte_count: Option<BigInt>,
    /// Files written.
    file_count: Option<BigInt>,
    /// How far the source had come that the run read: everything up to this instant is in.
    source_watermark: Option<DateTime<Utc>>,
}

/// Something that happened to a run.
#[derive(Debug, InputObject)]
pub struct RunEventInput {
    /// The run: a UUID that its producer chose.
    run_id: ID,
    /// The job that it is a run of.
    job: NameInput,
    /// What happened.
    event_type: RunEventType,
    /// When it happened; at most 300 seconds ahead of this service's clock.
    event_time: DateTime<Utc>,
    /// The datasets that the run reads.
    #[graphql(default)]
    inputs: Vec<NameInput>,
    /// The datasets that the run writes.
    #[graphql(default)]
    outputs: Vec<RunOutputInput>,
    /// Why it failed; the first 4,096 characters are kept.
    error_message: Option<String>,
    /// The start of the period that it was scheduled for.
    nominal_start_at: Option<DateTime<Utc>>,
    /// The end of the period that it was scheduled for; only with a start.
    nominal_end_at: Option<DateTime<Utc>>,
    /// The run that started it.
    parent_run_id: Option<ID>,
}

/// Run events to be recorded.
#[derive(Debug, InputObject)]
pub struct RecordRunEventsInput {
    /// The events, in any order; 1,000 at most.
    events: Vec<RunEventInput>,
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RunEventStatus {
    /// It is new, and counts.
    Recorded,
    /// It was known already, and changed nothing.
    Duplicate,
    /// It was left out; the others stand.
    Rejected,
}

/// Why an event was left out.
#[derive(Debug, SimpleObject)]
pub struct RunEventProblem {
    /// One of the error codes.
    code: String,
    /// Why, in a sentence for a person.
    message: String,
}

/// What became of one event.
#[derive(Debug, SimpleObject)]
pub struct RunEventResult {
    /// Its place in the input, from 0.
    index: i32,
    /// What became of it.
    status: RunEventStatus,
    /// Why it was left out.
    problem: Option<RunEventProblem>,
}

/// What became of the events, in the order of the input.
#[derive(Debug, SimpleObject)]
pub struct RecordRunEventsPayload {
    /// One for each event.
    results: Vec<RunEventResult>,
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The name of an output: as given, or of the dataset with the id given.
async fn output_name(context: &Context<'_>, output: &RunOutputInput) -> Result<(String, String)> {
    match (&output.dataset_id, &output.namespace, &output.name) {
        (None, Some(namespace), Some(name)) => Ok((namespace.clone(), name.clone())),
        (Some(id), None, None) => {
            let id = uuid(id, "outputs.datasetId")?;
            let dataset = shared::<Datasets>(context)?.load(id).await?;
            let dataset = dataset.ok_or(Error::NotFound("dataset"))?;
            Ok((dataset.namespace, dataset.name))
        }
        _ => Err(Error::bad_input("outputs", "needs a datasetId, or a namespace and a name")),
    }
}

/// The OpenLineage event that says the same.
async fn openlineage_event(context: &Context<'_>, event: &RunEventInput) -> Result<Value> {
    let mut run_facets = Map::new();
    if let Some(start) = event.nominal_start_at {
        let end = event.nominal_end_at.map(instant);
        let nominal = json!({ "nominalStartTime": instant(start), "nominalEndTime": end });
        run_facets.insert("nominalTime".to_owned(), nominal);
    } else if event.nominal_end_at.is_some() {
        return Err(Error::bad_input("nominalEndAt", "needs a nominalStartAt"));
    }
    if let Some(message) = &event.error_message {
        run_facets.insert("errorMessage".to_owned(), json!({ "message": message }));
    }
    if let Some(parent) = &event.parent_run_id {
        let parent = json!({ "run": { "runId": uuid(parent, "parentRunId")? } });
        run_facets.insert("parent".to_owned(), parent);
    }
    let mut outputs = Vec::with_capacity(event.outputs.len());
    for output in &event.outputs {
        let (namespace, name) = output_name(context, output).await?;
        let count = |count: Option<BigInt>| count.map(|count| count.0);
        let mut facets = Map::new();
        let statistics = json!({
            "rowCount": count(output.row_count),
            "size": count(output.byte_count),
            "fileCount": count(output.file_count),
        });
        facets.insert("outputStatistics".to_owned(), statistics);
        if let Some(at) = output.source_watermark {
            facets.insert(SOURCE_WATERMARK_FACET.to_owned(), json!({ "at": instant(at) }));
        }
        outputs.push(json!({ "namespace": namespace, "name": name, "outputFacets": facets }));
    }
    let name = |name: &NameInput| json!({ "namespace": name.namespace, "name": name.name });
    Ok(json!({
        "eventType": model::EventType::from(event.event_type).as_str(),
        "eventTime": instant(event.event_time),
        "run": { "runId": uuid(&event.run_id, "runId")?, "facets": run_facets },
        "job": name(&event.job),
        "inputs": event.inputs.iter().map(name).collect::<Vec<_>>(),
        "outputs": outputs,
    }))
}

/// The events as the reader has them; each by itself may be one that cannot be recorded.
async fn submitted(
    context: &Context<'_>,
    events: Vec<RunEventInput>,
    limits: &ParseLimits,
) -> Result<Vec<Submitted>> {
    if events.len() > limits.max_events {
        let maximum = u64::try_from(limits.max_events).unwrap_or(u64::MAX);
        return Err(Error::LimitExceeded { limit: "events of one request", maximum });
    }
    // All at once, so that the datasets that they name by id are looked up together.
    let read = events.iter().enumerate().map(async |(index, event)| {
        let event = openlineage_event(context, event).await?;
        Ok(openlineage::read(index, event, limits)?)
    });
    Ok(join_all(read).await)
}

async fn record_run_events(
    context: &Context<'_>,
    input: RecordRunEventsInput,
) -> Result<RecordRunEventsPayload> {
    let call = call(context)?;
    let limits = ParseLimits::at(call.now());
    let events = submitted(context, input.events, &limits);
    let recorded = record::record(call, Operation::RunEventsRecord, events).await?;
    let result = |(index, recorded): (usize, Recorded)| {
        let (status, problem) = match recorded {
            Recorded::Added => (RunEventStatus::Recorded, None),
            Recorded::Duplicate => (RunEventStatus::Duplicate, None),
            Recorded::Rejected(error) => (RunEventStatus::Rejected, Some(error)),
        };
        RunEventResult {
            index: i32::try_from(index).unwrap_or(i32::MAX),
            status,
            problem: problem.map(|error| RunEventProblem {
                code: error.code().as_str().to_owned(),
                message: error.to_string(),
            }),
        }
    };
    Ok(RecordRunEventsPayload { results: recorded.into_iter().enumerate().map(result).collect() })
}

/// The mutations of runs.
#[derive(Debug, Default)]
pub struct RefreshMutation;

#[Object]
impl RefreshMutation {
    /// Records what happened to runs, as OpenLineage has it. Order and repetition do not matter:
    /// an event that was recorded before changes nothing.
    #[graphql(directive = ListSize::apply(holding(&["results"], 100)))]
    async fn record_run_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The events.")] input: RecordRunEventsInput,
    ) -> Nullable<RecordRunEventsPayload> {
        nullable(record_run_events(context, input).await.map(Some))
    }
}
