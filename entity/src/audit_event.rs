//! `audit_event`: The audit trail; partitioned by class, and by month of `occurred_at`. Insert only.
//!
//! Its `transaction_id` is for the database alone, which orders by it.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "audit_event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub occurred_at: DateTimeUtc,
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub class: String,
    pub sequence: i64,
    pub call_id: Option<Uuid>,
    pub actor_id: String,
    pub action: String,
    pub also: Option<Vec<String>>,
    pub dataset_id: Option<Uuid>,
    pub resource: Option<String>,
    pub result: String,
    pub error_code: Option<String>,
    pub correlation_id: String,
    pub interface: Option<String>,
    pub operation_name: Option<String>,
    pub document_hash: Option<Vec<u8>>,
    pub token_hash: Option<Vec<u8>>,
    pub duration_us: Option<i64>,
    pub row_count: Option<i64>,
    pub calls: i32,
    pub leaf_hash: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
