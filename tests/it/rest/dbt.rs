//! What dbt found of its sources, imported.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use drr::{
    auth::policy::Role,
    clock::{Clock, ManualClock},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    app::TestApp,
    cluster::run,
    graph::{Graph, text},
    program,
};

/// What `dbt source freshness` of dbt-core wrote about our small warehouse, some of it fresh, some
/// late, one table empty and one missing.
const RECORDED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/recorded/dbt-sources.json");

/// The instant at which [`file`]s were made: that at which a test's clock stands.
fn made_at() -> DateTime<Utc> {
    ManualClock::default().now()
}

/// A file with these results.
pub fn file(results: &Value) -> Value {
    let version = "https://schemas.getdbt.com/dbt/sources/v3.json";
    json!({
        "metadata": { "dbt_schema_version": version, "generated_at": text(made_at()) },
        "results": results, "elapsed_time": 0.5,
    })
}

/// A result about `shop.<table>`, which was loaded `age` seconds ago.
pub fn result(table: &str, status: &str, age: i64) -> Value {
    json!({
        "unique_id": format!("source.warehouse.shop.{table}"),
        "max_loaded_at": text(made_at() - TimeDelta::seconds(age)),
        "snapshotted_at": text(made_at()), "status": status,
        "criteria": {
            "warn_after": { "count": 1, "period": "minute" },
            "error_after": { "count": 1, "period": "hour" }, "filter": null,
        },
    })
}

/// Imports a file as the tenant's runtime-writer.
pub async fn import(graph: &Graph, namespace: &str, file: &Value) -> (StatusCode, Value) {
    let path = format!("/api/v1/imports/dbt-sources?namespace={namespace}");
    let request = graph.app.http.post(graph.app.internal(&path)).json(file);
    let response = request.bearer_auth(graph.token(Role::RuntimeWriter)).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

const SEEN: &str = "query($text: String) { datasets(filter: { text: $text }) { nodes { id name
    refreshState { status lastSuccessAt sourceWatermark } runs { nodes { runId job { name } } }
    freshness { status ageSeconds }
    externalVerdicts { source status ageSeconds maxLoadedAt snapshottedAt message } } } }";

async fn seen(graph: &Graph, name: &str) -> Value {
    let data = graph.read(SEEN, json!({ "text": name })).await;
    data["datasets"]["nodes"][0].clone()
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_load_counts_once_and_the_latest_verdict_stands_in_any_order() {
    run(async {
        let graph = Graph::start().await;
        let mut early = result("orders", "pass", 30);
        early["snapshotted_at"] = json!(text(made_at() - TimeDelta::seconds(20)));
        let late = result("orders", "warn", 30);
        for (index, result) in [&late, &early, &late].into_iter().enumerate() {
            let (status, report) = import(&graph, "ns", &file(&json!([result]))).await;
            assert_eq!(status, StatusCode::OK, "{report:#}");
            let new = usize::from(index == 0);
            let summary =
                json!({ "received": 1, "recorded": new, "duplicates": 1 - new, "failed": 0 });
            assert_eq!(report, json!({ "summary": summary }));
        }
        let seen = seen(&graph, "orders").await;
        assert_eq!(seen["name"], "shop.orders");
        let state = &seen["refreshState"];
        assert_eq!(state["status"], "READY");
        let loaded = made_at() - TimeDelta::seconds(30);
        assert_eq!(instant(&state["lastSuccessAt"]), loaded);
        assert_eq!(instant(&state["sourceWatermark"]), loaded);
        let runs = seen["runs"]["nodes"].as_array().unwrap();
        assert_eq!((runs.len(), &runs[0]["job"]["name"]), (1, &json!("dbt source freshness")));
        let verdicts = seen["externalVerdicts"].as_array().unwrap();
        assert_eq!(verdicts.len(), 1, "{seen:#}");
        let verdict = &verdicts[0];
        assert_eq!((&verdict["source"], &verdict["status"]), (&json!("DBT"), &json!("WARN")));
        assert_eq!(verdict["ageSeconds"], "30");

        // A later load is another run.
        let (_, report) = import(&graph, "ns", &file(&json!([result("orders", "pass", 5)]))).await;
        assert_eq!(report["summary"]["recorded"], 1, "{report:#}");
    });
}

#[test]
fn what_is_wrong_with_one_result_takes_no_other_with_it() {
    run(async {
        let graph = Graph::start().await;
        let broken = json!({ "unique_id": "source.warehouse.shop.gone", "status": "runtime error",
            "error": "no such table" });
        let mut future = result("future", "pass", 0);
        future["max_loaded_at"] = json!(text(made_at() + TimeDelta::seconds(301)));
        let mut unnamed = result("unnamed", "pass", 0);
        unnamed["unique_id"] = json!("model.warehouse.orders");
        let results = json!([unnamed, result("orders", "pass", 1), future, broken]);
        let audited = graph.audit().await.len();
        let (status, report) = import(&graph, "ns", &file(&results)).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{report:#}");
        let summary = json!({ "received": 4, "recorded": 2, "duplicates": 0, "failed": 2 });
        assert_eq!(report["summary"], summary);
        let failed = report["failed_results"].as_array().unwrap();
        let failed: Vec<_> =
            failed.iter().map(|failed| (&failed["index"], &failed["field"])).collect();
        assert_eq!(
            failed,
            [(&json!(0), &json!("results.0.unique_id")), (&json!(2), &json!("results.2"))]
        );
        let results: Vec<_> = graph
            .audited_since(audited)
            .await
            .into_iter()
            .map(|event| (event.action, event.result))
            .collect();
        let event = |result: &str| ("dbt_sources.import".to_owned(), result.to_owned());
        assert_eq!(results, ["REJECTED", "SUCCESS", "REJECTED", "SUCCESS"].map(event));

        let gone = seen(&graph, "gone").await;
        assert_eq!(gone["refreshState"]["status"], "NEVER", "{gone:#}");
        assert_eq!(gone["runs"]["nodes"], json!([]));
        let verdict = &gone["externalVerdicts"][0];
        assert_eq!(
            (&verdict["status"], &verdict["message"]),
            (&json!("RUNTIME_ERROR"), &json!("no such table"))
        );
        assert_eq!((&verdict["maxLoadedAt"], &verdict["ageSeconds"]), (&Value::Null, &Value::Null));
        assert_eq!(seen(&graph, "future").await, Value::Null, "nothing of it is there");

        let (status, problem) = import(&graph, "ns", &file(&json!([unnamed]))).await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (400, &json!("BAD_USER_INPUT")),
            "{problem:#}"
        );
        for (namespace, body) in
            [("ns", json!({})), ("ns", json!([])), ("", file(&json!([result("a", "pass", 1)])))]
        {
            let (status, problem) = import(&graph, namespace, &body).await;
            assert_eq!(
                (status.as_u16(), &problem["code"]),
                (400, &json!("BAD_USER_INPUT")),
                "{problem:#}"
            );
        }
    });
}

/// The seconds of one of dbt's limits.
fn seconds(limit: &Value) -> Option<i64> {
    let of = match limit["period"].as_str()? {
        "minute" => 60,
        "hour" => 3_600,
        _ => 86_400,
    };
    Some(limit["count"].as_i64()? * of)
}

#[test]
fn our_verdict_is_dbts_by_the_same_criteria() {
    run(async {
        let text = std::fs::read_to_string(RECORDED).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let clock = Arc::new(ManualClock::new(instant(&file["metadata"]["generated_at"])));
        let graph = Graph { app: TestApp::with_clock(&clock).await, clock };
        let (status, report) = import(&graph, "warehouse", &file).await;
        assert_eq!(status, StatusCode::OK, "{report:#}");
        let mut compared = Vec::new();
        for result in file["results"].as_array().unwrap() {
            let unique_id = result["unique_id"].as_str().unwrap();
            let name = unique_id.splitn(3, '.').nth(2).unwrap();
            let dataset = seen(&graph, name).await;
            let verdict = &dataset["externalVerdicts"][0];
            let status = result["status"].as_str().unwrap();
            assert_eq!(verdict["status"], status.to_uppercase().replace(' ', "_"), "{dataset:#}");
            let (warn, fail) =
                (&result["criteria"]["warn_after"], &result["criteria"]["error_after"]);
            let limits =
                json!({ "warnAfterSeconds": seconds(warn), "failAfterSeconds": seconds(fail) });
            if limits.as_object().unwrap().values().all(Value::is_null) {
                continue;
            }
            let id = dataset["id"].as_str().unwrap();
            graph.set_policy(id, limits).await;
            graph.clock.set(instant(&result["snapshotted_at"]));
            let ours = seen(&graph, name).await["freshness"]["status"].as_str().unwrap().to_owned();
            let loaded = !verdict["maxLoadedAt"].is_null();
            let expected = match status {
                "pass" => "FRESH",
                "warn" => "WARN",
                // dbt takes a table without rows for one that was loaded in year 1.
                _ if !loaded => "UNKNOWN",
                _ => "STALE",
            };
            assert_eq!(ours, expected, "{result:#}");
            compared.push(status);
        }
        compared.sort_unstable();
        assert_eq!(compared, ["error", "error", "pass", "warn"]);
    });
}

#[test]
fn the_command_sends_a_file_and_keeps_the_token_to_itself() {
    run(async {
        let recorded: Value = serde_json::from_slice(&std::fs::read(RECORDED).unwrap()).unwrap();
        let made_at = instant(&recorded["metadata"]["generated_at"]);
        let app = TestApp::with_clock(&Arc::new(ManualClock::new(made_at))).await;
        let drr = |token: Option<String>, path: &str| {
            let server = app.internal("");
            let arguments =
                ["import", "dbt-sources", path, "--server", &server, "--namespace", "w"];
            let mut command = tokio::process::Command::from(program::drr(&arguments));
            command.envs(token.map(|token| ("DRR_TOKEN", token)));
            async move { command.output().await.unwrap() }
        };
        let said = drr(Some(app.token("acme", Role::RuntimeWriter)), RECORDED).await;
        let (out, err) =
            (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["summary"]["failed"], 0, "{report:#}");

        let reader = app.token("acme", Role::Reader);
        for (token, path, why) in [
            (None, RECORDED, "DRR_TOKEN"),
            (Some(reader.clone()), RECORDED, "403"),
            (Some(reader.clone()), "/nonexistent", "cannot be read"),
        ] {
            let said = drr(token, path).await;
            let complaint = String::from_utf8_lossy(&said.stderr);
            assert!(!said.status.success() && complaint.contains(why), "{complaint}");
            assert!(!complaint.contains(&reader), "{complaint}");
        }
    });
}
