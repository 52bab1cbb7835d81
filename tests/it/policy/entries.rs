//! Every way in: how it is asked for, and what it is.

use serde_json::{Value, json};

use super::{RUN, World, schema_entries};
use crate::smoke::run_event;

/// One way in: the thing it reaches, the operation that it is, and how it is asked for.
pub struct Entry {
    /// `Query.<field>`, `Mutation.<field>`, `Subscription.<field>`, `_Entity.<type>` or a route.
    pub reaches: &'static str,
    pub operation: &'static str,
    pub document: &'static str,
    pub variables: fn(&World) -> Value,
}

pub const fn entry(
    reaches: &'static str,
    operation: &'static str,
    document: &'static str,
    variables: fn(&World) -> Value,
) -> Entry {
    Entry { reaches, operation, document, variables }
}

pub const ENTITIES: &str = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";

/// Every way in.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter().chain(schema_entries::ENTRIES)
}

/// Every way in but to schemas. A root field, an entity or a route that is not here fails
/// `every_way_in_is_in_the_list`.
const ENTRIES: &[Entry] = &[
    entry(
        "Subscription.freshnessChanged",
        "freshness.read",
        "subscription { freshnessChanged { status } }",
        |_| json!({}),
    ),
    entry("Subscription.runEvents", "run.read", "subscription { runEvents { runId } }", |_| {
        json!({})
    }),
    entry("Subscription.breaches", "breach.read", "subscription { breaches { type } }", |_| {
        json!({})
    }),
    entry("Query.me", "me", "{ me { role } }", |_| json!({})),
    entry("Query.__schema", "schema", "{ __schema { queryType { name } } }", |_| json!({})),
    entry("Query.__type", "schema", "{ __type(name: \"Dataset\") { name } }", |_| json!({})),
    entry("Query._service", "service", "{ _service { sdl } }", |_| json!({})),
    entry(
        "Query.dataset",
        "dataset.read",
        "query($id: ID!) { dataset(id: $id) { name } }",
        |world| json!({ "id": world.kept }),
    ),
    entry(
        "Query.datasetByUrn",
        "dataset.read",
        "{ datasetByUrn(urn: \"urn:drr:dataset:acme:warehouse:kept\") { name } }",
        |_| json!({}),
    ),
    entry("Query.datasets", "dataset.read", "{ datasets { nodes { name } } }", |_| json!({})),
    entry("Query.freshnessSummary", "freshness.read", "{ freshnessSummary { total } }", |_| {
        json!({})
    }),
    entry(
        "Query.freshnessPolicies",
        "freshness.read",
        "{ freshnessPolicies { nodes { id } } }",
        |_| json!({}),
    ),
    entry("Query.freshnessCalendars", "freshness.read", "{ freshnessCalendars { name } }", |_| {
        json!({})
    }),
    entry(
        "Query.auditEvent",
        "audit.read",
        "query($id: ID!) { auditEvent(id: $id) { action } }",
        |world| json!({ "id": world.event }),
    ),
    entry("Query.auditEvents", "audit.read", "{ auditEvents { nodes { action } } }", |_| json!({})),
    entry("Query.evidence", "evidence.read", "{ evidence { size } }", |_| json!({})),
    entry(
        "Query.breach",
        "breach.read",
        "query($id: ID!) { breach(id: $id) { state } }",
        |world| json!({ "id": world.breach }),
    ),
    entry("Query.breaches", "breach.read", "{ breaches { nodes { state } } }", |_| json!({})),
    entry("Query.freshnessEvents", "breach.read", "{ freshnessEvents { nodes { type } } }", |_| {
        json!({})
    }),
    entry(
        "_Entity.Breach",
        "breach.read",
        ENTITIES,
        |world| json!({ "r": [{ "__typename": "Breach", "id": world.breach }] }),
    ),
    entry(
        "Mutation.acknowledgeBreach",
        "breach.acknowledge",
        "mutation($id: ID!) { acknowledgeBreach(input: { breachId: $id }) { status } }",
        |world| json!({ "id": world.breach }),
    ),
    entry(
        "Mutation.muteFreshness",
        "mute",
        "mutation($id: ID!, $u: DateTime!) { muteFreshness(input: { datasetId: $id, until: $u, reason: \"r\" }) { status } }",
        |world| json!({ "id": world.kept, "u": world.soon }),
    ),
    entry(
        "Mutation.unmuteFreshness",
        "mute",
        "mutation($id: ID!) { unmuteFreshness(input: { datasetId: $id }) { status } }",
        |world| json!({ "id": world.kept }),
    ),
    entry(
        "Query.run",
        "run.read",
        "query($id: ID!) { run(id: $id) { state } }",
        |_| json!({ "id": RUN }),
    ),
    entry(
        "_Entity.Dataset",
        "dataset.read",
        ENTITIES,
        |world| json!({ "r": [{ "__typename": "Dataset", "id": world.kept }] }),
    ),
    entry(
        "_Entity.Dataset",
        "dataset.read",
        ENTITIES,
        |_| json!({ "r": [{ "__typename": "Dataset", "namespace": "warehouse", "name": "kept" }] }),
    ),
    entry(
        "_Entity.RefreshRun",
        "run.read",
        ENTITIES,
        |_| json!({ "r": [{ "__typename": "RefreshRun", "id": RUN }] }),
    ),
    entry(
        "Mutation.registerDataset",
        "dataset.register",
        "mutation { registerDataset(input: { namespace: \"n\", name: \"made\" }) { status } }",
        |_| json!({}),
    ),
    entry(
        "Mutation.updateDataset",
        "dataset.update",
        "mutation($id: ID!) { updateDataset(input: { id: $id, tags: [\"t\"] }) { status } }",
        |world| json!({ "id": world.kept }),
    ),
    entry(
        "Mutation.retireDataset",
        "dataset.retire",
        "mutation($id: ID!) { retireDataset(input: { id: $id }) { status } }",
        |world| json!({ "id": world.retired }),
    ),
    entry(
        "Mutation.setFreshnessPolicy",
        "policy.set",
        "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 60 } }) { status } }",
        |world| json!({ "id": world.kept }),
    ),
    entry(
        "Mutation.setFreshnessPolicyForSelector",
        "policy.select",
        "mutation { setFreshnessPolicyForSelector(input: { selector: { domain: \"d\" }, maxAge: { failAfterSeconds: 60 } }) { status } }",
        |_| json!({}),
    ),
    // What it needs is set before, since whoever may remove may set, and stays for the others.
    entry(
        "Mutation.removeFreshnessPolicy",
        "policy.remove",
        "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 60 } }) { status } removeFreshnessPolicy(input: { datasetId: $id, expectedVersion: -1 }) { status } }",
        |world| json!({ "id": world.kept }),
    ),
    entry(
        "Mutation.setFreshnessCalendar",
        "calendar.set",
        "mutation { setFreshnessCalendar(input: { name: \"c\", dates: [] }) { status } }",
        |_| json!({}),
    ),
    entry(
        "Mutation.removeFreshnessCalendar",
        "calendar.remove",
        "mutation { setFreshnessCalendar(input: { name: \"d\", dates: [] }) { status } removeFreshnessCalendar(input: { name: \"d\", expectedVersion: -1 }) { status } }",
        |_| json!({}),
    ),
    entry(
        "Mutation.recordRunEvents",
        "events.record",
        "mutation($e: [RunEventInput!]!) { recordRunEvents(input: { events: $e }) { results { status } } }",
        |_| json!({ "e": [{ "runId": RUN, "job": { "namespace": "jobs", "name": "load" }, "eventType": "START", "eventTime": "2026-11-01T00:00:00Z" }] }),
    ),
    entry("/api/v1/lineage", "lineage", "", |_| {
        run_event("START", "2026-11-01T00:00:00Z", RUN, "kept")
    }),
    entry("/api/v1/imports/dbt-sources", "dbt.import", "?namespace=warehouse", |_| {
        crate::rest::dbt::file(&json!([crate::rest::dbt::result("kept", "pass", 1)]))
    }),
    entry("/storage/v1/openapi.json", "schema", "", |_| Value::Null),
    entry("/storage/v1/datasets", "dataset.read", "", |_| Value::Null),
    entry("/storage/v1/datasets/{id}", "dataset.read", "", |_| Value::Null),
    entry("/storage/v1/datasets/{id}/freshness", "freshness.read", "", |_| Value::Null),
    entry("/storage/v1/datasets/{id}/runs", "run.read", "", |_| Value::Null),
    entry("/storage/v1/datasets/{id}/breaches", "breach.read", "", |_| Value::Null),
    entry("/storage/v1/audit/events/{id}/evidence", "evidence.read", "", |_| Value::Null),
    entry("/storage/v1/evidence", "evidence.read", "", |_| Value::Null),
    entry("/storage/v1/evidence/inclusion-proof", "evidence.read", "?leafIndex=0", |_| Value::Null),
    entry("/storage/v1/evidence/consistency-proof", "evidence.read", "?from=1", |_| Value::Null),
    entry("/evidence/v1/{tenant}/{*file}", "evidence.read", "", |_| Value::Null),
    entry("/storage/v1/audit/events", "audit.read", "", |_| Value::Null),
    entry("/storage/v1/audit/events/{id}", "audit.read", "", |_| Value::Null),
    entry(
        "/storage-internal/v1/datasets/{id}/refresh-state",
        "events.record",
        "",
        |_| json!({ "state": "START", "eventTime": "2026-11-01T00:00:00Z" }),
    ),
];
