//! The evidence ledger: a Merkle log of each tenant's audit events.
//!
//! `evidence_tile` holds the complete tiles (C2SP tlog-tiles), which never change; `evidence_head` what
//! the log has come to: its size and root, the tiles that are not complete yet, the signed checkpoint, and
//! which event was the last. A tile of leaves remembers its last event, so that the leaf of an event is
//! found without a row of its own: in the first tile that ends at it or after it.
//!
//! The order of the leaves is that of `(transaction_id, sequence)`. An event is taken once every
//! transaction with a lower number has ended: from then on none can come before it.
//!
//! Neither table needs an audit event: they repeat what the trail says, for the ledger's role alone, and
//! are guarded like the trail.

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
                     'change_head', 'freshness_announced', 'freshness_change', 'run_event_batch',
                     'evidence_head', 'evidence_tile')
    FROM pg_class WHERE oid = target
$$;
";

const UP: &str = r#"
CREATE TABLE evidence_head (
  tenant_id         text COLLATE "C" NOT NULL,
  size              bigint NOT NULL CHECK (size >= 0),
  root              bytea NOT NULL CHECK (octet_length(root) = 32),
  last_transaction  xid8 NOT NULL,
  last_sequence     bigint NOT NULL,
  -- The hashes of the tiles that are not complete, from the leaves upwards.
  edge              bytea NOT NULL,
  checkpoint        text NOT NULL,
  -- Of the last checkpoint that went out of the database, with what witnesses added to it.
  published_size    bigint NOT NULL DEFAULT 0 CHECK (published_size <= size),
  published         text,
  PRIMARY KEY (tenant_id)
) WITH (fillfactor = 50);

CREATE TABLE evidence_tile (
  tenant_id         text COLLATE "C" NOT NULL,
  level             smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
  tile              bigint NOT NULL CHECK (tile >= 0),
  hashes            bytea NOT NULL CHECK (octet_length(hashes) = 8192),
  -- Of the last event in a tile of leaves.
  last_transaction  xid8,
  last_sequence     bigint,
  PRIMARY KEY (tenant_id, level, tile),
  CHECK ((level = 0) = (last_transaction IS NOT NULL)
     AND (level = 0) = (last_sequence IS NOT NULL))
);
CREATE INDEX evidence_tile_by_event ON evidence_tile (tenant_id, last_transaction, last_sequence)
  WHERE level = 0;
-- Hashes cannot be compressed.
ALTER TABLE evidence_head ALTER COLUMN edge SET STORAGE EXTERNAL;
ALTER TABLE evidence_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE ON evidence_head TO {ledger};
GRANT SELECT, INSERT ON evidence_tile TO {ledger};
GRANT SELECT ON evidence_head, evidence_tile TO {auditor};

CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence_tile
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_rewrite();
CREATE TRIGGER audit_kept BEFORE DELETE OR TRUNCATE ON evidence_head
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_rewrite();
-- A log only grows.
CREATE TRIGGER evidence_grows AFTER UPDATE ON evidence_head FOR EACH ROW
  WHEN (NEW.size < OLD.size OR NEW.published_size < OLD.published_size
    OR NEW.size = OLD.size AND (NEW.root, NEW.edge, NEW.last_transaction, NEW.last_sequence)
       IS DISTINCT FROM (OLD.root, OLD.edge, OLD.last_transaction, OLD.last_sequence))
  EXECUTE FUNCTION refuse_audit_rewrite();
"#;

const FUNCTIONS: &str = r"
-- As in `m0008_breaches`. Calls without a tenant have a log as well.
CREATE FUNCTION tenants_with_evidence_due(moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
  after_transaction xid8;
  after_sequence bigint;
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT last_transaction, last_sequence INTO after_transaction, after_sequence
      FROM evidence_head;
    IF NOT FOUND THEN
      after_transaction := '0';
      after_sequence := 0;
    END IF;
    SELECT occurred_at INTO due_since FROM audit_event
     WHERE (transaction_id, sequence) > (after_transaction, after_sequence)
       AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY transaction_id, sequence LIMIT 1;
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

CREATE FUNCTION tenants_with_checkpoints_due(moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    PERFORM FROM evidence_head WHERE size > published_size;
    IF FOUND THEN
      due_since := moment;
      RETURN NEXT;
    END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

-- The highest number of a transaction that events or logs name, if this server has not come to it yet:
-- then what comes now would be put before what is there.
CREATE FUNCTION evidence_transaction_ahead() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
  tenant text;
  found xid8;
  ahead xid8;
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT transaction_id INTO found FROM audit_event
     ORDER BY transaction_id DESC, sequence DESC LIMIT 1;
    ahead := greatest(ahead, found);
    SELECT last_transaction INTO found FROM evidence_head;
    ahead := greatest(ahead, found);
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
  RETURN CASE WHEN ahead >= pg_snapshot_xmax(pg_current_snapshot()) THEN ahead::text END;
END
$$;

REVOKE EXECUTE ON FUNCTION tenants_with_evidence_due(timestamptz),
  tenants_with_checkpoints_due(timestamptz),
  evidence_transaction_ahead() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_evidence_due(timestamptz),
  tenants_with_checkpoints_due(timestamptz),
  evidence_transaction_ahead() TO {operator};
";

const DOWN: &str = "
DROP FUNCTION evidence_transaction_ahead();
DROP FUNCTION tenants_with_checkpoints_due(timestamptz);
DROP FUNCTION tenants_with_evidence_due(timestamptz);
CREATE OR REPLACE FUNCTION needs_no_audit(target regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
  SELECT relname IN ('idempotency_record', 'token_nonce', 'tenant_directory', 'change_mark',
                     'change_head', 'freshness_announced', 'freshness_change', 'run_event_batch')
    FROM pg_class WHERE oid = target
$$;
";

const TABLES: [&str; 2] = ["evidence_head", "evidence_tile"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, NO_AUDIT).await?;
        create_tenant_tables(manager, UP, &TABLES).await?;
        run(manager, FUNCTIONS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await?;
        drop_tables(manager, &TABLES).await
    }
}
