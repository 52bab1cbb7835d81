//! `recordRunEvents`: the same runs and states as by OpenLineage, and the same care.

use chrono::TimeDelta;
use drr::auth::policy::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{accepted, answers::RUN, assert_same, board, dump, service};
use crate::{app::TestApp, cluster::run};

const RECORD: &str = "mutation($events: [RunEventInput!]!) {
  recordRunEvents(input: {events: $events}) {
    results { index status problem { code message } } } }";

async fn record(app: &TestApp, token: &str, events: &Value) -> Value {
    let data = app.data(token, RECORD, json!({ "events": events })).await;
    data["recordRunEvents"]["results"].clone()
}

/// One event as either interface has it.
fn both(app: &TestApp, run: u128, kind: &str, seconds: i64) -> (Value, Value) {
    let at = (app.clock.now() - TimeDelta::seconds(seconds)).to_rfc3339();
    let id = Uuid::from_u128(run);
    let (namespace, name) = ("ns", format!("table-{}", run % 2));
    let watermark = (app.clock.now() - TimeDelta::days(1)).to_rfc3339();
    let graph = json!({
        "runId": id, "job": { "namespace": "jobs", "name": "load" }, "eventType": kind,
        "eventTime": at, "inputs": [{ "namespace": namespace, "name": "raw" }],
        "outputs": [{ "namespace": namespace, "name": name, "rowCount": "7", "byteCount": 8,
                      "fileCount": 9, "sourceWatermark": watermark }],
        "errorMessage": (kind == "FAIL").then_some("boom"),
        "nominalStartAt": at, "nominalEndAt": at, "parentRunId": Uuid::from_u128(77),
    });
    let mut run = json!({ "runId": id, "facets": {
        "nominalTime": { "nominalStartTime": at, "nominalEndTime": at },
        "parent": { "run": { "runId": Uuid::from_u128(77) }, "job": { "namespace": "j", "name": "p" } } } });
    if kind == "FAIL" {
        run["facets"]["errorMessage"] = json!({ "message": "boom", "programmingLanguage": "SQL" });
    }
    let lineage = json!({
        "eventType": kind, "eventTime": at, "producer": "p", "schemaURL": "s", "run": run,
        "job": { "namespace": "jobs", "name": "load" },
        "inputs": [{ "namespace": namespace, "name": "raw" }],
        "outputs": [{ "namespace": namespace, "name": name, "outputFacets": {
            "outputStatistics": { "rowCount": 7, "size": 8, "fileCount": 9 },
            "drr_sourceWatermark": { "at": watermark } } }],
    });
    (graph, lineage)
}

#[test]
fn both_interfaces_record_the_same() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let history = [
            (1, "START", 90),
            (1, "COMPLETE", 80),
            (2, "COMPLETE", 70),
            (2, "FAIL", 75),
            (3, "START", 60),
            (4, "OTHER", 50),
            (5, "START", 40),
            (5, "ABORT", 30),
        ];
        let (graph, lineage): (Vec<_>, Vec<_>) =
            history.iter().map(|(run, kind, at)| both(&app, *run, kind, *at)).unzip();
        let results = record(&app, &app.token("graph", Role::RuntimeWriter), &json!(graph)).await;
        let recorded = |index| json!({ "index": index, "status": "RECORDED", "problem": null });
        assert_eq!(results, json!((0..8).map(recorded).collect::<Vec<_>>()));
        accepted(&app, &app.token("lineage", Role::RuntimeWriter), &json!(lineage)).await;
        assert_eq!(board(&app, "graph").await, board(&app, "lineage").await);
        // What differs is the events themselves, and so the hashes of which one said what.
        let mut same = Vec::new();
        for tenant in ["graph", "lineage"] {
            let dump = dump(&mut admin, tenant).await;
            let table = |name: &str| {
                let from = dump.find(&format!("\n{name}: ")).unwrap() + 1;
                let rows = dump[from..].lines().skip(1).take_while(|line| line.starts_with(' '));
                rows.map(str::to_owned).collect::<Vec<_>>().join("\n")
            };
            same.push([table("dataset_refresh_state"), table("dataset_run_log")].concat());
        }
        assert_same(&same[0], &same[1], "the two interfaces");
        app.stop().await;
    });
}

#[test]
fn each_event_has_its_result() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let first = both(&app, 1, "COMPLETE", 60).0;
        record(&app, &writer, &json!([first])).await;
        let listed = app.data(&writer, "{ datasets { nodes { id name } } }", json!({})).await;
        let id = &listed["datasets"]["nodes"][1]["id"];
        assert_eq!(listed["datasets"]["nodes"][1]["name"], "table-1");

        let with = |pointer: &str, value: Value| {
            let mut event = both(&app, 2, "COMPLETE", 50).0;
            *event.pointer_mut(pointer).unwrap() = value;
            event
        };
        let future = (app.clock.now() + TimeDelta::seconds(301)).to_rfc3339();
        let events = json!([
            first,
            with("/outputs", json!([{ "datasetId": id, "rowCount": 3 }])),
            with("/eventTime", json!(future)),
            with("/outputs", json!([{ "datasetId": RUN }])),
            with("/outputs", json!([{ "datasetId": "x" }])),
            with("/outputs", json!([{ "datasetId": id, "name": "n" }])),
            with("/job/name", json!("another job")),
            with("/nominalStartAt", Value::Null),
            with("/job/name", json!("a\0b")),
        ]);
        let results = record(&app, &writer, &events).await;
        let results: Vec<_> = results
            .as_array()
            .unwrap()
            .iter()
            .map(|result| {
                let problem = &result["problem"];
                [&result["index"], &result["status"], &problem["code"], &problem["message"]]
                    .map(Value::clone)
            })
            .collect();
        assert_eq!(
            json!(results),
            json!([
                [0, "DUPLICATE", null, null],
                [1, "RECORDED", null, null],
                [
                    2,
                    "REJECTED",
                    "BAD_USER_INPUT",
                    "events.2.eventTime: is more than 300 seconds in the future"
                ],
                [3, "REJECTED", "NOT_FOUND", "no such dataset"],
                [4, "REJECTED", "BAD_USER_INPUT", "outputs.datasetId: is not an identifier"],
                [
                    5,
                    "REJECTED",
                    "BAD_USER_INPUT",
                    "outputs: needs a datasetId, or a namespace and a name"
                ],
                [6, "REJECTED", "CONFLICT", "the run id is already that of a run of another job"],
                [7, "REJECTED", "BAD_USER_INPUT", "nominalEndAt: needs a nominalStartAt"],
                [
                    8,
                    "REJECTED",
                    "BAD_USER_INPUT",
                    "events.8.job.name: contains U+0000, which cannot be stored"
                ],
            ])
        );
        let sql = "SELECT array_agg(action || ' ' || result ORDER BY sequence) FROM audit_event
                    WHERE action NOT LIKE '%.read'";
        let trail: Vec<String> = super::scalar(&mut admin, sql).await;
        let (done, refused) = ("run_events.record SUCCESS", "run_events.record REJECTED");
        assert_eq!(trail, [vec![done; 3], vec![refused; 7]].concat());
        app.stop().await;
    });
}

// S10
#[test]
fn a_foreign_dataset_looks_like_a_missing_one() {
    run(async {
        let app = service().await;
        let owner = app.token("acme", Role::RuntimeWriter);
        record(&app, &owner, &json!([both(&app, 1, "COMPLETE", 60).0])).await;
        let listed = app.data(&owner, "{ datasets { nodes { id } } }", json!({})).await;
        let foreign = listed["datasets"]["nodes"][0]["id"].clone();
        let thief = app.token("globex", Role::RuntimeWriter);
        let mut answers = Vec::new();
        for id in [foreign, json!(RUN)] {
            let mut event = both(&app, 2, "COMPLETE", 50).0;
            event["outputs"] = json!([{ "datasetId": id }]);
            let response = app.send(&thief, RECORD, json!({ "events": [event] })).await;
            assert_eq!(response.status(), 200);
            let headers: Vec<_> = response
                .headers()
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-correlation-id"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            answers.push((headers, response.text().await.unwrap()));
        }
        assert_eq!(answers[0], answers[1]);
        assert!(answers[0].1.contains("NOT_FOUND"), "{answers:?}");
        let mut admin = app.admin().await;
        let nothing = dump(&mut admin, "nobody").await;
        assert_same(&nothing, &dump(&mut admin, "globex").await, "the thief's tenant");
        app.stop().await;
    });
}

#[test]
fn limits() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let at = app.clock.now().to_rfc3339();
        let small = |run: usize| {
            json!({
            "runId": Uuid::from_u128(run as u128), "eventType": "START", "eventTime": at,
            "job": { "namespace": "n", "name": "j" } })
        };
        let many = |count: usize| json!({ "events": (0..count).map(small).collect::<Vec<_>>() });
        let code = app.code(&writer, RECORD, many(1_001)).await;
        assert_eq!(code, "LIMIT_EXCEEDED");
        let trail =
            "SELECT string_agg(action || ' ' || result || ' ' || error_code, ',') FROM audit_event";
        assert_eq!(
            super::scalar::<String>(&mut admin, trail).await,
            "run_events.record REJECTED LIMIT_EXCEEDED"
        );
        // A thousand fit into the limits of a body and of a document, since they are variables.
        let data = app.data(&writer, RECORD, many(1_000)).await;
        let results = data["recordRunEvents"]["results"].as_array().unwrap();
        assert_eq!(results.len(), 1_000);
        assert!(results.iter().all(|result| result["status"] == "RECORDED"));
        // Larger ones need smaller batches: the limit of the body comes first, and says its name.
        let mut large = many(1_000);
        for event in large["events"].as_array_mut().unwrap() {
            event["errorMessage"] = json!("x".repeat(300));
        }
        let response = app.send(&writer, RECORD, large).await;
        assert_eq!(response.status(), 413);
        let text = response.text().await.unwrap();
        assert!(text.contains("limits.graphql_body_bytes"), "{text}");
        app.stop().await;
    });
}
