//! Months that are kept no longer: they go as a whole, and nothing that the refresh states know goes
//! with them.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, SecondsFormat, Utc};
use drr::{
    auth::policy::Role,
    clock::{Clock, ManualClock, SystemClock},
    db::Db,
    retention::{self, Retention},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    app::{TestApp, settings},
    cluster::{Cluster, Database, run},
    door::world::{db_settings, script, state, strings},
    smoke::run_event,
};

const PARENTS: [&str; 2] = ["dataset_run_log", "run_event"];

/// A database as if the program had been installed 8 months ago.
async fn aged(now: DateTime<Utc>) -> Database<'static> {
    let database = Cluster::shared().await.database().await;
    let mut owner = PgConnection::connect_with(&database.owner()).await.unwrap();
    let today = now.date_naive();
    let month = NaiveDate::from_ymd_opt(today.year(), today.month(), 1).unwrap();
    let first = month - Months::new(8);
    let mut sql = "SET search_path = storage_drr; SET timezone = 'UTC';".to_owned();
    for parent in PARENTS {
        sql += &format!(
            "DROP TABLE {parent}_history;
             SELECT add_partition('{parent}', '{parent}_history', 'MINVALUE', quote_literal('{first}'));"
        );
        // The month before this one and all later ones are there.
        for back in 2..=8 {
            let (low, high) = (month - Months::new(back), month - Months::new(back - 1));
            let name = low.format("%Y%m");
            sql += &format!(
                "SELECT add_partition('{parent}', '{parent}_{name}', quote_literal('{low}'), quote_literal('{high}'));"
            );
        }
    }
    script(&mut owner, sql).await;
    owner.close().await.unwrap();
    database
}

async fn partitions(admin: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT inhrelid::regclass::text FROM pg_inherits
                WHERE inhparent IN ('dataset_run_log'::regclass, 'run_event'::regclass) ORDER BY 1";
    strings(admin, sql).await
}

struct Story {
    app: TestApp,
    now: DateTime<Utc>,
}

impl Story {
    async fn tell(&self, event_type: &str, days_ago: u64, run: u32, dataset: &str) {
        let at = (self.now - Days::new(days_ago)).to_rfc3339_opts(SecondsFormat::Micros, true);
        let id = format!("0190a000-0000-7000-8000-{run:012}");
        let mut event = run_event(event_type, &at, &id, dataset);
        event["outputs"][0]["outputFacets"] = json!({
            "outputStatistics": { "rowCount": days_ago },
            "drr_sourceWatermark": { "at": at, "origin": "DBT_SOURCES" },
        });
        let (status, report) =
            self.app.lineage(&self.app.token("acme", Role::RuntimeWriter), &event).await;
        assert_eq!(status, 201, "{report:#}");
    }

    async fn states(&self) -> Value {
        let query = "{ datasets { nodes { name refreshState { status lastSuccessAt lastSuccessRunId rowCount
          lastFailureRunId lastFailureAt lastRunId lastRunState sourceWatermark sourceWatermarkOrigin
          consecutiveFailures } } } }";
        let reader = self.app.token("acme", Role::Reader);
        self.app.data(&reader, query, json!({})).await["datasets"]["nodes"].take()
    }
}

// D37
#[test]
fn months_go_as_a_whole_and_states_do_not_forget() {
    run(async {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let now = clock.now();
        let database = aged(now).await;
        let db = Db::new(db_settings(database.application(), 2));
        let mut admin = database.admin().await;
        let app = TestApp::launch(database, clock, |_| ()).await.unwrap();
        let story = Story { app, now };
        // Names in order: `a` succeeded and failed long ago, `b` only failed, `c` is refreshed still,
        // `d` runs since long ago.
        story.tell("COMPLETE", 110, 1, "a").await;
        story.tell("FAIL", 105, 2, "a").await;
        story.tell("FAIL", 104, 3, "a").await;
        story.tell("FAIL", 105, 4, "b").await;
        story.tell("COMPLETE", 110, 5, "c").await;
        story.tell("COMPLETE", 3, 6, "c").await;
        story.tell("START", 105, 7, "d").await;
        let before = story.states().await;
        assert_eq!(before[0]["refreshState"]["consecutiveFailures"], 2);

        let defaults = settings().retention;
        let keep = Retention { runs_days: 60, ..defaults };
        assert_eq!(
            retention::drop_runs(&db, Retention { runs_days: 0, ..defaults }, now, false)
                .await
                .unwrap(),
            []
        );
        let all = partitions(&mut admin).await;
        let old = retention::drop_runs(&db, keep, now, true).await.unwrap();
        assert_eq!(partitions(&mut admin).await, all, "only said");
        let dropped = retention::drop_runs(&db, keep, now, false).await.unwrap();
        assert_eq!(dropped, old);
        let names: Vec<_> = old.iter().map(|partition| partition.name.as_str()).collect();
        assert!(names.contains(&"run_event_history") && names.len() >= 10, "{names:?}");
        assert!(old.iter().all(|partition| partition.bytes > 0));
        let left = partitions(&mut admin).await;
        // An empty history takes the place of the old one.
        assert_eq!(left.len(), all.len() - old.len() + PARENTS.len());
        assert_eq!(strings(&mut admin, "SELECT count(*)::text FROM dataset_run_log").await, ["1"]);
        assert_eq!(
            strings(
                &mut admin,
                "SELECT count(*)::text FROM audit_event WHERE action = 'lineage.ingest'"
            )
            .await,
            ["7"]
        );
        assert_eq!(retention::drop_runs(&db, keep, now, false).await.unwrap(), [], "nothing twice");
        assert_eq!(story.states().await, before);

        // Runs that decide nothing: every state is recomputed, and stands.
        for (run, dataset) in [(11, "a"), (12, "b"), (13, "c")] {
            story.tell("ABORT", 1, run, dataset).await;
        }
        let after = story.states().await;
        for (before, after) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
            let (was, is) = (&before["refreshState"], &after["refreshState"]);
            for field in [
                "status",
                "lastSuccessAt",
                "lastSuccessRunId",
                "rowCount",
                "lastFailureRunId",
                "lastFailureAt",
                "sourceWatermark",
                "sourceWatermarkOrigin",
            ] {
                assert_eq!(was[field], is[field], "{field}: {before:#} {after:#}");
            }
        }
        assert_eq!(after[0]["refreshState"]["status"], "FAILED");
        assert_eq!(after[0]["refreshState"]["sourceWatermarkOrigin"], "DBT_SOURCES");
        assert_eq!(after[0]["refreshState"]["lastRunState"], "ABORTED");
        // The log counts the failures, and has none of them any more.
        assert_eq!(after[0]["refreshState"]["consecutiveFailures"], 1);

        // The run of a month that is gone ends: what comes late still has a place, and counts.
        story.tell("FAIL", 100, 7, "d").await;
        story.tell("COMPLETE", 0, 14, "a").await;
        let after = story.states().await;
        assert_eq!(after[3]["refreshState"]["status"], "FAILED", "{after:#}");
        assert_eq!(after[0]["refreshState"]["status"], "READY");
        assert_eq!(after[0]["refreshState"]["consecutiveFailures"], 0);
        db.close().await;
        story.app.stop().await;
    });
}

#[test]
fn nothing_of_the_last_28_days_can_be_dropped() {
    run(async {
        let database = aged(SystemClock.now()).await;
        let mut raw = database.admin().await;
        let all = partitions(&mut raw).await;
        script(&mut raw, "SET ROLE drr_operator").await;
        for before in ["(now() - interval '27 days')::date", "'infinity'", "'-infinity'", "NULL"] {
            let sql = format!("SELECT * FROM drop_partitions({before}, false)");
            assert_eq!(state(&mut raw, &sql).await.as_deref(), Some("22023"), "{before}");
        }
        script(&mut raw, "RESET ROLE").await;
        assert_eq!(partitions(&mut raw).await, all);
    });
}
