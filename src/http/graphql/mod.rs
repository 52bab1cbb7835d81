//! GraphQL over HTTP, by the GraphQL-over-HTTP specification.
//!
//! async-graphql-axum's extractor has no body limit, lets mutations in by GET, takes any content type
//! (which lets a foreign page send one without asking) and executes batches; this handler does none
//! of it. It knows nothing of a schema: an [`Executor`] does, and authenticates.

use std::future::Future;

use async_graphql::{
    Response as GraphqlResponse, ServerError,
    parser::types::{DocumentOperations, ExecutableDocument, OperationType},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
    routing::{MethodRouter, any},
};

use super::{
    Problem, RequestContext,
    body::{self, BodyLimits},
    guard,
    once::{self, KeyRule, Once},
};
use crate::{
    call::Call,
    config::{DocumentLimits, Limits},
    error::{Error, ErrorCode},
};

mod answer;
mod media;
mod parameters;
#[cfg(test)]
mod tests;

/// The operation of idempotency keys: whatever a document changes.
const KEYED: &str = "graphql";

/// What an execution came to.
#[derive(Debug)]
pub struct Executed {
    /// The answer.
    pub response: GraphqlResponse,
    /// Whose it is; the idempotency key that a request brought belongs to it.
    pub call: Option<Call>,
}

impl From<GraphqlResponse> for Executed {
    fn from(response: GraphqlResponse) -> Self {
        Self { response, call: None }
    }
}

/// What runs a request that has passed the limits.
pub trait Executor: Clone + Send + Sync + 'static {
    /// Authenticates by `parts` (its headers, its [`RequestContext`]) and executes.
    ///
    /// A resolver's [`Error`] keeps its code on the way out; any other error type is logged and shown
    /// as an internal error. On a GET, `request` is parsed already. If the request has an idempotency
    /// key, `parts` have an `Arc<Attempt>` for the call.
    ///
    /// # Errors
    /// When nothing was executed: [`Error::Unauthenticated`] becomes 401, [`Error::Forbidden`] 403.
    fn execute(
        &self,
        request: async_graphql::Request,
        parts: Parts,
    ) -> impl Future<Output = Result<Executed, Error>> + Send;
}

#[derive(Clone)]
struct Graphql<E> {
    executor: E,
    body: BodyLimits,
    document: DocumentLimits,
    once: Once,
}

/// The handler of all methods of one path: `Router::new().route("/graphql", route(…))`.
pub fn route<E: Executor>(executor: E, limits: &Limits) -> MethodRouter {
    let (body, document) = (BodyLimits::graphql(limits), limits.graphql_document);
    let once = Once::new(KeyRule::Optional, limits);
    any(handle::<E>).with_state(Graphql { executor, body, document, once })
}

async fn handle<E: Executor>(
    State(graphql): State<Graphql<E>>,
    context: RequestContext,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(media) = media::negotiate(&parts.headers) else {
        let problem = Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            ErrorCode::BadUserInput,
            "Accept must allow application/graphql-response+json or application/json",
        );
        return answer::refused(&problem, media::Media::Json, &context.correlation_id);
    };
    let executed = match run(&graphql, parts, body).await {
        Ok(executed) => executed,
        Err(problem) => return answer::refused(&problem, media, &context.correlation_id),
    };
    let faultless = executed.response.errors.is_empty();
    let response = answer::executed(executed.response, media, &context.correlation_id);
    let Some(call) = executed.call else { return response };
    let ended = call.attempt().is_some_and(|attempt| attempt.end().is_some());
    let answered = match once::refusal(&call) {
        // An answer of its own, with the error's status: nothing further was done.
        Some(error) => Err(error),
        None if faultless || ended => once::answer(&call, response).await,
        // What failed may succeed when it is asked for again: an answer with errors is not kept.
        None => Ok(response),
    };
    answered.unwrap_or_else(|error| answer::refused(&error.into(), media, &context.correlation_id))
}

async fn run<E: Executor>(
    graphql: &Graphql<E>,
    mut parts: Parts,
    body: Body,
) -> Result<Executed, Problem> {
    let mut request = match parts.method {
        Method::GET => parameters::from_query(parts.uri.query().unwrap_or_default())?,
        Method::POST => {
            media::require_json(&parts.headers)?;
            let bytes = body::read(&parts.headers, body, &graphql.body).await?;
            if let Some(attempt) = graphql.once.attempt(&parts.headers, KEYED) {
                once::bind_attempt(&attempt, &parts, &bytes);
                parts.extensions.insert(attempt);
            }
            parameters::from_json(&bytes)?
        }
        _ => return Err(method_not_allowed("GET, POST", "only GET and POST are allowed")),
    };
    match guard::check(&request.query, &graphql.document) {
        Ok(()) => {}
        // A document that cannot be parsed, like those that the parser itself refuses.
        Err(error @ Error::BadUserInput { .. }) => {
            let error = ServerError::new(error.to_string(), None);
            return Ok(GraphqlResponse::from_errors(vec![error]).into());
        }
        Err(error) => return Err(error.into()),
    }
    if parts.method == Method::GET {
        let name = request.operation_name.clone();
        // What does not parse is reported by the execution, as on a POST.
        let kind = request.parsed_query().ok().and_then(|document| selected(document, name));
        if kind == Some(OperationType::Mutation) {
            return Err(method_not_allowed("POST", "a mutation must come by POST"));
        }
    }
    Ok(graphql.executor.execute(request, parts).await?)
}

/// The kind of the operation that would run.
fn selected(document: &ExecutableDocument, name: Option<String>) -> Option<OperationType> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => operation,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name.as_str())?,
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()?
        }
        (DocumentOperations::Multiple(_), None) => return None,
    };
    Some(operation.node.ty)
}

fn method_not_allowed(allow: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, detail)
        .with_header(header::ALLOW, HeaderValue::from_static(allow))
}
