//! Calls that are counted together, beyond those that have an event each: of strangers, and of callers who
//! were sent away because there was too much to do. What was saved by that must not be spent on telling of
//! it; and whoever is counted waits, and so cannot come back at once.

use std::{collections::HashMap, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{Group, Item};
use crate::{
    audit::model::{Event, NOBODY},
    error::ErrorCode,
};

/// Calls that have an event each, in a second: so many without a token, and so many that were sent away.
const EACH: u32 = 20;
/// How long those beyond wait to be counted together.
const CROWD_EVERY: Duration = Duration::from_millis(250);

/// See the [module](self).
pub(super) struct Crowd {
    strangers: Places,
    sent_away: Places,
    since: Option<Instant>,
    parked: HashMap<String, (Event, Vec<oneshot::Sender<bool>>)>,
}

/// Places for calls that have an event each.
struct Places {
    second: Instant,
    left: u32,
}

impl Places {
    fn new() -> Self {
        Self { second: Instant::now(), left: EACH }
    }

    fn take(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        let there_is_one = self.left > 0;
        self.left = self.left.saturating_sub(1);
        there_is_one
    }
}

impl Crowd {
    pub(super) fn new() -> Self {
        let (strangers, sent_away) = (Places::new(), Places::new());
        Self { strangers, sent_away, since: None, parked: HashMap::new() }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + CROWD_EVERY)
    }

    pub(super) fn take_or_park(&mut self, item: Item, group: &mut Group) {
        let Item { events, done } = item;
        match <[Event; 1]>::try_from(events) {
            Ok([event]) if !self.has_place(&event) => self.park(event, done),
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
        let Event { tenant_id, actor_id, action, result, error_code, interface, .. } = &event;
        let kind = format!("{tenant_id} {action} {result} {error_code:?} {interface:?} {actor_id}");
        let parked = self.parked.entry(kind);
        let (counted, waiting) =
            parked.or_insert_with(|| (Event { calls: 0, ..event }, Vec::new()));
        counted.calls += 1;
        waiting.extend(done);
    }

    /// Whether a call has an event of its own.
    fn has_place(&mut self, event: &Event) -> bool {
        if event.actor_id == NOBODY {
            return self.strangers.take();
        }
        // What is known of one that was begun would be lost.
        let sent_away = event.error_code.as_deref() == Some(ErrorCode::Overloaded.as_str())
            && event.dataset_id.is_none()
            && event.resource.is_none();
        !sent_away || self.sent_away.take()
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
