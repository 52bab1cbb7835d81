//! What changed, for subscribers: logs that are numbered in the order in which they can be read.
//!
//! Whoever writes leaves a mark in its own transaction, and numbers nothing: a number that is taken
//! before the commit would let a reader pass by what commits later, and a lock that makes the order of
//! numbers the order of commits would make all writers of a tenant wait for each other's disk. The
//! numbers are given afterwards, by a transaction that takes the marks away under a lock on
//! `change_head`, and puts what they tell of into the logs.
//!
//! None of these tables needs an audit event: they repeat what audited changes did.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const NO_AUDIT: &str = "
CREATE OR REPLACE FUNCTION needs_no_audit(target regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT relname IN ('idempotency_record', 'token_nonce', 'tenant_directory', 'change_mark',
                     'change_head', 'freshness_announced', 'freshness_change', 'run_event_batch')
    FROM pg_class WHERE oid = target
$$;
";

const UP: &str = r#"
-- What one statement of a writer did: the datasets whose freshness may be another one, or the run
-- events that it added. Gone as soon as it is announced.
CREATE TABLE change_mark (
  tenant_id    text COLLATE "C" NOT NULL,
  mark_id      bigint GENERATED ALWAYS AS IDENTITY,
  datasets     uuid[] NOT NULL DEFAULT '{}',
  run_ids      uuid[] NOT NULL DEFAULT '{}',
  event_types  text[] NOT NULL DEFAULT '{}',
  event_times  timestamptz[] NOT NULL DEFAULT '{}',
  recorded_at  timestamptz,
  PRIMARY KEY (tenant_id, mark_id),
  CHECK (cardinality(run_ids) = cardinality(event_types)
     AND cardinality(run_ids) = cardinality(event_times))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- The last number of each log, and the last one that is kept no longer.
CREATE TABLE change_head (
  tenant_id          text COLLATE "C" NOT NULL,
  freshness          bigint NOT NULL DEFAULT 0,
  freshness_dropped  bigint NOT NULL DEFAULT 0,
  runs               bigint NOT NULL DEFAULT 0,
  runs_dropped       bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id)
) WITH (fillfactor = 50);

-- What was announced last of each dataset, and the last instant for which that holds.
CREATE TABLE freshness_announced (
  tenant_id        text COLLATE "C" NOT NULL,
  dataset_id       uuid NOT NULL,
  listed           boolean NOT NULL,
  status           text COLLATE "C" NOT NULL,
  last_success_at  timestamptz,
  warn_at          timestamptz NOT NULL,
  stale_at         timestamptz NOT NULL,
  holds_until      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, dataset_id),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry
) WITH (fillfactor = 80);
CREATE INDEX freshness_announced_due ON freshness_announced (tenant_id, holds_until, dataset_id);

CREATE TABLE freshness_change (
  tenant_id        text COLLATE "C" NOT NULL,
  sequence         bigint NOT NULL,
  dataset_id       uuid NOT NULL,
  cause            text COLLATE "C" NOT NULL
                     CHECK (cause IN ('REGISTERED', 'REFRESHED', 'TIME', 'POLICY', 'RETIRED')),
  previous_status  text COLLATE "C",
  status           text COLLATE "C" NOT NULL,
  changed_at       timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, sequence),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry
);

-- Run events by the statement that added them: the numbers of a row end with `last_sequence`.
CREATE TABLE run_event_batch (
  tenant_id      text COLLATE "C" NOT NULL,
  last_sequence  bigint NOT NULL,
  run_ids        uuid[] NOT NULL,
  event_types    text[] NOT NULL,
  event_times    timestamptz[] NOT NULL,
  recorded_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, last_sequence)
);

GRANT SELECT, INSERT, DELETE ON change_mark, freshness_change, run_event_batch TO {writer};
GRANT SELECT, INSERT, UPDATE ON change_head, freshness_announced TO {writer};
GRANT SELECT ON change_head, freshness_change, run_event_batch TO {reader}, {auditor};
"#;

// Marks of refresh states are left by triggers, so that no writer can forget them; by the statement,
// and only for what freshness follows from.
const MARKS: &str = r"
CREATE FUNCTION mark_freshness() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO change_mark (tenant_id, datasets)
      SELECT tenant_id, array_agg(dataset_id) FROM written GROUP BY tenant_id;
  ELSE
    INSERT INTO change_mark (tenant_id, datasets)
      SELECT w.tenant_id, array_agg(w.dataset_id)
        FROM written w JOIN replaced r USING (tenant_id, dataset_id)
       WHERE (w.listed, w.freshness_basis, w.warn_at, w.stale_at, w.last_success_at)
         IS DISTINCT FROM (r.listed, r.freshness_basis, r.warn_at, r.stale_at, r.last_success_at)
       GROUP BY w.tenant_id;
  END IF;
  RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION mark_freshness() FROM PUBLIC;
CREATE TRIGGER freshness_marked_new AFTER INSERT ON dataset_refresh_state
  REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION mark_freshness();
CREATE TRIGGER freshness_marked AFTER UPDATE ON dataset_refresh_state
  REFERENCING OLD TABLE AS replaced NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION mark_freshness();

-- As in `m0008_breaches`.
CREATE FUNCTION tenants_with_changes_due(moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT min(due.since) INTO due_since FROM (
      (SELECT holds_until AS since FROM freshness_announced
        WHERE holds_until < moment ORDER BY holds_until LIMIT 1)
      UNION ALL
      (SELECT moment FROM (SELECT mark_id FROM change_mark ORDER BY mark_id LIMIT 1) AS marked)
    ) AS due;
    IF due_since IS NOT NULL THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION tenants_with_changes_due(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_changes_due(timestamptz) TO {operator};

-- The datasets that are there already count as announced. As in `m0008_breaches`, the owner is not
-- under row-level security within this transaction.
ALTER TABLE dataset_refresh_state NO FORCE ROW LEVEL SECURITY;
ALTER TABLE freshness_announced NO FORCE ROW LEVEL SECURITY;
INSERT INTO freshness_announced
SELECT tenant_id, dataset_id, listed, judged.status, last_success_at, warn_at, stale_at,
       CASE judged.status WHEN 'FRESH' THEN warn_at WHEN 'WARN' THEN stale_at
                          ELSE '9999-12-31T00:00:00Z' END
  FROM dataset_refresh_state, LATERAL (SELECT CASE
    WHEN NOT listed THEN 'NOT_APPLICABLE'
    WHEN freshness_basis <> 'TIMED' THEN freshness_basis
    WHEN stale_at < now() THEN 'STALE'
    WHEN warn_at < now() THEN 'WARN'
    ELSE 'FRESH' END AS status) AS judged;
ALTER TABLE freshness_announced FORCE ROW LEVEL SECURITY;
ALTER TABLE dataset_refresh_state FORCE ROW LEVEL SECURITY;
";

const DOWN: &str = "
DROP FUNCTION tenants_with_changes_due(timestamptz);
DROP TRIGGER freshness_marked ON dataset_refresh_state;
DROP TRIGGER freshness_marked_new ON dataset_refresh_state;
DROP FUNCTION mark_freshness();
CREATE OR REPLACE FUNCTION needs_no_audit(target regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT relname IN ('idempotency_record', 'token_nonce', 'tenant_directory')
    FROM pg_class WHERE oid = target
$$;
";

const TABLES: [&str; 5] =
    ["change_mark", "change_head", "freshness_announced", "freshness_change", "run_event_batch"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, NO_AUDIT).await?;
        create_tenant_tables(manager, UP, &TABLES).await?;
        run(manager, MARKS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await?;
        drop_tables(manager, &TABLES).await
    }
}
