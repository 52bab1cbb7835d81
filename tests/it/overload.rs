//! More callers than can be served: some are, soon and right; the others are told at once to come back.

use std::time::{Duration, Instant};

use drr::{auth::policy::Role, gate::Load};
use futures::future::join_all;
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};
use tokio::task::JoinHandle;

use crate::{
    app::TestApp,
    cluster::{SCHEMA, run},
    door::world::strings,
};

const LOAD: Load = Load { at_work: 2, waiting: 4, patience: Duration::from_millis(300) };
/// Waits for the lock that a test holds.
const STUCK: &str = "{ datasets { nodes { name } } }";
/// Needs no table.
const FREE: &str = "{ me { role } }";
/// In such a time everybody is answered who is sent away, on a machine that has other things to do.
const SOON: Duration = Duration::from_secs(20);

struct Full {
    app: TestApp,
    token: String,
    holder: PgConnection,
    served: Vec<JoinHandle<Response>>,
}

fn graphql(app: &TestApp, token: &str, query: &str) -> RequestBuilder {
    let request = app.http.post(app.public("/graphql")).bearer_auth(token);
    request.json(&json!({ "query": query }))
}

/// Statements that wait in the database.
async fn stuck(app: &TestApp) -> usize {
    let sql = format!(
        "SELECT query FROM pg_stat_activity WHERE datname = '{}' AND application_name ~ '^drr( |$)'
          AND usename = 'drr_app' AND state = 'active' AND wait_event_type = 'Lock'",
        app.database.name
    );
    strings(&mut app.database.cluster.admin("postgres").await, &sql).await.len()
}

async fn until_stuck(app: &TestApp, count: usize) {
    let begun = Instant::now();
    while stuck(app).await != count {
        assert!(begun.elapsed() < SOON, "{count} statements should wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Full {
    /// A service with as many requests at work as there may be, and none of them gets anywhere.
    async fn start() -> Self {
        let app = TestApp::with(|assembly| assembly.limits.load = LOAD).await;
        let token = app.token("acme", Role::RuntimeWriter);
        let mut holder = app.admin().await;
        // Kept before: see below.
        app.data(&token, FREE, json!({})).await;
        app.data(&token, "{ datasets(first: 7) { nodes { name } } }", json!({})).await;
        let lock = format!("BEGIN; LOCK TABLE {SCHEMA}.dataset_registry IN ACCESS EXCLUSIVE MODE");
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut holder).await.unwrap();
        let mut full = Self { app, token, holder, served: Vec::new() };
        // Not the same to the byte, which one would ask for the other.
        for name in ["one", "other"] {
            let request =
                graphql(&full.app, &full.token, &STUCK.replace("name", &format!("{name}: name")));
            full.served.push(tokio::spawn(async { request.send().await.unwrap() }));
        }
        until_stuck(&full.app, LOAD.at_work).await;
        full
    }

    /// Lets those at work go on; their answers.
    async fn let_go(self) -> (TestApp, Vec<Response>) {
        self.holder.close().await.unwrap();
        let served = join_all(self.served).await.into_iter().map(Result::unwrap).collect();
        (self.app, served)
    }
}

// D34: whoever is sent away leaves an event like anybody else.
#[test]
fn whoever_cannot_be_served_is_told_soon_and_whoever_can_be_gets_what_is_right() {
    run(async {
        let full = Full::start().await;
        let (app, token) = (&full.app, &full.token);
        let lineage = app.http.post(app.internal("/api/v1/lineage")).bearer_auth(token);
        let lineage = lineage.header(header::CONTENT_TYPE, "application/json").body("[]");
        let stream = graphql(app, token, "subscription { runStatusChanged { cursor } }");
        let ways = [
            graphql(app, token, STUCK),
            app.http.get(app.public("/storage/v1/datasets")).bearer_auth(token),
            app.http
                .get(app.public("/evidence/v1/acme/checkpoint"))
                .bearer_auth(app.token("acme", Role::Auditor)),
            lineage,
            stream.header(header::ACCEPT, "text/event-stream"),
        ];
        let begun = Instant::now();
        let asked = (0..100).map(|number: usize| {
            let request = ways[number % ways.len()].try_clone().unwrap();
            request.header("x-correlation-id", format!("shed-{number}")).send()
        });
        let answers = join_all(asked).await;
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        for (number, answer) in answers.into_iter().enumerate() {
            let answer = answer.unwrap();
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body: Value = answer.json().await.unwrap();
            assert_eq!(status, 503, "{number}: {body:#}");
            assert_eq!(headers[header::RETRY_AFTER], "1", "{number}");
            let name = format!("shed-{number}");
            assert_eq!(headers["x-correlation-id"], name.as_str());
            let (code, id) = match &body["errors"][0] {
                Value::Null => (&body["code"], &body["correlation_id"]),
                error => (&error["extensions"]["code"], &error["extensions"]["correlationId"]),
            };
            assert_eq!((code, id), (&json!("OVERLOADED"), &json!(name)), "{body:#}");
        }
        // None of them has asked the database, and nobody is kept from looking after the service.
        assert_eq!(stuck(app).await, LOAD.at_work);
        for path in ["/livez", "/readyz", "/metrics"] {
            let answer = app.http.get(app.operations(path)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            if path == "/metrics" {
                let text = answer.text().await.unwrap();
                for name in ["drr_shed_total{reason=\"full\"}", "drr_requests_at_work"] {
                    assert!(text.contains(name), "{name}");
                }
            }
        }
        let (app, served) = full.let_go().await;
        for answer in served {
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["data"]["datasets"]["nodes"], json!([]), "{body:#}");
        }

        let mut admin = app.admin().await;
        let sql = "SELECT sum(calls)::bigint AS calls, count(*) AS events,
                          count(*) FILTER (WHERE correlation_id LIKE 'shed-%' AND result = 'FAILURE'
                                           AND event_id = call_id AND row_count = 0) AS right,
                          array_agg(DISTINCT action ORDER BY action) AS actions
                     FROM audit_event WHERE error_code = 'OVERLOADED' AND tenant_id = 'acme'";
        let row = sqlx::query(sql).fetch_one(&mut admin).await.unwrap();
        let [calls, events, right] = ["calls", "events", "right"].map(|of| row.get::<i64, _>(of));
        assert_eq!((calls, right), (100, events));
        assert!((20..100).contains(&events), "{events}");
        let actions: Vec<String> = row.get("actions");
        assert_eq!(
            actions,
            [
                "evidence.read",
                "graphql.execute",
                "lineage.ingest",
                "rest.read",
                "subscription.start"
            ]
        );
        app.stop().await;
    });
}

#[test]
fn what_is_kept_is_answered_however_much_there_is_to_do() {
    run(async {
        let full = Full::start().await;
        let kept = "{ datasets(first: 7) { nodes { name } } }";
        let begun = Instant::now();
        let answers = join_all((0..50).map(|_| full.app.send(&full.token, kept, json!({})))).await;
        assert!(answers.iter().all(|answer| answer.status() == 200));
        assert!(begun.elapsed() < SOON);
        let (app, _) = full.let_go().await;
        app.stop().await;
    });
}

/// Those who go away while they wait or are at work leave their places to others.
#[test]
fn whoever_goes_away_gives_his_place_to_another() {
    run(async {
        let full = Full::start().await;
        let (app, token) = (&full.app, &full.token);
        let waiting = graphql(app, token, FREE).timeout(Duration::from_millis(50)).send();
        assert!(waiting.await.unwrap_err().is_timeout(), "it was served or sent away");
        assert_eq!(graphql(app, token, FREE).send().await.unwrap().status(), 503);
        // A token for one use is not used up by that.
        let mut once = TestApp::request("acme", Role::Reader);
        once.one_time = true;
        let once = app.sign(&once);
        assert_eq!(graphql(app, &once, FREE).send().await.unwrap().status(), 503);
        for caller in &full.served {
            caller.abort();
        }
        let begun = Instant::now();
        // Its connection is closed, and so its work is over, once the server has seen that.
        while graphql(app, token, FREE).send().await.unwrap().status() != 200 {
            assert!(begun.elapsed() < SOON, "the places are never given back");
        }
        until_stuck(app, 0).await;
        // All of them, and no more.
        let again = join_all((0..LOAD.at_work).map(|_| graphql(app, token, FREE).send())).await;
        assert!(again.into_iter().all(|answer| answer.unwrap().status() == 200));
        for status in [200, 401] {
            assert_eq!(graphql(app, &once, FREE).send().await.unwrap().status(), status);
        }
        full.holder.close().await.unwrap();
        full.app.stop().await;
    });
}
