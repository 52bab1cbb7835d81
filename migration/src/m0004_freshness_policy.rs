//! Freshness policies: one row per version, never changed.

use sea_orm_migration::prelude::*;

use crate::rls::{create_tenant_tables, drop_tables};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
CREATE TABLE freshness_policy (
  tenant_id           text COLLATE "C" NOT NULL,
  dataset_id          uuid NOT NULL,
  version             integer NOT NULL CHECK (version > 0),
  mode                text NOT NULL CHECK (mode IN ('ACTIVE', 'INACTIVE')),
  warn_after_seconds  bigint CHECK (warn_after_seconds > 0),
  fail_after_seconds  bigint CHECK (fail_after_seconds > 0),
  created_at          timestamptz NOT NULL,
  created_by          text NOT NULL,
  PRIMARY KEY (tenant_id, dataset_id, version),
  CHECK (warn_after_seconds IS NOT NULL OR fail_after_seconds IS NOT NULL),
  CHECK (warn_after_seconds < fail_after_seconds),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry
);

GRANT SELECT ON freshness_policy TO {reader}, {writer}, {auditor};
GRANT INSERT ON freshness_policy TO {writer};
"#;

const TABLES: [&str; 1] = ["freshness_policy"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await
    }
}
