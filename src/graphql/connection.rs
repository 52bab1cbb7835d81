//! Relay connections over keyset pages.

use std::{borrow::Cow, fmt};

use async_graphql::{
    Object, ObjectType, TypeName,
    connection::{
        ConnectionNameType, CursorType, DefaultConnectionName, Edge, EmptyFields, OpaqueCursor,
        PageInfo,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Utc};
use serde::{Serialize, de::DeserializeOwned};

use super::direct::Direct;
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
    pub fn connection<N: ObjectType>(
        &self,
        nodes: impl IntoIterator<Item = (P, N)>,
    ) -> Connection<P, N>
    where
        P: Serialize + Send + Sync,
    {
        let mut connection = Connection {
            edges: Vec::new(),
            has_previous_page: self.after.is_some(),
            has_next_page: false,
        };
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

/// One page of a list: the library's type, but described.
pub struct Connection<P: Serialize + DeserializeOwned + Send + Sync, N: ObjectType> {
    edges: Vec<Edge<OpaqueCursor<P>, N, EmptyFields>>,
    has_previous_page: bool,
    has_next_page: bool,
}

impl<P: Serialize + DeserializeOwned + Send + Sync, N: ObjectType> fmt::Debug for Connection<P, N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Connection");
        shown.field("edges", &self.edges.len()).finish_non_exhaustive()
    }
}

/// One page of a list. The next one is asked for with `after: pageInfo.endCursor`.
#[Object(name_type, shareable)]
impl<P: Serialize + DeserializeOwned + Send + Sync, N: ObjectType> Connection<P, N> {
    /// Where in the list the page is.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.has_previous_page,
            has_next_page: self.has_next_page,
            start_cursor: self.edges.first().map(|edge| edge.cursor.encode_cursor()),
            end_cursor: self.edges.last().map(|edge| edge.cursor.encode_cursor()),
        }
    }

    /// What is on the page, each with its cursor.
    async fn edges(&self) -> &[Edge<OpaqueCursor<P>, N, EmptyFields>] {
        &self.edges
    }

    /// What is on the page.
    async fn nodes(&self) -> Vec<Direct<&N>> {
        self.edges.iter().map(|edge| Direct(&edge.node)).collect()
    }
}

impl<P: Serialize + DeserializeOwned + Send + Sync, N: ObjectType> TypeName for Connection<P, N> {
    fn type_name() -> Cow<'static, str> {
        DefaultConnectionName::type_name::<N>().into()
    }
}
