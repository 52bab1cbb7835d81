//! `dataset_external_verdict`: What another tool found about a dataset, when it looked last.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "dataset_external_verdict")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    pub status: String,
    pub warn_after_seconds: Option<i64>,
    pub error_after_seconds: Option<i64>,
    pub filter: Option<String>,
    pub max_loaded_at: Option<DateTimeUtc>,
    pub snapshotted_at: DateTimeUtc,
    pub age_seconds: Option<i64>,
    pub message: Option<String>,
    pub imported_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
