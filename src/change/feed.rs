//! The logs of changes as subscriptions read them.

use super::repository::{self, FreshnessRow, RunEventRow};
use crate::{
    db::TenantTx,
    error::Result,
    live::{Bounds, Feed, Selection, Topic, Window},
};

/// Changes of freshness.
#[derive(Debug, Default)]
pub(super) struct FreshnessFeed {
    pub(super) selection: Selection,
    /// Only those to one of these statuses; to any if it is empty.
    pub(super) statuses: Vec<&'static str>,
    /// Only those to another status than before.
    pub(super) status_only: bool,
}

impl Feed for FreshnessFeed {
    type Item = FreshnessRow;
    const TOPIC: Topic = Topic::Freshness;

    async fn bounds(&self, tx: &TenantTx) -> Result<Bounds> {
        repository::freshness_bounds(tx).await
    }

    async fn window(&self, tx: &TenantTx, after: i64, limit: u32) -> Result<Window<FreshnessRow>> {
        let (statuses, only) = (&self.statuses, self.status_only);
        let rows = repository::freshness(tx, after, limit, &self.selection, statuses, only).await?;
        Ok(Window::of(rows, |row| (row.sequence, row.wanted)))
    }
}

/// Run events.
#[derive(Debug, Default)]
pub(super) struct RunFeed {
    pub(super) selection: Selection,
    /// Only these types; any if it is empty.
    pub(super) types: Vec<&'static str>,
}

impl Feed for RunFeed {
    type Item = RunEventRow;
    const TOPIC: Topic = Topic::Runs;

    async fn bounds(&self, tx: &TenantTx) -> Result<Bounds> {
        repository::run_bounds(tx).await
    }

    async fn window(&self, tx: &TenantTx, after: i64, limit: u32) -> Result<Window<RunEventRow>> {
        let rows = repository::run_events(tx, after, limit, &self.selection, &self.types).await?;
        Ok(Window::of(rows, |row| (row.sequence, row.wanted)))
    }
}
