//! Until when an answer holds, if nothing is written.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Utc};

/// Gathers it while the answer is made; cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifetime(Arc<AtomicI64>);

impl Default for Lifetime {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }
}

impl Lifetime {
    /// The answer holds until this instant at the most, at which it may be another one.
    pub fn ends(&self, at: DateTime<Utc>) {
        self.0.fetch_min(at.timestamp_micros(), Ordering::AcqRel);
    }

    /// The answer holds for nobody but who asked, and only now.
    pub fn is_over(&self) {
        self.0.store(i64::MIN, Ordering::Release);
    }

    /// The end: microseconds since 1970, the first instant at which the answer does not hold.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }
}
