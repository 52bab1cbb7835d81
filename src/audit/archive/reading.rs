//! Archives as a part of the trail: the archived events of a tenant, in the ledger's order.
//!
//! Months are made by when events happened and not by their place in the ledger, so that months overlap
//! there. Each month of a class is a row of parts in order, and the months are merged. Of a month one part
//! at most is in memory, and none before the merge has come to it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{ArchiveError, Archivist, lines, store::Archive};
use crate::{audit::model::Event, auth::TenantId, error::Result, evidence::model::Position};

/// An event as it is in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedEvent {
    /// Its place in the ledger's order.
    pub position: Position,
    /// Its canonical form, byte by byte as it was archived.
    pub leaf: Vec<u8>,
    /// The same, read.
    pub event: Event,
}

/// The events of a tenant's archives.
#[derive(Debug)]
pub struct ArchivedTrail {
    archivist: Archivist,
    tenant: TenantId,
    months: Vec<Month>,
    /// Where the next event of each month stands.
    order: BinaryHeap<Reverse<(Position, usize)>>,
}

impl ArchivedTrail {
    /// Those of no archive yet.
    #[must_use]
    pub const fn new(archivist: Archivist, tenant: TenantId) -> Self {
        Self { archivist, tenant, months: Vec::new(), order: BinaryHeap::new() }
    }

    /// Adds a month of a class: its parts in order. The first one is read to learn where it begins.
    ///
    /// # Errors
    /// [`ArchiveError`], or what the store answers.
    pub async fn add(&mut self, parts: Vec<Archive>) -> Result<()> {
        let mut month = Month { parts: parts.into(), text: Vec::new(), at: 0, next: None };
        month.advance(&self.archivist, &self.tenant).await?;
        // Read again when it is its turn: until then there may be many.
        month.text = Vec::new();
        if let Some(next) = &month.next {
            self.order.push(Reverse((next.position, self.months.len())));
        }
        self.months.push(month);
        Ok(())
    }

    /// Where the next event stands.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.order.peek().map(|Reverse((position, _))| *position)
    }

    /// The next event.
    ///
    /// # Errors
    /// [`ArchiveError`], or what the store answers.
    pub async fn next(&mut self) -> Result<Option<ArchivedEvent>> {
        let Some(Reverse((_, at))) = self.order.pop() else { return Ok(None) };
        let Some(month) = self.months.get_mut(at) else { return Ok(None) };
        let event = month.next.take();
        month.advance(&self.archivist, &self.tenant).await?;
        if let Some(next) = &month.next {
            self.order.push(Reverse((next.position, at)));
        }
        Ok(event)
    }
}

/// A month of a class.
#[derive(Debug)]
struct Month {
    /// The part that is read, and those after it.
    parts: VecDeque<Archive>,
    /// Its lines, if they are read.
    text: Vec<u8>,
    /// Where the line after the next event begins.
    at: usize,
    next: Option<ArchivedEvent>,
}

impl Month {
    async fn advance(&mut self, archivist: &Archivist, tenant: &TenantId) -> Result<()> {
        self.next = None;
        while let Some(part) = self.parts.front() {
            if self.text.is_empty() {
                self.text = archivist.lines(tenant, part).await?;
            }
            let rest = self.text.get(self.at..).unwrap_or_default();
            if let Some(line) = rest.split_inclusive(|byte| *byte == b'\n').next() {
                let event = lines::read(line);
                self.at += line.len();
                self.next = Some(event.ok_or_else(|| ArchiveError::Altered(part.object.clone()))?);
                return Ok(());
            }
            self.parts.pop_front();
            (self.text, self.at) = (Vec::new(), 0);
        }
        Ok(())
    }
}
