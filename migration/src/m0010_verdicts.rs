//! What other tools found about the freshness of datasets.

use sea_orm_migration::prelude::*;

use crate::rls::{create_tenant_tables, drop_tables};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

// One row per dataset and tool: what it found when it looked last.
const UP: &str = r#"
CREATE TABLE dataset_external_verdict (
  tenant_id            text COLLATE "C" NOT NULL,
  dataset_id           uuid NOT NULL,
  source               text NOT NULL CHECK (source IN ('DBT')),
  status               text NOT NULL CHECK (status IN ('PASS', 'WARN', 'ERROR', 'RUNTIME_ERROR')),
  warn_after_seconds   bigint CHECK (warn_after_seconds >= 0),
  error_after_seconds  bigint CHECK (error_after_seconds >= 0),
  filter               text,
  max_loaded_at        timestamptz,
  snapshotted_at       timestamptz NOT NULL,
  age_seconds          bigint CHECK (age_seconds >= 0),
  message              text,
  imported_at          timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, dataset_id, source),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry
);
GRANT SELECT ON dataset_external_verdict TO {reader}, {writer}, {auditor};
GRANT INSERT, UPDATE ON dataset_external_verdict TO {writer};
"#;

const TABLES: [&str; 1] = ["dataset_external_verdict"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await
    }
}
