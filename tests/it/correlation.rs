//! One name for a request: on its answer, in its log lines, in its audit events. And what an answer
//! says when this service itself is at fault: the name, and nothing else.

use drr::auth::policy::Role;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::Executor;

use crate::{app::TestApp, cluster::run, smoke::run_event};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const RUN: &str = "0190a000-0000-7000-8000-000000000001";

/// Requests of every kind to every listener, with the status that each is answered with.
fn requests(app: &TestApp) -> Vec<(u16, RequestBuilder)> {
    let (reader, writer) =
        (app.token("acme", Role::Reader), app.token("acme", Role::RuntimeWriter));
    let mut requests = Vec::new();
    let me = json!({ "query": "{ me { role } }" });
    for url in [app.public("/graphql"), app.internal("/graphql")] {
        let post = || app.http.post(&url).bearer_auth(&reader);
        let json_of =
            |bytes: Vec<u8>| post().header("content-type", "application/json").body(bytes);
        requests.extend([
            (200, post().json(&me)),
            (200, post().json(&json!({ "query": "{ nothing }" }))),
            (200, post().json(&json!({ "query": "{ run(id: \"no\") { id } }" }))),
            (400, json_of(b"{".to_vec())),
            (413, json_of(vec![b' '; 300_000])),
            (415, post().body("{ me { role } }")),
            (401, app.http.post(&url).json(&me)),
            (406, post().header("accept", "text/html").json(&me)),
            (405, app.http.request(Method::PUT, &url)),
        ]);
    }
    let event = run_event("START", "2026-11-01T00:00:00Z", RUN, "orders");
    let lineage = |token: &str| app.http.post(app.internal("/api/v1/lineage")).bearer_auth(token);
    requests.extend([
        (201, lineage(&writer).json(&event)),
        (400, lineage(&writer).json(&json!({ "eventType": 1 }))),
        (401, lineage("abc").json(&event)),
        (403, lineage(&reader).json(&event)),
        (405, app.http.get(app.internal("/api/v1/lineage"))),
        (404, app.http.get(app.public("/nowhere"))),
        (404, app.http.get(app.internal("/nowhere"))),
        (404, app.http.get(app.operations("/nowhere"))),
        (405, app.http.post(app.operations("/metrics"))),
        (200, app.http.get(app.operations("/livez"))),
        (200, app.http.get(app.operations("/readyz"))),
        (200, app.http.get(app.operations("/metrics"))),
    ]);
    requests
}

/// Where an answer's body names the request.
fn names(body: &str) -> Vec<String> {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return Vec::new() };
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let named = errors.iter().map(|error| error["extensions"]["correlationId"].clone());
    let named = named.chain(body.get("correlation_id").cloned());
    named.map(|name| name.as_str().expect("every error names its request").to_owned()).collect()
}

// D34, D36
#[test]
fn every_answer_of_every_listener_names_its_request() {
    run(async {
        let app = TestApp::start().await;
        let mut made = std::collections::BTreeSet::new();
        let ways = [
            (Some(("x-correlation-id", "order-17.a_b")), Some("order-17.a_b")),
            (Some(("traceparent", TRACEPARENT)), Some(TRACE)),
            (Some(("x-correlation-id", "not a name")), None),
            (None, None),
        ];
        for (header, expected) in ways {
            for (status, mut request) in requests(&app) {
                if let Some((name, value)) = header {
                    request = request.header(name, value);
                }
                let response = request.send().await.unwrap();
                let what = format!("{} {}", response.url(), response.status());
                assert_eq!(response.status(), status, "{what}: {}", response.text().await.unwrap());
                let name = response.headers()["x-correlation-id"].to_str().unwrap().to_owned();
                match expected {
                    Some(expected) => assert_eq!(name, expected, "{what}"),
                    None => {
                        assert!(uuid::Uuid::parse_str(&name).is_ok(), "{what}: {name}");
                        assert!(made.insert(name.clone()), "{what}: {name} came twice");
                    }
                }
                let body = response.text().await.unwrap();
                let named = names(&body);
                assert!(named.iter().all(|named| *named == name), "{what}: {body}");
                assert!(
                    status < 400 || !named.is_empty(),
                    "{what}: an error without a name: {body}"
                );
            }
        }
    });
}

// D34, D35
#[test]
fn the_name_is_in_the_audit_trail_whatever_came_of_the_request() {
    run(async {
        let app = TestApp::start().await;
        let (reader, writer) =
            (app.token("acme", Role::Reader), app.token("acme", Role::RuntimeWriter));
        let event = run_event("START", "2026-11-01T00:00:00Z", RUN, "orders");
        let mutation = json!({ "query": "mutation { registerDataset(input: { namespace: \"n\", name: \"a\" }) { status } }" });
        let lineage = app.http.post(app.internal("/api/v1/lineage"));
        let graphql = || app.http.post(app.public("/graphql")).json(&mutation);
        let sent = [
            lineage.bearer_auth(&writer).json(&event).header("x-correlation-id", "by-lineage"),
            graphql().bearer_auth(&writer).header("traceparent", TRACEPARENT),
            graphql().bearer_auth(&writer).header("x-correlation-id", "again"),
            graphql().bearer_auth(&reader).header("x-correlation-id", "denied"),
        ];
        for request in sent {
            request.send().await.unwrap();
        }
        let made = graphql().bearer_auth(&reader).send().await.unwrap();
        let made = made.headers()["x-correlation-id"].to_str().unwrap().to_owned();
        let trail: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT correlation_id, action, result FROM audit_event ORDER BY sequence",
        )
        .fetch_all(&mut app.admin().await)
        .await
        .unwrap();
        let expected = [
            ("by-lineage", "lineage.ingest", "SUCCESS"),
            (TRACE, "dataset.register", "SUCCESS"),
            ("again", "dataset.register", "REJECTED"),
            ("denied", "dataset.register", "DENIED"),
            (made.as_str(), "dataset.register", "DENIED"),
        ];
        let expected = expected
            .map(|(name, action, result)| (name.to_owned(), action.to_owned(), result.to_owned()));
        assert_eq!(trail, expected);
    });
}

#[test]
fn a_fault_of_this_service_shows_its_name_and_nothing_else() {
    run(async {
        let app = TestApp::start().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let admin = app.token("acme", Role::TenantAdmin);
        let event = run_event("COMPLETE", "2026-11-01T00:00:00Z", RUN, "orders");
        assert_eq!(app.lineage(&writer, &event).await.0, 201);
        let listed = app.data(&admin, "{ datasets { nodes { id } } }", json!({})).await;
        let id = listed["datasets"]["nodes"][0]["id"].clone();
        // Something that no caller can do, and that nobody has thought of.
        app.admin()
            .await
            .execute("ALTER TABLE dataset_registry DROP COLUMN search_text CASCADE")
            .await
            .unwrap();

        let fault = |path: Value| {
            json!({
                "message": "an internal error occurred", "path": path,
                "extensions": { "code": "INTERNAL", "correlationId": "f" },
            })
        };
        let ask = async |query: &str| {
            let request = app
                .http
                .post(app.public("/graphql"))
                .bearer_auth(&admin)
                .header("x-correlation-id", "f");
            let response = request
                .json(&json!({ "query": query, "variables": { "id": id } }))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 200);
            let mut answer: Value = response.json().await.unwrap();
            for error in answer["errors"].as_array_mut().unwrap() {
                error.as_object_mut().unwrap().remove("locations");
            }
            answer
        };
        let answer = ask("query($id: ID!) { me { role } dataset(id: $id) { name } }").await;
        let data = json!({ "me": { "role": "tenant-admin" }, "dataset": null });
        assert_eq!(answer, json!({ "data": data, "errors": [fault(json!(["dataset"]))] }));
        // What was committed stands, though it cannot be shown.
        let set = "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 9 } })
                   { status dataset { name } } }";
        let answer = ask(set).await;
        let data = json!({ "setFreshnessPolicy": { "status": "SET", "dataset": null } });
        assert_eq!(
            answer,
            json!({ "data": data, "errors": [fault(json!(["setFreshnessPolicy", "dataset"]))] })
        );
        // And over plain HTTP.
        let event = run_event(
            "COMPLETE",
            "2026-11-02T00:00:00Z",
            "0190a000-0000-7000-8000-000000000002",
            "other",
        );
        let lineage = app.http.post(app.internal("/api/v1/lineage")).bearer_auth(&writer);
        let response = lineage.header("x-correlation-id", "f").json(&event).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let expected = json!({
            "type": "about:blank", "title": "Internal Server Error", "status": 500,
            "detail": "an internal error occurred", "code": "INTERNAL", "correlation_id": "f",
        });
        assert_eq!(response.json::<Value>().await.unwrap(), expected);

        let trail: Vec<(String, String, Option<String>)> = sqlx::query_as("SELECT action, result, error_code FROM audit_event WHERE correlation_id = 'f' ORDER BY sequence")
            .fetch_all(&mut app.admin().await)
            .await
            .unwrap();
        let failed =
            ("lineage.ingest".to_owned(), "FAILURE".to_owned(), Some("INTERNAL".to_owned()));
        let read = ("me.read".to_owned(), "PARTIAL".to_owned(), Some("INTERNAL".to_owned()));
        let set = ("freshness_policy.set".to_owned(), "SUCCESS".to_owned(), None);
        assert_eq!(trail, [read, set, failed]);
    });
}
