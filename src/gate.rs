//! Who is at work, who waits, and who is sent away: more callers than can be served must not make those
//! who are served slow, nor all of them late together.
//!
//! So many requests are at work at once ([`Load::at_work`]); the others wait in order of arrival, a
//! bounded number of them, for a bounded time. A burst is let through: whoever comes while nobody has
//! waited for long may wait for [`Load::patience`]. A queue that does not get empty is no burst. As long
//! as it stands, whoever comes waits no longer than half of what work usually takes, so that a call that is
//! served takes less than twice as long as one that need not wait; the others are told at once to come back
//! ("controlled delay", with a part of the time that work takes for the target).
//!
//! A tenant that has less than an equal part of the places waits like in a burst, also while others flood:
//! those in front of it are gone in no time.
//!
//! Whatever comes of a request, its place is given back when the [`Permit`] is dropped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::{
    auth::TenantId,
    error::{Error, Result},
};

/// A queue that has not been empty for so long is no burst.
const STANDS: Duration = Duration::from_millis(100);
/// For how long after it was seen to stand it is taken for one that does: it may get empty for a moment.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Less than this nobody waits: timers are no finer.
const LEAST_PATIENCE: Duration = Duration::from_millis(2);
/// One of so many parts of what work usually takes is what it took last.
const SMOOTHING: u32 = 16;

/// How many requests may be at work, and how many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Load {
    /// At work at once.
    pub at_work: usize,
    /// Waiting at once.
    pub waiting: usize,
    /// How long one waits at most.
    pub patience: Duration,
}

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    load: Load,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    /// Since when somebody has been waiting at every instant.
    stands_since: Option<Instant>,
    /// When the queue was seen to stand.
    stood_at: Option<Instant>,
    /// What work usually takes.
    usual: Duration,
    /// How many requests of whom are at work or wait.
    present: HashMap<TenantId, usize>,
}

/// A place at work.
#[derive(Debug)]
pub struct Permit {
    begun: Instant,
    present: Present,
    _place: OwnedSemaphorePermit,
}

/// A request at work or waiting.
#[derive(Debug)]
struct Present {
    gate: Gate,
    tenant: TenantId,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting(Gate);

impl Gate {
    /// One for so many.
    #[must_use]
    pub fn new(load: Load) -> Self {
        let places = Arc::new(Semaphore::new(load.at_work));
        Self(Arc::new(Inner { load, places, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a request of this tenant, when there is one.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub async fn enter(&self, tenant: &TenantId) -> Result<Permit> {
        *self.state().present.entry(tenant.clone()).or_default() += 1;
        let present = Present { gate: self.clone(), tenant: tenant.clone() };
        // Fails while somebody waits: what is given back is theirs.
        if let Ok(place) = self.0.places.clone().try_acquire_owned() {
            return Ok(Permit::new(present, place));
        }
        let arrived = Instant::now();
        let (waiting, patience, reason) = self.wait(tenant, arrived)?;
        let place = timeout(patience, self.0.places.clone().acquire_owned()).await;
        drop(waiting);
        metrics::histogram!("drr_request_wait_seconds").record(arrived.elapsed());
        // The semaphore is never closed.
        let Ok(Ok(place)) = place else { return Err(shed(reason)) };
        Ok(Permit::new(present, place))
    }

    /// A place in the queue, how long it may be kept, and why it is lost then.
    fn wait(&self, tenant: &TenantId, now: Instant) -> Result<(Waiting, Duration, &'static str)> {
        let mut state = self.state();
        let load = self.0.load;
        if state.waiting >= load.waiting {
            return Err(shed("full"));
        }
        state.waiting += 1;
        let (patience, reason) = match state.hurry(tenant, load, now) {
            Some(hurry) => (hurry, "overload"),
            None => (load.patience, "late"),
        };
        drop(state);
        metrics::gauge!("drr_requests_waiting").increment(1.0);
        Ok((Waiting(self.clone()), patience, reason))
    }
}

impl State {
    /// How long one may wait who begins to wait now, if that is less than usual.
    fn hurry(&mut self, tenant: &TenantId, load: Load, now: Instant) -> Option<Duration> {
        let stands_since = *self.stands_since.get_or_insert(now);
        if now.duration_since(stands_since) >= STANDS {
            self.stood_at = Some(now);
        }
        let stands = self.stood_at.is_some_and(|at| now.duration_since(at) < REMEMBERED);
        let hurries = stands && !self.has_less_than_its_part(tenant, load);
        hurries.then(|| (self.usual / 2).max(LEAST_PATIENCE).min(load.patience))
    }

    /// Of the tenants that are there each has an equal part of the places at work. The request that asks
    /// is counted.
    fn has_less_than_its_part(&self, tenant: &TenantId, load: Load) -> bool {
        let own = self.present.get(tenant).copied().unwrap_or_default();
        self.present.len() > 1 && own <= load.at_work / self.present.len()
    }
}

fn shed(reason: &'static str) -> Error {
    metrics::counter!("drr_shed_total", "reason" => reason).increment(1);
    Error::Overloaded
}

impl Permit {
    fn new(present: Present, place: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("drr_requests_at_work").increment(1.0);
        Self { begun: Instant::now(), present, _place: place }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        metrics::gauge!("drr_requests_at_work").decrement(1.0);
        let took = self.begun.elapsed();
        let mut state = self.present.gate.state();
        state.usual = (state.usual * (SMOOTHING - 1) + took) / SMOOTHING;
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if let Some(own) = state.present.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                state.present.remove(&self.tenant);
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!("drr_requests_waiting").decrement(1.0);
        let mut state = self.0.state();
        state.waiting -= 1;
        if state.waiting == 0 {
            state.stands_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    const LOAD: Load = Load { at_work: 4, waiting: 100, patience: Duration::from_secs(30) };
    const MILLISECOND: Duration = Duration::from_millis(1);

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn is_empty(gate: &Gate) {
        let state = gate.state();
        assert_eq!((state.waiting, state.stands_since, state.present.len()), (0, None, 0));
        assert_eq!(gate.0.places.available_permits(), gate.0.load.at_work);
    }

    #[tokio::test]
    async fn a_burst_is_served_whole_and_never_too_many_at_once() {
        let gate = Gate::new(LOAD);
        let acme = tenant("acme");
        let at_work = std::sync::atomic::AtomicUsize::new(0);
        let ask = async || {
            let permit = gate.enter(&acme).await.unwrap();
            let now = at_work.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            at_work.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            drop(permit);
            now
        };
        let seen = join_all((0..100).map(|_| ask())).await;
        assert_eq!(seen.into_iter().max(), Some(LOAD.at_work));
        is_empty(&gate);
    }

    #[test]
    fn a_queue_that_stands_is_not_waited_in_for_long() {
        let acme = tenant("acme");
        let begun = Instant::now();
        let usual = 7 * MILLISECOND;
        let mut state = State { usual: 2 * usual, waiting: 1, ..State::default() };
        let mut at = |after: Duration| state.hurry(&acme, LOAD, begun + after);
        assert_eq!(at(Duration::ZERO), None);
        assert_eq!(at(STANDS - MILLISECOND), None);
        assert_eq!(at(STANDS), Some(usual));
        assert_eq!(at(2 * STANDS), Some(usual));
        // Empty for a moment.
        state.stands_since = None;
        let mut at = |after: Duration| state.hurry(&acme, LOAD, begun + after);
        assert_eq!(at(3 * STANDS), Some(usual));
        // And for longer: what comes then is a burst.
        state.stands_since = None;
        let mut at = |after: Duration| state.hurry(&acme, LOAD, begun + after);
        assert_eq!(at(2 * STANDS + REMEMBERED), None);
    }

    #[test]
    fn nobody_hurries_more_than_timers_can_tell_or_waits_longer_than_is_set() {
        let acme = tenant("acme");
        let begun = Instant::now();
        for (usual, hurry) in
            [(Duration::ZERO, LEAST_PATIENCE), (Duration::from_secs(60), LOAD.patience)]
        {
            let mut state = State { usual, stands_since: Some(begun), ..State::default() };
            assert_eq!(state.hurry(&acme, LOAD, begun + STANDS), Some(hurry));
        }
    }

    #[test]
    fn whoever_has_less_than_an_equal_part_does_not_hurry() {
        let [acme, globex] = ["acme", "globex"].map(tenant);
        let begun = Instant::now();
        let present = HashMap::from([(acme.clone(), 50), (globex.clone(), 2)]);
        let stands_since = Some(begun);
        let mut state = State { stands_since, present, ..State::default() };
        assert!(state.hurry(&acme, LOAD, begun + STANDS).is_some());
        assert!(state.hurry(&globex, LOAD, begun + STANDS).is_none());
        state.present.insert(globex.clone(), 3);
        assert!(state.hurry(&globex, LOAD, begun + STANDS).is_some());
        // Of more tenants than places nobody has less than the others.
        state.present = (0..5).map(|number| (tenant(&format!("t-{number}")), 1)).collect();
        assert!(state.hurry(&tenant("t-1"), LOAD, begun + STANDS).is_some());
    }

    #[tokio::test]
    async fn the_queue_has_an_end_and_so_has_patience() {
        let gate = Gate::new(Load { at_work: 1, waiting: 2, patience: 20 * MILLISECOND });
        let acme = tenant("acme");
        let held = gate.enter(&acme).await.unwrap();
        let ask = async || {
            let begun = Instant::now();
            assert!(matches!(gate.enter(&acme).await, Err(Error::Overloaded)));
            begun.elapsed()
        };
        let waited = join_all((0..3).map(|_| ask())).await;
        assert!(waited[0] >= gate.0.load.patience && waited[1] >= gate.0.load.patience);
        assert!(waited[2] < gate.0.load.patience, "{waited:?}");
        drop(held);
        is_empty(&gate);
    }

    #[tokio::test]
    async fn whoever_goes_away_leaves_nothing_behind() {
        let gate = Gate::new(Load { at_work: 1, ..LOAD });
        let acme = tenant("acme");
        let held = gate.enter(&acme).await.unwrap();
        assert!(timeout(MILLISECOND, gate.enter(&acme)).await.is_err(), "gone while waiting");
        drop(held);
        is_empty(&gate);
        let work = async {
            let _permit = gate.enter(&acme).await.unwrap();
            std::future::pending::<()>().await;
        };
        assert!(timeout(MILLISECOND, work).await.is_err(), "gone while at work");
        is_empty(&gate);
    }

    #[tokio::test]
    async fn what_work_usually_takes_follows_what_it_took() {
        let gate = Gate::new(LOAD);
        gate.state().usual = Duration::from_secs(16);
        drop(gate.enter(&tenant("acme")).await.unwrap());
        let usual = gate.state().usual;
        assert!((15_000..15_100).contains(&usual.as_millis()), "{usual:?}");
    }
}
