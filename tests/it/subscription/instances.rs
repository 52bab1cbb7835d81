//! Across instances, across breaks: nothing is lost, and nothing is told twice.

use std::time::Duration;

use drr::auth::policy::Role;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::Executor;

use super::{Body, FRESHNESS, RUNS, Socket, change, graph};
use crate::{
    app::TestApp,
    cluster::{Database, run},
    graph::{Graph, TENANT, text},
};

impl Graph {
    /// Another instance of the same service.
    async fn sibling(&self, follow: bool) -> TestApp {
        let database =
            Database { cluster: self.app.database.cluster, name: self.app.database.name.clone() };
        let started = TestApp::launch(database, self.clock.clone(), |assembly| {
            assembly.changes.follow = follow;
        });
        started.await.unwrap()
    }
}

#[test]
fn what_one_instance_writes_the_others_tell() {
    run(async {
        let graph = graph(|_| ()).await;
        let other = graph.sibling(false).await;
        let mut told = Body::events(&other, &graph.reader(), FRESHNESS, json!({})).await;
        graph.register("orders").await;
        assert_eq!(change(&told.item().await), "orders REGISTERED -→NOT_APPLICABLE");

        // The connection that listens is cut: whatever was said meanwhile is read afterwards.
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        graph.app.admin().await.execute(sqlx::raw_sql(cut)).await.unwrap();
        for name in ["one", "two", "three"] {
            graph.register(name).await;
        }
        for name in ["one", "two", "three"] {
            assert_eq!(change(&told.item().await), format!("{name} REGISTERED -→NOT_APPLICABLE"));
        }
        other.stop().await;
        graph.app.stop().await;
    });
}

/// What an instance left unannounced when it died is announced by whoever leads.
#[test]
fn marks_that_were_left_are_announced_by_another() {
    run(async {
        let graph = graph(|assembly| assembly.changes.follow = false).await;
        graph.register("orders").await;
        let run = "0190a000-0000-7000-8000-000000000003";
        graph.report("START", run, graph.now(), "orders").await;
        let other = graph.sibling(false).await;
        let mut told = Body::events(&other, &graph.reader(), RUNS, json!({})).await;
        let done = other.announce().await;
        assert_eq!((done.freshness, done.runs, done.failed_tenants), (2, 1, 0));
        assert_eq!(told.item().await["runId"], run);
        let again = other.announce().await;
        assert_eq!((again.freshness, again.runs), (0, 0));
        other.stop().await;
        graph.app.stop().await;
    });
}

const WRITERS: u128 = 4;
const EACH: u128 = 40;

fn run_of(writer: u128, index: u128) -> String {
    uuid::Uuid::from_u128((0x0190_a000_0000_7000 << 64) | (0x8 << 60) | (writer << 32) | index)
        .to_string()
}

/// Writers write through two instances at once; a reader is cut off again and again, and goes on after
/// the last cursor that it saw: each event comes once, and the numbers have no gap.
#[test]
fn a_reader_that_is_cut_off_at_random_misses_nothing_and_is_told_nothing_twice() {
    run(async {
        let graph = graph(|_| ()).await;
        let other = graph.sibling(true).await;
        let writer_token = graph.token(Role::RuntimeWriter);
        let write = |writer: u128| {
            let (graph, other, token) = (&graph, &other, &writer_token);
            async move {
                for index in 0..EACH {
                    let run = run_of(writer, index);
                    let name = format!("dataset_{writer}");
                    let event =
                        crate::smoke::run_event("COMPLETE", &text(graph.now()), &run, &name);
                    let app = if index % 2 == 0 { &graph.app } else { other };
                    let (status, report) = app.lineage(token, &event).await;
                    assert_eq!(status, 201, "{report:#}");
                }
            }
        };
        let read = async {
            let reader = graph.reader();
            let (mut seen, mut cursor) = (Vec::new(), json!("eyJydW5zIjowfQ"));
            // How many items until the next cut: by chance, but the same in every run.
            let mut chance = 12_345_u64;
            while seen.len() < usize::try_from(WRITERS * EACH).unwrap() {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let app = if chance >> 63 == 0 { &graph.app } else { &other };
                let mut socket = Socket::acknowledged(app, &reader).await;
                socket.subscribe("a", RUNS, json!({ "after": cursor })).await;
                for _ in 0..(chance >> 33) % 12 {
                    if seen.len() == usize::try_from(WRITERS * EACH).unwrap() {
                        break;
                    }
                    let item: Value = socket.item("a").await;
                    cursor = item["cursor"].clone();
                    seen.push(item["runId"].as_str().unwrap().to_owned());
                }
                // Dropped without a word.
            }
            seen
        };
        let (_, seen) = tokio::join!(join_all((0..WRITERS).map(write)), read);
        let mut all: Vec<_> = (0..WRITERS)
            .flat_map(|writer| (0..EACH).map(move |index| run_of(writer, index)))
            .collect();
        let mut told = seen.clone();
        told.sort_unstable();
        all.sort_unstable();
        assert_eq!(told, all, "each event once");
        // Those of one writer, each of which waited for the one before, in their order.
        for writer in 0..WRITERS {
            let own: Vec<_> = (0..EACH).map(|index| run_of(writer, index)).collect();
            let told: Vec<_> = seen.iter().filter(|run| own.contains(run)).cloned().collect();
            assert_eq!(told, own);
        }
        let mut body =
            Body::events(&graph.app, &graph.reader(), RUNS, json!({ "after": "eyJydW5zIjowfQ" }))
                .await;
        let mut again = Vec::new();
        for _ in 0..seen.len() {
            again.push(body.item().await["runId"].as_str().unwrap().to_owned());
        }
        assert_eq!(again, seen, "the same order for everybody");
        other.stop().await;
        graph.app.stop().await;
    });
}

/// What is kept no longer cannot be gone on after, and says so.
#[test]
fn a_cursor_from_before_the_retention_is_refused() {
    run(async {
        let graph = graph(|assembly| assembly.retention.changes_hours = 1).await;
        let mut told = Body::events(&graph.app, &graph.reader(), FRESHNESS, json!({})).await;
        graph.register("one").await;
        let first = told.item().await["cursor"].clone();
        graph.register("two").await;
        assert_eq!(change(&told.item().await), "two REGISTERED -→NOT_APPLICABLE");
        graph.advance(3_601);
        graph.register("three").await;
        // Its token has ended as well, so another one reads what came.
        let body = json!({ "query": FRESHNESS, "variables": { "after": first } });
        let mut code = Value::Null;
        // The announcement goes on beside this test.
        for _ in 0..200 {
            let response = super::post(
                &graph.app,
                &graph.app.token(TENANT, Role::Reader),
                super::EVENTS,
                &body,
            )
            .await;
            if response.status() != 200 {
                code = response.json::<Value>().await.unwrap()["errors"][0]["extensions"]["code"]
                    .take();
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(code, "CONFLICT");
        graph.app.stop().await;
    });
}
