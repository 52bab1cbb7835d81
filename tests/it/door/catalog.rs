//! What the catalog says of every table with a tenant column, present and to come.

use super::world::{strings, tenant_tables};
use crate::cluster::{Cluster, run};

/// Asserts that a query, which looks for what must not be, finds nothing.
async fn nothing(sql: &str) {
    let mut admin = Cluster::shared().await.admin(drr::db::embedded::DATABASE).await;
    assert_eq!(strings(&mut admin, sql).await, Vec::<String>::new(), "{sql}");
}

// D19, D20
#[test]
fn every_tenant_table_is_behind_the_one_policy() {
    run(async {
        let mut admin = Cluster::shared().await.admin(drr::db::embedded::DATABASE).await;
        let tables = tenant_tables(&mut admin).await;
        for named in ["dataset_refresh_state", "dataset_run_log", "dataset_registry"] {
            assert!(tables.iter().any(|table| table == named), "{named}");
        }
        for table in tables {
            let guard = strings(
                &mut admin,
                &format!(
                    "SELECT format('%s %s %s | %s %s %s %s | %s | %s', relrowsecurity,
                       relforcerowsecurity, attnotnull, polname, polcmd, polpermissive,
                       polroles::text, pg_get_expr(polqual, c.oid), pg_get_expr(polwithcheck, c.oid))
                       FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attname = 'tenant_id'
                       LEFT JOIN pg_policy ON polrelid = c.oid
                      WHERE c.oid = '{table}'::regclass ORDER BY polname"
                ),
            )
            .await;
            let expression = "(tenant_id = ( SELECT current_tenant() AS current_tenant))";
            let mut expected =
                vec![format!("t t t | tenant_isolation * t {{0}} | {expression} | {expression}")];
            if table == "tenant_directory" {
                // The owner, whom no login of the program is or may become, lists the codes.
                let owner = strings(
                    &mut admin,
                    "SELECT relowner::text FROM pg_class WHERE oid = 'tenant_directory'::regclass",
                )
                .await;
                expected
                    .insert(0, format!("t t t | directory_listing r t {{{}}} | true | ", owner[0]));
            }
            assert_eq!(guard, expected, "{table}");
        }
    });
}

// No key reaches over a tenant's border: a global one would tell what others have.
#[test]
fn the_tenant_is_first_in_every_key() {
    run(async {
        nothing(
            "SELECT i.indexrelid::regclass::text FROM pg_index i
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'tenant_id'
               JOIN pg_class c ON c.oid = i.indrelid
              WHERE c.relnamespace = 'storage_drr'::regnamespace AND i.indisunique
                AND i.indkey[0] IS DISTINCT FROM a.attnum",
        )
        .await;
        nothing(
            "SELECT conrelid::regclass || ' ' || conname FROM pg_constraint f
              WHERE connamespace = 'storage_drr'::regnamespace AND contype = 'f'
                AND NOT (
                  EXISTS (SELECT FROM pg_attribute WHERE attrelid = conrelid
                           AND attnum = conkey[1] AND attname = 'tenant_id')
                  AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = confrelid
                           AND attnum = confkey[1] AND attname = 'tenant_id'))",
        )
        .await;
        // Every table has a primary key, and exclusion constraints are keys too: there are none.
        nothing(
            "SELECT relname::text FROM pg_class c
              WHERE relnamespace = 'storage_drr'::regnamespace AND relkind IN ('r', 'p')
                AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p')",
        )
        .await;
        nothing(
            "SELECT conname::text FROM pg_constraint
              WHERE connamespace = 'storage_drr'::regnamespace AND contype = 'x'",
        )
        .await;
    });
}

// Design §3: what would look past the policies.
#[test]
fn nothing_looks_past_the_policies() {
    run(async {
        nothing(
            "SELECT relname::text FROM pg_class
              WHERE relnamespace = 'storage_drr'::regnamespace
                AND (relkind IN ('m', 'f')
                  OR relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false))",
        )
        .await;
        nothing(
            "SELECT proname::text FROM pg_proc
              WHERE pronamespace = 'storage_drr'::regnamespace AND prosecdef
                AND proname NOT IN ('ensure_partitions', 'drop_partitions', 'owe_audit_event',
                                    'pay_audit_debt', 'settle_audit_debt', 'refuse_audit_rewrite',
                                    'tenants_with_breaches_due', 'tenants_with_deliveries_due',
                                    'tenants_with_changes_due', 'tenants_with_audit_events',
                                    'tenants_with_audit_archives', 'tenants_listed', 'drop_audit_month',
                                    'tenants_with_events_to_stream',
                                    'tenants_with_evidence_due',
                                    'tenants_with_checkpoints_due',
                                    'evidence_transaction_ahead',
                                    'tenants_with_schema_events_due', 'schema_figures',
                                    'tenants_with_schema_transitions_due',
                                    'tenants_with_schema_drift_due')",
        )
        .await;
        // A function of the owner's with a search path that others can put something into.
        nothing(
            "SELECT proname::text FROM pg_proc
              WHERE pronamespace = 'storage_drr'::regnamespace AND prosecdef
                AND NOT coalesce(proconfig && '{\"search_path=storage_drr,pg_temp\",\"search_path=storage_drr, pg_temp\"}', false)",
        )
        .await;
        // Triggers and rules run as whoever fires them, but see what they are given.
        nothing(
            "SELECT tgname::text FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
              WHERE relnamespace = 'storage_drr'::regnamespace AND NOT tgisinternal
                AND tgname NOT IN ('audit_owed', 'audit_paid', 'audit_kept', 'audit_debt_settled', 'audit_debt_kept',
                                   'freshness_marked', 'freshness_marked_new', 'evidence_grows',
                                   'schema_kept', 'schema_version_kept', 'schema_version_begun',
                                   'schema_transition_kept')",
        )
        .await;
        nothing(
            "SELECT rulename::text FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class
              WHERE relnamespace = 'storage_drr'::regnamespace AND relkind <> 'v'",
        )
        .await;
    });
}
