//! Errors as the graph shows them: a code and the correlation id on each, nothing internal on any.

use async_graphql::{ErrorExtensionValues, Response, ServerError};

use crate::error::{Error, ErrorCode, Result};

/// A nullable field that may fail alone: its error is reported, and its siblings stand.
pub type Nullable<T> = Option<async_graphql::Result<T>>;

/// A result for a [`Nullable`] field.
pub fn nullable<T>(result: Result<Option<T>>) -> Nullable<T> {
    result.map_err(Into::into).transpose()
}

/// Gives every error of the answer its code and the correlation id, and takes from it what is not
/// for the caller. What is behind an internal error goes to the log.
pub fn finish(mut response: Response, correlation_id: &str) -> Response {
    for error in &mut response.errors {
        dress(error, correlation_id);
    }
    response
}

fn dress(error: &mut ServerError, correlation_id: &str) {
    // An error of our own carries itself. One of the library's has no source: it is about the
    // document or its variables, and says nothing internal.
    let code = match error.source::<Error>() {
        Some(source) => {
            log(source, correlation_id);
            source.code()
        }
        None => ErrorCode::BadUserInput,
    };
    let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
    extensions.set("code", code.as_str());
    extensions.set("correlationId", correlation_id);
    metrics::counter!("drr_graphql_errors_total", "code" => code.as_str()).increment(1);
}

fn log(error: &Error, correlation_id: &str) {
    if let Error::Internal(source) | Error::Unavailable(source) = error {
        tracing::error!(correlation_id, code = error.code().as_str(), %source, "a field failed");
    }
}
