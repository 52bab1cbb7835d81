//! The end of the audit trail's months: archives, holds, and the one way in which a month goes.
//!
//! `audit_archive` says of every archive which events are in it and what its bytes hash to; `legal_hold`
//! which times of which tenant are not to be touched. Both are only added to, like the trail itself: a
//! hold ends by a second row. Rows of the tenant `-` hold for all tenants.
//!
//! `drop_audit_month` is SECURITY DEFINER because dropping a table needs its owner, and the program never
//! connects as that. It believes nothing that its caller says: it takes a class and a month, and drops it
//! only if it is the first of its class, nothing of the last 28 days is in it, and of every tenant as many
//! events are archived as are there, all of them in the ledger, and none of them held.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
CREATE TABLE audit_archive (
  tenant_id         text COLLATE "C" NOT NULL,
  class             text COLLATE "C" NOT NULL CHECK (class IN ('API', 'SCHEMA')),
  -- The month that it went with; what came late for earlier ones went with it too.
  month             date NOT NULL CHECK (extract(day FROM month) = 1),
  part              integer NOT NULL CHECK (part >= 1),
  object            text NOT NULL,
  events            bigint NOT NULL CHECK (events >= 1),
  first_at          timestamptz NOT NULL,
  last_at           timestamptz NOT NULL,
  last_transaction  xid8 NOT NULL,
  last_sequence     bigint NOT NULL,
  -- SHA-256 of the lines, and of the object as it is stored.
  lines_hash        bytea NOT NULL CHECK (octet_length(lines_hash) = 32),
  object_hash       bytea NOT NULL CHECK (octet_length(object_hash) = 32),
  object_bytes      bigint NOT NULL,
  archived_at       timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, class, month, part)
);

CREATE TABLE legal_hold (
  tenant_id    text COLLATE "C" NOT NULL,
  hold_id      uuid NOT NULL,
  -- Whether the row ends the hold.
  released     boolean NOT NULL,
  -- Events from the first instant up to the second one, which is not held.
  held_from    timestamptz NOT NULL,
  held_until   timestamptz NOT NULL CHECK (held_until > held_from),
  reason       text NOT NULL,
  actor_id     text NOT NULL,
  recorded_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, hold_id, released)
);

GRANT INSERT ON audit_archive, legal_hold TO {writer};
GRANT SELECT ON audit_archive, legal_hold TO {auditor};

CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_archive
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_rewrite();
CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON legal_hold
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_rewrite();
"#;

const FUNCTIONS: &str = r#"
-- As in `m0008_breaches`: from tenant to tenant behind row-level security.
CREATE FUNCTION tenants_with_audit_events(for_class text, before timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT occurred_at INTO due_since FROM audit_event
     WHERE class = for_class AND occurred_at < before ORDER BY occurred_at LIMIT 1;
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

CREATE FUNCTION tenants_with_audit_archives()
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d ORDER BY 1 LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT min(archived_at) INTO due_since FROM audit_archive;
    IF due_since IS NOT NULL THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

CREATE FUNCTION tenants_listed() RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT tenant_id, 'epoch'::timestamptz FROM tenant_directory ORDER BY tenant_id
$$;

-- The holds of the current tenant that are in force.
CREATE FUNCTION holds_in_force() RETURNS SETOF tstzrange
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT tstzrange(held_from, held_until) FROM legal_hold AS placed
   WHERE NOT released AND NOT EXISTS (
     SELECT FROM legal_hold AS ended WHERE ended.hold_id = placed.hold_id AND ended.released)
$$;

-- Drops the first month of a class, and the history before it; answers what became of it: HELD, MISSING
-- (events that are not archived, or not in the ledger), DROPPED, or with `dry_run` READY. An empty history takes their place.
CREATE FUNCTION drop_audit_month(for_class text, month date, dry_run boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC'
SET enable_seqscan = off AS $$
DECLARE
  following date := month + interval '1 month';
  parent name := 'audit_event_' || lower(for_class);
  history name := parent || '_history';
  partition name := parent || to_char(month, '_YYYYMM');
  first_partition name;
  listed text[] := ARRAY(SELECT tenant_id FROM tenant_directory);
  tenant text;
  held_for_all tstzrange[];
  there bigint;
  archived bigint;
  oldest timestamptz;
  newest timestamptz;
  last_event record;
  missing boolean := false;
  unlisted boolean;
  dropped name;
BEGIN
  IF for_class IS NULL OR for_class NOT IN ('API', 'SCHEMA') OR month IS NULL
     OR NOT isfinite(month) OR extract(day FROM month) <> 1
     OR following > (now() - interval '28 days')::date THEN
    RAISE EXCEPTION 'the last 28 days are kept' USING ERRCODE = '22023';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('drr.ensure_partitions'), hashtext(current_schema()));
  SELECT min(c.relname) INTO first_partition FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
   WHERE inhparent = format('%I', parent)::regclass AND c.relname ~ '_[0-9]{6}$';
  IF first_partition IS DISTINCT FROM partition THEN
    RAISE EXCEPTION '% is not the first month', partition USING ERRCODE = '22023';
  END IF;
  IF NOT dry_run THEN
    -- Nobody writes from here on; readers go on.
    EXECUTE format('LOCK TABLE %I, %I IN SHARE MODE', history, partition);
  END IF;
  PERFORM set_config('app.tenant_id', '-', true);
  held_for_all := ARRAY(SELECT holds_in_force());
  FOREACH tenant IN ARRAY listed LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT count(*), min(occurred_at), max(occurred_at) INTO there, oldest, newest
      FROM audit_event WHERE class = for_class AND occurred_at < following;
    CONTINUE WHEN there = 0;
    IF EXISTS (SELECT FROM unnest(held_for_all || ARRAY(SELECT holds_in_force())) AS held
                WHERE held && tstzrange(oldest, newest, '[]')) THEN
      PERFORM set_config('app.tenant_id', '', true);
      RETURN 'HELD';
    END IF;
    SELECT coalesce(sum(events), 0) INTO archived FROM audit_archive
     WHERE class = for_class AND audit_archive.month = drop_audit_month.month;
    SELECT transaction_id, sequence INTO last_event
      FROM audit_event WHERE class = for_class AND occurred_at < following
     ORDER BY transaction_id DESC, sequence DESC LIMIT 1;
    missing := missing OR archived <> there OR NOT EXISTS (
      SELECT FROM evidence_head WHERE (last_transaction, last_sequence)
                                   >= (last_event.transaction_id, last_event.sequence));
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
  IF missing THEN RETURN 'MISSING'; END IF;
  IF dry_run THEN RETURN 'READY'; END IF;

  -- The parent first, so that nobody holds it and waits for what is held here.
  EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
  FOREACH dropped IN ARRAY ARRAY[history, partition] LOOP
    -- Events of tenants that are in no list would have been in no count: without the policy, the owner
    -- sees them. From tenant to tenant along the key.
    EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', dropped);
    EXECUTE format(
      'WITH RECURSIVE found AS (
         (SELECT tenant_id FROM %1$I ORDER BY tenant_id LIMIT 1)
         UNION ALL
         SELECT (SELECT e.tenant_id FROM %1$I AS e WHERE e.tenant_id > found.tenant_id
                  ORDER BY e.tenant_id LIMIT 1)
           FROM found WHERE found.tenant_id IS NOT NULL
       ) SELECT EXISTS (SELECT FROM found WHERE tenant_id <> ALL ($1))', dropped)
      INTO unlisted USING listed;
    IF unlisted THEN
      RAISE EXCEPTION '% has events of a tenant that is not listed', dropped USING ERRCODE = '55000';
    END IF;
    EXECUTE format('DROP TABLE %I', dropped);
  END LOOP;
  PERFORM add_partition(format('%I', parent)::regclass, history, 'MINVALUE', quote_literal(following));
  RETURN 'DROPPED';
END
$$;

REVOKE EXECUTE ON FUNCTION tenants_with_audit_events(text, timestamptz), tenants_with_audit_archives(),
  tenants_listed(), holds_in_force(), drop_audit_month(text, date, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_audit_events(text, timestamptz), tenants_with_audit_archives(),
  tenants_listed(), drop_audit_month(text, date, boolean) TO {operator};
"#;

const DOWN: &str = "
DROP FUNCTION drop_audit_month(text, date, boolean);
DROP FUNCTION holds_in_force();
DROP FUNCTION tenants_listed();
DROP FUNCTION tenants_with_audit_archives();
DROP FUNCTION tenants_with_audit_events(text, timestamptz);
";

const TABLES: [&str; 2] = ["audit_archive", "legal_hold"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await?;
        run(manager, FUNCTIONS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await?;
        drop_tables(manager, &TABLES).await
    }
}
