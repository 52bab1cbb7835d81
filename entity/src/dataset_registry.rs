//! `dataset_registry`: Datasets, by `(tenant_id, dataset_id)` and by their natural key `(namespace, name)`.

use sea_orm::entity::prelude::*;
use sqlx::FromRow;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, FromRow)]
#[sea_orm(table_name = "dataset_registry")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_id: Uuid,
    pub namespace: String,
    pub name: String,
    pub description: Option<String>,
    pub owners: Vec<String>,
    pub domain: Option<String>,
    pub tags: Vec<String>,
    pub lifecycle: String,
    pub schema_fqid: Option<String>,
    pub search_text: String,
    pub row_version: i64,
    pub description_reported_at: Option<DateTimeUtc>,
    pub owners_reported_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
