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
