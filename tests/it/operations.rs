//! Operating the program: starting, refusing to start, health, metrics, ending.

use drr::auth::policy::Role;
use reqwest::Client;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    app::TestApp,
    cluster::run,
    program::{Serving, drr, serve},
};

fn failure(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn serve_refuses_to_start_without_knowing_whose_tokens_to_believe() {
    let folder = TempDir::new().unwrap();
    let said = failure(drr(&["serve"]).env("DRR_DATA_DIR", folder.path()));
    assert!(said.contains("auth.issuer"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it started something");
}

#[test]
fn unknown_settings_and_commands_are_refused_by_name() {
    let said = failure(drr(&["config", "check"]).env("DRR_LISTEN__PUBLICK", "127.0.0.1:1"));
    assert!(said.contains("DRR_LISTEN__PUBLICK"), "{said}");
    assert!(failure(&mut drr(&["server"])).contains("server"));
}

// D29
#[test]
fn config_check_shows_where_each_setting_comes_from_and_no_secret() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drr.toml");
    std::fs::write(&file, "[log]\nformat = 'text'\n").unwrap();
    let mut command = drr(&["config", "check", "--set", "database.max_connections=3", "--config"]);
    command.arg(&file).env("DRR_DATABASE_URL", "postgres://u:hunter2hunter2@localhost/d");
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(shown.contains("log.format = text") && shown.contains("drr.toml"), "{shown}");
    assert!(shown.contains("database.max_connections = 3"), "{shown}");
    assert!(shown.contains("u:****@localhost") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn health_says_what_is_not_ready_and_metrics_count() {
    run(async {
        let app = TestApp::start().await;
        let get = |path: &str| app.http.get(app.operations(path)).send();
        assert_eq!(get("/livez").await.unwrap().status(), 200);
        assert_eq!(get("/readyz").await.unwrap().status(), 200);
        let token = app.token("acme", Role::Reader);
        app.data(&token, "{ me { role } }", json!({})).await;
        let metrics = get("/metrics").await.unwrap().text().await.unwrap();
        for name in ["drr_http_requests_total{listener=\"public\"", "drr_http_connections"] {
            assert!(metrics.contains(name), "{metrics}");
        }
        // The database goes away: its login is no longer let in, and its sessions end.
        let mut admin = app.database.cluster.admin("postgres").await;
        let name = &app.database.name;
        for sql in [
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ),
        ] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
        let answer = get("/readyz").await.unwrap();
        assert_eq!(answer.status(), 503);
        let report: Value = answer.json().await.unwrap();
        let failed: Vec<_> =
            report["checks"].as_array().unwrap().iter().filter(|c| c["ok"] == false).collect();
        assert_eq!(failed.len(), 1, "{report:#}");
        assert_eq!(failed[0]["name"], "database");
        assert_eq!(get("/livez").await.unwrap().status(), 200);
        let answer = app.send(&token, "{ freshnessSummary { total } }", json!({})).await;
        // Nothing of it could be had: a status says so, and when to ask again.
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &"5".parse().unwrap())
        );
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{body:#}");
        assert!(!body.to_string().contains(name.as_str()), "{body:#}");
    });
}

// D3
#[test]
fn each_listener_has_its_own_routes() {
    run(async {
        let app = TestApp::start().await;
        let token = app.token("acme", Role::RuntimeWriter);
        let status = async |url: String| {
            let request = app.http.post(url).bearer_auth(&token).json(&json!({}));
            request.send().await.unwrap().status().as_u16()
        };
        assert_eq!(status(app.public("/api/v1/lineage")).await, 404);
        assert_eq!(status(app.operations("/graphql")).await, 404);
        assert_eq!(status(app.public("/metrics")).await, 404);
        assert_eq!(status(app.internal("/readyz")).await, 404);
        assert_ne!(status(app.internal("/api/v1/lineage")).await, 404);
    });
}

/// A request of which the second half of the body is still to come.
async fn half_sent(address: std::net::SocketAddr, token: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: drr\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
        BODY.len(),
        &BODY[..5],
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

const BODY: &str = r#"{"query":"{ freshnessSummary { total } }"}"#;

#[test]
fn sigterm_finishes_what_is_in_flight_and_ends_everything() {
    let folder = TempDir::new().unwrap();
    let serving = Serving::start(serve(folder.path()));
    let request = TestApp::request("acme", Role::Reader);
    let token = crate::app::KEY.sign(&request, &drr::clock::SystemClock).unwrap();
    let answer = run(async {
        let address = serving.public;
        let ready = format!("http://{}/readyz", serving.operations);
        assert_eq!(Client::new().get(&ready).send().await.unwrap().status(), 200);
        let mut stream = half_sent(address, &token).await;
        // One byte is read of it, at least: the connection was accepted.
        let metrics = format!("http://{}/metrics", serving.operations);
        let open = "drr_http_connections{listener=\"public\"} 1";
        while !Client::new()
            .get(&metrics)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains(open)
        {}
        serving.signal(Signal::TERM);
        // New connections are refused once it drains.
        while tokio::net::TcpStream::connect(address).await.is_ok() {}
        stream.write_all(&BODY.as_bytes()[5..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"total\":0"), "{answer}");
    let (code, log) = serving.ended();
    assert_eq!(code, Some(0), "{log:#?}");
    for line in &log {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(entry["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    assert!(log.iter().any(|line| line.contains("draining")), "{log:#?}");
}

#[test]
fn the_private_database_is_the_same_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let register = "mutation { registerDataset(input: { namespace: \"n\", name: \"kept\" }) \
                    { status } }";
    let sign = |role| {
        let request = TestApp::request("acme", role);
        crate::app::KEY.sign(&request, &drr::clock::SystemClock).unwrap()
    };
    let ask = |serving: &Serving, role, query: &str| -> Value {
        let url = format!("http://{}/graphql", serving.public);
        run(async {
            let request = Client::new().post(url).bearer_auth(sign(role));
            request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap()
        })
    };
    let serving = Serving::start(serve(folder.path()));
    let answer = ask(&serving, Role::TenantAdmin, register);
    assert_eq!(answer["data"]["registerDataset"]["status"], "REGISTERED", "{answer:#}");
    // Not ended: killed. What was answered is there all the same.
    serving.signal(Signal::KILL);
    assert_eq!(serving.ended().0, None);
    let serving = Serving::start(serve(folder.path()));
    let answer = ask(&serving, Role::Reader, "{ datasets { nodes { name } } }");
    assert_eq!(answer["data"]["datasets"]["nodes"][0]["name"], "kept", "{answer:#}");
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().0, Some(0));
}
