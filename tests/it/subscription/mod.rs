//! Subscriptions: what is told, in which order, over which transport, and when it ends.

mod changes;
mod instances;
mod limits;
mod socket;
mod stream;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use drr::{app::Assembly, auth::policy::Role, clock::ManualClock};
use futures::{SinkExt, StreamExt};
use reqwest::header;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{app::TestApp, cluster::Cluster, graph::Graph};

/// Longer than anything takes that is to come.
const SOON: Duration = Duration::from_secs(20);

pub const FRESHNESS: &str = "subscription($after: String, $statusOnly: Boolean! = false) {
  freshnessChanged(after: $after, statusOnly: $statusOnly) {
    cursor cause previousStatus status dataset { id name } freshness { status } } }";
pub const RUNS: &str = "subscription($after: String) {
  runEvents(after: $after) { cursor type eventTime runId run { id state outputs { dataset { name } } } } }";
pub const BREACHES: &str =
    "subscription($after: String) { breaches(after: $after) { cursor type dataset { name } } }";

/// A service that announces what its callers commit, whose time the test moves.
pub async fn graph(change: impl FnOnce(&mut Assembly)) -> Graph {
    let clock = Arc::new(ManualClock::default());
    let database = Cluster::shared().await.database().await;
    let app = TestApp::launch(database, clock.clone(), |assembly| {
        assembly.changes.follow = true;
        change(assembly);
    });
    Graph { app: app.await.unwrap(), clock }
}

impl Graph {
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    pub fn reader(&self) -> String {
        self.token(Role::Reader)
    }

    /// Reports a run event; its run is new unless it is named.
    pub async fn report(&self, kind: &str, run: &str, at: DateTime<Utc>, dataset: &str) {
        let event = crate::smoke::run_event(kind, &crate::graph::text(at), run, dataset);
        let (status, report) = self.app.lineage(&self.token(Role::RuntimeWriter), &event).await;
        assert_eq!(status, 201, "{report:#}");
    }
}

/// An answer whose body goes on: of server-sent events or of parts.
pub struct Body {
    response: reqwest::Response,
    read: Vec<u8>,
}

/// How the parts of a body follow each other.
pub const EVENTS: &str = "text/event-stream";
pub const MULTIPART: &str =
    "multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\", application/json";

pub async fn post(app: &TestApp, token: &str, accept: &str, body: &Value) -> reqwest::Response {
    let request = app.http.post(app.public("/graphql")).header(header::ACCEPT, accept);
    request.bearer_auth(token).json(body).send().await.unwrap()
}

impl Body {
    /// An answer that was begun.
    pub const fn of(response: reqwest::Response) -> Self {
        Self { response, read: Vec::new() }
    }

    /// Subscribes; fails unless it is heard.
    pub async fn open(
        app: &TestApp,
        token: &str,
        accept: &str,
        query: &str,
        variables: Value,
    ) -> Self {
        let body = json!({ "query": query, "variables": variables });
        let response = post(app, token, accept, &body).await;
        let status = response.status();
        assert_eq!(status, 200, "{}", response.text().await.unwrap());
        Self { response, read: Vec::new() }
    }

    pub async fn events(app: &TestApp, token: &str, query: &str, variables: Value) -> Self {
        Self::open(app, token, EVENTS, query, variables).await
    }

    /// The text up to `end`, which is taken away as well; nothing if the body ends before.
    pub async fn until(&mut self, end: &str) -> Option<String> {
        timeout(SOON, self.text(end)).await.expect("nothing comes")
    }

    async fn text(&mut self, end: &str) -> Option<String> {
        let found = |read: &[u8]| read.windows(end.len()).position(|at| at == end.as_bytes());
        loop {
            if let Some(at) = found(&self.read) {
                let rest = self.read.split_off(at + end.len());
                let text = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8(text[..at].to_vec()).unwrap());
            }
            let chunk = self.response.chunk().await;
            self.read.extend_from_slice(&chunk.unwrap()?);
        }
    }

    /// The next event: its name and its data; nothing if the body ends.
    pub async fn event(&mut self) -> Option<(String, Value)> {
        let text = async {
            loop {
                // What only shows that somebody is there does not count.
                match self.text("\n\n").await {
                    Some(text) if text.starts_with(':') => {}
                    text => return text,
                }
            }
        };
        let text = timeout(SOON, text).await.expect("nothing comes")?;
        let (name, data) = text.split_once('\n').unwrap();
        let data = data.strip_prefix("data:").unwrap().trim();
        let data = if data.is_empty() { Value::Null } else { serde_json::from_str(data).unwrap() };
        Some((name.strip_prefix("event: ").unwrap().to_owned(), data))
    }

    /// The only field of the next answer, which has no errors.
    pub async fn item(&mut self) -> Value {
        let (name, mut answer) = self.event().await.expect("an event");
        assert!(name == "next" && answer.get("errors").is_none(), "{name}: {answer:#}");
        let data = answer["data"].as_object_mut().unwrap();
        data.values_mut().next().unwrap().take()
    }

    /// What has come by now.
    pub async fn arrived(&mut self) -> VecDeque<(String, Value)> {
        let mut arrived = VecDeque::new();
        while let Ok(event) = timeout(Duration::from_millis(50), self.event()).await {
            arrived.extend(event);
        }
        arrived
    }
}

/// A socket that speaks in raw frames.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn connect(app: &TestApp) -> Self {
        Self::with(app, &[("sec-websocket-protocol", "graphql-transport-ws")]).await
    }

    pub async fn with(app: &TestApp, headers: &[(&'static str, &str)]) -> Self {
        let url = format!("ws://{}/graphql", app.public_address());
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Self(tokio_tungstenite::connect_async(request).await.unwrap().0)
    }

    /// A socket of somebody who is known.
    pub async fn acknowledged(app: &TestApp, token: &str) -> Self {
        let mut socket = Self::connect(app).await;
        socket.init(token).await;
        assert_eq!(socket.message().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub async fn init(&mut self, token: &str) {
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        self.say(&json!({ "type": "connection_init", "payload": payload })).await;
    }

    pub async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(&json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    /// Subscribes, and waits until the trail says so: from then on it is told what happens.
    pub async fn open(&mut self, app: &TestApp, id: &str, query: &str) {
        const STARTED: &str = "SELECT count(*) FROM audit_event
          WHERE action = 'subscription.start' AND result = 'SUCCESS'";
        let mut admin = app.admin().await;
        let started = async |admin: &mut PgConnection| {
            sqlx::query_scalar::<_, i64>(STARTED).fetch_one(admin).await.unwrap()
        };
        let before = started(&mut admin).await;
        self.subscribe(id, query, json!({})).await;
        let opened = async {
            while started(&mut admin).await == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, opened).await.expect("it is not opened");
    }

    async fn frame(&mut self) -> Option<Message> {
        let next = async {
            loop {
                match self.0.next().await {
                    // What only shows that somebody is there does not count.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => return Some(message),
                    Some(Err(_)) | None => return None,
                }
            }
        };
        timeout(SOON, next).await.expect("nothing comes")
    }

    /// The next message.
    pub async fn message(&mut self) -> Value {
        match self.frame().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("no message: {other:?}"),
        }
    }

    /// The only field of the next answer of `id`, which has no errors.
    pub async fn item(&mut self, id: &str) -> Value {
        let mut message = self.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)), "{message:#}");
        assert!(message["payload"].get("errors").is_none(), "{message:#}");
        let data = message["payload"]["data"].as_object_mut().unwrap();
        data.values_mut().next().unwrap().take()
    }

    /// The code that it is closed with, if nothing else comes before.
    pub async fn closed_without_a_message(mut self) -> u16 {
        match self.frame().await {
            Some(Message::Close(Some(frame))) => frame.code.into(),
            other => panic!("{other:?}"),
        }
    }

    /// The code that it is closed with; what comes before is passed over.
    pub async fn closed(mut self) -> u16 {
        loop {
            match self.frame().await.expect("a close frame") {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }
}

/// What a change of freshness comes to, in a word.
pub fn change(item: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!(
        "{} {} {}→{}",
        word(&item["dataset"]["name"]),
        word(&item["cause"]),
        word(&item["previousStatus"]),
        word(&item["status"]),
    )
}
