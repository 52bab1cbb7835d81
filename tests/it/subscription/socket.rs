//! graphql-transport-ws, in raw frames: the handshake and every close code.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{FRESHNESS, RUNS, Socket, change, graph};
use crate::cluster::run;

#[test]
fn the_close_codes_are_those_of_the_protocol() {
    run(async {
        let graph = graph(|assembly| {
            assembly.limits.subscriptions.init_timeout = Duration::from_millis(200);
        })
        .await;
        let expired = graph.reader();
        graph.advance(10_000);
        let (app, reader) = (&graph.app, graph.reader());

        for text in [
            "",
            "nonsense",
            "[]",
            "{}",
            r#"{"type":"other"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","id":"a"}"#,
            r#"{"type":"subscribe","id":"","payload":{}}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":7}"#,
            r#"{"type":"connection_init","payload":[]}"#,
        ] {
            let mut socket = Socket::connect(app).await;
            socket.send(Message::text(text)).await;
            assert_eq!(socket.closed().await, 4400, "{text}");
        }
        let mut binary = Socket::connect(app).await;
        binary.send(Message::binary(vec![1])).await;
        assert_eq!(binary.closed().await, 4400);

        let mut early = Socket::connect(app).await;
        early.subscribe("a", RUNS, json!({})).await;
        assert_eq!(early.closed().await, 4401);

        for token in ["nonsense", expired.as_str()] {
            let mut stranger = Socket::connect(app).await;
            stranger.init(token).await;
            assert_eq!(stranger.closed().await, 4403);
        }
        let mut nobody = Socket::connect(app).await;
        nobody.say(&json!({ "type": "connection_init" })).await;
        assert_eq!(nobody.closed().await, 4403);

        assert_eq!(Socket::with(app, &[]).await.closed().await, 4406);
        assert_eq!(Socket::connect(app).await.closed().await, 4408);

        let mut twice = Socket::acknowledged(app, &reader).await;
        twice.subscribe("a", RUNS, json!({})).await;
        twice.subscribe("a", RUNS, json!({})).await;
        assert_eq!(twice.closed().await, 4409);

        let mut eager = Socket::acknowledged(app, &reader).await;
        eager.init(&reader).await;
        assert_eq!(eager.closed().await, 4429);

        let mut large = Socket::acknowledged(app, &reader).await;
        large.send(Message::text(" ".repeat(300_000))).await;
        assert_eq!(large.closed().await, 1009);
        graph.app.stop().await;
    });
}

#[test]
fn operations_of_one_socket_come_and_go() {
    run(async {
        let graph = graph(|assembly| assembly.limits.subscriptions.per_connection = 2).await;
        let mut socket = Socket::acknowledged(&graph.app, &graph.reader()).await;
        socket.say(&json!({ "type": "ping", "payload": { "a": 1 } })).await;
        assert_eq!(socket.message().await, json!({ "type": "pong", "payload": { "a": 1 } }));
        socket.say(&json!({ "type": "ping" })).await;
        assert_eq!(socket.message().await, json!({ "type": "pong" }));
        socket.say(&json!({ "type": "pong" })).await;

        for (query, code) in [
            ("{ me { role } }", "BAD_USER_INPUT"),
            ("mutation { nothing }", "BAD_USER_INPUT"),
            ("subscription { nothing }", "BAD_USER_INPUT"),
            ("subscription {", "BAD_USER_INPUT"),
            (&"[".repeat(100), "LIMIT_EXCEEDED"),
        ] {
            socket.subscribe("refused", query, json!({})).await;
            let error = socket.message().await;
            assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("refused")));
            assert_eq!(error["payload"][0]["extensions"]["code"], code, "{error:#}");
        }

        socket.open(&graph.app, "a", FRESHNESS).await;
        socket.open(&graph.app, "b", FRESHNESS).await;
        socket.subscribe("c", FRESHNESS, json!({})).await;
        let error = socket.message().await;
        assert_eq!(error["id"], "c");
        assert_eq!(error["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{error:#}");
        socket.say(&json!({ "type": "complete", "id": "b" })).await;
        socket.open(&graph.app, "b", RUNS).await;
        socket.say(&json!({ "type": "complete", "id": "nobody" })).await;
        graph.register("orders").await;
        assert_eq!(change(&socket.item("a").await), "orders REGISTERED -→NOT_APPLICABLE");
        graph.succeed(&["orders"], graph.now()).await;
        let (mut changes, mut events) = (0, 0);
        while (changes, events) != (1, 1) {
            match socket.message().await["id"].as_str().unwrap() {
                "a" => changes += 1,
                "b" => events += 1,
                other => panic!("{other}"),
            }
        }
        graph.app.stop().await;
    });
}

#[test]
fn a_token_in_a_header_is_enough_and_the_one_in_the_payload_counts() {
    run(async {
        let graph = graph(|_| ()).await;
        let bearer = format!("Bearer {}", graph.reader());
        let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
        // From wherever: a page of another site cannot say whose it is.
        let headers =
            [protocol, ("authorization", bearer.as_str()), ("origin", "https://elsewhere.example")];
        let mut socket = Socket::with(&graph.app, &headers).await;
        socket.say(&json!({ "type": "connection_init", "payload": null })).await;
        assert_eq!(socket.message().await["type"], "connection_ack");
        let mut socket = Socket::with(&graph.app, &headers).await;
        socket.init("nonsense").await;
        assert_eq!(socket.closed().await, 4403);
        let mut foreign = Socket::with(&graph.app, &[protocol, headers[2]]).await;
        foreign.say(&json!({ "type": "connection_init" })).await;
        assert_eq!(foreign.closed().await, 4403);
        graph.app.stop().await;
    });
}

/// The clocks of HTTP do not close a socket: one is silent for longer than they allow.
#[test]
fn a_socket_lives_on_beyond_the_clocks_of_http() {
    run(async {
        let graph = graph(|assembly| {
            assembly.limits.header_timeout = Duration::from_millis(150);
            assembly.limits.idle_timeout = Duration::from_millis(150);
        })
        .await;
        let mut socket = Socket::acknowledged(&graph.app, &graph.reader()).await;
        socket.open(&graph.app, "a", FRESHNESS).await;
        // Nothing can be awaited here but that time passes.
        tokio::time::sleep(Duration::from_millis(500)).await;
        graph.register("orders").await;
        assert_eq!(change(&socket.item("a").await), "orders REGISTERED -→NOT_APPLICABLE");
        graph.app.stop().await;
    });
}
