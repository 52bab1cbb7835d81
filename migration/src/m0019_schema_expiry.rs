//! Requests that nobody decides about end when their time is over.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
CREATE INDEX schema_transition_expiring ON schema_transition (tenant_id, expires_at, transition_id)
  WHERE status = 'OPEN';
-- As in `m0008_breaches`.
CREATE FUNCTION tenants_with_schema_transitions_due(moment timestamptz)
RETURNS TABLE (tenant text, due_since timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
  FOR tenant IN SELECT d.tenant_id FROM tenant_directory d LOOP
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT expires_at INTO due_since FROM schema_transition
     WHERE status = 'OPEN' AND expires_at <= moment ORDER BY expires_at LIMIT 1;
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;
REVOKE EXECUTE ON FUNCTION tenants_with_schema_transitions_due(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_schema_transitions_due(timestamptz) TO {operator};
";

const DOWN: &str = "
DROP FUNCTION tenants_with_schema_transitions_due(timestamptz);
DROP INDEX schema_transition_expiring;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
