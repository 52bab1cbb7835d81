//! A Redis of somebody else's: over TLS, as a user who may do no more than this service needs.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use drr::{auth::policy::Role, clock::SystemClock};
use reqwest::Client;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    app::{KEY, TestApp},
    cluster::run,
    program::{Serving, serve},
    tls::certificates,
};

/// What the service asks of Redis, as its documentation has it.
const USER: &str = "on >a-password resetchannels ~drr:* -@all +get +set +del";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that answers nobody in clear, and nobody else; none where there is no program to start.
fn start(folder: &Path, port: u16) -> Option<Server> {
    let Ok(program) = std::env::var("DRR_TEST_REDIS") else {
        eprintln!("SKIPPED: DRR_TEST_REDIS names no redis-server");
        return None;
    };
    certificates(folder, "127.0.0.1");
    let file = |name: &str| folder.join(name).display().to_string();
    let settings = [
        "bind 127.0.0.1".to_owned(),
        "port 0".to_owned(),
        format!("tls-port {port}"),
        format!("tls-cert-file {}", file("server.pem")),
        format!("tls-key-file {}", file("server.key")),
        format!("tls-ca-cert-file {}", file("ca.pem")),
        "tls-auth-clients no".to_owned(),
        "save \"\"".to_owned(),
        "user default off".to_owned(),
        format!("user drr {USER}"),
    ];
    std::fs::write(folder.join("redis.conf"), settings.join("\n")).unwrap();
    let mut command = Command::new(program);
    command.arg(folder.join("redis.conf")).current_dir(folder);
    let server = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    // Until it listens.
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::yield_now();
    }
    Some(Server(server))
}

/// A running service on that Redis, which trusts `authority`.
fn serving(folder: &Path, port: u16, authority: Option<&Path>) -> Serving {
    let mut command = serve(folder);
    command.env("DRR_REDIS_URL", format!("rediss://drr:a-password@127.0.0.1:{port}"));
    command.env("DRR_CACHE__SECONDS", "600");
    if let Some(authority) = authority {
        command.env("SSL_CERT_FILE", authority);
    }
    Serving::start(command)
}

/// Asks the same until `enough` is said by the metrics; each answer must be one.
async fn ask(serving: &Serving, enough: impl Fn(&str) -> bool) {
    let http = Client::new();
    let token = KEY.sign(&TestApp::request("acme", Role::Reader), &SystemClock).unwrap();
    loop {
        let request = http.post(format!("http://{}/graphql", serving.public)).bearer_auth(&token);
        let body = json!({ "query": "{ datasets { nodes { name } } }" });
        let answer: serde_json::Value =
            request.json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["data"]["datasets"]["nodes"], json!([]), "{answer}");
        let metrics = http.get(format!("http://{}/metrics", serving.operations));
        if enough(&metrics.send().await.unwrap().text().await.unwrap()) {
            return;
        }
    }
}

fn counted(metrics: &str, asked: &str, outcome: &str) -> bool {
    let name = format!("drr_cache_redis_total{{asked=\"{asked}\",outcome=\"{outcome}\"}}");
    metrics.lines().any(|line| line.starts_with(&name))
}

#[test]
fn redis_is_asked_over_tls_as_a_user_who_may_do_little() {
    run(async {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let Some(_redis) = start(folder.path(), port) else { return };
        let authority = folder.path().join("ca.pem");

        // Whom nobody vouches for is not told anything, and nobody waits for it.
        let stranger = serving(folder.path(), port, None);
        ask(&stranger, |metrics| {
            counted(metrics, "stamp", "not_connected") || counted(metrics, "stamp", "left_alone")
        })
        .await;
        drop(stranger);

        let known = serving(folder.path(), port, Some(&authority));
        ask(&known, |metrics| {
            assert!(!counted(metrics, "put", "refused"), "{metrics}");
            counted(metrics, "stamp", "answered") && counted(metrics, "put", "answered")
        })
        .await;
    });
}
