//! Tenant isolation for a table: forced row-level security and the policy `tenant_isolation`.
//!
//! The SQL lives in one database function, so that the partitions which the program makes later
//! are guarded by the same words as the tables of the migrations. // D19, D20

use sea_orm_migration::prelude::*;

/// Makes the functions `current_tenant()` and `enable_tenant_rls(regclass)`.
///
/// `current_tenant()` raises 42501 when `app.tenant_id` is unset or empty (after a transaction
/// PostgreSQL leaves `''` behind, not NULL): a forgotten tenant is an error, never an empty answer.
pub(crate) const FUNCTIONS: &str = r"
CREATE FUNCTION current_tenant() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  tenant text := pg_catalog.current_setting('app.tenant_id', true);
BEGIN
  IF tenant IS NULL OR tenant OPERATOR(pg_catalog.=) '' THEN
    RAISE EXCEPTION 'app.tenant_id is not set' USING ERRCODE = '42501';
  END IF;
  RETURN tenant;
END
$$;

CREATE FUNCTION enable_tenant_rls(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
  EXECUTE format(
    'CREATE POLICY tenant_isolation ON %s
       USING (tenant_id = (SELECT current_tenant()))
       WITH CHECK (tenant_id = (SELECT current_tenant()))', target);
END
$$;
REVOKE EXECUTE ON FUNCTION enable_tenant_rls(regclass) FROM PUBLIC;
";

/// Runs the SQL that makes `tables`, and puts each behind the tenant's door.
pub(crate) async fn create_tenant_tables(
    manager: &SchemaManager<'_>,
    sql: &str,
    tables: &[&str],
) -> Result<(), DbErr> {
    super::run(manager, sql).await?;
    for table in tables {
        super::run(manager, &format!("SELECT enable_tenant_rls('{table}'::regclass)")).await?;
    }
    Ok(())
}

/// Drops `tables`, the last one first, since it may refer to those before it.
pub(crate) async fn drop_tables(manager: &SchemaManager<'_>, tables: &[&str]) -> Result<(), DbErr> {
    for table in tables.iter().rev() {
        super::run(manager, &format!("DROP TABLE {table}")).await?;
    }
    Ok(())
}
