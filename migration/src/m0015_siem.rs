//! The audit trail as auditors look through it.
//!
//! One event by its id, all events of a correlation id in their order however many they are, and what
//! was no success, which is little of what there is.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
CREATE INDEX audit_event_by_id ON audit_event (tenant_id, event_id);
DROP INDEX audit_event_by_correlation;
CREATE INDEX audit_event_by_correlation
  ON audit_event (tenant_id, correlation_id, occurred_at, event_id);
CREATE INDEX audit_event_by_result ON audit_event (tenant_id, result, occurred_at, event_id)
  WHERE result <> 'SUCCESS';
";

const DOWN: &str = "
DROP INDEX audit_event_by_result, audit_event_by_id, audit_event_by_correlation;
CREATE INDEX audit_event_by_correlation ON audit_event (tenant_id, correlation_id);
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
