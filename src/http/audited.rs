//! One audit event of every call, durable before its answer leaves. // D34
//!
//! Probes and scrapes, which the operations listener answers to anybody on it, are no calls of the
//! interface: they must be answered when nothing can be written, and say nothing.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Front, ListenerKind, Problem, RequestContext, correlation::route};
use crate::{
    audit::Outcome,
    error::{Error, ErrorCode},
};

pub(super) async fn audit(State(front): State<Front>, request: Request, next: Next) -> Response {
    let Some(context) = request.extensions().get::<RequestContext>() else {
        return Error::internal("a request without its context").into_response();
    };
    let route = route(&request);
    if front.listener == ListenerKind::Operations && route != "unmatched" {
        return next.run(request).await;
    }
    let action = action(route);
    let ending = front.recorder.ending(context.record.clone());
    let response = next.run(request).await;
    ending.record().is_perhaps(action);
    match ending.end(outcome(&response)).await {
        Ok(()) => response,
        Err(error) => Error::from(error).into_response(),
    }
}

/// What a call asks for of which nothing better becomes known.
fn action(route: &str) -> &'static str {
    match route {
        "/graphql" => "graphql.execute",
        "/api/v1/lineage" => "lineage.ingest",
        route if route.starts_with("/confluent") => "confluent.request",
        route if route.starts_with("/graphiql") => "graphiql.read",
        route if route.starts_with("/storage") => "rest.read",
        _ => "request",
    }
}

/// How the call ended, by its answer.
fn outcome(response: &Response) -> Outcome {
    if let Some(outcome) = response.extensions().get::<Outcome>() {
        return *outcome;
    }
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Outcome::of_code(problem.code());
    }
    match response.status() {
        status if status.is_server_error() => Outcome::Failure(ErrorCode::Internal),
        StatusCode::NOT_FOUND => Outcome::Rejected(ErrorCode::NotFound),
        status if status.is_client_error() => Outcome::Rejected(ErrorCode::BadUserInput),
        _ => Outcome::Success,
    }
}
