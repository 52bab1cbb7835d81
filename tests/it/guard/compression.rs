//! Answers are compressed for those who say that they can read it.

use std::io::Read;

use drr::auth::policy::Role;
use flate2::read::GzDecoder;
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};

use crate::{app::TestApp, cluster::run, smoke::run_event};

fn unfolded(bytes: &[u8]) -> Value {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn gzip(request: RequestBuilder) -> Response {
    request.header(header::ACCEPT_ENCODING, "gzip").send().await.unwrap()
}

#[test]
fn large_answers_are_compressed_and_their_tags_say_the_same() {
    run(async {
        let app = TestApp::start().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        for number in 0..20 {
            let id = format!("0190b1d2-7d5a-7000-8000-{number:012}");
            let name = format!("sales.orders_{number}");
            let event = run_event("COMPLETE", "2026-01-31T12:00:00Z", &id, &name);
            assert_eq!(app.lineage(&writer, &event).await.0, 201);
        }
        let token = app.token("acme", Role::Reader);
        let query = "{ datasets(first: 50) { nodes { id urn name namespace } } }";
        let plain = app.data(&token, query, json!({})).await;
        let request = || {
            let request = app.http.post(app.public("/graphql")).bearer_auth(&token);
            request.json(&json!({ "query": query }))
        };
        let response = gzip(request()).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        let vary = response.headers().get_all(header::VARY).iter();
        let vary: Vec<_> = vary.map(|value| value.to_str().unwrap()).collect();
        assert!(vary.join(",").contains("accept-encoding"), "{vary:?}");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.len() * 2 < plain.to_string().len(), "{} bytes", bytes.len());
        assert_eq!(unfolded(&bytes)["data"], plain);
        assert!(request().send().await.unwrap().headers().get(header::CONTENT_ENCODING).is_none());
        let small = app.http.post(app.public("/graphql")).bearer_auth(&token);
        let small = gzip(small.json(&json!({ "query": "{ me { role } }" }))).await;
        assert!(small.headers().get(header::CONTENT_ENCODING).is_none());

        let rest = || app.http.get(app.public("/storage/v1/openapi.json")).bearer_auth(&token);
        let (plain, folded) = (rest().send().await.unwrap(), gzip(rest()).await);
        assert_eq!(folded.headers()[header::CONTENT_ENCODING], "gzip");
        let tag =
            |response: &Response| response.headers()[header::ETAG].to_str().unwrap().to_owned();
        let (whole, weak) = (tag(&plain), tag(&folded));
        // Not the same bytes, so not the same strong tag; either is known again.
        assert_eq!(weak, format!("W/{whole}"));
        for known in [whole, weak] {
            let again = gzip(rest().header(header::IF_NONE_MATCH, known)).await;
            assert_eq!(again.status(), 304);
        }
    });
}
