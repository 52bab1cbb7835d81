//! An audit event for every call, in classes that are kept for different times, and ready to be put
//! into the evidence ledger.
//!
//! `audit_event` is partitioned by class first and then by month: what is kept for 365 days can go
//! without what is kept for 36 months.
//!
//! `transaction_id` is what gives the leaves of the ledger their order: once no transaction with a
//! lower number is open, no event can come before the ones that are there. `leaf_hash` is made where
//! the event is made; what is changed before it is in the ledger is found as well. Events from before
//! this step have none, and are hashed as they are found.
//!
//! Events of reads are appended for many tenants at once (`append_calls`): the function goes from tenant
//! to tenant behind row-level security, with the rights of whoever calls it.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: &str = r#"
ALTER TABLE audit_event RENAME TO audit_event_api;
DO $$
DECLARE
  partition record;
BEGIN
  FOR partition IN SELECT c.oid::regclass AS target, c.relname FROM pg_inherits
      JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'audit_event_api'::regclass LOOP
    EXECUTE format('ALTER TABLE %s RENAME TO %I', partition.target,
                   replace(partition.relname, 'audit_event', 'audit_event_api'));
  END LOOP;
END $$;
ALTER TABLE audit_event_api DROP CONSTRAINT audit_event_pkey;
DROP INDEX audit_event_by_correlation;
DROP TRIGGER audit_paid ON audit_event_api;

ALTER TABLE audit_event_api
  ADD COLUMN class text COLLATE "C" NOT NULL DEFAULT 'API' CHECK (class IN ('API', 'SCHEMA')),
  ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
  -- The call it was part of: the event of the call itself has this as its own id.
  ADD COLUMN call_id uuid,
  -- What else was asked for in the same call.
  ADD COLUMN also text[],
  -- By which way it came (`public`, `internal`, `graphql-transport-ws` …).
  ADD COLUMN interface text,
  ADD COLUMN operation_name text,
  ADD COLUMN document_hash bytea,
  ADD COLUMN token_hash bytea,
  ADD COLUMN duration_us bigint,
  ADD COLUMN row_count bigint,
  -- How many calls it tells of: more than one only of callers without a token.
  ADD COLUMN calls integer NOT NULL DEFAULT 1 CHECK (calls >= 1),
  ADD COLUMN leaf_hash bytea CHECK (octet_length(leaf_hash) = 32);
ALTER TABLE audit_event_api DROP CONSTRAINT audit_event_result_check;
ALTER TABLE audit_event_api ADD CONSTRAINT audit_event_result_check
  CHECK (result IN ('SUCCESS', 'PARTIAL', 'REJECTED', 'DENIED', 'FAILURE', 'CANCELLED'));

CREATE TABLE audit_event (LIKE audit_event_api INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
  PARTITION BY LIST (class);
CREATE TABLE audit_event_schema (LIKE audit_event_api INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
  PARTITION BY RANGE (occurred_at);
ALTER TABLE audit_event ATTACH PARTITION audit_event_api FOR VALUES IN ('API');
ALTER TABLE audit_event ATTACH PARTITION audit_event_schema FOR VALUES IN ('SCHEMA');
ALTER TABLE audit_event ADD CONSTRAINT audit_event_pkey
  PRIMARY KEY (tenant_id, occurred_at, event_id, class);
CREATE INDEX audit_event_by_correlation ON audit_event (tenant_id, correlation_id);
CREATE INDEX audit_event_in_order ON audit_event (tenant_id, transaction_id, sequence);
CREATE INDEX audit_event_by_actor ON audit_event (tenant_id, actor_id, occurred_at, event_id);
CREATE INDEX audit_event_by_dataset ON audit_event (tenant_id, dataset_id, occurred_at, event_id)
  WHERE dataset_id IS NOT NULL;

GRANT INSERT ON audit_event TO {writer}, {ledger};
GRANT SELECT ON audit_event TO {auditor}, {ledger};
GRANT INSERT ON tenant_directory TO {ledger};
REVOKE ALL ON audit_event_api FROM {writer}, {auditor}, {ledger};
"#;

const FUNCTIONS: &str = r#"
-- Only those partitioned by month: `audit_event` itself is partitioned by class.
CREATE OR REPLACE FUNCTION partitioned_tables() RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT partrelid::regclass FROM pg_partitioned_table
    JOIN pg_class ON pg_class.oid = partrelid
   WHERE relnamespace = current_schema()::regnamespace AND partstrat = 'r' ORDER BY relname
$$;

-- As before, but what is part of the trail owes nothing.
CREATE OR REPLACE FUNCTION enable_audit_guard(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  is_trail boolean := (SELECT relname LIKE 'audit\_event%' FROM pg_class WHERE oid = target);
BEGIN
  IF needs_no_audit(target) THEN
    RETURN;
  END IF;
  IF NOT is_trail THEN
    EXECUTE format(
      'CREATE TRIGGER audit_owed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s
         FOR EACH STATEMENT EXECUTE FUNCTION owe_audit_event()', target);
    RETURN;
  END IF;
  EXECUTE format(
    'CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
       FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_rewrite()', target);
  IF target = 'audit_event'::regclass THEN
    -- The ledger's role may write to no other table, and so never owes anything.
    EXECUTE format(
      'CREATE TRIGGER audit_paid AFTER INSERT ON %s REFERENCING NEW TABLE AS appended
         FOR EACH STATEMENT WHEN (current_user <> ''{ledger}'')
         EXECUTE FUNCTION pay_audit_debt()', target);
  END IF;
END
$$;

DO $$
DECLARE
  partition regclass;
BEGIN
  FOR partition IN SELECT inhrelid::regclass FROM pg_inherits
      WHERE inhparent = 'audit_event_api'::regclass LOOP
    EXECUTE format('DROP TRIGGER audit_owed ON %s', partition);
  END LOOP;
END $$;
SELECT enable_tenant_rls('audit_event'::regclass);
SELECT enable_tenant_rls('audit_event_schema'::regclass);

DO $$
DECLARE
  first_month date := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month';
BEGIN
  SET LOCAL timezone = 'UTC';
  PERFORM add_partition('audit_event_schema', 'audit_event_schema_history', 'MINVALUE',
                        quote_literal(first_month));
  PERFORM add_partition('audit_event_schema',
    ('audit_event_schema' || to_char(first_month, '_YYYYMM'))::name,
    quote_literal(first_month), quote_literal((first_month + interval '1 month')::date));
  PERFORM ensure_partitions((now() + interval '3 months')::date);
END $$;

-- Events of calls that changed nothing, ordered by tenant; an event that is there already is passed over.
CREATE FUNCTION append_calls(
  tenants text[], classes text[], occurred timestamptz[], ids uuid[], call_ids uuid[], actors text[],
  actions text[], alsos text[], datasets uuid[], resources text[], results text[], codes text[],
  correlations text[], interfaces text[], operations text[], documents bytea[], tokens bytea[],
  durations bigint[], row_counts bigint[], call_counts integer[], leaves bytea[]
) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  low integer := 1;
  high integer;
  total integer := cardinality(tenants);
BEGIN
  WHILE low <= total LOOP
    high := low;
    WHILE high < total AND tenants[high + 1] = tenants[low] LOOP
      high := high + 1;
    END LOOP;
    PERFORM set_config('app.tenant_id', tenants[low], true);
    INSERT INTO tenant_directory VALUES (tenants[low]) ON CONFLICT DO NOTHING;
    INSERT INTO audit_event
      (tenant_id, class, occurred_at, event_id, call_id, actor_id, action, also, dataset_id, resource,
       result, error_code, correlation_id, interface, operation_name, document_hash, token_hash,
       duration_us, row_count, calls, leaf_hash)
    SELECT tenants[low], e.class, e.occurred, e.id, e.call_id, e.actor, e.action,
           string_to_array(e.also, ','), e.dataset, e.resource, e.result, e.code, e.correlation,
           e.interface, e.operation, e.document, e.token, e.duration, e.row_count, e.calls, e.leaf
      FROM unnest(classes[low:high], occurred[low:high], ids[low:high], call_ids[low:high], actors[low:high],
                  actions[low:high], alsos[low:high], datasets[low:high], resources[low:high],
                  results[low:high], codes[low:high], correlations[low:high], interfaces[low:high],
                  operations[low:high], documents[low:high], tokens[low:high], durations[low:high],
                  row_counts[low:high], call_counts[low:high], leaves[low:high])
        AS e (class, occurred, id, call_id, actor, action, also, dataset, resource, result, code,
              correlation, interface, operation, document, token, duration, row_count, calls, leaf)
    ON CONFLICT DO NOTHING;
    low := high + 1;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION append_calls(
  text[], text[], timestamptz[], uuid[], uuid[], text[], text[], text[], uuid[], text[], text[], text[],
  text[], text[], text[], bytea[], bytea[], bigint[], bigint[], integer[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_calls(
  text[], text[], timestamptz[], uuid[], uuid[], text[], text[], text[], uuid[], text[], text[], text[],
  text[], text[], text[], bytea[], bytea[], bigint[], bigint[], integer[], bytea[]) TO {ledger};
"#;

const DOWN: &str = r#"
DROP FUNCTION append_calls(
  text[], text[], timestamptz[], uuid[], uuid[], text[], text[], text[], uuid[], text[], text[], text[],
  text[], text[], text[], bytea[], bytea[], bigint[], bigint[], integer[], bytea[]);
ALTER TABLE audit_event DETACH PARTITION audit_event_api;
DROP TABLE audit_event;
DROP INDEX IF EXISTS audit_event_by_correlation;
ALTER TABLE audit_event_api RENAME TO audit_event;
DO $$
DECLARE
  found record;
BEGIN
  FOR found IN SELECT conname FROM pg_constraint
      WHERE conrelid = 'audit_event'::regclass AND contype = 'p' LOOP
    EXECUTE format('ALTER TABLE audit_event DROP CONSTRAINT %I', found.conname);
  END LOOP;
  FOR found IN SELECT indexrelid::regclass AS target FROM pg_index
      WHERE indrelid = 'audit_event'::regclass LOOP
    EXECUTE format('DROP INDEX %s', found.target);
  END LOOP;
  FOR found IN SELECT c.oid::regclass AS target, c.relname FROM pg_inherits
      JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'audit_event'::regclass LOOP
    EXECUTE format('ALTER TABLE %s RENAME TO %I', found.target,
                   replace(found.relname, 'audit_event_api', 'audit_event'));
  END LOOP;
END $$;
-- What the step before does not know of.
ALTER TABLE audit_event DROP CONSTRAINT audit_event_result_check;
ALTER TABLE audit_event DISABLE TRIGGER audit_kept;
ALTER TABLE audit_event DROP COLUMN class, DROP COLUMN transaction_id, DROP COLUMN call_id,
  DROP COLUMN also, DROP COLUMN interface, DROP COLUMN operation_name, DROP COLUMN document_hash,
  DROP COLUMN token_hash, DROP COLUMN duration_us, DROP COLUMN row_count, DROP COLUMN calls,
  DROP COLUMN leaf_hash;
ALTER TABLE audit_event ENABLE TRIGGER audit_kept;
ALTER TABLE audit_event ADD CONSTRAINT audit_event_result_check
  CHECK (result IN ('SUCCESS', 'REJECTED', 'DENIED', 'FAILURE', 'PARTIAL', 'CANCELLED'));
ALTER TABLE audit_event ADD PRIMARY KEY (tenant_id, occurred_at, event_id);
CREATE INDEX audit_event_by_correlation ON audit_event (tenant_id, correlation_id);
CREATE TRIGGER audit_paid AFTER INSERT ON audit_event REFERENCING NEW TABLE AS appended
  FOR EACH STATEMENT EXECUTE FUNCTION pay_audit_debt();
GRANT INSERT ON audit_event TO {writer}, {ledger};
GRANT SELECT ON audit_event TO {auditor}, {ledger};
REVOKE INSERT ON tenant_directory FROM {ledger};
CREATE OR REPLACE FUNCTION partitioned_tables() RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT partrelid::regclass FROM pg_partitioned_table
    JOIN pg_class ON pg_class.oid = partrelid
   WHERE relnamespace = current_schema()::regnamespace ORDER BY relname
$$;
CREATE OR REPLACE FUNCTION enable_audit_guard(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  is_trail boolean := (SELECT relname LIKE 'audit\_event%' FROM pg_class WHERE oid = target);
BEGIN
  IF needs_no_audit(target) THEN
    RETURN;
  END IF;
  IF is_trail THEN
    EXECUTE format(
      'CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
         FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_rewrite()', target);
  END IF;
  IF target = 'audit_event'::regclass THEN
    EXECUTE format(
      'CREATE TRIGGER audit_paid AFTER INSERT ON %s REFERENCING NEW TABLE AS appended
         FOR EACH STATEMENT EXECUTE FUNCTION pay_audit_debt()', target);
  ELSE
    EXECUTE format(
      'CREATE TRIGGER audit_owed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s
         FOR EACH STATEMENT EXECUTE FUNCTION owe_audit_event()', target);
  END IF;
END
$$;
DO $$
DECLARE
  partition regclass;
BEGIN
  FOR partition IN SELECT inhrelid::regclass FROM pg_inherits
      WHERE inhparent = 'audit_event'::regclass LOOP
    EXECUTE format(
      'CREATE TRIGGER audit_owed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s
         FOR EACH STATEMENT EXECUTE FUNCTION owe_audit_event()', partition);
  END LOOP;
END $$;
"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        run(manager, FUNCTIONS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
