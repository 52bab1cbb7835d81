//! The months that the program makes ahead.

use chrono::{Duration, Months};
use drr::{
    app::StartError,
    clock::{Clock, SystemClock},
    db::{Db, maintenance::ensure_partitions},
    error::ErrorCode,
};

use super::{
    pool::at_rest,
    world::{ACME, db_settings, populate, script, state, strings},
};
use crate::{
    app::TestApp,
    cluster::{Cluster, SCHEMA, run},
};

const PARENTS: usize = 4;
const PARTITIONS: &str = "SELECT inhrelid::regclass::text FROM pg_inherits
  JOIN pg_partitioned_table ON partrelid = inhparent AND partstrat = 'r' ORDER BY 1";

#[test]
fn partitions_are_made_once_however_often_and_by_however_many() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        let at_first = strings(&mut admin, PARTITIONS).await;
        // The history, the month before, this one and three more.
        assert_eq!(at_first.len(), PARENTS * 6, "{at_first:?}");
        let db = Db::new(db_settings(database.application(), 8));
        assert_eq!(ensure_partitions(&db, SystemClock.now()).await.unwrap(), 0);
        let later = SystemClock.now() + Months::new(4);
        let instances: Vec<_> =
            (0..4).map(|_| Db::new(db_settings(database.application(), 2))).collect();
        let calls = instances
            .iter()
            .flat_map(|db| [ensure_partitions(db, later), ensure_partitions(db, later)]);
        let made: u32 = futures::future::try_join_all(calls).await.unwrap().into_iter().sum();
        let now = strings(&mut admin, PARTITIONS).await;
        assert_eq!(now.len() - at_first.len(), PARENTS * 4);
        assert_eq!(usize::try_from(made).unwrap(), PARENTS * 4, "some month was counted twice");
        // Guarded like their parents: the program starts on them, and nobody was given anything.
        let app = TestApp::launch(database, std::sync::Arc::new(SystemClock), |_| ()).await;
        app.unwrap_or_else(|error: StartError| panic!("{error}")).stop().await;
        let given = "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'
                      AND relacl IS NOT NULL AND relnamespace = 'storage_drr'::regnamespace
                      AND EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee <> relowner)";
        assert_eq!(strings(&mut admin, given).await, Vec::<String>::new());
    });
}

#[test]
fn a_month_of_the_far_future_is_refused() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let db = Db::new(db_settings(database.application(), 1));
        let far = SystemClock.now() + Duration::days(800);
        assert_eq!(ensure_partitions(&db, far).await.unwrap_err().code(), ErrorCode::Internal);
        let mut admin = database.admin().await;
        assert_eq!(strings(&mut admin, PARTITIONS).await.len(), PARENTS * 6);
        let mut raw = database.admin().await;
        script(&mut raw, "SET ROLE drr_operator").await;
        assert_eq!(
            state(&mut raw, "SELECT ensure_partitions('infinity')").await.as_deref(),
            Some("22023")
        );
        assert_eq!(state(&mut raw, "SELECT ensure_partitions('-infinity')").await, None);
        assert_eq!(state(&mut raw, "SELECT ensure_partitions(NULL)").await, None);
        assert_eq!(strings(&mut admin, PARTITIONS).await.len(), PARENTS * 6);
        db.close().await;
    });
}

#[test]
fn a_row_lands_in_its_month_or_in_the_history() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        populate(&mut admin).await;
        for (table, time) in [
            ("run_event", "event_time"),
            ("dataset_run_log", "effective_at"),
            ("audit_event_api", "occurred_at"),
            ("audit_event_schema", "occurred_at"),
        ] {
            let misplaced = format!(
                "SELECT tableoid::regclass || ' ' || {time} FROM {table}
                  WHERE tableoid::regclass::text <> '{table}_' || CASE
                    WHEN {time} < date_trunc('month', now()) - interval '1 month' THEN 'history'
                    ELSE to_char({time}, 'YYYYMM') END"
            );
            assert_eq!(strings(&mut admin, &misplaced).await, Vec::<String>::new());
            let history =
                format!("SELECT count(*)::text FROM {table}_history WHERE tenant_id = '{ACME}'");
            assert_eq!(strings(&mut admin, &history).await, ["2"]);
        }
    });
}

// A call that is dropped leaves no connection with the operator's role, and no half-made month.
#[test]
fn a_dropped_call_makes_all_months_or_none() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let db = Db::new(db_settings(database.application(), 1));
        let mut admin = database.admin().await;
        let (mut old, mut cut_off) = (PARENTS * 6, 0);
        for polls in 0..10 {
            let month = SystemClock.now() + Months::new(1 + polls);
            let polls = usize::try_from(polls).unwrap();
            cut_off +=
                usize::from(super::pool::cut(ensure_partitions(&db, month), polls).await.is_none());
            super::pool::cut(db.ping(), 1_000).await.unwrap().unwrap();
            at_rest(&database).await;
            let count = strings(&mut admin, PARTITIONS).await.len();
            assert!((count - old) % PARENTS == 0, "{old} became {count}");
            old = count;
        }
        assert!((1..10).contains(&cut_off), "{cut_off}");
        let schema = format!(
            "SELECT count(*)::text FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace
            AND relkind = 'r' AND relname ~ '_[0-9]{{6}}$' AND NOT relispartition"
        );
        assert_eq!(strings(&mut admin, &schema).await, ["0"]);
        db.close().await;
    });
}
