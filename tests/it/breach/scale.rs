//! How long it takes with many datasets. Not part of a usual run:
//! `cargo test --release --test it -- --ignored --nocapture breach::scale`.

use std::{sync::Arc, time::Instant};

use chrono::TimeDelta;
use drr::{
    breach::sweeper::Sweeper,
    clock::{Clock, ManualClock},
    db::Db,
};

use super::{fill, script};
use crate::{
    cluster::{Cluster, run},
    door::world::db_settings,
};

const LATE: &str = "timestamptz '2026-01-01T01:00:00Z'";
const FAR: &str = "timestamptz '9999-12-31'";

async fn measure(tenants: u32, datasets: u32, one_in: u32) {
    let database = Cluster::shared().await.database().await;
    let mut admin = database.admin().await;
    let clock = Arc::new(ManualClock::default());
    let warn = format!("CASE WHEN n % {one_in} = 0 THEN {LATE} ELSE {FAR} END");
    for tenant in 0..tenants {
        fill(&mut admin, &format!("tenant-{tenant:04}"), datasets, &warn, FAR).await;
    }
    // As after a while: without statistics, keys of rows are looked up by whatever index.
    script(&mut admin, "VACUUM ANALYZE").await;
    let db = Db::new(db_settings(database.application(), 8));
    let sweeper = Sweeper::new(db.clone(), clock.clone());
    sweeper.pass().await.unwrap();
    let mut took = Vec::new();
    for step in [TimeDelta::zero(), TimeDelta::hours(2), TimeDelta::seconds(1)] {
        clock.advance(step);
        let started = Instant::now();
        let swept = sweeper.pass().await.unwrap();
        took.push(format!("{} opened in {:?}", swept.opened, started.elapsed()));
        assert_eq!(swept.failed_tenants, 0);
    }
    let due = u64::from(tenants * (datasets / one_in));
    println!("{tenants} × {datasets}, {due} due at {}: {took:?}", clock.now());
    db.close().await;
}

#[test]
#[ignore = "measures; takes minutes"]
fn a_pass_over_a_million_datasets() {
    run(async {
        measure(100, 10_000, 100).await;
        measure(1, 1_000_000, 100).await;
        measure(1, 100_000, 1).await;
        measure(1_000, 10, 10).await;
    });
}
