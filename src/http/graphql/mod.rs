//! GraphQL over HTTP, by the GraphQL-over-HTTP specification.
//!
//! async-graphql-axum's extractor has no body limit, lets mutations in by GET, takes any content type
//! (which lets a foreign page send one without asking) and executes batches; this handler does none
//! of it. It knows nothing of a schema: an [`Executor`] does, and authenticates.

use std::{future::Future, sync::Arc};

use async_graphql::{Response as GraphqlResponse, parser::types::OperationType};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
    routing::{MethodRouter, any},
};
use bytes::Bytes;

use super::{
    Problem, RequestContext,
    body::{self, BodyLimits},
    observe,
    once::{self, KeyRule, Once},
};
use crate::{
    auth::TenantId,
    cache::{Answer, Asked, Found, Lifetime, Place, Told},
    call::Call,
    config::Limits,
    error::{Error, ErrorCode},
};

pub(super) mod answer;
mod documents;
mod intake;
pub(super) mod media;
mod parameters;
#[cfg(test)]
mod tests;

mod trusted;

use answer::Conditions;
pub use intake::{Admitted, Intake, Refused, Taken};
pub use trusted::{BrokenManifest, Trusted};

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

/// What lets callers in, and runs their requests.
pub trait Executor: Clone + Send + Sync + 'static {
    /// A caller whose token was verified.
    type Caller: Send + Sync;

    /// Authenticates by the head of a request (its headers, its [`RequestContext`]). If the request
    /// has an idempotency key, `parts` have an `Arc<Attempt>` for the call.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] becomes 401.
    fn authenticate(
        &self,
        parts: &Parts,
    ) -> impl Future<Output = Result<Self::Caller, Error>> + Send;

    /// Whose documents the caller's are.
    fn tenant<'a>(&self, caller: &'a Self::Caller) -> &'a TenantId;

    /// What a request of these parts asks of the answers that are kept, and until when the answer to the
    /// call holds that is made now; nothing where none is kept.
    fn ask(
        &self,
        _caller: &Self::Caller,
        _request: &[&[u8]],
    ) -> impl Future<Output = Option<(Asked, Lifetime)>> + Send {
        std::future::ready(None)
    }

    /// Whether the caller may have an answer that is kept; the audit trail is told of it like of one
    /// that is made.
    fn takes(&self, _caller: &Self::Caller, _answer: &Answer) -> bool {
        false
    }

    /// Waits for a place at work, which the caller then has until all is done.
    ///
    /// # Errors
    /// [`Error::Overloaded`]: nothing was done.
    fn begin(&self, _caller: &Self::Caller) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Executes.
    ///
    /// A resolver's [`Error`] keeps its code on the way out; any other error type is logged and shown
    /// as an internal error.
    ///
    /// # Errors
    /// When nothing was executed: [`Error::Forbidden`] becomes 403.
    fn execute(
        &self,
        caller: Self::Caller,
        admitted: Admitted,
    ) -> impl Future<Output = Result<Executed, Error>> + Send;
}

struct Graphql<E> {
    executor: E,
    body: BodyLimits,
    intake: Intake,
    once: Once,
}

/// The handler of all methods of one path: `Router::new().route("/graphql", route(…))`.
pub fn route<E: Executor>(executor: E, intake: Intake, limits: &Limits) -> MethodRouter {
    let body = BodyLimits::graphql(limits);
    let once = Once::new(KeyRule::Optional, limits);
    // Behind a pointer: axum copies it several times for every request.
    any(handle::<E>).with_state(Arc::new(Graphql { executor, body, intake, once }))
}

async fn handle<E: Executor>(
    State(graphql): State<Arc<Graphql<E>>>,
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
    let conditions = Conditions::of(&parts);
    let running = observe::bounded(context.deadline, run(&graphql, parts, body)).await;
    let (executed, place) = match running.map_err(Problem::from).flatten() {
        Ok(Done::Executed(executed, place)) => (executed, place),
        Ok(Done::Kept(kept)) => return answer::kept(&kept, media, &conditions),
        Err(problem) => return answer::refused(&problem, media, &context.correlation_id),
    };
    let faultless = executed.response.errors.is_empty();
    let unavailable = answer::unavailable(&executed.response).cloned();
    let response = answer::executed(executed.response, media, &context.correlation_id);
    let response = match (place, unavailable) {
        (place, Some(error)) => {
            if let Some(place) = place {
                place.0.failed();
            }
            answer::refused(&error.into(), media, &context.correlation_id)
        }
        (Some(place), None) => keep(*place, faultless, &context, response, &conditions),
        (None, None) => response.map(Body::from),
    };
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

/// What became of a request.
enum Done {
    Executed(Box<Executed>, Option<Box<(Place, Lifetime)>>),
    /// Its answer was kept.
    Kept(Arc<Answer>),
}

/// Puts an answer in its place, if it can be kept.
fn keep(
    (place, lifetime): (Place, Lifetime),
    faultless: bool,
    context: &RequestContext,
    response: Response<Bytes>,
    conditions: &Conditions,
) -> Response {
    if !faultless {
        place.failed();
        return response.map(Body::from);
    }
    let record = &context.record;
    let (dataset_id, resource) = record.subject();
    let (operation_name, document_hash) = record.asked_by();
    let told =
        Told { asked: record.operations(), dataset_id, resource, operation_name, document_hash };
    match place.put(response.body().clone(), told, lifetime.end()) {
        Some(tag) => answer::tagged(response, &tag, conditions),
        None => response.map(Body::from),
    }
}

async fn run<E: Executor>(
    graphql: &Graphql<E>,
    mut parts: Parts,
    body: Body,
) -> Result<Done, Problem> {
    let attempt = match parts.method {
        Method::GET => None,
        Method::POST => {
            media::require_json(&parts.headers)?;
            graphql.once.attempt(&parts.headers, KEYED)
        }
        _ => return Err(method_not_allowed("GET, POST", "only GET and POST are allowed")),
    };
    if let Some(attempt) = &attempt {
        parts.extensions.insert(attempt.clone());
    }
    // Before the body is read: strangers cost nothing.
    let caller = graphql.executor.authenticate(&parts).await?;
    let sent = if parts.method == Method::GET {
        Bytes::copy_from_slice(parts.uri.query().unwrap_or_default().as_bytes())
    } else {
        body::read(&parts.headers, body, &graphql.body).await?
    };
    let request = [parts.method.as_str().as_bytes(), sent.as_ref()];
    let asked = match &attempt {
        Some(attempt) => {
            once::bind_attempt(attempt, &parts, &sent);
            None
        }
        None => graphql.executor.ask(&caller, &request).await,
    };
    let kept = match &asked {
        Some((asked, _)) => asked.kept().await,
        None => None,
    };
    if let Some(answer) = kept.filter(|answer| graphql.executor.takes(&caller, answer)) {
        return Ok(Done::Kept(answer));
    }
    // Nothing of the document is looked at before.
    graphql.executor.begin(&caller).await?;
    let tenant = graphql.executor.tenant(&caller);
    let admitted = if parts.method == Method::GET {
        graphql.intake.of_query(tenant, parts.uri.query().unwrap_or_default())
    } else {
        graphql.intake.of_json(tenant, &sent)
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(Refused::Request(error)) => return Err(error.into()),
        Err(Refused::Untrusted) => {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                ErrorCode::Forbidden,
                intake::UNTRUSTED,
            ));
        }
        Err(Refused::Document(error)) => {
            let refused = GraphqlResponse::from_errors(vec![error]);
            return Ok(Done::Executed(Box::new(refused.into()), None));
        }
    };
    let name = admitted.request.operation_name.as_deref();
    let operation = admitted.document.selected(name);
    if parts.method == Method::GET && operation == Some(OperationType::Mutation) {
        return Err(method_not_allowed("POST", "a mutation must come by POST"));
    }
    let place = match asked.filter(|_| operation == Some(OperationType::Query)) {
        Some((asked, lifetime)) => match asked.place().await {
            Found::Answer(answer) if graphql.executor.takes(&caller, &answer) => {
                return Ok(Done::Kept(answer));
            }
            Found::Answer(_) => None,
            Found::Place(place) => Some(Box::new((place, lifetime))),
        },
        None => None,
    };
    let executed = graphql.executor.execute(caller, admitted).await?;
    Ok(Done::Executed(Box::new(executed), place))
}

fn method_not_allowed(allow: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, detail)
        .with_header(header::ALLOW, HeaderValue::from_static(allow))
}
