//! Two tenants, and tokens that are for a part of one.

use drr::auth::policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Registry, SUBJECTS, avro, refusal};
use crate::{app::TestApp, cluster::run};

// S1, S2
#[test]
fn nobody_sees_what_another_tenant_has() {
    run(async {
        let registry = Registry::start().await;
        let (acme, globex) = (registry.author("acme"), registry.author("globex"));
        let fields = avro(&["id:long"]);
        let first = registry.register(&acme, "orders-value", fields.clone()).await;
        let more = avro(&["id:long", "note:string="]);
        let second = registry.register(&acme, "secret-value", more.clone()).await;
        // Numbers are each tenant's own.
        let theirs = avro(&["other:long"]);
        assert_eq!(registry.register(&globex, "orders-value", theirs.clone()).await, first);
        assert_eq!((registry.approve("acme").await, registry.approve("globex").await), (2, 1));
        assert_eq!(registry.get(&globex, SUBJECTS).await, (200, json!(["orders-value"])));
        let told = registry.get(&globex, &format!("/confluent/schemas/ids/{first}")).await;
        assert_eq!(told, (200, theirs.clone()));
        // Theirs and nobody's look the same, byte for byte.
        let whole = |path: &str, body: Option<Value>, method: Method| {
            let path = path.to_owned();
            let (registry, globex) = (&registry, &globex);
            async move {
                let response = registry.send(globex, method, &path, body).await;
                let status = response.status();
                (status, response.bytes().await.unwrap())
            }
        };
        let theirs_id = format!("/schemas/ids/{second}");
        for (theirs, nobodys, method, body) in [
            (
                "/subjects/secret-value/versions",
                "/subjects/nothing-value/versions",
                Method::GET,
                None,
            ),
            (
                "/subjects/tenant.acme.default.secret-value/versions",
                "/subjects/tenant.acme.default.nothing-value/versions",
                Method::GET,
                None,
            ),
            (
                "/subjects/secret-value/versions/1",
                "/subjects/nothing/versions/1",
                Method::GET,
                None,
            ),
            (&theirs_id, "/schemas/ids/999", Method::GET, None),
            ("/config/secret-value", "/config/nothing-value", Method::GET, None),
            ("/subjects/secret-value", "/subjects/nothing-value", Method::POST, Some(more.clone())),
            ("/subjects/secret-value", "/subjects/nothing-value", Method::DELETE, None),
            (
                "/compatibility/subjects/secret-value/versions/1",
                "/compatibility/subjects/nothing-value/versions/1",
                Method::POST,
                Some(fields.clone()),
            ),
            (
                "/compatibility/subjects/secret-value/versions",
                "/compatibility/subjects/nothing-value/versions",
                Method::POST,
                Some(fields.clone()),
            ),
            (
                "/subjects/tenant.acme.default.secret-value/versions",
                "/subjects/tenant.acme.default.nothing-value/versions",
                Method::POST,
                Some(more.clone()),
            ),
        ] {
            let [theirs, nobodys] = [theirs, nobodys].map(|path| format!("/confluent{path}"));
            let one = whole(&theirs, body.clone(), method.clone()).await;
            assert_eq!(one, whole(&nobodys, body, method).await, "{theirs}");
        }
        let reference =
            json!([{ "name": "r", "subject": "tenant.acme.default.secret-value", "version": 1 }]);
        let refers = json!({ "schema": theirs["schema"], "references": reference });
        let refused = registry.post(&globex, &format!("{SUBJECTS}/refers/versions"), refers).await;
        assert_eq!(refusal(refused), (422, 42201));
        registry.app.stop().await;
    });
}

// S3
#[test]
fn a_token_for_some_schemas_sees_no_others() {
    run(async {
        let registry = Registry::start().await;
        let author = registry.author("acme");
        let mut ids = Vec::new();
        for subject in ["orders-value", "sales.Order", "ops.Alert"] {
            ids.push(registry.register(&author, subject, avro(&["id:long"])).await);
        }
        let reference = json!([{ "name": "Order", "subject": "orders-value", "version": 1 }]);
        registry.approve("acme").await;
        let basket = r#"{ "type": "record", "name": "Basket", "fields": [{ "name": "of", "type": "Order" }] }"#;
        let refers = json!({ "schema": basket, "references": reference });
        registry.register(&author, "ops.Basket", refers).await;
        registry.approve("acme").await;
        let token = |role: Role, schemas: &[&str]| {
            let mut request = TestApp::request("acme", role);
            request.schemas = Some(schemas.iter().map(|of| (*of).to_owned()).collect());
            registry.app.sign(&request)
        };
        let sales = token(Role::SchemaReader, &["tenant.acme.sales", "tenant.acme.default"]);
        assert_eq!(
            registry.get(&sales, SUBJECTS).await,
            (200, json!(["orders-value", "sales.Order"]))
        );
        let pipeline = token(Role::PipelineRunner, &["tenant.acme.sales.Order"]);
        assert_eq!(registry.get(&pipeline, SUBJECTS).await, (200, json!(["sales.Order"])));
        let (_, all) = registry.get(&pipeline, "/confluent/schemas").await;
        assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
        for (id, status) in ids.iter().zip([404, 200, 404]) {
            let path = format!("/confluent/schemas/ids/{id}");
            assert_eq!(registry.get(&pipeline, &path).await.0, status, "{id}");
        }
        let others = "/confluent/subjects/orders-value/versions/1";
        assert_eq!(refusal(registry.get(&pipeline, others).await), (404, 40401));
        // Who refers is told as far as it is known to whoever asks.
        let path = format!("{others}/referencedby");
        assert_eq!(registry.get(&sales, &path).await, (200, json!([])));
        assert_eq!(registry.get(&author, &path).await.1.as_array().unwrap().len(), 1);
        let narrow = token(Role::SchemaAdmin, &["tenant.acme.sales"]);
        let path = format!("{SUBJECTS}/orders-value/versions");
        let refused = registry.post(&narrow, &path, avro(&["id:long"])).await;
        assert_eq!(refusal(refused), (422, 42208));
        let refused = registry.delete(&narrow, &format!("{SUBJECTS}/orders-value")).await;
        assert_eq!(refusal(refused), (404, 40401));
        registry.app.stop().await;
    });
}
