//! What a key means: for every mutation and every POST.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{Answered, TENANT, admin, count, graphql, lineage};
use crate::{app::TestApp, cluster::run, smoke::run_event};

const REGISTER: &str = "mutation($input: RegisterDatasetInput!) {
  registerDataset(input: $input) { status dataset { id name } } }";

fn named(name: &str) -> Value {
    json!({ "input": { "namespace": "ns", "name": name } })
}

async fn datasets(app: &TestApp) -> i64 {
    count(app, "SELECT count(*) FROM dataset_registry").await
}

#[test]
fn the_same_request_gets_the_stored_answer_to_the_byte_and_has_one_effect() {
    run(async {
        let app = TestApp::start().await;
        let admin = admin(&app);
        let first = graphql(&app, &admin, "k", REGISTER, named("a")).await;
        assert_eq!(first.json()["data"]["registerDataset"]["status"], "REGISTERED");
        assert!(!first.replayed());
        let expires = first.headers["idempotency-expires"].to_str().unwrap().to_owned();
        let expires = chrono::DateTime::parse_from_rfc2822(&expires).unwrap();
        let hours = (expires.to_utc() - app.clock.now()).num_minutes();
        assert!((24 * 60 - 1..=24 * 60).contains(&hours), "{hours}");
        for key in ["k", "\"k\""] {
            let again = graphql(&app, &admin, key, REGISTER, named("a")).await;
            assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
            assert!(again.replayed());
            for name in ["content-type", "idempotency-expires", "cache-control", "vary"] {
                assert_eq!(again.headers.get(name), first.headers.get(name), "{name}");
            }
        }
        assert_eq!(datasets(&app).await, 1);
        // Each repetition was a call.
        let done = "SELECT count(*) FROM audit_event WHERE result = 'SUCCESS' AND action NOT LIKE '%.read'";
        let events = count(&app, done).await;
        assert_eq!(events, 3);
        let flagged = "SELECT count(*) FROM audit_event WHERE resource LIKE 'idempotency:%'";
        assert_eq!(count(&app, flagged).await, 2);
        // Without the key, it is another request.
        let taken = app.data(&admin, REGISTER, named("a")).await;
        assert_eq!(taken["registerDataset"]["status"], "NAME_TAKEN");
        app.stop().await;
    });
}

#[test]
fn the_same_key_with_another_request_is_a_conflict() {
    run(async {
        let app = TestApp::start().await;
        let admin = admin(&app);
        graphql(&app, &admin, "k", REGISTER, named("a")).await;
        let other = graphql(&app, &admin, "k", REGISTER, named("b")).await;
        assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "IDEMPOTENCY_CONFLICT"));
        assert!(other.json().get("data").is_none());
        assert_eq!(datasets(&app).await, 1);
        let audited = "SELECT count(*) FROM audit_event WHERE result = 'REJECTED'
                         AND error_code = 'IDEMPOTENCY_CONFLICT'";
        assert_eq!(count(&app, audited).await, 1);

        let writer = app.token(TENANT, Role::RuntimeWriter);
        let event = |name| {
            run_event(
                "COMPLETE",
                "2026-01-01T00:00:00Z",
                "0190b1d2-7d5a-7000-8000-000000000001",
                name,
            )
        };
        // Another operation's key is another key.
        let first = lineage(&app, &writer, "k", &event("x")).await;
        assert_eq!(first.status, 201, "{:#}", first.json());
        let again = lineage(&app, &writer, "k", &event("x")).await;
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
        assert!(again.replayed() && again.json()["summary"]["recorded"] == 1);
        let other = lineage(&app, &writer, "k", &event("y")).await;
        assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "IDEMPOTENCY_CONFLICT"));
        assert_eq!(other.headers["content-type"], "application/problem+json");
        app.stop().await;
    });
}

#[test]
fn a_key_belongs_to_a_tenant_and_an_actor() {
    run(async {
        let app = TestApp::start().await;
        let mut other = TestApp::request(TENANT, Role::TenantAdmin);
        other.subject = "another-admin".to_owned();
        let callers = [admin(&app), app.sign(&other), app.token("globex", Role::TenantAdmin)];
        let mut ids = Vec::new();
        for (number, caller) in callers.iter().enumerate() {
            let name = named(&format!("n{number}"));
            let first = graphql(&app, caller, "k", REGISTER, name.clone()).await;
            assert_eq!(first.json()["data"]["registerDataset"]["status"], "REGISTERED");
            let again = graphql(&app, caller, "k", REGISTER, name).await;
            assert!(again.replayed());
            assert_eq!(again.bytes, first.bytes);
            ids.push(first.bytes);
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
        app.stop().await;
    });
}

#[test]
fn what_had_no_effect_may_be_tried_again_and_what_had_is_not_repeated() {
    run(async {
        let app = TestApp::start().await;
        let admin = admin(&app);
        let update = "mutation($id: ID!) {
          first: registerDataset(input: { namespace: \"ns\", name: \"new\" }) { status }
          second: updateDataset(input: { id: $id, expectedVersion: \"2\", description: \"d\" }) { status }
        }";
        let made = app.data(&admin, REGISTER, named("a")).await;
        let id = made["registerDataset"]["dataset"]["id"].clone();
        let variables = json!({ "id": id });
        let send = || graphql(&app, &admin, "k", update, variables.clone());
        let one = send().await.json();
        assert_eq!(one["data"]["first"]["status"], "REGISTERED");
        assert_eq!(one["data"]["second"]["status"], "VERSION_CONFLICT");
        // Meanwhile somebody else makes it version 2.
        let other =
            "mutation($id: ID!) { updateDataset(input: { id: $id, domain: \"x\" }) { status } }";
        app.data(&admin, other, variables.clone()).await;
        let two = send().await;
        assert!(!two.replayed());
        assert_eq!(two.json()["data"]["first"]["status"], "REGISTERED");
        assert_eq!(two.json()["data"]["second"]["status"], "UPDATED");
        // Now all of it is done, and the answer stays what it is.
        let three = send().await;
        assert!(three.replayed());
        assert_eq!(three.bytes, two.bytes);
        assert_eq!(datasets(&app).await, 2);
        app.stop().await;
    });
}

#[test]
fn malformed_keys_are_refused_and_queries_ignore_them() {
    run(async {
        let app = TestApp::start().await;
        let admin = admin(&app);
        for key in ["", "a b", "\"a", &"k".repeat(256)] {
            let refused = graphql(&app, &admin, key, REGISTER, named("a")).await;
            let expected = (400, "BAD_USER_INPUT");
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), expected, "{key}");
            let read = graphql(&app, &admin, key, "{ me { actorId } }", json!({})).await;
            assert_eq!(read.status, 200, "{key}");
            assert!(read.json().get("errors").is_none(), "{:#}", read.json());
        }
        let twice = app.http.post(app.public("/graphql")).bearer_auth(&admin);
        let twice = twice.header("idempotency-key", "a").header("idempotency-key", "a");
        let twice = twice.json(&json!({ "query": REGISTER, "variables": named("a") }));
        let twice = Answered::of(twice.send().await.unwrap()).await;
        assert_eq!(twice.status, 400);
        assert_eq!(datasets(&app).await, 0);
        assert_eq!(count(&app, "SELECT count(*) FROM idempotency_record").await, 0);
        app.stop().await;
    });
}
