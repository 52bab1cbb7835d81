//! Subscriptions: an event when they are opened, one when they end, and one of what is refused.

use drr::auth::policy::Role;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Event, awaited, name};
use crate::{
    cluster::run,
    subscription::{Body, EVENTS, RUNS, Socket, graph, post},
};

fn said(events: &[Event]) -> Vec<(&str, &str, &str)> {
    let said = events.iter().map(|event| {
        let interface = event.interface.as_deref().unwrap();
        (event.action.as_str(), event.result.as_str(), interface)
    });
    said.collect()
}

async fn socket(app: &crate::app::TestApp, call: &str) -> Socket {
    let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
    Socket::with(app, &[protocol, ("x-correlation-id", call)]).await
}

#[test]
fn a_subscription_leaves_an_event_at_its_start_and_at_its_end() {
    run(async {
        let graph = graph(|_| ()).await;
        let (app, reader) = (&graph.app, graph.reader());
        let mut admin = app.admin().await;
        let call = name();
        let mut heard = socket(app, &call).await;
        heard.init(&reader).await;
        assert_eq!(heard.message().await, json!({ "type": "connection_ack" }));
        heard.subscribe("a", RUNS, json!({})).await;
        let opened = awaited(&mut admin, &call, 3).await;
        assert_eq!(
            said(&opened),
            [
                ("graphql.execute", "SUCCESS", "public"),
                ("socket.init", "SUCCESS", "websocket"),
                ("subscription.start", "SUCCESS", "websocket"),
            ]
        );
        assert_eq!(opened[2].also.as_deref(), Some(&["run.read".to_owned()][..]));
        assert!(opened[2].document.is_some());
        heard.say(&json!({ "type": "complete", "id": "a" })).await;
        let ended = awaited(&mut admin, &call, 4).await;
        assert_eq!(said(&ended)[3], ("subscription.end", "SUCCESS", "websocket"));
        assert_eq!((ended[3].tenant_id.as_str(), ended[3].own), ("acme", true));

        let call = name();
        let body = json!({ "query": RUNS });
        let request = app.http.post(app.public("/graphql")).header("accept", EVENTS);
        let request = request.bearer_auth(&reader).header("x-correlation-id", &call).json(&body);
        let response = request.send().await.unwrap();
        let opened = awaited(&mut admin, &call, 1).await;
        assert_eq!(said(&opened), [("subscription.start", "SUCCESS", "public")]);
        drop(Body::of(response));
        let ended = awaited(&mut admin, &call, 2).await;
        assert_eq!(said(&ended)[1], ("subscription.end", "SUCCESS", "sse"));
    });
}

#[test]
fn what_is_refused_on_a_socket_leaves_an_event() {
    run(async {
        let graph = graph(|assembly| assembly.limits.subscriptions.per_connection = 1).await;
        let (app, reader) = (&graph.app, graph.reader());
        let mut admin = app.admin().await;

        let call = name();
        let mut stranger = socket(app, &call).await;
        stranger.init("nonsense").await;
        assert_eq!(stranger.closed().await, 4403);
        let left = awaited(&mut admin, &call, 2).await;
        assert_eq!(said(&left)[1], ("socket.init", "DENIED", "websocket"));
        assert_eq!(left[1].tenant_id, "-");

        let call = name();
        let mut broken = socket(app, &call).await;
        broken.init(&reader).await;
        broken.message().await;
        broken.send(Message::text("nonsense")).await;
        assert_eq!(broken.closed().await, 4400);
        let left = awaited(&mut admin, &call, 3).await;
        assert_eq!(said(&left)[2], ("socket.close", "REJECTED", "websocket"));
        assert_eq!(left[2].resource.as_deref(), Some("close:4400"));
        assert_eq!(left[2].tenant_id, "acme");

        let call = name();
        let mut greedy = socket(app, &call).await;
        greedy.init(&reader).await;
        greedy.message().await;
        greedy.subscribe("a", RUNS, json!({})).await;
        greedy.subscribe("b", RUNS, json!({})).await;
        assert_eq!(greedy.message().await["type"], "error");
        let left = awaited(&mut admin, &call, 4).await;
        let refused = left.iter().find(|event| event.result == "REJECTED").unwrap();
        assert_eq!(refused.error_code.as_deref(), Some("LIMIT_EXCEEDED"));

        // One who may not read runs.
        let operator = app.token("acme", Role::Operator);
        let call = name();
        let mut denied = socket(app, &call).await;
        denied.init(&operator).await;
        denied.message().await;
        denied.subscribe("a", RUNS, json!({})).await;
        assert_eq!(denied.message().await["type"], "error");
        let left = awaited(&mut admin, &call, 3).await;
        assert_eq!(said(&left)[2], ("subscription.start", "DENIED", "websocket"));

        let response = post(app, &operator, EVENTS, &json!({ "query": RUNS })).await;
        let call = response.headers()["x-correlation-id"].to_str().unwrap().to_owned();
        let left = awaited(&mut admin, &call, 1).await;
        assert_eq!(said(&left), [("subscription.start", "DENIED", "public")]);
    });
}
