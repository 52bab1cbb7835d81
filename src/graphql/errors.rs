//! Fields that may fail alone.

use crate::error::Result;

/// A nullable field that may fail alone: its error is reported, and its siblings stand. (As
/// `Result<Option<T>>` it would take its parent with it.)
pub type Nullable<T> = Option<async_graphql::Result<T>>;

/// A result for a [`Nullable`] field.
pub fn nullable<T>(result: Result<Option<T>>) -> Nullable<T> {
    result.map_err(Into::into).transpose()
}
