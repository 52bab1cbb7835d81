//! `dataset_run_log`: Which run refreshed which dataset; partitioned by month of `effective_at`.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "dataset_run_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub effective_at: DateTimeUtc,
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    pub job_namespace: String,
    pub job_name: String,
    pub state: String,
    pub started_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    pub row_count: Option<i64>,
    pub byte_count: Option<i64>,
    pub file_count: Option<i64>,
    pub source_watermark: Option<DateTimeUtc>,
    pub conflict: bool,
    pub error_message: Option<String>,
    pub source_watermark_origin: Option<String>,
    pub schema_version: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
