//! The shortest way through the whole house.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use crate::{app::TestApp, cluster::run};

pub fn run_event(kind: &str, time: &str, run: &str, output: &str) -> Value {
    json!({
        "eventType": kind, "eventTime": time, "producer": "https://producer.example",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": { "runId": run }, "job": { "namespace": "jobs", "name": "load" },
        "outputs": [{ "namespace": "warehouse", "name": output }],
    })
}

#[test]
fn a_reported_run_makes_a_dataset_that_its_tenant_alone_sees() {
    run(async {
        let app = TestApp::start().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let id = "0190a000-0000-7000-8000-000000000001";
        let event = run_event("COMPLETE", "2026-11-01T00:00:00Z", id, "orders");
        let (status, report) = app.lineage(&writer, &event).await;
        assert_eq!(status, 201, "{report:#}");

        let query = "{ datasets { nodes { name refreshState { status } } } }";
        let seen = app.data(&app.token("acme", Role::Reader), query, json!({})).await;
        assert_eq!(seen["datasets"]["nodes"][0]["refreshState"]["status"], "READY", "{seen:#}");
        let foreign = app.data(&app.token("globex", Role::Reader), query, json!({})).await;
        assert_eq!(foreign["datasets"]["nodes"], json!([]));
        app.stop().await;
    });
}
