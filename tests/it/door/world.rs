//! Two tenants with rows in every table and every partition, under the same keys.

use std::sync::Arc;

use drr::{
    auth::{
        JwksSource, KeySettings, KeySource, Principal, PseudonymKey, RevocationList, TokenVerifier,
        VerifierSettings, policy::Role,
    },
    clock::{SharedClock, SystemClock},
    db::{Db, DbSettings, TenantDb},
};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, postgres::PgConnectOptions};

use crate::{
    app::{AUDIENCE, ISSUER, KEY, TestApp, settings},
    cluster::SCHEMA,
};

pub const ACME: &str = "acme";
pub const GLOBEX: &str = "globex";
/// A dataset and a run that each tenant has.
pub const SHARED_ID: &str = "0190a000-0000-7000-8000-000000000001";
/// A dataset and a run that only [`GLOBEX`] has.
pub const GLOBEX_ID: &str = "0190a000-0000-7000-8000-00000000000b";
/// An id that nobody has.
pub const NOBODYS_ID: &str = "0190a000-0000-7000-8000-00000000000f";

/// The SQLSTATE of a refusal.
pub const REFUSED: &str = "42501";

/// `{t}` is the tenant, `{id}` the dataset's and the run's id. One event in each month from before
/// the history boundary to the last partition.
const ROWS: &str = "
INSERT INTO dataset_registry (tenant_id, dataset_id, namespace, name, search_text, created_at, updated_at)
  VALUES ('{t}', '{id}', 'warehouse', 'orders {id}', 'orders', now(), now());
INSERT INTO dataset_name (tenant_id, namespace, name, dataset_id, is_alias)
  VALUES ('{t}', 'warehouse', 'orders {id}', '{id}', false);
INSERT INTO dataset_observed_schema (tenant_id, dataset_id, content_hash, fields, first_observed_at, last_observed_at)
  VALUES ('{t}', '{id}', '\\x01', '[]', now(), now());
INSERT INTO dataset_external_verdict (tenant_id, dataset_id, source, status, snapshotted_at, imported_at)
  VALUES ('{t}', '{id}', 'DBT', 'PASS', now(), now());
INSERT INTO dataset_refresh_state (tenant_id, dataset_id, updated_at) VALUES ('{t}', '{id}', now());
INSERT INTO freshness_policy (tenant_id, policy_id, dataset_id, version, mode, warn_after_seconds, effective_from, created_at, created_by)
  VALUES ('{t}', '{id}', '{id}', 1, 'ACTIVE', 60, now(), now(), 'somebody');
INSERT INTO freshness_calendar (tenant_id, name, dates, updated_at, updated_by)
  VALUES ('{t}', 'holidays {id}', '{}', now(), 'somebody');
INSERT INTO dataset_lineage (tenant_id, downstream_id, upstream_id, job_namespace, job_name, last_run_id, first_seen_at, last_seen_at)
  VALUES ('{t}', '{id}', '{id}', 'jobs', 'load', '{id}', now(), now());
INSERT INTO run (tenant_id, run_id, job_namespace, job_name, state, effective_at, fold, recorded_at, updated_at)
  VALUES ('{t}', '{id}', 'jobs', 'load', 'COMPLETE', now(), '{}', now(), now());
INSERT INTO dataset_run_log (tenant_id, dataset_id, effective_at, run_id, job_namespace, job_name, state)
  SELECT '{t}', '{id}', date_trunc('month', now()) + n * interval '1 month', '{id}', 'jobs', 'load', 'COMPLETE'
    FROM generate_series(-3, 3) AS n;
INSERT INTO run_event (tenant_id, event_time, content_hash, kind, run_id, payload, recorded_at)
  SELECT '{t}', date_trunc('month', now()) + n * interval '1 month', decode(md5('{id}'), 'hex'), 'RUN', '{id}', '{}', now()
    FROM generate_series(-3, 3) AS n;
INSERT INTO audit_event (tenant_id, class, occurred_at, event_id, actor_id, action, result, correlation_id)
  SELECT '{t}', class, date_trunc('month', now()) + n * interval '1 month', '{id}', 'somebody', 'dataset.read', 'SUCCESS', 'c'
    FROM generate_series(-3, 3) AS n, unnest('{API,SCHEMA}'::text[]) AS class;
INSERT INTO idempotency_record (tenant_id, actor_id, operation, idempotency_key, slot, request_hash, created_at, expires_at)
  VALUES ('{t}', 'somebody', 'graphql', '{id}', 1, '\\x01', now(), now());
INSERT INTO tenant_directory (tenant_id) VALUES ('{t}') ON CONFLICT DO NOTHING;
INSERT INTO freshness_breach (tenant_id, breach_id, dataset_id, policy_id, policy_version, level, opened_at, detected_at)
  VALUES ('{t}', '{id}', '{id}', '{id}', 1, 'FAIL', now(), now());
INSERT INTO freshness_event (tenant_id, sequence, event_id, event_type, dataset_id, breach_id, muted, occurred_at, payload, delivery, deliverable_at, next_attempt_at)
  SELECT '{t}', count(*) + 1, '{id}', 'breach.opened', '{id}', '{id}', false, now(), '{}', 'PENDING', now(), now()
    FROM freshness_event WHERE tenant_id = '{t}';
INSERT INTO change_head (tenant_id) VALUES ('{t}') ON CONFLICT DO NOTHING;
INSERT INTO freshness_announced (tenant_id, dataset_id, listed, status, warn_at, stale_at, holds_until)
  VALUES ('{t}', '{id}', true, 'UNKNOWN', now(), now(), now());
INSERT INTO freshness_change (tenant_id, sequence, dataset_id, cause, status, changed_at)
  SELECT '{t}', count(*) + 1, '{id}', 'REGISTERED', 'UNKNOWN', now() FROM freshness_change WHERE tenant_id = '{t}';
INSERT INTO run_event_batch (tenant_id, last_sequence, run_ids, event_types, event_times, recorded_at)
  SELECT '{t}', count(*) + 1, '{{id}}', '{START}', '{now}', now() FROM run_event_batch WHERE tenant_id = '{t}';
INSERT INTO audit_archive (tenant_id, class, month, part, object, events, first_at, last_at, last_transaction, last_sequence, lines_hash, object_hash, object_bytes, archived_at)
  SELECT '{t}', 'API', '2020-01-01', count(*) + 1, 'audit/{id}', 1, now(), now(), '1', 1, sha256(''), sha256(''), 1, now()
    FROM audit_archive WHERE tenant_id = '{t}';
INSERT INTO legal_hold (tenant_id, hold_id, released, held_from, held_until, reason, actor_id, recorded_at)
  VALUES ('{t}', '{id}', false, '2020-01-01', '2020-02-01', 'a case', 'somebody', now());
INSERT INTO siem_cursor (tenant_id, sink, transaction_id, sequence, delivered_at)
  VALUES ('{t}', 'sink {id}', '1', 1, now());
INSERT INTO evidence_head (tenant_id, size, root, last_transaction, last_sequence, edge, checkpoint)
  VALUES ('{t}', 0, sha256(''), '0', 0, '', '') ON CONFLICT DO NOTHING;
INSERT INTO evidence_tile (tenant_id, level, tile, hashes, last_transaction, last_sequence)
  SELECT '{t}', 0, count(*), decode(repeat('00', 8192), 'hex'), '1', 1 FROM evidence_tile WHERE tenant_id = '{t}';
INSERT INTO schema_registry (tenant_id, schema_id, domain, name, format, compatibility, policy, created_at, created_by, updated_at)
  VALUES ('{t}', '{id}', 'sales', 'Order-{id}', 'AVRO', 'BACKWARD', 'STRICT', now(), 'somebody', now());
INSERT INTO schema_version (tenant_id, schema_id, number, content_hash, canonical_hash, content_bytes, content_id, created_at, created_by, changed_at)
  SELECT '{t}', '{id}', 1, sha256(''), sha256(''), 1, count(*) + 1, now(), 'somebody', now() FROM schema_version WHERE tenant_id = '{t}';
INSERT INTO schema_drift (tenant_id, dataset_id, schema_id, number, version_hash, reported_hash, observed_at, compared_at, differences)
  VALUES ('{t}', '{id}', '{id}', 1, '', '', now(), now(), '[]');
INSERT INTO schema_transition (tenant_id, transition_id, schema_id, number, kind, content_hash, requested_at, requested_by, expires_at, verdict, findings)
  VALUES ('{t}', '{id}', '{id}', 1, 'ACTIVATE', sha256(''), now(), 'somebody', now(), 'COMPATIBLE', '[]');
INSERT INTO schema_event (tenant_id, sequence, event_id, event_type, schema_id, number, actor_id, correlation_id, occurred_at, data)
  SELECT '{t}', count(*) + 1, '{id}', 'schema.registered', '{id}', 1, 'somebody', 'c', now(), '{}' FROM schema_event WHERE tenant_id = '{t}';
INSERT INTO schema_event_cursor (tenant_id, sink, sequence, delivered_at) VALUES ('{t}', 'sink {id}', 1, now());
INSERT INTO token_nonce (tenant_id, nonce_hash, expires_at)
  VALUES ('{t}', decode(md5('{id}'), 'hex'), now());
";

/// Fills a database, as a superuser. That both tenants take the same keys shows that no unique key
/// reaches over a tenant's border.
pub async fn populate(admin: &mut PgConnection) {
    for (tenant, id) in [(ACME, SHARED_ID), (GLOBEX, SHARED_ID), (GLOBEX, GLOBEX_ID)] {
        let sql = ROWS.replace("{t}", tenant).replace("{id}", id);
        admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    }
}

/// Every table and partition with a tenant column, by the catalog.
pub async fn tenant_tables(connection: &mut PgConnection) -> Vec<String> {
    let tables = strings(
        connection,
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
          WHERE c.relnamespace = 'storage_drr'::regnamespace AND c.relkind IN ('r', 'p')
            AND a.attname = 'tenant_id' AND NOT a.attisdropped ORDER BY 1",
    )
    .await;
    // Ten tables, of which three are partitioned into a history and five months, one of them by class
    // before.
    assert!(tables.len() >= 10 + 2 + 4 * 6, "{tables:?}");
    tables
}

/// The first column of every row, as text.
pub async fn strings(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    rows.unwrap_or_else(|error| panic!("{sql}: {error}")).iter().map(|row| row.get(0)).collect()
}

/// Runs a script.
pub async fn script(connection: &mut PgConnection, sql: impl Into<String>) {
    let sql = sql.into();
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.clone()))).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The SQLSTATE and the message of what a statement was refused with; `None` if it was done.
pub async fn refusal(connection: &mut PgConnection, sql: &str) -> Option<(String, String)> {
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    let sqlx::Error::Database(error) = done.err()? else { panic!("{sql}: no database error") };
    Some((error.code().unwrap().into_owned(), error.message().to_owned()))
}

/// The SQLSTATE alone.
pub async fn state(connection: &mut PgConnection, sql: &str) -> Option<String> {
    refusal(connection, sql).await.map(|(state, _)| state)
}

/// The door's settings on a database.
pub fn db_settings(connect: PgConnectOptions, max_connections: u32) -> DbSettings {
    let settings = settings().database;
    DbSettings {
        connect,
        schema: SCHEMA.to_owned(),
        max_connections,
        acquire_timeout: std::time::Duration::from_secs(30),
        statement_timeout: settings.statement_timeout,
    }
}

/// A principal as only the verifier makes one: out of a signed token.
pub async fn principal(tenant: &str, role: Role) -> Principal {
    let clock: SharedClock = Arc::new(SystemClock);
    let keys = KeySettings::new(JwksSource::Document(KEY.jwks_json()));
    let keys = KeySource::new(&keys, clock.clone()).unwrap();
    keys.refresh().await.unwrap();
    let verifier = TokenVerifier::new(
        &VerifierSettings::new(ISSUER, AUDIENCE),
        keys,
        Arc::new(RevocationList::new(clock.clone(), 1)),
        PseudonymKey::new(&[7; 32]).unwrap(),
        clock.clone(),
    )
    .unwrap();
    let token = KEY.sign(&TestApp::request(tenant, role), clock.as_ref()).unwrap();
    verifier.verify(&token).await.unwrap()
}

/// A tenant's database, for a caller who may write.
pub async fn scoped(db: &Db, tenant: &str) -> TenantDb {
    db.scoped_to(&principal(tenant, Role::TenantAdmin).await)
}
