//! Each error that clients know, and what it leaves in the audit trail.

use drr::auth::policy::Role;
use reqwest::{Method, header};
use serde_json::{Value, json};
use sqlx::Row;

use super::{MEDIA, Registry, SUBJECTS, avro, refusal};
use crate::cluster::run;

const VERSIONS: &str = "/subjects/orders-value/versions";

// S16
#[test]
fn each_error_has_the_code_that_clients_know() {
    run(async {
        let registry = Registry::start().await;
        let author = registry.author("acme");
        registry.register(&author, "orders-value", avro(&["id:long"])).await;
        registry.approve("acme").await;
        let body = || Some(avro(&["id:long"]));
        let with = |name: &str, value: Value| {
            let mut body = avro(&["id:long"]);
            body[name] = value;
            Some(body)
        };
        let text = |text: &str| Some(json!({ "schema": text }));
        let reference = |subject: &str, version: i32| {
            with("references", json!([{ "name": "r", "subject": subject, "version": version }]))
        };
        let large = "a".repeat(1024 * 1024 + 1);
        let level = |level: &str| Some(json!({ "compatibility": level }));
        let cases: Vec<(Method, &str, Option<Value>, u16, u64)> = vec![
            (Method::GET, "/subjects/nothing/versions", None, 404, 40401),
            (Method::GET, "/subjects/nothing/versions/1", None, 404, 40401),
            (Method::GET, "/subjects/a%2Fb/versions/1", None, 404, 40401),
            (Method::GET, "/subjects/%ff/versions/1", None, 404, 40401),
            (Method::GET, "/subjects/..%2F..%2Fglobex/versions", None, 404, 40401),
            (Method::GET, "/subjects/nothing/versions/1/referencedby", None, 404, 40401),
            (Method::POST, "/subjects/nothing", body(), 404, 40401),
            (Method::DELETE, "/subjects/nothing", None, 404, 40401),
            (Method::DELETE, "/subjects/nothing/versions/1", None, 404, 40401),
            (Method::PUT, "/config/nothing", level("FULL"), 404, 40401),
            (Method::DELETE, "/config/nothing", None, 404, 40401),
            (Method::GET, "/subjects/orders-value/versions/2", None, 404, 40402),
            (Method::GET, "/subjects/orders-value/versions/2/schema", None, 404, 40402),
            (Method::DELETE, "/subjects/orders-value/versions/2", None, 404, 40402),
            (Method::POST, "/compatibility/subjects/orders-value/versions/2", body(), 404, 40402),
            (Method::GET, "/schemas/ids/999", None, 404, 40403),
            (Method::GET, "/schemas/ids/-1", None, 404, 40403),
            (Method::GET, "/schemas/ids/99999999999/schema", None, 404, 40403),
            (Method::GET, "/schemas/ids/one/subjects", None, 404, 40403),
            (Method::GET, "/schemas/ids/0/versions", None, 404, 40403),
            (Method::POST, "/subjects/orders-value", Some(avro(&["other:long"])), 404, 40403),
            (Method::GET, "/config/nothing", None, 404, 40408),
            (Method::POST, VERSIONS, text("{"), 422, 42201),
            (Method::POST, VERSIONS, text(""), 422, 42201),
            (Method::POST, VERSIONS, Some(json!({})), 422, 42201),
            (Method::POST, VERSIONS, with("schemaType", json!("XML")), 422, 42201),
            (Method::POST, VERSIONS, reference("nothing", 1), 422, 42201),
            (Method::POST, VERSIONS, reference("orders-value", 2), 422, 42201),
            (Method::POST, VERSIONS, reference("orders-value", 0), 422, 42201),
            (Method::POST, VERSIONS, reference("../x", 1), 422, 42201),
            (Method::POST, "/subjects/orders-value", text("{"), 422, 42201),
            (Method::POST, "/compatibility/subjects/orders-value/versions", text("{"), 422, 42201),
            (Method::POST, "/compatibility/subjects/nothing/versions", text("{"), 422, 42201),
            (Method::GET, "/subjects/orders-value/versions/0", None, 422, 42202),
            (Method::GET, "/subjects/orders-value/versions/-2", None, 422, 42202),
            (Method::GET, "/subjects/orders-value/versions/2147483648", None, 422, 42202),
            (Method::GET, "/subjects/orders-value/versions/last", None, 422, 42202),
            (Method::PUT, "/config/orders-value", level("SOME"), 422, 42203),
            (Method::PUT, "/config/orders-value", Some(json!({})), 422, 42203),
            (Method::PUT, "/config", level("FULL"), 422, 42205),
            (Method::DELETE, "/config", None, 422, 42205),
            (Method::PUT, "/mode", Some(json!({ "mode": "IMPORT" })), 422, 42205),
            (Method::PUT, "/mode/orders-value", Some(json!({ "mode": "IMPORT" })), 422, 42205),
            (Method::DELETE, "/subjects/orders-value?permanent=true", None, 422, 42205),
            (Method::DELETE, "/subjects/orders-value/versions/1?permanent=True", None, 422, 42205),
            (Method::POST, VERSIONS, with("ruleSet", json!({ "domainRules": [] })), 422, 42205),
            (Method::POST, VERSIONS, with("metadata", json!({ "tags": {} })), 422, 42205),
            (Method::POST, VERSIONS, with("id", json!(7)), 422, 42205),
            (
                Method::PUT,
                "/config/orders-value",
                Some(json!({ "compatibility": "FULL", "alias": "a" })),
                422,
                42205,
            ),
            (Method::POST, "/subjects/a.b.c/versions", body(), 422, 42208),
            (Method::POST, "/subjects/Sales.Order/versions", body(), 422, 42208),
            (Method::POST, "/subjects/a%2Fb/versions", body(), 422, 42208),
            (Method::POST, "/subjects/tenant.globex.default.a/versions", body(), 422, 42208),
            (Method::POST, VERSIONS, text(&large), 422, 42209),
            (Method::POST, VERSIONS, Some(avro(&["id:string"])), 409, 409),
            (Method::POST, VERSIONS, Some(json!({ "schema": 1 })), 400, 400),
            (Method::PATCH, VERSIONS, None, 405, 405),
        ];
        for (method, path, body, status, code) in cases {
            let path = format!("/confluent{path}");
            let said = registry.ask(&author, method.clone(), &path, body).await;
            assert_eq!(refusal(said), (status, code), "{method} {path}");
        }
        // Nothing of it has left anything.
        let versions = registry.get(&author, &format!("{SUBJECTS}/orders-value/versions")).await;
        assert_eq!(versions, (200, json!([1])));
        let names = "SELECT domain || '.' || name FROM schema_registry";
        let mut admin = registry.app.admin().await;
        assert_eq!(crate::door::world::strings(&mut admin, names).await, ["default.orders-value"]);
        registry.app.stop().await;
    });
}

// S16
#[test]
fn a_body_is_bounded_and_says_what_it_is() {
    run(async {
        let registry = Registry::start().await;
        let author = registry.author("acme");
        let url = registry.app.public("/confluent/subjects/orders-value/versions");
        let send = |media: Option<&str>, body: String| {
            let request = registry.app.http.post(&url).bearer_auth(&author).body(body);
            let request = match media {
                Some(media) => request.header(header::CONTENT_TYPE, media),
                None => request,
            };
            async move {
                let response = request.send().await.unwrap();
                assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA);
                (response.status().as_u16(), response.json::<Value>().await.unwrap())
            }
        };
        let body = avro(&["id:long"]).to_string();
        for media in [
            None,
            Some(MEDIA),
            Some("application/json; charset=utf-8"),
            Some("application/vnd.schemaregistry+json"),
        ] {
            assert_eq!(send(media, body.clone()).await.0, 200, "{media:?}");
        }
        assert_eq!(refusal(send(Some("text/plain"), body).await), (415, 415));
        assert_eq!(refusal(send(Some(MEDIA), "{".into()).await), (400, 400));
        let large = "a".repeat(11 * 1024 * 1024);
        assert_eq!(refusal(send(Some(MEDIA), large).await), (413, 413));
        registry.app.stop().await;
    });
}

// S16
#[test]
fn what_takes_too_long_says_so_in_their_words() {
    run(async {
        let app = crate::app::TestApp::with(|assembly| {
            assembly.limits.request_deadline = std::time::Duration::ZERO;
        })
        .await;
        let registry = Registry { app };
        let reader = registry.reader("acme");
        assert_eq!(refusal(registry.get(&reader, SUBJECTS).await), (500, 50002));
        registry.app.stop().await;
    });
}

// D34, S3, S13
#[test]
fn each_call_leaves_its_event_and_is_for_whom_it_is_for() {
    run(async {
        let registry = Registry::start().await;
        let (author, reader) = (registry.author("acme"), registry.reader("acme"));
        let stranger = registry.app.token("acme", Role::Reader);
        let approver = registry.app.token("acme", Role::GovernanceApprover);
        let versions = "/confluent/subjects/orders-value/versions";
        let body = avro(&["id:long"]);
        let wrong = json!({ "schema": "{" });
        type Said = (&'static str, &'static str, &'static str);
        type Case<'a> = (&'a str, Method, &'a str, Option<Value>, u16, Vec<Said>);
        let cases: Vec<Case<'_>> = vec![
            (
                &author,
                Method::POST,
                versions,
                Some(body.clone()),
                200,
                vec![
                    ("schema.register", "SUCCESS", "SCHEMA"),
                    ("schema.draft", "SUCCESS", "SCHEMA"),
                    ("schema_transition.propose", "SUCCESS", "SCHEMA"),
                ],
            ),
            (
                &author,
                Method::POST,
                versions,
                Some(body.clone()),
                200,
                vec![("schema.draft", "SUCCESS", "SCHEMA")],
            ),
            (
                &author,
                Method::POST,
                versions,
                Some(wrong),
                422,
                vec![("schema.draft", "REJECTED", "SCHEMA")],
            ),
            (&reader, Method::GET, SUBJECTS, None, 200, vec![("schema.read", "SUCCESS", "SCHEMA")]),
            (
                &reader,
                Method::GET,
                versions,
                None,
                404,
                vec![("schema.read", "REJECTED", "SCHEMA")],
            ),
            (
                &approver,
                Method::GET,
                SUBJECTS,
                None,
                200,
                vec![("schema.read", "SUCCESS", "SCHEMA")],
            ),
            (
                &reader,
                Method::POST,
                versions,
                Some(body.clone()),
                403,
                vec![("schema.draft", "DENIED", "SCHEMA")],
            ),
            (
                &approver,
                Method::POST,
                versions,
                Some(body),
                403,
                vec![("schema.draft", "DENIED", "SCHEMA")],
            ),
            (
                &reader,
                Method::DELETE,
                "/confluent/subjects/orders-value",
                None,
                403,
                vec![("schema_transition.propose", "DENIED", "SCHEMA")],
            ),
            (
                &reader,
                Method::PUT,
                "/confluent/config",
                None,
                403,
                vec![("schema.update", "DENIED", "SCHEMA")],
            ),
            (
                &stranger,
                Method::GET,
                SUBJECTS,
                None,
                403,
                vec![("schema.read", "DENIED", "SCHEMA")],
            ),
            (
                "a.b.c",
                Method::GET,
                SUBJECTS,
                None,
                401,
                vec![("confluent.request", "DENIED", "API")],
            ),
            (
                &reader,
                Method::PATCH,
                SUBJECTS,
                None,
                405,
                vec![("confluent.request", "REJECTED", "API")],
            ),
        ];
        let mut admin = registry.app.admin().await;
        for (token, method, path, body, status, events) in cases {
            let name = registry.app.clock.new_id().to_string();
            let request = registry.app.http.request(method.clone(), registry.app.public(path));
            let request = request.bearer_auth(token).header("x-correlation-id", &name);
            let request = match body {
                Some(body) => request.header(header::CONTENT_TYPE, MEDIA).body(body.to_string()),
                None => request,
            };
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{method} {path}");
            if status == 401 {
                assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
            }
            if status >= 400 {
                let body = response.json().await.unwrap();
                assert_eq!(refusal((status, body)).0, status);
            }
            let sql = "SELECT action, result, class FROM audit_event WHERE correlation_id = $1
                        ORDER BY sequence";
            let found = sqlx::query(sql).bind(&name).fetch_all(&mut admin).await.unwrap();
            let found: Vec<(String, String, String)> =
                found.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
            let events: Vec<_> = events
                .iter()
                .map(|(action, result, class)| {
                    ((*action).to_owned(), (*result).to_owned(), (*class).to_owned())
                })
                .collect();
            assert_eq!(found, events, "{method} {path}");
        }
        let scrape =
            registry.app.http.get(registry.app.operations("/metrics")).send().await.unwrap();
        let scrape = scrape.text().await.unwrap();
        assert!(scrape.contains("route=\"/confluent/subjects/{subject}/versions\""), "{scrape}");
        registry.app.stop().await;
    });
}
