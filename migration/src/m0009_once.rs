//! Requests that count once, tokens that are used once, and writes that leave an audit event.
//!
//! **The guard of the trail** (D44): a transaction that writes to a tenant's table must append an audit
//! event for that tenant, or it fails when it commits. Before every statement that writes, a trigger
//! notes that the transaction owes an event (`audit_debt`, one row a transaction and tenant); appending
//! an event pays; a deferred trigger on that row looks at the commit whether it was paid, and takes the
//! row away. So what is written costs nothing by the row, only by the statement.
//!
//! The note cannot be forged: `audit_debt` is refused to everybody, its owner included, except from
//! within the triggers (`pg_trigger_depth()`), and `SET` reaches none of it. A superuser is not held, as
//! by row-level security; an owner who changes the tables themselves is not held either, but the program
//! does not start without the triggers.
//!
//! The functions are SECURITY DEFINER because no role but the owner has any right to `audit_debt`.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

// A request has a record for its whole answer (slot 0) and one for each change that it made.
const RECORDS: &str = r#"
ALTER TABLE idempotency_record ADD COLUMN slot smallint NOT NULL DEFAULT 0 CHECK (slot >= 0);
ALTER TABLE idempotency_record ALTER COLUMN slot DROP DEFAULT;
ALTER TABLE idempotency_record DROP CONSTRAINT idempotency_record_pkey;
ALTER TABLE idempotency_record
  ADD PRIMARY KEY (tenant_id, actor_id, operation, idempotency_key, slot);
ALTER TABLE idempotency_record RENAME COLUMN response TO outcome;
ALTER TABLE idempotency_record ADD COLUMN answer_status smallint;
ALTER TABLE idempotency_record ADD COLUMN answer_headers jsonb;
ALTER TABLE idempotency_record ADD COLUMN answer_body bytea;

-- Volatile, so that the records are read after the lock was taken, by a younger snapshot.
CREATE FUNCTION find_idempotency_records(
  lock bigint, for_actor text, for_operation text, for_key text, for_slot smallint, at timestamptz)
RETURNS TABLE (free boolean, slot smallint, request_hash bytea, outcome jsonb,
               answer_status smallint, answer_headers jsonb, answer_body bytea)
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(lock) THEN
    free := false;
    RETURN NEXT;
    RETURN;
  END IF;
  RETURN QUERY
    SELECT true, record.slot, record.request_hash,
           CASE WHEN record.slot = for_slot THEN record.outcome END,
           record.answer_status, record.answer_headers, record.answer_body
      FROM idempotency_record AS record
     WHERE record.tenant_id = current_tenant() AND record.actor_id = for_actor
       AND record.operation = for_operation AND record.idempotency_key = for_key
       AND record.expires_at > at;
END
$$;
REVOKE EXECUTE ON FUNCTION
  find_idempotency_records(bigint, text, text, text, smallint, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  find_idempotency_records(bigint, text, text, text, smallint, timestamptz) TO {writer};

CREATE TABLE token_nonce (
  tenant_id   text COLLATE "C" NOT NULL,
  nonce_hash  bytea NOT NULL,
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, nonce_hash)
);
CREATE INDEX token_nonce_by_expiry ON token_nonce (tenant_id, expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON token_nonce TO {writer};
"#;

// What a crash leaves of `audit_debt` is of no use to anybody: UNLOGGED. Its column is not called
// `tenant_id` since it is no tenant's table: no role may read it, and a row never outlives the
// transaction that made it.
const GUARD: &str = r#"
CREATE UNLOGGED TABLE audit_debt (
  transaction_id  xid8 NOT NULL,
  tenant          text COLLATE "C" NOT NULL,
  paid            boolean NOT NULL DEFAULT false,
  PRIMARY KEY (transaction_id, tenant)
) WITH (fillfactor = 50);

CREATE FUNCTION owe_audit_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM refuse_but_superuser('TRUNCATE of ' || TG_TABLE_NAME);
  END IF;
  -- All statements but the first find the note there, which costs less than to try to make it.
  IF NOT EXISTS (
    SELECT FROM audit_debt WHERE transaction_id = pg_current_xact_id()
       AND tenant = coalesce(current_setting('app.tenant_id', true), '')) THEN
    INSERT INTO audit_debt (transaction_id, tenant)
      VALUES (pg_current_xact_id(), coalesce(current_setting('app.tenant_id', true), ''))
      ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION pay_audit_debt() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  -- A statement that appends nothing pays nothing.
  IF EXISTS (SELECT FROM appended) THEN
    INSERT INTO audit_debt AS debt (transaction_id, tenant, paid)
      VALUES (pg_current_xact_id(), coalesce(current_setting('app.tenant_id', true), ''), true)
      ON CONFLICT (transaction_id, tenant) DO UPDATE SET paid = true WHERE NOT debt.paid;
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION settle_audit_debt() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  settled boolean;
BEGIN
  DELETE FROM audit_debt
   WHERE transaction_id = NEW.transaction_id AND tenant = NEW.tenant
  RETURNING paid INTO settled;
  IF settled IS NOT TRUE THEN
    PERFORM refuse_but_superuser('a write without an audit event');
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION refuse_audit_rewrite() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM refuse_but_superuser(TG_OP || ' of ' || TG_TABLE_NAME);
  RETURN NULL;
END
$$;

CREATE FUNCTION refuse_but_superuser(what text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
    RAISE EXCEPTION '% is refused', what USING ERRCODE = '42501';
  END IF;
END
$$;

CREATE CONSTRAINT TRIGGER audit_debt_settled AFTER INSERT ON audit_debt
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION settle_audit_debt();
CREATE TRIGGER audit_debt_kept BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_debt
  FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_audit_rewrite();

-- Tables of which no audit event tells: what is in them is about requests, not about a tenant's data.
CREATE FUNCTION needs_no_audit(target regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT relname IN ('idempotency_record', 'token_nonce', 'tenant_directory')
    FROM pg_class WHERE oid = target
$$;

CREATE FUNCTION enable_audit_guard(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  -- Its partitions too.
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

-- As before, and the guard with it: whatever makes a tenant's table or a partition calls this.
CREATE OR REPLACE FUNCTION enable_tenant_rls(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format(
    'CREATE POLICY tenant_isolation ON %s
       USING (tenant_id = (SELECT current_tenant()))
       WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
  PERFORM enable_audit_guard(target);
END
$$;

REVOKE EXECUTE ON FUNCTION owe_audit_event(), pay_audit_debt(), settle_audit_debt(),
  refuse_audit_rewrite(), refuse_but_superuser(text), needs_no_audit(regclass),
  enable_audit_guard(regclass) FROM PUBLIC;

SELECT enable_audit_guard(c.oid) FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p');
"#;

const DOWN: &str = r#"
CREATE OR REPLACE FUNCTION enable_tenant_rls(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format(
    'CREATE POLICY tenant_isolation ON %s
       USING (tenant_id = (SELECT current_tenant()))
       WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
END
$$;
DO $$
DECLARE
  guarded record;
BEGIN
  FOR guarded IN
    SELECT tgname, tgrelid::regclass AS target FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
     WHERE relnamespace = current_schema()::regnamespace
       AND tgname IN ('audit_owed', 'audit_paid', 'audit_kept') LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', guarded.tgname, guarded.target);
  END LOOP;
END $$;
DROP TABLE audit_debt;
DROP FUNCTION enable_audit_guard(regclass);
DROP FUNCTION needs_no_audit(regclass);
DROP FUNCTION owe_audit_event(), pay_audit_debt(), settle_audit_debt(), refuse_audit_rewrite(),
  refuse_but_superuser(text);
DROP FUNCTION find_idempotency_records(bigint, text, text, text, smallint, timestamptz);
-- What is kept for retries is of no use to the step before.
TRUNCATE idempotency_record;
ALTER TABLE idempotency_record DROP COLUMN answer_status, DROP COLUMN answer_headers,
  DROP COLUMN answer_body, DROP COLUMN slot;
ALTER TABLE idempotency_record RENAME COLUMN outcome TO response;
ALTER TABLE idempotency_record
  ADD PRIMARY KEY (tenant_id, actor_id, operation, idempotency_key);
"#;

const TABLES: [&str; 1] = ["token_nonce"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, RECORDS, &TABLES).await?;
        run(manager, GUARD).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await?;
        drop_tables(manager, &TABLES).await
    }
}
