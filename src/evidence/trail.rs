//! The events of a trail, in order, from the database and from archives.

use std::collections::VecDeque;

use uuid::Uuid;

use super::{
    model::{HASH_BYTES, Position},
    stored::{self, Kept, Range},
};
use crate::{
    audit::archive::{Archive, ArchivedTrail, Archivist},
    db::{TenantTx, operator::DueTenant},
    error::Result,
};

/// Events that are read of the database at once.
const EVENTS: u32 = 4_096;

/// What tells events apart: where they stand, which they are, and what they hash to.
type Same = (Position, Uuid, Option<[u8; HASH_BYTES]>);

/// Two events are looked at.
#[derive(Debug)]
pub(super) struct Trail<'t> {
    tx: &'t TenantTx,
    after: Position,
    until: Position,
    range: Range,
    ended: bool,
    rows: VecDeque<Kept>,
    archived: ArchivedTrail,
    last: Option<Same>,
    pub(super) ahead: VecDeque<Kept>,
}

impl<'t> Trail<'t> {
    /// Those events of a tenant that happened in a range, up to the one at `until`. Besides, the archives
    /// that are recorded and gone, which may have had some.
    ///
    /// The transaction reads of the database first: as long as it goes on, no month is dropped of which
    /// the archives were not there to be read.
    pub(super) async fn begin(
        tx: &'t TenantTx,
        until: Position,
        range: Range,
        archivist: &Archivist,
        tenant: &DueTenant,
    ) -> Result<(Self, Vec<Archive>)> {
        let archived = ArchivedTrail::new(archivist.clone(), tx.tenant().clone());
        let (after, rows, ahead) = (Position::default(), VecDeque::new(), VecDeque::new());
        let (ended, last) = (false, None);
        let mut trail = Self { tx, after, until, range, ended, rows, archived, last, ahead };
        trail.read().await?;
        let mut recorded = archivist.recorded(tenant).await?;
        let may_have = |archive: &Archive| {
            range.until.is_none_or(|until| archive.first_at < until)
                && range.since.is_none_or(|since| since <= archive.last_at)
        };
        recorded.there.retain(may_have);
        recorded.gone.retain(may_have);
        let of_a_month =
            |one: &Archive, other: &Archive| (&one.class, one.month) == (&other.class, other.month);
        for parts in recorded.there.chunk_by(of_a_month) {
            trail.archived.add(parts.to_vec()).await?;
            stored::stay(tx).await?;
        }
        Ok((trail, recorded.gone))
    }

    async fn read(&mut self) -> Result<()> {
        if self.rows.is_empty() && !self.ended {
            let between = (self.after, self.until);
            self.rows = stored::trail(self.tx, between, self.range, EVENTS).await?.into();
            match self.rows.back() {
                Some(last) => self.after = last.position,
                None => self.ended = true,
            }
        }
        Ok(())
    }

    /// Looks at the next two.
    pub(super) async fn look(&mut self) -> Result<()> {
        while self.ahead.len() < 2 {
            let Some(next) = self.next().await? else { break };
            let same = Some((next.position, next.event_id, next.found));
            // What is archived and not dropped yet is in both.
            if self.last != same {
                self.ahead.push_back(next);
            }
            self.last = same;
        }
        Ok(())
    }

    /// The next events, so many at most; none after the last.
    pub(super) async fn batch(&mut self, most: usize) -> Result<Vec<Kept>> {
        let mut batch = Vec::new();
        while batch.len() < most {
            self.look().await?;
            let Some(next) = self.ahead.pop_front() else { break };
            batch.push(next);
        }
        Ok(batch)
    }

    async fn next(&mut self) -> Result<Option<Kept>> {
        loop {
            self.read().await?;
            let row = self.rows.front().map(|row| row.position);
            let archived = self.archived.position().filter(|position| *position <= self.until);
            let is_next = archived.is_some_and(|archived| row.is_none_or(|row| archived < row));
            if !is_next {
                return Ok(self.rows.pop_front());
            }
            match self.archived.next().await? {
                Some(event) if !self.range.has(event.event.occurred_at) => {}
                event => return Ok(event.map(Kept::of_archive)),
            }
        }
    }

    /// Whether the next event was made with this hash.
    pub(super) fn made(&self, hash: &[u8; HASH_BYTES]) -> bool {
        self.ahead.front().is_some_and(|event| event.made.as_deref() == Some(hash.as_slice()))
    }
}
