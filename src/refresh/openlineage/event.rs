//! One event: its core, strictly.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Event, EventErrorCode as Code, ParseLimits, WarningCode,
    place::{Place, Problem, find_nul},
    time,
};
use crate::{
    dataset::model::DatasetName,
    error::Error,
    refresh::model::{
        ContentHash, DatasetEvent, DatasetFacets, EventType, Input, JobEvent, JobName, Output,
        RunEvent,
    },
};

/// A warning, before it is known which event it is about.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) code: WarningCode,
    pub(super) field: String,
    pub(super) message: String,
}

/// Reads the text of one event.
pub(super) fn read(
    text: &str,
    limits: &ParseLimits,
    notes: &mut Vec<Note>,
) -> Result<Event, Problem> {
    let value: Value = serde_json::from_str(text).map_err(|error| Problem {
        code: Code::Invalid,
        field: String::new(),
        message: format!("cannot be read: {error}"),
    })?;
    Reader { limits, notes }.event(value)
}

/// What is the same in every kind of event.
struct Head {
    event_time: DateTime<Utc>,
    producer: Option<String>,
    content_hash: ContentHash,
}

/// Reads one event and collects what is wrong with it nevertheless.
pub(super) struct Reader<'r> {
    pub(super) limits: &'r ParseLimits,
    pub(super) notes: &'r mut Vec<Note>,
}

impl Reader<'_> {
    pub(super) fn event(&mut self, value: Value) -> Result<Event, Problem> {
        let root = Place::root(&value);
        // The kinds are told apart by their shape, as in the spec.
        let has_run = root.get("run")?.is_some() || root.get("eventType")?.is_some();
        let has_job = root.get("job")?.is_some();
        let has_dataset = root.get("dataset")?.is_some();
        if let Some(field) = find_nul(&value) {
            let message = "contains U+0000, which cannot be stored".to_owned();
            return Err(Problem { code: Code::NulCharacter, field, message });
        }
        let head = self.head(&root)?;
        if has_run {
            return Ok(Event::Run(Box::new(self.run_event(value, head)?)));
        }
        if has_job {
            return Ok(Event::Job(Box::new(self.job_event(value, head)?)));
        }
        if has_dataset {
            return Ok(Event::Dataset(Box::new(self.dataset_event(value, head)?)));
        }
        Err(root.problem(Code::Missing, "needs a run and a job, a job, or a dataset"))
    }

    fn head(&mut self, root: &Place<'_>) -> Result<Head, Problem> {
        let place = root.required("eventTime")?;
        let event_time = self.instant(&place)?;
        let skew = self.limits.max_future_skew;
        if self.limits.now.checked_add_signed(skew).is_some_and(|latest| event_time > latest) {
            let message = format!("is more than {} seconds in the future", skew.num_seconds());
            return Err(place.problem(Code::TimeInFuture, message));
        }
        let producer = root.get("producer")?.map(|producer| producer.text()).transpose()?;
        if producer.is_none() {
            self.note(WarningCode::MissingProducer, "producer", "is required by the spec");
        }
        if root.get("schemaURL")?.map(|url| url.text()).transpose()?.is_none() {
            self.note(WarningCode::MissingSchemaUrl, "schemaURL", "is required by the spec");
        }
        let content_hash = ContentHash::of(root.value);
        Ok(Head { event_time, producer: producer.map(str::to_owned), content_hash })
    }

    fn run_event(&mut self, payload: Value, head: Head) -> Result<RunEvent, Problem> {
        let root = Place::root(&payload);
        let run = root.required("run")?;
        let run_id = uuid(&run.required("runId")?)?;
        let job = job_name(&root)?;
        let event_type = self.event_type(&root)?;
        let (inputs, outputs) = self.datasets(&root)?;
        let facets = run.object("facets")?;
        Ok(RunEvent {
            run_id,
            job,
            event_type,
            event_time: head.event_time,
            producer: head.producer,
            inputs,
            outputs,
            error_message: self.error_message(facets.as_ref()),
            nominal_time: self.nominal_time(facets.as_ref()),
            parent_run_id: self.parent_run_id(facets.as_ref()),
            content_hash: head.content_hash,
            payload,
        })
    }

    fn job_event(&mut self, payload: Value, head: Head) -> Result<JobEvent, Problem> {
        let root = Place::root(&payload);
        let job = job_name(&root)?;
        let (inputs, outputs) = self.datasets(&root)?;
        let Head { event_time, producer, content_hash } = head;
        Ok(JobEvent { job, event_time, producer, inputs, outputs, content_hash, payload })
    }

    fn dataset_event(&mut self, payload: Value, head: Head) -> Result<DatasetEvent, Problem> {
        let place = Place::root(&payload).required("dataset")?;
        let dataset = dataset_name(&place)?;
        let facets = self.dataset_facets(place.object("facets")?.as_ref());
        let Head { event_time, producer, content_hash } = head;
        Ok(DatasetEvent { dataset, event_time, producer, facets, content_hash, payload })
    }

    fn event_type(&mut self, root: &Place<'_>) -> Result<EventType, Problem> {
        let Some(place) = root.get("eventType")? else { return Ok(EventType::Other) };
        let text = place.text()?;
        if let Ok(event_type) = text.parse() {
            return Ok(event_type);
        }
        let event_type = text.to_ascii_uppercase().parse().map_err(|_| {
            let known: Vec<_> = EventType::ALL.iter().map(|known| known.as_str()).collect();
            place.problem(Code::Invalid, format!("must be one of {}", known.join(", ")))
        })?;
        self.note(WarningCode::EventTypeCase, &place.path, "must be in upper case");
        Ok(event_type)
    }

    /// The inputs and outputs, each once, in the order of their names.
    fn datasets(&mut self, root: &Place<'_>) -> Result<(Vec<Input>, Vec<Output>), Problem> {
        let (inputs, outputs) = (root.items("inputs")?, root.items("outputs")?);
        let maximum = self.limits.max_datasets_per_event;
        if inputs.len() + outputs.len() > maximum {
            let message = format!("names more than {maximum} datasets");
            return Err(root.problem(Code::TooManyDatasets, message));
        }
        let mut read = BTreeMap::<DatasetName, Input>::new();
        for place in &inputs {
            let dataset = dataset_name(place)?;
            let facets = self.dataset_facets(place.object("facets")?.as_ref());
            match read.get_mut(&dataset) {
                Some(known) => merge_facets(&mut known.facets, facets),
                None => {
                    read.insert(dataset.clone(), Input { dataset, facets });
                }
            }
        }
        let mut written = BTreeMap::<DatasetName, Output>::new();
        for place in &outputs {
            let output = self.output(place)?;
            match written.get_mut(&output.dataset) {
                Some(known) => merge_output(known, output),
                None => {
                    written.insert(output.dataset.clone(), output);
                }
            }
        }
        Ok((read.into_values().collect(), written.into_values().collect()))
    }

    fn output(&mut self, place: &Place<'_>) -> Result<Output, Problem> {
        let facets = place.object("facets")?;
        let output_facets = place.object("outputFacets")?;
        let dataset = dataset_name(place)?;
        let statistics = self.statistics(output_facets.as_ref(), facets.as_ref());
        let watermark = self.source_watermark(output_facets.as_ref());
        Ok(Output {
            dataset,
            statistics,
            source_watermark: watermark.map(|(at, _)| at),
            source_watermark_origin: watermark.map(|(_, origin)| origin),
            facets: self.dataset_facets(facets.as_ref()),
        })
    }

    /// An instant since 1970.
    pub(super) fn instant(&mut self, place: &Place<'_>) -> Result<DateTime<Utc>, Problem> {
        let instant = time::read(place.text()?).ok_or_else(|| {
            place.problem(Code::Invalid, "must be a time such as 2026-01-31T12:00:00.000Z")
        })?;
        if instant.at < DateTime::UNIX_EPOCH {
            return Err(place.problem(Code::TimeTooEarly, "must not lie before 1970"));
        }
        if !instant.zoned {
            self.note(WarningCode::TimeWithoutZone, &place.path, "has no zone; taken for UTC");
        }
        Ok(instant.at)
    }

    pub(super) fn note(&mut self, code: WarningCode, field: &str, message: &str) {
        self.notes.push(Note { code, field: field.to_owned(), message: message.to_owned() });
    }
}

/// One dataset that an event names twice: what is said first stands, what is said later adds.
fn merge_output(known: &mut Output, other: Output) {
    known.statistics = known.statistics.or(other.statistics);
    if known.source_watermark.is_none() {
        known.source_watermark = other.source_watermark;
        known.source_watermark_origin = other.source_watermark_origin;
    }
    merge_facets(&mut known.facets, other.facets);
}

fn merge_facets(known: &mut DatasetFacets, other: DatasetFacets) {
    let facets = std::mem::take(known);
    known.schema_fields = facets.schema_fields.or(other.schema_fields);
    known.description = facets.description.or(other.description);
    known.owners = if facets.owners.is_empty() { other.owners } else { facets.owners };
}

pub(super) fn uuid(place: &Place<'_>) -> Result<Uuid, Problem> {
    let text = place.text()?;
    Uuid::try_parse(text).map_err(|_| place.problem(Code::Invalid, "must be a UUID"))
}

fn dataset_name(place: &Place<'_>) -> Result<DatasetName, Problem> {
    let namespace = place.required("namespace")?.text()?;
    let name = place.required("name")?.text()?;
    DatasetName::parse(namespace, name).map_err(|error| bad_name(place, &error))
}

fn job_name(root: &Place<'_>) -> Result<JobName, Problem> {
    let place = root.required("job")?;
    let namespace = place.required("namespace")?.text()?;
    let name = place.required("name")?.text()?;
    JobName::parse(namespace, name).map_err(|error| bad_name(&place, &error))
}

fn bad_name(place: &Place<'_>, error: &Error) -> Problem {
    match error {
        Error::BadUserInput { field, message } => Problem {
            code: Code::Invalid,
            field: place.child_path(field),
            message: message.to_string(),
        },
        other => place.problem(Code::Invalid, other.to_string()),
    }
}
