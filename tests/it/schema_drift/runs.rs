//! A run knows the version that it was written with.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{DATASET, SCHEMA, accepted, bind, dataset, report, start};
use crate::{
    cluster::run,
    graph::{Graph, string},
};

async fn versions(graph: &Graph) -> Vec<Value> {
    let dataset =
        dataset(graph, "runs { nodes { schemaVersion { number schema { fqid } } } }").await;
    let nodes = dataset["runs"]["nodes"].as_array().unwrap();
    nodes.iter().rev().map(|node| node["schemaVersion"]["number"].clone()).collect()
}

#[test]
fn a_run_keeps_the_version_that_its_dataset_was_bound_to_when_it_was_recorded() {
    run(async {
        let graph = start().await;
        report(&graph, DATASET, &[("id", "bigint")]).await;
        let id = dataset(&graph, "").await;
        let id = string(&id["id"]).to_owned();
        accepted(&graph, &id, Some(SCHEMA)).await;
        bind(&graph, &id, Some(SCHEMA)).await;
        report(&graph, DATASET, &[("id", "bigint"), ("more", "text")]).await;
        assert_eq!(accepted(&graph, &id, None).await, 2);
        let last = report(&graph, DATASET, &[("id", "bigint"), ("more", "text")]).await;
        bind(&graph, &id, Some(&format!("{SCHEMA}@1"))).await;
        report(&graph, DATASET, &[("id", "bigint")]).await;
        assert_eq!(versions(&graph).await, [Value::Null, json!(1), json!(2), json!(1)]);
        // What else is said of a run does not change it.
        let event = json!({
            "eventType": "START", "eventTime": crate::graph::text(graph.ago(60)), "producer": "https://producer.example",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": { "runId": last }, "job": { "namespace": "jobs", "name": "load" },
            "outputs": [{ "namespace": "warehouse", "name": DATASET }],
        });
        let (status, answer) = graph.app.lineage(&graph.token(Role::RuntimeWriter), &event).await;
        assert_eq!(status, 201, "{answer:#}");
        let mut seen = versions(&graph).await;
        seen.sort_by_key(Value::to_string);
        assert_eq!(seen, [json!(1), json!(1), json!(2), Value::Null]);
        // And a version knows the runs.
        let runs =
            "query($n: String!) { schemaVersion(name: $n) { runs { runId dataset { name } } } }";
        for (number, count) in [(1, 2), (2, 1), (3, 0)] {
            let name = json!({ "n": format!("{SCHEMA}@{number}") });
            let told = graph.app.data(&graph.token(Role::TenantAdmin), runs, name).await;
            let told = told["schemaVersion"]["runs"].as_array().map_or(0, Vec::len);
            assert_eq!(told, count, "{number}");
        }
    });
}
