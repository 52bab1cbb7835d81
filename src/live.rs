//! What subscriptions read: numbered logs in the database, and who wakes whom when there is more.
//!
//! A subscription is a place in a log. When something is appended, the transaction that appends it
//! notifies (`LISTEN`/`NOTIFY`: a tenant and a topic, nothing else), every instance wakes its
//! subscribers of that tenant, and each reads on from its place in a short transaction of its own. So
//! nothing is held for a subscriber but its number: a slow one lags behind, and the log is its
//! buffer. A notification that is lost costs time, never an event.
//!
//! To add a log: a [`Topic`], a [`Feed`] over its table, a [`notify`] where it is appended to.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    auth::TenantId,
    db::{Db, FromRow, Heard, TenantDb, TenantTx},
    error::{Error, Result},
};

crate::wire::wire_enum! {
    /// What a notification is about.
    pub enum Topic {
        /// Changes of freshness.
        Freshness = "freshness",
        /// Run events.
        Runs = "runs",
        /// What happened to breaches.
        Breaches = "breaches",
        /// What happened to schemas.
        Schemas = "schemas",
    }
}

/// The first number that is kept is `dropped + 1`, the last one is `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromRow)]
pub struct Bounds {
    /// The last number given.
    pub head: i64,
    /// The last number that is kept no longer.
    pub dropped: i64,
}

/// A part of a log.
#[derive(Debug)]
pub struct Window<I> {
    /// What was asked for of it, in order.
    pub items: Vec<I>,
    /// The last number of it, asked for or not; none if it is empty.
    pub upto: Option<i64>,
}

impl<I> Window<I> {
    /// The window of rows, of which each has a number, and is asked for or not.
    pub fn of(rows: Vec<I>, place: impl Fn(&I) -> (i64, bool)) -> Self {
        let upto = rows.last().map(|row| place(row).0);
        Self { items: rows.into_iter().filter(|row| place(row).1).collect(), upto }
    }
}

/// Which datasets are asked for. What is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// These.
    pub datasets: Vec<Uuid>,
    /// Those of this namespace.
    pub namespace: Option<String>,
    /// Those of this domain.
    pub domain: Option<String>,
}

impl Selection {
    /// Whether all datasets are.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.datasets.is_empty() && self.namespace.is_none() && self.domain.is_none()
    }
}

/// How a log is read.
pub trait Feed: Send + Sync + 'static {
    /// What it consists of.
    type Item: Send + Sync + 'static;
    /// What wakes its readers.
    const TOPIC: Topic;

    /// Where it begins and ends.
    fn bounds(&self, tx: &TenantTx) -> impl Future<Output = Result<Bounds>> + Send;

    /// What comes after the number `after`; `limit` entries are looked at, at most.
    fn window(
        &self,
        tx: &TenantTx,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Window<Self::Item>>> + Send;
}

/// Entries that are looked at with one statement.
const WINDOW: u32 = 200;

/// A place in a log of any kind.
#[async_trait]
pub trait Source: Send {
    /// What wakes its reader.
    fn topic(&self) -> Topic;

    /// Takes its place: after the number that it was made with, or at the end.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for a number that was never given, [`Error::Conflict`] for one after
    /// which not everything is kept.
    async fn open(&mut self, db: &TenantDb) -> Result<()>;

    /// Reads on.
    ///
    /// # Errors
    /// [`Error::Conflict`] if not all that is unread is kept; whatever the database answers.
    async fn read(&mut self, db: &TenantDb) -> Result<Batch>;
}

/// What was read at once.
#[derive(Debug)]
pub struct Batch {
    /// A `Vec` of the feed's items, unless there were none.
    pub items: Option<Box<dyn Any + Send + Sync>>,
    /// Whether there is more already.
    pub more: bool,
}

/// A place in the log of a feed.
#[derive(Debug)]
pub struct Place<F> {
    feed: F,
    after: Option<i64>,
}

impl<F> Place<F> {
    /// After the number `after`, or at the end.
    pub const fn new(feed: F, after: Option<i64>) -> Self {
        Self { feed, after }
    }
}

#[async_trait]
impl<F: Feed> Source for Place<F> {
    fn topic(&self) -> Topic {
        F::TOPIC
    }

    async fn open(&mut self, db: &TenantDb) -> Result<()> {
        let bounds = self.feed.bounds(&db.read().await?).await?;
        match self.after {
            None => self.after = Some(bounds.head),
            Some(after) if after > bounds.head => {
                return Err(Error::bad_input("after", "is not a cursor of this list"));
            }
            Some(after) => kept(bounds, after)?,
        }
        Ok(())
    }

    async fn read(&mut self, db: &TenantDb) -> Result<Batch> {
        let after = self.after.unwrap_or_default();
        let tx = db.read().await?;
        let window = self.feed.window(&tx, after, WINDOW).await?;
        // Asked afterwards, so that what was dropped before the window was read is noticed.
        let bounds = self.feed.bounds(&tx).await?;
        drop(tx);
        kept(bounds, after)?;
        let upto = window.upto.unwrap_or(after);
        self.after = Some(upto);
        let items = (!window.items.is_empty()).then(|| Box::new(window.items) as _);
        Ok(Batch { items, more: upto < bounds.head })
    }
}

fn kept(bounds: Bounds, after: i64) -> Result<()> {
    if after < bounds.dropped {
        return Err(Error::Conflict(
            "what comes after this cursor is not all kept any more: read afresh, and subscribe \
             without a cursor"
                .into(),
        ));
    }
    Ok(())
}

const NOTIFY: &str = "SELECT pg_notify(current_schema() || $1, current_tenant() || ' ' || $2)";
/// After the schema, so that environments in one database do not wake each other.
const CHANNEL: &str = "_changes";

/// Wakes the readers of a topic on all instances, once the transaction commits.
///
/// # Errors
/// Whatever the database answers.
pub async fn notify(tx: &TenantTx, topic: Topic) -> Result<()> {
    tx.execute_sql(NOTIFY, [CHANNEL.into(), topic.as_str().into()]).await?;
    Ok(())
}

/// The subscribers of this instance, by what wakes them.
#[derive(Debug, Default)]
pub struct Hub {
    waiting: Mutex<HashMap<(TenantId, Topic), watch::Sender<()>>>,
}

/// What wakes one subscriber. What came before it was made does not.
#[derive(Debug)]
pub struct Wake(watch::Receiver<()>);

/// How long a reader waits for a notification until it looks on its own.
const LOOK_AFTER: Duration = Duration::from_secs(30);

impl Wake {
    /// Waits until there may be more.
    pub async fn wait(&mut self) {
        // The sender is kept for as long as there is a receiver.
        let changed = tokio::time::timeout(LOOK_AFTER, self.0.changed()).await;
        if let Ok(Err(_)) = changed {
            sleep(LOOK_AFTER).await;
        }
    }
}

impl Hub {
    /// What wakes a reader of this topic of this tenant.
    pub fn subscribe(&self, tenant: &TenantId, topic: Topic) -> Wake {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = waiting.entry((tenant.clone(), topic)).or_insert_with(|| watch::channel(()).0);
        Wake(sender.subscribe())
    }

    fn wake(&self, tenant: &TenantId, topic: Topic) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), topic);
        if waiting.get(&key).is_some_and(|sender| sender.send(()).is_err()) {
            waiting.remove(&key);
        }
    }

    fn wake_all(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, sender| sender.send(()).is_ok());
    }

    /// Listens, and wakes, until `stop`. After a break of the connection everybody is woken.
    pub async fn run(self: Arc<Self>, db: Db, stop: CancellationToken) {
        let listening = async {
            let mut pause = FIRST_PAUSE;
            loop {
                if let Err(error) = self.listen(&db, &mut pause).await {
                    tracing::warn!(?error, "not listening for changes");
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        };
        stop.run_until_cancelled(listening).await;
    }

    async fn listen(&self, db: &Db, pause: &mut Duration) -> Result<()> {
        let mut listener = db.listen(CHANNEL).await?;
        *pause = FIRST_PAUSE;
        self.wake_all();
        loop {
            match listener.next().await? {
                Heard::Gap => self.wake_all(),
                Heard::Note(note) => match read_note(&note) {
                    Some((tenant, topic)) => self.wake(&tenant, topic),
                    None => tracing::warn!("a notification that nobody understands"),
                },
            }
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

fn read_note(note: &str) -> Option<(TenantId, Topic)> {
    let (tenant, topic) = note.split_once(' ')?;
    Some((TenantId::parse(tenant).ok()?, topic.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn tenant(code: &str) -> TenantId {
        TenantId::parse(code).unwrap()
    }

    #[tokio::test]
    async fn only_the_topic_of_the_tenant_wakes() {
        let hub = Hub::default();
        let mut wake = hub.subscribe(&tenant("acme"), Topic::Runs);
        hub.wake(&tenant("globex"), Topic::Runs);
        hub.wake(&tenant("acme"), Topic::Freshness);
        assert!(wake.wait().now_or_never().is_none());
        hub.wake(&tenant("acme"), Topic::Runs);
        hub.wake(&tenant("acme"), Topic::Runs);
        assert!(wake.wait().now_or_never().is_some());
        assert!(wake.wait().now_or_never().is_none(), "two at once wake once");
        hub.wake_all();
        assert!(wake.wait().now_or_never().is_some());
        drop(wake);
        hub.wake(&tenant("acme"), Topic::Runs);
        assert!(hub.waiting.lock().unwrap().is_empty(), "nobody is remembered");
    }

    #[test]
    fn notes_are_a_tenant_and_a_topic() {
        assert_eq!(read_note("acme runs"), Some((tenant("acme"), Topic::Runs)));
        for bad in ["", "acme", "acme ", "acme other", "ACME runs", "acme runs "] {
            assert_eq!(read_note(bad), None, "{bad:?}");
        }
    }
}
