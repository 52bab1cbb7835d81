//! What happens to breaches as subscriptions read it.

use super::repository::{self, Event};
use crate::{
    db::TenantTx,
    error::Result,
    live::{Bounds, Feed, Selection, Topic, Window},
};

/// What happens to breaches.
#[derive(Debug, Default)]
pub(super) struct BreachFeed {
    pub(super) selection: Selection,
    pub(super) level: Option<&'static str>,
}

impl Feed for BreachFeed {
    type Item = Event;
    const TOPIC: Topic = Topic::Breaches;

    async fn bounds(&self, tx: &TenantTx) -> Result<Bounds> {
        repository::event_bounds(tx).await
    }

    async fn window(&self, tx: &TenantTx, after: i64, limit: u32) -> Result<Window<Event>> {
        let events = repository::events(tx, after, limit).await?;
        let mut window = Window::of(events, |event| (event.sequence, true));
        if !self.selection.is_empty() {
            let datasets = window.items.iter().map(|event| event.dataset_id).collect();
            let wanted = repository::selected(tx, datasets, &self.selection).await?;
            window.items.retain(|event| wanted.contains(&event.dataset_id));
        }
        if let Some(level) = self.level {
            window.items.retain(|event| event.level.as_deref() == Some(level));
        }
        Ok(window)
    }
}
