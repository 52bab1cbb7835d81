//! What events say of a dataset itself, and what becomes of it: the latest report stands, in whatever
//! order reports arrive, until people have their say.

use chrono::{DateTime, Utc};

use super::repository::Draft;
use crate::{
    db::{TenantTx, records},
    error::Result,
};

/// What events report of a dataset. Of several reports the latest stands; of two at one instant,
/// the greater text.
#[derive(Debug, Clone, Default)]
pub struct Reported {
    /// What it is, and when that was reported.
    pub description: Option<(DateTime<Utc>, String)>,
    /// Who answers for it, and when that was reported.
    pub owners: Option<(DateTime<Utc>, Vec<String>)>,
}

impl Reported {
    /// What two events report together.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        Self {
            description: self.description.into_iter().chain(other.description).max(),
            owners: self.owners.into_iter().chain(other.owners).max(),
        }
    }
}

// What events report does not count as a version: versions are for people, who may not see each
// other's work. By its own name only: an alias is people's word, and theirs stands. The rows that
// change, and no others, are locked in the order of names.
const DESCRIBE: &str = r#"
WITH later AS (
  SELECT known.dataset_id, draft.* FROM dataset_registry known
    JOIN jsonb_to_recordset($1) AS draft (namespace text, name text, description text,
         search_text text, description_reported_at timestamptz) USING (namespace, name)
   WHERE (draft.description_reported_at, draft.description COLLATE "C")
           > (known.description_reported_at, coalesce(known.description, ''))
   ORDER BY namespace, name FOR NO KEY UPDATE OF known
)
UPDATE dataset_registry known SET
  description = later.description, search_text = later.search_text,
  description_reported_at = later.description_reported_at, updated_at = $2
FROM later WHERE known.dataset_id = later.dataset_id"#;

const ASSIGN: &str = r#"
WITH later AS (
  SELECT known.dataset_id, draft.* FROM dataset_registry known
    JOIN jsonb_to_recordset($1) AS draft (namespace text, name text, owners text[],
         owners_reported_at timestamptz) USING (namespace, name)
   WHERE (draft.owners_reported_at, draft.owners COLLATE "C")
           > (known.owners_reported_at, known.owners COLLATE "C")
   ORDER BY namespace, name FOR NO KEY UPDATE OF known
)
UPDATE dataset_registry known SET
  owners = later.owners, owners_reported_at = later.owners_reported_at, updated_at = $2
FROM later WHERE known.dataset_id = later.dataset_id"#;

/// Brings datasets up to what was reported of them, where that is later than what is known.
///
/// # Errors
/// Whatever the database answers.
pub async fn report(tx: &TenantTx, drafts: &[Draft], now: DateTime<Utc>) -> Result<()> {
    let described: Vec<_> = drafts.iter().filter(|draft| draft.description.is_some()).collect();
    if !described.is_empty() {
        tx.execute_sql(DESCRIBE, [records(&described)?, now.into()]).await?;
    }
    let owned: Vec<_> = drafts.iter().filter(|draft| !draft.owners.is_empty()).collect();
    if !owned.is_empty() {
        tx.execute_sql(ASSIGN, [records(&owned)?, now.into()]).await?;
    }
    Ok(())
}
