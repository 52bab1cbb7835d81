//! The audit trail, and the answers kept for requests that may come again.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

// No role may change or remove an audit event, and none but the auditor may read one: INSERT is
// the only thing granted to the writer.
const UP: &str = r#"
CREATE SEQUENCE audit_event_sequence AS bigint;

CREATE TABLE audit_event (
  tenant_id       text COLLATE "C" NOT NULL,
  occurred_at     timestamptz NOT NULL,
  event_id        uuid NOT NULL,
  sequence        bigint NOT NULL DEFAULT nextval('audit_event_sequence'),
  actor_id        text NOT NULL,
  action          text NOT NULL,
  dataset_id      uuid,
  resource        text,
  result          text NOT NULL CHECK (result IN ('SUCCESS', 'REJECTED', 'DENIED', 'FAILURE')),
  error_code      text,
  correlation_id  text NOT NULL,
  PRIMARY KEY (tenant_id, occurred_at, event_id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX audit_event_by_correlation ON audit_event (tenant_id, correlation_id);

CREATE TABLE idempotency_record (
  tenant_id        text COLLATE "C" NOT NULL,
  actor_id         text COLLATE "C" NOT NULL,
  operation        text COLLATE "C" NOT NULL,
  idempotency_key  text COLLATE "C" NOT NULL,
  request_hash     bytea NOT NULL,
  response         jsonb,
  created_at       timestamptz NOT NULL,
  expires_at       timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, actor_id, operation, idempotency_key)
);
CREATE INDEX idempotency_record_by_expiry ON idempotency_record (tenant_id, expires_at);

GRANT INSERT ON audit_event TO {writer}, {ledger};
GRANT USAGE ON SEQUENCE audit_event_sequence TO {writer}, {ledger};
GRANT SELECT ON audit_event TO {auditor}, {ledger};
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_record TO {writer};
"#;

const TABLES: [&str; 2] = ["audit_event", "idempotency_record"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await?;
        run(manager, "DROP SEQUENCE audit_event_sequence").await
    }
}
