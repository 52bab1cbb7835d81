//! Work that nobody waits for any more stops, in the database as well.

use std::time::{Duration, Instant};

use drr::auth::policy::Role;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    app::TestApp,
    cluster::{SCHEMA, run},
    door::world::strings,
};

const QUERY: &str = "{ datasets { nodes { name } } }";
/// Longer than this query takes on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(3);
/// Longer than any of these tests takes, so that nothing here ends by itself.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);

/// A service whose reads of datasets wait until `blocking` goes.
async fn blocked(deadline: Duration) -> (TestApp, PgConnection) {
    let app = TestApp::with(|assembly| {
        // Of those who ask for the same, each is to ask the database.
        assembly.cache.bytes = 0;
        assembly.limits.request_deadline = deadline;
        assembly.limits.body_timeout = Duration::ZERO;
        assembly.database.statement_timeout = STATEMENT_TIMEOUT;
    })
    .await;
    let mut blocking = app.admin().await;
    let lock = format!("BEGIN; LOCK TABLE {SCHEMA}.dataset_registry IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut blocking).await.unwrap();
    (app, blocking)
}

/// What the service's sessions are waiting for in the database.
async fn waiting(app: &TestApp) -> Vec<String> {
    let sql = format!(
        "SELECT query FROM pg_stat_activity WHERE datname = '{}' AND application_name ~ '^drr( |$)'
          AND usename = 'drr_app' AND state = 'active'",
        app.database.name
    );
    strings(&mut app.database.cluster.admin("postgres").await, &sql).await
}

/// Waits until the number of statements at work is what it should be.
async fn until(app: &TestApp, count: usize) -> Duration {
    let begun = Instant::now();
    loop {
        let now = waiting(app).await;
        if now.len() == count {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < STATEMENT_TIMEOUT / 8, "{count} wanted: {now:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn an_operation_over_its_deadline_is_told_so_and_its_statement_is_stopped() {
    run(async {
        let (app, blocking) = blocked(DEADLINE).await;
        let token = app.token("acme", Role::Reader);
        let begun = Instant::now();
        let answer = app.send(&token, QUERY, json!({})).await;
        assert!(begun.elapsed() >= DEADLINE);
        assert_eq!(answer.status(), 504);
        let correlation_id = answer.headers()["x-correlation-id"].to_str().unwrap().to_owned();
        let answer: Value = answer.json().await.unwrap();
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "DEADLINE_EXCEEDED", "{answer:#}");
        assert_eq!(extensions["correlationId"], correlation_id, "{answer:#}");
        assert!(answer.get("data").is_none());
        // The lock is still held: what waited for it was cancelled.
        let after = until(&app, 0).await;
        assert!(after < Duration::from_secs(5), "{after:?}");

        let rest = app.http.get(app.public("/storage/v1/datasets")).bearer_auth(&token);
        let rest = rest.send().await.unwrap();
        assert_eq!(rest.status(), 504);
        let problem: Value = rest.json().await.unwrap();
        assert_eq!(problem["code"], "DEADLINE_EXCEEDED", "{problem:#}");
        until(&app, 0).await;
        blocking.close().await.unwrap();
        // The connections are as good as before.
        for _ in 0..20 {
            app.data(&token, QUERY, json!({})).await;
        }
    });
}

#[test]
fn when_the_caller_goes_away_its_statement_is_stopped() {
    run(async {
        let (app, blocking) = blocked(Duration::from_secs(60)).await;
        let token = app.token("acme", Role::Reader);
        let body = json!({ "query": QUERY }).to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: drr\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut callers = Vec::new();
        for _ in 0..4 {
            let mut caller = TcpStream::connect(app.public_address()).await.unwrap();
            caller.write_all(request.as_bytes()).await.unwrap();
            callers.push(caller);
        }
        until(&app, 4).await;
        drop(callers.pop());
        until(&app, 3).await;
        drop(callers);
        let after = until(&app, 0).await;
        assert!(after < Duration::from_secs(5), "{after:?}");
        blocking.close().await.unwrap();
        app.data(&token, QUERY, json!({})).await;
    });
}

/// Whoever comes and goes has no more statements under way than the pool has connections.
#[test]
fn callers_who_come_and_go_do_not_pile_up_in_the_database() {
    run(async {
        let (app, blocking) = blocked(Duration::from_secs(60)).await;
        let token = app.token("acme", Role::Reader);
        let pool = crate::app::settings().database.max_connections as usize;
        let mut most = 0;
        for _ in 0..10 {
            let callers = (0..10).map(|_| {
                tokio::time::timeout(Duration::from_millis(60), app.send(&token, QUERY, json!({})))
            });
            futures::future::join_all(callers).await;
            most = most.max(waiting(&app).await.len());
        }
        assert!(most <= pool, "{most} statements at once");
        until(&app, 0).await;
        blocking.close().await.unwrap();
        app.data(&token, QUERY, json!({})).await;
    });
}
