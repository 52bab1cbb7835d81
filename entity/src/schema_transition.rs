//! `schema_transition`: What was asked for a version of a schema, and what became of it.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "schema_transition")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub transition_id: Uuid,
    pub schema_id: Uuid,
    pub number: i32,
    pub kind: String,
    pub status: String,
    pub content_hash: Vec<u8>,
    pub requested_at: DateTimeUtc,
    pub requested_by: String,
    pub reason: Option<String>,
    pub expires_at: DateTimeUtc,
    pub acknowledged: bool,
    pub verdict: String,
    pub findings: Json,
    pub decided_at: Option<DateTimeUtc>,
    pub decided_by: Option<String>,
    pub decision: Option<String>,
    pub decided_verdict: Option<String>,
    pub standing: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
