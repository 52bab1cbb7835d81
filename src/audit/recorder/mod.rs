//! What makes events durable: one task, one statement for all that arrived while the one before ran.
//!
//! While the database is away the events go to the [spool](super::spool), and so do all later ones until
//! it is empty, so that they are delivered in the order in which they came. Where neither takes them the
//! call is refused.
//!
//! Calls without a token have no tenant to answer for them, and cost their sender nothing; those that were
//! sent away because there was too much to do must not make more of it. Of each of these, so many a second
//! have an event each; what is beyond is counted, kind by kind and caller by caller, in one event a quarter
//! of a second, and waits for it ([`crowd`]).

use std::{path::Path, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

pub use super::spool::SpoolError;
use super::{
    model::{Event, Outcome},
    record::Record,
    spool::Spool,
};
use crate::{
    db::{Db, trail::TrailWriter},
    error::{Error, Result},
};
use task::Task;

mod crowd;
mod task;

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
        let task = Task::new(received, TrailWriter::new(db), spool);
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
