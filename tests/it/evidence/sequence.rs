//! The events come into the ledger, in order.

use std::{collections::BTreeMap, sync::Arc};

use drr::{
    app::StartError,
    auth::policy::Role,
    db::safety::UnsafeDatabase,
    evidence::{Signatory, SigningKey, sequencer::Sequenced},
};
use serde_json::json;
use sqlx::Row;

use super::{assert_logs_are_of_the_trail, events, settle};
use crate::{
    app::TestApp,
    breach::{number, script},
    cluster::run,
    door::world::{REFUSED, state},
};

const SIZES: &str = "SELECT coalesce(sum(size), 0)::bigint FROM evidence_head";

#[test]
fn every_call_is_a_leaf_of_its_tenants_log() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        for tenant in ["acme", "acme", "globex"] {
            let token = app.token(tenant, Role::Reader);
            app.data(&token, "{ me { tenantId } }", json!({})).await;
        }
        let admin_token = app.token("globex", Role::TenantAdmin);
        let register = "mutation { registerDataset(input: { namespace: \"n\", name: \"d\" }) { dataset { id } } }";
        app.data(&admin_token, register, json!({})).await;
        app.send("no token", "{ me { tenantId } }", json!({})).await;
        settle(app.sequencer(), &mut admin).await;
        let sizes = assert_logs_are_of_the_trail(&mut admin).await;
        let expected = [("-", 1), ("acme", 2), ("globex", 2)].map(|(t, n)| (t.to_owned(), n));
        assert_eq!(sizes, BTreeMap::from(expected));
        // Nothing new: nothing is written.
        let before =
            number(&mut admin, "SELECT sum(xmin::text::bigint)::bigint FROM evidence_head").await;
        assert_eq!(app.sequencer().pass().await.unwrap(), Sequenced::default());
        let after =
            number(&mut admin, "SELECT sum(xmin::text::bigint)::bigint FROM evidence_head").await;
        assert_eq!(before, after);
        app.stop().await;
    });
}

#[test]
fn many_events_make_tiles_of_three_levels() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        for count in [255, 1, 1, 20_000, 50_000] {
            events(&mut admin, "acme", count).await;
            events(&mut admin, "globex", count / 100).await;
            settle(app.sequencer(), &mut admin).await;
        }
        let sizes = assert_logs_are_of_the_trail(&mut admin).await;
        assert_eq!((sizes["acme"], sizes["globex"]), (70_257, 702));
        assert_eq!(number(&mut admin, "SELECT max(level)::bigint FROM evidence_tile").await, 1);
        app.stop().await;
    });
}

// Events from before their hashes were kept are hashed as they are found.
#[test]
fn an_event_without_a_hash_is_the_leaf_that_it_would_be() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let token = app.token("acme", Role::Reader);
        app.data(&token, "query Who { me { tenantId } }", json!({})).await;
        let register = "mutation { registerDataset(input: { namespace: \"n\", name: \"d\" }) { dataset { id } } }";
        app.data(&app.token("acme", Role::TenantAdmin), register, json!({})).await;
        let query = "{ datasets(first: 1) { nodes { id } } me { tenantId } }";
        app.data(&token, query, json!({})).await;
        let kept = "SELECT leaf_hash, event_id FROM audit_event ORDER BY transaction_id, sequence";
        let kept = sqlx::query(kept).fetch_all(&mut admin).await.unwrap();
        let kept: Vec<Vec<u8>> = kept.iter().map(|row| row.get(0)).collect();
        assert_eq!(kept.len(), 3);
        script(&mut admin, "UPDATE audit_event SET leaf_hash = NULL").await;
        settle(app.sequencer(), &mut admin).await;
        let edge = sqlx::query("SELECT edge FROM evidence_head").fetch_one(&mut admin).await;
        assert_eq!(edge.unwrap().get::<Vec<u8>, _>(0), kept.concat());
        app.stop().await;
    });
}

// No event is passed by: what began before it and has not ended yet may still come before it.
#[test]
fn events_wait_for_the_transactions_that_began_before_theirs() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        let mut slow = app.admin().await;
        events(&mut admin, "acme", 1).await;
        settle(app.sequencer(), &mut admin).await;
        script(&mut slow, "BEGIN").await;
        events(&mut slow, "acme", 1).await;
        events(&mut admin, "acme", 2).await;
        for _ in 0..3 {
            assert_eq!(app.sequence().await, Sequenced::default());
        }
        script(&mut slow, "COMMIT").await;
        settle(app.sequencer(), &mut admin).await;
        assert_eq!(assert_logs_are_of_the_trail(&mut admin).await["acme"], 4);
        app.stop().await;
    });
}

#[test]
fn a_log_that_is_not_the_one_that_was_signed_is_not_gone_on_with() {
    run(async {
        for (sabotage, mends) in [
            (
                "UPDATE evidence_head SET edge = set_byte(edge, 0, 255 - get_byte(edge, 0))",
                "UPDATE evidence_head SET edge = (SELECT string_agg(leaf_hash, '' ORDER BY sequence)
                   FROM audit_event WHERE tenant_id = 'acme' AND sequence <= last_sequence)
                  WHERE tenant_id = 'acme'",
            ),
            (
                "CREATE TABLE kept AS SELECT checkpoint FROM evidence_head;
                 UPDATE evidence_head SET checkpoint = replace(checkpoint, 'acme', 'globex')",
                "UPDATE evidence_head SET checkpoint = (SELECT checkpoint FROM kept)
                  WHERE tenant_id = 'acme'",
            ),
        ] {
            let app = TestApp::start().await;
            let mut admin = app.admin().await;
            events(&mut admin, "acme", 3).await;
            settle(app.sequencer(), &mut admin).await;
            // A superuser's hand: it stops at no trigger.
            script(&mut admin, &format!("SET session_replication_role = replica; {sabotage}; RESET session_replication_role")).await;
            events(&mut admin, "acme", 1).await;
            events(&mut admin, "globex", 1).await;
            // The other tenant's log goes on.
            while number(&mut admin, SIZES).await < 4 {
                app.sequence().await;
            }
            let stands = Sequenced { leaves: 0, failed_tenants: 1 };
            assert_eq!(app.sequence().await, stands, "{sabotage}");
            script(&mut admin, &format!("SET session_replication_role = replica; {mends}; RESET session_replication_role")).await;
            settle(app.sequencer(), &mut admin).await;
            assert_eq!(assert_logs_are_of_the_trail(&mut admin).await["acme"], 4);
            app.stop().await;
        }
    });
}

#[test]
fn another_key_does_not_go_on_with_a_log() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        events(&mut admin, "acme", 3).await;
        settle(app.sequencer(), &mut admin).await;
        let database = app.database.reopened();
        let clock = app.clock.clone();
        app.stop().await;
        events(&mut admin, "acme", 1).await;
        let key = SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap();
        let other = Arc::new(Signatory::new("drr.example/evidence", key).unwrap());
        let app = TestApp::launch(database, clock, |assembly| assembly.evidence.signatory = other);
        let app = app.await.unwrap();
        while app.sequence().await == Sequenced::default() {}
        assert_eq!(app.sequence().await, Sequenced { leaves: 0, failed_tenants: 1 });
        assert_eq!(number(&mut admin, SIZES).await, 3);
        app.stop().await;
    });
}

#[test]
fn a_database_from_a_server_with_higher_numbers_is_refused() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        events(&mut admin, "acme", 3).await;
        settle(app.sequencer(), &mut admin).await;
        let database = app.database.reopened();
        let clock = app.clock.clone();
        app.stop().await;
        for sabotage in [
            "UPDATE evidence_head SET last_transaction = '4294967296000'",
            "UPDATE audit_event SET transaction_id = '4294967296000'",
        ] {
            script(&mut admin, &format!("SET session_replication_role = replica; BEGIN; {sabotage}; COMMIT; RESET session_replication_role")).await;
            let refused = TestApp::launch(database.reopened(), clock.clone(), |_| ()).await.err();
            let Some(StartError::Unsafe(UnsafeDatabase::Younger(number))) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(number, "4294967296000");
            script(&mut admin, "SET session_replication_role = replica; UPDATE evidence_head SET last_transaction = '3'; RESET session_replication_role").await;
        }
    });
}

// D36: whoever is no superuser can only let a log grow.
#[test]
fn a_log_cannot_be_turned_back_or_taken_away() {
    run(async {
        let app = TestApp::start().await;
        let mut admin = app.admin().await;
        events(&mut admin, "acme", 300).await;
        settle(app.sequencer(), &mut admin).await;
        let mut owner = app.database.admin().await;
        script(&mut owner, "SET SESSION AUTHORIZATION drr_owner; SET app.tenant_id = 'acme'").await;
        for statement in [
            "UPDATE evidence_head SET size = size - 1",
            "UPDATE evidence_head SET root = sha256('x')",
            "UPDATE evidence_head SET last_sequence = 0",
            "DELETE FROM evidence_head",
            "TRUNCATE evidence_head",
            "UPDATE evidence_tile SET hashes = hashes",
            "DELETE FROM evidence_tile",
            "TRUNCATE evidence_tile",
        ] {
            assert_eq!(state(&mut owner, statement).await.as_deref(), Some(REFUSED), "{statement}");
        }
        for trigger in [
            "audit_kept ON evidence_tile",
            "audit_kept ON evidence_head",
            "evidence_grows ON evidence_head",
        ] {
            let table = trigger.rsplit(' ').next().unwrap();
            let name = trigger.split(' ').next().unwrap();
            script(&mut admin, &format!("ALTER TABLE {table} DISABLE TRIGGER {name}")).await;
            let refused =
                TestApp::launch(app.database.reopened(), app.clock.clone(), |_| ()).await.err();
            assert!(
                matches!(&refused, Some(StartError::Unsafe(UnsafeDatabase::Unaudited(named))) if named == table),
                "{refused:?}"
            );
            script(&mut admin, &format!("ALTER TABLE {table} ENABLE TRIGGER {name}")).await;
        }
        app.stop().await;
    });
}
