//! What pipelines report in the terms of REST.

use drr::auth::policy::{Role, ScopeSet};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::Answer;
use crate::{
    cluster::run,
    graph::{Audited, Graph, text},
};

const RUN: &str = "0190a000-0000-7000-8000-00000000000a";

async fn report(graph: &Graph, token: &str, id: &str, key: Option<&str>, body: &Value) -> Answer {
    let url = format!("/storage-internal/v1/datasets/{id}/refresh-state");
    let mut request = graph.app.http.post(graph.app.internal(&url)).bearer_auth(token);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    Answer::of(request.json(body).send().await.unwrap()).await
}

// D17
#[test]
fn a_reported_state_is_the_state_that_everybody_sees() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("orders").await;
        let writer = graph.token(Role::RuntimeWriter);
        let audited = graph.audit().await.len();
        let run_of = |state: &str, ago: i64| json!({ "runId": RUN, "state": state, "eventTime": text(graph.ago(ago)) });
        let started = report(&graph, &writer, &id, Some("1"), &run_of("START", 50)).await;
        assert_eq!(started.status, StatusCode::OK, "{started:#?}");
        assert_eq!(started.body["runId"], RUN);
        assert_eq!(started.body["status"], "RECORDED");
        assert_eq!(started.body["refreshState"]["status"], "REFRESHING");

        let mut complete = run_of("COMPLETE", 10);
        complete["rowCount"] = json!(1_200);
        complete["byteCount"] = json!(5_000_000_000_i64);
        complete["sourceWatermark"] = json!(text(graph.ago(100)));
        let completed = report(&graph, &writer, &id, Some("2"), &complete).await.body;
        let state = &completed["refreshState"];
        assert_eq!(state["status"], "READY", "{completed:#}");
        assert_eq!(state["lastSuccessAt"].as_str().unwrap()[..19], text(graph.ago(10))[..19]);
        assert_eq!(
            (&state["rowCount"], &state["byteCount"]),
            (&json!("1200"), &json!("5000000000"))
        );
        let again = report(&graph, &writer, &id, Some("3"), &complete).await.body;
        assert_eq!((&again["status"], &again["refreshState"]), (&json!("DUPLICATE"), state));

        // By the URN, without a run of its own, started and failed in one report.
        let urn = "urn:drr:dataset:acme:ns:orders";
        let failed = json!({
            "state": "FAIL", "eventTime": text(graph.now()), "startedAt": text(graph.ago(5)),
            "job": { "namespace": "cron", "name": "load" }, "errorMessage": "disk full",
        });
        let answer = report(&graph, &writer, urn, Some("4"), &failed).await.body;
        assert_eq!(answer["refreshState"]["status"], "FAILED", "{answer:#}");
        // Sent again it is told again, the run that was made for it included.
        let again = report(&graph, &writer, urn, Some("4"), &failed).await;
        assert_eq!((again.status, &again.body), (StatusCode::OK, &answer));
        let other = report(&graph, &writer, urn, Some("4"), &complete).await;
        assert_eq!(super::refusal(&other), (422, "IDEMPOTENCY_CONFLICT", None));
        let query =
            "query($id: ID!) { dataset(id: $id) { refreshState { status consecutiveFailures }
            runs(first: 1) { nodes { runId job { name } startedAt endedAt errorMessage } } } }";
        let seen = &graph.read(query, json!({ "id": id })).await["dataset"];
        assert_eq!(seen["refreshState"], json!({ "status": "FAILED", "consecutiveFailures": 1 }));
        let run = &seen["runs"]["nodes"][0];
        assert_eq!(run["runId"], answer["runId"]);
        assert_eq!(
            (&run["job"]["name"], &run["errorMessage"]),
            (&json!("load"), &json!("disk full"))
        );
        assert_ne!(run["startedAt"], run["endedAt"]);

        // Each event, and each call that was answered without one.
        let events = graph.audited_since(audited).await;
        let results: Vec<_> = events.iter().map(|event| event.result.as_str()).collect();
        let expected =
            ["SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "REJECTED"];
        assert_eq!(results, expected, "{events:#?}");
        assert!(events.iter().all(|event| event.action == "run_events.record"), "{events:#?}");
        let about = events.iter().filter(|event| event.dataset_id.as_deref() == Some(&id));
        assert_eq!(about.count(), 5);
    });
}

// D17, S10
#[test]
fn what_cannot_be_recorded_leaves_nothing_but_its_audit_event() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("orders").await;
        let writer = graph.token(Role::RuntimeWriter);
        let good = json!({ "runId": RUN, "state": "COMPLETE", "eventTime": text(graph.now()) });
        let with = |name: &str, value: Value| {
            let mut report = good.clone();
            report[name] = value;
            report
        };
        let missing = "0190a000-0000-7000-8000-0000000000ff";
        let cases = [
            (id.as_str(), None, good.clone(), (400, "BAD_USER_INPUT", Some("Idempotency-Key"))),
            (&id, Some(""), good.clone(), (400, "BAD_USER_INPUT", Some("Idempotency-Key"))),
            (&id, Some("k"), json!([good]), (400, "BAD_USER_INPUT", Some("body"))),
            (&id, Some("k"), with("runId", json!("x")), (400, "BAD_USER_INPUT", Some("runId"))),
            (&id, Some("k"), with("state", json!("DONE")), (400, "BAD_USER_INPUT", Some("state"))),
            (&id, Some("k"), with("state", Value::Null), (400, "BAD_USER_INPUT", Some("state"))),
            (
                &id,
                Some("k"),
                with("eventTime", json!("now")),
                (400, "BAD_USER_INPUT", Some("eventTime")),
            ),
            (
                &id,
                Some("k"),
                with("eventTime", json!(text(graph.ago(-301)))),
                (400, "BAD_USER_INPUT", Some("eventTime")),
            ),
            (
                &id,
                Some("k"),
                with("startedAt", json!(text(graph.ago(-301)))),
                (400, "BAD_USER_INPUT", Some("startedAt")),
            ),
            (
                &id,
                Some("k"),
                with("rowCount", json!(-1)),
                (400, "BAD_USER_INPUT", Some("rowCount")),
            ),
            (
                &id,
                Some("k"),
                with("rowCount", json!("7")),
                (400, "BAD_USER_INPUT", Some("rowCount")),
            ),
            (&id, Some("k"), with("job", json!(["a", "b"])), (400, "BAD_USER_INPUT", Some("job"))),
            (
                &id,
                Some("k"),
                with("job", json!({ "namespace": "", "name": "b" })),
                (400, "BAD_USER_INPUT", Some("job")),
            ),
            (&id, Some("k"), with("rows", json!(1)), (400, "BAD_USER_INPUT", Some("rows"))),
            ("none", Some("k"), good.clone(), (400, "BAD_USER_INPUT", Some("id"))),
            (missing, Some("k"), good.clone(), (404, "NOT_FOUND", None)),
            ("urn:drr:dataset:acme:ns:none", Some("k"), good.clone(), (404, "NOT_FOUND", None)),
            ("urn:drr:dataset:globex:ns:orders", Some("k"), good.clone(), (404, "NOT_FOUND", None)),
        ];
        for (id, key, body, expected) in cases {
            let audited = graph.audit().await.len();
            let answer = report(&graph, &writer, id, key, &body).await;
            assert_eq!(super::refusal(&answer), expected, "{body}");
            let events = graph.audited_since(audited).await;
            let event = Audited::new("run_events.record", None, "REJECTED", Some(expected.1));
            assert_eq!(events, [event], "{body}");
        }
        let reader = report(&graph, &graph.token(Role::Reader), &id, Some("k"), &good).await;
        assert_eq!(super::refusal(&reader), (403, "FORBIDDEN", None));
        let state = "query($id: ID!) { dataset(id: $id) { refreshState { status } } datasets { nodes { id } } }";
        let seen = graph.read(state, json!({ "id": id })).await;
        assert_eq!(seen["dataset"]["refreshState"]["status"], "NEVER");
        assert_eq!(seen["datasets"]["nodes"], json!([{ "id": id }]));
    });
}

// D12, D13, D17
#[test]
fn who_may_write_and_not_read_is_shown_nothing_and_the_report_stands() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("orders").await;
        let mut request = crate::app::TestApp::request("acme", Role::RuntimeWriter);
        request.scopes = ScopeSet::parse("storage.write.refresh");
        let token = graph.app.sign(&request);
        let body = json!({ "state": "COMPLETE", "eventTime": text(graph.now()) });
        let answer = report(&graph, &token, &id, Some("k"), &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:#?}");
        assert_eq!(answer.body["refreshState"], Value::Null);
        let state = "query($id: ID!) { dataset(id: $id) { refreshState { status } } }";
        let seen = graph.read(state, json!({ "id": id })).await;
        assert_eq!(seen["dataset"]["refreshState"]["status"], "READY");
    });
}
