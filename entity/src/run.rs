//! `run`: Runs, folded from their events.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "run")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    pub job_namespace: String,
    pub job_name: String,
    pub state: String,
    pub started_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    pub effective_at: DateTimeUtc,
    pub nominal_start_at: Option<DateTimeUtc>,
    pub nominal_end_at: Option<DateTimeUtc>,
    pub parent_run_id: Option<Uuid>,
    pub conflict: bool,
    pub error_message: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub fold: Json,
    pub recorded_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
