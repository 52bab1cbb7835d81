//! Fields that may fail alone.

use std::sync::Arc;

use async_graphql::Response;

use super::{MAX_DEPTH, MAX_ERROR_BYTES, MAX_ERRORS};
use crate::error::{Error, Result};

/// A nullable field that may fail alone: its error is reported, and its siblings stand. (As
/// `Result<Option<T>>` it would take its parent with it.)
pub type Nullable<T> = Option<async_graphql::Result<T>>;

/// A result for a [`Nullable`] field.
pub fn nullable<T>(result: Result<Option<T>>) -> Nullable<T> {
    result.map_err(Into::into).transpose()
}

/// Keeps a refusal short: a document can be wrong in thousands of places, and in long words.
fn shorten(response: &mut Response) {
    let refused = response.errors.iter().all(|error| error.path.is_empty());
    if !refused {
        return;
    }
    response.errors.truncate(MAX_ERRORS);
    for error in &mut response.errors {
        if error.message.len() > MAX_ERROR_BYTES {
            let end = error.message.floor_char_boundary(MAX_ERROR_BYTES);
            error.message.truncate(end);
            error.message.push('…');
        }
    }
}

/// Makes errors of ours of those by which the library refuses a document that is over a limit: it
/// has nothing but a text for them. Keeps what it refuses short.
#[must_use]
pub fn name_limits(mut response: Response) -> Response {
    shorten(&mut response);
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
