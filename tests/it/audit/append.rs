//! Events as they are appended in groups.

use std::time::Duration;

use chrono::{DateTime, Utc};
use drr::{
    auth::TenantId,
    clock::{Clock, SystemClock},
    db::{
        Db,
        trail::{TrailRow, TrailWriter},
    },
};
use sqlx::PgConnection;

use crate::{
    cluster::{Cluster, run},
    door::world::db_settings,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn row<'e>(tenant: &'e TenantId, correlation_id: &'e str, at: DateTime<Utc>) -> TrailRow<'e> {
    TrailRow {
        tenant,
        class: "API",
        occurred_at: at,
        event_id: SystemClock.id_at(at),
        call_id: None,
        actor_id: "somebody",
        action: "dataset.read",
        also: None,
        dataset_id: None,
        resource: None,
        result: "SUCCESS",
        error_code: None,
        correlation_id,
        interface: None,
        operation_name: None,
        document_hash: None,
        token_hash: None,
        duration_us: None,
        row_count: None,
        calls: 1,
        leaf_hash: [7; 32],
    }
}

fn tenant(code: &str) -> TenantId {
    TenantId::parse(code).unwrap()
}

/// Whose events there are, in the order in which they were written.
async fn written(admin: &mut PgConnection) -> Vec<(String, String)> {
    let sql = "SELECT tenant_id, correlation_id FROM audit_event ORDER BY sequence";
    sqlx::query_as(sql).fetch_all(admin).await.unwrap()
}

async fn listed(admin: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT tenant_id FROM tenant_directory ORDER BY tenant_id";
    sqlx::query_scalar(sql).fetch_all(admin).await.unwrap()
}

// D34
#[test]
fn of_a_group_in_which_some_events_are_there_each_is_there_once_and_in_order() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        let db = Db::new(db_settings(database.application(), 1));
        let mut writer = TrailWriter::new(db.clone());
        let (acme, globex, hooli) = (tenant("acme"), tenant("globex"), tenant("hooli"));
        let now = SystemClock.now();
        let (first, second) = (row(&acme, "a1", now), row(&globex, "g1", now));
        let (again, too) = (TrailRow { ..first }, TrailRow { ..second });
        writer.append(&[first, second], PATIENCE).await.unwrap();
        let group = [
            row(&acme, "a2", now),
            again,
            row(&acme, "a3", now),
            too,
            row(&globex, "g2", now),
            row(&hooli, "h1", now),
        ];
        writer.append(&group, PATIENCE).await.unwrap();
        writer.append(&[row(&acme, "a4", now)], PATIENCE).await.unwrap();
        let expected = [
            ("acme", "a1"),
            ("globex", "g1"),
            ("acme", "a2"),
            ("acme", "a3"),
            ("globex", "g2"),
            ("hooli", "h1"),
            ("acme", "a4"),
        ];
        let expected = expected.map(|(of, event)| (of.to_owned(), event.to_owned()));
        assert_eq!(written(&mut admin).await, expected);
        assert_eq!(listed(&mut admin).await, ["acme", "globex", "hooli"]);
        writer.close().await;
        db.close().await;
    });
}

#[test]
fn a_tenant_whose_first_event_was_refused_is_listed_with_the_next() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        let db = Db::new(db_settings(database.application(), 1));
        let mut writer = TrailWriter::new(db.clone());
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        let now = SystemClock.now();
        writer.append(&[row(&acme, "a1", now)], PATIENCE).await.unwrap();
        let refused = TrailRow { result: "PERHAPS", ..row(&globex, "g1", now) };
        writer.append(&[row(&acme, "a2", now), refused], PATIENCE).await.unwrap_err();
        assert_eq!(listed(&mut admin).await, ["acme"]);
        assert_eq!(written(&mut admin).await.len(), 1, "all of a group or nothing");
        writer.append(&[row(&globex, "g2", now)], PATIENCE).await.unwrap();
        assert_eq!(listed(&mut admin).await, ["acme", "globex"]);
        assert_eq!(written(&mut admin).await.len(), 2);
        writer.close().await;
        db.close().await;
    });
}
