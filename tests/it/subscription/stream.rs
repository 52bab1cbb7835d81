//! Server-sent events and multipart, byte by byte.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Body, EVENTS, FRESHNESS, MULTIPART, change, graph, post};
use crate::cluster::run;

#[test]
fn multipart_is_what_the_router_speaks() {
    run(async {
        let graph = graph(|assembly| {
            assembly.limits.subscriptions.heartbeat = Duration::from_millis(100);
        })
        .await;
        let reader = graph.reader();
        let body = json!({ "query": FRESHNESS });
        let response = post(&graph.app, &reader, MULTIPART, &body).await;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\"");
        let mut body = Body { response, read: Vec::new() };
        let head = "\r\n--graphql\r\ncontent-type: application/json\r\n\r\n";
        // Two signs of life, and then an answer.
        for _ in 0..2 {
            assert_eq!(body.until(head).await.unwrap().trim_end_matches("{}"), "");
        }
        graph.register("orders").await;
        let item = loop {
            let text = body.until("\r\n--graphql\r\n").await.unwrap();
            let json = text.rsplit("\r\n\r\n").next().unwrap();
            let part: Value = serde_json::from_str(json).unwrap();
            if part != json!({}) {
                break part;
            }
        };
        let change_told = change(&item["payload"]["data"]["freshnessChanged"]);
        assert_eq!(change_told, "orders REGISTERED -→NOT_APPLICABLE", "{item:#}");
        graph.advance(10_000);
        let last = body.until("--graphql--\r\n").await.expect("the last boundary");
        let json = last.trim_end().rsplit("\r\n\r\n").next().unwrap();
        let part: Value = serde_json::from_str(json).unwrap();
        assert_eq!(part["payload"], Value::Null);
        assert_eq!(part["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{part:#}");
        assert_eq!(body.until("more").await, None);
        graph.app.stop().await;
    });
}

#[test]
fn what_is_no_subscription_is_answered_as_ever() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        let body = json!({ "query": "{ me { role } }" });
        let answer = post(&graph.app, &reader, MULTIPART, &body).await;
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["data"]["me"]["role"], "reader", "{answer:#}");
        // Who takes nothing but events is told how to ask.
        let answer = post(&graph.app, &reader, EVENTS, &body).await;
        assert_eq!(answer.status(), 400);
        let plain =
            post(&graph.app, &reader, "application/json", &json!({ "query": FRESHNESS })).await;
        let answer: Value = plain.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer:#}");
        let untyped = graph.app.http.post(graph.app.public("/graphql")).bearer_auth(&reader);
        let untyped = untyped.header("accept", EVENTS).body(body.to_string()).send().await.unwrap();
        assert_eq!(untyped.status(), 415, "a foreign page can send no JSON");
        graph.app.stop().await;
    });
}

#[test]
fn signs_of_life_are_comments() {
    run(async {
        let graph = graph(|assembly| {
            assembly.limits.subscriptions.heartbeat = Duration::from_millis(100);
        })
        .await;
        let mut body = Body::events(&graph.app, &graph.reader(), FRESHNESS, json!({})).await;
        for _ in 0..3 {
            assert_eq!(body.until("\n\n").await.as_deref(), Some(":"));
        }
        graph.app.stop().await;
    });
}
