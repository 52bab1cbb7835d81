//! `freshness_breach`: A time for which a dataset was beyond a limit of its policy.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "freshness_breach")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub breach_id: Uuid,
    pub dataset_id: Uuid,
    pub policy_id: Uuid,
    pub policy_version: i32,
    pub level: String,
    pub opened_at: DateTimeUtc,
    pub detected_at: DateTimeUtc,
    pub escalated_at: Option<DateTimeUtc>,
    pub resolved_at: Option<DateTimeUtc>,
    pub resolution: Option<String>,
    pub resolved_by_run: Option<Uuid>,
    pub last_success_at: Option<DateTimeUtc>,
    pub acknowledged_at: Option<DateTimeUtc>,
    pub acknowledged_by: Option<String>,
    pub acknowledgement_note: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
