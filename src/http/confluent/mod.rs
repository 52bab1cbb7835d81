//! The REST interface of Confluent's schema registry, so that the clients that people have work unchanged.
//!
//! It is another way to what the graph has, and makes no second way to do it: what is registered is drafted and
//! proposed, what is deleted is proposed to be deprecated, and both wait for somebody to agree unless somebody has
//! done so beforehand. Paths, bodies and error codes are theirs ([`errors`]); what differs is told in
//! `docs/schemas.md`.
//!
//! Registering the same again is answered with the same number, and what is set is set, so that no request needs
//! an idempotency key, and none is read.
//!
//! To add a resource: a file with its handlers, which take [`Asked`], and its route in [`routes`].

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
    routing::post,
};

use super::{RequestContext, authentication::Authentication, body::BodyLimits, observe::bounded};
use crate::config::Limits;

mod asked;
mod compatibility;
mod config;
mod errors;
mod ids;
mod register;
mod remove;
mod schemas;
mod subject;
mod subjects;
mod told;

use asked::Asked;
use errors::{Refused, Result};
use told::Answer;

/// The media type of requests and answers.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The most that a list has.
const MAXIMUM_LISTED: u32 = 10_000;

/// What all routes share.
#[derive(Debug, Clone)]
struct Confluent {
    authentication: Authentication,
    limits: BodyLimits,
}

/// The routes, for whom `authentication` lets in.
pub fn routes(authentication: Authentication, limits: &Limits) -> Router {
    let state = Confluent { authentication, limits: BodyLimits::lineage(limits) };
    Router::new()
        .route("/confluent", get(schemas::root))
        .route("/confluent/", get(schemas::root))
        .route("/confluent/contexts", get(schemas::contexts))
        .route("/confluent/schemas", get(schemas::list))
        .route("/confluent/schemas/types", get(schemas::types))
        .route("/confluent/schemas/ids/{id}", get(ids::read))
        .route("/confluent/schemas/ids/{id}/schema", get(ids::schema))
        .route("/confluent/schemas/ids/{id}/subjects", get(ids::subjects))
        .route("/confluent/schemas/ids/{id}/versions", get(ids::versions))
        .route("/confluent/subjects", get(subjects::list))
        .route("/confluent/subjects/{subject}", post(register::lookup).delete(remove::subject))
        .route(
            "/confluent/subjects/{subject}/versions",
            get(subjects::versions).post(register::register),
        )
        .route(
            "/confluent/subjects/{subject}/versions/{version}",
            get(subjects::version).delete(remove::version),
        )
        .route("/confluent/subjects/{subject}/versions/{version}/schema", get(subjects::schema))
        .route(
            "/confluent/subjects/{subject}/versions/{version}/referencedby",
            get(subjects::referenced_by),
        )
        .route(
            "/confluent/compatibility/subjects/{subject}/versions",
            post(compatibility::with_all),
        )
        .route(
            "/confluent/compatibility/subjects/{subject}/versions/{version}",
            post(compatibility::with_one),
        )
        .route(
            "/confluent/config",
            get(config::everywhere).put(config::refuse).delete(config::refuse),
        )
        .route(
            "/confluent/config/{subject}",
            get(config::read).put(config::set).delete(config::reset),
        )
        .route("/confluent/mode", get(config::mode).put(config::refuse).delete(config::refuse))
        .route(
            "/confluent/mode/{subject}",
            get(config::mode).put(config::refuse).delete(config::refuse),
        )
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(bound))
        .with_state(state)
}

async fn not_allowed() -> Refused {
    Refused::method()
}

/// Bounds the time of a request here as well as around it, where errors have another form.
async fn bound(context: RequestContext, request: Request, next: Next) -> Response {
    let answered = bounded(context.deadline, next.run(request)).await;
    answered.unwrap_or_else(|error| Refused::from(error).into_response())
}
