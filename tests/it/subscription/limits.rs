//! When a subscription ends without its client's doing, and how many there may be.

use std::time::Duration;

use drr::auth::Revocation;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Body, EVENTS, FRESHNESS, RUNS, SOON, Socket, change, graph, post};
use crate::cluster::run;

#[test]
fn a_subscription_ends_with_its_token() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        let mut socket = Socket::acknowledged(&graph.app, &reader).await;
        socket.open(&graph.app, "a", FRESHNESS).await;
        let mut body = Body::events(&graph.app, &reader, FRESHNESS, json!({})).await;
        graph.register("orders").await;
        assert_eq!(change(&socket.item("a").await), "orders REGISTERED -→NOT_APPLICABLE");
        body.item().await;
        graph.advance(10_000);
        assert_eq!(socket.closed().await, 4403, "a client comes back with a new token");
        let (name, answer) = body.event().await.unwrap();
        assert_eq!((name.as_str(), &answer["data"]), ("next", &Value::Null));
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{answer:#}");
        assert_eq!(body.event().await.unwrap().0, "complete");
        assert_eq!(body.event().await, None);
        graph.app.stop().await;
    });
}

#[test]
fn a_revoked_token_is_told_nothing_more() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        let mut socket = Socket::acknowledged(&graph.app, &reader).await;
        socket.open(&graph.app, "a", FRESHNESS).await;
        let mut body = Body::events(&graph.app, &reader, FRESHNESS, json!({})).await;
        use sha2::{Digest, Sha256};
        let revoked = Revocation::Token(Sha256::digest(&reader).into());
        graph.app.revoke(revoked);
        graph.register("orders").await;
        let (_, answer) = body.event().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{answer:#}");
        assert_eq!(socket.closed_without_a_message().await, 4403);
        graph.app.stop().await;
    });
}

#[test]
fn at_the_end_of_the_program_clients_are_sent_away_to_come_back() {
    run(async {
        let graph = graph(|_| ()).await;
        let reader = graph.reader();
        let mut socket = Socket::acknowledged(&graph.app, &reader).await;
        socket.open(&graph.app, "a", FRESHNESS).await;
        let mut body = Body::events(&graph.app, &reader, FRESHNESS, json!({})).await;
        graph.register("orders").await;
        assert_eq!(change(&socket.item("a").await), "orders REGISTERED -→NOT_APPLICABLE");
        body.item().await;
        let stopping = tokio::spawn(graph.app.stop());
        assert_eq!(socket.closed().await, 1001);
        assert_eq!(body.event().await, None, "no `complete`: it is not");
        timeout(SOON, stopping).await.expect("it ends").unwrap();
    });
}

#[test]
fn there_may_be_so_many_of_a_tenant_and_of_all() {
    run(async {
        let graph = graph(|assembly| {
            assembly.limits.subscriptions.total = 2;
            assembly.limits.subscriptions.per_tenant = 1;
        })
        .await;
        let code = async |token: &str| {
            let answer = post(&graph.app, token, EVENTS, &json!({ "query": RUNS })).await;
            let answer: Value = answer.json().await.unwrap();
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{answer:#}");
            error["message"].as_str().unwrap().to_owned()
        };
        let (acme, globex) =
            (graph.reader(), graph.app.token("globex", drr::auth::policy::Role::Reader));
        let initech = graph.app.token("initech", drr::auth::policy::Role::Reader);
        let first = Body::events(&graph.app, &acme, RUNS, json!({})).await;
        assert!(code(&acme).await.contains("limits.subscriptions_per_tenant = 1"));
        let second = Body::events(&graph.app, &globex, RUNS, json!({})).await;
        assert!(code(&initech).await.contains("limits.subscriptions = 2"));
        drop(first);
        // Its place is free once the service has noticed.
        let freed = async {
            loop {
                let answer = post(&graph.app, &acme, EVENTS, &json!({ "query": RUNS })).await;
                if answer.status() == 200 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, freed).await.expect("a place");
        drop(second);
        graph.app.stop().await;
    });
}

/// A client that does not read holds up nobody, costs no memory, and is told why it was dropped.
#[test]
fn a_slow_reader_is_dropped_and_told() {
    run(async {
        let graph = graph(|assembly| {
            assembly.limits.subscriptions.stall_timeout = Duration::from_millis(300);
            assembly.limits.graphql_document.aliases = 1_000;
            assembly.limits.graphql_document.tokens = 10_000;
        })
        .await;
        let reader = graph.reader();
        // Every item has as many aliases as make it some hundred kilobytes.
        let aliases: String = (0..1_000)
            .map(|index| format!("{}_{index}: dataset {{ name }} ", "x".repeat(40)))
            .collect();
        let query = format!("subscription {{ freshnessChanged {{ cursor {aliases} }} }}");
        let slow = post(&graph.app, &reader, EVENTS, &json!({ "query": query })).await;
        assert_eq!(slow.status(), 200);
        let mut slow = Body { response: slow, read: Vec::new() };
        let mut quick = Body::events(&graph.app, &reader, FRESHNESS, json!({})).await;
        for index in 0..200 {
            let name = format!("dataset_{index}");
            graph.register(&name).await;
            assert_eq!(quick.item().await["dataset"]["name"], json!(name));
        }
        // By now it was given up; what was on its way is still there, and then the reason.
        let mut items = 0;
        let told = loop {
            let (name, answer) = slow.event().await.expect("an event");
            assert_eq!(name, "next");
            if answer.get("errors").is_some() {
                break answer;
            }
            items += 1;
        };
        assert!(items < 200, "it was not read ahead for it");
        let error = &told["errors"][0];
        assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{told:#}");
        assert!(
            error["message"].as_str().unwrap().contains("limits.subscription_stall_timeout_ms")
        );
        assert_eq!(slow.event().await.unwrap().0, "complete");
        graph.app.stop().await;
    });
}
