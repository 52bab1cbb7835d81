//! The task: to the database, or to the spool and from there.

use std::{io, mem, time::Duration};

use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

use super::{super::rows::rows, Group, Message, crowd::Crowd};
use crate::{
    audit::{model::Event, spool::Spool},
    db::trail::TrailWriter,
    error::{ErrorCode, Result},
};

/// How long the database may take before events go to the spool.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for more, when the last time there was more than one.
const LINGER: Duration = Duration::from_millis(1);
/// Calls that are recorded at once.
const GROUP: usize = 4_096;
/// Events that are delivered from the spool at once.
const BATCH: usize = 2_000;
/// How long to wait after a failed delivery.
const AGAIN: Duration = Duration::from_millis(500);

/// A delivery from the spool under way: what it came to, and up to where.
type Delivery = JoinHandle<(TrailWriter, Result<()>, Vec<Event>, u64)>;

pub(super) struct Task {
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
    pub(super) fn new(
        received: mpsc::UnboundedReceiver<Message>,
        writer: TrailWriter,
        spool: Spool,
    ) -> Self {
        Self {
            received,
            writer: Some(writer),
            spool: Some(spool),
            delivery: None,
            next_delivery: Instant::now(),
            batch: BATCH,
            crowd: Crowd::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut messages = Vec::new();
        let (mut closing, mut linger) = (false, false);
        // Told to end, it still delivers what waits, unless the last attempt failed.
        while !closing
            || self.delivery.is_some()
            || self.is_waiting() && self.next_delivery <= Instant::now()
        {
            let (crowd, delivery) = (self.crowd.due(), self.next_delivery);
            let waiting = self.is_waiting();
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

    /// Whether something is to be delivered, and can be: no delivery is under way.
    fn is_waiting(&self) -> bool {
        self.writer.is_some() && !self.spooled_all()
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
