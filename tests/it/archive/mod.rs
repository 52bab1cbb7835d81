//! The end of the audit trail's months: archived, read back, dropped; held; and the end of the archives.

mod bench;
mod days;
mod exported;
mod holds;
mod interrupted;
pub mod program;
mod verified;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use drr::{
    audit::model::Event,
    auth::policy::Role,
    clock::{Clock, ManualClock, SystemClock},
    db::operator,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use crate::{
    app::{TestApp, vault},
    cluster::{Cluster, Database},
    door::world::{script, strings},
};

/// The first day of the month so many months ago.
pub fn month_ago(months: u32) -> NaiveDate {
    let today = SystemClock.now().date_naive();
    NaiveDate::from_ymd_opt(today.year(), today.month(), 1).unwrap() - Months::new(months)
}

pub fn instant(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// A database as if the program had been installed a month after the one so many months ago: that is the
/// first month of both classes.
pub async fn aged(months: u32) -> Database<'static> {
    let database = Cluster::shared().await.database().await;
    let mut owner = PgConnection::connect_with(&database.owner()).await.unwrap();
    let first = month_ago(months);
    let mut sql = "SET search_path = storage_drr; SET timezone = 'UTC';".to_owned();
    for parent in ["audit_event_api", "audit_event_schema"] {
        sql += &format!(
            "DROP TABLE {parent}_history;
             SELECT add_partition('{parent}', '{parent}_history', 'MINVALUE', quote_literal('{first}'));"
        );
        for back in 2..=months {
            let (low, high) = (month_ago(back), month_ago(back - 1));
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

/// A service in which a month so many months ago is the first one, and has events of two tenants and of
/// nobody; the month after it has some too.
pub struct Story {
    pub app: TestApp,
    pub clock: Arc<ManualClock>,
    pub admin: PgConnection,
    /// The first day of the month.
    pub month: NaiveDate,
    /// The address of the objects.
    pub objects: String,
}

impl Story {
    pub async fn begin(months: u32) -> Self {
        let month = month_ago(months);
        let clock = Arc::new(ManualClock::new(instant(month) + TimeDelta::days(14)));
        let objects = crate::app::objects_url();
        let aged = Box::pin(aged(months)).await;
        let launched = TestApp::launch(aged, clock.clone(), |plan| plan.vault = vault(&objects));
        let app = Box::pin(launched).await.unwrap();
        let admin = app.admin().await;
        let story = Self { app, clock, admin, month, objects };
        for tenant in ["acme", "globex", "acme"] {
            story.call(tenant).await;
        }
        story.app.http.get(story.app.public("/graphql?query={me{tenant}}")).send().await.unwrap();
        // The last instant of the month, and the first one after it.
        story.stand_at(instant(story.following()) - TimeDelta::microseconds(1));
        story.call("acme").await;
        story.stand_at(instant(story.following()));
        story.call("acme").await;
        story
    }

    pub fn following(&self) -> NaiveDate {
        self.month + Months::new(1)
    }

    pub fn stand_at(&self, at: DateTime<Utc>) {
        self.clock.advance(at - self.clock.now());
    }

    /// So many days after the month's end.
    pub fn day(&self, days: u64) -> DateTime<Utc> {
        instant(self.following()) + Days::new(days)
    }

    pub async fn call(&self, tenant: &str) {
        let token = self.app.token(tenant, Role::Reader);
        self.app.data(&token, "{ datasets { nodes { name } } }", json!({})).await;
    }

    /// The table of the month.
    pub fn partition(&self) -> String {
        format!("audit_event_api_{}", self.month.format("%Y%m"))
    }

    /// Every event of the table, as tenant, name and hash.
    pub async fn events(&mut self, table: &str) -> Vec<String> {
        let sql = format!(
            "SELECT format('%s %s %s', tenant_id, event_id, encode(leaf_hash, 'hex')) FROM {table}
              ORDER BY tenant_id COLLATE \"C\", transaction_id, sequence"
        );
        strings(&mut self.admin, &sql).await
    }

    pub async fn is_there(&mut self, table: &str) -> bool {
        let sql = format!("SELECT (to_regclass('{table}') IS NOT NULL)::text");
        strings(&mut self.admin, &sql).await == ["true"]
    }

    /// Waits until every event is in the ledger: what other tests write in the cluster holds it back.
    pub async fn settled(&mut self) {
        let missing = "SELECT count(*)::text FROM audit_event AS event WHERE NOT EXISTS (
            SELECT FROM evidence_head AS head WHERE head.tenant_id = event.tenant_id
               AND (last_transaction, last_sequence) >= (event.transaction_id, event.sequence))";
        let settled = async {
            self.app.sequence().await;
            while strings(&mut self.admin, missing).await != ["0"] {
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.app.sequence().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), settled).await.unwrap();
    }

    /// Asserts that a tenant's archived events and those that are left are, in this order, the leaves of
    /// its log in the ledger: its root is calculated here.
    pub async fn is_what_the_ledger_says(&mut self, tenant: &str) {
        let own = format!("{tenant} ");
        let mut events = self.archived().await;
        events.retain(|event| event.starts_with(&own));
        assert!(!events.is_empty());
        let left = self.events("audit_event").await;
        events.extend(left.into_iter().filter(|event| event.starts_with(&own)));
        let hash = |event: &String| hex::decode(event.rsplit(' ').next().unwrap()).unwrap();
        let leaves: Vec<_> = events.iter().map(hash).collect();
        let sql = format!(
            "SELECT size || ' ' || encode(root, 'hex') FROM evidence_head WHERE tenant_id = '{tenant}'"
        );
        let said = strings(&mut self.admin, &sql).await;
        assert_eq!(said, [format!("{} {}", leaves.len(), hex::encode(root(&leaves)))]);
    }

    /// Every event in the archives, as [`Self::events`] has them; each line says what its event hashes to.
    pub async fn archived(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (tenant, archives) in self.app.archivist().archives().await.unwrap() {
            for archive in archives {
                let lines = self.app.archivist().lines(tenant.tenant(), &archive).await.unwrap();
                found.extend(read(&lines));
            }
        }
        found
    }

    pub async fn tenant(&self, code: &str) -> operator::DueTenant {
        let db = self.db();
        let tenants = operator::tenants(&db).await.unwrap();
        db.close().await;
        tenants.into_iter().find(|tenant| tenant.tenant().as_str() == code).unwrap()
    }

    pub fn db(&self) -> drr::db::Db {
        drr::db::Db::new(crate::door::world::db_settings(self.app.database.application(), 2))
    }
}

/// The hash of a tree by RFC 6962 §2.1.
fn root(leaves: &[Vec<u8>]) -> Vec<u8> {
    if let [leaf] = leaves {
        return leaf.clone();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    Sha256::digest([&[1], root(left).as_slice(), &root(right)].concat()).to_vec()
}

/// The events of an archive's lines: the leaf as RFC 6962 hashes it, calculated here.
pub fn read(lines: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(lines).unwrap();
    let events = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let event: Event = serde_json::from_value(line["event"].clone()).unwrap();
        let leaf = [&[0], line["event"].to_string().as_bytes()].concat();
        let hash = hex::encode(Sha256::digest(&leaf));
        assert_eq!(line["leaf_hash"], hash);
        assert!(line["sequence"].is_i64() && line["transaction_id"].is_i64(), "{line}");
        format!("{} {} {hash}", event.tenant_id, event.event_id)
    });
    events.collect()
}
