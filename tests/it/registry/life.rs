//! The life of versions: two people, frozen content, promises kept. // S6, S16

use drr::auth::policy::Role;
use serde_json::json;

use super::{Desk, TENANT, record};
use crate::{app::TestApp, cluster::run, graph::Graph};

const ORDER: &str = "tenant.acme.sales.Order";

#[test]
fn a_version_goes_from_draft_to_retired_by_two_people() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register(ORDER, "AVRO").await;
        let version = desk.draft(&schema, &record("Order", &["a"]), json!([])).await;
        assert_eq!(desk.version("tenant.acme.sales.Order@1").await["state"], "DRAFT");

        let asked = desk.ask(&version, "ACTIVATE", ", reason: \"we need it\"").await.unwrap();
        assert_eq!(
            (&asked["status"], &asked["version"]["state"]),
            (&json!("OPEN"), &json!("PROPOSED"))
        );
        let id = asked["id"].as_str().unwrap();
        // Four eyes, whoever else may decide.
        assert_eq!(desk.ask(&version, "ACTIVATE", "").await.unwrap_err(), "ALREADY_OPEN");
        let mut both = TestApp::request(TENANT, Role::GovernanceApprover);
        both.subject = "development-schema-admin".to_owned();
        let own = desk.decide(&app.sign(&both), "approveSchemaTransition", id, "").await;
        assert_eq!(own.unwrap_err(), "OWN_REQUEST");
        let document =
            "mutation($id: ID!) { approveSchemaTransition(input: { id: $id }) { refused } }";
        for role in [Role::SchemaAdmin, Role::TenantAdmin, Role::SchemaReader, Role::Operator] {
            let code = app.code(&app.token(TENANT, role), document, json!({ "id": id })).await;
            assert_eq!(code, "FORBIDDEN", "{role}");
        }
        let done = desk.approve(id).await.unwrap();
        assert_eq!(
            (&done["status"], &done["version"]["state"]),
            (&json!("APPROVED"), &json!("ACTIVE"))
        );
        assert_eq!(desk.approve(id).await.unwrap_err(), "ALREADY_DECIDED");

        // Public exposure is a transition like any other.
        assert_eq!(done["version"]["visibility"], "PRIVATE");
        desk.done(&version, "EXPOSE").await;
        assert_eq!(desk.version("tenant.acme.sales.Order@1").await["visibility"], "PUBLIC");
        assert_eq!(desk.ask(&version, "EXPOSE", "").await.unwrap_err(), "WRONG_STATE");

        assert_eq!(desk.ask(&version, "RETIRE", "").await.unwrap_err(), "WRONG_STATE");
        desk.done(&version, "DEPRECATE").await;
        desk.done(&version, "REACTIVATE").await;
        desk.done(&version, "DEPRECATE").await;
        desk.done(&version, "RETIRE").await;
        let told = desk.version("tenant.acme.sales.Order@1").await;
        assert_eq!(told["state"], "RETIRED");
        let kinds: Vec<_> = told["transitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|asked| asked["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["ACTIVATE", "EXPOSE", "DEPRECATE", "REACTIVATE", "DEPRECATE", "RETIRE"]);
        app.stop().await;
    });
}

#[test]
fn content_is_frozen_from_the_proposal_on_and_freed_by_a_rejection() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register(ORDER, "AVRO").await;
        let version = desk.draft(&schema, &record("Order", &["a"]), json!([])).await;
        let rewrite = "mutation($s: ID!, $c: String!) { draftSchemaVersion(input: { schemaId: $s, number: 1, content: $c }) {
            status version { contentHash } } }";
        let say = async |fields: &[&str]| {
            let variables = json!({ "s": schema, "c": record("Order", fields) });
            app.data(&desk.author, rewrite, variables).await["draftSchemaVersion"].take()
        };
        assert_eq!(say(&["a", "b"]).await["status"], "DRAFTED");
        let asked = desk.propose(&version, "ACTIVATE").await;
        let before = desk.version("tenant.acme.sales.Order@1").await["contentHash"].clone();
        assert_eq!(say(&["c"]).await["status"], "FROZEN");
        assert_eq!(desk.version("tenant.acme.sales.Order@1").await["contentHash"], before);

        let no =
            desk.decide(&desk.approver, "rejectSchemaTransition", &asked, ", reason: \" \"").await;
        assert_eq!(no.unwrap_err(), "BAD_REASON");
        let no = desk
            .decide(&desk.approver, "rejectSchemaTransition", &asked, ", reason: \"b is wrong\"")
            .await;
        assert_eq!(no.unwrap()["decision"], "b is wrong");
        assert_eq!(desk.version("tenant.acme.sales.Order@1").await["state"], "DRAFT");
        assert_eq!(say(&["c"]).await["status"], "DRAFTED");

        // Taken back, and put forward in the place of another.
        let asked = desk.propose(&version, "ACTIVATE").await;
        let other = app.token(TENANT, Role::TenantAdmin);
        let not = desk.decide(&other, "withdrawSchemaTransition", &asked, "").await;
        assert_eq!(not.unwrap_err(), "NOT_REQUESTER");
        desk.decide(&desk.author, "withdrawSchemaTransition", &asked, "").await.unwrap();
        let first = desk.propose(&version, "ACTIVATE").await;
        let second = desk.ask(&version, "ACTIVATE", ", supersede: true").await.unwrap();
        assert_eq!(desk.approve(&first).await.unwrap_err(), "ALREADY_DECIDED");
        desk.approve(second["id"].as_str().unwrap()).await.unwrap();
        let told = desk.version("tenant.acme.sales.Order@1").await;
        let ends: Vec<_> = told["transitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|asked| asked["status"].as_str().unwrap())
            .collect();
        assert_eq!(ends, ["REJECTED", "WITHDRAWN", "SUPERSEDED", "APPROVED"]);

        // The same in other words is the same version; no number is given twice.
        let spaced = record("Order", &["c"]).replace(':', " : ");
        assert_eq!(desk.drafted(&schema, &spaced, json!([])).await, ("SAME".to_owned(), version));
        let next = desk.draft(&schema, &record("Order", &["c", "d"]), json!([])).await;
        assert!(next.ends_with("@2"), "{next}");
        app.stop().await;
    });
}

#[test]
fn promises_are_kept_when_asked_and_when_decided() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register(ORDER, "AVRO").await;
        let one = r#"{"type":"record","name":"Order","fields":[{"name":"a","type":"string"}]}"#;
        desk.active(&schema, one, json!([])).await;

        // A promise that is broken.
        let two = r#"{"type":"record","name":"Order","fields":[{"name":"b","type":"string"}]}"#;
        let broken = desk.draft(&schema, two, json!([])).await;
        assert_eq!(desk.ask(&broken, "ACTIVATE", "").await.unwrap_err(), "INCOMPATIBLE");
        // Two that are each compatible with the first, and not with each other: the second is judged again
        // when it is decided about.
        let with = |name: &str, kind: &str| {
            format!(
                r#"{{"type":"record","name":"Order","fields":[{{"name":"a","type":"string"}},
                {{"name":"{name}","type":{kind},"default":null}}]}}"#
            )
        };
        let third = desk.draft(&schema, &with("x", r#"["null","string"]"#), json!([])).await;
        let fourth = desk.draft(&schema, &with("x", r#"["null","int"]"#), json!([])).await;
        let (third, fourth) =
            (desk.propose(&third, "ACTIVATE").await, desk.propose(&fourth, "ACTIVATE").await);
        desk.approve(&third).await.unwrap();
        assert_eq!(desk.approve(&fourth).await.unwrap_err(), "INCOMPATIBLE");
        let forced = ", overrideReason: \"nobody has written any\"";
        let refused = desk.decide(&desk.approver, "approveSchemaTransition", &fourth, forced).await;
        assert_eq!(refused.unwrap_err(), "INCOMPATIBLE");
        // What an approver may override is the schema's to say.
        let lenient =
            "mutation($id: ID!) { updateSchema(input: { id: $id, policy: LENIENT }) { status } }";
        app.data(&desk.author, lenient, json!({ "id": schema })).await;
        assert_eq!(desk.approve(&fourth).await.unwrap_err(), "INCOMPATIBLE");
        let done =
            desk.decide(&desk.approver, "approveSchemaTransition", &fourth, forced).await.unwrap();
        assert_eq!(done["decidedVerdict"], "INCOMPATIBLE");
        assert_eq!(done["decision"], "nobody has written any");
        app.stop().await;
    });
}

#[test]
fn what_cannot_be_told_needs_a_reason() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register("tenant.acme.sales.Event", "JSON").await;
        desk.active(&schema, r#"{"type":"object","not":{"required":["a"]}}"#, json!([])).await;
        let next = r#"{"type":"object","not":{"required":["b"]}}"#;
        let next = desk.draft(&schema, next, json!([])).await;
        let asked = desk.ask(&next, "ACTIVATE", "").await.unwrap();
        assert_eq!(asked["verdict"], "UNKNOWN", "{asked:#}");
        let id = asked["id"].as_str().unwrap();
        assert_eq!(desk.approve(id).await.unwrap_err(), "UNKNOWN_WITHOUT_REASON");
        let why = ", overrideReason: \"both are checked elsewhere\"";
        let done = desk.decide(&desk.approver, "approveSchemaTransition", id, why).await.unwrap();
        assert_eq!(done["version"]["state"], "ACTIVE");
        assert_eq!(done["decision"], "both are checked elsewhere");
        app.stop().await;
    });
}

#[test]
fn what_is_used_is_not_retired_unawares() {
    run(async {
        let graph = Graph::start().await;
        let desk = Desk::of(&graph.app, TENANT);
        let schema = desk.register(ORDER, "AVRO").await;
        let version = desk.active(&schema, &record("Order", &["a"]), json!([])).await;
        let dataset = graph.register("orders").await;
        let bind = "mutation($d: ID!, $s: String!) { updateDataset(input: { id: $d, schemaFqid: $s }) {
            dataset { schemaFqid schema { fqid usage { datasetCount datasets { name } } } schemaVersion { name } } } }";
        let admin = graph.app.token(TENANT, Role::TenantAdmin);
        for wrong in [
            "tenant.acme.sales.Order@2",
            "tenant.acme.sales.None",
            "tenant.globex.sales.Order",
            "x",
        ] {
            let code = graph.app.code(&admin, bind, json!({ "d": dataset, "s": wrong })).await;
            assert_eq!(code, "BAD_USER_INPUT", "{wrong}");
        }
        let bound = graph.app.data(&admin, bind, json!({ "d": dataset, "s": ORDER })).await;
        let bound = &bound["updateDataset"]["dataset"];
        assert_eq!(
            bound["schema"]["usage"],
            json!({ "datasetCount": 1, "datasets": [{ "name": "orders" }] })
        );
        assert_eq!(bound["schemaVersion"]["name"], "tenant.acme.sales.Order@1");

        desk.done(&version, "DEPRECATE").await;
        assert_eq!(desk.ask(&version, "RETIRE", "").await.unwrap_err(), "IN_USE");
        let asked = desk.ask(&version, "RETIRE", ", acknowledgeUse: true").await.unwrap();
        desk.approve(asked["id"].as_str().unwrap()).await.unwrap();
        let unbind = "mutation($d: ID!) { updateDataset(input: { id: $d, clearSchemaFqid: true }) { dataset { schemaFqid } } }";
        let freed = graph.app.data(&admin, unbind, json!({ "d": dataset })).await;
        assert!(freed["updateDataset"]["dataset"]["schemaFqid"].is_null());

        // Another version uses it by referring to it.
        let address = desk.register("tenant.acme.sales.Address", "AVRO").await;
        let address = desk.active(&address, &record("Address", &["street"]), json!([])).await;
        let refers = json!([{ "name": "Address", "version": "tenant.acme.sales.Address@1" }]);
        let holder = desk.register("tenant.acme.sales.Holder", "AVRO").await;
        let text = r#"{"type":"record","name":"Holder","fields":[{"name":"to","type":"Address"}]}"#;
        desk.active(&holder, text, refers).await;
        let told = desk.version("tenant.acme.sales.Holder@1").await;
        assert_eq!(told["references"][0]["version"]["name"], "tenant.acme.sales.Address@1");
        desk.done(&address, "DEPRECATE").await;
        assert_eq!(desk.ask(&address, "RETIRE", "").await.unwrap_err(), "IN_USE");
        graph.app.stop().await;
    });
}

#[test]
fn what_was_agreed_to_beforehand_is_approved_at_once_but_not_for_who_agreed() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        let schema = desk.register(ORDER, "AVRO").await;
        let stand = "mutation($id: ID!, $a: Boolean!) { setSchemaStanding(input: { schemaId: $id, agrees: $a }) {
            schema { standing { by } } } }";
        let stood = app.data(&desk.approver, stand, json!({ "id": schema, "a": true })).await;
        assert_eq!(
            stood["setSchemaStanding"]["schema"]["standing"]["by"],
            "development-governance-approver"
        );
        let version = desk.draft(&schema, &record("Order", &["a"]), json!([])).await;
        let asked = desk.ask(&version, "ACTIVATE", "").await.unwrap();
        assert_eq!((&asked["status"], &asked["standing"]), (&json!("APPROVED"), &json!(true)));
        let told = desk.version("tenant.acme.sales.Order@1").await;
        assert_eq!(told["state"], "ACTIVE");
        assert_eq!(told["transitions"][0]["decidedBy"], "development-governance-approver");

        // What is not compatible waits, and so does what the one who agreed asks for.
        let lenient =
            "mutation($id: ID!) { updateSchema(input: { id: $id, policy: LENIENT }) { status } }";
        app.data(&desk.author, lenient, json!({ "id": schema })).await;
        let broken = r#"{"type":"record","name":"Order","fields":[{"name":"b","type":"string"}]}"#;
        let broken = desk.draft(&schema, broken, json!([])).await;
        assert_eq!(desk.ask(&broken, "ACTIVATE", "").await.unwrap()["status"], "OPEN");
        let mut own = TestApp::request(TENANT, Role::SchemaAdmin);
        own.subject = "development-governance-approver".to_owned();
        let own = Desk { app: &app, author: app.sign(&own), approver: desk.approver.clone() };
        let next = own.draft(&schema, &record("Order", &["a", "c"]), json!([])).await;
        assert_eq!(own.ask(&next, "ACTIVATE", "").await.unwrap()["status"], "OPEN");

        // Another promise was not agreed to.
        let none = "mutation($id: ID!) { updateSchema(input: { id: $id, compatibility: NONE }) { schema { standing { by } } } }";
        let updated = app.data(&desk.author, none, json!({ "id": schema })).await;
        assert!(updated["updateSchema"]["schema"]["standing"].is_null());
        let next = desk.draft(&schema, &record("Order", &["d"]), json!([])).await;
        assert_eq!(desk.ask(&next, "ACTIVATE", "").await.unwrap()["status"], "OPEN");
        app.stop().await;
    });
}
