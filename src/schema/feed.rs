//! What happens to schemas as subscriptions read it.

use super::{
    events::EventType,
    page::{self, Event},
};
use crate::{
    auth::Reach,
    db::TenantTx,
    error::{Error, Result},
    live::{Bounds, Feed, Topic, Window},
};

/// The most types that one subscription may name.
const MAX_TYPES: usize = 20;

/// What happens to the schemas that a token is for.
#[derive(Debug)]
pub(super) struct SchemaFeed {
    reach: Reach,
    types: Vec<EventType>,
}

impl SchemaFeed {
    /// Of these types; of all without one.
    pub(super) fn of(reach: Reach, types: Vec<String>) -> Result<Self> {
        if types.len() > MAX_TYPES {
            return Err(Error::LimitExceeded { limit: "types", maximum: MAX_TYPES as u64 });
        }
        let read = |text: String| {
            text.parse().map_err(|_| Error::bad_input("types", "is no type of an event"))
        };
        Ok(Self { reach, types: types.into_iter().map(read).collect::<Result<_>>()? })
    }
}

impl Feed for SchemaFeed {
    type Item = Event;
    const TOPIC: Topic = Topic::Schemas;

    async fn bounds(&self, tx: &TenantTx) -> Result<Bounds> {
        page::event_bounds(tx).await
    }

    async fn window(&self, tx: &TenantTx, after: i64, limit: u32) -> Result<Window<Event>> {
        let rows = page::events_of_all(tx, &self.reach, after, limit).await?;
        let wanted = |event: &Event| {
            self.types.is_empty() || self.types.iter().any(|kind| kind.as_str() == event.event_type)
        };
        let window =
            Window::of(rows, |row| (row.event.sequence, row.reached && wanted(&row.event)));
        let items = window.items.into_iter().map(|row| row.event).collect();
        Ok(Window { items, upto: window.upto })
    }
}
