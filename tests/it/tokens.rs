//! Tokens, from outside. Every single check has its unit test beside the verifier; here it is shown
//! that they stand before every door, and what the doors then say.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use drr::{
    auth::{JwksSource, KeySettings, TokenKind, policy::Role, signing::DevelopmentKey},
    clock::{Clock, ManualClock, SystemClock},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    app::{AUDIENCE, ISSUER, KEY, TestApp},
    cluster::run,
    smoke::run_event,
};

/// A key that signs whatever it is told.
struct Forger {
    key: DevelopmentKey,
    encoding: EncodingKey,
}

impl Forger {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = DevelopmentKey::load_or_create(&path).unwrap();
        let encoding = EncodingKey::from_rsa_pem(&std::fs::read(&path).unwrap()).unwrap();
        Self { key, encoding }
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message =
            format!("{}.{}", part(header.to_string().as_bytes()), part(payload.as_bytes()));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, Algorithm::RS256);
        format!("{message}.{}", signature.unwrap())
    }

    fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": self.key.key_id() })
    }
}

/// The key that the platform publishes in these tests; and one that it does not.
static TRUSTED: LazyLock<Forger> = LazyLock::new(Forger::new);
static FOREIGN: LazyLock<Forger> = LazyLock::new(Forger::new);

async fn app() -> TestApp {
    TestApp::with(|assembly| {
        assembly.keys = KeySettings::new(JwksSource::Document(TRUSTED.key.jwks_json()));
    })
    .await
}

/// The claims of a service's good token that ends `lifetime` seconds after it began, now.
fn claims(lifetime: i64) -> Value {
    let now = SystemClock.now().timestamp();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "svc-runtime", "client_id": "svc-runtime",
        "tenant_id": "acme", "role": "runtime-writer", "iat": now, "exp": now + lifetime,
        "scope": "storage.write.refresh storage.read.refresh",
    })
}

/// Those of a person's.
fn person(lifetime: i64) -> Value {
    let mut claims = claims(lifetime);
    claims.as_object_mut().unwrap().remove("client_id");
    claims["role"] = "reader".into();
    claims["scope"] = "storage.read.refresh".into();
    claims
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// The signature with its last bit that counts turned over.
fn tampered(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Every way to be wrong, each by itself: a token is good but for it.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let sign = |claims: Value| TRUSTED.sign(&TRUSTED.header(), &claims.to_string());
    let headed = |name: &str, value: Value| {
        TRUSTED.sign(&with(TRUSTED.header(), name, value), &claims(3_600).to_string())
    };
    let good = sign(claims(3_600));
    let (message, _) = good.rsplit_once('.').unwrap();
    let text = claims(3_600).to_string();
    let twice = text.replacen('{', "{\"tenant_id\":\"globex\",", 1);
    let now = SystemClock.now().timestamp();
    let past =
        |claims: Value| with(with(claims, "iat", (now - 600).into()), "exp", (now - 60).into());
    let mut unsaid = claims(3_600);
    unsaid.as_object_mut().unwrap().remove("tenant_id");
    let unsigned = json!({ "alg": "none", "typ": "at+jwt", "kid": TRUSTED.key.key_id() });
    let by_secret = json!({ "alg": "HS256", "typ": "at+jwt", "kid": TRUSTED.key.key_id() });
    let public_key = TRUSTED.key.jwks_json();
    let hs256 = |header: Value| {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", part(header.to_string().as_bytes()), part(text.as_bytes()));
        let key = EncodingKey::from_secret(public_key.as_bytes());
        let tag = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{tag}")
    };
    vec![
        ("no token at all", String::new()),
        ("not a token", "abc".to_owned()),
        ("not base64", "a.b!.c".to_owned()),
        ("too long", "a".repeat(8_193)),
        ("signature cut off", format!("{message}.")),
        ("signature changed", tampered(&good)),
        (
            "payload changed",
            TRUSTED
                .sign(&TRUSTED.header(), "{}")
                .rsplit_once('.')
                .map(|(_, other)| format!("{message}.{other}"))
                .unwrap(),
        ),
        (
            "alg none",
            format!(
                "{}.{}.",
                URL_SAFE_NO_PAD.encode(unsigned.to_string()),
                URL_SAFE_NO_PAD.encode(&text)
            ),
        ),
        ("alg HS256 under the public key", hs256(by_secret)),
        ("wrong type", headed("typ", "id_token+jwt".into())),
        ("unknown crit", headed("crit", json!(["x"]))),
        ("brings its own key", headed("jwk", json!({}))),
        ("unknown key", FOREIGN.sign(&FOREIGN.header(), &text)),
        ("foreign key under a known name", FOREIGN.sign(&TRUSTED.header(), &text)),
        ("foreign issuer", sign(with(claims(3_600), "iss", "https://evil.example".into()))),
        ("foreign audience", sign(with(claims(3_600), "aud", "other".into()))),
        ("issuers", sign(with(claims(3_600), "iss", json!([ISSUER])))),
        ("expired", sign(past(claims(3_600)))),
        (
            "issued in the future",
            sign(with(with(claims(3_600), "iat", (now + 600).into()), "exp", (now + 900).into())),
        ),
        ("not yet", sign(with(claims(3_600), "nbf", (now + 600).into()))),
        ("machine, 3601 s", sign(claims(3_601))),
        ("user, 901 s", sign(person(901))),
        ("no tenant", sign(unsaid)),
        ("tenant twice", TRUSTED.sign(&TRUSTED.header(), &twice)),
        ("tenant of the wrong type", sign(with(claims(3_600), "tenant_id", json!(["acme"])))),
        ("tenant that is a path", sign(with(claims(3_600), "tenant_id", "../acme".into()))),
        ("unknown role", sign(with(claims(3_600), "role", "root".into()))),
        (
            "user with the write scope",
            sign(with(person(900), "scope", "storage.write.refresh".into())),
        ),
        (
            "reader with the audit scope",
            sign(with(person(900), "scope", "storage.read.audit".into())),
        ),
    ]
}

/// One request to each door that asks for a token, none of them sent yet.
fn doors(app: &TestApp) -> [(&'static str, RequestBuilder); 3] {
    let query = json!({ "query": "{ me { role } }" });
    let event =
        run_event("START", "2026-11-01T00:00:00Z", "0190a000-0000-7000-8000-000000000001", "t");
    [
        ("public graphql", app.http.post(app.public("/graphql")).json(&query)),
        ("internal graphql", app.http.post(app.internal("/graphql")).json(&query)),
        ("internal lineage", app.http.post(app.internal("/api/v1/lineage")).json(&event)),
    ]
}

type Bytes = (StatusCode, BTreeSet<(String, String)>, String);

/// An answer to the last byte, its time aside.
async fn bytes(response: Response) -> Bytes {
    let headers = response.headers().iter().filter(|(name, _)| *name != header::DATE);
    let text = |value: &header::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    (response.status(), headers, response.text().await.unwrap())
}

// D4, D8, D10, D11, D13, D14, D32
#[test]
fn whatever_is_wrong_with_a_token_the_answer_is_the_same_to_the_last_byte() {
    run(async {
        let app = app().await;
        let good = TRUSTED.sign(&TRUSTED.header(), &claims(3_600).to_string());
        for (door, request) in doors(&app) {
            let status = request.bearer_auth(&good).send().await.unwrap().status();
            assert!(
                status.is_success(),
                "{door} refuses the token that all bad ones are made from: {status}"
            );
        }
        let mut answers: [Option<Bytes>; 3] = Default::default();
        for (name, token) in bad_tokens() {
            for ((door, request), seen) in doors(&app).into_iter().zip(&mut answers) {
                let request = request.bearer_auth(&token).header("x-correlation-id", "the-same");
                let answer = bytes(request.send().await.unwrap()).await;
                assert_eq!(answer.0, 401, "{name} at {door}: {}", answer.2);
                let challenge = (
                    "www-authenticate".to_owned(),
                    "Bearer realm=\"drr\", error=\"invalid_token\"".to_owned(),
                );
                assert!(answer.1.contains(&challenge), "{name} at {door}: {:?}", answer.1);
                let body: Value = serde_json::from_str(&answer.2).unwrap();
                let (code, id) = match body.get("errors") {
                    Some(errors) => (
                        &errors[0]["extensions"]["code"],
                        &errors[0]["extensions"]["correlationId"],
                    ),
                    None => (&body["code"], &body["correlation_id"]),
                };
                assert_eq!((code, id), (&"UNAUTHENTICATED".into(), &"the-same".into()), "{body}");
                assert_eq!(*seen.get_or_insert_with(|| answer.clone()), answer, "{name} at {door}");
            }
        }
        // Without the header, or with another scheme, the body is the same still.
        for (header, value) in [("x-nothing", ""), ("authorization", "Basic YTpi")] {
            for ((door, request), seen) in doors(&app).into_iter().zip(&answers) {
                let request = request.header(header, value).header("x-correlation-id", "the-same");
                let answer = bytes(request.send().await.unwrap()).await;
                let seen = seen.as_ref().unwrap();
                assert_eq!((answer.0, &answer.2), (seen.0, &seen.2), "{door}");
            }
        }
    });
}

// D11
#[test]
fn the_longest_lifetimes_pass_and_end() {
    run(async {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let app = TestApp::with_clock(&clock).await;
        for (kind, longest) in [(TokenKind::Machine, 3_600), (TokenKind::User, 900)] {
            let mut request = TestApp::request("acme", Role::Reader);
            request.kind = kind;
            let mut status = async |seconds| {
                request.lifetime = Duration::from_secs(seconds);
                let token = app.sign(&request);
                (app.send(&token, "{ me { role } }", json!({})).await.status(), token)
            };
            assert_eq!(status(longest + 1).await.0, 401, "{kind:?}");
            let (accepted, token) = status(longest).await;
            assert_eq!(accepted, 200, "{kind:?}");
            // It was verified and is remembered; its end counts all the same. The leeway is 30 s.
            if kind == TokenKind::User {
                clock.advance(chrono::TimeDelta::seconds(900 + 29));
                assert_eq!(app.send(&token, "{ me { role } }", json!({})).await.status(), 200);
                clock.advance(chrono::TimeDelta::seconds(1));
                assert_eq!(app.send(&token, "{ me { role } }", json!({})).await.status(), 401);
            }
        }
    });
}

/// Puts a key set in the place of another, at once and whole.
fn publish(path: &Path, keys: &[&DevelopmentKey]) {
    let keys = keys.iter().map(|key| {
        let set: Value = serde_json::from_str(&key.jwks_json()).unwrap();
        set["keys"][0].clone()
    });
    let draft = path.with_extension("draft");
    std::fs::write(&draft, json!({ "keys": keys.collect::<Vec<_>>() }).to_string()).unwrap();
    std::fs::rename(draft, path).unwrap();
}

// D40
#[test]
fn keys_rotate_under_load_without_a_false_refusal_and_a_retired_one_ends_within_a_second() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let (old, new) = (DevelopmentKey::generate().unwrap(), DevelopmentKey::generate().unwrap());
        publish(&path, &[&old]);
        let source = path.clone();
        let app =
            TestApp::with(|assembly| assembly.keys = KeySettings::new(JwksSource::File(source)))
                .await;
        let app = Arc::new(app);
        let token = |key: &DevelopmentKey| {
            key.sign(&TestApp::request("acme", Role::Reader), app.clock.as_ref()).unwrap()
        };
        let (old_token, new_tokens) =
            (token(&old), Arc::new([token(&new), token(&new), token(&new), token(&new)]));
        let asking = app.clone();
        let ask = move |token: String| {
            let app = asking.clone();
            async move { app.send(&token, "{ me { role } }", json!({})).await.status() }
        };

        // Callers with tokens of the old key, from before the rotation until after it.
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let load: Vec<_> = (0..4)
            .map(|_| {
                let (stop, answered, ask, token) =
                    (stop.clone(), answered.clone(), ask.clone(), old_token.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(ask(token.clone()).await, 200, "a false refusal of the old key");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // And somebody who makes up keys, so that the set is asked for again and again.
        let (stop_noise, noisy, made_up) = (stop.clone(), ask.clone(), token(&FOREIGN.key));
        let noise = tokio::spawn(async move {
            while !stop_noise.load(Ordering::Relaxed) {
                assert_eq!(noisy(made_up.clone()).await, 401);
            }
        });
        assert_eq!(ask(new_tokens[0].clone()).await, 401, "the new key is not published yet");
        publish(&path, &[&old, &new]);
        // At once, from many sides: nobody waits for the next renewal.
        let first: Vec<_> = (0..16).map(|n| tokio::spawn(ask(new_tokens[n % 4].clone()))).collect();
        for first in first {
            assert_eq!(first.await.unwrap(), 200, "a false refusal of the new key");
        }
        assert!(answered.load(Ordering::Relaxed) > 0);
        stop.store(true, Ordering::Relaxed);
        for caller in load.into_iter().chain([noise]) {
            caller.await.unwrap();
        }

        // The old token is remembered by now, and its key leaves.
        publish(&path, &[&new]);
        let retired = Instant::now();
        while ask(old_token.clone()).await == 200 {
            assert!(retired.elapsed() < Duration::from_secs(1), "a retired key still verifies");
        }
        assert_eq!(ask(old_token.clone()).await, 401);
        assert_eq!(ask(new_tokens[0].clone()).await, 200);
    });
}

async fn readiness(app: &TestApp) -> (StatusCode, Value) {
    let response = app.http.get(app.operations("/readyz")).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

// D8, D40
#[test]
fn while_the_keys_cannot_be_had_it_is_not_the_callers_fault() {
    run(async {
        // An address that nobody listens on, and later somebody does.
        let publisher = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = publisher.local_addr().unwrap();
        drop(publisher);
        let app = TestApp::with(|assembly| {
            let source = JwksSource::Url(format!("http://{address}/jwks"));
            let on_demand_gap = Duration::from_millis(1);
            assembly.keys = KeySettings { on_demand_gap, ..KeySettings::new(source) };
        })
        .await;
        let token = app.token("acme", Role::RuntimeWriter);
        let (status, report) = readiness(&app).await;
        assert_eq!(status, 503, "{report}");
        let checks = report["checks"].as_array().unwrap().iter();
        let failing: Vec<_> = checks.filter(|check| check["ok"] == false).collect();
        assert_eq!(
            failing,
            [&json!({ "name": "keys", "ok": false, "reason": "no key set to verify tokens with" })]
        );
        for (door, request) in doors(&app) {
            let response = request.bearer_auth(&token).send().await.unwrap();
            assert_eq!(response.status(), 503, "{door}");
            assert!(response.headers().contains_key(header::RETRY_AFTER), "{door}");
            assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE), "{door}");
            let body = response.text().await.unwrap();
            assert!(body.contains("UNAVAILABLE") && !body.contains("127.0.0.1"), "{door}: {body}");
        }
        // Who brings no token at all needs no key to be refused.
        let response =
            app.http.post(app.public("/graphql")).json(&json!({ "query": "{ me { role } }" }));
        assert_eq!(response.send().await.unwrap().status(), 401);

        let publisher = tokio::net::TcpListener::bind(address).await.unwrap();
        let router = Router::new().route("/jwks", get(|| async { KEY.jwks_json().to_string() }));
        let publishing = tokio::spawn(async move { axum::serve(publisher, router).await });
        for (door, request) in doors(&app) {
            let status = request.bearer_auth(&token).send().await.unwrap().status();
            assert!(
                status.is_success(),
                "{door} has not noticed that the keys are there: {status}"
            );
        }
        assert_eq!(readiness(&app).await.0, 200);
        publishing.abort();
    });
}

// D39
#[test]
fn an_e_mail_address_goes_no_further_than_the_token() {
    run(async {
        let app = TestApp::start().await;
        let mut request = TestApp::request("acme", Role::TenantAdmin);
        request.subject = "anna.schmidt@example.org".to_owned();
        let token = app.sign(&request);
        let me = app.data(&token, "{ me { actorId } }", json!({})).await;
        let actor = me["me"]["actorId"].as_str().unwrap();
        assert!(actor.starts_with("pseudonym:") && !actor.contains("anna"), "{actor}");
        let made = "mutation { registerDataset(input: { namespace: \"n\", name: \"d\" }) { dataset { id } } }";
        let id =
            app.data(&token, made, json!({})).await["registerDataset"]["dataset"]["id"].clone();
        let policy = "mutation($id: ID!) { setFreshnessPolicy(input: { datasetId: $id,
                      maxAge: { failAfterSeconds: 9 } }) { dataset { freshnessPolicy { createdBy } } } }";
        let set = app.data(&token, policy, json!({ "id": id })).await;
        assert_eq!(set["setFreshnessPolicy"]["dataset"]["freshnessPolicy"]["createdBy"], actor);

        let mut admin = app.admin().await;
        let actors: Vec<String> = sqlx::query_scalar("SELECT DISTINCT actor_id FROM audit_event")
            .fetch_all(&mut admin)
            .await
            .unwrap();
        assert_eq!(actors, [actor]);
        // Nor is it in any other table.
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert!(tables.len() > 8, "{tables:?}");
        for table in tables {
            let query =
                format!("SELECT count(*) FROM {table} AS row WHERE row::text ILIKE '%anna%'");
            let found: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut admin).await.unwrap();
            assert_eq!(found, 0, "{table}");
        }
        // Another tenant's Anna is somebody else.
        let other = drr::auth::TenantId::parse("globex").unwrap();
        let token = app.sign(&drr::auth::signing::TokenRequest { tenant: other, ..request });
        assert_ne!(app.data(&token, "{ me { actorId } }", json!({})).await["me"]["actorId"], actor);
    });
}
