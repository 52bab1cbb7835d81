//! Relay connections over keyset pages.

use async_graphql::{
    OutputType,
    connection::{Connection, Edge, OpaqueCursor},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Utc};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// The most that one page may hold.
pub const MAX_PAGE: u32 = 200;

/// A place in a list, as a cursor says it. A cursor is the caller's, who may have changed it.
pub trait Place: DeserializeOwned {
    /// Whether anything could be there: what the database cannot even compare with is no place.
    fn is_possible(&self) -> bool;
}

/// Whether the database has such an instant.
#[must_use]
pub fn is_possible_instant(at: DateTime<Utc>) -> bool {
    (1..=9_999).contains(&at.year())
}

/// How many of a list are asked for, and after which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<P> {
    /// Nodes at most.
    pub first: u32,
    /// The position of the last node before the page.
    pub after: Option<P>,
}

impl<P: Place> Page<P> {
    /// Reads the arguments of a connection.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for a negative `first` or a cursor that is not of this list,
    /// [`Error::LimitExceeded`] for a `first` beyond [`MAX_PAGE`].
    pub fn parse(first: Option<i32>, after: Option<&str>, default: u32) -> Result<Self> {
        let first = match first.map(u32::try_from) {
            None => default,
            Some(Ok(first)) if first <= MAX_PAGE => first,
            Some(Ok(_)) => {
                return Err(Error::LimitExceeded { limit: "first", maximum: MAX_PAGE.into() });
            }
            Some(Err(_)) => return Err(Error::bad_input("first", "must not be negative")),
        };
        let read = |cursor: &str| {
            let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            serde_json::from_slice(&json).ok().filter(P::is_possible)
        };
        let refuse = || Error::bad_input("after", "is not a cursor of this list");
        let after = after.map(|cursor| read(cursor).ok_or_else(refuse)).transpose()?;
        Ok(Self { first, after })
    }

    /// How many to read: one more than the page holds tells whether there is a next one.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.first.saturating_add(1)
    }

    /// The connection of what was read with [`Self::limit`].
    pub fn connection<N: OutputType>(
        &self,
        nodes: impl IntoIterator<Item = (P, N)>,
    ) -> Connection<OpaqueCursor<P>, N>
    where
        P: Serialize + Send + Sync,
    {
        let mut connection = Connection::new(self.after.is_some(), false);
        for (position, node) in nodes {
            if connection.edges.len() == self.first as usize {
                connection.has_next_page = true;
                break;
            }
            connection.edges.push(Edge::new(OpaqueCursor(position), node));
        }
        connection
    }
}
