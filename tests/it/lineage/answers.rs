//! What is accepted: the answers, what is stored of it, and its place in the audit trail.

use std::io::Write as _;

use drr::auth::policy::Role;
use flate2::{Compression, write::GzEncoder};
use reqwest::header;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};

use super::{accepted, scalar, service};
use crate::{app::TestApp, cluster::run, smoke::run_event};

pub const RUN: &str = "0190a000-0000-7000-8000-0000000000aa";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The audit events of a tenant, in the order of their making: action, result, code, resource, the
/// name of the dataset.
pub async fn trail(admin: &mut PgConnection, tenant: &str) -> Vec<[Option<String>; 5]> {
    let sql = "SELECT action, result, error_code, resource, name FROM audit_event a
        LEFT JOIN dataset_registry d USING (tenant_id, dataset_id)
        WHERE tenant_id = $1 AND action NOT LIKE '%.read' ORDER BY sequence";
    let rows = sqlx::query(sql).bind(tenant).fetch_all(admin).await.unwrap();
    rows.iter().map(|row| [0, 1, 2, 3, 4].map(|column| row.get(column))).collect()
}

fn entry(
    result: &str,
    code: Option<&str>,
    resource: Option<&str>,
    dataset: Option<&str>,
) -> [Option<String>; 5] {
    [Some("lineage.ingest"), Some(result), code, resource, dataset].map(|part| part.map(Into::into))
}

fn past(app: &TestApp, seconds: i64) -> String {
    (app.clock.now() - chrono::TimeDelta::seconds(seconds)).to_rfc3339()
}

// D34, D35
#[test]
fn each_event_has_its_answer_and_its_audit_event() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let good = run_event("COMPLETE", &past(&app, 60), RUN, "orders");
        let report = accepted(&app, &writer, &good).await;
        let summary = json!({ "received": 1, "recorded": 1, "duplicates": 0, "failed": 0 });
        assert_eq!(report, json!({ "summary": summary }));

        // Known, new, without a time, a run id of another job, the new one again.
        let mut other_job = run_event("FAIL", &past(&app, 50), RUN, "stolen");
        other_job["job"]["name"] = json!("thief");
        let id = "0190a000-0000-7000-8000-0000000000ab";
        let mut two = run_event("COMPLETE", &past(&app, 40), id, "orders");
        two["outputs"].as_array_mut().unwrap().push(json!({ "namespace": "w", "name": "b" }));
        let mut timeless = good.clone();
        timeless.as_object_mut().unwrap().remove("eventTime");
        let batch = json!([good, two, timeless, other_job, two]);
        let request = app.http.post(app.internal("/api/v1/lineage")).bearer_auth(&writer);
        let request = request.header("X-Correlation-ID", "nightly-load-7");
        let response = request.json(&batch).send().await.unwrap();
        assert_eq!(response.status(), 207);
        assert_eq!(response.headers()["x-correlation-id"], "nightly-load-7");
        let report: Value = response.json().await.unwrap();
        assert_eq!(
            report,
            json!({
                "summary": { "received": 5, "recorded": 1, "duplicates": 2, "failed": 2 },
                "failed_events": [
                    { "index": 2, "code": "BAD_USER_INPUT", "field": "events.2.eventTime",
                      "reason": "is required" },
                    { "index": 3, "code": "CONFLICT",
                      "reason": "the run id is already that of a run of another job" },
                ],
            })
        );
        let (first, second) = (format!("run:{RUN}"), format!("run:{id}"));
        let expected = [
            entry("SUCCESS", None, Some(&first), Some("orders")),
            entry("SUCCESS", None, Some(&first), Some("orders")),
            entry("SUCCESS", None, Some(&second), None),
            entry("REJECTED", Some("BAD_USER_INPUT"), None, None),
            entry("REJECTED", Some("CONFLICT"), Some(&first), None),
            entry("SUCCESS", None, Some(&second), None),
        ];
        assert_eq!(trail(&mut admin, "acme").await, expected);
        let ours = "SELECT count(*) FROM audit_event WHERE correlation_id = 'nightly-load-7'";
        assert_eq!(scalar::<i64>(&mut admin, ours).await, 5);

        // A call without any event is a call nevertheless.
        assert_eq!(accepted(&app, &writer, &json!([])).await["summary"]["received"], 0);
        assert_eq!(trail(&mut admin, "acme").await[6..], [entry("SUCCESS", None, None, None)]);
        app.stop().await;
    });
}

#[test]
fn old_producers_are_warned() {
    run(async {
        let app = service().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let mut old = run_event("complete", "2026-01-31T12:00:00.5", RUN, "orders");
        for member in ["producer", "schemaURL"] {
            old.as_object_mut().unwrap().remove(member);
        }
        old["outputs"][0]["outputFacets"] = json!({ "outputStatistics": { "rowCount": -1 } });
        let report = accepted(&app, &writer, &old).await;
        let warnings = report["warnings"].as_array().unwrap().iter();
        let warnings: Vec<_> = warnings
            .map(|warning| (&warning["index"], &warning["code"], &warning["field"]))
            .collect();
        let expected = [
            ("TIME_WITHOUT_ZONE", "eventTime"),
            ("MISSING_PRODUCER", "producer"),
            ("MISSING_SCHEMA_URL", "schemaURL"),
            ("EVENT_TYPE_CASE", "eventType"),
            ("VALUE_IGNORED", "outputs.0.outputFacets.outputStatistics.rowCount"),
        ];
        assert_eq!(json!(warnings), json!(expected.map(|(code, field)| (0, code, field))));
        let board = super::board(&app, "acme").await;
        let state = &board["datasets"]["nodes"][0]["refreshState"];
        assert_eq!(state["lastSuccessAt"], "2026-01-31T12:00:00.500+00:00");
        app.stop().await;
    });
}

#[test]
fn what_events_say_is_kept() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let fields = json!([{ "name": "id", "type": "BIGINT" }]);
        let facets =
            |fields: &Value| json!({ "schema": { "fields": fields }, "x_y": { "z": [1] } });
        let at = |seconds: i64| past(&app, seconds);
        let mut written = run_event("COMPLETE", &at(50), RUN, "orders");
        written["outputs"][0]["facets"] = facets(&fields);
        written["outputs"][0]["outputFacets"] = json!({ "outputStatistics": { "rowCount": 7, "size": 9_007_199_254_740_993_i64, "fileCount": 2 },
                    "drr_sourceWatermark": { "at": at(70) } });
        written["inputs"] =
            json!([{ "namespace": "warehouse", "name": "raw", "facets": facets(&json!([])) }]);
        written["run"]["facets"] = json!({ "custom": { "deep": [null, { "é": 1.5 }] } });
        let job = json!({ "eventTime": at(40), "producer": "p", "schemaURL": "s",
            "job": { "namespace": "jobs", "name": "load", "facets": { "sql": { "query": "select 1" } } },
            "outputs": [{ "namespace": "warehouse", "name": "orders", "facets": facets(&fields) }] });
        let dataset = json!({ "eventTime": at(90), "producer": "p", "schemaURL": "s",
            "dataset": { "namespace": "warehouse", "name": "orders", "facets": facets(&fields) } });
        // The latest one first.
        for event in [&job, &written, &dataset] {
            accepted(&app, &writer, event).await;
        }
        let rows = sqlx::query(
            "SELECT kind, run_id::text, event_type, payload FROM run_event ORDER BY kind",
        );
        let stored: Vec<_> = rows.fetch_all(&mut admin).await.unwrap();
        let stored: Vec<(String, Option<String>, Option<String>, Value)> =
            stored.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
        let expected = [
            ("DATASET".into(), None, None, dataset),
            ("JOB".into(), None, None, job),
            ("RUN".into(), Some(RUN.into()), Some("COMPLETE".into()), written),
        ];
        assert_eq!(stored, expected);

        let observed = "SELECT jsonb_agg(jsonb_build_array(name, fields, first_observed_at = $1,
                last_observed_at = $2) ORDER BY name)
            FROM dataset_observed_schema JOIN dataset_registry USING (tenant_id, dataset_id)";
        let instant = |seconds| app.clock.now() - chrono::TimeDelta::seconds(seconds);
        let observed: Value = sqlx::query_scalar(observed)
            .bind(instant(90))
            .bind(instant(40))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert_eq!(observed, json!([["orders", fields, true, true], ["raw", [], false, false]]));

        let board = super::board(&app, "acme").await;
        let state = &board["datasets"]["nodes"][0]["refreshState"];
        assert_eq!((&state["status"], &state["rowCount"]), (&json!("READY"), &json!("7")));
        assert_eq!(state["byteCount"], "9007199254740993");
        assert!(state["sourceWatermark"].is_string());
        let files = "SELECT file_count FROM dataset_run_log";
        assert_eq!(scalar::<i64>(&mut admin, files).await, 2);
        app.stop().await;
    });
}

// People's word stands against what events report.
#[test]
fn the_latest_report_stands_until_people_speak() {
    run(async {
        let app = service().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let said = |seconds: i64, text: &str, owner: Option<&str>| {
            let mut facets = json!({ "documentation": { "description": text } });
            if let Some(owner) = owner {
                facets["ownership"] = json!({ "owners": [{ "name": owner }] });
            }
            json!({ "eventTime": past(&app, seconds), "producer": "p", "schemaURL": "s",
                    "dataset": { "namespace": "n", "name": "d", "facets": facets } })
        };
        let manager = app.token("acme", Role::TenantAdmin);
        let shown = || async {
            let query = "{ datasets(filter: {text: \"word\"}) { nodes { id description owners version } } }";
            app.data(&manager, query, json!({})).await["datasets"]["nodes"][0].take()
        };
        accepted(&app, &writer, &said(30, "The middle word.", None)).await;
        accepted(&app, &writer, &said(60, "The first word.", Some("early"))).await;
        let known = shown().await;
        assert_eq!(known["description"], "The middle word.");
        assert_eq!((&known["owners"], &known["version"]), (&json!(["early"]), &json!("1")));
        accepted(&app, &writer, &said(10, "The last word.", Some("late"))).await;
        let known = shown().await;
        assert_eq!(
            (&known["description"], &known["owners"]),
            (&json!("The last word."), &json!(["late"]))
        );

        let update = "mutation($id: ID!) { updateDataset(input: {id: $id, description: \"My word.\"}) { status } }";
        app.data(&manager, update, json!({ "id": known["id"] })).await;
        accepted(&app, &writer, &said(5, "Another word.", Some("other"))).await;
        let known = shown().await;
        assert_eq!(
            (&known["description"], &known["owners"]),
            (&json!("My word."), &json!(["late"]))
        );
        app.stop().await;
    });
}

#[test]
fn compressed_bodies_are_read() {
    run(async {
        let app = service().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let event = run_event("COMPLETE", &past(&app, 1), RUN, "orders");
        let body = gzip(event.to_string().as_bytes());
        let request = app.http.post(app.internal("/api/v1/lineage")).bearer_auth(&writer);
        let request = request.header(header::CONTENT_ENCODING, "gzip").body(body);
        assert_eq!(request.send().await.unwrap().status(), 201);
        let (status, report) = app.lineage(&writer, &event).await;
        assert_eq!((status.as_u16(), &report["summary"]["duplicates"]), (201, &json!(1)));
        app.stop().await;
    });
}
