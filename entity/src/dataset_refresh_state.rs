//! `dataset_refresh_state`: The one row per dataset that says how it was last refreshed.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "dataset_refresh_state")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: Uuid,
    pub status: String,
    pub last_success_at: Option<DateTimeUtc>,
    pub last_success_run_id: Option<Uuid>,
    pub last_run_id: Option<Uuid>,
    pub last_run_at: Option<DateTimeUtc>,
    pub last_run_state: Option<String>,
    pub running_since: Option<DateTimeUtc>,
    pub row_count: Option<i64>,
    pub byte_count: Option<i64>,
    pub source_watermark: Option<DateTimeUtc>,
    pub consecutive_failures: i32,
    pub policy_id: Option<Uuid>,
    pub policy_version: Option<i32>,
    pub policies_matching: i32,
    pub alerting: bool,
    pub muted_until: Option<DateTimeUtc>,
    pub mute_reason: Option<String>,
    pub muted_by: Option<String>,
    pub breach_level: String,
    pub breach_policy_id: Option<Uuid>,
    pub listed: bool,
    pub freshness_basis: String,
    pub warn_at: DateTimeUtc,
    pub stale_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub source_watermark_origin: Option<String>,
    pub last_failure_at: Option<DateTimeUtc>,
    pub last_failure_run_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
