//! `freshness_policy`: Freshness policies, one row per version.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "freshness_policy")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub policy_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    pub dataset_id: Option<Uuid>,
    pub selector_domain: Option<String>,
    pub selector_tags: Vec<String>,
    pub removed: bool,
    pub mode: String,
    pub driver: String,
    pub kind: String,
    pub warn_after_seconds: Option<i64>,
    pub fail_after_seconds: Option<i64>,
    pub deadline_cron: Option<String>,
    pub lower_bound_seconds: Option<i64>,
    pub timezone: String,
    pub exclude_weekdays: Vec<i32>,
    pub exclude_dates: Vec<Date>,
    pub exclude_calendars: Vec<String>,
    pub effective_from: DateTimeUtc,
    pub created_at: DateTimeUtc,
    pub created_by: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
