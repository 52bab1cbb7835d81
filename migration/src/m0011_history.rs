//! What history and impact need: where a watermark came from, the last failure beside the last
//! success, the edges between datasets, and the end of months that are kept no longer.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

// The last failure is kept beside the last success, so that the state of a dataset does not depend
// on months of the log that are gone.
const UP: &str = r#"
ALTER TABLE dataset_run_log ADD COLUMN source_watermark_origin text
  CHECK (source_watermark_origin IN ('OPENLINEAGE', 'DBT_SOURCES', 'REFRESH_STATE'));
ALTER TABLE dataset_refresh_state ADD COLUMN source_watermark_origin text
  CHECK (source_watermark_origin IN ('OPENLINEAGE', 'DBT_SOURCES', 'REFRESH_STATE'));
ALTER TABLE dataset_refresh_state ADD COLUMN last_failure_at timestamptz;
ALTER TABLE dataset_refresh_state ADD COLUMN last_failure_run_id uuid;

-- One row per pair of datasets of which a run read the one and wrote the other. The job is that of
-- the run that was last seen to do so. No key to the run: the edge outlives it.
CREATE TABLE dataset_lineage (
  tenant_id      text COLLATE "C" NOT NULL,
  downstream_id  uuid NOT NULL,
  upstream_id    uuid NOT NULL,
  job_namespace  text COLLATE "C" NOT NULL,
  job_name       text COLLATE "C" NOT NULL,
  last_run_id    uuid NOT NULL,
  first_seen_at  timestamptz NOT NULL,
  last_seen_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, downstream_id, upstream_id),
  FOREIGN KEY (tenant_id, downstream_id) REFERENCES dataset_registry,
  FOREIGN KEY (tenant_id, upstream_id) REFERENCES dataset_registry
) WITH (fillfactor = 80);
CREATE INDEX dataset_lineage_by_upstream
  ON dataset_lineage (tenant_id, upstream_id, downstream_id);
GRANT SELECT ON dataset_lineage TO {reader}, {writer}, {auditor};
GRANT INSERT, UPDATE ON dataset_lineage TO {writer};

-- Drops the months of events and of the log that ended before the month of `before`, and the
-- history before them; answers each table and its size. An empty history takes its place, so that
-- an event of that time still finds one. The audit trail has no part in it.
--
-- SECURITY DEFINER because dropping a table needs its owner, and the program never connects as
-- that. It takes no name from its caller, and nothing of the last 28 days by the database's clock.
CREATE FUNCTION drop_partitions(before date, dry_run boolean)
RETURNS TABLE (partition name, bytes bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  cutoff date := date_trunc('month', before);
  parent name;
  old name[];
BEGIN
  IF before IS NULL OR NOT isfinite(before) OR before > (now() - interval '28 days')::date THEN
    RAISE EXCEPTION 'the last 28 days are kept' USING ERRCODE = '22023';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('drr.ensure_partitions'), hashtext(current_schema()));
  FOREACH parent IN ARRAY ARRAY['dataset_run_log', 'run_event']::name[] LOOP
    SELECT array_agg(c.relname ORDER BY c.relname) INTO old
      FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
     WHERE inhparent = format('%I', parent)::regclass
       AND c.relname ~ '_[0-9]{6}$' AND to_date(right(c.relname, 6), 'YYYYMM') < cutoff;
    CONTINUE WHEN old IS NULL;
    -- The history ends where the first month begins.
    FOREACH partition IN ARRAY (parent || '_history')::name || old LOOP
      bytes := pg_total_relation_size(format('%I', partition)::regclass);
      RETURN NEXT;
      IF NOT dry_run THEN
        EXECUTE format('DROP TABLE %I', partition);
      END IF;
    END LOOP;
    IF NOT dry_run THEN
      PERFORM add_partition(format('%I', parent)::regclass, (parent || '_history')::name,
                            'MINVALUE', quote_literal(cutoff));
    END IF;
  END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION drop_partitions(date, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_partitions(date, boolean) TO {operator};
"#;

const DOWN: &str = r#"
DROP FUNCTION drop_partitions(date, boolean);
ALTER TABLE dataset_refresh_state DROP COLUMN last_failure_run_id, DROP COLUMN last_failure_at,
  DROP COLUMN source_watermark_origin;
ALTER TABLE dataset_run_log DROP COLUMN source_watermark_origin;
"#;

const TABLES: [&str; 1] = ["dataset_lineage"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tenant_tables(manager, UP, &TABLES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &TABLES).await?;
        run(manager, DOWN).await
    }
}
