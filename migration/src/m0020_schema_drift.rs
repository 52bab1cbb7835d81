//! What runs report of a dataset, against the version of a schema that it is bound to; and of each run, which
//! version that was.
//!
//! `schema_drift` is what the last comparison of a dataset came to. What has to be compared again is found by
//! asking what is bound and reported now: nothing is written for it while events come in.

use sea_orm_migration::prelude::*;

use crate::{
    rls::{create_tenant_tables, drop_tables},
    run,
};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
CREATE TABLE schema_drift (
  tenant_id      text COLLATE \"C\" NOT NULL,
  dataset_id     uuid NOT NULL,
  schema_id      uuid NOT NULL,
  number         integer NOT NULL,
  -- What was compared: the version's content, and the fields that were reported.
  version_hash   bytea NOT NULL,
  reported_hash  bytea NOT NULL,
  observed_at    timestamptz NOT NULL,
  compared_at    timestamptz NOT NULL,
  -- Since when they differ; nothing while they do not.
  found_at       timestamptz,
  differences    jsonb NOT NULL,
  PRIMARY KEY (tenant_id, dataset_id),
  FOREIGN KEY (tenant_id, dataset_id) REFERENCES dataset_registry,
  FOREIGN KEY (tenant_id, schema_id, number) REFERENCES schema_version,
  CHECK ((found_at IS NULL) = (differences = '[]'))
);
CREATE INDEX schema_drift_found ON schema_drift (tenant_id, dataset_id) WHERE found_at IS NOT NULL;
GRANT SELECT ON schema_drift TO {reader}, {writer}, {auditor};
GRANT INSERT, UPDATE ON schema_drift TO {writer};
-- The full name of the version, with its number.
ALTER TABLE dataset_run_log ADD COLUMN schema_version text COLLATE \"C\";
CREATE INDEX dataset_run_log_by_schema_version
  ON dataset_run_log (tenant_id, schema_version, effective_at, run_id) WHERE schema_version IS NOT NULL;
";

const FUNCTIONS: &str = "
-- The version that is meant by the name of a schema or of a version: of a schema the latest that is ACTIVE.
CREATE FUNCTION bound_schema_version(fqid text)
RETURNS TABLE (schema_id uuid, number integer, content_hash bytea)
LANGUAGE sql STABLE AS $$
  SELECT v.schema_id, v.number, v.content_hash
    FROM schema_registry r JOIN schema_version v USING (tenant_id, schema_id)
   WHERE r.tenant_id = split_part(fqid, '.', 2) AND r.domain = split_part(fqid, '.', 3)
     AND r.name = split_part(split_part(fqid, '@', 1), '.', 4)
     AND CASE WHEN fqid ~ '@[0-9]{1,9}$' THEN v.number = split_part(fqid, '@', 2)::integer
              ELSE v.state = 'ACTIVE' END
   ORDER BY v.number DESC LIMIT 1
$$;

-- The datasets of which something else is bound or was last reported than was last compared; and, with nothing to
-- compare, those that differed and are bound to nothing any more.
CREATE FUNCTION schema_drift_due()
RETURNS TABLE (dataset_id uuid, schema_id uuid, number integer, version_hash bytea, reported_hash bytea,
               observed_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT d.dataset_id, v.schema_id, v.number, v.content_hash, o.content_hash, o.last_observed_at
    FROM dataset_registry d
   CROSS JOIN LATERAL bound_schema_version(d.schema_fqid) v
   CROSS JOIN LATERAL (
     SELECT content_hash, last_observed_at FROM dataset_observed_schema
      WHERE dataset_id = d.dataset_id ORDER BY last_observed_at DESC, content_hash LIMIT 1) o
    LEFT JOIN schema_drift f ON f.dataset_id = d.dataset_id
   WHERE d.lifecycle = 'ACTIVE' AND d.schema_fqid IS NOT NULL
     AND (f.schema_id, f.number, f.version_hash, f.reported_hash)
         IS DISTINCT FROM (v.schema_id, v.number, v.content_hash, o.content_hash)
  UNION ALL
  SELECT f.dataset_id, NULL, NULL, NULL, NULL, NULL
    FROM schema_drift f JOIN dataset_registry d USING (tenant_id, dataset_id)
   WHERE f.found_at IS NOT NULL
     AND (d.lifecycle <> 'ACTIVE' OR d.schema_fqid IS NULL
       OR NOT EXISTS (SELECT FROM bound_schema_version(d.schema_fqid)))
$$;

-- As in `m0008_breaches`.
CREATE FUNCTION tenants_with_schema_drift_due(moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT coalesce(least(observed_at, moment), moment) INTO due_since FROM schema_drift_due() LIMIT 1;
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION bound_schema_version(text), schema_drift_due(),
  tenants_with_schema_drift_due(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bound_schema_version(text), schema_drift_due() TO {writer};
GRANT EXECUTE ON FUNCTION tenants_with_schema_drift_due(timestamptz) TO {operator};
";

const DOWN: &str = "
DROP FUNCTION tenants_with_schema_drift_due(timestamptz), schema_drift_due(), bound_schema_version(text);
ALTER TABLE dataset_run_log DROP COLUMN schema_version;
";

const TABLES: [&str; 1] = ["schema_drift"];

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
