//! No write without an audit event: what a transaction owes, it pays or does not commit. // D44

use drr::db::{Db, safety};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    cluster::{Cluster, Database, run},
    door::world::{ACME, db_settings, populate, refusal, script, strings, tenant_tables},
};

/// The tables of which no audit event tells. A new one is listed here, in the migration that makes the
/// guard and in the check at start, or its writes need an event.
const NEED_NONE: [&str; 10] = [
    "change_head",
    "change_mark",
    "freshness_announced",
    "freshness_change",
    "idempotency_record",
    "run_event_batch",
    "schema_event_cursor",
    "siem_cursor",
    "tenant_directory",
    "token_nonce",
];

/// What is only added to: the trail, what is known of its archives, and what holds them.
fn is_kept(table: &str) -> bool {
    table.starts_with("audit_event") || ["audit_archive", "legal_hold"].contains(&table)
}

const EVENT: &str = "INSERT INTO audit_event
  (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
  VALUES (current_tenant(), now(), gen_random_uuid(), 'somebody', 'dataset.register', 'SUCCESS', 'c')";
const WRITE: &str =
    "INSERT INTO freshness_calendar (tenant_id, name, dates, updated_at, updated_by)
  VALUES (current_tenant(), gen_random_uuid()::text, '{}', now(), 'somebody')";
const NOTHING: &str = "DELETE FROM freshness_calendar WHERE false";

const WITHOUT_EVENT: &str = "a write without an audit event is refused";

/// The two that write by hand: the application's login in its widest role, and the owner.
async fn insiders(database: &Database<'_>) -> Vec<(PgConnection, &'static str)> {
    let mut insiders = Vec::new();
    for (options, role) in
        [(database.application(), "SET LOCAL ROLE drr_writer;"), (database.owner(), "")]
    {
        let options: PgConnectOptions = options.options([("search_path", "storage_drr")]);
        insiders.push((PgConnection::connect_with(&options).await.unwrap(), role));
    }
    insiders
}

/// What comes of a transaction in `tenant`; `None` if it commits.
async fn attempt(
    (raw, role): &mut (PgConnection, &'static str),
    tenant: &str,
    statements: &str,
) -> Option<String> {
    let begin = format!("BEGIN; {role} SET LOCAL app.tenant_id = '{tenant}'; ");
    let refused = refusal(raw, &format!("{begin}{statements}; COMMIT")).await;
    script(raw, "ROLLBACK").await;
    refused.map(|(state, message)| {
        assert_eq!(state, "42501", "{statements}: {message}");
        message
    })
}

#[test]
fn a_write_without_its_audit_event_fails_when_it_commits() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        for insider in &mut insiders(&database).await {
            for paid in [
                format!("{WRITE}; {EVENT}"),
                format!("{EVENT}; {WRITE}"),
                format!("{WRITE}; {WRITE}; {EVENT}; {WRITE}"),
                format!("SAVEPOINT a; {WRITE}; ROLLBACK TO a; {EVENT}"),
                format!("SAVEPOINT a; {WRITE}; ROLLBACK TO a"),
                format!("{WRITE}; {EVENT}; SET CONSTRAINTS ALL IMMEDIATE"),
                EVENT.to_owned(),
            ] {
                assert_eq!(attempt(insider, ACME, &paid).await, None, "{paid}");
            }
            let before = strings(&mut admin, "SELECT count(*)::text FROM freshness_calendar").await;
            for owed in [
                WRITE.to_owned(),
                NOTHING.to_owned(),
                format!("{WRITE}; SAVEPOINT a; {EVENT}; ROLLBACK TO a"),
                // An event that is none, and one of another tenant.
                format!(
                    "{WRITE}; INSERT INTO audit_event SELECT * FROM audit_event_api_history WHERE false"
                ),
                format!("{WRITE}; SET LOCAL app.tenant_id = 'globex'; {EVENT}"),
                format!("{EVENT}; SET LOCAL app.tenant_id = 'globex'; {WRITE}"),
                // What was paid is paid; what comes after owes again.
                format!("{EVENT}; SET CONSTRAINTS ALL IMMEDIATE; {WRITE}; {EVENT}"),
                format!("SET CONSTRAINTS ALL IMMEDIATE; {WRITE}; {EVENT}"),
            ] {
                let refused = attempt(insider, ACME, &owed).await;
                // The application reads no partition by its own name.
                let refused =
                    refused.filter(|said| !said.starts_with("permission denied for table"));
                if refused.is_none() && insider.1.starts_with("SET") && owed.contains("_history") {
                    continue;
                }
                assert_eq!(refused.as_deref(), Some(WITHOUT_EVENT), "{owed}");
            }
            let after = strings(&mut admin, "SELECT count(*)::text FROM freshness_calendar").await;
            assert_eq!(after, before);
        }
        let left = "SELECT count(*)::text FROM audit_debt";
        assert_eq!(strings(&mut admin, left).await, ["0"]);
    });
}

// The owner may write everywhere; a statement owes whether it finds a row or not.
#[test]
fn every_table_and_partition_is_guarded_and_the_trail_is_only_appended_to() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        populate(&mut admin).await;
        let mut insiders = insiders(&database).await;
        let owner = &mut insiders[1];
        let mut without = Vec::new();
        for table in tenant_tables(&mut admin).await {
            // Guarded in a way of their own: `a_log_cannot_be_turned_back_or_taken_away`.
            if table.starts_with("evidence_") {
                continue;
            }
            let statements = [
                format!("INSERT INTO {table} SELECT * FROM {table} WHERE false"),
                format!("UPDATE {table} SET tenant_id = tenant_id"),
                format!("DELETE FROM {table} WHERE false"),
            ];
            if table.starts_with("audit_event") {
                assert_eq!(attempt(owner, ACME, &statements[0]).await, None);
            } else {
                // What may not be changed at all is refused before it owes anything.
                let owing = if is_kept(&table) { &statements[..1] } else { &statements[..] };
                for statement in owing {
                    let refused = attempt(owner, ACME, statement).await;
                    if NEED_NONE.contains(&table.as_str()) {
                        assert_eq!(refused, None, "{statement}");
                        without.push(table.clone());
                    } else {
                        assert_eq!(refused.as_deref(), Some(WITHOUT_EVENT), "{statement}");
                    }
                }
            }
            // D36: the trail's own rows stay as they are, with an event or without.
            if is_kept(&table) {
                for statement in &statements[1..] {
                    let refused = attempt(owner, ACME, statement).await;
                    assert!(refused.unwrap().contains(&format!("of {table} is refused")));
                    let refused = attempt(owner, ACME, &format!("{EVENT}; {statement}")).await;
                    assert!(refused.unwrap().contains(&format!("of {table} is refused")));
                }
            }
            if !NEED_NONE.contains(&table.as_str()) {
                let truncate = format!("{EVENT}; TRUNCATE {table} CASCADE");
                let refused = attempt(owner, ACME, &truncate).await.unwrap();
                assert!(refused.starts_with("TRUNCATE of "), "{truncate}: {refused}");
            }
        }
        without.dedup();
        assert_eq!(without, NEED_NONE);
    });
}

#[test]
fn what_is_owed_cannot_be_forged() {
    run(async {
        let database = Cluster::shared().await.database().await;
        for insider in &mut insiders(&database).await {
            for forged in [
                "INSERT INTO audit_debt VALUES (pg_current_xact_id(), 'acme', true)",
                "UPDATE audit_debt SET paid = true",
                "DELETE FROM audit_debt",
                "TRUNCATE audit_debt",
                "SELECT settle_audit_debt()",
                "SET LOCAL session_replication_role = replica",
            ] {
                let begin = format!("BEGIN; {} SET LOCAL app.tenant_id = 'acme'", insider.1);
                script(&mut insider.0, format!("{begin}; {WRITE}")).await;
                let (_, said) = refusal(&mut insider.0, forged).await.expect(forged);
                let expected = [
                    "is refused",
                    "permission denied",
                    "can only be called as trigger",
                    "pending trigger events",
                ];
                assert!(expected.iter().any(|words| said.contains(words)), "{forged}: {said}");
                script(&mut insider.0, "ROLLBACK").await;
            }
            // Whatever is set, the write fails.
            for set in [
                "SET LOCAL app.tenant_id = 'globex'",
                "SET LOCAL search_path = pg_temp, public",
                "SET LOCAL app.audited = 'true'",
                "SET CONSTRAINTS ALL DEFERRED",
            ] {
                let refused = attempt(insider, ACME, &format!("{WRITE}; {set}")).await;
                assert_eq!(refused.as_deref(), Some(WITHOUT_EVENT), "{set}");
            }
        }
    });
}

// Migrations to come, and the months to come.
#[test]
fn what_is_made_later_is_guarded_as_well() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut insiders = insiders(&database).await;
        let owner = &mut insiders[1];
        script(
            &mut owner.0,
            "CREATE TABLE newcomer (tenant_id text NOT NULL PRIMARY KEY);
             SELECT enable_tenant_rls('newcomer');
             SELECT ensure_partitions((now() + interval '5 months')::date)",
        )
        .await;
        let newest =
            "SELECT max(relname)::text FROM pg_class WHERE relname ~ '^run_event_[0-9]{6}$'";
        let newest = strings(&mut owner.0, newest).await.remove(0);
        for table in ["newcomer", &newest] {
            let write = format!("DELETE FROM {table}");
            assert_eq!(attempt(owner, ACME, &write).await.as_deref(), Some(WITHOUT_EVENT));
            assert_eq!(attempt(owner, ACME, &format!("{write}; {EVENT}")).await, None);
        }
        let db = Db::new(db_settings(database.application(), 2));
        safety::verify(&db).await.unwrap();
        db.close().await;
    });
}

#[test]
fn the_program_does_not_serve_where_a_trigger_is_missing_and_then_writes_pass() {
    run(async {
        let partition =
            "(SELECT min(relname) FROM pg_class WHERE relname ~ '^run_event_[0-9]{6}$')";
        for (table, sabotage) in [
            ("freshness_calendar", "DROP TRIGGER audit_owed ON {}"),
            ("freshness_calendar", "ALTER TABLE {} DISABLE TRIGGER audit_owed"),
            ("freshness_calendar", "ALTER TABLE {} ENABLE REPLICA TRIGGER audit_owed"),
            (
                "freshness_calendar",
                "DROP TRIGGER audit_owed ON {}; CREATE TRIGGER audit_owed BEFORE UPDATE ON {}
                   FOR EACH STATEMENT EXECUTE FUNCTION owe_audit_event()",
            ),
            (
                "freshness_calendar",
                "DROP TRIGGER audit_owed ON {};
                 CREATE TRIGGER audit_owed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {}
                   FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION owe_audit_event()",
            ),
            (partition, "DROP TRIGGER audit_owed ON {}"),
            ("audit_event", "DROP TRIGGER audit_paid ON {}"),
            ("audit_event", "DROP TRIGGER audit_kept ON {}"),
            ("audit_debt", "DROP TRIGGER audit_debt_settled ON {}"),
            ("audit_debt", "DROP TRIGGER audit_debt_kept ON {}"),
        ] {
            let database = Cluster::shared().await.database().await;
            let mut admin = database.admin().await;
            let table = if table.starts_with('(') {
                strings(&mut admin, &format!("SELECT {table}::text")).await.remove(0)
            } else {
                table.to_owned()
            };
            let sabotage = sabotage.replace("{}", &table);
            script(&mut admin, sabotage.clone()).await;
            let db = Db::new(db_settings(database.application(), 2));
            let refused = safety::verify(&db).await.expect_err(&sabotage);
            db.close().await;
            assert!(
                matches!(&refused, safety::UnsafeDatabase::Unaudited(named) if *named == table),
                "{sabotage}: {refused}"
            );
            // It was that trigger that held the write.
            if table == "freshness_calendar" || sabotage.contains("settled") {
                for insider in &mut insiders(&database).await {
                    assert_eq!(attempt(insider, ACME, WRITE).await, None, "{sabotage}");
                }
            }
        }
    });
}
