//! What is reported, on the internal listener alone.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, KnownFormat, Paths, Ref, RefOr, Required, ResponseBuilder,
        Schema, SchemaFormat,
        path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Type},
    },
};

use super::{
    super::{
        super::{dbt_sources, lineage},
        BrokenResource, Rest,
        refresh_state::{self, RefreshStateReport, RefreshStateReported},
        resource::A_DATASET,
    },
    REPORTING, add, bodies, component, outgoing,
};

/// What any report may come to.
const STATUSES: [u16; 9] = [400, 401, 403, 408, 409, 413, 415, 500, 503];

/// Describes every route that takes something in.
pub(super) fn describe(
    paths: &mut Paths,
    components: &mut Components,
    rest: &Rest,
) -> Result<(), BrokenResource> {
    let document = refresh_state::document()?;
    bodies::fragment("RefreshState", &document, &rest.graph, components)?;
    component(components, "RunEvent", run_event());
    let path = "/storage-internal/v1/datasets/{id}/refresh-state";
    add(paths, path, HttpMethod::Post, refresh_state(components));
    add(paths, "/api/v1/lineage", HttpMethod::Post, lineage(components));
    add(paths, "/api/v1/imports/dbt-sources", HttpMethod::Post, import(components));
    Ok(())
}

/// Puts a type of ours among the components, with those that it refers to.
fn own<T: ToSchema + PartialSchema>(components: &mut Components) -> RefOr<Schema> {
    let mut others = Vec::new();
    T::schemas(&mut others);
    for (name, schema) in others {
        component(components, &name, schema);
    }
    component(components, &T::name(), T::schema());
    Ref::from_schema_name(T::name()).into()
}

fn incoming(name: &str, summary: &str, text: &str, body: RefOr<Schema>) -> OperationBuilder {
    let content = ContentBuilder::new().schema(Some(body)).build();
    let body = RequestBodyBuilder::new()
        .description(Some("JSON, gzip too."))
        .required(Some(Required::True))
        .content("application/json", content);
    let mut operation = OperationBuilder::new()
        .operation_id(Some(name))
        .summary(Some(summary))
        .description(Some(text))
        .tag(REPORTING)
        .request_body(Some(body.build()));
    for status in STATUSES {
        operation = operation.response(status.to_string(), outgoing::problem(status));
    }
    operation
}

fn answered(
    operation: OperationBuilder,
    status: &str,
    description: &str,
    body: RefOr<Schema>,
) -> OperationBuilder {
    let content = ContentBuilder::new().schema(Some(body)).build();
    let response =
        ResponseBuilder::new().description(description).content("application/json", content);
    operation.response(status, outgoing::correlated(response).build())
}

fn refresh_state(components: &mut Components) -> OperationBuilder {
    let body = own::<RefreshStateReport>(components);
    let text = "Recorded like an OpenLineage event: order and repetition do not matter, and what is \
                answered follows from all that is known.";
    let operation = incoming("reportRefreshState", "What became of a dataset", text, body)
        .parameter(outgoing::identifier(A_DATASET))
        .parameter(key())
        .response("404", outgoing::problem(404))
        .response("422", outgoing::problem(422));
    let answer = own::<RefreshStateReported>(components);
    answered(operation, "200", "The refresh state of the dataset as it now is.", answer)
}

fn key() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[\\x21-\\x7e]+$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some("The caller's own name for what it does: a repetition has the same."))
        .schema(Some(schema))
        .build()
}

fn lineage(components: &mut Components) -> OperationBuilder {
    let event = Ref::from_schema_name("RunEvent");
    let batch = ArrayBuilder::new()
        .items(event.clone())
        .description(Some("Several events, in any order; 1,000 at the most."));
    let body = OneOfBuilder::new().item(event).item(batch).build();
    let text = "One event or several, as OpenLineage has them: run, job and dataset events. What is \
                wrong with one of them takes no other with it. A dataset that is not known yet is \
                registered.";
    let operation =
        incoming("ingestLineage", "OpenLineage events", text, Schema::OneOf(body).into());
    let report = own::<lineage::Report>(components);
    let operation = answered(operation, "201", "All events stand.", report.clone());
    answered(operation, "207", "Some events stand; the others are listed with reasons.", report)
}

/// The part of an OpenLineage event that this service requires; the specification has all of it.
fn run_event() -> Schema {
    let text = |description: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(description))
    };
    let named = |description: &str| {
        ObjectBuilder::new()
            .description(Some(description))
            .property("namespace", text("Where it lives."))
            .property("name", text("Its name there."))
            .required("namespace")
            .required("name")
    };
    let at =
        text("When it happened.").format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let run = ObjectBuilder::new()
        .description(Some("The run that it happened to."))
        .property(
            "runId",
            text("A UUID that its producer chose.")
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))),
        )
        .required("runId");
    let datasets = |description: &str| {
        ArrayBuilder::new().items(named("A dataset.")).description(Some(description))
    };
    let states = ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"];
    ObjectBuilder::new()
        .description(Some(
            "An event of OpenLineage 2-0-2; this is the part of a run event that is required here.",
        ))
        .property("eventType", text("What happened.").enum_values(Some(states)))
        .property("eventTime", at)
        .property("run", run)
        .property("job", named("The job that it is a run of."))
        .property("inputs", datasets("What the run reads."))
        .property("outputs", datasets("What the run writes."))
        .required("eventTime")
        .required("run")
        .required("job")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build()
        .into()
}

fn import(components: &mut Components) -> OperationBuilder {
    let file = ObjectBuilder::new()
        .description(Some("dbt's `sources.json`, version 3 of its schema."))
        .property(
            "metadata",
            ObjectBuilder::new().description(Some("When and by what it was made.")),
        )
        .property(
            "results",
            ArrayBuilder::new()
                .items(ObjectBuilder::new().description(Some("What was found of one source.")))
                .description(Some("What was found; 10,000 at the most.")),
        )
        .required("metadata")
        .required("results")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build();
    let text = "Each result is a completed run of `dbt source freshness` at its `max_loaded_at`, on \
                the dataset `<source>.<table>` of the namespace, and dbt's own verdict, kept beside \
                ours. A file that is sent again changes nothing.";
    let namespace = ParameterBuilder::new()
        .name("namespace")
        .parameter_in(ParameterIn::Query)
        .required(Required::True)
        .description(Some("Where the datasets live."))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(512)),
        ))
        .build();
    let schema = Schema::Object(file);
    let operation =
        incoming("importDbtSources", "What dbt found of its sources", text, schema.into())
            .parameter(namespace);
    let report = own::<dbt_sources::Report>(components);
    let operation = answered(operation, "200", "All results stand.", report.clone());
    answered(operation, "207", "Some results stand; the others are listed with reasons.", report)
}
