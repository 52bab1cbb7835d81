//! What lies outside of the database is checked at every read. // S4, S18

use serde_json::json;

use super::{Desk, TENANT, record};
use crate::{app::TestApp, cluster::run};

#[test]
fn a_content_that_is_not_what_it_was_is_not_shown() {
    run(async {
        // Nothing is known but what is in the store.
        let app = TestApp::with(|assembly| assembly.cache.bytes = 0).await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register("tenant.acme.sales.Order", "AVRO").await;
        desk.active(&schema, &record("Order", &["a"]), json!([])).await;
        let other = desk.register("tenant.acme.sales.Other", "AVRO").await;
        desk.active(&other, &record("Other", &["b"]), json!([])).await;
        let read = "query { schemaVersion(name: \"tenant.acme.sales.Order@1\") { content } }";
        let objects = app.objects.list("schemas/tenant-acme/sales/Order").await.unwrap();
        let others = app.objects.list("schemas/tenant-acme/sales/Other").await.unwrap();
        let (name, whole) = (&objects[0], app.objects.get(&objects[0]).await.unwrap().unwrap());
        let another = app.objects.get(&others[0]).await.unwrap().unwrap();
        let mut altered = whole.to_vec();
        *altered.last_mut().unwrap() ^= 1;
        for wrong in [altered, another.to_vec(), Vec::new(), whole[..20].to_vec()] {
            app.objects.put(name, wrong.into()).await.unwrap();
            assert_eq!(app.code(&desk.author, read, json!({})).await, "INTERNAL");
        }
        app.objects.delete(name).await.unwrap();
        assert_eq!(app.code(&desk.author, read, json!({})).await, "INTERNAL");
        app.objects.put(name, whole).await.unwrap();
        let shown = app.data(&desk.author, read, json!({})).await;
        assert!(shown["schemaVersion"]["content"].is_string());
        app.stop().await;
    });
}

#[test]
fn what_was_tampered_with_is_not_approved_and_can_be_taken_out_of_use() {
    run(async {
        let app = TestApp::with(|assembly| assembly.cache.bytes = 0).await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register("tenant.acme.sales.Order", "AVRO").await;
        let first = desk.active(&schema, &record("Order", &["a"]), json!([])).await;
        let second = desk.draft(&schema, &record("Order", &["a", "b"]), json!([])).await;
        let asked = desk.propose(&second, "ACTIVATE").await;
        for object in app.objects.list("schemas/tenant-acme").await.unwrap() {
            app.objects.delete(&object).await.unwrap();
        }
        let approve = "mutation($id: ID!) { approveSchemaTransition(input: { id: $id, overrideReason: \"r\" }) { refused } }";
        let answer = app.code(&desk.approver, approve, json!({ "id": asked })).await;
        assert_eq!(answer, "INTERNAL");
        // Who takes it back or refuses it need not know how it compares.
        desk.decide(&desk.author, "withdrawSchemaTransition", &asked, "").await.unwrap();
        let propose = "mutation($v: ID!) { proposeSchemaTransition(input: { versionId: $v, kind: ACTIVATE }) { refused } }";
        assert_eq!(app.code(&desk.author, propose, json!({ "v": second })).await, "INTERNAL");
        for (kind, state) in [("DEPRECATE", "DEPRECATED"), ("RETIRE", "RETIRED")] {
            let refused = desk.propose(&first, kind).await;
            let reason = ", reason: \"not yet\"";
            let mutation = "rejectSchemaTransition";
            let rejected = desk.decide(&desk.approver, mutation, &refused, reason).await.unwrap();
            assert_eq!(rejected["status"], "REJECTED");
            assert_eq!(rejected["decidedVerdict"], json!(null));
            let asked = desk.ask(&first, kind, "").await.unwrap();
            assert_eq!(asked["verdict"], "UNKNOWN", "{asked:#}");
            assert_eq!(asked["findings"][0]["rule"], "CONTENT_UNREADABLE", "{asked:#}");
            let approved = desk.approve(asked["id"].as_str().unwrap()).await.unwrap();
            assert_eq!(approved["version"]["state"], state);
        }
        app.stop().await;
    });
}
