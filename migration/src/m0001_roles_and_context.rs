//! The group roles and the functions that tie a transaction to its tenant.

use sea_orm_migration::prelude::*;

use crate::{GroupRole, rls, run};

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, rls::FUNCTIONS).await?;
        for role in GroupRole::ALL.map(GroupRole::placeholder) {
            // Roles belong to the cluster, not to one schema: another environment may have made them.
            run(
                manager,
                &format!(
                    "DO $$ BEGIN
                       IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                         CREATE ROLE {role} NOLOGIN NOINHERIT;
                       END IF;
                       EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema());
                     END $$"
                ),
            )
            .await?;
        }
        // The program asks whether it fits the schema.
        run(manager, "GRANT SELECT ON seaql_migrations TO {operator}").await
    }

    /// Leaves the roles: another environment's schema in the same cluster may use them.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "REVOKE SELECT ON seaql_migrations FROM {operator}").await?;
        for role in GroupRole::ALL.map(GroupRole::placeholder) {
            run(
                manager,
                &format!(
                    "DO $$ BEGIN
                       EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM {role}', current_schema());
                     END $$"
                ),
            )
            .await?;
        }
        run(manager, "DROP FUNCTION enable_tenant_rls(regclass); DROP FUNCTION current_tenant()")
            .await
    }
}
