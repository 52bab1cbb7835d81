//! The stream to a SIEM: a file, receivers that fail and come back, and a streamer that is killed.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use chrono::TimeDelta;
use drr::{
    audit::siem::{Receiver, Sink, Streamer},
    auth::policy::Role,
    clock::{ManualClock, SystemClock},
    config::Secret,
    db::Db,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    app::TestApp,
    cluster::{Cluster, run},
    door::{
        pool::cut,
        world::{db_settings, script},
    },
    graph::{Graph, STRANGER, TENANT, string},
};

const TOKEN: &str = "a token of sixteen bytes or more";

/// What a receiver got, request by request, and what it answers: one after the other, and 200 when there
/// is nothing left.
#[derive(Default)]
struct Got {
    bodies: Mutex<Vec<Bytes>>,
    answers: Mutex<VecDeque<u16>>,
}

async fn take(State(got): State<Arc<Got>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers[header::AUTHORIZATION], format!("Bearer {TOKEN}"));
    let answer = got.answers.lock().unwrap().pop_front().unwrap_or(200);
    if answer == 200 {
        got.bodies.lock().unwrap().push(body);
    }
    StatusCode::from_u16(answer).unwrap()
}

impl Got {
    /// Listens; whoever ends the task ends the receiver.
    async fn listen(self: &Arc<Self>, at: &str) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = Router::new().route("/v1/logs", post(take)).with_state(self.clone());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (address, task)
    }

    fn answer(&self, with: &[u16]) {
        self.answers.lock().unwrap().extend(with);
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().unwrap().clone()
    }

    /// The events of lines.
    fn lines(&self) -> Vec<Value> {
        self.bodies().iter().flat_map(|body| lines(body)).collect()
    }

    /// The events in the bodies of OpenTelemetry's records.
    fn records(&self) -> Vec<Value> {
        let requests = self.bodies();
        let requests = requests.iter().map(|body| serde_json::from_slice::<Value>(body).unwrap());
        let records = requests.flat_map(|request| {
            let logs = &request["resourceLogs"][0];
            let service = &logs["resource"]["attributes"][0];
            assert_eq!(service["value"]["stringValue"], "drr", "{request:#}");
            logs["scopeLogs"][0]["logRecords"].as_array().unwrap().clone()
        });
        let body = |record: Value| {
            let nanos: i64 = string(&record["timeUnixNano"]).parse().unwrap();
            let event: Value =
                serde_json::from_str(string(&record["body"]["stringValue"])).unwrap();
            assert_eq!(event["time"], nanos / 1_000_000);
            event
        };
        records.map(body).collect()
    }
}

fn receiver(address: &str) -> Receiver {
    let url = format!("http://{address}/v1/logs");
    Receiver::new(&url, Some(Secret::new(TOKEN.to_owned()))).unwrap()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "half a line");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn in_file(path: &Path) -> Vec<Value> {
    lines(&std::fs::read(path).unwrap_or_default())
}

/// The ids of events, tenant by tenant, in the order in which they came.
fn ids(events: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let tenant = string(&event["metadata"]["tenant_uid"]).to_owned();
        ids.entry(tenant).or_default().push(string(&event["metadata"]["uid"]).to_owned());
    }
    ids
}

/// The same by the trail itself.
async fn in_trail(admin: &mut PgConnection) -> BTreeMap<String, Vec<String>> {
    let sql = "SELECT tenant_id, event_id::text FROM audit_event
                ORDER BY tenant_id, transaction_id, sequence";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(admin).await.unwrap();
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tenant, id) in rows {
        ids.entry(tenant).or_default().push(id);
    }
    ids
}

/// Passes until `done`: an event is streamed once no transaction of the whole server, those of the tests
/// beside this one as well, can come before it.
async fn until(app: &TestApp, done: impl Fn() -> bool) -> u64 {
    let (begun, mut failed) = (Instant::now(), 0);
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        failed += app.stream().await.failed;
    }
    failed
}

// D46
#[test]
fn every_sink_has_every_event_in_order_though_receivers_fail_and_are_away() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.ndjson");
        let (http, otlp) = (Arc::new(Got::default()), Arc::new(Got::default()));
        let (address, serving) = http.listen("127.0.0.1:0").await;
        let (otlp_address, _serving) = otlp.listen("127.0.0.1:0").await;
        let sinks = vec![
            Sink::File(file.clone()),
            Sink::Http(receiver(&address)),
            Sink::Otlp(receiver(&otlp_address)),
        ];
        let clock = Arc::new(ManualClock::default());
        let database = Cluster::shared().await.database().await;
        let app = TestApp::launch(database, clock.clone(), |assembly| assembly.siem.sinks = sinks);
        let graph = Graph { app: app.await.unwrap(), clock };
        let mut admin = graph.app.admin().await;

        // A change, reads of two tenants, and somebody without a token.
        graph.register("orders").await;
        graph.read("{ me { role } }", json!({})).await;
        let stranger = graph.app.token(STRANGER, Role::Reader);
        graph.app.data(&stranger, "{ me { role } }", json!({})).await;
        graph.app.send("no token", "{ me { role } }", json!({})).await;
        let all = in_trail(&mut admin).await;
        assert_eq!(all.keys().collect::<Vec<_>>(), ["-", TENANT, STRANGER]);

        // One receiver answers with a failure to each tenant, which holds up no other sink.
        http.answer(&[503, 500, 429]);
        let failed =
            until(&graph.app, || ids(&in_file(&file)) == all && ids(&otlp.records()) == all).await;
        assert_eq!(failed, 3);
        assert!(http.lines().is_empty());
        // It is asked again when it is time, and not before.
        assert_eq!(graph.app.stream().await.failed, 0);
        assert!(http.lines().is_empty());
        graph.clock.advance(TimeDelta::seconds(7));
        until(&graph.app, || ids(&http.lines()) == all).await;

        // It goes away, and comes back at the same place.
        serving.abort();
        let _ = serving.await;
        graph.read("{ me { role } }", json!({})).await;
        let more = in_trail(&mut admin).await;
        assert!(until(&graph.app, || ids(&in_file(&file)) == more).await <= 1);
        while graph.app.stream().await.failed == 0 && ids(&http.lines()) == all {
            graph.clock.advance(TimeDelta::seconds(7));
        }
        assert_eq!(ids(&http.lines()), all);
        let (_, _serving) = http.listen(&address).await;
        graph.clock.advance(TimeDelta::minutes(6));
        until(&graph.app, || ids(&http.lines()) == more).await;
        // Nothing came twice to any of them, and all say the same.
        assert_eq!(in_file(&file), http.lines());
        assert_eq!(ids(&otlp.records()), more);
        let denied = in_file(&file);
        let denied = denied.iter().find(|event| event["metadata"]["tenant_uid"] == "-").unwrap();
        assert_eq!(denied["status_code"], "UNAUTHENTICATED");
        // What was done to deliver it is not in the trail.
        assert_eq!(in_trail(&mut admin).await, more);
    });
}

/// The events without those that came before.
fn once(events: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    events.iter().filter(|id| seen.insert(*id)).cloned().collect()
}

// D46
#[test]
fn whoever_is_killed_at_any_moment_leaves_no_event_out_and_none_out_of_order() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.ndjson");
        let got = Arc::new(Got::default());
        let (address, _serving) = got.listen("127.0.0.1:0").await;
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        let mut random = StdRng::seed_from_u64(7);
        let mut cuts = 0;
        for round in 0..40 {
            script(
                &mut admin,
                format!(
                    "INSERT INTO tenant_directory VALUES ('acme') ON CONFLICT DO NOTHING;
                     INSERT INTO audit_event
                       (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
                     SELECT 'acme', now(), gen_random_uuid(), 'somebody', 'dataset.read', 'SUCCESS',
                            'round {round}' FROM generate_series(1, 3)"
                ),
            )
            .await;
            // Another one each time, as after a start: nothing is remembered but the cursors.
            let db = Db::new(db_settings(database.application(), 4));
            let sinks = vec![Sink::File(file.clone()), Sink::Http(receiver(&address))];
            let streamer = Streamer::new(db.clone(), Arc::new(SystemClock), sinks);
            match cut(streamer.pass(), random.random_range(1..60)).await {
                Some(done) => assert_eq!(done.unwrap().failed, 0),
                None => cuts += 1,
            }
            // Whoever was killed writes no more to the file.
            db.close().await;
        }
        assert!(cuts > 5, "{cuts}");
        let db = Db::new(db_settings(database.application(), 4));
        let sinks = vec![Sink::File(file.clone()), Sink::Http(receiver(&address))];
        let streamer = Streamer::new(db, Arc::new(SystemClock), sinks);
        let all = in_trail(&mut admin).await;
        assert_eq!(all["acme"].len(), 120);
        let begun = Instant::now();
        loop {
            streamer.pass().await.unwrap();
            let found = [ids(&in_file(&file)), ids(&got.lines())];
            let whole = found.iter().all(|ids| once(&ids["acme"]) == all["acme"]);
            if whole {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{found:#?}");
        }
    });
}

// D36
#[test]
fn an_event_waits_for_whatever_could_still_come_before_it() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.ndjson");
        let sink = Sink::File(file.clone());
        let app = TestApp::with(|assembly| assembly.siem.sinks = vec![sink]).await;
        let mut early = app.admin().await;
        let insert = |id: u32| {
            AssertSqlSafe(format!(
                "INSERT INTO audit_event
                   (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
                 VALUES ('acme', now(), '0190a000-0000-7000-8000-00000000000{id}', 'somebody',
                         'dataset.read', 'SUCCESS', 'c')"
            ))
        };
        let mut admin = app.admin().await;
        script(&mut admin, "INSERT INTO tenant_directory VALUES ('acme')").await;
        script(&mut early, "BEGIN").await;
        sqlx::raw_sql(insert(1)).execute(&mut early).await.unwrap();
        sqlx::raw_sql(insert(2)).execute(&mut admin).await.unwrap();
        for _ in 0..5 {
            assert_eq!(app.stream().await.delivered, 0, "the first one is not committed");
        }
        script(&mut early, "COMMIT").await;
        until(&app, || in_file(&file).len() == 2).await;
        assert_eq!(ids(&in_file(&file)), in_trail(&mut admin).await);
    });
}
