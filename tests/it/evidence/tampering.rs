//! What a superuser's hand does to the trail and to the ledger, and that it is found and named.

use drr::{
    db::{Db, operator},
    evidence::{
        model::BrokenLog,
        publisher::published,
        verify::{Fault, Unverified, Verified, Verifier},
    },
};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{id_at, settle};
use crate::{
    app::{SIGNATORY, TestApp, settings},
    breach::{number, script},
    cluster::run,
    door::world::db_settings,
};

const EVENTS: u32 = 700;

/// Real events of a tenant: their leaves are of what they say.
pub async fn real_events(app: &TestApp, admin: &mut PgConnection, count: u32) {
    let sql = format!(
        "INSERT INTO tenant_directory VALUES ('acme') ON CONFLICT DO NOTHING;
         INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
         SELECT 'acme', now() + n * interval '1 ms', {}, 'somebody', 'dataset.read', 'SUCCESS', 'c' || n
           FROM generate_series(1, {count}) AS n",
        id_at("now() + n * interval '1 ms'")
    );
    script(admin, &sql).await;
    settle(app.sequencer(), admin).await;
}

/// The log as `drr audit verify` sees it.
pub async fn checked(app: &TestApp, admin: &mut PgConnection) -> Result<Verified, Fault> {
    let objects = &app.objects;
    let db = Db::new(db_settings(app.database.application(), 4));
    let tenants = operator::tenants(&db).await.unwrap();
    let acme = tenants.iter().find(|due| due.tenant().as_str() == "acme").unwrap();
    let outside = published(objects, acme.tenant()).await.unwrap();
    let archivist = app.archivist().clone();
    let verifier = Verifier::new(db.clone(), SIGNATORY.clone(), archivist, settings().retention);
    let done = verifier.verify(acme, outside).await;
    db.close().await;
    assert!(number(admin, "SELECT count(*) FROM audit_event").await > 0);
    match done {
        Ok(done) => Ok(done),
        Err(Unverified::Fault(fault)) => Err(fault),
        Err(Unverified::Failed(error)) => panic!("{error:?}"),
    }
}

/// The event of the leaf with this number.
async fn event(admin: &mut PgConnection, leaf: i64) -> Uuid {
    let sql =
        "SELECT event_id FROM audit_event ORDER BY transaction_id, sequence OFFSET $1 LIMIT 1";
    sqlx::query(sql).bind(leaf).fetch_one(admin).await.unwrap().get(0)
}

pub async fn by_hand(admin: &mut PgConnection, sql: &str) {
    let sql =
        format!("SET session_replication_role = replica; {sql}; RESET session_replication_role");
    script(admin, &sql).await;
}

pub async fn world() -> (TestApp, PgConnection) {
    let app = TestApp::start().await;
    let mut admin = app.admin().await;
    real_events(&app, &mut admin, EVENTS).await;
    assert_eq!(app.publish().await, 1);
    real_events(&app, &mut admin, 1).await;
    let good = Verified { leaves: 701, published: 1, ..Verified::default() };
    assert_eq!(checked(&app, &mut admin).await, Ok(good));
    (app, admin)
}

const NTH: &str = "(SELECT event_id FROM audit_event ORDER BY transaction_id, sequence OFFSET";

#[test]
fn a_changed_a_removed_an_added_and_a_swapped_event_are_named() {
    run(async {
        let (app, mut admin) = world().await;
        let (at, next) = (event(&mut admin, 300).await, event(&mut admin, 301).await);
        by_hand(&mut admin, "CREATE TABLE kept AS SELECT * FROM audit_event").await;
        let nth = |n: u32| format!("{NTH} {n} LIMIT 1)");
        for (sabotage, fault) in [
            (
                format!("UPDATE audit_event SET actor_id = 'somebodz' WHERE event_id = {}", nth(300)),
                Fault::Altered { leaf: 300, event: at },
            ),
            (
                format!("DELETE FROM audit_event WHERE event_id = {}", nth(300)),
                Fault::Missing { leaf: 300 },
            ),
            (
                format!("DELETE FROM audit_event WHERE event_id = {}", nth(700)),
                Fault::Missing { leaf: 700 },
            ),
            (
                format!(
                    "UPDATE audit_event SET sequence = CASE sequence
                       WHEN (SELECT sequence FROM kept WHERE event_id = '{at}') THEN (SELECT sequence FROM kept WHERE event_id = '{next}')
                       ELSE (SELECT sequence FROM kept WHERE event_id = '{at}') END
                     WHERE event_id IN ('{at}', '{next}')"
                ),
                Fault::Swapped { leaf: 300, first: next, second: at },
            ),
            (
                format!(
                    "INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id, transaction_id, sequence)
                     SELECT tenant_id, occurred_at, '{}', actor_id, action, result, correlation_id, transaction_id, 0
                       FROM kept WHERE event_id = '{at}'",
                    Uuid::nil()
                ),
                Fault::Added { leaf: 0, event: Uuid::nil() },
            ),
        ] {
            by_hand(&mut admin, &sabotage).await;
            assert_eq!(checked(&app, &mut admin).await, Err(fault), "{sabotage}");
            by_hand(&mut admin, "DELETE FROM audit_event; INSERT INTO audit_event SELECT * FROM kept").await;
        }
        assert!(checked(&app, &mut admin).await.is_ok());
        app.stop().await;
    });
}

#[test]
fn changed_tiles_roots_and_checkpoints_are_named() {
    run(async {
        let (app, mut admin) = world().await;
        by_hand(&mut admin, "CREATE TABLE heads AS SELECT * FROM evidence_head; CREATE TABLE tiles AS SELECT * FROM evidence_tile").await;
        for (sabotage, fault) in [
            ("DELETE FROM evidence_tile WHERE tile = 1", Fault::Tile { level: 0, index: 1 }),
            ("UPDATE evidence_head SET root = sha256('x')", Fault::Broken(BrokenLog::OtherTree)),
            (
                "UPDATE evidence_head SET edge = set_byte(edge, 1279, 255 - get_byte(edge, 1279))",
                Fault::Altered { leaf: 551, event: event(&mut admin, 551).await },
            ),
            (
                "DELETE FROM evidence_head; DELETE FROM evidence_tile",
                Fault::Shorter {
                    size: 0,
                    name: format!("evidence/tenant-acme/checkpoints/{EVENTS:020}"),
                },
            ),
        ] {
            by_hand(&mut admin, sabotage).await;
            assert_eq!(checked(&app, &mut admin).await, Err(fault), "{sabotage}");
            by_hand(&mut admin, "DELETE FROM evidence_head; DELETE FROM evidence_tile;
                INSERT INTO evidence_head SELECT * FROM heads; INSERT INTO evidence_tile SELECT * FROM tiles").await;
        }
        by_hand(
            &mut admin,
            "UPDATE evidence_head SET checkpoint = replace(checkpoint, 'acme', 'globex')",
        )
        .await;
        let found = checked(&app, &mut admin).await;
        assert!(matches!(found, Err(Fault::Broken(BrokenLog::Checkpoint(_)))), "{found:?}");
        app.stop().await;
    });
}

// Whoever has the key and the database can sign another history; what is outside of the database tells.
#[test]
fn a_forked_log_is_found_by_the_checkpoint_that_was_published() {
    run(async {
        let (app, mut admin) = world().await;
        by_hand(
            &mut admin,
            "UPDATE audit_event SET actor_id = 'somebody-else' WHERE correlation_id = 'c5';
             DELETE FROM evidence_head; DELETE FROM evidence_tile",
        )
        .await;
        settle(app.sequencer(), &mut admin).await;
        let name = format!("evidence/tenant-acme/checkpoints/{EVENTS:020}");
        assert_eq!(checked(&app, &mut admin).await, Err(Fault::Forked { name }));
        app.stop().await;
    });
}
