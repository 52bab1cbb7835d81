//! `audit_archive`: What became of months of the audit trail. Insert only.
//!
//! Its `last_transaction` is for the database alone, which orders by it.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "audit_archive")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub class: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub month: Date,
    #[sea_orm(primary_key, auto_increment = false)]
    pub part: i32,
    pub object: String,
    pub events: i64,
    pub first_at: DateTimeUtc,
    pub last_at: DateTimeUtc,
    pub last_sequence: i64,
    pub lines_hash: Vec<u8>,
    pub object_hash: Vec<u8>,
    pub object_bytes: i64,
    pub archived_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
