//! What the three fields tell.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{BREACHES, Body, FRESHNESS, RUNS, change, graph};
use crate::{cluster::run, graph::STRANGER};

#[test]
fn freshness_changes_by_runs_by_policies_and_by_time_alone() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        let mut told = Body::events(&graph.app, &reader, FRESHNESS, json!({})).await;
        let id = graph.register("orders").await;
        assert_eq!(change(&told.item().await), "orders REGISTERED -→NOT_APPLICABLE");
        graph.set_policy(&id, json!({ "warnAfterSeconds": 100, "failAfterSeconds": 200 })).await;
        assert_eq!(change(&told.item().await), "orders POLICY NOT_APPLICABLE→UNKNOWN");
        graph.succeed(&["orders"], graph.now()).await;
        assert_eq!(change(&told.item().await), "orders REFRESHED UNKNOWN→FRESH");

        graph.advance(100);
        assert_eq!(graph.app.announce().await.freshness, 0, "a limit is kept at its instant");
        graph.advance(1);
        assert_eq!(graph.app.announce().await.freshness, 1);
        let late = told.item().await;
        assert_eq!(change(&late), "orders TIME FRESH→WARN");
        assert_eq!(late["freshness"]["status"], "WARN", "judged at the instant of its own call");
        graph.advance(100);
        assert_eq!(graph.app.announce().await.freshness, 1);
        assert_eq!(graph.app.announce().await.freshness, 0, "once");
        assert_eq!(change(&told.item().await), "orders TIME WARN→STALE");
        graph.succeed(&["orders"], graph.now()).await;
        assert_eq!(change(&told.item().await), "orders REFRESHED STALE→FRESH");
        graph.advance(1);
        graph.succeed(&["orders"], graph.now()).await;
        assert_eq!(change(&told.item().await), "orders REFRESHED FRESH→FRESH");
        graph.done("retireDataset", "status", json!({ "id": id })).await;
        assert_eq!(change(&told.item().await), "orders RETIRED FRESH→NOT_APPLICABLE");
        graph.app.stop().await;
    });
}

#[test]
fn run_events_are_told_once_in_the_order_in_which_they_were_recorded() {
    run(async {
        let graph = graph(|_| ()).await;
        let mut told = Body::events(&graph.app, &graph.reader(), RUNS, json!({})).await;
        let run = "0190a000-0000-7000-8000-000000000001";
        for kind in ["START", "START", "RUNNING", "COMPLETE", "COMPLETE"] {
            graph.report(kind, run, graph.now(), "orders").await;
        }
        for kind in ["START", "RUNNING", "COMPLETE"] {
            let event = told.item().await;
            assert_eq!((&event["type"], &event["runId"]), (&json!(kind), &json!(run)), "{event:#}");
            assert_eq!(event["run"]["outputs"][0]["dataset"]["name"], "orders", "{event:#}");
        }
        assert!(told.arrived().await.is_empty(), "what is reported again is not told again");
        graph.app.stop().await;
    });
}

#[test]
fn breaches_go_on_after_a_cursor_of_the_query() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        let mut told = Body::events(&graph.app, &reader, BREACHES, json!({})).await;
        graph.watched("orders", json!({ "warnAfterSeconds": 100, "failAfterSeconds": 200 })).await;
        graph.advance(101);
        graph.app.sweep().await;
        let opened = told.item().await;
        assert_eq!(opened["type"], "OPENED");
        let query = "{ freshnessEvents(first: 1) { nodes { cursor } pageInfo { endCursor } } }";
        let page = graph.read(query, json!({})).await;
        let cursor = &page["freshnessEvents"]["pageInfo"]["endCursor"];
        assert_eq!(
            (cursor, &page["freshnessEvents"]["nodes"][0]["cursor"]),
            (&opened["cursor"], cursor)
        );
        graph.advance(100);
        graph.app.sweep().await;
        assert_eq!(told.item().await["type"], "ESCALATED");
        let mut resumed =
            Body::events(&graph.app, &reader, BREACHES, json!({ "after": cursor })).await;
        assert_eq!(resumed.item().await["type"], "ESCALATED");
        graph.app.stop().await;
    });
}

#[test]
fn filters_pass_over_what_is_not_asked_for() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        let sales = graph
            .register_with(json!({ "namespace": "ns", "name": "sales", "domain": "sales" }))
            .await;
        graph.register("other").await;
        graph.app.announce().await;
        let open = |query: &'static str| {
            let variables = json!({ "id": sales });
            let (app, reader) = (&graph.app, reader.as_str());
            async move { Body::events(app, reader, query, variables).await }
        };
        let mut by_id = open(
            "subscription($id: ID!) { freshnessChanged(datasetIds: [$id]) {
            cause previousStatus status dataset { name } } }",
        )
        .await;
        let mut by_domain = open(
            "subscription { freshnessChanged(domain: \"sales\", namespace: \"ns\",
            statusOnly: true) { cause previousStatus status dataset { name } } }",
        )
        .await;
        let mut by_status = open(
            "subscription { freshnessChanged(statuses: [FRESH]) {
            cause previousStatus status dataset { name } } }",
        )
        .await;
        let mut runs = open(
            "subscription($id: ID!) { runEvents(datasetIds: [$id], types: [FAIL]) {
            type runId } }",
        )
        .await;
        for name in ["other", "sales"] {
            graph.succeed(&[name], graph.now()).await;
        }
        // What happens between two announcements is told as one change.
        graph.app.announce().await;
        graph.set_policy(&sales, json!({ "warnAfterSeconds": 100 })).await;
        let mut failed = crate::smoke::run_event(
            "FAIL",
            &crate::graph::text(graph.now()),
            "0190a000-0000-7000-8000-000000000009",
            "",
        );
        failed["outputs"] = json!([{ "namespace": "ns", "name": "sales" }]);
        let writer = graph.token(Role::RuntimeWriter);
        assert_eq!(graph.app.lineage(&writer, &failed).await.0, 201);
        assert_eq!(change(&by_id.item().await), "sales REFRESHED NOT_APPLICABLE→NOT_APPLICABLE");
        assert_eq!(change(&by_id.item().await), "sales POLICY NOT_APPLICABLE→FRESH");
        assert_eq!(change(&by_domain.item().await), "sales POLICY NOT_APPLICABLE→FRESH");
        assert_eq!(change(&by_status.item().await), "sales POLICY NOT_APPLICABLE→FRESH");
        assert_eq!(runs.item().await["type"], "FAIL");
        graph.app.stop().await;
    });
}

/// Nothing of another tenant ever, and nobody goes on where he may not begin.
#[test]
fn a_tenant_is_told_of_its_own() {
    run(async {
        let graph = graph(|_| ()).await;
        let stranger = graph.app.token(STRANGER, Role::Reader);
        let mut foreign = Vec::new();
        for query in [FRESHNESS, RUNS, BREACHES] {
            foreign.push(Body::events(&graph.app, &stranger, query, json!({})).await);
        }
        let mut own = Body::events(&graph.app, &graph.reader(), FRESHNESS, json!({})).await;
        let id = graph.watched("orders", json!({ "warnAfterSeconds": 100 })).await;
        let cursor = own.item().await["cursor"].clone();
        graph.advance(101);
        graph.app.announce().await;
        graph.app.sweep().await;
        // The stranger's own comes next, and only that.
        let writer = graph.app.token(STRANGER, Role::RuntimeWriter);
        let run = "0190a000-0000-7000-8000-000000000002";
        let event =
            crate::smoke::run_event("COMPLETE", &crate::graph::text(graph.now()), run, "own");
        assert_eq!(graph.app.lineage(&writer, &event).await.0, 201);
        assert_eq!(change(&foreign[0].item().await), "own REGISTERED -→NOT_APPLICABLE");
        assert_eq!(foreign[1].item().await["runId"], run);
        assert!(foreign[2].arrived().await.is_empty());
        // Its cursor is another tenant's number, beyond all that there is here.
        let by_id = "subscription($id: ID!, $after: String) {
            freshnessChanged(datasetIds: [$id], after: $after) { status } }";
        let body = json!({ "query": by_id, "variables": { "id": id, "after": cursor } });
        let mut answered =
            Body::events(&graph.app, &stranger, by_id, body["variables"].clone()).await;
        assert!(answered.arrived().await.is_empty(), "another tenant's dataset has no changes");
        graph.app.stop().await;
    });
}

/// The code of the error that a subscription is refused with.
async fn refused(
    graph: &crate::graph::Graph,
    token: &str,
    query: &str,
    variables: Value,
) -> String {
    let body = json!({ "query": query, "variables": variables });
    let response = super::post(&graph.app, token, super::EVENTS, &body).await;
    let answer: Value = response.json().await.unwrap();
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("no errors: {answer:#}"));
    assert!(errors[0]["extensions"]["correlationId"].is_string(), "{answer:#}");
    errors[0]["extensions"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn what_cannot_be_subscribed_to_is_refused_with_a_code() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        for (query, variables) in [
            ("subscription { nothing { a } }", json!({})),
            ("subscription { freshnessChanged { nothing } }", json!({})),
            ("subscription { ...F } fragment F on Subscription { runEvents { runId } }", json!({})),
            ("subscription { runEvents { runId } breaches { cursor } }", json!({})),
            (FRESHNESS, json!({ "after": "nonsense" })),
            (FRESHNESS, json!({ "after": "eyJmcmVzaG5lc3MiOjk5OX0" })),
            (RUNS, json!({ "after": "eyJmcmVzaG5lc3MiOjB9" })),
            ("subscription { freshnessChanged(datasetIds: [\"x\"]) { status } }", json!({})),
            ("{ me { role } }", json!({})),
            ("mutation { nothing }", json!({})),
            ("subscription {", json!({})),
        ] {
            let code = refused(&graph, &reader, query, variables.clone()).await;
            assert_eq!(code, "BAD_USER_INPUT", "{query} {variables}");
        }
        let forbidden = graph.app.token(crate::graph::TENANT, Role::SchemaReader);
        for query in [FRESHNESS, RUNS, BREACHES] {
            assert_eq!(refused(&graph, &forbidden, query, json!({})).await, "FORBIDDEN");
            assert_eq!(refused(&graph, "nonsense", query, json!({})).await, "UNAUTHENTICATED");
        }
        graph.app.stop().await;
    });
}
