//! A run as a fold over the set of its events.
//!
//! [`RunFold`] is a join-semilattice: merging is associative, commutative and idempotent. So it can
//! be stored and merged with the next events, without ever reading the earlier ones again, and comes
//! out the same in whatever order, portions and repetitions they arrive.
//!
//! # Rules
//! - the run started at its earliest START;
//! - its **earliest** terminal event wins; of several at one instant, FAIL before ABORT before
//!   COMPLETE (a contradiction never passes for a success), then the smaller content hash. Terminal
//!   events of more than one type are a conflict, which is kept;
//! - OTHER changes nothing of the state or its instants; it may add statistics;
//! - what a run says about itself or its outputs stands as its **latest** event says it; of several
//!   at one instant, as the one with the greater content hash does;
//! - one run belongs to one job.

use std::collections::{BTreeMap, btree_map::Entry};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ContentHash, EventType, JobName, NominalTime, RunEvent};
use crate::{dataset::model::DatasetName, error::Error};

mod output;

use output::Latest;
pub use output::{InputFold, OutputFold};

crate::wire::wire_enum! {
    /// The state of a run.
    #[derive(Serialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    pub enum RunState {
        /// Nothing is known of its state: there are only OTHER events.
        New = "NEW",
        /// It started, or is running, and did not end.
        Running = "RUNNING",
        /// It succeeded.
        Completed = "COMPLETED",
        /// It was stopped.
        Aborted = "ABORTED",
        /// It failed.
        Failed = "FAILED",
    }
}

/// Why two folds cannot be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They are of two runs.
    #[error("the events are of two runs")]
    OtherRun,
    /// The run is known as a run of another job.
    #[error("the run id is already that of a run of another job")]
    OtherJob,
}

impl From<MergeError> for Error {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::OtherRun => Self::internal(error),
            MergeError::OtherJob => Self::Conflict(error.to_string().into()),
        }
    }
}

/// The ways to end, those first that win at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum End {
    Fail,
    Abort,
    Complete,
}

impl End {
    const fn of(event_type: EventType) -> Option<Self> {
        match event_type {
            EventType::Complete => Some(Self::Complete),
            EventType::Abort => Some(Self::Abort),
            EventType::Fail => Some(Self::Fail),
            EventType::Start | EventType::Running | EventType::Other => None,
        }
    }
}

/// The earliest event of one way to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    at: DateTime<Utc>,
    hash: ContentHash,
    error_message: Option<String>,
}

/// The fold of the events of a run, one at least. Its serialised form is for storing it, nothing
/// else reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFold {
    run_id: Uuid,
    job: JobName,
    first_event_at: DateTime<Utc>,
    /// The earliest event but for OTHER.
    first_state_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    /// At most one per way to end. More than one is a conflict.
    ends: BTreeMap<End, Ended>,
    nominal_time: Option<Latest<NominalTime>>,
    parent_run_id: Option<Latest<Uuid>>,
    /// Runs that were stored before inputs were kept have none.
    #[serde(default, with = "output::as_list", skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<DatasetName, InputFold>,
    #[serde(with = "output::as_list")]
    outputs: BTreeMap<DatasetName, OutputFold>,
}

impl RunFold {
    /// The fold of one event.
    #[must_use]
    pub fn of(event: &RunEvent) -> Self {
        let at = event.event_time;
        let only = |event_type| (event.event_type == event_type).then_some(at);
        let end = End::of(event.event_type).map(|end| {
            let failed = end == End::Fail;
            let error_message = event.error_message.clone().filter(|_| failed);
            (end, Ended { at, hash: event.content_hash, error_message })
        });
        let mut fold = Self {
            run_id: event.run_id,
            job: event.job.clone(),
            first_event_at: at,
            first_state_at: (event.event_type != EventType::Other).then_some(at),
            started_at: only(EventType::Start),
            ends: end.into_iter().collect(),
            nominal_time: Latest::of(event, event.nominal_time),
            parent_run_id: Latest::of(event, event.parent_run_id),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
        };
        for input in &event.inputs {
            fold.add_input(input.dataset.clone(), InputFold::of(event));
        }
        for output in &event.outputs {
            fold.add_output(output.dataset.clone(), OutputFold::of(event, output));
        }
        fold
    }

    /// The fold of the events of both.
    ///
    /// # Errors
    /// [`MergeError`] unless both are of one run of one job.
    pub fn merge(mut self, other: Self) -> Result<Self, MergeError> {
        self.absorb(other)?;
        Ok(self)
    }

    /// Takes in the events of `other`.
    ///
    /// # Errors
    /// As for [`RunFold::merge`]; then nothing is changed.
    pub fn absorb(&mut self, other: Self) -> Result<(), MergeError> {
        if self.run_id != other.run_id {
            return Err(MergeError::OtherRun);
        }
        if self.job != other.job {
            return Err(MergeError::OtherJob);
        }
        self.first_event_at = self.first_event_at.min(other.first_event_at);
        self.first_state_at = earliest(self.first_state_at, other.first_state_at);
        self.started_at = earliest(self.started_at, other.started_at);
        for (end, ended) in other.ends {
            match self.ends.entry(end) {
                Entry::Vacant(entry) => {
                    entry.insert(ended);
                }
                Entry::Occupied(mut entry) => {
                    if (ended.at, ended.hash) < (entry.get().at, entry.get().hash) {
                        entry.insert(ended);
                    }
                }
            }
        }
        self.nominal_time = Latest::merge(self.nominal_time.take(), other.nominal_time);
        self.parent_run_id = Latest::merge(self.parent_run_id.take(), other.parent_run_id);
        for (dataset, input) in other.inputs {
            self.add_input(dataset, input);
        }
        for (dataset, output) in other.outputs {
            self.add_output(dataset, output);
        }
        Ok(())
    }

    fn add_input(&mut self, dataset: DatasetName, input: InputFold) {
        let known = self.inputs.entry(dataset).or_insert(input);
        *known = known.merge(input);
    }

    fn add_output(&mut self, dataset: DatasetName, output: OutputFold) {
        let known = self.outputs.entry(dataset).or_default();
        *known = std::mem::take(known).merge(output);
    }

    /// The terminal event that wins.
    fn end(&self) -> Option<(End, &Ended)> {
        let ends = self.ends.iter().map(|(end, ended)| (*end, ended));
        ends.min_by_key(|(end, ended)| (ended.at, *end))
    }

    /// The run.
    #[must_use]
    pub const fn run_id(&self) -> Uuid {
        self.run_id
    }

    /// The job that it is a run of.
    #[must_use]
    pub const fn job(&self) -> &JobName {
        &self.job
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> RunState {
        match (self.end(), self.first_state_at) {
            (Some((End::Complete, _)), _) => RunState::Completed,
            (Some((End::Abort, _)), _) => RunState::Aborted,
            (Some((End::Fail, _)), _) => RunState::Failed,
            (None, Some(_)) => RunState::Running,
            (None, None) => RunState::New,
        }
    }

    /// When it started; unknown until a START arrives.
    #[must_use]
    pub const fn started_at(&self) -> Option<DateTime<Utc>> {
        self.started_at
    }

    /// When it took place, for placing it among others: its start; until that is known its earliest
    /// event, one of OTHER only if there is nothing else.
    #[must_use]
    pub fn effective_at(&self) -> DateTime<Utc> {
        self.started_at.or(self.first_state_at).unwrap_or(self.first_event_at)
    }

    /// When it ended. Earlier than the start if the producer's clock says so.
    #[must_use]
    pub fn ended_at(&self) -> Option<DateTime<Utc>> {
        self.end().map(|(_, ended)| ended.at)
    }

    /// Why it failed, if it did and said so.
    #[must_use]
    pub fn error_message(&self) -> Option<&str> {
        self.end().and_then(|(_, ended)| ended.error_message.as_deref())
    }

    /// Whether its terminal events contradict each other.
    #[must_use]
    pub fn conflict(&self) -> bool {
        self.ends.len() > 1
    }

    /// The time it was scheduled for.
    #[must_use]
    pub fn nominal_time(&self) -> Option<NominalTime> {
        self.nominal_time.map(|latest| latest.value)
    }

    /// The run that started it.
    #[must_use]
    pub fn parent_run_id(&self) -> Option<Uuid> {
        self.parent_run_id.map(|latest| latest.value)
    }

    /// Every dataset that one of its events names as an input.
    #[must_use]
    pub const fn inputs(&self) -> &BTreeMap<DatasetName, InputFold> {
        &self.inputs
    }

    /// Every dataset that one of its events names as an output.
    #[must_use]
    pub const fn outputs(&self) -> &BTreeMap<DatasetName, OutputFold> {
        &self.outputs
    }
}

fn earliest(left: Option<DateTime<Utc>>, right: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    left.into_iter().chain(right).min()
}

#[cfg(test)]
pub(crate) mod tests;
