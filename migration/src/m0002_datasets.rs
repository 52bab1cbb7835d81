//! Datasets: the registry, their names, the schema each was last seen with, and the one row that
//! says how each was last refreshed.

use sea_orm_migration::prelude::*;

use crate::rls::{create_tenant_tables, drop_tables};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
CREATE TABLE dataset_registry (
  tenant_id    text COLLATE "C" NOT NULL,
  dataset_id   uuid NOT NULL,
  namespace    text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  description  text,
  owners       text[] NOT NULL DEFAULT '{}',
  domain       text COLLATE "C",
  tags         text[] NOT NULL DEFAULT '{}',
  lifecycle    text NOT NULL DEFAULT 'ACTIVE' CHECK (lifecycle IN ('ACTIVE', 'RETIRED')),
  schema_fqid  text COLLATE "C",
  -- Lower-cased name, namespace and description: what a text filter searches, since lower() and
  -- LIKE on the columns themselves are not leakproof under row-level security.
  search_text  text COLLATE "C" NOT NULL,
  row_version  bigint NOT NULL DEFAULT 1,
  -- The event time of the report that the description (the owners) came from, so that of several
  -- reports the latest stands, in whatever order they arrive. NULL once people have had their say,
  -- which stands against every report.
  description_reported_at  timestamptz,
  owners_reported_at       timestamptz,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, dataset_id),
  CONSTRAINT dataset_registry_natural_key UNIQUE (tenant_id, namespace, name)
);
CREATE INDEX dataset_registry_by_name ON dataset_registry (tenant_id, name, dataset_id);
CREATE INDEX dataset_registry_by_domain ON dataset_registry (tenant_id, domain, name, dataset_id);

-- Every name that a dataset answers to, its own and its aliases, in one key: so that no two
-- datasets can share any of them.
CREATE TABLE dataset_name (
  tenant_id   text COLLATE "C" NOT NULL,
  namespace   text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL,
  dataset_id  uuid NOT NULL,
  is_alias    boolean NOT NULL,
  PRIMARY KEY (tenant_id, namespace, name),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry
);
CREATE INDEX dataset_name_by_dataset ON dataset_name (tenant_id, dataset_id);

CREATE TABLE dataset_observed_schema (
  tenant_id          text COLLATE "C" NOT NULL,
  dataset_id         uuid NOT NULL,
  content_hash       bytea NOT NULL,
  fields             jsonb NOT NULL,
  first_observed_at  timestamptz NOT NULL,
  last_observed_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, dataset_id, content_hash),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry
);

-- Exactly one row per dataset, kept by the writer in the transaction of the event. Freshness is
-- not stored: `warn_at` and `stale_at` are the instants at which it will change, so that a status
-- (and a count by status) is an index range for any `now`.
CREATE TABLE dataset_refresh_state (
  tenant_id             text COLLATE "C" NOT NULL,
  dataset_id            uuid NOT NULL,
  status                text NOT NULL DEFAULT 'NEVER'
                          CHECK (status IN ('NEVER', 'REFRESHING', 'READY', 'FAILED')),
  last_success_at       timestamptz,
  last_success_run_id   uuid,
  last_run_id           uuid,
  last_run_at           timestamptz,
  last_run_state        text,
  running_since         timestamptz,
  row_count             bigint,
  byte_count            bigint,
  source_watermark      timestamptz,
  consecutive_failures  integer NOT NULL DEFAULT 0,
  policy_version        integer,
  -- Whether the dataset is ACTIVE: retired ones are on no board and in no count.
  listed                boolean NOT NULL DEFAULT true,
  freshness_basis       text COLLATE "C" NOT NULL DEFAULT 'NOT_APPLICABLE'
                          CHECK (freshness_basis IN ('NOT_APPLICABLE', 'UNKNOWN', 'TIMED')),
  -- The end of the year 9999 where there is no such limit: a range needs no NULL case, and
  -- 'infinity' is an instant that no client's calendar has.
  warn_at               timestamptz NOT NULL DEFAULT '9999-12-31T00:00:00Z',
  stale_at              timestamptz NOT NULL DEFAULT '9999-12-31T00:00:00Z',
  updated_at            timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, dataset_id),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry
) WITH (fillfactor = 80);
CREATE INDEX dataset_refresh_state_by_stale
  ON dataset_refresh_state (tenant_id, freshness_basis, stale_at, dataset_id) WHERE listed;
CREATE INDEX dataset_refresh_state_by_warn
  ON dataset_refresh_state (tenant_id, freshness_basis, warn_at, dataset_id) WHERE listed;

GRANT SELECT ON dataset_registry, dataset_name, dataset_observed_schema, dataset_refresh_state
  TO {reader}, {writer};
GRANT SELECT ON dataset_registry, dataset_name, dataset_refresh_state TO {auditor};
GRANT INSERT, UPDATE ON dataset_registry, dataset_observed_schema, dataset_refresh_state
  TO {writer};
GRANT INSERT, DELETE ON dataset_name TO {writer};
"#;

const TABLES: [&str; 4] =
    ["dataset_registry", "dataset_name", "dataset_observed_schema", "dataset_refresh_state"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await
    }
}
