//! Runs: their folded state, the log of which dataset each refreshed, and the events behind them.

use sea_orm_migration::prelude::*;

use crate::rls::{create_tenant_tables, drop_tables};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r#"
-- One row per run: the fold over the set of its events. `fold` is the accumulator itself, to be
-- merged with the next event; the other columns are what it says, for queries.
CREATE TABLE run (
  tenant_id         text COLLATE "C" NOT NULL,
  run_id            uuid NOT NULL,
  job_namespace     text COLLATE "C" NOT NULL,
  job_name          text COLLATE "C" NOT NULL,
  state             text NOT NULL,
  started_at        timestamptz,
  ended_at          timestamptz,
  -- When the run took place: its start, or its earliest event while no start is known. It places
  -- the run's rows in the partitions of dataset_run_log.
  effective_at      timestamptz NOT NULL,
  nominal_start_at  timestamptz,
  nominal_end_at    timestamptz,
  parent_run_id     uuid,
  conflict          boolean NOT NULL DEFAULT false,
  error_message     text,
  fold              jsonb NOT NULL,
  recorded_at       timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, run_id)
) WITH (fillfactor = 80);

-- One row per run and dataset it writes.
CREATE TABLE dataset_run_log (
  tenant_id         text COLLATE "C" NOT NULL,
  dataset_id        uuid NOT NULL,
  effective_at      timestamptz NOT NULL,
  run_id            uuid NOT NULL,
  job_namespace     text COLLATE "C" NOT NULL,
  job_name          text COLLATE "C" NOT NULL,
  state             text COLLATE "C" NOT NULL,
  started_at        timestamptz,
  ended_at          timestamptz,
  row_count         bigint,
  byte_count        bigint,
  file_count        bigint,
  source_watermark  timestamptz,
  conflict          boolean NOT NULL DEFAULT false,
  error_message     text,
  PRIMARY KEY (tenant_id, dataset_id, effective_at, run_id),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry,
  FOREIGN KEY (tenant_id, run_id) REFERENCES run
) PARTITION BY RANGE (effective_at);
CREATE INDEX dataset_run_log_by_end
  ON dataset_run_log (tenant_id, dataset_id, state, ended_at, run_id);
CREATE INDEX dataset_run_log_by_run ON dataset_run_log (tenant_id, run_id);

-- Every event that was reported, whole, once: the content hash is part of the key, so that a
-- client which sends an event again adds nothing. Job and dataset events have no run.
CREATE TABLE run_event (
  tenant_id      text COLLATE "C" NOT NULL,
  event_time     timestamptz NOT NULL,
  content_hash   bytea NOT NULL,
  kind           text NOT NULL CHECK (kind IN ('RUN', 'JOB', 'DATASET')),
  run_id         uuid,
  event_type     text,
  producer       text,
  payload        jsonb NOT NULL,
  recorded_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, event_time, content_hash),
  CHECK ((kind = 'RUN') = (run_id IS NOT NULL)),
  FOREIGN KEY (tenant_id, run_id) REFERENCES run
) PARTITION BY RANGE (event_time);
CREATE INDEX run_event_by_run ON run_event (tenant_id, run_id, event_time);

GRANT SELECT ON run, dataset_run_log, run_event TO {reader}, {writer};
GRANT SELECT ON run, dataset_run_log TO {auditor};
GRANT INSERT, UPDATE ON run, dataset_run_log TO {writer};
GRANT INSERT ON run_event TO {writer};
"#;

const TABLES: [&str; 3] = ["run", "dataset_run_log", "run_event"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await
    }
}
