//! `idempotency_record`: Answers kept for requests that may come again.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "idempotency_record")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub actor_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub operation: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub idempotency_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub slot: i16,
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub request_hash: Vec<u8>,
    #[sea_orm(column_type = "JsonBinary")]
    pub outcome: Option<Json>,
    pub answer_status: Option<i16>,
    #[sea_orm(column_type = "JsonBinary")]
    pub answer_headers: Option<Json>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub answer_body: Option<Vec<u8>>,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
