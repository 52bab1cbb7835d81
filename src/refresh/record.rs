//! Recording events: the one way by which anything that happened to a run comes in.
//!
//! A batch is one transaction. An event that cannot be recorded (its run id belongs to another job)
//! is left out and answered for by itself; the others stand. An event that was recorded before adds
//! nothing. Each event leaves its audit event in the same transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{ContentHash, Event, RunFold},
    resolve::{self, Ids},
    state_store,
    store::{self, EventRecord, LogRecord, Moved},
};
use crate::{
    audit::{self, Entry, Outcome, trail},
    auth::policy::Operation,
    call::Call,
    db::TenantTx,
    error::{Coded, Error, Result},
};

/// What became of one event.
#[derive(Debug, Clone)]
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
    trail::change(call, operation, None, async {
        let submitted = submitted.await?;
        let tx = call.db().write().await?;
        let outcomes = record_all(&tx, call, operation, submitted).await?;
        tx.commit().await?;
        count(&outcomes);
        Ok(outcomes)
    })
    .await
}

async fn record_all(
    tx: &TenantTx,
    call: &Call,
    operation: Operation,
    submitted: Vec<Submitted>,
) -> Result<Vec<Recorded>> {
    let mut outcomes: Vec<Option<Recorded>> = Vec::with_capacity(submitted.len());
    let mut events = Vec::with_capacity(submitted.len());
    for submitted in submitted {
        match submitted {
            Ok(event) => {
                events.push(event);
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(Recorded::Rejected(error))),
        }
    }
    let mut merged = merge_runs(tx, call, &events).await?;
    // From here on nothing of a refused event leaves a trace.
    let accepted =
        events.iter().enumerate().filter(|(index, _)| !merged.refused.contains_key(index));
    let accepted: Vec<_> = accepted.map(|(_, event)| event).collect();
    let ids = resolve::datasets(tx, call, &accepted).await?;
    let mut added = insert_events(tx, call, &accepted).await?;
    update_runs(tx, call, &merged.changed, &ids).await?;
    resolve::observe_schemas(tx, &accepted, &ids).await?;
    let mut entries = Vec::with_capacity(outcomes.len());
    let mut read = events.iter().enumerate();
    let outcomes = outcomes.into_iter().map(|unreadable| {
        if let Some(outcome) = unreadable {
            entries.push(entry(operation, None, &outcome, &ids));
            return outcome;
        }
        let Some((index, event)) = read.next() else {
            return Recorded::Rejected(Error::internal("an event is missing"));
        };
        let outcome = match merged.refused.remove(&index) {
            Some(error) => Recorded::Rejected(error),
            // Taken out, so that of two that are alike in one batch the second is a duplicate.
            None if added.remove(&event.content_hash()) => Recorded::Added,
            None => Recorded::Duplicate,
        };
        entries.push(entry(operation, Some(event), &outcome, &ids));
        outcome
    });
    let outcomes: Vec<_> = outcomes.collect();
    if entries.is_empty() {
        // A call without any event is a call nevertheless.
        entries.push(Entry {
            operation,
            dataset_id: None,
            resource: None,
            outcome: Outcome::Success,
        });
    }
    audit::append(tx, call, &entries).await?;
    Ok(outcomes)
}

/// A run that is not as it was, and where it was in the log, if it was there.
type Changed = (RunFold, Option<DateTime<Utc>>);

/// What a batch does to runs.
struct Merged {
    /// The runs that are not as they were.
    changed: Vec<Changed>,
    /// The events that were refused, by their index.
    refused: HashMap<usize, Error>,
}

/// Folds the events of the batch into their runs and stores these.
async fn merge_runs(tx: &TenantTx, call: &Call, events: &[Event]) -> Result<Merged> {
    let mut refused = HashMap::new();
    // In order of their ids, which is the order in which rows are locked.
    let mut folds: BTreeMap<Uuid, Vec<(usize, RunFold)>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        if let Event::Run(event) = event {
            folds.entry(event.run_id).or_default().push((index, RunFold::of(event)));
        }
    }
    let fresh: Vec<_> = folds
        .values_mut()
        .filter_map(|events| {
            let mut events = std::mem::take(events).into_iter();
            let (_, first) = events.next()?;
            Some(merge(first, events, &mut refused))
        })
        .collect();
    if fresh.is_empty() {
        return Ok(Merged { changed: Vec::new(), refused });
    }
    let inserted = store::insert_runs(tx, &fresh.iter().collect::<Vec<_>>(), call.now()).await?;
    let inserted: HashSet<_> = inserted.into_iter().collect();
    let mut changed: Vec<_> = Vec::new();
    let known: Vec<_> =
        fresh.iter().map(RunFold::run_id).filter(|id| !inserted.contains(id)).collect();
    changed.extend(
        fresh.into_iter().filter(|run| inserted.contains(&run.run_id())).map(|run| (run, None)),
    );
    if !known.is_empty() {
        changed.extend(merge_known(tx, call, events, &known, &mut refused).await?);
    }
    Ok(Merged { changed, refused })
}

/// Folds `events` into `run`; those of another job are refused.
fn merge(
    run: RunFold,
    events: impl IntoIterator<Item = (usize, RunFold)>,
    refused: &mut HashMap<usize, Error>,
) -> RunFold {
    events.into_iter().fold(run, |run, (index, event)| match run.clone().merge(event) {
        Ok(merged) => merged,
        Err(error) => {
            refused.insert(index, error.into());
            run
        }
    })
}

/// The same for runs that are known already: what is stored comes first, so that the job that has
/// the run keeps it.
async fn merge_known(
    tx: &TenantTx,
    call: &Call,
    events: &[Event],
    known: &[Uuid],
    refused: &mut HashMap<usize, Error>,
) -> Result<Vec<Changed>> {
    let mut changed = Vec::new();
    for stored in store::lock_runs(tx, known).await? {
        let id = stored.run_id();
        let news = events.iter().enumerate().filter_map(|(index, event)| match event {
            Event::Run(event) if event.run_id == id => {
                refused.remove(&index);
                Some((index, RunFold::of(event)))
            }
            _ => None,
        });
        let news: Vec<_> = news.collect();
        let merged = merge(stored.clone(), news, refused);
        if merged != stored {
            changed.push((merged, Some(stored.effective_at())));
        }
    }
    let runs: Vec<_> = changed.iter().map(|(run, _)| run).collect();
    if !runs.is_empty() {
        store::update_runs(tx, &runs, call.now()).await?;
    }
    Ok(changed)
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
        .filter_map(|(run, before)| {
            let from = (*before)?;
            let to = run.effective_at();
            (from != to).then_some(Moved { run_id: run.run_id(), from, to })
        })
        .collect();
    if !moved.is_empty() {
        store::move_log(tx, &moved).await?;
    }
    let ids = resolve::outputs(tx, changed.iter().map(|(run, _)| run), ids).await?;
    // Two outputs of a run may be two names of one dataset: the first one stands.
    let mut rows = BTreeMap::new();
    for (run, _) in changed {
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
    state_store::lock(tx, &datasets).await?;
    store::upsert_log(tx, &rows).await?;
    state_store::refresh(tx, &datasets, call.now()).await
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
