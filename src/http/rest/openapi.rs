//! The OpenAPI 3.1 document of a listener, made when the program starts.
//!
//! What is read is described by the graph: parameters are arguments, bodies are selections, and both
//! bring their types and descriptions along ([`bodies`]). What is sent in is described beside its
//! reader. It tells what there is, so it wants a token like everything else does.

use std::sync::Arc;

use axum::{
    extract::State,
    http::request::Parts,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Tag,
    path::{HttpMethod, OperationBuilder},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use super::{
    super::{ListenerKind, Problem, RequestContext},
    BrokenResource, Operation, RESOURCES, Rest, conditional, parameters,
    resource::Prepared,
};

mod bodies;
mod incoming;
mod outgoing;

/// The name of the one way to authenticate.
const BEARER: &str = "bearer";
/// What is read.
const READING: &str = "Reading";
/// What is reported.
const REPORTING: &str = "Reporting";

/// The document of one listener.
#[derive(Clone)]
pub(super) struct Description {
    rest: Rest,
    document: Arc<Value>,
}

impl Description {
    /// Describes what `listener` has.
    pub fn new(rest: &Rest, listener: ListenerKind) -> Result<Self, BrokenResource> {
        let document = document(rest, listener)?;
        let document = serde_json::to_value(document);
        let document = document.map_err(|error| BrokenResource(error.to_string()))?;
        Ok(Self { rest: rest.clone(), document: Arc::new(document) })
    }
}

/// `GET /storage/v1/openapi.json`.
pub(super) async fn show(
    State(description): State<Description>,
    context: RequestContext,
    parts: Parts,
) -> Response {
    let answer = answer(&description, &context, &parts).await;
    conditional::private(answer.unwrap_or_else(IntoResponse::into_response))
}

async fn answer(
    description: &Description,
    context: &RequestContext,
    parts: &Parts,
) -> Result<Response, Problem> {
    let call = description.rest.call(context, &parts.headers).await?;
    tracing::Span::current().record("operation", Operation::SchemaIntrospect.as_str());
    call.authorize(Operation::SchemaIntrospect)?;
    parameters::parse(parts.uri.query().unwrap_or_default(), &[]).map_err(parameters::problem)?;
    Ok(conditional::answer(&parts.headers, &description.document, &[], None))
}

fn document(rest: &Rest, listener: ListenerKind) -> Result<OpenApi, BrokenResource> {
    let mut components = outgoing::problems(ComponentsBuilder::new()).build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token of the platform, signed with RS256."))
        .build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    let mut paths = Paths::new();
    for resource in RESOURCES {
        let prepared = Prepared::new(resource, &rest.graph)?;
        let body = bodies::body(&prepared, &rest.graph, &mut components)?;
        for expected in &prepared.parameters {
            bodies::values(&expected.shape, &rest.graph, &mut components);
        }
        add(&mut paths, resource.path, HttpMethod::Get, outgoing::operation(&prepared, body));
    }
    add(&mut paths, "/storage/v1/openapi.json", HttpMethod::Get, outgoing::own());
    let mut tags = vec![tag(READING, "Datasets, their freshness and their runs.")];
    if listener == ListenerKind::Internal {
        incoming::describe(&mut paths, &mut components, rest)?;
        tags.push(tag(REPORTING, "What pipelines and other tools report. Services only."));
    }
    let info = InfoBuilder::new()
        .title("drr")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Dataset Refresh Registry: which datasets a tenant has, how each was last refreshed, and \
             whether it is fresh. The same as its GraphQL API, by the same rights and names. What is \
             missing and what belongs to another tenant look the same.",
        ))
        .license(Some(outgoing::license()));
    Ok(OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, [])]))
        .tags(Some(tags))
        .build())
}

fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

fn add(paths: &mut Paths, path: &str, method: HttpMethod, operation: OperationBuilder) {
    paths.add_path_operation(path, vec![method], operation.build());
}

/// Puts a schema among the components.
fn component<S>(components: &mut Components, name: &str, schema: S)
where
    S: Into<utoipa::openapi::RefOr<utoipa::openapi::Schema>>,
{
    components.schemas.entry(name.to_owned()).or_insert_with(|| schema.into());
}
