//! Two instances on one database and by one clock, of which one is killed at any moment.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use drr::{
    breach::sweeper::Sweeper,
    clock::{Clock, ManualClock},
    db::Db,
};
use sqlx::{PgConnection, Row};

use super::{fill, number, rfc, script};
use crate::{
    cluster::{Cluster, run},
    door::{pool::cut, world::db_settings},
};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const DATASETS: u32 = 12;
const ROUNDS: usize = 60;

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// When a dataset is late, when it is stale, and the level of its open breach.
type Dataset = (DateTime<Utc>, DateTime<Utc>, Option<&'static str>);

/// What should be, kept in the most obvious way.
#[derive(Default)]
struct Model {
    datasets: BTreeMap<(usize, u32), Dataset>,
    opened: i64,
    escalated: i64,
    resolved: i64,
}

impl Model {
    fn settle(&mut self, now: DateTime<Utc>) {
        for (warn, stale, open) in self.datasets.values_mut() {
            let is = if now > *stale { Some("FAIL") } else { (now > *warn).then_some("WARN") };
            match (*open, is) {
                (None, Some(_)) => self.opened += 1,
                (Some("WARN"), Some("FAIL")) => self.escalated += 1,
                (Some(_), None) => self.resolved += 1,
                _ => continue,
            }
            *open = is;
        }
    }
}

async fn counted(admin: &mut PgConnection) -> [i64; 5] {
    let sql = "SELECT (SELECT count(*) FROM freshness_breach),
      (SELECT count(*) FROM freshness_breach WHERE resolved_at IS NOT NULL),
      (SELECT count(*) FROM freshness_event WHERE event_type = 'breach.opened'),
      (SELECT count(*) FROM freshness_event WHERE event_type = 'breach.escalated'),
      (SELECT count(*) FROM freshness_event WHERE event_type = 'breach.resolved')";
    let row = sqlx::query(sql).fetch_one(admin).await.unwrap();
    [0, 1, 2, 3, 4].map(|column| row.get(column))
}

#[test]
fn no_breach_twice_and_none_missed_wherever_the_leader_is_cut_off() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        let clock = Arc::new(ManualClock::default());
        let instances = [0, 1].map(|_| {
            let db = Db::new(db_settings(database.application(), 4));
            (db.clone(), Sweeper::new(db, clock.clone()))
        });
        let far = "'9999-12-31'";
        let mut model = Model::default();
        for (tenant, name) in TENANTS.iter().enumerate() {
            fill(&mut admin, name, DATASETS, far, far).await;
            for n in 1..=DATASETS {
                let far = DateTime::from_timestamp(253_370_764_800, 0).unwrap();
                model.datasets.insert((tenant, n), (far, far, None));
            }
        }
        let (mut chance, mut cuts, mut through) = (Chance(7), 0, 0);
        for _ in 0..ROUNDS {
            clock.advance(TimeDelta::seconds(10));
            let now = clock.now();
            for ((tenant, n), (warn, stale, _)) in &mut model.datasets {
                if chance.below(4) > 0 {
                    continue;
                }
                let after = |chance: &mut Chance| TimeDelta::seconds(chance.below(30) as i64 - 10);
                *warn = now + after(&mut chance);
                *stale = *warn + after(&mut chance).max(TimeDelta::zero());
                let sql = format!(
                    "UPDATE dataset_refresh_state SET warn_at = '{}', stale_at = '{}',
                            last_success_at = '{}' WHERE dataset_id = md5('{}/{n}')::uuid",
                    rfc(*warn),
                    rfc(*stale),
                    rfc(now),
                    TENANTS[*tenant],
                );
                script(&mut admin, &sql).await;
            }
            // One is cut off anywhere, and so may the other be that runs beside it; a third goes on.
            let (first, second) = (chance.below(40), chance.below(80));
            let (one, other) =
                tokio::join!(cut(instances[0].1.pass(), first), cut(instances[1].1.pass(), second));
            for end in [one, other] {
                if end.is_some() { through += 1 } else { cuts += 1 }
            }
            let swept = instances[chance.below(2)].1.pass().await.unwrap();
            assert_eq!(swept.failed_tenants, 0);
            model.settle(now);
            let expected =
                [model.opened, model.resolved, model.opened, model.escalated, model.resolved];
            assert_eq!(counted(&mut admin).await, expected);
            for (tenant, name) in TENANTS.iter().enumerate() {
                let levels: Vec<(String, String)> = sqlx::query_as(
                    "SELECT r.name, b.level FROM freshness_breach b JOIN dataset_registry r USING (tenant_id, dataset_id)
                       JOIN dataset_refresh_state s USING (tenant_id, dataset_id)
                      WHERE b.tenant_id = $1 AND b.resolved_at IS NULL AND s.breach_level = b.level",
                )
                .bind(name)
                .fetch_all(&mut admin)
                .await
                .unwrap();
                let is: BTreeMap<_, _> = levels.into_iter().collect();
                let datasets = model.datasets.iter().filter(|((of, _), _)| *of == tenant);
                let should: BTreeMap<_, _> = datasets
                    .filter_map(|((_, n), (.., open))| Some((format!("d{n}"), (*open)?.to_owned())))
                    .collect();
                assert_eq!(is, should, "{name}");
            }
        }
        assert!(cuts > ROUNDS / 2 && through > 0, "{cuts} cut off, {through} not");
        assert!(model.opened > 100 && model.escalated > 20 && model.resolved > 50);
        let gaps = "SELECT count(*) FROM (SELECT sequence - row_number() OVER
            (PARTITION BY tenant_id ORDER BY sequence) AS gap FROM freshness_event) AS e WHERE gap <> 0";
        assert_eq!(number(&mut admin, gaps).await, 0);
        // Each event has its audit entry, and the other way round.
        let audited =
            "SELECT (SELECT count(*) FROM audit_event) - (SELECT count(*) FROM freshness_event)";
        assert_eq!(number(&mut admin, audited).await, 0);
        for (db, _) in instances {
            db.close().await;
        }
    });
}
