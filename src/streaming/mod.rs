//! Streams of what is appended in the database to those who take it.
//!
//! Each outlet has a cursor for each tenant. A batch is handed over, and then the cursor moves: whoever dies
//! between the two hands it over again. So each event arrives at least once, and those of one tenant in their
//! order. An outlet that is away is asked again ever more seldom, and holds up no other; a tenant whose events
//! one receiver refuses holds up no other tenant.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, future::join_all};
use redis::RedisError;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::TenantId,
    breach::model::retry_after,
    clock::SharedClock,
    db::{Db, TenantDb, operator::DueTenant},
    error::Result,
    lease,
    outbound::DeliveryError,
};

pub mod file;

/// The longest wait before an outlet is asked again.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(5);

/// Why an outlet did not take events.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file.
    #[error("the file cannot be written: {0}")]
    File(#[from] io::Error),
    /// The receiver.
    #[error(transparent)]
    Receiver(#[from] DeliveryError),
    /// Redis.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    /// An event that JSON cannot say.
    #[error("an event cannot be written: {0}")]
    Event(#[from] serde_json::Error),
}

impl SinkError {
    /// Whether other events would be taken: this one was looked at.
    #[must_use]
    pub fn is_of_these_events(&self) -> bool {
        match self {
            Self::Event(_) | Self::Receiver(DeliveryError::Status(_)) => true,
            // What is there under the tenant's name is something else.
            Self::Redis(error) => error.code() == Some("WRONGTYPE"),
            Self::File(_) | Self::Receiver(DeliveryError::Sending(_)) => false,
        }
    }
}

/// What came of a batch.
#[derive(Debug, Default)]
pub struct Handed {
    /// Events that the cursor has moved past. None, and no failure: there was nothing to hand over.
    pub events: u64,
    /// Why not all of them.
    pub failed: Option<SinkError>,
}

/// Who takes what is streamed.
pub trait Outlet: Send + Sync + 'static {
    /// What is logged when nothing is handed over.
    const FAILURE: &'static str;
    /// The metric of how old the oldest event is that an outlet does not have.
    const LAG: &'static str;
    /// Batches of one tenant in a pass, before the others have their turn.
    const TURN: u32;

    /// Its name, by which its cursors are kept.
    fn name(&self) -> &'static str;

    /// The tenants with events that it does not have yet.
    fn due(
        &self,
        db: &Db,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Vec<DueTenant>>> + Send;

    /// Hands over a tenant's next events, and moves the cursor past those that were taken. Nothing is sent
    /// within a transaction.
    fn hand_over(
        &self,
        db: &TenantDb,
        tenant: &TenantId,
        clock: &SharedClock,
    ) -> impl Future<Output = Result<Handed>> + Send;

    /// Counts a batch that was not taken as a whole.
    fn count_failure(&self);
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streamed {
    /// Events that outlets took.
    pub delivered: u64,
    /// Batches that they did not take.
    pub failed: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Streamer<O> {
    db: Db,
    clock: SharedClock,
    streams: Arc<[Stream<O>]>,
}

// Not derived: what is shared need not be cloned.
impl<O> Clone for Streamer<O> {
    fn clone(&self) -> Self {
        let (db, clock, streams) = (self.db.clone(), self.clock.clone(), self.streams.clone());
        Self { db, clock, streams }
    }
}

#[derive(Debug)]
struct Stream<O> {
    outlet: O,
    /// Which tenants' events failed last, how often by now, and when they are tried again.
    waiting: Mutex<HashMap<TenantId, (i32, DateTime<Utc>)>>,
}

impl<O: Outlet> Streamer<O> {
    /// A streamer to these outlets.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, outlets: Vec<O>) -> Self {
        let streams =
            outlets.into_iter().map(|outlet| Stream { outlet, waiting: Mutex::default() });
        Self { db, clock, streams: streams.collect() }
    }

    /// A pass to each outlet every `every`, until `stop`; none waits for another.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let streams = (0..self.streams.len()).map(|at| {
            let own = self.clone();
            let pass = move || {
                let own = own.clone();
                async move { own.pass_to(at).await }.boxed()
            };
            lease::repeat(every, stop.clone(), O::FAILURE, pass)
        });
        join_all(streams).await;
    }

    /// A pass to every outlet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pass(&self) -> Result<Streamed> {
        let mut sum = Streamed::default();
        for at in 0..self.streams.len() {
            let Streamed { delivered, failed } = self.pass_to(at).await?;
            sum = Streamed { delivered: sum.delivered + delivered, failed: sum.failed + failed };
        }
        Ok(sum)
    }

    async fn pass_to(&self, at: usize) -> Result<Streamed> {
        let mut done = Streamed::default();
        let Some(stream) = self.streams.get(at) else { return Ok(done) };
        let due = stream.outlet.due(&self.db, self.clock.now()).await?;
        let oldest = due.iter().map(DueTenant::since).min();
        for tenant in due.iter().filter(|tenant| stream.may_try(tenant, self.clock.now())) {
            if !self.turn(stream, tenant, &mut done).await? {
                break;
            }
        }
        let lag = oldest.map(|oldest| self.clock.now() - oldest).unwrap_or_default();
        let lag = lag.to_std().unwrap_or_default().as_secs_f64();
        metrics::gauge!(O::LAG, "sink" => stream.outlet.name()).set(lag);
        Ok(done)
    }

    /// What one tenant has, up to so many batches. Answers whether the outlet may be asked for others.
    async fn turn(
        &self,
        stream: &Stream<O>,
        tenant: &DueTenant,
        done: &mut Streamed,
    ) -> Result<bool> {
        let (sink, db) = (stream.outlet.name(), self.db.of_due(tenant));
        for _ in 0..O::TURN {
            let Handed { events, failed } =
                stream.outlet.hand_over(&db, tenant.tenant(), &self.clock).await?;
            done.delivered += events;
            if events > 0 {
                stream.succeeded(tenant);
            }
            if let Some(error) = failed {
                tracing::warn!(sink, tenant = %tenant.tenant(), %error, "{}", O::FAILURE);
                stream.outlet.count_failure();
                done.failed += 1;
                stream.failed(tenant, self.clock.now(), self.clock.chance());
                return Ok(error.is_of_these_events());
            }
            if events == 0 {
                break;
            }
        }
        Ok(true)
    }
}

impl<O> Stream<O> {
    fn waits<T>(&self, work: impl FnOnce(&mut HashMap<TenantId, (i32, DateTime<Utc>)>) -> T) -> T {
        work(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn may_try(&self, tenant: &DueTenant, now: DateTime<Utc>) -> bool {
        self.waits(|waiting| waiting.get(tenant.tenant()).is_none_or(|(_, until)| *until <= now))
    }

    fn succeeded(&self, tenant: &DueTenant) {
        self.waits(|waiting| waiting.remove(tenant.tenant()));
    }

    fn failed(&self, tenant: &DueTenant, now: DateTime<Utc>, chance: u32) {
        self.waits(|waiting| {
            let wait = waiting.entry(tenant.tenant().clone()).or_insert((0, now));
            wait.0 = wait.0.saturating_add(1);
            wait.1 = now + retry_after(wait.0, chance).min(LONGEST_WAIT);
        });
    }
}
