//! What becomes known of one call on its way, and the events that it leaves.
//!
//! A record is made with the request and goes with it: whoever learns something says so. At the end
//! [`Record::finish`] answers the events that are still to be written: exactly one event of every call
//! has the call's own id. A change writes its event in its own transaction, and says so ([`Record::kept`]);
//! the first of them is the event of the call. What failed is [noted](Record::note).
//!
//! Whether a commit that was cut off took place nobody knows here. Its event has the same id as the one
//! that is written then, and the database takes each once.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Entry,
    model::{Class, Event, NOBODY, Outcome},
};
use crate::{
    auth::{Principal, TenantId, policy::Operation},
    clock::SharedClock,
    error::ErrorCode,
};

/// The longest resource, in characters.
const RESOURCE_CHARACTERS: usize = 256;

/// See the [module](self).
#[derive(Debug)]
pub struct Record {
    clock: SharedClock,
    call_id: Uuid,
    occurred_at: DateTime<Utc>,
    started: Instant,
    correlation_id: Arc<str>,
    interface: &'static str,
    caller: OnceLock<Arc<Principal>>,
    /// What was asked of the table of rights, by its place in [`Operation::ALL`].
    asked: AtomicU64,
    rows: Arc<AtomicU64>,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// What it is, if no operation says it.
    action: Option<&'static str>,
    first: Option<Operation>,
    denied: Option<Operation>,
    /// What it is, if nothing better is known.
    otherwise: Option<&'static str>,
    dataset: About,
    resource: Option<String>,
    operation_name: Option<String>,
    document_hash: Option<[u8; 32]>,
    kept: bool,
    noted: Vec<Entry>,
    finished: bool,
}

/// Which dataset a call is about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum About {
    #[default]
    None,
    One(Uuid),
    Many,
}

impl Record {
    /// The record of a call that comes now, by this way.
    #[must_use]
    pub fn new(clock: SharedClock, correlation_id: Arc<str>, interface: &'static str) -> Self {
        let occurred_at = clock.now();
        Self {
            call_id: clock.id_at(occurred_at),
            occurred_at,
            clock,
            started: Instant::now(),
            correlation_id,
            interface,
            caller: OnceLock::new(),
            asked: AtomicU64::new(0),
            rows: Arc::default(),
            found: Mutex::default(),
        }
    }

    fn new_id(&self) -> Uuid {
        self.clock.id_at(self.occurred_at)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What ties the call's log lines, events and answer together.
    #[must_use]
    pub const fn correlation_id(&self) -> &Arc<str> {
        &self.correlation_id
    }

    /// Says whose call it is.
    pub fn caller(&self, principal: &Arc<Principal>) {
        // A call has one caller; asking about its token again changes nothing.
        let _ = self.caller.set(principal.clone());
    }

    /// Says that it is the call of whoever made another one.
    pub fn caller_of(&self, other: &Self) {
        if let Some(principal) = other.caller.get() {
            self.caller(principal);
        }
    }

    /// Says what it asks for, when no operation says it.
    pub fn is(&self, action: &'static str) {
        self.found().action.get_or_insert(action);
    }

    /// Says what it asks for as far as the way it came by tells.
    pub fn is_perhaps(&self, action: &'static str) {
        self.found().otherwise = Some(action);
    }

    /// Says that the table of rights was asked.
    pub fn asked(&self, operation: Operation) {
        let bit = 1 << (operation as u64);
        if self.asked.load(Ordering::Relaxed) & bit == 0 {
            self.asked.fetch_or(bit, Ordering::Relaxed);
            self.found().first.get_or_insert(operation);
        }
    }

    /// Says that this may not be done: then that is what the event is about.
    pub fn denied(&self, operation: Operation) {
        self.found().denied.get_or_insert(operation);
    }

    /// Says that it is about this dataset. One of several is none.
    pub fn about_dataset(&self, dataset_id: Uuid) {
        let about = &mut self.found().dataset;
        *about = match *about {
            About::None => About::One(dataset_id),
            About::One(other) if other == dataset_id => About::One(other),
            _ => About::Many,
        };
    }

    /// Says what else it is about.
    pub fn about(&self, resource: impl FnOnce() -> String) {
        self.found().resource.get_or_insert_with(resource);
    }

    /// Says which document it executes.
    pub fn document(&self, operation_name: Option<&str>, hash: [u8; 32]) {
        let mut found = self.found();
        found.operation_name = operation_name.map(str::to_owned);
        found.document_hash = Some(hash);
    }

    /// What was asked of the table of rights, in the order of the first one and then of the table.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let first = self.found().first;
        let others = self.in_order().filter(|operation| Some(*operation) != first);
        first.into_iter().chain(others).collect()
    }

    /// What was asked of the table of rights, in the order of the table.
    fn in_order(&self) -> impl Iterator<Item = Operation> {
        let asked = self.asked.load(Ordering::Relaxed);
        let is_asked = move |operation: &Operation| asked & (1 << (*operation as u64)) != 0;
        Operation::ALL.into_iter().filter(is_asked)
    }

    /// The dataset that it is about, if it is one, and what else.
    #[must_use]
    pub fn subject(&self) -> (Option<Uuid>, Option<String>) {
        let found = self.found();
        let dataset_id = match found.dataset {
            About::One(dataset_id) => Some(dataset_id),
            About::None | About::Many => None,
        };
        (dataset_id, found.resource.clone())
    }

    /// The name of the operation, and the hash of the document.
    #[must_use]
    pub fn asked_by(&self) -> (Option<String>, Option<[u8; 32]>) {
        let found = self.found();
        (found.operation_name.clone(), found.document_hash)
    }

    /// What counts the rows that the database answers for it.
    #[must_use]
    pub const fn rows(&self) -> &Arc<AtomicU64> {
        &self.rows
    }

    /// The events of a transaction of this call, to be written in it.
    #[must_use]
    pub fn events(&self, entries: &[Entry]) -> Vec<Event> {
        let mut own = (!self.found().kept).then_some(self.call_id);
        let events = entries.iter().map(|entry| {
            let id = own.take().unwrap_or_else(|| self.new_id());
            self.event(id, entry)
        });
        events.collect()
    }

    /// Says that such a transaction was committed.
    pub fn kept(&self) {
        self.found().kept = true;
    }

    /// Notes what was refused or failed, to be written when the call ends.
    pub fn note(&self, entry: Entry) {
        self.found().noted.push(entry);
    }

    /// The events that are to be written at the end of the call, once.
    #[must_use]
    pub fn finish(&self, outcome: Outcome) -> Vec<Event> {
        let mut found = self.found();
        if std::mem::replace(&mut found.finished, true) {
            return Vec::new();
        }
        let noted = std::mem::take(&mut found.noted);
        let kept = found.kept;
        drop(found);
        let mut own = (!kept).then_some(self.call_id);
        let mut events: Vec<_> = noted
            .iter()
            .map(|entry| self.event(own.take().unwrap_or_else(|| self.new_id()), entry))
            .collect();
        let unsaid = kept && events.is_empty() && outcome.is_unexpected();
        if let Some(id) = own.or_else(|| unsaid.then(|| self.new_id())) {
            events.push(self.call(id, outcome));
        }
        events
    }

    /// The event of the call as a whole.
    fn call(&self, event_id: Uuid, outcome: Outcome) -> Event {
        let found = self.found();
        let denied = found.denied.filter(|_| outcome.error_code() == Some(ErrorCode::Forbidden));
        let operation = denied.or(found.first).map(Operation::as_str);
        let action = found.action.or(operation).or(found.otherwise).unwrap_or("request");
        drop(found);
        let (dataset_id, resource) = self.subject();
        let also = self.in_order().map(Operation::as_str);
        let also = also.filter(|name| *name != action).map(Cow::Borrowed);
        Event { also: also.collect(), ..self.made(event_id, action, dataset_id, resource, outcome) }
    }

    fn event(&self, event_id: Uuid, entry: &Entry) -> Event {
        let Entry { operation, dataset_id, resource, outcome } = entry;
        self.made(event_id, operation.as_str(), *dataset_id, resource.clone(), *outcome)
    }

    fn made(
        &self,
        event_id: Uuid,
        action: &'static str,
        dataset_id: Option<Uuid>,
        resource: Option<String>,
        outcome: Outcome,
    ) -> Event {
        let found = self.found();
        let caller = self.caller.get();
        let actor = caller.map_or(Cow::Borrowed(NOBODY), |caller| caller.actor().to_owned().into());
        let duration = self.started.elapsed().as_micros();
        Event {
            action: action.into(),
            actor_id: actor,
            also: Vec::new(),
            call_id: Some(self.call_id),
            calls: 1,
            class: Class::of(action),
            correlation_id: self.correlation_id.to_string(),
            dataset_id,
            document_hash: found.document_hash.map(Into::into),
            duration_us: Some(duration.try_into().unwrap_or(u64::MAX)),
            error_code: outcome.error_code().map(|code| code.as_str().into()),
            event_id,
            interface: Some(self.interface.into()),
            occurred_at: self.occurred_at,
            operation_name: found.operation_name.clone(),
            resource: resource.map(|resource| stored(&resource)),
            result: outcome.as_str().into(),
            row_count: Some(self.rows.load(Ordering::Relaxed)),
            tenant_id: caller.map_or_else(TenantId::none, |caller| caller.tenant().clone()),
            token_hash: caller.map(|caller| caller.token_hash().to_vec()),
        }
    }
}

impl Outcome {
    /// Whether a call whose change was made cannot be meant by it.
    const fn is_unexpected(self) -> bool {
        matches!(self, Self::Failure(_) | Self::Cancelled)
    }
}

/// A text as PostgreSQL can store it, of a bounded length.
fn stored(text: &str) -> String {
    text.chars().filter(|letter| *letter != '\0').take(RESOURCE_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{SubsecRound, TimeDelta};

    use super::*;
    use crate::clock::ManualClock;

    fn record() -> Record {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        clock.advance(TimeDelta::microseconds(1_234_567));
        let record = Record::new(clock.clone(), "nightly".into(), "public");
        clock.advance(TimeDelta::seconds(1));
        record
    }

    fn entry(outcome: Outcome) -> Entry {
        Entry { operation: Operation::DatasetRetire, dataset_id: None, resource: None, outcome }
    }

    fn said(events: &[Event], record: &Record) -> Vec<(String, String, bool)> {
        let told = events.iter().map(|event| {
            let own = event.event_id == record.call_id;
            (event.action.to_string(), event.result.to_string(), own)
        });
        told.collect()
    }

    // D34
    #[test]
    fn a_call_that_changes_nothing_leaves_one_event() {
        let record = record();
        record.asked(Operation::DatasetRead);
        record.asked(Operation::RunRead);
        let events = record.finish(Outcome::Success);
        assert_eq!(said(&events, &record), [("dataset.read".into(), "SUCCESS".into(), true)]);
        assert_eq!(events[0].also, ["run.read"]);
        assert!(record.finish(Outcome::Cancelled).is_empty(), "it ends once");
    }

    #[test]
    fn the_first_change_is_the_event_of_the_call() {
        let record = record();
        let written = record.events(&[entry(Outcome::Success), entry(Outcome::Success)]);
        assert_eq!(said(&written, &record).iter().filter(|event| event.2).count(), 1);
        for event in &written {
            let (seconds, nanoseconds) = event.event_id.get_timestamp().unwrap().to_unix();
            let named = DateTime::from_timestamp(seconds.try_into().unwrap(), nanoseconds).unwrap();
            assert_eq!(named, event.occurred_at.trunc_subsecs(3));
        }
        record.kept();
        let more = record.events(&[entry(Outcome::Success)]);
        assert!(!said(&more, &record)[0].2);
        assert!(record.finish(Outcome::Success).is_empty());
    }

    #[test]
    fn a_change_that_was_not_committed_is_told_under_the_same_id() {
        let record = record();
        let lost = record.events(&[entry(Outcome::Success)]);
        record.note(entry(Outcome::Failure(ErrorCode::Unavailable)));
        let told = record.finish(Outcome::Failure(ErrorCode::Unavailable));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].event_id, lost[0].event_id);
        assert_eq!(told[0].occurred_at, lost[0].occurred_at);
    }

    #[test]
    fn whoever_goes_away_after_a_change_is_told_of_as_well() {
        let record = record();
        record.kept();
        let events = record.finish(Outcome::Cancelled);
        assert_eq!(said(&events, &record), [("request".into(), "CANCELLED".into(), false)]);
    }

    #[test]
    fn one_dataset_is_named_and_several_are_not() {
        let record = record();
        record.about_dataset(Uuid::from_u128(1));
        record.about_dataset(Uuid::from_u128(1));
        assert_eq!(record.call(Uuid::nil(), Outcome::Success).dataset_id, Some(Uuid::from_u128(1)));
        record.about_dataset(Uuid::from_u128(2));
        record.about_dataset(Uuid::from_u128(1));
        assert_eq!(record.call(Uuid::nil(), Outcome::Success).dataset_id, None);
    }
}
