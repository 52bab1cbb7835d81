//! REST: the registry's resources, for those who have no GraphQL client.
//!
//! A resource is a document of the graph ([`Resource`]): it is executed like a caller's own, and what
//! it answers is the body. So rights, reads, rules and names are the graph's, and only the outermost
//! form is ours: pages with a `Link`, tags of content, problem documents. The OpenAPI document is made
//! of the same documents and of the graph's descriptions ([`openapi`]).
//!
//! To add a resource: a file with its [`Resource`], and its route in [`Rest::routes`].

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawPathParams, State, rejection::RawPathParamsRejection},
    http::{HeaderMap, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use serde_json::Value;

use super::{
    ListenerKind, Problem, RequestContext,
    authentication::Authentication,
    body::BodyLimits,
    dbt_sources,
    once::{KeyRule, Once},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    config::Limits,
    error::{Error, Result},
    graphql::Subgraph,
};

mod audit_event;
mod audit_events;
mod breaches;
pub(super) mod conditional;
mod dataset;
mod datasets;
mod evidence;
mod fragments;
mod freshness;
mod graph;
mod openapi;
mod parameters;
mod refresh_state;
mod resource;
mod runs;

use graph::Graph;
pub use resource::BrokenResource;
use resource::{Prepared, Resource};

/// The longest identifier in a path, in bytes: a URN with every byte of its names encoded.
const MAX_ID_BYTES: usize = 8_192;

/// Every resource that is read.
const RESOURCES: [&Resource; 11] = [
    &datasets::RESOURCE,
    &dataset::RESOURCE,
    &freshness::RESOURCE,
    &runs::RESOURCE,
    &breaches::RESOURCE,
    &audit_events::RESOURCE,
    &audit_event::RESOURCE,
    &evidence::OF_EVENT,
    &evidence::LOG,
    &evidence::INCLUSION,
    &evidence::CONSISTENCY,
];

/// What all routes share.
#[derive(Clone)]
pub struct Rest {
    authentication: Authentication,
    subgraph: Subgraph,
    limits: BodyLimits,
    graph: Arc<Graph>,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Rest").finish_non_exhaustive()
    }
}

/// One resource at one route.
#[derive(Clone)]
struct Endpoint {
    rest: Rest,
    prepared: Arc<Prepared>,
}

impl Rest {
    /// REST on `subgraph` for whom `authentication` lets in.
    ///
    /// # Errors
    /// [`BrokenResource`] when the graph cannot be read.
    pub fn new(
        authentication: Authentication,
        subgraph: Subgraph,
        limits: &Limits,
    ) -> Result<Self, BrokenResource> {
        let graph = Arc::new(Graph::of(&subgraph)?);
        Ok(Self { authentication, subgraph, limits: BodyLimits::lineage(limits), graph })
    }

    /// The routes of the public listener; the internal one has them too.
    ///
    /// # Errors
    /// [`BrokenResource`] when a document does not fit the graph.
    pub fn routes(&self, listener: ListenerKind) -> Result<Router, BrokenResource> {
        let description = openapi::Description::new(self, listener)?;
        Ok(Router::new()
            .route("/storage/v1/openapi.json", get(openapi::show).with_state(description))
            .route("/storage/v1/datasets", self.reads(&datasets::RESOURCE)?)
            .route("/storage/v1/datasets/{id}", self.reads(&dataset::RESOURCE)?)
            .route("/storage/v1/datasets/{id}/freshness", self.reads(&freshness::RESOURCE)?)
            .route("/storage/v1/datasets/{id}/runs", self.reads(&runs::RESOURCE)?)
            .route("/storage/v1/datasets/{id}/breaches", self.reads(&breaches::RESOURCE)?)
            .route("/storage/v1/audit/events", self.reads(&audit_events::RESOURCE)?)
            .route("/storage/v1/audit/events/{id}", self.reads(&audit_event::RESOURCE)?)
            .route("/storage/v1/audit/events/{id}/evidence", self.reads(&evidence::OF_EVENT)?)
            .route("/storage/v1/evidence", self.reads(&evidence::LOG)?)
            .route("/storage/v1/evidence/inclusion-proof", self.reads(&evidence::INCLUSION)?)
            .route("/storage/v1/evidence/consistency-proof", self.reads(&evidence::CONSISTENCY)?))
    }

    /// What the internal listener has besides.
    ///
    /// # Errors
    /// As for [`Self::routes`].
    pub fn internal_routes(&self, limits: &Limits) -> Result<Router, BrokenResource> {
        let reporting = refresh_state::Reporting::new(self, limits)?;
        let import = dbt_sources::Import {
            authentication: self.authentication.clone(),
            limits: self.limits,
            once: Once::new(KeyRule::Optional, limits),
        };
        Ok(self
            .routes(ListenerKind::Internal)?
            .route(
                "/storage-internal/v1/datasets/{id}/refresh-state",
                post(refresh_state::report).with_state(reporting),
            )
            .route("/api/v1/imports/dbt-sources", post(dbt_sources::import).with_state(import)))
    }

    fn reads(&self, resource: &'static Resource) -> Result<MethodRouter, BrokenResource> {
        let prepared = Arc::new(Prepared::new(resource, &self.graph)?);
        Ok(get(read).with_state(Endpoint { rest: self.clone(), prepared }))
    }

    async fn call(&self, context: &RequestContext, headers: &HeaderMap) -> Result<Call> {
        let call = self.authentication.call(headers, &context.record).await?;
        Ok(call.until(context.deadline))
    }
}

/// Answers a resource.
async fn read(
    State(endpoint): State<Endpoint>,
    context: RequestContext,
    path: Result<RawPathParams, RawPathParamsRejection>,
    parts: Parts,
) -> Response {
    let answer = answer(&endpoint, &context, path, &parts).await;
    conditional::private(answer.unwrap_or_else(IntoResponse::into_response))
}

async fn answer(
    endpoint: &Endpoint,
    context: &RequestContext,
    path: Result<RawPathParams, RawPathParamsRejection>,
    parts: &Parts,
) -> Result<Response, Problem> {
    let call = endpoint.rest.call(context, &parts.headers).await?;
    let prepared = &endpoint.prepared;
    tracing::Span::current().record("operation", prepared.resource.name);
    let read = async {
        let id = identifier(path)?;
        let query = parts.uri.query().unwrap_or_default();
        let given = parameters::parse(query, &prepared.parameters)?;
        call.begin().await?;
        let body = prepared.execute(&endpoint.rest.subgraph, call, id, &given).await?;
        Ok((given, body))
    };
    let (given, body) = read.await.map_err(parameters::problem)?;
    let next = next_page(&body).map(|cursor| given.next(cursor));
    Ok(conditional::answer(&parts.headers, &body, prepared.resource.volatile, next))
}

/// The identifier in the path, decoded.
fn identifier(path: Result<RawPathParams, RawPathParamsRejection>) -> Result<Option<String>> {
    let path = path.map_err(|_| Error::bad_input("id", "is not UTF-8"))?;
    let id = path.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned());
    match id {
        Some(id) if id.len() > MAX_ID_BYTES => Err(Error::bad_input("id", "is too long")),
        id => Ok(id),
    }
}

/// The cursor that the next page goes on after, if there is one.
fn next_page(body: &Value) -> Option<&str> {
    let page = body.get("pageInfo")?;
    page.get("hasNextPage")?.as_bool()?.then_some(())?;
    page.get("endCursor")?.as_str()
}
