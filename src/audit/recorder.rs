//! What makes events durable: one task, one statement for all that arrived while the one before ran.
//!
//! While the database is away the events go to the [spool](super::spool), and so do all later ones until
//! it is empty, so that they are delivered in the order in which they came. Where neither takes them the
//! call is refused.
//!
//! Calls without a token have no tenant to answer for them, and cost their sender nothing. Of these, so
//! many a second have an event each; what is beyond is counted, kind by kind, in one event a quarter of a
//! second, and waits for it.

use std::{collections::HashMap, io, mem, path::Path, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

pub use super::spool::SpoolError;
use super::{
    model::{Event, NOBODY, Outcome},
    record::Record,
    spool::Spool,
};
use crate::{
    db::{
        Db,
        trail::{TrailRows, TrailWriter},
    },
    error::{Error, ErrorCode, Result},
};

/// How long the database may take before events go to the spool.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for more, when the last time there was more than one.
const LINGER: Duration = Duration::from_millis(2);
/// Calls that are recorded at once.
const GROUP: usize = 4_096;
/// Events that are delivered from the spool at once.
const BATCH: usize = 2_000;
/// How long to wait after a failed delivery.
const AGAIN: Duration = Duration::from_millis(500);
/// Calls without a token that have an event each, in a second.
const STRANGERS_EACH: u32 = 20;
/// How long those beyond wait to be counted together.
const CROWD_EVERY: Duration = Duration::from_millis(250);

/// The events could be kept nowhere: the call must not be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither the database nor the spool takes audit events")]
pub struct NotDurable;

impl From<NotDurable> for Error {
    fn from(error: NotDurable) -> Self {
        Self::unavailable(error)
    }
}

/// Hands events to the task that makes them durable; cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder(mpsc::UnboundedSender<Message>);

#[derive(Debug)]
enum Message {
    Events(Item),
    Close,
}

#[derive(Debug)]
struct Item {
    events: Vec<Event>,
    done: Option<oneshot::Sender<bool>>,
}

/// The task behind a [`Recorder`].
#[derive(Debug)]
pub struct Recording(JoinHandle<()>);

impl Recording {
    /// Waits until everything that was handed over is durable, and ends the task.
    pub async fn close(self, recorder: &Recorder) {
        let _ = recorder.0.send(Message::Close);
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the recorder of audit events ended in disorder");
        }
    }
}

impl Recorder {
    /// Starts the task that appends to `db`, with a spool in `folder` of at most `maximum` bytes.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn start(db: Db, folder: &Path, maximum: u64) -> Result<(Self, Recording), SpoolError> {
        let spool = Spool::open(folder, maximum)?;
        let (sender, received) = mpsc::unbounded_channel();
        let task = Task {
            received,
            writer: Some(TrailWriter::new(db)),
            spool: Some(spool),
            delivery: None,
            next_delivery: Instant::now(),
            batch: BATCH,
            crowd: Crowd::new(),
        };
        Ok((Self(sender), Recording(tokio::spawn(task.run()))))
    }

    /// Makes `events` durable.
    ///
    /// # Errors
    /// [`NotDurable`].
    async fn record(&self, events: Vec<Event>) -> Result<(), NotDurable> {
        if events.is_empty() {
            return Ok(());
        }
        let (done, durable) = oneshot::channel();
        let item = Item { events, done: Some(done) };
        self.0.send(Message::Events(item)).map_err(|_| NotDurable)?;
        if durable.await.unwrap_or(false) { Ok(()) } else { Err(NotDurable) }
    }

    /// The end of the call of `record`.
    #[must_use]
    pub fn ending(&self, record: Arc<Record>) -> Ending {
        Ending { record, recorder: self.clone() }
    }

    fn submit(&self, events: Vec<Event>) {
        if !events.is_empty() {
            let _ = self.0.send(Message::Events(Item { events, done: None }));
        }
    }
}

/// The end of a call that is under way: whoever goes away before there is an answer leaves an event too.
#[derive(Debug)]
pub struct Ending {
    record: Arc<Record>,
    recorder: Recorder,
}

impl Ending {
    /// What is known of the call.
    #[must_use]
    pub const fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Makes the call's events durable, which are all that it leaves.
    ///
    /// # Errors
    /// [`NotDurable`]: it must not be answered.
    pub async fn end(&self, outcome: Outcome) -> Result<(), NotDurable> {
        let done = self.recorder.record(self.record.finish(outcome)).await;
        if done.is_err() {
            metrics::counter!("drr_audit_unaudited_total").increment(1);
        }
        done
    }
}

impl Ending {
    /// The same where nobody waits for an answer any more.
    pub fn end_unawaited(&self, outcome: Outcome) {
        self.recorder.submit(self.record.finish(outcome));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Nothing is left to be told after an answer.
        self.end_unawaited(Outcome::Cancelled);
    }
}

/// Events on their way, and who waits for them.
#[derive(Debug, Default)]
struct Group {
    events: Vec<Event>,
    waiting: Vec<oneshot::Sender<bool>>,
}

impl Group {
    fn answer(self, durable: bool) {
        let name = if durable { "drr_audit_events_total" } else { "drr_audit_events_lost_total" };
        metrics::counter!(name).increment(self.events.len() as u64);
        for waiting in self.waiting {
            // Whoever went away meanwhile does not mind.
            let _ = waiting.send(durable);
        }
    }
}

/// A delivery from the spool under way: what it came to, and up to where.
type Delivery = JoinHandle<(TrailWriter, Result<()>, Vec<Event>, u64)>;

struct Task {
    received: mpsc::UnboundedReceiver<Message>,
    /// Away while a delivery is under way.
    writer: Option<TrailWriter>,
    /// Away while it is written to, which is never outlasted.
    spool: Option<Spool>,
    delivery: Option<Delivery>,
    next_delivery: Instant,
    /// How many events a delivery has.
    batch: usize,
    crowd: Crowd,
}

impl Task {
    async fn run(mut self) {
        let mut messages = Vec::new();
        let (mut closing, mut linger) = (false, false);
        while !closing || self.delivery.is_some() {
            let (crowd, delivery) = (self.crowd.due(), self.next_delivery);
            let waiting = self.delivery.is_none() && !self.spooled_all();
            tokio::select! {
                _ = self.received.recv_many(&mut messages, GROUP), if !closing => {
                    if linger && messages.len() < GROUP {
                        tokio::time::sleep(LINGER).await;
                        while messages.len() < GROUP && let Ok(more) = self.received.try_recv() {
                            messages.push(more);
                        }
                    }
                    // Nobody is left to send when there are none.
                    closing = messages.is_empty();
                }
                () = sleep_until(crowd.unwrap_or(delivery)), if crowd.is_some() => {}
                () = sleep_until(delivery), if waiting => self.deliver().await,
                delivered = ended(&mut self.delivery), if self.delivery.is_some() => {
                    self.delivered(delivered).await;
                }
            }
            let mut group = Group::default();
            for message in messages.drain(..) {
                match message {
                    Message::Events(item) => self.crowd.take_or_park(item, &mut group),
                    Message::Close => closing = true,
                }
            }
            self.crowd.join(&mut group, closing);
            linger = group.waiting.len() > 1;
            if !group.events.is_empty() {
                self.write(group).await;
            }
        }
        if let Some(mut writer) = self.writer {
            writer.close().await;
        }
    }

    fn spooled_all(&self) -> bool {
        self.spool.as_ref().is_none_or(Spool::is_empty)
    }

    /// To the database, unless there are earlier ones that it does not have; else to the spool.
    async fn write(&mut self, mut group: Group) {
        if self.spooled_all()
            && let Some(writer) = &mut self.writer
        {
            group.events.sort_by(|one, other| one.tenant_id.cmp(&other.tenant_id));
            match writer.append(&rows(&group.events), PATIENCE).await {
                Ok(()) => {
                    metrics::counter!("drr_audit_groups_total").increment(1);
                    return group.answer(true);
                }
                Err(error) => {
                    tracing::warn!(?error, "audit events go to the spool");
                    self.next_delivery = Instant::now() + AGAIN;
                }
            }
        }
        let events = mem::take(&mut group.events);
        let (spooled, events) = self.in_spool(move |spool| (spool.append(&events), events)).await;
        group.events = events;
        if let Err(error) = &spooled {
            tracing::error!(%error, "audit events are lost: their calls are refused");
        }
        group.answer(spooled.is_ok());
    }

    async fn in_spool<T: Lost + Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> T {
        let Some(mut spool) = self.spool.take() else { return T::lost() };
        let done = spawn_blocking(move || {
            let done = work(&mut spool);
            (spool, done)
        });
        match done.await {
            Ok((spool, done)) => {
                metrics::gauge!("drr_audit_spool_bytes").set(spool.pending() as f64);
                self.spool = Some(spool);
                done
            }
            Err(_) => T::lost(),
        }
    }

    /// Begins to deliver what is in the spool.
    async fn deliver(&mut self) {
        let most = self.batch;
        let read = self.in_spool(move |spool| spool.next(most)).await;
        let (events, at) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "the spool of audit events cannot be read");
                self.next_delivery = Instant::now() + AGAIN;
                return;
            }
        };
        let Some(mut writer) = self.writer.take() else { return };
        self.delivery = Some(tokio::spawn(async move {
            let mut sorted = events.clone();
            sorted.sort_by(|one, other| one.tenant_id.cmp(&other.tenant_id));
            let done = writer.append(&rows(&sorted), PATIENCE).await;
            (writer, done, events, at)
        }));
    }

    async fn delivered(&mut self, delivered: Option<(TrailWriter, Result<()>, Vec<Event>, u64)>) {
        self.delivery = None;
        let Some((writer, done, events, at)) = delivered else { return };
        self.writer = Some(writer);
        let settled = match done {
            Ok(()) => {
                self.batch = BATCH;
                self.in_spool(move |spool| spool.delivered(at)).await
            }
            Err(error) if error.code() != ErrorCode::Internal => {
                self.next_delivery = Instant::now() + AGAIN;
                Ok(())
            }
            // The database refuses what is in it: one after the other, to find out which.
            Err(_) if events.len() > 1 => {
                self.batch = 1;
                Ok(())
            }
            Err(error) => {
                tracing::error!(?error, "an audit event is refused by the database, and put aside");
                metrics::counter!("drr_audit_events_refused_total").increment(1);
                let set_aside = move |spool: &mut Spool| {
                    events.iter().try_for_each(|event| spool.put_aside(event))?;
                    spool.delivered(at)
                };
                self.in_spool(set_aside).await
            }
        };
        if let Err(error) = settled {
            tracing::error!(%error, "the spool of audit events cannot be written");
            self.next_delivery = Instant::now() + AGAIN;
        }
    }
}

async fn ended(
    delivery: &mut Option<Delivery>,
) -> Option<(TrailWriter, Result<()>, Vec<Event>, u64)> {
    match delivery {
        Some(delivery) => delivery.await.ok(),
        None => None,
    }
}

/// What comes of work whose thread panicked.
trait Lost {
    fn lost() -> Self;
}

impl<T> Lost for io::Result<T> {
    fn lost() -> Self {
        Err(io::Error::other("the spool is gone"))
    }
}

impl<T> Lost for (io::Result<T>, Vec<Event>) {
    fn lost() -> Self {
        (io::Result::lost(), Vec::new())
    }
}

/// Calls without a token beyond what has an event each.
struct Crowd {
    second: Instant,
    left: u32,
    since: Option<Instant>,
    parked: HashMap<String, (Event, Vec<oneshot::Sender<bool>>)>,
}

impl Crowd {
    fn new() -> Self {
        let second = Instant::now();
        Self { second, left: STRANGERS_EACH, since: None, parked: HashMap::new() }
    }

    fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + CROWD_EVERY)
    }

    fn take_or_park(&mut self, item: Item, group: &mut Group) {
        let Item { events, done } = item;
        match <[Event; 1]>::try_from(events) {
            Ok([event]) if event.actor_id == NOBODY && !self.has_place() => self.park(event, done),
            Ok([event]) => {
                group.events.push(event);
                group.waiting.extend(done);
            }
            Err(mut events) => {
                group.events.append(&mut events);
                group.waiting.extend(done);
            }
        }
    }

    fn park(&mut self, event: Event, done: Option<oneshot::Sender<bool>>) {
        self.since.get_or_insert_with(Instant::now);
        let Event { action, result, error_code, interface, .. } = &event;
        let kind = format!("{action} {result} {error_code:?} {interface:?}");
        let parked = self.parked.entry(kind);
        let (counted, waiting) =
            parked.or_insert_with(|| (Event { calls: 0, ..event }, Vec::new()));
        counted.calls += 1;
        waiting.extend(done);
    }

    fn has_place(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            (self.second, self.left) = (Instant::now(), STRANGERS_EACH);
        }
        let has_place = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_place
    }

    /// Lets the crowd into `group`, if it is time.
    fn join(&mut self, group: &mut Group, at_once: bool) {
        if !at_once && self.due().is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.since = None;
        for (_, (event, waiting)) in self.parked.drain() {
            group.events.push(event);
            group.waiting.extend(waiting);
        }
    }
}

/// Events as columns; they are ordered by tenant.
fn rows(events: &[Event]) -> TrailRows {
    let mut rows = TrailRows::default();
    for event in events {
        let text =
            |text: &Option<std::borrow::Cow<'static, str>>| text.as_deref().map(str::to_owned);
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        rows.tenants.push(event.tenant_id.to_string());
        rows.classes.push(event.class.as_str());
        rows.occurred.push(event.occurred_at);
        rows.ids.push(event.event_id);
        rows.call_ids.push(event.call_id);
        rows.actors.push(event.actor_id.to_string());
        rows.actions.push(event.action.to_string());
        rows.alsos.push((!event.also.is_empty()).then(|| event.also.join(",")));
        rows.datasets.push(event.dataset_id);
        rows.resources.push(event.resource.clone());
        rows.results.push(event.result.to_string());
        rows.codes.push(text(&event.error_code));
        rows.correlations.push(event.correlation_id.clone());
        rows.interfaces.push(text(&event.interface));
        rows.operations.push(event.operation_name.clone());
        rows.documents.push(event.document_hash.clone());
        rows.tokens.push(event.token_hash.clone());
        rows.durations.push(event.duration_us.map(number));
        rows.row_counts.push(event.row_count.map(number));
        rows.call_counts.push(i32::try_from(event.calls).unwrap_or(i32::MAX));
        rows.leaves.push(event.leaf_hash().to_vec());
    }
    rows
}
