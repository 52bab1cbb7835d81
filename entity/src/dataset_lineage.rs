//! `dataset_lineage`: Pairs of datasets of which a run read the one and wrote the other.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "dataset_lineage")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub downstream_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub upstream_id: Uuid,
    pub job_namespace: String,
    pub job_name: String,
    pub last_run_id: Uuid,
    pub first_seen_at: DateTimeUtc,
    pub last_seen_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
