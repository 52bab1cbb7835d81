//! Archives that were deleted: how many leaves may be without an event for their sake, and whether the
//! trail says that they were.

use std::collections::HashSet;

use chrono::NaiveTime;

use crate::{
    audit::{Class, archive::Archive},
    config::Retention,
    error::Result,
    evidence::model::Position,
};

#[derive(Debug, Default)]
pub(super) struct Deleted {
    /// How many events each had that no leaf was passed over for yet, and where its last one stood; the
    /// first to end first.
    left: Vec<(Position, u64)>,
    archives: Vec<Archive>,
    told: HashSet<String>,
}

impl Deleted {
    pub(super) fn new(archives: Vec<Archive>) -> Result<Self> {
        let had = |archive: &Archive| Ok((archive.last()?, archive.events.unsigned_abs()));
        let mut left: Vec<_> = archives.iter().map(had).collect::<Result<_>>()?;
        left.sort_unstable();
        Ok(Self { left, archives, told: HashSet::new() })
    }

    /// Says that an event was found here: what ended before has no more.
    pub(super) fn pass(&mut self, position: Position) {
        let ended = self.left.partition_point(|(last, _)| *last < position);
        self.left.drain(..ended);
    }

    /// Whether one of the next events can have been in one of them, which it is taken for then. The
    /// first to end gives first, so that as many as possible can be.
    pub(super) fn had_one_more(&mut self) -> bool {
        let found = self.left.iter_mut().find(|(_, left)| *left > 0);
        found.map(|(_, left)| *left -= 1).is_some()
    }

    /// Says that the trail tells of the end of an archive.
    pub(super) fn told(&mut self, resource: &str) {
        if self.archives.iter().any(|archive| archive.resource() == resource) {
            self.told.insert(resource.to_owned());
        }
    }

    /// The name of one of whose end the trail does not tell. What told of it may have been archived, and
    /// that archive deleted and told of in its turn.
    pub(super) fn untold(mut self, retention: Retention) -> Option<String> {
        self.archives.sort_by_key(|archive| archive.last_at);
        let mut latest = None;
        for archive in self.archives.into_iter().rev() {
            let ended = archive.following().and_time(NaiveTime::MIN).and_utc();
            let was_old = |at| retention.evidence_horizon(at) >= ended;
            if !self.told.contains(&archive.resource()) && !latest.is_some_and(was_old) {
                return Some(archive.object);
            }
            if archive.class == Class::Api.as_str() {
                latest = latest.or(Some(archive.last_at));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
