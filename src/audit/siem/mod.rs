//! The trail as a stream to a SIEM: every event of every tenant, and of callers without one, in OCSF.
//!
//! Each sink has a cursor for each tenant. A batch is handed over, and then the cursor moves: whoever
//! dies between the two hands it over again. So each event arrives at least once, and those of one tenant
//! in the ledger's order; `metadata.uid` tells one that comes again. A sink that is away is asked again
//! ever more seldom, and holds up no other; a tenant whose events one receiver refuses holds up no other
//! tenant.
//!
//! A delivery is no event of the trail itself: each would be one more to deliver.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, future::join_all};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::TenantId,
    breach::model::retry_after,
    clock::SharedClock,
    db::{
        Db,
        operator::{self, DueTenant},
    },
    error::Result,
    lease,
};

pub mod cursor;
mod file;
mod otlp;
mod sink;

pub use sink::{Receiver, Sink, SinkError};

/// Events that are handed over at once.
const BATCH: u32 = 500;
/// Batches of one tenant in a pass, before the others have their turn.
const TURN: u32 = 20;
/// The longest wait before a sink is asked again.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(5);

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streamed {
    /// Events that sinks took.
    pub delivered: u64,
    /// Batches that they did not take.
    pub failed: u64,
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Streamer {
    db: Db,
    clock: SharedClock,
    streams: Arc<[Stream]>,
}

#[derive(Debug)]
struct Stream {
    sink: Sink,
    /// Which tenants' events failed last, how often by now, and when they are tried again.
    waiting: Mutex<HashMap<TenantId, (i32, DateTime<Utc>)>>,
}

/// What came of a batch.
enum Came {
    /// There was none.
    Nothing,
    Taken(u64),
    Failed(SinkError),
}

impl Streamer {
    /// A streamer to these sinks.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, sinks: Vec<Sink>) -> Self {
        let streams = sinks.into_iter().map(|sink| Stream { sink, waiting: Mutex::default() });
        Self { db, clock, streams: streams.collect() }
    }

    /// A pass to each sink every `every`, until `stop`; none waits for another.
    pub async fn run(self, every: Duration, stop: CancellationToken) {
        let streams = (0..self.streams.len()).map(|at| {
            let own = self.clone();
            let pass = move || {
                let own = own.clone();
                async move { own.pass_to(at).await }.boxed()
            };
            lease::repeat(every, stop.clone(), "audit events not streamed", pass)
        });
        join_all(streams).await;
    }

    /// A pass to every sink.
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
        let name = stream.sink.name();
        let due = operator::tenants_to_stream(&self.db, name, self.clock.now()).await?;
        let oldest = due.iter().map(DueTenant::since).min();
        for tenant in due.iter().filter(|tenant| stream.may_try(tenant, self.clock.now())) {
            if !self.turn(stream, tenant, &mut done).await? {
                break;
            }
        }
        let lag = oldest.map(|oldest| self.clock.now() - oldest).unwrap_or_default();
        let lag = lag.to_std().unwrap_or_default().as_secs_f64();
        metrics::gauge!("drr_siem_lag_seconds", "sink" => name).set(lag);
        Ok(done)
    }

    /// What one tenant has, up to so many batches. Answers whether the sink may be asked for others.
    async fn turn(&self, stream: &Stream, tenant: &DueTenant, done: &mut Streamed) -> Result<bool> {
        let name = stream.sink.name();
        for _ in 0..TURN {
            match self.batch(stream, tenant).await? {
                Came::Nothing => break,
                Came::Taken(count) => {
                    stream.succeeded(tenant);
                    done.delivered += count;
                }
                Came::Failed(error) => {
                    tracing::warn!(sink = name, tenant = %tenant.tenant(), %error, "not streamed");
                    metrics::counter!("drr_siem_failures_total", "sink" => name).increment(1);
                    done.failed += 1;
                    stream.failed(tenant, self.clock.now(), self.clock.chance());
                    return Ok(error.is_of_these_events());
                }
            }
        }
        Ok(true)
    }

    async fn batch(&self, stream: &Stream, tenant: &DueTenant) -> Result<Came> {
        let name = stream.sink.name();
        let db = self.db.of_due(tenant);
        let tx = db.read_trail().await?;
        let reached = cursor::reached(&tx, name).await?;
        let (events, last) = cursor::after(&tx, &reached, BATCH).await?;
        // Nothing is sent within a transaction.
        drop(tx);
        let Some(last) = last else { return Ok(Came::Nothing) };
        let refused = match stream.sink.take(&events).await {
            Ok(refused) => refused,
            Err(error) => return Ok(Came::Failed(error)),
        };
        let tx = db.write().await?;
        cursor::advance(&tx, name, &last, self.clock.now()).await?;
        tx.commit().await?;
        let count = events.len() as u64;
        let taken = count.saturating_sub(refused);
        for (result, count) in [("delivered", taken), ("refused", refused)] {
            let labels = [("sink", name), ("result", result)];
            metrics::counter!("drr_siem_events_total", &labels).increment(count);
        }
        if refused > 0 {
            tracing::error!(sink = name, tenant = %tenant.tenant(), refused, "events are refused for good");
        }
        Ok(Came::Taken(count))
    }
}

impl Stream {
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
