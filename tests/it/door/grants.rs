//! Which database role may do what: the whole list, and what it means. // D6, D15, D18, D23–D25, D36

use sqlx::Connection;

use super::world::{ACME, REFUSED, populate, script, state, strings, tenant_tables};
use crate::cluster::{Cluster, run};

/// Every privilege on a table or sequence that anybody but the owner has. A new table is listed
/// here or nobody has it. Partitions have none: they are reached through their parents.
const PRIVILEGES: &str = "
audit_archive drr_auditor SELECT
audit_archive drr_writer INSERT
audit_event drr_approver INSERT
audit_event drr_auditor SELECT
audit_event drr_ledger INSERT,SELECT
audit_event drr_writer INSERT
audit_event_sequence drr_approver USAGE
audit_event_sequence drr_ledger USAGE
audit_event_sequence drr_writer USAGE
change_head drr_auditor SELECT
change_head drr_reader SELECT
change_head drr_writer INSERT,SELECT,UPDATE
change_mark drr_auditor SELECT
change_mark drr_reader SELECT
change_mark drr_writer DELETE,INSERT,SELECT
dataset_external_verdict drr_auditor SELECT
dataset_external_verdict drr_reader SELECT
dataset_external_verdict drr_writer INSERT,SELECT,UPDATE
dataset_lineage drr_auditor SELECT
dataset_lineage drr_reader SELECT
dataset_lineage drr_writer INSERT,SELECT,UPDATE
dataset_name drr_auditor SELECT
dataset_name drr_reader SELECT
dataset_name drr_writer DELETE,INSERT,SELECT
dataset_observed_schema drr_reader SELECT
dataset_observed_schema drr_writer INSERT,SELECT,UPDATE
dataset_refresh_state drr_auditor SELECT
dataset_refresh_state drr_reader SELECT
dataset_refresh_state drr_writer INSERT,SELECT,UPDATE
dataset_registry drr_auditor SELECT
dataset_registry drr_reader SELECT
dataset_registry drr_writer INSERT,SELECT,UPDATE
dataset_run_log drr_auditor SELECT
dataset_run_log drr_reader SELECT
dataset_run_log drr_writer INSERT,SELECT,UPDATE
evidence_head drr_auditor SELECT
evidence_head drr_ledger INSERT,SELECT,UPDATE
evidence_tile drr_auditor SELECT
evidence_tile drr_ledger INSERT,SELECT
freshness_announced drr_auditor SELECT
freshness_announced drr_reader SELECT
freshness_announced drr_writer INSERT,SELECT,UPDATE
freshness_breach drr_auditor SELECT
freshness_breach drr_reader SELECT
freshness_breach drr_writer INSERT,SELECT,UPDATE
freshness_calendar drr_auditor SELECT
freshness_calendar drr_reader SELECT
freshness_calendar drr_writer DELETE,INSERT,SELECT,UPDATE
freshness_change drr_auditor SELECT
freshness_change drr_reader SELECT
freshness_change drr_writer DELETE,INSERT,SELECT
freshness_event drr_auditor SELECT
freshness_event drr_reader SELECT
freshness_event drr_writer INSERT,SELECT,UPDATE
freshness_policy drr_auditor SELECT
freshness_policy drr_reader SELECT
freshness_policy drr_writer INSERT,SELECT
idempotency_record drr_approver DELETE,INSERT,SELECT,UPDATE
idempotency_record drr_writer DELETE,INSERT,SELECT,UPDATE
lease drr_operator DELETE,INSERT,SELECT,UPDATE
legal_hold drr_auditor SELECT
legal_hold drr_writer INSERT
run drr_auditor SELECT
run drr_reader SELECT
run drr_writer INSERT,SELECT,UPDATE
run_event drr_reader SELECT
run_event drr_writer INSERT,SELECT
run_event_batch drr_auditor SELECT
run_event_batch drr_reader SELECT
run_event_batch drr_writer DELETE,INSERT,SELECT
schema_drift drr_auditor SELECT
schema_drift drr_reader SELECT
schema_drift drr_writer INSERT,SELECT,UPDATE
schema_event drr_approver INSERT,SELECT
schema_event drr_auditor SELECT
schema_event drr_reader SELECT
schema_event drr_writer INSERT,SELECT
schema_event_cursor drr_writer INSERT,SELECT,UPDATE
schema_registry drr_approver SELECT
schema_registry drr_auditor SELECT
schema_registry drr_reader SELECT
schema_registry drr_writer SELECT
schema_transition drr_approver SELECT
schema_transition drr_auditor SELECT
schema_transition drr_reader SELECT
schema_transition drr_writer SELECT
schema_version drr_approver SELECT
schema_version drr_auditor SELECT
schema_version drr_reader SELECT
schema_version drr_writer SELECT
seaql_migrations drr_operator SELECT
siem_cursor drr_auditor SELECT
siem_cursor drr_writer INSERT,SELECT,UPDATE
tenant_directory drr_approver INSERT
tenant_directory drr_ledger INSERT
tenant_directory drr_writer INSERT
token_nonce drr_writer DELETE,INSERT,SELECT,UPDATE
";

/// Every privilege on single columns: of who may change a version's state, and of who may not.
const COLUMNS: &str = "
dataset_registry drr_approver SELECT dataset_id,lifecycle,schema_fqid,tenant_id
schema_registry drr_approver UPDATE standing_at,standing_by
schema_registry drr_writer INSERT compatibility,created_at,created_by,description,domain,format,name,owners,policy,schema_id,tags,tenant_id,updated_at
schema_registry drr_writer UPDATE compatibility,description,last_number,owners,policy,row_version,tags,updated_at
schema_transition drr_approver UPDATE decided_at,decided_by,decided_verdict,decision,standing,status
schema_transition drr_writer INSERT acknowledged,content_hash,expires_at,findings,kind,number,reason,requested_at,requested_by,schema_id,tenant_id,transition_id,verdict
schema_transition drr_writer UPDATE decided_at,decided_by,decision,status
schema_version drr_approver UPDATE changed_at,state,visibility
schema_version drr_writer INSERT canonical_hash,changed_at,content_bytes,content_hash,content_id,created_at,created_by,number,reference_ids,reference_names,reference_numbers,schema_id,tenant_id
schema_version drr_writer UPDATE canonical_hash,changed_at,content_bytes,content_hash,reference_ids,reference_names,reference_numbers,state
";

const ROLES: [&str; 6] =
    ["drr_approver", "drr_auditor", "drr_ledger", "drr_operator", "drr_reader", "drr_writer"];

#[test]
fn the_privileges_are_these_and_no_other() {
    run(async {
        let mut admin = Cluster::shared().await.admin(drr::db::embedded::DATABASE).await;
        let privileges = strings(
            &mut admin,
            "SELECT format('%s %s %s', relname,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
                string_agg(privilege_type, ',' ORDER BY privilege_type))
               FROM pg_class, aclexplode(relacl)
              WHERE relnamespace = 'storage_drr'::regnamespace AND grantee <> relowner
              GROUP BY relname, grantee ORDER BY relname COLLATE \"C\", grantee::regrole::text COLLATE \"C\"",
        )
        .await;
        let expected: Vec<&str> = PRIVILEGES.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(privileges, expected);
        // A privilege on a column is not in the list above.
        let columns = "SELECT format('%s %s %s %s', relname, grantee::regrole, privilege_type,
                string_agg(attname::text, ',' ORDER BY attname))
               FROM pg_attribute JOIN pg_class c ON c.oid = attrelid, aclexplode(attacl)
              WHERE relnamespace = 'storage_drr'::regnamespace
              GROUP BY relname, grantee, privilege_type
              ORDER BY relname COLLATE \"C\", grantee::regrole::text COLLATE \"C\", privilege_type";
        let expected: Vec<&str> = COLUMNS.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(strings(&mut admin, columns).await, expected);
        let functions = "SELECT format('%s %s', proname, role) FROM pg_proc, unnest($${drr_approver,drr_auditor,
                drr_ledger,drr_operator,drr_reader,drr_writer,drr_app}$$::text[]) AS role
              WHERE pronamespace = 'storage_drr'::regnamespace AND proname <> 'current_tenant'
                AND has_function_privilege(role, pg_proc.oid, 'EXECUTE') ORDER BY 1";
        assert_eq!(
            strings(&mut admin, functions).await,
            [
                "append_calls drr_ledger",
                "append_events drr_ledger",
                "append_events_again drr_ledger",
                "bound_schema_version drr_writer",
                "drop_audit_month drr_operator",
                "drop_partitions drr_operator",
                "ensure_partitions drr_operator",
                "evidence_transaction_ahead drr_operator",
                "find_idempotency_records drr_approver",
                "find_idempotency_records drr_writer",
                "schema_drift_due drr_writer",
                "schema_figures drr_operator",
                "tenants_listed drr_operator",
                "tenants_with_audit_archives drr_operator",
                "tenants_with_audit_events drr_operator",
                "tenants_with_breaches_due drr_operator",
                "tenants_with_changes_due drr_operator",
                "tenants_with_checkpoints_due drr_operator",
                "tenants_with_deliveries_due drr_operator",
                "tenants_with_events_to_stream drr_operator",
                "tenants_with_evidence_due drr_operator",
                "tenants_with_schema_drift_due drr_operator",
                "tenants_with_schema_events_due drr_operator",
                "tenants_with_schema_transitions_due drr_operator",
            ]
        );
    });
}

// D6, D23–D25
#[test]
fn the_roles_can_do_nothing_of_themselves_and_reach_their_own_schema_only() {
    run(async {
        let mut admin = Cluster::shared().await.admin(drr::db::embedded::DATABASE).await;
        let roles = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'drr\\_%'
           AND rolname NOT IN ('drr_owner', 'drr_admin', 'drr_app') AND rolname !~ '_(dev|staging)$'
           AND NOT (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb
                    OR rolreplication OR rolinherit)
           AND NOT EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)
           AND NOT EXISTS (SELECT FROM pg_shdepend WHERE refobjid = pg_roles.oid AND deptype = 'o')
         ORDER BY 1";
        assert_eq!(strings(&mut admin, roles).await, ROLES);
        let login = "SELECT rolname::text FROM pg_roles WHERE rolname = 'drr_app' AND rolcanlogin
           AND NOT (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolinherit)
           AND NOT EXISTS (SELECT FROM pg_shdepend WHERE refobjid = pg_roles.oid AND deptype = 'o')";
        assert_eq!(strings(&mut admin, login).await, ["drr_app"]);
        let reach = "SELECT DISTINCT rolname || ' ' || nspname FROM pg_namespace, pg_roles
          WHERE rolname = ANY ('{drr_app,drr_approver,drr_auditor,drr_ledger,drr_operator,drr_reader,drr_writer}')
            AND nspname NOT IN ('pg_catalog', 'information_schema')
            AND (has_schema_privilege(rolname, nspname, 'USAGE')
              OR has_schema_privilege(rolname, nspname, 'CREATE')) ORDER BY 1";
        assert_eq!(
            strings(&mut admin, reach).await,
            ROLES.map(|role| format!("{role} storage_drr"))
        );
        let create = "SELECT rolname || ' ' || nspname FROM pg_namespace, pg_roles
          WHERE rolname LIKE 'drr\\_%' AND rolname NOT IN ('drr_owner', 'drr_admin')
            AND has_schema_privilege(rolname, nspname, 'CREATE')";
        assert_eq!(strings(&mut admin, create).await, Vec::<String>::new());
        // Nor a temporary table, whose name could stand before another.
        let database = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'drr\\_%'
            AND rolname NOT IN ('drr_owner', 'drr_admin') AND has_database_privilege(rolname, current_database(), 'TEMP,CREATE')";
        assert_eq!(strings(&mut admin, database).await, Vec::<String>::new());
    });
}

// D15, D18, D36: what the list means, tried by each role.
#[test]
fn each_role_is_refused_what_it_was_not_given() {
    let forbidden: [(&str, &[&str]); 6] = [
        (
            "drr_approver",
            &[
                "UPDATE schema_version SET content_hash = content_hash",
                "UPDATE schema_registry SET owners = owners",
                "UPDATE schema_registry SET compatibility = 'NONE'",
                "UPDATE schema_transition SET content_hash = content_hash",
                "UPDATE schema_transition SET requested_by = ''",
                "UPDATE schema_event SET actor_id = ''",
                "DELETE FROM schema_version",
                "DELETE FROM schema_transition",
                "DELETE FROM schema_event",
                "INSERT INTO schema_version (tenant_id) VALUES ('acme')",
                "INSERT INTO schema_transition (tenant_id) VALUES ('acme')",
                "SELECT FROM audit_event",
                "SELECT name FROM dataset_registry",
                "UPDATE dataset_registry SET name = name",
            ],
        ),
        (
            "drr_auditor",
            &[
                "INSERT INTO dataset_registry SELECT * FROM dataset_registry",
                "INSERT INTO audit_event SELECT * FROM audit_event",
                "UPDATE audit_event SET actor_id = ''",
                "DELETE FROM audit_event",
                "SELECT FROM run_event",
                "SELECT FROM dataset_observed_schema",
                "SELECT FROM idempotency_record",
            ],
        ),
        (
            "drr_writer",
            &[
                "SELECT FROM audit_event",
                "UPDATE audit_event SET actor_id = ''",
                "DELETE FROM audit_event",
                "UPDATE run_event SET producer = ''",
                "DELETE FROM run_event",
                "UPDATE freshness_policy SET version = 2",
                "DELETE FROM freshness_policy",
                "DELETE FROM dataset_registry",
                "DELETE FROM freshness_breach",
                "DELETE FROM freshness_event",
                "UPDATE audit_archive SET object = ''",
                "DELETE FROM audit_archive",
                "UPDATE legal_hold SET released = true",
                "DELETE FROM legal_hold",
                "SELECT drop_audit_month('API', '2020-01-01', false)",
                "SELECT FROM tenant_directory",
                "SELECT FROM lease",
                "UPDATE schema_version SET visibility = visibility",
                "UPDATE schema_registry SET standing_by = ''",
                "UPDATE schema_transition SET decided_verdict = ''",
                "UPDATE schema_transition SET content_hash = content_hash",
                "UPDATE schema_event SET actor_id = ''",
                "DELETE FROM schema_version",
                "DELETE FROM schema_event",
                "SELECT FROM tenants_with_breaches_due(now())",
                "SELECT setval('audit_event_sequence', 1)",
            ],
        ),
        (
            "drr_ledger",
            &[
                "UPDATE audit_event SET actor_id = ''",
                "DELETE FROM audit_event",
                "UPDATE evidence_tile SET hashes = ''",
                "DELETE FROM evidence_tile",
                "DELETE FROM evidence_head",
                "SELECT FROM dataset_registry",
            ],
        ),
        (
            "drr_reader",
            &[
                "SELECT FROM audit_event",
                "SELECT FROM evidence_head",
                "SELECT FROM evidence_tile",
                "SELECT FROM idempotency_record",
            ],
        ),
        ("drr_operator", &[]),
    ];
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        populate(&mut admin).await;
        let tables = tenant_tables(&mut admin).await;
        for (role, statements) in forbidden {
            let mut raw = database.admin().await;
            script(&mut raw, format!("SET ROLE {role}; SET app.tenant_id = '{ACME}'")).await;
            let mut all: Vec<String> = statements.iter().map(|&text| text.to_owned()).collect();
            for table in &tables {
                all.push(format!("TRUNCATE {table}"));
                all.push(format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"));
                all.push(format!("DROP POLICY tenant_isolation ON {table}"));
                if ["drr_reader", "drr_operator", "drr_auditor"].contains(&role) {
                    all.push(format!("INSERT INTO {table} (tenant_id) VALUES ('{ACME}')"));
                    all.push(format!("UPDATE {table} SET tenant_id = tenant_id"));
                    all.push(format!("DELETE FROM {table}"));
                }
                if role == "drr_operator" {
                    all.push(format!("SELECT FROM {table}"));
                }
            }
            for statement in all {
                let state = state(&mut raw, &statement).await;
                assert_eq!(state.as_deref(), Some(REFUSED), "{role}: {statement}");
            }
            raw.close().await.unwrap();
        }
    });
}

// D20: the roles as they are, not widened: no tenant, no row, no empty answer.
#[test]
fn without_a_tenant_every_role_is_refused_everywhere() {
    run(async {
        let database = Cluster::shared().await.database().await;
        populate(&mut database.admin().await).await;
        let mut tried = 0;
        for line in PRIVILEGES.lines().filter(|line| line.ends_with("SELECT")) {
            let words: Vec<&str> = line.split(' ').collect();
            let [table, role, _] = words[..] else { panic!("{line}") };
            if table == "seaql_migrations" {
                continue;
            }
            for context in
                ["", "SET app.tenant_id = ''", "BEGIN; SET LOCAL app.tenant_id = 'acme'; COMMIT"]
            {
                let mut raw = database.admin().await;
                script(&mut raw, format!("SET ROLE {role}; {context}")).await;
                let refused =
                    super::world::refusal(&mut raw, &format!("SELECT * FROM {table}")).await;
                let expected = (REFUSED.to_owned(), "app.tenant_id is not set".to_owned());
                assert_eq!(refused, Some(expected), "{role} {table} {context}");
                raw.close().await.unwrap();
                tried += 1;
            }
        }
        assert!(tried > 40, "{tried}");
    });
}
