//! The front of the house: listeners, and what every request meets before its handler.
//!
//! ```text
//! server ─ connection limit, header and idle timeouts, drain
//!   └ correlation ─ the request's id and span; errors become problem documents here
//!     └ audited ─ the event of the call, durable before the answer leaves
//!       └ observe ─ metrics, panics, the deadline; answers are compressed inside
//!         └ the listener's own routes, with its authentication
//!           └ body ─ size, decompression and time limits, when the handler reads it
//!             └ graphql: guard, then execution
//! ```
//!
//! GraphQL is [`subgraph`] behind [`graphql`]; REST ([`rest`]) asks the same graph, and so does the page
//! that [`graphiql`] serves; [`subscription`] asks it again whenever there is more. [`confluent`] is what clients of
//! another registry know.
//!
//! [`assemble`] puts the common part around a listener's routes. A panic is caught inside the
//! metrics, so that it counts as the 500 that it becomes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::HttpBody,
    extract::{FromRequestParts, Request},
    http::{StatusCode, request::Parts},
    middleware::{from_fn_with_state, map_response},
};
use tokio::time::Instant;

use crate::{
    audit::{Record, Recorder},
    clock::SharedClock,
    config::Limits,
    error::{Error, ErrorCode},
};

mod audited;
pub mod authentication;
pub mod body;
mod compression;
pub mod confluent;
pub mod correlation;
pub mod dbt_sources;
pub mod evidence;
pub mod graphiql;
pub mod graphql;
pub mod guard;
mod idle;
pub mod lineage;
mod observe;
pub mod once;
pub mod operations;
pub mod problem;
pub mod rest;
pub mod server;
pub mod subgraph;
pub mod subscription;
#[cfg(test)]
mod tests;

pub use correlation::CorrelationId;
pub use problem::Problem;
pub use server::BoundListener;

/// Which of the three doors a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// Users.
    Public,
    /// The platform's own services.
    Internal,
    /// Health and metrics.
    Operations,
}

impl ListenerKind {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Operations => "operations",
        }
    }
}

/// What is known of every request before its handler runs. An extractor, and a request extension.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The name of the request in answers, logs and the audit trail.
    pub correlation_id: CorrelationId,
    /// The door it came through.
    pub listener: ListenerKind,
    /// The other end of the connection; absent when a router is called without a socket.
    pub peer: Option<SocketAddr>,
    /// When it must be answered.
    pub deadline: Instant,
    /// What becomes known of it, for the audit trail.
    pub record: Arc<Record>,
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Error::internal("a route outside of http::assemble"))
    }
}

/// What the common part needs to know.
#[derive(Debug, Clone)]
pub struct Front {
    /// The door.
    pub listener: ListenerKind,
    /// Makes correlation ids.
    pub clock: SharedClock,
    /// How long a request may take.
    pub request_deadline: Duration,
    /// How much longer when it has a body.
    pub body_timeout: Duration,
    /// Makes audit events durable.
    pub recorder: Recorder,
}

impl Front {
    /// The common part of one listener.
    #[must_use]
    pub fn new(
        listener: ListenerKind,
        clock: SharedClock,
        limits: &Limits,
        recorder: Recorder,
    ) -> Self {
        Self {
            listener,
            clock,
            request_deadline: limits.request_deadline,
            body_timeout: limits.body_timeout,
            recorder,
        }
    }

    /// When a request that comes now must be answered.
    fn deadline(&self, request: &Request) -> Instant {
        let body = if request.body().is_end_stream() { Duration::ZERO } else { self.body_timeout };
        Instant::now() + self.request_deadline + body
    }
}

/// Puts the common part around a listener's routes. Routes that are added afterwards are outside.
pub fn assemble(routes: Router, front: Front) -> Router {
    named(observed(routes, &front).layer(from_fn_with_state(front.clone(), audited::audit)), front)
}

/// The same without the audit trail: what it costs can only be told by leaving it out. For a bench.
pub fn assemble_unaudited(routes: Router, front: Front) -> Router {
    named(observed(routes, &front), front)
}

fn observed(routes: Router, front: &Front) -> Router {
    routes
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(compression::layer())
        .layer(map_response(compression::weaken_tag))
        .layer(from_fn_with_state(front.clone(), observe::observe))
}

fn named(routes: Router, front: Front) -> Router {
    routes.layer(from_fn_with_state(front, correlation::correlate))
}

async fn no_such_route() -> Error {
    Error::NotFound("resource")
}

async fn method_not_allowed(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::BadUserInput,
        format!("{} is not allowed here", request.method()),
    )
}
