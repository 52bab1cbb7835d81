//! The schemas that events report, kept for the schema registry: each content once per dataset, with
//! the first and the last instant at which it was reported.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::JsonValue;
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{ContentHash, Event},
    resolve::Ids,
};
use crate::{
    db::{TenantTx, records},
    error::Result,
};

/// A schema that was reported for a dataset.
#[derive(Serialize)]
struct SchemaRecord<'a> {
    dataset_id: Uuid,
    content_hash: ContentHash,
    fields: &'a JsonValue,
    first_observed_at: DateTime<Utc>,
    last_observed_at: DateTime<Utc>,
}

impl<'a> SchemaRecord<'a> {
    fn of(
        dataset_id: Uuid,
        content_hash: ContentHash,
        fields: &'a JsonValue,
        at: DateTime<Utc>,
    ) -> Self {
        Self { dataset_id, content_hash, fields, first_observed_at: at, last_observed_at: at }
    }

    /// It was reported at `at` as well.
    fn extend(&mut self, at: DateTime<Utc>) {
        self.first_observed_at = self.first_observed_at.min(at);
        self.last_observed_at = self.last_observed_at.max(at);
    }
}

const OBSERVE: &str = "
INSERT INTO dataset_observed_schema AS known
  (tenant_id, dataset_id, content_hash, fields, first_observed_at, last_observed_at)
SELECT current_tenant(), dataset_id, decode(content_hash, 'hex'), fields, first_observed_at,
       last_observed_at
  FROM jsonb_to_recordset($1) AS new (
    dataset_id uuid, content_hash text, fields jsonb, first_observed_at timestamptz,
    last_observed_at timestamptz)
 ORDER BY dataset_id, content_hash
ON CONFLICT (tenant_id, dataset_id, content_hash) DO UPDATE SET
  first_observed_at = least(known.first_observed_at, excluded.first_observed_at),
  last_observed_at = greatest(known.last_observed_at, excluded.last_observed_at)
WHERE known.first_observed_at > excluded.first_observed_at
   OR known.last_observed_at < excluded.last_observed_at";

/// Keeps the schemas that events report, for the schema registry.
pub(super) async fn observe(tx: &TenantTx, events: &[&Event], ids: &Ids) -> Result<()> {
    let mut observed: BTreeMap<(Uuid, ContentHash), SchemaRecord<'_>> = BTreeMap::new();
    for event in events {
        for (name, facets) in event.datasets() {
            let (Some(fields), Some(dataset_id)) = (&facets.schema_fields, ids.get(name)) else {
                continue;
            };
            let hash = ContentHash::of(fields);
            observed
                .entry((*dataset_id, hash))
                .and_modify(|schema| schema.extend(event.event_time()))
                .or_insert_with(|| SchemaRecord::of(*dataset_id, hash, fields, event.event_time()));
        }
    }
    if observed.is_empty() {
        return Ok(());
    }
    let schemas: Vec<_> = observed.into_values().collect();
    tx.execute_sql(OBSERVE, [records(&schemas)?]).await?;
    Ok(())
}
