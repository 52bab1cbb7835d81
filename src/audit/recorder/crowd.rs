//! Calls without a token beyond what has an event each.

use std::{collections::HashMap, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{Group, Item};
use crate::audit::model::{Event, NOBODY};

/// Calls without a token that have an event each, in a second.
const STRANGERS_EACH: u32 = 20;
/// How long those beyond wait to be counted together.
const CROWD_EVERY: Duration = Duration::from_millis(250);

/// Calls without a token beyond what has an event each.
pub(super) struct Crowd {
    second: Instant,
    left: u32,
    since: Option<Instant>,
    parked: HashMap<String, (Event, Vec<oneshot::Sender<bool>>)>,
}

impl Crowd {
    pub(super) fn new() -> Self {
        let second = Instant::now();
        Self { second, left: STRANGERS_EACH, since: None, parked: HashMap::new() }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + CROWD_EVERY)
    }

    pub(super) fn take_or_park(&mut self, item: Item, group: &mut Group) {
        let Item { events, done } = item;
        match <[Event; 1]>::try_from(events) {
            Ok([event]) if event.actor_id == NOBODY && !self.has_place() => self.park(event, done),
            Ok([event]) => {
                group.events.push(event);
                group.waiting.extend(done);
            }
            Err(mut events) => {
                group.events.append(&mut events);
                group.waiting.extend(done);
            }
        }
    }

    fn park(&mut self, event: Event, done: Option<oneshot::Sender<bool>>) {
        self.since.get_or_insert_with(Instant::now);
        let Event { action, result, error_code, interface, .. } = &event;
        let kind = format!("{action} {result} {error_code:?} {interface:?}");
        let parked = self.parked.entry(kind);
        let (counted, waiting) =
            parked.or_insert_with(|| (Event { calls: 0, ..event }, Vec::new()));
        counted.calls += 1;
        waiting.extend(done);
    }

    fn has_place(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            (self.second, self.left) = (Instant::now(), STRANGERS_EACH);
        }
        let has_place = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_place
    }

    /// Lets the crowd into `group`, if it is time.
    pub(super) fn join(&mut self, group: &mut Group, at_once: bool) {
        if !at_once && self.due().is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.since = None;
        for (_, (event, waiting)) in self.parked.drain() {
            group.events.push(event);
            group.waiting.extend(waiting);
        }
    }
}
