//! `schema_drift`: What comparing what runs report of a dataset with its schema came to.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "schema_drift")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: Uuid,
    pub schema_id: Uuid,
    pub number: i32,
    pub version_hash: Vec<u8>,
    pub reported_hash: Vec<u8>,
    pub observed_at: DateTimeUtc,
    pub compared_at: DateTimeUtc,
    pub found_at: Option<DateTimeUtc>,
    pub differences: Json,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
