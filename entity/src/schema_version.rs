//! `schema_version`: What holds for a version of a schema; what it says is an object, by its hash.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "schema_version")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub schema_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub state: String,
    pub visibility: String,
    pub content_hash: Vec<u8>,
    pub canonical_hash: Vec<u8>,
    pub content_bytes: i32,
    pub content_id: i32,
    pub reference_names: Vec<String>,
    pub reference_ids: Vec<Uuid>,
    pub reference_numbers: Vec<i32>,
    pub created_at: DateTimeUtc,
    pub created_by: String,
    pub changed_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
