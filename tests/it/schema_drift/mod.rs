//! Drift: what runs report of a dataset is not what its schema says.

mod accept;
mod found;
mod real;
mod runs;

use drr::{auth::policy::Role, clock::Clock, schema::drift::Compared};
use serde_json::{Value, json};

use crate::{
    graph::{Graph, TENANT, string, text},
    schema_events::{Registry, start as started},
};

pub const DATASET: &str = "orders";
pub const SCHEMA: &str = "tenant.acme.sales.Order";

pub async fn start() -> Graph {
    started(|_| ()).await
}

pub async fn pass(graph: &Graph) -> Compared {
    graph.app.schemas().drift.pass().await.unwrap()
}

/// So many datasets were compared, so many began to differ, so many do not any more.
pub const fn compared(datasets: u64, found: u64, resolved: u64) -> Compared {
    Compared { datasets, found, resolved }
}

/// A run that ends well and reports these fields of a dataset, a second after the last one; answers its id.
pub async fn report(graph: &Graph, dataset: &str, fields: &[(&str, &str)]) -> String {
    graph.clock.advance(chrono::TimeDelta::seconds(1));
    let fields: Vec<Value> =
        fields.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
    let id = graph.clock.new_id().to_string();
    let event = json!({
        "eventType": "COMPLETE", "eventTime": text(graph.now()), "producer": "https://producer.example",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": { "runId": id }, "job": { "namespace": "jobs", "name": "load" },
        "outputs": [{ "namespace": "warehouse", "name": dataset, "facets": { "schema": {
            "_producer": "https://producer.example",
            "_schemaURL": "https://openlineage.io/spec/facets/1-1-1/SchemaDatasetFacet.json",
            "fields": fields,
        } } }],
    });
    let writer = graph.app.token(TENANT, Role::RuntimeWriter);
    let (status, answer) = graph.app.lineage(&writer, &event).await;
    assert_eq!(status, 201, "{answer:#}");
    id
}

/// The one dataset that there is, with these fields.
pub async fn dataset(graph: &Graph, fields: &str) -> Value {
    let query = format!("{{ datasets {{ nodes {{ id name {fields} }} }} }}");
    let mut data = graph.app.data(&graph.token(Role::TenantAdmin), &query, json!({})).await;
    let found = data["datasets"]["nodes"][0].take();
    assert_eq!(found["name"], DATASET);
    found
}

pub async fn bind(graph: &Graph, id: &str, fqid: Option<&str>) {
    let document = "mutation($i: ID!, $f: String, $c: Boolean!) {
        updateDataset(input: { id: $i, schemaFqid: $f, clearSchemaFqid: $c }) { status } }";
    let variables = json!({ "i": id, "f": fqid, "c": fqid.is_none() });
    let data = graph.app.data(&graph.token(Role::TenantAdmin), document, variables).await;
    assert_eq!(data["updateDataset"]["status"], "UPDATED", "{data:#}");
}

pub async fn accept(graph: &Graph, id: &str, fqid: Option<&str>) -> Value {
    let document = "mutation($i: ID!, $f: String) {
        acceptSchemaDrift(input: { datasetId: $i, schemaFqid: $f }) {
            status refused message version { id number state } transition { id status } } }";
    let variables = json!({ "i": id, "f": fqid });
    let mut data = Registry::new(graph).ask(Role::SchemaAdmin, document, variables).await;
    data["acceptSchemaDrift"].take()
}

/// Accepts what is reported, and has it approved; answers the version's number.
pub async fn accepted(graph: &Graph, id: &str, fqid: Option<&str>) -> Value {
    let done = accept(graph, id, fqid).await;
    assert_eq!(done["status"], "PROPOSED", "{done:#}");
    let refused = Registry::new(graph).approve(string(&done["transition"]["id"])).await;
    assert_eq!(refused, None, "{done:#}");
    done["version"]["number"].clone()
}
