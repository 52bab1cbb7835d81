//! Requests, one of each kind, and the one event that each of them leaves.

use std::time::Duration;

use drr::auth::policy::Role;
use reqwest::{RequestBuilder, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::Connection;
use tokio::io::AsyncWriteExt;

use super::{Event, awaited, count, events, name};
use crate::{app::TestApp, cluster::run};

const CONTENT: &str = "application/json";

/// What is told of a call: tenant, action, result, code, way.
type Told = (&'static str, &'static str, &'static str, Option<&'static str>, &'static str);

fn told(event: &Event) -> (&str, &str, &str, Option<&str>, &str) {
    let Event { tenant_id, action, result, error_code, interface, .. } = event;
    (tenant_id, action, result, error_code.as_deref(), interface.as_deref().unwrap())
}

fn graphql(app: &TestApp, role: Role, body: &Value) -> RequestBuilder {
    app.http.post(app.public("/graphql")).bearer_auth(app.token("acme", role)).json(body)
}

fn query(text: &str) -> Value {
    json!({ "query": text })
}

// D34, D35
#[test]
fn every_call_leaves_one_event_before_its_answer() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let post =
            |path: &str| app.http.post(app.public(path)).header(header::CONTENT_TYPE, CONTENT);
        let ask = |role, text: &str| graphql(&app, role, &query(text));
        let reader = app.token("acme", Role::Reader);
        let deep = format!("{{ me {} }}", "{ a ".repeat(100));
        let register =
            "mutation { registerDataset(input: { namespace: \"n\", name: \"a\" }) { status } }";
        let list = app.public("/storage/v1/datasets");
        let cases: Vec<(RequestBuilder, u16, Told)> = vec![
            (
                ask(Role::Reader, "{ me { role } }"),
                200,
                ("acme", "me.read", "SUCCESS", None, "public"),
            ),
            (
                ask(Role::Reader, "{ datasets { nodes { name } } }"),
                200,
                ("acme", "dataset.read", "SUCCESS", None, "public"),
            ),
            (
                ask(Role::TenantAdmin, register),
                200,
                ("acme", "dataset.register", "SUCCESS", None, "public"),
            ),
            (
                ask(Role::TenantAdmin, register),
                200,
                ("acme", "dataset.register", "REJECTED", Some("CONFLICT"), "public"),
            ),
            (
                ask(Role::Reader, register),
                200,
                ("acme", "dataset.register", "DENIED", Some("FORBIDDEN"), "public"),
            ),
            (
                ask(Role::Reader, "{ _service { sdl } }"),
                403,
                ("acme", "schema.compose", "DENIED", Some("FORBIDDEN"), "public"),
            ),
            (
                ask(Role::Reader, "{ me {"),
                200,
                ("acme", "graphql.execute", "REJECTED", Some("BAD_USER_INPUT"), "public"),
            ),
            (
                ask(Role::Reader, &deep),
                413,
                ("acme", "graphql.execute", "REJECTED", Some("LIMIT_EXCEEDED"), "public"),
            ),
            (
                post("/graphql").bearer_auth(&reader).body("{"),
                400,
                ("acme", "graphql.execute", "REJECTED", Some("BAD_USER_INPUT"), "public"),
            ),
            (
                app.http.delete(app.public("/graphql")).bearer_auth(&reader),
                405,
                ("-", "graphql.execute", "REJECTED", Some("BAD_USER_INPUT"), "public"),
            ),
            (
                post("/graphql").body(query("{ me { role } }").to_string()),
                401,
                ("-", "graphql.execute", "DENIED", Some("UNAUTHENTICATED"), "public"),
            ),
            (
                post("/graphql").bearer_auth("a.b.c").body(query("{ me { role } }").to_string()),
                401,
                ("-", "graphql.execute", "DENIED", Some("UNAUTHENTICATED"), "public"),
            ),
            (
                app.http.get(&list).bearer_auth(&reader),
                200,
                ("acme", "dataset.read", "SUCCESS", None, "public"),
            ),
            (
                app.http
                    .get(format!("{list}/0190a000-0000-7000-8000-000000000001"))
                    .bearer_auth(&reader),
                404,
                ("acme", "dataset.read", "REJECTED", Some("NOT_FOUND"), "public"),
            ),
            (
                app.http.get(format!("{list}?first=none")).bearer_auth(&reader),
                400,
                ("acme", "rest.read", "REJECTED", Some("BAD_USER_INPUT"), "public"),
            ),
            (
                app.http.get(app.public("/nowhere")),
                404,
                ("-", "request", "REJECTED", Some("NOT_FOUND"), "public"),
            ),
            (
                app.http.get(app.operations("/nowhere")),
                404,
                ("-", "request", "REJECTED", Some("NOT_FOUND"), "operations"),
            ),
            (
                app.http
                    .post(app.internal("/api/v1/lineage"))
                    .bearer_auth(&reader)
                    .json(&json!([])),
                403,
                ("acme", "lineage.ingest", "DENIED", Some("FORBIDDEN"), "internal"),
            ),
        ];
        let sent = cases.len();
        for (request, status, expected) in cases {
            let call = name();
            let answer = request.header("x-correlation-id", &call).send().await.unwrap();
            assert_eq!(answer.status(), status, "{expected:?}");
            // At once: nothing is to be waited for.
            let left = events(&mut admin, &call).await;
            assert_eq!(left.len(), 1, "{expected:?}: {left:#?}");
            assert_eq!(told(&left[0]), expected);
            assert!(left[0].own && left[0].calls == 1);
            let known = expected.0 == "acme";
            assert_eq!(left[0].token.is_some(), known);
            assert_eq!(left[0].actor_id == "drr:anonymous", !known);
        }
        let all =
            count(&mut admin, "SELECT count(*) FROM audit_event WHERE call_id = event_id").await;
        assert_eq!(usize::try_from(all).unwrap(), sent);
        for path in ["/livez", "/readyz", "/metrics"] {
            app.http.get(app.operations(path)).send().await.unwrap();
        }
        let still = count(&mut admin, "SELECT count(*) FROM audit_event").await;
        assert_eq!(still, all, "probes and scrapes are no calls");
    });
}

#[test]
fn an_event_says_which_document_which_dataset_and_how_much() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let manager = app.token("acme", Role::TenantAdmin);
        let made = app
            .data(
                &manager,
                "mutation { registerDataset(input: { namespace: \"n\", name: \"a\" }) { dataset { id urn } } }",
                json!({}),
            )
            .await;
        let made = &made["registerDataset"]["dataset"];
        let id = made["id"].as_str().unwrap();
        let text = "query Board($id: ID!) { dataset(id: $id) { name freshness { status } runs { nodes { state } } } }";
        let call = name();
        let body = json!({ "query": text, "variables": { "id": id }, "operationName": "Board" });
        let request = graphql(&app, Role::TenantAdmin, &body).header("x-correlation-id", &call);
        assert!(request.send().await.unwrap().status().is_success());
        let [event] = events(&mut admin, &call).await.try_into().unwrap();
        assert_eq!(event.dataset_id.as_deref(), Some(id));
        assert_eq!(event.operation_name.as_deref(), Some("Board"));
        assert_eq!(event.document.unwrap(), hex::encode(Sha256::digest(text)));
        assert_eq!(event.also.unwrap(), ["freshness.read", "run.read"]);
        assert!(event.rows.unwrap() >= 2, "{:?}", event.rows);

        // What is asked for by a name that is not the caller's is told by that name.
        let urn = made["urn"].as_str().unwrap();
        let call = name();
        let body = json!({
            "query": "query($urn: String!) { datasetByUrn(urn: $urn) { id } }", "variables": { "urn": urn },
        });
        let stranger = app.token("globex", Role::Reader);
        let request = app.http.post(app.public("/graphql")).bearer_auth(stranger).json(&body);
        request.header("x-correlation-id", &call).send().await.unwrap();
        let [event] = events(&mut admin, &call).await.try_into().unwrap();
        assert_eq!((event.tenant_id.as_str(), event.dataset_id), ("globex", None));
        assert_eq!(event.resource.as_deref(), Some(urn));
    });
}

#[test]
fn of_several_changes_in_one_call_one_is_its_event() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let call = name();
        let text = "mutation {
          a: registerDataset(input: { namespace: \"n\", name: \"a\" }) { status }
          b: registerDataset(input: { namespace: \"n\", name: \"a\" }) { status }
          c: registerDataset(input: { namespace: \"n\", name: \"c\" }) { status } }";
        let request = graphql(&app, Role::TenantAdmin, &query(text));
        request.header("x-correlation-id", &call).send().await.unwrap();
        let left = events(&mut admin, &call).await;
        let results: Vec<_> = left.iter().map(|event| event.result.as_str()).collect();
        assert_eq!(results, ["SUCCESS", "REJECTED", "SUCCESS"]);
        assert_eq!(left.iter().filter(|event| event.own).count(), 1);
    });
}

#[test]
fn whoever_runs_out_of_time_or_goes_away_leaves_an_event() {
    run(async {
        let app = TestApp::with(|assembly| {
            assembly.limits.request_deadline = Duration::from_secs(2);
            assembly.limits.body_timeout = Duration::ZERO;
        })
        .await;
        let mut admin = app.admin().await;
        let mut holder = app.admin().await;
        let lock = "BEGIN; LOCK TABLE dataset_registry IN ACCESS EXCLUSIVE MODE";
        sqlx::raw_sql(lock).execute(&mut holder).await.unwrap();
        let body = query("{ datasets { nodes { id } } }");

        let late = name();
        let request = graphql(&app, Role::Reader, &body).header("x-correlation-id", &late);
        request.send().await.unwrap();
        let [event] = events(&mut admin, &late).await.try_into().unwrap();
        assert_eq!(event.result, "FAILURE");
        assert_eq!(event.error_code.as_deref(), Some("DEADLINE_EXCEEDED"));

        let gone = name();
        let mut socket = tokio::net::TcpStream::connect(app.public_address()).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-correlation-id: {gone}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            app.token("acme", Role::Reader),
            body.len(),
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // Until the statement waits for the lock, so that the call is under way.
        let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                        WHERE datname = current_database() AND NOT granted";
        while count(&mut admin, waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(socket);
        let [event] = awaited(&mut admin, &gone, 1).await.try_into().unwrap();
        assert_eq!(
            (event.tenant_id.as_str(), event.action.as_str(), event.result.as_str()),
            ("acme", "dataset.read", "CANCELLED")
        );
        holder.close().await.unwrap();
    });
}

// Strangers cost nothing, so what they leave is bounded; each of them counts all the same.
#[test]
fn a_flood_of_strangers_leaves_few_events_that_count_all_of_them() {
    run(async {
        const STRANGERS: usize = 300;
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let ask = || app.http.post(app.public("/graphql")).json(&query("{ me { role } }")).send();
        let begun = std::time::Instant::now();
        let answers = futures::future::join_all((0..STRANGERS).map(|_| ask())).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 401));
        let sum = "SELECT sum(calls) FROM audit_event WHERE tenant_id = '-'";
        assert_eq!(count(&mut admin, sum).await, i64::try_from(STRANGERS).unwrap());
        let events =
            count(&mut admin, "SELECT count(*) FROM audit_event WHERE tenant_id = '-'").await;
        // So many a second have one each, and four a second count the others.
        let most = 24 * (begun.elapsed().as_secs() + 2);
        assert!(u64::try_from(events).unwrap() <= most, "{events} > {most}");
    });
}
