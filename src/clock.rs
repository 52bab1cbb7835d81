//! The only source of time and of fresh identifiers, so that a test can hold both still.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Tells the time and makes identifiers.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The present instant, in whole microseconds: what PostgreSQL can store, so that an instant
    /// read back equals the one that was written.
    fn now(&self) -> DateTime<Utc>;

    /// A new UUID v7: unique, and ordered by the time it was made.
    fn new_id(&self) -> Uuid;
}

/// A clock that is shared by everything in one process.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock and random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that makes identifiers")]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_survive_postgresql_precision() {
        let now = SystemClock.now();
        assert_eq!(now.timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn identifiers_are_ordered_and_distinct() {
        let ids: Vec<_> = (0..1_000).map(|_| SystemClock.new_id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
