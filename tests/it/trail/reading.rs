//! The trail, read by the graph and by REST.

use chrono::TimeDelta;
use drr::{
    auth::policy::{Role, ScopeSet},
    clock::{Clock, SystemClock},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::TestApp,
    breach::script,
    cluster::run,
    graph::{Graph, STRANGER, TENANT, string, text},
    rest::{get, refusal},
};

const EVENTS: &str = "query($filter: AuditEventFilter, $first: Int, $after: String) {
    auditEvents(filter: $filter, first: $first, after: $after) {
      nodes { ...e } pageInfo { hasNextPage endCursor } } }
  fragment e on AuditEvent {
    id occurredAt actorId action also class result errorCode correlationId callId calls datasetId
    resource interface operationName documentHash tokenHash durationMicroseconds rowCount }";
const PATH: &str = "/storage/v1/audit/events";

/// The events that an auditor finds, all of one page.
async fn found(graph: &Graph, filter: Value) -> Vec<Value> {
    let token = graph.token(Role::Auditor);
    let mut data = graph.app.data(&token, EVENTS, json!({ "filter": filter, "first": 200 })).await;
    data["auditEvents"]["nodes"].take().as_array().unwrap().clone()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| string(&event["action"])).collect()
}

/// Calls of every sort, a second apart; the id of the dataset that most are about.
async fn history(graph: &Graph) -> String {
    let id = graph.register("orders").await;
    graph.clock.advance(TimeDelta::seconds(1));
    graph.set_policy(&id, json!({ "failAfterSeconds": 60 })).await;
    graph.clock.advance(TimeDelta::seconds(1));
    // Two rights in one call, under a name of the caller's own.
    let query = "query Board { datasets { nodes { runs { nodes { state } } } } }";
    let request = graph.app.http.post(graph.app.public("/graphql"));
    let request = request.bearer_auth(graph.token(Role::Reader));
    let request = request.header("x-correlation-id", "board-7");
    let answer =
        request.json(&json!({ "query": query, "operationName": "Board" })).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    graph.clock.advance(TimeDelta::seconds(1));
    let refused = "mutation($id: ID!) { retireDataset(input: { id: $id }) { status } }";
    let reader = graph.token(Role::Reader);
    assert_eq!(graph.app.code(&reader, refused, json!({ "id": id })).await, "FORBIDDEN");
    graph.clock.advance(TimeDelta::seconds(1));
    let stranger = graph.app.token(STRANGER, Role::Reader);
    graph.app.data(&stranger, "{ datasets { nodes { id } } }", json!({})).await;
    graph.clock.advance(TimeDelta::seconds(1));
    id
}

// D18, D35
#[test]
fn every_filter_finds_what_it_says_and_nothing_of_others() {
    run(async {
        let graph = Graph::start().await;
        let begun = graph.now();
        let id = history(&graph).await;
        let all = found(&graph, json!({})).await;
        assert_eq!(
            actions(&all),
            ["dataset.retire", "dataset.read", "freshness_policy.set", "dataset.register"]
        );
        // That was a call like any other.
        let looked = found(&graph, json!({ "action": "audit.read" })).await;
        assert_eq!(actions(&looked), ["audit.read"]);
        assert_eq!(looked[0]["rowCount"], "4", "{:#}", looked[0]);

        let board = &all[1];
        let one = |filter: Value| async { found(&graph, filter).await };
        assert_eq!(actions(&one(json!({ "correlationId": "board-7" })).await), ["dataset.read"]);
        assert_eq!(board["operationName"], "Board");
        assert_eq!(board["also"], json!(["run.read"]));
        assert_eq!(board["callId"], board["id"], "the event of the call has its id");
        let also = one(json!({ "action": "run.read" })).await;
        assert_eq!(actions(&also), ["dataset.read"], "what else it asked for");
        let of_dataset = one(json!({ "datasetId": id })).await;
        assert_eq!(
            actions(&of_dataset),
            ["dataset.retire", "freshness_policy.set", "dataset.register"]
        );
        let denied = one(json!({ "result": "DENIED" })).await;
        assert_eq!(denied, [all[0].clone()]);
        assert_eq!(denied[0]["errorCode"], "FORBIDDEN");
        assert_eq!(one(json!({ "class": "SCHEMA" })).await, Vec::<Value>::new());
        let actor = string(&all[3]["actorId"]);
        let admin = one(json!({ "actorId": actor, "class": "API" })).await;
        assert!(admin.contains(&all[3]) && !admin.contains(board), "{admin:#?}");
        // From the first instant to before the last.
        let span = json!({ "since": text(begun), "until": text(begun + TimeDelta::seconds(2)) });
        assert_eq!(actions(&one(span).await), ["freshness_policy.set", "dataset.register"]);
        let both = json!({ "datasetId": id, "result": "SUCCESS", "action": "dataset.register" });
        assert_eq!(one(both).await, [all[3].clone()]);
    });
}

// D35
#[test]
fn pages_hold_every_event_once_and_rest_says_the_same() {
    run(async {
        let graph = Graph::start().await;
        history(&graph).await;
        // All of them at one instant: the id alone orders them.
        for _ in 0..7 {
            graph.read("{ me { role } }", json!({})).await;
        }
        let until = text(graph.now() + TimeDelta::microseconds(1));
        graph.clock.advance(TimeDelta::seconds(1));
        let whole = found(&graph, json!({ "until": until })).await;
        assert_eq!(whole.len(), 11);
        let token = graph.token(Role::Auditor);
        let (mut paged, mut after) = (Vec::new(), Value::Null);
        let mut path = format!("{PATH}?until={until}&first=3");
        loop {
            let variables = json!({ "filter": { "until": until }, "first": 3, "after": after });
            let data = graph.app.data(&token, EVENTS, variables).await;
            let page = &data["auditEvents"];
            let rest = get(&graph, &token, &path).await;
            assert_eq!(rest.body, *page, "{path}");
            paged.extend(page["nodes"].as_array().unwrap().iter().cloned());
            after = page["pageInfo"]["endCursor"].clone();
            match rest.next {
                Some(next) => path = format!("{PATH}{next}"),
                None => break,
            }
        }
        assert_eq!(paged, whole);
        let denied = get(&graph, &token, &format!("{PATH}?result=DENIED")).await;
        assert_eq!(denied.body["nodes"], json!([whole[7].clone()]));
        let id = string(&whole[7]["id"]);
        let one = get(&graph, &token, &format!("{PATH}/{id}")).await;
        assert_eq!(one.body, whole[7]);
        assert!(one.tag.unwrap().starts_with('"'), "nothing of it changes with time");
    });
}

#[test]
fn every_event_is_found_by_its_id_and_so_are_those_whose_id_was_made_while_the_call_went_on() {
    run(async {
        let graph = Graph::start().await;
        history(&graph).await;
        let by_id = "query($id: ID!) { auditEvent(id: $id) { id } }";
        let auditor = graph.token(Role::Auditor);
        for event in found(&graph, json!({})).await {
            let data = graph.app.data(&auditor, by_id, json!({ "id": event["id"] })).await;
            assert_eq!(data["auditEvent"]["id"], event["id"]);
        }
        // As the program made them once: after the call had come.
        let now = SystemClock.now();
        let (late, kept) = (now - TimeDelta::seconds(50), now - TimeDelta::days(3));
        let (of_late, of_kept) = (SystemClock.id_at(now), SystemClock.id_at(kept));
        let mut admin = graph.app.admin().await;
        for (id, at) in [(of_late, late), (of_kept, kept)] {
            let sql = format!(
                "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
                 VALUES ('{TENANT}', '{}', '{id}', 'somebody', 'dataset.read', 'SUCCESS', 'once')",
                at.to_rfc3339()
            );
            script(&mut admin, &sql).await;
            let data = graph.app.data(&auditor, by_id, json!({ "id": id })).await;
            assert_eq!(data["auditEvent"]["id"], json!(id), "{at}");
        }
        // One that is no event's, and one that says no time.
        for id in [SystemClock.id_at(kept).to_string(), Uuid::nil().to_string()] {
            let data = graph.app.data(&auditor, by_id, json!({ "id": id })).await;
            assert_eq!(data["auditEvent"], Value::Null, "{id}");
        }
    });
}

// D14, D18, S10
#[test]
fn the_trail_is_for_auditors_and_the_tenants_admin_and_no_other_tenant() {
    run(async {
        let graph = Graph::start().await;
        history(&graph).await;
        let event = found(&graph, json!({})).await.remove(0);
        let by_id = "query($id: ID!) { auditEvent(id: $id) { id action dataset { name } } }";
        let id = json!({ "id": event["id"] });
        for role in [Role::Auditor, Role::TenantAdmin] {
            let data = graph.app.data(&graph.token(role), by_id, id.clone()).await;
            assert_eq!(data["auditEvent"]["id"], event["id"], "{role}");
            assert_eq!(data["auditEvent"]["dataset"]["name"], "orders", "{role}");
        }
        // An administrator without the right to manage has no right to look either.
        let mut request = TestApp::request(TENANT, Role::TenantAdmin);
        request.scopes = ScopeSet::parse("storage.read.refresh");
        let reads_only = graph.app.sign(&request);
        assert_eq!(graph.app.code(&reads_only, by_id, id.clone()).await, "FORBIDDEN");
        // What is another tenant's and what nobody has look the same.
        let stranger = graph.app.token(STRANGER, Role::Auditor);
        let foreign = graph.app.answer(&stranger, by_id, id.clone()).await;
        let nobodys = json!({ "id": "0190a000-0000-7000-8000-0000000000ff" });
        assert_eq!(foreign, graph.app.answer(&stranger, by_id, nobodys).await);
        assert_eq!(foreign["data"]["auditEvent"], Value::Null);
        let theirs = graph.app.data(&stranger, EVENTS, json!({})).await;
        let theirs = theirs["auditEvents"]["nodes"].as_array().unwrap().clone();
        assert_eq!(actions(&theirs), ["audit.read", "audit.read", "dataset.read"]);
        let path = format!("{PATH}/{}", string(&event["id"]));
        assert_eq!(refusal(&get(&graph, &stranger, &path).await), (404, "NOT_FOUND", None));
    });
}

#[test]
fn what_cannot_be_looked_for_is_refused_where_it_stands() {
    run(async {
        let graph = Graph::start().await;
        let token = graph.token(Role::Auditor);
        let limit = json!({ "first": 201 });
        assert_eq!(graph.app.code(&token, EVENTS, limit).await, "LIMIT_EXCEEDED");
        for filter in [
            json!({ "datasetId": "orders" }),
            json!({ "actorId": "a".repeat(257) }),
            json!({ "action": "dataset\u{0}read" }),
            json!({ "correlationId": "a\nb" }),
        ] {
            let variables = json!({ "filter": filter });
            assert_eq!(graph.app.code(&token, EVENTS, variables).await, "BAD_USER_INPUT");
        }
        for (query, field) in [
            ("since=yesterday", "since"),
            ("result=MAYBE", "result"),
            ("datasetId=orders", "datasetId"),
            ("after=x", "after"),
            ("first=201", "first"),
        ] {
            let answer = get(&graph, &token, &format!("{PATH}?{query}")).await;
            let (status, _, place) = refusal(&answer);
            assert_eq!((status, place), (400, Some(field)), "{query}");
        }
    });
}
