//! The audit trail as auditors look through it, and as it is streamed to a SIEM.
//!
//! For auditors there are indexes: of one event by its id, of all events of a correlation id in their order
//! however many they are, and of what was no success, which is little of what there is.
//!
//! `siem_cursor` says how far each sink has come in the trail of each tenant, in the ledger's order. It
//! needs no audit event: an event for each delivery would be one more to deliver.

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
                     'evidence_head', 'evidence_tile'{siem})
    FROM pg_class WHERE oid = target
$$;
";

const INDEXES: &str = "
CREATE INDEX audit_event_by_id ON audit_event (tenant_id, event_id);
DROP INDEX audit_event_by_correlation;
CREATE INDEX audit_event_by_correlation
  ON audit_event (tenant_id, correlation_id, occurred_at, event_id);
CREATE INDEX audit_event_by_result ON audit_event (tenant_id, result, occurred_at, event_id)
  WHERE result <> 'SUCCESS';
";

const CURSORS: &str = r#"
CREATE TABLE siem_cursor (
  tenant_id       text COLLATE "C" NOT NULL,
  sink            text COLLATE "C" NOT NULL,
  -- The last event that the sink has.
  transaction_id  xid8 NOT NULL,
  sequence        bigint NOT NULL,
  delivered_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, sink)
);
GRANT SELECT, INSERT, UPDATE ON siem_cursor TO {writer};
GRANT SELECT ON siem_cursor TO {auditor};
"#;

const FUNCTIONS: &str = "
-- As in `m0008_breaches`. Calls without a tenant are streamed as well.
CREATE FUNCTION tenants_with_events_to_stream(stream text, moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
  after_transaction xid8;
  after_sequence bigint;
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT transaction_id, sequence INTO after_transaction, after_sequence
      FROM siem_cursor WHERE sink = stream;
    IF NOT FOUND THEN
      after_transaction := '0';
      after_sequence := 0;
    END IF;
    SELECT least(occurred_at, moment) INTO due_since FROM audit_event
     WHERE (transaction_id, sequence) > (after_transaction, after_sequence)
       AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY transaction_id, sequence LIMIT 1;
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION tenants_with_events_to_stream(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_events_to_stream(text, timestamptz) TO {operator};
";

const DOWN: &str = "
DROP FUNCTION tenants_with_events_to_stream(text, timestamptz);
DROP INDEX audit_event_by_result, audit_event_by_id, audit_event_by_correlation;
CREATE INDEX audit_event_by_correlation ON audit_event (tenant_id, correlation_id);
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, INDEXES).await?;
        run(manager, &NO_AUDIT.replace("{siem}", ", 'siem_cursor'")).await?;
        create_tenant_tables(manager, CURSORS, &["siem_cursor"]).await?;
        run(manager, FUNCTIONS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await?;
        drop_tables(manager, &["siem_cursor"]).await?;
        run(manager, &NO_AUDIT.replace("{siem}", "")).await
    }
}
