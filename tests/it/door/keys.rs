//! Keys are no oracle: a foreign row and a missing one are refused alike. // design §3

use sqlx::{AssertSqlSafe, Executor, Row};

use super::world::{ACME, GLOBEX_ID, NOBODYS_ID, populate, script, strings};
use crate::cluster::{Cluster, run};

/// Every foreign key of every table: the table, the constraint and the column beside the tenant's.
const FOREIGN_KEYS: &str = "
SELECT format('%s %s %s', conrelid::regclass, conname, attname) FROM pg_constraint
  JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[2]
 WHERE connamespace = 'storage_drr'::regnamespace AND contype = 'f' AND conparentid = 0 ORDER BY 1";

#[test]
fn a_key_to_a_foreign_row_fails_like_one_to_a_missing_row() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        populate(&mut admin).await;
        script(&mut admin, "GRANT ALL ON ALL TABLES IN SCHEMA storage_drr TO drr_writer").await;
        // The keys alone: these would not let a version be another schema's in the first place.
        for (table, trigger) in [
            ("schema_version", "schema_version_kept"),
            ("schema_transition", "schema_transition_kept"),
        ] {
            script(&mut admin, format!("ALTER TABLE {table} DISABLE TRIGGER {trigger}")).await;
        }
        let keys = strings(&mut admin, FOREIGN_KEYS).await;
        assert!(keys.len() >= 7, "{keys:?}");
        let mut raw = database.admin().await;
        script(&mut raw, format!("SET ROLE drr_writer; SET app.tenant_id = '{ACME}'")).await;
        for key in keys {
            let words: Vec<&str> = key.split(' ').collect();
            let [table, constraint, column] = words[..] else { panic!("{key}") };
            if table == "schema_version" {
                // A version that is asked about is held by what is asked, and by what was compared with it.
                script(&mut admin, "DELETE FROM schema_transition; DELETE FROM schema_drift").await;
            }
            let mut answers = Vec::new();
            for id in [GLOBEX_ID, NOBODYS_ID] {
                // The last row alone: of a partitioned table, in one partition.
                let sql = format!(
                    "UPDATE {table} SET {column} = '{id}' WHERE (tableoid, ctid) =
                       (SELECT tableoid, ctid FROM {table} ORDER BY 1 DESC, 2 DESC LIMIT 1)"
                );
                let error = raw.execute(AssertSqlSafe(sql)).await.unwrap_err();
                let error = error.into_database_error().unwrap();
                let error = error.downcast::<sqlx::postgres::PgDatabaseError>();
                assert_eq!(
                    (error.code(), error.constraint()),
                    ("23503", Some(constraint)),
                    "{key}"
                );
                let detail = error.detail().unwrap_or_default().replace(id, "ID");
                answers.push((error.message().to_owned(), detail));
            }
            assert_eq!(answers[0], answers[1], "{key}");
        }
    });
}

// An id and a name that another tenant has are free for this one, and ON CONFLICT meets its own only.
#[test]
fn unique_keys_do_not_meet_across_tenants() {
    run(async {
        let database = Cluster::shared().await.database().await;
        populate(&mut database.admin().await).await;
        let mut raw = database.admin().await;
        script(&mut raw, format!("SET ROLE drr_writer; SET app.tenant_id = '{ACME}'")).await;
        let insert = format!(
            "INSERT INTO dataset_registry (tenant_id, dataset_id, namespace, name, search_text, created_at, updated_at)
             VALUES ('{ACME}', '{GLOBEX_ID}', 'warehouse', 'orders {GLOBEX_ID}', '', now(), now())
             ON CONFLICT DO NOTHING RETURNING row_version"
        );
        let row = raw.fetch_one(AssertSqlSafe(insert)).await.unwrap();
        assert_eq!(row.get::<i64, _>(0), 1);
    });
}
