//! Documents by their hash: automatic persisted queries, and the list of trusted ones.

use drr::auth::policy::Role;
use reqwest::{RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{app::TestApp, cluster::run};

const TEXT: &str = "query Role { me { role } }";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn by_hash(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

async fn sent(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn post(app: &TestApp, token: &str, body: Value) -> (StatusCode, Value) {
    sent(app.http.post(app.public("/graphql")).bearer_auth(token).json(&body)).await
}

fn get(app: &TestApp, hash: &str) -> RequestBuilder {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("extensions", &by_hash(hash).to_string());
    app.http.get(format!("{}?{}", app.public("/graphql"), query.finish()))
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

/// What Apollo Client's link does: the hash alone; after "not found" both; from then on the hash.
#[test]
fn a_document_is_sent_once_and_then_its_hash() {
    run(async {
        let app = TestApp::start().await;
        let token = app.token("acme", Role::Reader);
        let hash = sha256(TEXT);
        let alone = json!({ "operationName": "Role", "extensions": by_hash(&hash) });
        let (status, answer) = post(&app, &token, alone.clone()).await;
        assert_eq!((status.as_u16(), code(&answer)), (200, "PERSISTED_QUERY_NOT_FOUND"));
        assert_eq!(answer["errors"][0]["message"], "PersistedQueryNotFound");
        assert!(answer["errors"][0]["extensions"]["correlationId"].is_string());
        let strict = app.http.post(app.public("/graphql")).bearer_auth(&token).json(&alone);
        let strict = strict.header(header::ACCEPT, "application/graphql-response+json");
        assert_eq!(sent(strict).await.0, 200);

        let both = json!({ "query": TEXT, "extensions": by_hash(&hash) });
        assert_eq!(post(&app, &token, both).await.1["data"]["me"]["role"], "reader");
        assert_eq!(post(&app, &token, alone.clone()).await.1["data"]["me"]["role"], "reader");
        let get = get(&app, &hash).bearer_auth(&token);
        assert_eq!(sent(get).await.1["data"]["me"]["role"], "reader");

        // Another tenant learns nothing of it, not even that it is there.
        let other = app.token("globex", Role::Reader);
        let (_, answer) = post(&app, &other, alone).await;
        assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_FOUND");
    });
}

#[test]
fn a_hash_stands_for_its_own_text_and_a_mutation_stays_one() {
    run(async {
        let app = TestApp::start().await;
        let token = app.token("acme", Role::Reader);
        for (extension, field) in [
            (json!({ "version": 1, "sha256Hash": sha256("{ me { role } }") }), "sha256Hash"),
            (json!({ "version": 2, "sha256Hash": sha256(TEXT) }), "persistedQuery"),
            (json!({ "version": 1 }), "persistedQuery"),
            (json!("x"), "persistedQuery"),
        ] {
            let body = json!({ "query": TEXT, "extensions": { "persistedQuery": extension } });
            let (status, answer) = post(&app, &token, body).await;
            assert_eq!((status.as_u16(), code(&answer)), (400, "BAD_USER_INPUT"), "{answer:#}");
            assert!(answer["errors"][0]["message"].as_str().unwrap().contains(field), "{answer:#}");
        }
        let alone = json!({ "extensions": by_hash(&sha256("{ me { role } }")) });
        assert_eq!(code(&post(&app, &token, alone).await.1), "PERSISTED_QUERY_NOT_FOUND");

        let mutation = "mutation { acknowledgeBreach(input: {id: \"x\"}) { status } }";
        post(&app, &token, json!({ "query": mutation })).await;
        let get = get(&app, &sha256(mutation)).bearer_auth(&token);
        assert_eq!(sent(get).await.0, 405);
    });
}

#[test]
fn without_persisted_queries_the_client_is_told_to_stop_asking() {
    run(async {
        let app = TestApp::with(|assembly| assembly.graphql.without_persisted_queries = true).await;
        let token = app.token("acme", Role::Reader);
        for body in [
            json!({ "extensions": by_hash(&sha256(TEXT)) }),
            json!({ "query": TEXT, "extensions": by_hash(&sha256(TEXT)) }),
        ] {
            let (status, answer) = post(&app, &token, body).await;
            assert_eq!((status.as_u16(), code(&answer)), (200, "PERSISTED_QUERY_NOT_SUPPORTED"));
            assert_eq!(answer["errors"][0]["message"], "PersistedQueryNotSupported");
        }
        assert_eq!(
            post(&app, &token, json!({ "query": TEXT })).await.1["data"]["me"]["role"],
            "reader"
        );
    });
}

#[test]
fn only_trusted_documents_are_executed_where_only_they_are() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("documents.json");
        let other = "query Tenant { me { tenantId } }";
        let manifest = json!({
            "format": "apollo-persisted-query-manifest", "version": 1,
            "operations": [
                { "id": "role-1", "name": "Role", "type": "query", "body": TEXT },
                { "id": sha256(other), "name": "Tenant", "type": "query", "body": other },
            ],
        });
        std::fs::write(&file, manifest.to_string()).unwrap();
        let app = TestApp::with(|assembly| {
            assembly.graphql.only_trusted = true;
            assembly.graphql.trusted_documents_file = Some(file);
        })
        .await;
        let token = app.token("acme", Role::Reader);
        for body in [
            json!({ "query": TEXT }),
            json!({ "documentId": "role-1" }),
            json!({ "documentId": format!("sha256:{}", sha256(TEXT)) }),
            json!({ "extensions": by_hash("role-1") }),
            json!({ "extensions": by_hash(&sha256(TEXT)) }),
        ] {
            let (_, answer) = post(&app, &token, body.clone()).await;
            assert_eq!(answer["data"]["me"]["role"], "reader", "{body}: {answer:#}");
        }
        for (body, status, expected) in [
            (json!({ "query": "{ me { role } }" }), 403, "FORBIDDEN"),
            (json!({ "query": "{ __schema { queryType { name } } }" }), 403, "FORBIDDEN"),
            (json!({ "documentId": "role-2" }), 200, "PERSISTED_QUERY_NOT_FOUND"),
            (
                json!({ "extensions": by_hash(&sha256("{ me { role } }")) }),
                200,
                "PERSISTED_QUERY_NOT_FOUND",
            ),
        ] {
            let (told, answer) = post(&app, &token, body.clone()).await;
            assert_eq!((told.as_u16(), code(&answer)), (status, expected), "{body}: {answer:#}");
        }
        // A gateway is behind the internal listener, and makes documents of its own.
        let gateway = app.http.post(app.internal("/graphql")).bearer_auth(&token);
        let (_, answer) = sent(gateway.json(&json!({ "query": "{ _service { sdl } }" }))).await;
        assert!(answer["data"]["_service"]["sdl"].is_string(), "{answer:#}");
        // What came in by that door is not let in by the other.
        let known = json!({ "extensions": by_hash(&sha256("{ _service { sdl } }")) });
        assert_eq!(code(&post(&app, &token, known).await.1), "PERSISTED_QUERY_NOT_FOUND");
    });
}
