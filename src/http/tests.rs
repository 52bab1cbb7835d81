//! The front over real sockets.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    operations::{NotReady, Operations, ReadinessCheck},
    server::Drained,
    *,
};
use crate::{
    clock::SystemClock,
    config::{Settings, Sources},
    db::{Db, DbSettings, PgConnectOptions},
    telemetry,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The limits as they are when nobody sets any.
pub(super) fn limits() -> Limits {
    let sources = Sources { default_data_dir: "/unused".into(), ..Sources::default() };
    Settings::load(&sources).unwrap().limits
}

/// What takes events while there is no database: the spool does.
pub(super) fn recorder() -> Recorder {
    let settings = DbSettings {
        connect: PgConnectOptions::new().host("127.0.0.1").port(1),
        schema: "storage_drr".to_owned(),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(1),
    };
    let folder = tempfile::tempdir().unwrap().keep();
    Recorder::start(Db::new(settings), &folder, 1 << 30).unwrap().0
}

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Drained>,
}

impl Server {
    async fn start(kind: ListenerKind, routes: Router, limits: Limits) -> Self {
        let listener = BoundListener::bind(kind, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, shutdown) = (listener.local_addr(), CancellationToken::new());
        let router = assemble(routes, Front::new(kind, Arc::new(SystemClock), &limits, recorder()));
        let ended = tokio::spawn(listener.serve(router, limits, shutdown.clone()));
        Self { address, shutdown, ended }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

async fn read_body(
    State(limits): State<Limits>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Bytes, Problem> {
    body::read(&headers, body, &body::BodyLimits::lineage(&limits)).await
}

fn routes(limits: Limits) -> Router {
    Router::new()
        .route(
            "/hello/{name}",
            get(|context: RequestContext| async move { context.correlation_id.to_string() }),
        )
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("a secret reason")
                }
            }),
        )
        .route("/internal", get(|| async { Error::internal("a secret reason") }))
        .route("/denied", get(|| async { Error::Unauthenticated }))
        .route("/late", get(std::future::pending::<()>))
        .route("/body", post(read_body))
        .with_state(limits)
}

async fn public(change: impl FnOnce(&mut Limits)) -> Server {
    let mut limits = limits();
    change(&mut limits);
    Server::start(ListenerKind::Public, routes(limits), limits).await
}

/// All that the server still sends until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset closes a connection too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("it closes");
    String::from_utf8_lossy(&text).into_owned()
}

// D34
#[tokio::test]
async fn every_answer_carries_the_correlation_id() {
    let server = public(|limits| limits.request_deadline = Duration::from_millis(100)).await;
    let client = reqwest::Client::new();
    let large = vec![0_u8; 20_000_000];
    for (request, status) in [
        (client.get(server.url("/hello/x")), 200),
        (client.get(server.url("/nowhere")), 404),
        (client.post(server.url("/hello/x")), 405),
        (client.get(server.url("/denied")), 401),
        (client.get(server.url("/panic")), 500),
        (client.get(server.url("/internal")), 500),
        (client.get(server.url("/late")), 504),
        (client.post(server.url("/body")).body(large), 413),
        (client.post(server.url("/body")).header("content-encoding", "br").body("x"), 415),
    ] {
        let answer = request.header("x-correlation-id", "call-7").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["x-correlation-id"], "call-7", "{status}");
        if status == 200 {
            assert_eq!(answer.text().await.unwrap(), "call-7");
            continue;
        }
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
        assert!(!answer.headers().contains_key("retry-after"), "{status}");
        assert_eq!(
            answer.headers().get("allow").map(|allow| allow.as_bytes()),
            (status == 405).then_some(b"GET,HEAD".as_slice())
        );
        let document: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(
            (&document["status"], &document["correlation_id"]),
            (&status.into(), &"call-7".into())
        );
        assert!(
            document["code"].is_string() && !document.to_string().contains("secret"),
            "{document}"
        );
    }
}

#[tokio::test]
async fn requests_are_counted_by_template_and_panics_too() {
    let metrics = telemetry::metrics().unwrap();
    let server = public(|_| {}).await;
    for path in ["/hello/alpha-tenant", "/hello/beta-tenant", "/panic", "/no/such/path"] {
        reqwest::get(server.url(path)).await.unwrap();
    }
    let text = metrics.render();
    for expected in [
        r#"drr_http_requests_total{listener="public",route="/hello/{name}",status="200"}"#,
        r#"drr_http_requests_total{listener="public",route="/panic",status="500"}"#,
        r#"drr_http_requests_total{listener="public",route="unmatched",status="404"}"#,
        r#"drr_http_request_duration_seconds_bucket{listener="public",route="/panic",le="0.001"}"#,
        "drr_http_panics_total",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    assert!(!text.contains("-tenant") && !text.contains("/no/such"), "labels are bounded:\n{text}");
}

#[tokio::test]
async fn slow_heads_are_cut() {
    let server = public(|limits| limits.header_timeout = Duration::from_millis(200)).await;
    for head in ["", "PRI * HT", "GET /hello/x HTTP/1.1\r\nHost: "] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(!until_closed(stream).await.contains("200 OK"), "{head}");
    }
    // Bytes that trickle in do not prolong it.
    let (mut reader, mut writer) = server.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while writer.write_all(b"X").await.is_ok() {
            ticks.tick().await;
        }
    });
    let mut text = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut text)).await.expect("it closes");
    tokio::time::timeout(PATIENCE, trickle).await.expect("it closes").unwrap();
}

#[tokio::test]
async fn silence_between_requests_is_bounded_by_the_idle_timeout_alone() {
    let server = public(|limits| {
        limits.header_timeout = Duration::from_millis(50);
        limits.idle_timeout = Duration::from_millis(600);
    })
    .await;
    let mut stream = server.connect().await;
    let started = std::time::Instant::now();
    stream.write_all(b"GET /hello/x HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert!(until_closed(stream).await.contains("200 OK"));
    assert!(started.elapsed() >= Duration::from_millis(600), "{:?}", started.elapsed());
}

#[tokio::test]
async fn slow_bodies_are_answered_and_cut() {
    let server = public(|limits| limits.body_timeout = Duration::from_millis(200)).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
        .await
        .unwrap();
    let text = until_closed(stream).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("x-correlation-id"), "{text}");
}

#[tokio::test]
async fn a_client_that_waits_is_refused_before_it_sends() {
    let server = public(|_| {}).await;
    let mut stream = server.connect().await;
    let head = "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = until_closed(stream).await;
    assert!(text.starts_with("HTTP/1.1 413") && !text.contains("100 Continue"), "{text}");
    assert!(text.contains("limits.lineage_body_bytes = 10485760"), "{text}");
}

/// As Python's http.client does: everything is written before anything is read.
#[tokio::test]
async fn a_client_that_sends_all_first_still_sees_the_answer() {
    let server = public(|_| {}).await;
    for length in ["Content-Length: 20000000", "Transfer-Encoding: chunked"] {
        let mut stream = server.connect().await;
        let head =
            format!("POST /body HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if length.starts_with("Transfer") {
            stream.write_all(b"1312d00\r\n").await.unwrap();
        }
        stream.write_all(&vec![b'x'; 20_000_000]).await.unwrap();
        if length.starts_with("Transfer") {
            stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        }
        let text = until_closed(stream).await;
        assert!(text.starts_with("HTTP/1.1 413") && text.contains("LIMIT_EXCEEDED"), "{text}");
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let server = public(|limits| limits.max_connections = 1).await;
    let request = b"GET /hello/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let first = server.connect().await;
    let mut second = server.connect().await;
    second.write_all(request).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), second.readable()).await;
    assert!(early.is_err(), "the second waits for the first");
    drop(first);
    assert!(until_closed(second).await.contains("200 OK"));
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let server = public(|_| {}).await;
    let large = "x".repeat(40_000);
    let answer = reqwest::Client::new()
        .get(server.url("/hello/x"))
        .header("x-large", large)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 431);
}

struct Gate {
    entered: Notify,
    open: Notify,
}

async fn gated(change: impl FnOnce(&mut Limits)) -> (Server, Arc<Gate>) {
    let gate = Arc::new(Gate { entered: Notify::new(), open: Notify::new() });
    let handler = |State(gate): State<Arc<Gate>>| async move {
        gate.entered.notify_one();
        gate.open.notified().await;
        "finished"
    };
    let mut limits = limits();
    change(&mut limits);
    let routes = Router::new().route("/gate", get(handler)).with_state(gate.clone());
    (Server::start(ListenerKind::Internal, routes, limits).await, gate)
}

#[tokio::test]
async fn draining_finishes_what_runs_and_refuses_what_comes() {
    let (server, gate) = gated(|_| {}).await;
    let idle = server.connect().await;
    let running = tokio::spawn(reqwest::get(server.url("/gate")));
    gate.entered.notified().await;
    server.shutdown.cancel();
    assert_eq!(until_closed(idle).await, "", "idle connections end at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing new comes in");
    assert!(!server.ended.is_finished(), "it waits for the request in flight");
    gate.open.notify_one();
    assert_eq!(running.await.unwrap().unwrap().text().await.unwrap(), "finished");
    assert_eq!(server.ended.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn draining_ends_in_time() {
    let (server, gate) = gated(|limits| limits.drain_timeout = Duration::from_millis(100)).await;
    let running = tokio::spawn(reqwest::get(server.url("/gate")));
    gate.entered.notified().await;
    server.shutdown.cancel();
    assert_eq!(server.ended.await.unwrap(), Drained { cut: 1 });
    assert!(running.await.unwrap().is_err(), "the connection is cut");
}

#[tokio::test]
async fn http2_without_tls_is_served() {
    let server = public(|limits| limits.header_timeout = Duration::from_millis(300)).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for _ in 0..2 {
        let answer = client.get(server.url("/hello/x")).send().await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    }
}

struct Part(&'static str, fn() -> BoxFuture<'static, Result<(), NotReady>>);

impl ReadinessCheck for Part {
    fn name(&self) -> &'static str {
        self.0
    }
    fn check(&self) -> BoxFuture<'_, Result<(), NotReady>> {
        (self.1)()
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let shutdown = CancellationToken::new();
    let start = |checks: Vec<Arc<dyn ReadinessCheck>>| {
        let deadline = Duration::from_millis(50);
        let metrics = telemetry::metrics().unwrap();
        let operations = Operations { checks, deadline, metrics, shutdown: shutdown.clone() };
        Server::start(ListenerKind::Operations, operations::router(operations), limits())
    };
    let good = Arc::new(Part("database", || async { Ok(()) }.boxed()));
    let bad = Arc::new(Part("keys", || async { Err("no keys fetched yet".into()) }.boxed()));
    let late = Arc::new(Part("cache", || std::future::pending().boxed()));
    let ready = start(vec![good.clone()]).await;
    let unready = start(vec![good, bad, late]).await;
    assert_eq!(reqwest::get(ready.url("/readyz")).await.unwrap().status(), 200);
    let answer = reqwest::get(unready.url("/readyz")).await.unwrap();
    assert_eq!(answer.status(), 503);
    let report: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(report["ready"], false);
    assert_eq!(report["checks"][0], serde_json::json!({"name": "database", "ok": true}));
    assert_eq!(report["checks"][1]["reason"], "no keys fetched yet");
    assert!(report["checks"][2]["reason"].as_str().unwrap().contains("50ms"));
    assert_eq!(reqwest::get(unready.url("/livez")).await.unwrap().status(), 200);
    let metrics = reqwest::get(ready.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("drr_http_requests_total{listener=\"operations\""), "{metrics}");
    shutdown.cancel();
    assert_eq!(reqwest::get(ready.url("/readyz")).await.unwrap().status(), 503);
}
