//! `run_event`: Every reported event, once; partitioned by month of `event_time`.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "run_event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_time: DateTimeUtc,
    #[sea_orm(primary_key, auto_increment = false)]
    pub content_hash: Vec<u8>,
    pub kind: String,
    pub run_id: Option<Uuid>,
    pub event_type: Option<String>,
    pub producer: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
