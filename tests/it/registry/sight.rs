//! Who sees what: by tenant, by token, by role; and what is told of it all. // S1, S3, S7, S9, S10

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{Desk, TENANT, record};
use crate::{app::TestApp, cluster::run, subscription::Body};

/// The names of the schemas that a token is shown.
async fn names(app: &TestApp, token: &str) -> Vec<String> {
    let data = app.data(token, "{ schemas { nodes { fqid } } }", json!({})).await;
    let nodes = data["schemas"]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["fqid"].as_str().unwrap().to_owned()).collect()
}

/// An answer without what no two calls have in common.
fn told(mut answer: Value) -> Value {
    let error = &mut answer["errors"][0]["extensions"];
    assert!(error["correlationId"].take().is_string(), "{error}");
    answer
}

#[test]
fn a_token_shows_the_schemas_that_it_is_for() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        for name in ["ops.Alert", "sales.Order", "sales.Refund"] {
            let schema = desk.register(&format!("tenant.acme.{name}"), "AVRO").await;
            desk.active(&schema, &record("R", &["a"]), json!([])).await;
        }
        let token = |role, schemas: &[&str]| {
            let mut request = TestApp::request(TENANT, role);
            request.schemas = Some(schemas.iter().map(|name| (*name).to_owned()).collect());
            app.sign(&request)
        };
        let all = ["tenant.acme.ops.Alert", "tenant.acme.sales.Order", "tenant.acme.sales.Refund"];
        assert_eq!(names(&app, &app.token(TENANT, Role::SchemaReader)).await, all);
        let sales = token(Role::SchemaReader, &["tenant.acme.sales"]);
        assert_eq!(names(&app, &sales).await, all[1..]);
        let pipeline = token(Role::PipelineRunner, &["tenant.acme.sales.Order"]);
        assert_eq!(names(&app, &pipeline).await, all[1..2]);
        // Without the claim it is for none.
        let none = app.token(TENANT, Role::PipelineRunner);
        assert_eq!(names(&app, &none).await, Vec::<String>::new());

        // What a token is not for looks like what is not there, to the last byte.
        let read = "query($n: String!) { schemaVersion(name: $n) { content } }";
        let shown = app.data(&pipeline, read, json!({ "n": "tenant.acme.sales.Order@1" })).await;
        assert!(shown["schemaVersion"]["content"].is_string(), "{shown}");
        let missing = app.answer(&pipeline, read, json!({ "n": "tenant.acme.sales.None@1" })).await;
        for hidden in ["tenant.acme.sales.Refund@1", "tenant.globex.sales.Order@1"] {
            assert_eq!(
                app.answer(&pipeline, read, json!({ "n": hidden })).await,
                missing,
                "{hidden}"
            );
        }
        // So does what is asked for of it, for everything that takes a request's id.
        let of_order =
            "query { schemaVersion(name: \"tenant.acme.sales.Order@1\") { transitions { id } } }";
        let asked = app.data(&desk.author, of_order, json!({})).await;
        let asked = asked["schemaVersion"]["transitions"][0]["id"].clone();
        let (author, approver) = (Role::SchemaAdmin, Role::GovernanceApprover);
        for (role, deed, more) in [
            (author, "withdrawSchemaTransition", ""),
            (approver, "approveSchemaTransition", ""),
            (approver, "rejectSchemaTransition", ", reason: \"r\""),
        ] {
            let elsewhere = token(role, &["tenant.acme.ops"]);
            let document = format!(
                "mutation($id: ID!) {{ {deed}(input: {{ id: $id {more} }}) {{ refused }} }}"
            );
            let missing = json!({ "id": "0190a000-0000-7000-8000-0000000000fe" });
            let missing = told(app.answer(&elsewhere, &document, missing).await);
            let hidden = told(app.answer(&elsewhere, &document, json!({ "id": asked })).await);
            assert_eq!(hidden, missing, "{deed}");
        }
        // And a kept answer of one token is not another's.
        assert_eq!(names(&app, &sales).await, all[1..]);
        assert_eq!(names(&app, &pipeline).await, all[1..2]);

        // Who may ask for things may do so for what the token is for.
        let narrow = token(Role::SchemaAdmin, &["tenant.acme.ops"]);
        let register = "mutation($n: String!) { registerSchema(input: { fqid: $n, format: AVRO }) { status } }";
        let code = app.code(&narrow, register, json!({ "n": "tenant.acme.sales.New" })).await;
        assert_eq!(code, "BAD_USER_INPUT");
        let done = app.data(&narrow, register, json!({ "n": "tenant.acme.ops.New" })).await;
        assert_eq!(done["registerSchema"]["status"], "REGISTERED");
        // A pipeline's token that names a whole namespace is refused whole.
        let wide = token(Role::PipelineRunner, &["tenant.acme.sales"]);
        assert_eq!(app.send(&wide, "{ me { role } }", json!({})).await.status(), 401);
        app.stop().await;
    });
}

#[test]
fn two_tenants_have_the_same_names_and_see_their_own() {
    run(async {
        let app = TestApp::start().await;
        for (tenant, field) in [("acme", "a"), ("globex", "g")] {
            let desk = Desk::of(&app, tenant);
            let schema = desk.register(&format!("tenant.{tenant}.sales.Order"), "AVRO").await;
            desk.active(&schema, &record("Order", &[field]), json!([])).await;
        }
        let (acme, globex) = (Desk::of(&app, "acme"), Desk::of(&app, "globex"));
        let own = acme.version("tenant.acme.sales.Order@1").await;
        assert!(own["content"].as_str().unwrap().contains("\"a\""), "{own}");
        assert!(globex.version("tenant.acme.sales.Order@1").await.is_null());
        // By id, for everything that takes one.
        let (id, missing) = (own["id"].as_str().unwrap(), "0190a000-0000-7000-8000-0000000000ff@1");
        let propose = "mutation($v: ID!) { proposeSchemaTransition(input: { versionId: $v, kind: DEPRECATE }) { refused } }";
        for id in [id, missing] {
            assert_eq!(app.code(&globex.author, propose, json!({ "v": id })).await, "NOT_FOUND");
        }
        let objects = app.objects.list("schemas").await.unwrap();
        assert_eq!(objects.len(), 2, "{objects:?}");
        let sealed = app.objects.get(&objects[0]).await.unwrap().unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"record"), "it is encrypted");
        app.stop().await;
    });
}

#[test]
fn operators_see_numbers_and_no_row() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register("tenant.acme.sales.Order", "AVRO").await;
        desk.active(&schema, &record("Order", &["a"]), json!([])).await;
        let next = desk.draft(&schema, &record("Order", &["a", "b"]), json!([])).await;
        desk.propose(&next, "ACTIVATE").await;
        let figures = "{ schemaFigures { schemas { of count } versions { of count } transitions { of count } } }";
        let operator = app.token(TENANT, Role::Operator);
        let told = app.data(&operator, figures, json!({})).await;
        let expected = json!({
            "schemas": [{ "of": "AVRO", "count": 1 }],
            "versions": [{ "of": "ACTIVE", "count": 1 }, { "of": "PROPOSED", "count": 1 }],
            "transitions": [{ "of": "APPROVED", "count": 1 }, { "of": "OPEN", "count": 1 }],
        });
        assert_eq!(sorted(told["schemaFigures"].clone()), sorted(expected));
        let nothing = app.data(&app.token("globex", Role::Operator), figures, json!({})).await;
        assert_eq!(
            nothing["schemaFigures"],
            json!({ "schemas": [], "versions": [], "transitions": [] })
        );
        for document in ["{ schemas { nodes { id } } }", "{ pendingApprovals { nodes { id } } }"] {
            assert_eq!(app.code(&operator, document, json!({})).await, "FORBIDDEN", "{document}");
        }
        app.stop().await;
    });
}

/// The lists of numbers in one order.
fn sorted(mut figures: Value) -> Value {
    for list in figures.as_object_mut().unwrap().values_mut() {
        list.as_array_mut().unwrap().sort_by_key(|figure| figure["of"].to_string());
    }
    figures
}

#[test]
fn everything_that_is_done_is_an_event_and_in_the_trail_under_its_own_class() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let subscription = "subscription { schemaEvents(types: [\"schema_transition.proposed\"]) { type version { name } } }";
        let mut inbox = Body::events(&app, &desk.approver, subscription, json!({})).await;
        let schema = desk.register("tenant.acme.sales.Order", "AVRO").await;
        let version = desk.draft(&schema, &record("Order", &["a"]), json!([])).await;
        let validator = app.token(TENANT, Role::SchemaValidator);
        let judge = "mutation($p: [String!]!) { validatePayloads(input: { version: \"tenant.acme.sales.Order@1\", payloads: $p }) {
            invalidCount judgements { valid violations { path message } } } }";
        let payloads = json!(["{\"a\": null}", "{\"a\": {\"string\": \"x\"}}", "{\"a\": 7}", "{"]);
        let judged = app.data(&validator, judge, json!({ "p": payloads })).await;
        assert_eq!(judged["validatePayloads"]["invalidCount"], 2, "{judged:#}");
        assert_eq!(judged["validatePayloads"]["judgements"][2]["violations"][0]["path"], "/a");
        let asked = desk.propose(&version, "ACTIVATE").await;
        let item = inbox.item().await;
        assert_eq!(item["version"]["name"], "tenant.acme.sales.Order@1", "{item}");
        desk.approve(&asked).await.unwrap();

        let events = "{ schemaEvents { nodes { type actorId data version { number } } } }";
        let told = app.data(&desk.approver, events, json!({})).await;
        let told = told["schemaEvents"]["nodes"].as_array().unwrap();
        let types: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let expected = [
            "schema.registered",
            "schema_version.drafted",
            "payloads.validated",
            "schema_transition.proposed",
            "schema_transition.approved",
        ];
        assert_eq!(types, expected);
        let data: Value = serde_json::from_str(told[4]["data"].as_str().unwrap()).unwrap();
        assert_eq!(data["requestedBy"], "development-schema-admin");
        assert_eq!(data["decidedBy"], "development-governance-approver");

        let trail = "{ auditEvents(filter: { class: SCHEMA }, first: 50) { nodes { action result resource } } }";
        let trail = app.data(&app.token(TENANT, Role::Auditor), trail, json!({})).await;
        let nodes = trail["auditEvents"]["nodes"].as_array().unwrap();
        for action in [
            "schema.register",
            "schema.draft",
            "schema.validate",
            "schema_transition.propose",
            "schema_transition.decide",
        ] {
            let of = nodes.iter().filter(|event| event["action"] == action).count();
            assert_eq!(of, 1, "{action}: {nodes:#?}");
        }
        let decided =
            nodes.iter().find(|event| event["action"] == "schema_transition.decide").unwrap();
        let hash = desk.version("tenant.acme.sales.Order@1").await["contentHash"].clone();
        let hash = hash.as_str().unwrap();
        let resource = format!("schema:tenant.acme.sales.Order@1 sha256:{hash}");
        assert_eq!(decided["resource"], resource.as_str());
        app.stop().await;
    });
}
