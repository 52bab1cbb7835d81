//! Leaves something alone that has failed, for a while.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Failures in a row after which it is left alone.
const FAILURES: u64 = 3;
/// How long it is, until somebody tries again, in milliseconds.
const REST: u64 = 1_000;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Breaker {
    begun: Instant,
    failures: AtomicU64,
    /// When somebody may try again, in milliseconds since the beginning.
    again_at: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        let (failures, again_at) = Default::default();
        Self { begun: Instant::now(), failures, again_at }
    }
}

impl Breaker {
    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether it may be asked: always while it answers, else one at a time and once in a while.
    pub(super) fn lets_pass(&self) -> bool {
        if self.failures.load(Ordering::Acquire) < FAILURES {
            return true;
        }
        let (now, again_at) = (self.millis(), self.again_at.load(Ordering::Acquire));
        // Whoever puts the next try off has this one.
        now >= again_at
            && self
                .again_at
                .compare_exchange(again_at, now + REST, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// It has answered.
    pub(super) fn succeeded(&self) {
        self.failures.store(0, Ordering::Release);
    }

    /// It has not.
    pub(super) fn failed(&self) {
        if self.failures.fetch_add(1, Ordering::AcqRel) + 1 == FAILURES {
            self.again_at.store(self.millis() + REST, Ordering::Release);
            metrics::counter!("drr_cache_redis_left_alone_total").increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_some_failures_one_tries_and_the_others_do_without() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.lets_pass());
            breaker.failed();
        }
        assert!(!breaker.lets_pass());
        // The rest is over.
        breaker.again_at.store(breaker.millis(), Ordering::Release);
        assert!(breaker.lets_pass() && !breaker.lets_pass());
        breaker.succeeded();
        assert!(breaker.lets_pass() && breaker.lets_pass());
    }
}
