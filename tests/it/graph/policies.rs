//! Freshness policies: what is refused, and versions.

use drr::auth::policy::{Role, Scope};
use serde_json::{Value, json};

use super::{Audited, Graph};
use crate::{app::TestApp, cluster::run};

/// Names the field, writes nothing, and is audited.
#[test]
fn a_policy_that_makes_no_sense_is_refused_and_leaves_nothing_but_its_audit_event() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        for (limits, field) in [
            (json!({}), "maxAge"),
            (json!({ "warnAfterSeconds": null }), "maxAge"),
            (json!({ "warnAfterSeconds": 60, "failAfterSeconds": 60 }), "maxAge"),
            (json!({ "warnAfterSeconds": 61, "failAfterSeconds": 60 }), "maxAge"),
            (json!({ "warnAfterSeconds": 0 }), "warnAfterSeconds"),
            (json!({ "warnAfterSeconds": -1, "failAfterSeconds": 60 }), "warnAfterSeconds"),
            (json!({ "failAfterSeconds": 0 }), "failAfterSeconds"),
            (json!({ "failAfterSeconds": 315_576_001 }), "failAfterSeconds"),
            (json!({ "failAfterSeconds": i32::MAX }), "failAfterSeconds"),
        ] {
            let before = graph.audit().await.len();
            let input = json!({ "datasetId": id, "maxAge": limits });
            let (code, message) = graph.refused("setFreshnessPolicy", input).await;
            assert_eq!(code, "BAD_USER_INPUT", "{limits}");
            assert!(message.starts_with(&format!("{field}: ")), "{limits}: {message}");
            let refused =
                Audited::new("freshness_policy.set", Some(&id), "REJECTED", Some("BAD_USER_INPUT"));
            assert_eq!(graph.audited_since(before).await, [refused], "{limits}");
        }
        let policy = "query($id: ID!) { dataset(id: $id) { freshnessPolicy { version } } }";
        let data = graph.read(policy, json!({ "id": id })).await;
        assert_eq!(data["dataset"]["freshnessPolicy"], Value::Null);
        for limits in [json!({ "warnAfterSeconds": 1 }), json!({ "failAfterSeconds": 315_576_000 })]
        {
            graph.set_policy(&id, limits).await;
        }
    });
}

#[test]
fn versions_count_up_and_guard_against_a_lost_update() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        for (expected, status, version) in [
            (json!(1), "VERSION_CONFLICT", Value::Null),
            (json!(0), "SET", json!(1)),
            (json!(0), "VERSION_CONFLICT", json!(1)),
            (json!(1), "SET", json!(2)),
            (json!(-1), "VERSION_CONFLICT", json!(2)),
            (Value::Null, "SET", json!(3)),
        ] {
            let before = graph.audit().await.len();
            let limits = json!({ "failAfterSeconds": 60 });
            let input = json!({ "datasetId": id, "maxAge": limits, "expectedVersion": expected });
            let selection = "status dataset { freshnessPolicy { version } }";
            let payload = graph.done("setFreshnessPolicy", selection, input).await;
            assert_eq!(payload["status"], status, "{expected}");
            assert_eq!(payload["dataset"]["freshnessPolicy"]["version"], version, "{expected}");
            let (result, code) = match status {
                "SET" => ("SUCCESS", None),
                _ => ("REJECTED", Some("CONFLICT")),
            };
            let event = Audited::new("freshness_policy.set", Some(&id), result, code);
            assert_eq!(graph.audited_since(before).await, [event]);
        }
        graph.done("retireDataset", "status", json!({ "id": id })).await;
        let input = json!({ "datasetId": id, "maxAge": { "failAfterSeconds": 60 } });
        assert_eq!(graph.refused("setFreshnessPolicy", input).await.0, "CONFLICT");
    });
}

/// Whoever may change and not read is told that it is done, and shown nothing.
#[test]
fn who_may_not_read_may_still_set() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        let mut request = TestApp::request(super::TENANT, Role::TenantAdmin);
        request.scopes = std::iter::once(Scope::ManageRefresh).collect();
        let token = graph.app.sign(&request);
        let query = "mutation($id: ID!) {
          setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 60 } }) {
            status dataset { id } } }";
        let data = graph.app.data(&token, query, json!({ "id": id })).await;
        let expected = json!({ "status": "SET", "dataset": null });
        assert_eq!(data["setFreshnessPolicy"], expected);
    });
}
