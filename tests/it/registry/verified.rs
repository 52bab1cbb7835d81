//! What is stored is checked as a whole, by the program. // S18

use std::process::Output;

use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tokio::task::spawn_blocking;

use super::{Desk, TENANT, record};
use crate::{
    app::{MASTER_KEY, TestApp, objects_url, vault},
    cluster::run,
    evidence::settle,
    program,
};

async fn said(app: &TestApp, objects: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = program::drr(arguments);
    command.env("DRR_DATABASE_URL", app.database.application().to_url_lossy().as_str());
    command.env("DRR_KEYS__MASTER_KEY", MASTER_KEY).env("DRR_OBJECTS__URL", objects);
    let Output { status, stdout, stderr } =
        spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[test]
fn what_is_stored_is_checked_and_what_was_tampered_with_is_named() {
    run(async {
        let objects = objects_url();
        let app = TestApp::with(|assembly| assembly.vault = vault(&objects)).await;
        for tenant in ["acme", "globex"] {
            let desk = Desk::of(&app, tenant);
            let schema = desk.register(&format!("tenant.{tenant}.sales.Address"), "AVRO").await;
            desk.active(&schema, &record("Address", &["street"]), json!([])).await;
            let refers = json!([{ "name": "Address", "version": format!("tenant.{tenant}.sales.Address@1") }]);
            let schema = desk.register(&format!("tenant.{tenant}.sales.Order"), "AVRO").await;
            let text =
                r#"{"type":"record","name":"Order","fields":[{"name":"to","type":"Address"}]}"#;
            desk.active(&schema, text, refers).await;
            desk.draft(&schema, &record("Order", &["a"]), json!([])).await;
        }
        let (code, text) = said(&app, &objects, &["schema", "verify"]).await;
        assert_eq!(code, Some(0), "{text}");
        let line = "acme: 3 versions, 2 approvals in the trail, 0 of them in the ledger, 0 not as they should be";
        assert!(text.contains(line) && text.contains("globex: 3 versions"), "{text}");
        let mut admin = app.admin().await;
        settle(app.sequencer(), &mut admin).await;
        let (_, text) = said(&app, &objects, &["schema", "verify", "--tenant", TENANT]).await;
        assert!(text.contains("2 approvals in the trail, 2 of them in the ledger"), "{text}");
        assert!(!text.contains("globex"), "{text}");
        let (code, text) = said(&app, &objects, &["schema", "revalidate"]).await;
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("acme: 2 versions in use, 0 not as they should be"), "{text}");

        // What a superuser who switches the rules off can do.
        let name = app.objects.list("schemas/tenant-acme/sales/Address").await.unwrap().remove(0);
        let whole = app.objects.get(&name).await.unwrap().unwrap();
        let hash =
            "(SELECT content_hash FROM schema_version WHERE number = 2 AND tenant_id = 'acme')";
        let cases = [
            (
                format!("UPDATE schema_version SET content_hash = {hash} WHERE number = 1 AND tenant_id = 'acme'
                    AND schema_id = (SELECT schema_id FROM schema_registry WHERE tenant_id = 'acme' AND name = 'Order')"),
                "tenant.acme.sales.Order@1: ",
            ),
            (
                "UPDATE schema_version SET state = 'ACTIVE' WHERE number = 2 AND tenant_id = 'acme'".to_owned(),
                "tenant.acme.sales.Order@2: it is in use, and nobody else has approved this content",
            ),
            (
                "UPDATE schema_transition SET requested_by = decided_by WHERE tenant_id = 'acme'".to_owned(),
                "tenant.acme.sales.Address@1: it is in use, and nobody else has approved this content",
            ),
            (
                "UPDATE schema_version SET canonical_hash = sha256('x') WHERE number = 2 AND tenant_id = 'acme'".to_owned(),
                "tenant.acme.sales.Order@2: its canonical hash is another one",
            ),
        ];
        for (statement, fault) in cases {
            let backup = "CREATE TEMP TABLE kept_v AS TABLE schema_version; CREATE TEMP TABLE kept_t AS TABLE schema_transition";
            let sql = format!(
                "SET search_path = storage_drr; SET session_replication_role = replica; {backup};
                 ALTER TABLE schema_transition DROP CONSTRAINT IF EXISTS schema_transition_check1; {statement}"
            );
            admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
            let (code, text) = said(&app, &objects, &["schema", "verify"]).await;
            assert_eq!(code, Some(1), "{statement}: {text}");
            assert!(text.contains(&format!("acme: BAD: {fault}")), "{statement}: {text}");
            assert!(text.contains("globex: 3 versions") && !text.contains("globex: BAD"), "{text}");
            let back = "DELETE FROM schema_transition; DELETE FROM schema_version;
                INSERT INTO schema_version SELECT * FROM kept_v; INSERT INTO schema_transition SELECT * FROM kept_t;
                DROP TABLE kept_v, kept_t";
            admin.execute(sqlx::raw_sql(back)).await.unwrap();
        }
        app.objects.put(&name, b"something else".to_vec().into()).await.unwrap();
        let (code, text) = said(&app, &objects, &["schema", "verify"]).await;
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("acme: BAD: tenant.acme.sales.Address@1: "), "{text}");
        app.objects.put(&name, whole).await.unwrap();
        let (code, text) = said(&app, &objects, &["schema", "verify"]).await;
        assert_eq!(code, Some(0), "{text}");
        app.stop().await;
    });
}
