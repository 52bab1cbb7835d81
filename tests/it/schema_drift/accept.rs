//! What is reported becomes a proposal, or it is said why not.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{DATASET, SCHEMA, accept, accepted, bind, compared, dataset, pass, report, start};
use crate::{
    cluster::run,
    graph::{STRANGER, string},
    schema_events::Registry,
};

#[test]
fn what_is_accepted_and_approved_is_what_the_schema_says() {
    run(async {
        let graph = start().await;
        report(&graph, DATASET, &[("id", "bigint"), ("note", "text")]).await;
        let id = dataset(&graph, "").await;
        let id = string(&id["id"]).to_owned();
        assert_eq!(accept(&graph, &id, None).await["status"], "NAME_NEEDED");
        assert_eq!(accepted(&graph, &id, Some(SCHEMA)).await, 1);
        assert_eq!(accept(&graph, &id, Some(SCHEMA)).await["status"], "NAME_TAKEN");
        bind(&graph, &id, Some(SCHEMA)).await;
        assert_eq!(accept(&graph, &id, Some("tenant.acme.sales.Other")).await["status"], "BOUND");
        let same = accept(&graph, &id, None).await;
        assert_eq!((&same["status"], &same["version"]["number"]), (&json!("SAME"), &json!(1)));

        report(&graph, DATASET, &[("id", "bigint"), ("note", "text"), ("extra", "date")]).await;
        assert_eq!(pass(&graph).await, compared(1, 1, 0));
        let done = accept(&graph, &id, None).await;
        assert_eq!(done["status"], "PROPOSED", "{done:#}");
        assert_eq!(done["version"]["state"], "PROPOSED");
        assert_eq!(accept(&graph, &id, None).await["status"], "SAME", "it is put forward already");
        assert_eq!(
            pass(&graph).await,
            compared(0, 0, 0),
            "nothing is in use before it is approved"
        );
        let approver = Registry::new(&graph);
        assert_eq!(approver.approve(string(&done["transition"]["id"])).await, None);
        assert_eq!(pass(&graph).await, compared(1, 0, 1));

        // What nobody could read any more is drafted, and not put forward.
        report(&graph, DATASET, &[("id", "boolean")]).await;
        let refused = accept(&graph, &id, None).await;
        assert_eq!(refused["status"], "REFUSED", "{refused:#}");
        assert_eq!(refused["refused"], "INCOMPATIBLE");
        assert_eq!(refused["version"]["state"], "DRAFT");
        assert_eq!(refused["transition"], Value::Null);
        let again = accept(&graph, &id, None).await;
        assert_eq!((&again["status"], &again["version"]), (&json!("REFUSED"), &refused["version"]));
    });
}

#[test]
fn what_cannot_be_accepted_changes_nothing() {
    run(async {
        let graph = start().await;
        let own = Registry::new(&graph);
        report(&graph, DATASET, &[]).await;
        let id = dataset(&graph, "").await;
        let id = string(&id["id"]).to_owned();
        assert_eq!(accept(&graph, &id, Some(SCHEMA)).await["status"], "NOTHING_REPORTED");
        report(&graph, DATASET, &[("id", "bigint")]).await;
        // A schema of another format.
        let register = "mutation { registerSchema(input: { fqid: \"tenant.acme.sales.Json\", format: JSON }) { status } }";
        own.ask(Role::SchemaAdmin, register, json!({})).await;
        bind(&graph, &id, Some("tenant.acme.sales.Json")).await;
        assert_eq!(accept(&graph, &id, None).await["status"], "NOT_AVRO");
        let schemas = "{ schemas { nodes { fqid } } }";
        let found = own.ask(Role::SchemaAdmin, schemas, json!({})).await;
        assert_eq!(found["schemas"]["nodes"], json!([{ "fqid": "tenant.acme.sales.Json" }]));

        // Another tenant's dataset is none, and so is a name in another's namespace.
        let document = "mutation($i: ID!, $f: String) { acceptSchemaDrift(input: { datasetId: $i, schemaFqid: $f }) { status } }";
        let stranger = graph.app.token(STRANGER, Role::SchemaAdmin);
        let foreign = json!({ "i": id, "f": "tenant.globex.sales.Order" });
        assert_eq!(graph.app.code(&stranger, document, foreign).await, "NOT_FOUND");
        bind(&graph, &id, None).await;
        let token = graph.token(Role::SchemaAdmin);
        let foreign = json!({ "i": id, "f": "tenant.globex.sales.Order" });
        assert_eq!(graph.app.code(&token, document, foreign).await, "BAD_USER_INPUT");
        for role in [Role::Reader, Role::SchemaReader, Role::GovernanceApprover] {
            let code = graph.app.code(&graph.token(role), document, json!({ "i": id })).await;
            assert_eq!(code, "FORBIDDEN", "{role:?}");
        }
    });
}
