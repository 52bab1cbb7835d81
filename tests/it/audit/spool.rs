//! Events while the database is away: on this machine's disk, and delivered in order when it is back.

use std::path::PathBuf;

use drr::{auth::policy::Role, clock::SystemClock};
use serde_json::json;
use sqlx::PgConnection;

use super::{awaited, count, events, let_in, lock_out, name};
use crate::{
    app::TestApp,
    cluster::{Cluster, Database, run},
};

/// What needs no database: who is calling.
const ME: &str = "{ me { role } }";

pub async fn ask(app: &TestApp, call: &str) -> (u16, serde_json::Value) {
    let request = app.http.post(app.public("/graphql")).header("x-correlation-id", call);
    let request = request.bearer_auth(app.token("acme", Role::Reader));
    let answer = request.json(&json!({ "query": ME })).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// The correlation ids of the trail, in the order in which it was written.
pub async fn written(admin: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT correlation_id FROM audit_event ORDER BY sequence";
    sqlx::query_scalar(sql).fetch_all(admin).await.unwrap()
}

// D34
#[test]
fn while_the_database_is_away_events_wait_and_come_in_order() {
    run(async {
        let app = TestApp::start().await;
        let mut calls = vec![name()];
        assert_eq!(ask(&app, &calls[0]).await.0, 200);
        lock_out(&app).await;
        for _ in 0..20 {
            calls.push(name());
            assert_eq!(ask(&app, calls.last().unwrap()).await.0, 200);
        }
        let_in(&app).await;
        // These come while the others are still on their way, and do not overtake them.
        for _ in 0..20 {
            calls.push(name());
            assert_eq!(ask(&app, calls.last().unwrap()).await.0, 200);
        }
        let mut admin = app.admin().await;
        awaited(&mut admin, calls.last().unwrap(), 1).await;
        assert_eq!(written(&mut admin).await, calls);
        app.stop().await;
    });
}

#[test]
fn where_neither_takes_an_event_the_call_is_refused() {
    run(async {
        let app = TestApp::with(|assembly| assembly.audit.spool_bytes = 1 << 16).await;
        lock_out(&app).await;
        let (mut answered, mut refused) = (Vec::new(), None);
        while refused.is_none() {
            assert!(answered.len() < 1_000, "the spool has no end");
            let call = name();
            let (status, answer) = ask(&app, &call).await;
            if status == 200 {
                answered.push(call);
            } else {
                assert_eq!((status, &answer["code"]), (503, &json!("UNAVAILABLE")), "{answer:#}");
                assert!(answer.get("data").is_none(), "{answer:#}");
                refused = Some(call);
            }
        }
        assert!(answered.len() > 20, "{}", answered.len());
        let_in(&app).await;
        let mut admin = app.admin().await;
        awaited(&mut admin, answered.last().unwrap(), 1).await;
        assert_eq!(written(&mut admin).await, answered);
        assert!(events(&mut admin, &refused.unwrap()).await.is_empty());
        // And the service is back by itself.
        let call = name();
        assert_eq!(ask(&app, &call).await.0, 200);
        assert_eq!(events(&mut admin, &call).await.len(), 1);
        app.stop().await;
    });
}

#[test]
fn what_waits_on_disk_outlives_the_program() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let spool: PathBuf = folder.path().join("spool");
        let start = async |database: Database<'static>| {
            let spool = spool.clone();
            let clock = std::sync::Arc::new(SystemClock);
            TestApp::launch(database, clock, |assembly| assembly.audit.spool_dir = spool)
                .await
                .unwrap()
        };
        let app = start(Cluster::shared().await.database().await).await;
        lock_out(&app).await;
        let call = name();
        assert_eq!(ask(&app, &call).await.0, 200);
        let database = Database { cluster: app.database.cluster, name: app.database.name.clone() };
        app.stop().await;
        // What was cut off while it was written was never acknowledged.
        let file = spool.join("events");
        let mut bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.is_empty());
        bytes.extend_from_slice(&[9, 0, 0, 0, 1]);
        std::fs::write(&file, &bytes).unwrap();
        let admin = database.cluster.admin("postgres").await;
        super::allow(admin, &database.name).await;
        let app = start(database).await;
        let mut admin = app.admin().await;
        let [event] = awaited(&mut admin, &call, 1).await.try_into().unwrap();
        assert_eq!((event.action.as_str(), event.result.as_str()), ("me.read", "SUCCESS"));
        app.stop().await;
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "delivered, and forgotten");
        // Once more, with the same events: the database takes each once.
        std::fs::write(&file, &bytes).unwrap();
        let database =
            Database { cluster: Cluster::shared().await, name: admin_name(&mut admin).await };
        let app = start(database).await;
        let again = name();
        assert_eq!(ask(&app, &again).await.0, 200);
        awaited(&mut admin, &again, 1).await;
        assert_eq!(count(&mut admin, "SELECT count(*) FROM audit_event").await, 2);
        app.stop().await;
    });
}

async fn admin_name(admin: &mut PgConnection) -> String {
    sqlx::query_scalar("SELECT current_database()::text").fetch_one(admin).await.unwrap()
}
