//! Leases: what only one instance at a time is to do.
//!
//! A lease is a row in the database, and its time is the database's. Its holder renews it every
//! second; one that is killed is followed after [`TTL`] at the latest, plus the second in which the
//! others look. A holder that cannot renew stops its work when its time is over by its own clock.
//! Two holders for a moment cannot be ruled out (a process may be stopped between two steps), so
//! what is done under a lease must bear it.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::SharedClock,
    db::{Db, operator},
    error::Result,
};

/// How long a lease holds without being renewed.
pub const TTL: Duration = Duration::from_secs(3);
/// How often it is renewed, and how often others look whether it is free.
const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// One instance's claim to a lease.
#[derive(Debug, Clone)]
pub struct Lease {
    db: Db,
    name: &'static str,
    holder: String,
}

impl Lease {
    /// A claim that is nobody else's, not even that of another one made here.
    #[must_use]
    pub fn new(db: Db, name: &'static str, clock: &SharedClock) -> Self {
        let holder = format!("{}/{}", std::process::id(), clock.new_id());
        Self { db, name, holder }
    }

    /// Takes or renews it; answers whether it is held.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn take(&self) -> Result<bool> {
        operator::take_lease(&self.db, self.name, &self.holder, TTL).await
    }

    /// Gives it up if it is held, so that the next one need not wait for its end.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn give_up(&self) -> Result<()> {
        operator::give_up_lease(&self.db, self.name, &self.holder).await
    }
}

/// Work under way, and how to end it. Dropping it ends it at its next wait.
struct Work {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Work {
    async fn end(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// How long what comes is gathered after a pass over what came before: the longer that took, the longer. So
/// whoever has much to do takes more at once, and whoever has little is quick.
#[derive(Debug, Clone, Copy)]
pub struct Gathering {
    /// At least.
    pub least: Duration,
    /// At most.
    pub most: Duration,
    /// Within these, so many times as long as the pass.
    pub times: u32,
}

impl Gathering {
    /// Waits after a pass that began at `begun`.
    pub async fn after(self, begun: Instant) {
        sleep((begun.elapsed() * self.times).clamp(self.least, self.most)).await;
    }
}

/// Does `pass` every `every`, until `stop`; one that fails is logged as `failure`, and the next one comes
/// in its time.
pub async fn repeat<T>(
    every: Duration,
    stop: CancellationToken,
    failure: &'static str,
    pass: impl Fn() -> BoxFuture<'static, Result<T>>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match stop.run_until_cancelled(pass()).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => tracing::error!(?error, failure),
            None => break,
        }
    }
}

/// Does `work` while the lease is held, until `stop`; then gives it up. `work` ends soon after the
/// token that it is given is cancelled.
pub async fn lead(
    lease: Lease,
    stop: CancellationToken,
    work: impl Fn(CancellationToken) -> BoxFuture<'static, ()>,
) {
    let gauge = metrics::gauge!("drr_lease_held", "lease" => lease.name);
    let mut ticks = interval(RENEWED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held_until = Instant::now();
    let mut leading: Option<Work> = None;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let asked = Instant::now();
        let held = match timeout(TTL, lease.take()).await {
            Ok(Ok(true)) => {
                held_until = asked + TTL;
                true
            }
            Ok(Ok(false)) | Err(_) => false,
            Ok(Err(error)) => {
                tracing::warn!(lease = lease.name, ?error, "the lease cannot be renewed");
                leading.is_some() && Instant::now() < held_until
            }
        };
        match (held, leading.take()) {
            (true, None) => {
                tracing::info!(lease = lease.name, "leading");
                let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
                tasks.spawn(work(stop.clone()));
                leading = Some(Work { stop, tasks });
            }
            (true, still) => leading = still,
            (false, Some(lost)) => {
                tracing::warn!(lease = lease.name, "no longer leading");
                lost.end().await;
            }
            (false, None) => {}
        }
        gauge.set(if held { 1.0 } else { 0.0 });
    }
    if let Some(work) = leading {
        work.end().await;
    }
    // A database that is away holds up no end: by then the lease is over by itself.
    match timeout(TTL, lease.give_up()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(lease = lease.name, ?error, "the lease was not given up"),
        Err(_) => tracing::warn!(lease = lease.name, "the lease was not given up in its time"),
    }
    gauge.set(0.0);
}
