//! The tree of what was resolved, while it is.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    PathSegment, QueryPathNode, QueryPathSegment, ServerError, extensions::ResolveInfo,
};

use super::report::{self, Id, Location, Node, Trace};
use crate::error::Error;

/// How many fields and elements of lists are recorded; what is beyond is missing, and said to be.
pub(super) const MAX_NODES: usize = 10_000;
/// The place of the operation itself.
const ROOT: usize = 0;

/// Where a node is among all.
pub(super) type Place = usize;

/// The nodes in the order in which they began: a parent before its children.
#[derive(Debug)]
pub(super) struct Recording {
    nodes: Vec<(Place, Node)>,
    places: HashMap<(Place, Id), Place>,
    incomplete: bool,
}

impl Recording {
    pub(super) fn new() -> Self {
        Self { nodes: vec![(ROOT, Node::default())], places: HashMap::new(), incomplete: false }
    }

    /// A field begins; `None` if it is not recorded.
    pub(super) fn begin(&mut self, info: &ResolveInfo<'_>, now: u64) -> Option<Place> {
        if self.nodes.len() > MAX_NODES {
            self.incomplete = true;
            return None;
        }
        let parent = match info.path_node.parent {
            Some(parent) => self.place(parent)?,
            None => ROOT,
        };
        let id = Id::from(&info.path_node.segment);
        let mut node = Node { id: Some(id.clone()), start_time: now, ..Node::default() };
        // An element of a list has its list's names.
        if let Id::ResponseName(_) = id {
            info.return_type.clone_into(&mut node.r#type);
            info.parent_type.clone_into(&mut node.parent_type);
            if info.alias.is_some() {
                info.name.clone_into(&mut node.original_field_name);
            }
        }
        let place = self.nodes.len();
        self.nodes.push((parent, node));
        self.places.insert((parent, id), place);
        Some(place)
    }

    /// A field ends.
    pub(super) fn end(&mut self, place: Place, now: u64) {
        if let Some((_, node)) = self.nodes.get_mut(place) {
            node.end_time = now;
        }
    }

    fn place(&self, path: &QueryPathNode<'_>) -> Option<Place> {
        let parent = match path.parent {
            Some(parent) => self.place(parent)?,
            None => ROOT,
        };
        self.places.get(&(parent, Id::from(&path.segment))).copied()
    }

    /// All of it, each error at the field that it is of, or at the nearest one above.
    pub(super) fn report(mut self, errors: &[ServerError], now: u64) -> Trace {
        for error in errors {
            let place = self.nearest(&error.path);
            if let Some((_, node)) = self.nodes.get_mut(place) {
                node.error.push(told(error, now));
            }
        }
        // From the last one up: whoever is taken has all its children.
        while self.nodes.len() > 1 {
            let Some((parent, mut node)) = self.nodes.pop() else { break };
            node.child.reverse();
            if let Some((_, parent)) = self.nodes.get_mut(parent) {
                parent.child.push(node);
            }
        }
        let root = self.nodes.pop().map(|(_, mut root)| {
            root.child.reverse();
            root
        });
        Trace { root, is_incomplete: self.incomplete, ..Trace::default() }
    }

    fn nearest(&self, path: &[PathSegment]) -> Place {
        let mut place = ROOT;
        for segment in path {
            let id = match segment {
                PathSegment::Field(name) => Id::ResponseName(name.clone()),
                PathSegment::Index(index) => Id::Index(u32::try_from(*index).unwrap_or(u32::MAX)),
            };
            match self.places.get(&(place, id)) {
                Some(next) => place = *next,
                None => break,
            }
        }
        place
    }
}

impl From<&QueryPathSegment<'_>> for Id {
    fn from(segment: &QueryPathSegment<'_>) -> Self {
        match segment {
            QueryPathSegment::Name(name) => Self::ResponseName((*name).to_owned()),
            QueryPathSegment::Index(index) => {
                Self::Index(u32::try_from(*index).unwrap_or(u32::MAX))
            }
        }
    }
}

/// The error as its caller is told it: what is behind one of somebody else's is not for a trace
/// either.
fn told(error: &ServerError, now: u64) -> report::Error {
    let own = error.source::<Error>().or_else(|| error.source::<Arc<Error>>().map(AsRef::as_ref));
    let message = match own {
        Some(own) => own.to_string(),
        None if error.source.is_some() => Error::internal("").to_string(),
        None => error.message.clone(),
    };
    let location = error.locations.iter().map(|position| Location {
        line: u32::try_from(position.line).unwrap_or(u32::MAX),
        column: u32::try_from(position.column).unwrap_or(u32::MAX),
    });
    report::Error { message, location: location.collect(), time_ns: now }
}
