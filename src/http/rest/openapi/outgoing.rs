//! What is read, and how anything may fail.

use axum::http::StatusCode;
use serde_json::json;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, KnownFormat, License, LicenseBuilder, Ref,
    RefOr, Required, Response, ResponseBuilder, Schema, SchemaFormat,
    path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    schema::{ArrayBuilder, ObjectBuilder, Type},
};

use super::{
    super::{
        graph::Shape,
        parameters::Expected,
        resource::{Prepared, Thing},
    },
    READING,
};

/// What is wrong, by status; each is a response by the name of its status.
const PROBLEMS: [(StatusCode, &str); 13] = [
    (
        StatusCode::BAD_REQUEST,
        "What was asked is malformed; `field` says where, if it is one place.",
    ),
    (StatusCode::UNAUTHORIZED, "There is no token, or none that is valid."),
    (StatusCode::FORBIDDEN, "The token is valid, and may not do this."),
    (StatusCode::NOT_FOUND, "There is no such thing, or it is another tenant's."),
    (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time."),
    (StatusCode::CONFLICT, "It contradicts what is stored, or is being done already."),
    (StatusCode::PAYLOAD_TOO_LARGE, "The body, or the number of things in it, is over a limit."),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON, or encoded as other than gzip."),
    (StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key came with another request before."),
    (StatusCode::INTERNAL_SERVER_ERROR, "A fault of this service."),
    (StatusCode::SERVICE_UNAVAILABLE, "A service behind this one does not answer; try again."),
    (StatusCode::GATEWAY_TIMEOUT, "Not done within the time that a request has."),
    (StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here; `Allow` says which are."),
];

/// The response for a status.
pub(super) fn problem(status: u16) -> RefOr<Response> {
    Ref::from_response_name(name(status)).into()
}

fn name(status: u16) -> String {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    status.canonical_reason().unwrap_or("Error").replace(' ', "")
}

/// The problem document, and a response of it for each status.
pub(super) fn problems(components: ComponentsBuilder) -> ComponentsBuilder {
    let text = |description: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(description))
    };
    let codes = crate::error::ErrorCode::ALL.map(crate::error::ErrorCode::as_str);
    let status = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .description(Some("The status of the answer."));
    let schema = ObjectBuilder::new()
        .description(Some("What went wrong (RFC 9457)."))
        .property("type", text("Always `about:blank`: the code tells."))
        .property("title", text("The name of the status."))
        .property("status", status)
        .property("detail", text("What went wrong, in a sentence for a person."))
        .property("code", text("What went wrong, for programs.").enum_values(Some(codes)))
        .property("correlation_id", text("The name of the request in logs and in the audit trail."))
        .property("field", text("Where in the request, as a dotted path, if it is one place."))
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .required("code")
        .required("correlation_id");
    let mut components = components.schema("Problem", schema);
    for (status, description) in PROBLEMS {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let mut response = ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", content);
        response = correlated(response);
        if status == StatusCode::UNAUTHORIZED {
            let header = header("The way to authenticate (RFC 6750).");
            response = response.header("WWW-Authenticate", header);
        }
        components = components.response(name(status.as_u16()), response.build());
    }
    components
}

fn header(description: &str) -> utoipa::openapi::Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(text).description(Some(description)).build()
}

/// With the header that every answer has.
pub(super) fn correlated(response: ResponseBuilder) -> ResponseBuilder {
    response.header(
        "X-Correlation-ID",
        header("The name of the request in logs and in the audit trail."),
    )
}

fn tagged(response: ResponseBuilder) -> ResponseBuilder {
    correlated(response)
        .header("ETag", header("Stands for the content; for `If-None-Match`."))
        .header("Cache-Control", header("`private, no-cache`"))
        .header("Vary", header("`authorization`"))
}

fn parameter(name: &str, place: ParameterIn, description: &str) -> ParameterBuilder {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
}

/// What every read takes besides its own parameters.
fn conditions() -> [Parameter; 2] {
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    [
        parameter("If-None-Match", ParameterIn::Header, "Tags of content that the caller has.")
            .schema(Some(text()))
            .build(),
        parameter(
            "X-Correlation-ID",
            ParameterIn::Header,
            "The caller's own name for the request; another one is made if it is not \
             `[A-Za-z0-9._-]{1,128}`.",
        )
        .schema(Some(text()))
        .build(),
    ]
}

/// What a path names.
pub(super) fn identifier(thing: Thing) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let example = json!("0190b1d2-7d5a-7000-8000-000000000001");
    parameter("id", ParameterIn::Path, thing.named)
        .schema(Some(schema.build()))
        .example(Some(example))
        .build()
}

fn of_query(expected: &Expected) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let schema: RefOr<Schema> = match &expected.shape {
        // The longest filter; a cursor may be longer.
        Shape::Text if expected.name == "after" => text.build().into(),
        Shape::Text => {
            text.max_length(Some(256)).pattern(Some("^[^\\x00-\\x1f\\x7f-\\x9f]*$")).build().into()
        }
        Shape::Instant => {
            text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).build().into()
        }
        Shape::Integer => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(0))
            .maximum(Some(crate::graphql::connection::MAX_PAGE as usize))
            .build()
            .into(),
        Shape::BigInteger => text.pattern(Some("^[0-9]{1,18}$")).build().into(),
        Shape::OneOf { name, .. } => Ref::from_schema_name(name).into(),
        Shape::SomeOf { name, .. } => {
            ArrayBuilder::new().items(Ref::from_schema_name(name)).build().into()
        }
    };
    let repeats = matches!(expected.shape, Shape::SomeOf { .. });
    let required = if expected.is_required { Required::True } else { Required::False };
    parameter(expected.name, ParameterIn::Query, &expected.description)
        .required(required)
        .schema(Some(schema))
        .explode(repeats.then_some(true))
        .build()
}

/// A resource that is read.
pub(super) fn operation(prepared: &Prepared, body: RefOr<Schema>) -> OperationBuilder {
    let resource = prepared.resource;
    let mut operation = OperationBuilder::new()
        .operation_id(Some(resource.name))
        .summary(Some(resource.summary))
        .description(Some(resource.description))
        .tag(READING);
    let mut statuses = vec![400, 401, 403, 500, 503];
    if resource.path.contains("{id}") {
        operation = operation.parameter(identifier(resource.thing));
    }
    if resource.may_be_missing() {
        statuses.push(404);
    }
    for expected in &prepared.parameters {
        operation = operation.parameter(of_query(expected));
    }
    let content = ContentBuilder::new().schema(Some(body)).build();
    let mut found = tagged(
        ResponseBuilder::new().description(resource.summary).content("application/json", content),
    );
    if prepared.parameters.iter().any(|expected| expected.name == "after") {
        let link = "The next page, with `rel=\"next\"`, while there is one (RFC 8288).";
        found = found.header("Link", header(link));
    }
    finish(operation, found, &statuses)
}

/// The OpenAPI document itself.
pub(super) fn own() -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("getOpenApi"))
        .summary(Some("This document"))
        .description(Some("What this listener has, to everybody with a valid token."))
        .tag(READING);
    let object = ObjectBuilder::new().description(Some("An OpenAPI 3.1 document.")).build();
    let content = ContentBuilder::new().schema(Some(object)).build();
    let found =
        ResponseBuilder::new().description("This document").content("application/json", content);
    finish(operation, tagged(found), &[400, 401, 403, 500, 503])
}

fn finish(
    mut operation: OperationBuilder,
    found: ResponseBuilder,
    statuses: &[u16],
) -> OperationBuilder {
    for condition in conditions() {
        operation = operation.parameter(condition);
    }
    let known = ResponseBuilder::new().description("The caller has it already.");
    operation = operation.response("200", found.build()).response("304", tagged(known).build());
    for status in statuses {
        operation = operation.response(status.to_string(), problem(*status));
    }
    operation
}

/// The licence of this program.
pub(super) fn license() -> License {
    LicenseBuilder::new()
        .name(env!("CARGO_PKG_LICENSE"))
        .identifier(Some(env!("CARGO_PKG_LICENSE")))
        .build()
}
