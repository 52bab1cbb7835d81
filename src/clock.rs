//! The only source of time and of fresh identifiers, so that a test can hold both still.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

/// Tells the time and makes identifiers.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The present instant, in whole microseconds: what PostgreSQL can store, so that an instant
    /// read back equals the one that was written.
    fn now(&self) -> DateTime<Utc>;

    /// A new UUID v7: unique, and ordered by the time it was made.
    fn new_id(&self) -> Uuid;

    /// A new UUID v7 of something that was at `instant`: it names the millisecond.
    fn id_at(&self, instant: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(instant.timestamp_millis()).unwrap_or_default();
        let ([_, _, millis @ ..], mut id) = (millis.to_be_bytes(), self.new_id().into_bytes());
        id.iter_mut().zip(millis).for_each(|(byte, of_millis)| *byte = of_millis);
        Uuid::from_bytes(id)
    }

    /// Any number: the end of an identifier, which is made by chance, or by a test's rule.
    fn chance(&self) -> u32 {
        let [.., a, b, c, d] = self.new_id().into_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
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

/// A clock that moves only when it is told to, and makes the same identifiers in every run: for
/// tests, and for data that is to come out the same each time.
#[derive(Debug)]
pub struct ManualClock {
    /// Microseconds since 1970.
    micros: AtomicI64,
    made: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `start`, cut to whole microseconds.
    #[must_use]
    pub const fn new(start: DateTime<Utc>) -> Self {
        Self { micros: AtomicI64::new(start.timestamp_micros()), made: AtomicU64::new(0) }
    }

    /// Moves the clock by `step`, backwards if it is negative.
    pub fn advance(&self, step: TimeDelta) {
        let step = step.num_microseconds().unwrap_or(i64::MAX);
        self.micros.fetch_add(step, Ordering::SeqCst);
    }

    /// Puts the clock at `instant`, cut to whole microseconds.
    pub fn set(&self, instant: DateTime<Utc>) {
        self.micros.store(instant.timestamp_micros(), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Stands at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self { micros: AtomicI64::new(1_767_225_600_000_000), made: AtomicU64::new(0) }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.micros.load(Ordering::SeqCst)).unwrap_or_default()
    }

    /// A UUID v7 of the clock's instant, with a counter in place of the random part.
    fn new_id(&self) -> Uuid {
        let millis = u64::try_from(self.now().timestamp_millis()).unwrap_or_default();
        let count = u128::from(self.made.fetch_add(1, Ordering::SeqCst));
        let [_, _, _, _, _, _, counter @ ..] = count.to_be_bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &counter).into_uuid()
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

    #[test]
    fn an_identifier_of_an_instant_names_its_millisecond() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let clocks: [&dyn Clock; 2] = [&SystemClock, &ManualClock::default()];
        for clock in clocks {
            let (one, other) = (clock.id_at(at), clock.id_at(at));
            assert_ne!(one, other);
            for id in [one, other] {
                assert_eq!(id.get_version_num(), 7);
                let (seconds, nanoseconds) = id.get_timestamp().unwrap().to_unix();
                assert_eq!((seconds, nanoseconds), (1_700_000_000, 123_000_000));
            }
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let start = clock.now();
        assert_eq!(start.to_rfc3339(), "2026-01-01T00:00:00+00:00");
        clock.advance(TimeDelta::milliseconds(1_500));
        assert_eq!(clock.now() - start, TimeDelta::milliseconds(1_500));
        clock.set(start);
        assert_eq!(clock.now(), start);
        assert_eq!(ManualClock::new(start).now(), start);
    }

    #[test]
    fn a_manual_clock_makes_the_same_ordered_identifiers_each_time() {
        let ids = |clock: ManualClock| {
            (0..1_000)
                .map(|_| {
                    clock.advance(TimeDelta::microseconds(100));
                    clock.new_id()
                })
                .collect::<Vec<_>>()
        };
        let made = ids(ManualClock::default());
        assert_eq!(made, ids(ManualClock::default()));
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|id| id.get_version_num() == 7));
    }
}
