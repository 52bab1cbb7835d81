//! Fields that may fail alone.

use std::sync::Arc;

use async_graphql::Response;

use super::MAX_DEPTH;
use crate::error::{Error, Result};

/// A nullable field that may fail alone: its error is reported, and its siblings stand. (As
/// `Result<Option<T>>` it would take its parent with it.)
pub type Nullable<T> = Option<async_graphql::Result<T>>;

/// A result for a [`Nullable`] field.
pub fn nullable<T>(result: Result<Option<T>>) -> Nullable<T> {
    result.map_err(Into::into).transpose()
}

/// Makes errors of ours of those by which the library refuses a document that is over a limit: it
/// has nothing but a text for them.
#[must_use]
pub fn name_limits(mut response: Response) -> Response {
    for error in &mut response.errors {
        let (limit, maximum) = match error.message.as_str() {
            "Query is nested too deep." => ("depth", MAX_DEPTH),
            text if text.starts_with("The recursion depth of the query") => ("depth", MAX_DEPTH),
            _ => continue,
        };
        let maximum = u64::try_from(maximum).unwrap_or(u64::MAX);
        let ours = Error::LimitExceeded { limit, maximum };
        error.message = ours.to_string();
        error.source = Some(Arc::new(ours));
    }
    response
}
