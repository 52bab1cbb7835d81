//! Recording events: the one way by which anything that happened to a run comes in.
//!
//! A batch is one transaction. An event that cannot be recorded (its run id belongs to another job)
//! is left out and answered for by itself; the others stand. An event that was recorded before adds
//! nothing. Each event leaves its audit event in the same transaction.

use std::collections::{BTreeMap, HashMap, HashSet, btree_map::Entry as RunEntry};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    external::{model::Verdict, store as verdicts},
    link,
    model::{ContentHash, Event, RunEvent, RunFold},
    observed,
    resolve::{self, Ids},
    state_store,
    store::{self, EventRecord, LogRecord, Moved},
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    dataset::model::DatasetName,
    db::TenantTx,
    error::{Coded, Error, Result},
};

/// What became of one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Recorded {
    /// It is new, and counts.
    Added,
    /// It was known already.
    Duplicate,
    /// It contradicts what is known, and was left out.
    Rejected(Error),
}

/// An event that was sent, or why it cannot be recorded.
pub type Submitted = Result<Event>;

/// Records events for the caller; answers what became of each, in their order. `submitted` is read
/// inside the frame of the change, so that a batch that cannot be read is audited as well.
///
/// # Errors
/// [`Error::Forbidden`], what `submitted` answers, or whatever the database does; none of the
/// events is recorded then.
pub async fn record<E: Coded>(
    call: &Call,
    operation: Operation,
    submitted: impl Future<Output = Result<Vec<Submitted>, E>> + Send,
) -> Result<Vec<Recorded>, E> {
    let batch = async {
        let events = submitted.await?;
        Ok::<_, E>(Batch { events, verdicts: Vec::new(), told: () })
    };
    let (outcomes, ()) = record_with(call, operation, batch).await?;
    Ok(outcomes)
}

/// What is to be recorded together.
#[derive(Debug)]
pub(super) struct Batch<T> {
    /// The events.
    pub events: Vec<Submitted>,
    /// Beside each event the verdict of another tool, or none: it is kept if its event stands.
    pub verdicts: Vec<Option<Verdict>>,
    /// What the caller is to be told besides, and told again if the call comes again.
    pub told: T,
}

/// The same with all that a batch may have.
///
/// # Errors
/// As for [`record`].
pub(super) async fn record_with<T, E>(
    call: &Call,
    operation: Operation,
    batch: impl Future<Output = Result<Batch<T>, E>> + Send,
) -> Result<(Vec<Recorded>, T), E>
where
    T: Serialize + DeserializeOwned,
    E: Coded,
{
    trail::change(call, operation, None, batch, async |tx, batch| {
        let Batch { events, verdicts, told } = batch;
        let (outcomes, entries, ids) = record_all(tx, call, operation, events).await?;
        let stands = |outcome: &Recorded| !matches!(outcome, Recorded::Rejected(_));
        let kept = outcomes.iter().zip(&verdicts).filter(|(outcome, _)| stands(outcome));
        let kept = kept.filter_map(|(_, verdict)| verdict.as_ref());
        let kept = kept.filter_map(|verdict| Some((*ids.get(&verdict.dataset)?, verdict)));
        verdicts::keep(tx, kept, call.now()).await?;
        count(&outcomes);
        Ok(Done::new((outcomes, told), entries))
    })
    .await
}

async fn record_all(
    tx: &TenantTx,
    call: &Call,
    operation: Operation,
    submitted: Vec<Submitted>,
) -> Result<(Vec<Recorded>, Vec<Entry>, Ids)> {
    let received = submitted.len();
    let (mut events, mut refused) = (Events::new(), Refused::new());
    for (index, submitted) in submitted.into_iter().enumerate() {
        match submitted {
            Ok(event) => drop(events.insert(index, event)),
            Err(error) => drop(refused.insert(index, error)),
        }
    }
    let changed = merge_runs(tx, call, &events, &mut refused).await?;
    // From here on nothing of a refused event leaves a trace.
    let accepted = events.iter().filter(|(index, _)| !refused.contains_key(index));
    let accepted: Vec<_> = accepted.map(|(_, event)| event).collect();
    let ids = resolve::datasets(tx, call, &accepted).await?;
    let mut added = insert_events(tx, call, &accepted).await?;
    update_runs(tx, call, &changed, &ids).await?;
    observed::observe(tx, &accepted, &ids).await?;

    let mut outcomes = Vec::with_capacity(received);
    let mut entries = Vec::with_capacity(received.max(1));
    for index in 0..received {
        let event = events.get(&index);
        let outcome = match refused.remove(&index) {
            Some(error) => Recorded::Rejected(error),
            // Taken out, so that of two that are alike in one batch the second is a duplicate.
            None if event.is_some_and(|event| added.remove(&event.content_hash())) => {
                Recorded::Added
            }
            None => Recorded::Duplicate,
        };
        entries.push(entry(operation, event, &outcome, &ids));
        outcomes.push(outcome);
    }
    if entries.is_empty() {
        // A call without any event is a call nevertheless.
        let outcome = Outcome::Success;
        entries.push(Entry { operation, dataset_id: None, resource: None, outcome });
    }
    Ok((outcomes, entries, ids))
}

/// The events of a batch that could be read, by their place in it.
type Events = BTreeMap<usize, Event>;

/// Why events are refused, by their place in the batch.
type Refused = HashMap<usize, Error>;

/// A run that is not as it was.
struct Changed {
    run: RunFold,
    /// Where it was in the log, if it was there.
    before: Option<DateTime<Utc>>,
    /// Whether what it reads or writes is not as it was.
    relinked: bool,
}

/// Folds the events of the batch into their runs and stores these; answers those that are not as
/// they were. An event of another job than its run is refused.
async fn merge_runs(
    tx: &TenantTx,
    call: &Call,
    events: &Events,
    refused: &mut Refused,
) -> Result<Vec<Changed>> {
    // In order of their ids, which is the order in which rows are locked.
    let mut fresh: BTreeMap<Uuid, RunFold> = BTreeMap::new();
    for (index, event) in run_events(events) {
        match fresh.entry(event.run_id) {
            RunEntry::Vacant(run) => drop(run.insert(RunFold::of(event))),
            RunEntry::Occupied(mut run) => absorb(run.get_mut(), index, event, refused),
        }
    }
    if fresh.is_empty() {
        return Ok(Vec::new());
    }
    let inserted = store::insert_runs(tx, &fresh.values().collect::<Vec<_>>(), call.now()).await?;
    let inserted: Vec<_> = inserted.iter().filter_map(|id| fresh.remove(id)).collect();
    let new = |run| Changed { run, before: None, relinked: true };
    let mut changed: Vec<_> = inserted.into_iter().map(new).collect();
    if !fresh.is_empty() {
        let known: Vec<_> = fresh.into_keys().collect();
        changed.extend(merge_known(tx, call, events, &known, refused).await?);
    }
    Ok(changed)
}

/// The same for runs that are known already: what is stored comes first, so that the job that has
/// the run keeps it.
async fn merge_known(
    tx: &TenantTx,
    call: &Call,
    events: &Events,
    known: &[Uuid],
    refused: &mut Refused,
) -> Result<Vec<Changed>> {
    let mut changed = Vec::new();
    for stored in store::lock_runs(tx, known).await? {
        let (mut run, id) = (stored.clone(), stored.run_id());
        for (index, event) in run_events(events).filter(|(_, event)| event.run_id == id) {
            refused.remove(&index);
            absorb(&mut run, index, event, refused);
        }
        if run != stored {
            let relinked = run.inputs() != stored.inputs()
                || !run.outputs().keys().eq(stored.outputs().keys());
            changed.push(Changed { run, before: Some(stored.effective_at()), relinked });
        }
    }
    if !changed.is_empty() {
        let runs: Vec<_> = changed.iter().map(|changed| &changed.run).collect();
        store::update_runs(tx, &runs, call.now()).await?;
    }
    Ok(changed)
}

fn run_events(events: &Events) -> impl Iterator<Item = (usize, &RunEvent)> {
    events.iter().filter_map(|(index, event)| match event {
        Event::Run(event) => Some((*index, event.as_ref())),
        Event::Job(_) | Event::Dataset(_) => None,
    })
}

fn absorb(run: &mut RunFold, index: usize, event: &RunEvent, refused: &mut Refused) {
    if let Err(error) = run.absorb(RunFold::of(event)) {
        refused.insert(index, error.into());
    }
}

/// Adds events; answers the hashes of those that are new.
async fn insert_events(
    tx: &TenantTx,
    call: &Call,
    events: &[&Event],
) -> Result<HashSet<ContentHash>> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<_> = events.iter().map(|event| EventRecord::of(event)).collect();
    Ok(store::insert_events(tx, &rows, call.now()).await?.into_iter().collect())
}

/// Brings the log and the refresh states up to the changed runs.
async fn update_runs(tx: &TenantTx, call: &Call, changed: &[Changed], ids: &Ids) -> Result<()> {
    let moved: Vec<_> = changed
        .iter()
        .filter_map(|Changed { run, before, .. }| {
            let from = (*before)?;
            let to = run.effective_at();
            (from != to).then_some(Moved { run_id: run.run_id(), from, to })
        })
        .collect();
    if !moved.is_empty() {
        store::move_log(tx, &moved).await?;
    }
    let ids = resolve::named(tx, &wanted(changed), ids).await?;
    // Two outputs of a run may be two names of one dataset: the first one stands.
    let mut rows = BTreeMap::new();
    for Changed { run, .. } in changed {
        for (name, output) in run.outputs() {
            if let Some(dataset_id) = ids.get(name) {
                rows.entry((*dataset_id, run.run_id()))
                    .or_insert_with(|| LogRecord::of(run, *dataset_id, output));
            }
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut datasets: Vec<_> = rows.keys().map(|(dataset_id, _)| *dataset_id).collect();
    datasets.dedup();
    let rows: Vec<_> = rows.into_values().collect();
    // The states are locked before the log is written, so that of two writers of a dataset the
    // second one sees all that the first one wrote.
    let known = state_store::lock(tx, &datasets).await?;
    state_store::write(tx, call, &known, &rows).await?;
    let relinked = changed.iter().filter(|changed| changed.relinked);
    link::link(tx, relinked.map(|changed| &changed.run), &ids).await
}

/// The names of the datasets that bringing up to the changed runs is about: what they write, and of
/// those whose edges are to be written what they read.
fn wanted(changed: &[Changed]) -> HashSet<&DatasetName> {
    let read = changed.iter().filter(|changed| changed.relinked);
    let read = read.flat_map(|changed| changed.run.inputs().keys());
    changed.iter().flat_map(|changed| changed.run.outputs().keys()).chain(read).collect()
}

fn entry(operation: Operation, event: Option<&Event>, outcome: &Recorded, ids: &Ids) -> Entry {
    // The one dataset that it is about, if it is about one.
    let dataset = match event {
        Some(Event::Run(event)) => match event.outputs.as_slice() {
            [output] => Some(&output.dataset),
            _ => None,
        },
        Some(Event::Dataset(event)) => Some(&event.dataset),
        Some(Event::Job(_)) | None => None,
    };
    Entry {
        operation,
        dataset_id: dataset.and_then(|name| ids.get(name).copied()),
        resource: event.map(|event| match event {
            Event::Run(event) => format!("run:{}", event.run_id),
            Event::Job(_) | Event::Dataset(_) => format!("event:{}", event.content_hash()),
        }),
        outcome: match outcome {
            Recorded::Added | Recorded::Duplicate => Outcome::Success,
            Recorded::Rejected(error) => Outcome::of(error),
        },
    }
}

fn count(outcomes: &[Recorded]) {
    for outcome in outcomes {
        let outcome = match outcome {
            Recorded::Added => "added",
            Recorded::Duplicate => "duplicate",
            Recorded::Rejected(_) => "rejected",
        };
        metrics::counter!("drr_run_events_total", "outcome" => outcome).increment(1);
    }
}
