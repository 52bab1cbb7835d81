//! Subscriptions: root fields over [feeds](crate::live::Feed).
//!
//! The library resolves all items of a subscription with the data of the one request that began it:
//! one instant, one set of loaders that remember, one authorization. Here a subscription is the same
//! document executed again and again: once to open it, when its field authorizes, reads its arguments
//! and names its source, and then once for each batch that was read of the source, as a call of its own
//! with loaders of its own. What that takes is in the request as a [`Stage`].

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
    vec::IntoIter,
};

use async_graphql::{Context, ID};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::stream::{self, Iter};
use serde::Serialize;

use super::{connection, scalars::uuid, shared};
use crate::{
    error::{Error, Result},
    live::{Feed, Place, Selection, Source},
};

/// What a request of a subscription is for.
#[derive(Clone)]
pub enum Stage {
    /// To say what the subscription reads: fields put their sources here.
    Opening(Arc<Mutex<Vec<Box<dyn Source>>>>),
    /// To tell of these items: a `Vec` of what the feed consists of.
    Telling(Arc<Mutex<Option<Box<dyn Any + Send + Sync>>>>),
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Opening(_) => "Opening",
            Self::Telling(_) => "Telling",
        })
    }
}

/// The items of a root field: none when the subscription opens, those that were read when it tells.
///
/// # Errors
/// [`Error::Internal`] outside of a subscription.
pub fn items<F: Feed>(context: &Context<'_>, place: Place<F>) -> Result<Iter<IntoIter<F::Item>>> {
    let items: Vec<F::Item> = match shared::<Stage>(context)? {
        Stage::Opening(sources) => {
            sources.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(place));
            Vec::new()
        }
        Stage::Telling(items) => {
            let items = items.lock().unwrap_or_else(PoisonError::into_inner).take();
            let items = items.ok_or_else(|| Error::internal("items are told once"))?;
            *items.downcast().map_err(|_| Error::internal("items of another feed"))?
        }
    };
    Ok(stream::iter(items))
}

/// The most datasets that a subscription may name.
const MAX_DATASETS: usize = 200;

/// The datasets that a subscription asks for.
///
/// # Errors
/// [`Error::BadUserInput`] for what is no id, [`Error::LimitExceeded`] for too many of them.
pub fn selection(
    datasets: Option<Vec<ID>>,
    namespace: Option<String>,
    domain: Option<String>,
) -> Result<Selection> {
    let datasets = datasets.unwrap_or_default();
    if datasets.len() > MAX_DATASETS {
        return Err(Error::LimitExceeded { limit: "datasetIds", maximum: MAX_DATASETS as u64 });
    }
    let datasets = datasets.iter().map(|id| uuid(id, "datasetIds")).collect::<Result<_>>()?;
    Ok(Selection { datasets, namespace, domain })
}

/// A place in a log as an item says it, and as a caller brings it back in `after`.
pub trait Cursor: connection::Place + Serialize {
    /// The cursor of a number.
    fn at(sequence: i64) -> Self;
    /// Its number.
    fn sequence(&self) -> i64;

    /// As text.
    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// The number that a caller's cursor stands for.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for one of another list.
    fn read(after: Option<&str>) -> Result<Option<i64>> {
        let read = |text: &str| {
            let json = URL_SAFE_NO_PAD.decode(text).ok()?;
            serde_json::from_slice(&json).ok().filter(Self::is_possible)
        };
        let refuse = || Error::bad_input("after", "is not a cursor of this list");
        let place = after.map(|text| read(text).ok_or_else(refuse)).transpose()?;
        Ok(place.map(|place: Self| place.sequence()))
    }
}

/// A cursor that is nothing but a number, under a name of its own, so that one list does not take
/// another's.
macro_rules! cursor {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident { $field:ident }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $visibility struct $name {
            /// The number of the last entry before it.
            $field: i64,
        }

        impl $crate::graphql::connection::Place for $name {
            fn is_possible(&self) -> bool {
                self.$field >= 0
            }
        }

        impl $crate::graphql::subscription::Cursor for $name {
            fn at(sequence: i64) -> Self {
                Self { $field: sequence }
            }

            fn sequence(&self) -> i64 {
                self.$field
            }
        }
    };
}
pub(crate) use cursor;
