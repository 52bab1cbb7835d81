//! Datasets in the database.

use chrono::{DateTime, Utc};
use entity::{dataset_name, dataset_registry};
use serde::Serialize;
use uuid::Uuid;

use super::{
    model::{DatasetName, Description, search_text},
    reported::Reported,
};
use crate::{
    db::{FromRow, TenantTx, records},
    error::Result,
};

/// A dataset as it is stored.
pub type Record = dataset_registry::Model;

// An array, not a list of parameters: one text, and so one prepared statement, for any number.
const BY_IDS: &str = "SELECT * FROM dataset_registry WHERE dataset_id = ANY ($1)";

/// The datasets with these ids; a missing or a foreign one is not in the answer.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_ids(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<Record>> {
    Ok(tx.query_sql(BY_IDS, [ids.to_vec().into()]).await?)
}

/// A dataset that was found by a name of its own or by an alias.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Found {
    /// The namespace that was asked for.
    pub namespace: String,
    /// The name that was asked for.
    pub name: String,
    /// The dataset.
    pub dataset_id: Uuid,
}

// By the index for each of them: a join would read all names of the tenant for a single one.
const BY_NAMES: &str = "
SELECT wanted.namespace, wanted.name, found.dataset_id
  FROM jsonb_to_recordset($1) AS wanted (namespace text, name text), LATERAL (
    SELECT dataset_id FROM dataset_name
     WHERE namespace = wanted.namespace AND name = wanted.name LIMIT 1) AS found";

/// The ids of the datasets with these names or aliases.
///
/// # Errors
/// Whatever the database answers.
pub async fn ids_by_names(tx: &TenantTx, names: &[DatasetName]) -> Result<Vec<Found>> {
    Ok(tx.query_sql(BY_NAMES, [records(names)?]).await?)
}

/// A dataset, and the name of its own or the alias that it was found by.
#[derive(Debug, Clone, FromRow)]
pub struct Named {
    /// The namespace that was asked for.
    pub asked_namespace: String,
    /// The name that was asked for.
    pub asked_name: String,
    /// The dataset.
    #[sqlx(flatten)]
    pub record: Record,
}

const RECORDS_BY_NAMES: &str = "
SELECT wanted.namespace AS asked_namespace, wanted.name AS asked_name, dataset_registry.*
  FROM jsonb_to_recordset($1) AS wanted (namespace text, name text), LATERAL (
    SELECT dataset_id FROM dataset_name
     WHERE namespace = wanted.namespace AND name = wanted.name LIMIT 1) AS found,
    LATERAL (SELECT * FROM dataset_registry WHERE dataset_id = found.dataset_id LIMIT 1)
      AS dataset_registry";

/// The datasets with these names or aliases.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_names(tx: &TenantTx, names: &[DatasetName]) -> Result<Vec<Named>> {
    Ok(tx.query_sql(RECORDS_BY_NAMES, [records(names)?]).await?)
}

const ALIASES: &str = "SELECT * FROM dataset_name WHERE dataset_id = ANY ($1) AND is_alias";

/// The aliases of these datasets.
///
/// # Errors
/// Whatever the database answers.
pub async fn aliases(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<dataset_name::Model>> {
    Ok(tx.query_sql(ALIASES, [ids.to_vec().into()]).await?)
}

/// A dataset to be, or as it shall be.
#[derive(Debug, Clone, Serialize)]
pub struct Draft {
    /// Its id.
    pub dataset_id: Uuid,
    /// Its name.
    #[serde(flatten)]
    pub name: DatasetName,
    /// What it is.
    pub description: Option<String>,
    /// Who answers for it.
    pub owners: Vec<String>,
    /// Its business domain.
    pub domain: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The schema it is bound to.
    pub schema_fqid: Option<String>,
    /// What a text filter searches.
    search_text: String,
    /// When the description was reported; `None` if it is people's own word.
    description_reported_at: Option<DateTime<Utc>>,
    /// When the owners were reported; `None` if they are people's own word.
    owners_reported_at: Option<DateTime<Utc>>,
}

impl Draft {
    /// A dataset of which nothing but the name is known.
    #[must_use]
    pub fn named(dataset_id: Uuid, name: DatasetName) -> Self {
        Self {
            dataset_id,
            search_text: search_text(&name, None),
            name,
            description: None,
            owners: Vec::new(),
            domain: None,
            tags: Vec::new(),
            schema_fqid: None,
            description_reported_at: None,
            owners_reported_at: None,
        }
    }

    /// A dataset of which only events tell.
    #[must_use]
    pub fn reported(dataset_id: Uuid, name: DatasetName, reported: Reported) -> Self {
        // Whatever is reported later is reported after this.
        let at = |at: Option<DateTime<Utc>>| Some(at.unwrap_or(DateTime::UNIX_EPOCH));
        let (described_at, description) = reported.description.unzip();
        let description = description.and_then(|text| Description::parse(text).ok());
        let (owners_at, owners) = reported.owners.unzip();
        Self {
            owners: owners.unwrap_or_default(),
            description_reported_at: at(described_at),
            owners_reported_at: at(owners_at),
            ..Self::named(dataset_id, name).described(description.as_ref())
        }
    }

    /// The same with this description.
    #[must_use]
    pub fn described(mut self, description: Option<&Description>) -> Self {
        self.search_text = search_text(&self.name, description);
        self.description = description.map(|description| description.as_str().to_owned());
        self
    }
}

// A draft whose name is taken is left out. The state row comes with the dataset: each has exactly
// one. Sorted, so that two writers of the same names wait for each other instead of dead-locking.
const INSERT: &str = "
WITH draft AS (
  SELECT * FROM jsonb_to_recordset($1) AS draft (
    dataset_id uuid, namespace text, name text, description text, owners text[], domain text,
    tags text[], schema_fqid text, search_text text, description_reported_at timestamptz,
    owners_reported_at timestamptz)
), named AS (
  INSERT INTO dataset_name (tenant_id, namespace, name, dataset_id, is_alias)
  SELECT current_tenant(), namespace, name, dataset_id, false FROM draft ORDER BY namespace, name
  ON CONFLICT DO NOTHING
  RETURNING dataset_id
), inserted AS (
  INSERT INTO dataset_registry (tenant_id, dataset_id, namespace, name, description, owners, domain,
                                tags, schema_fqid, search_text, description_reported_at,
                                owners_reported_at, created_at, updated_at)
  SELECT current_tenant(), dataset_id, namespace, name, description, owners, domain, tags,
         schema_fqid, search_text, description_reported_at, owners_reported_at, $2, $2
    FROM draft JOIN named USING (dataset_id)
), state AS (
  INSERT INTO dataset_refresh_state (tenant_id, dataset_id, updated_at)
  SELECT current_tenant(), dataset_id, $2 FROM named
), directory AS (
  INSERT INTO tenant_directory (tenant_id)
  SELECT current_tenant() WHERE EXISTS (SELECT FROM named)
  ON CONFLICT DO NOTHING
)
SELECT dataset_id FROM named";

#[derive(FromRow)]
struct Inserted {
    dataset_id: Uuid,
}

/// Inserts those drafts whose name is free; answers the ids of these.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(tx: &TenantTx, drafts: &[Draft], now: DateTime<Utc>) -> Result<Vec<Uuid>> {
    let rows: Vec<Inserted> = tx.query_sql(INSERT, [records(drafts)?, now.into()]).await?;
    Ok(rows.into_iter().map(|row| row.dataset_id).collect())
}

// Not FOR UPDATE: that would hold up writers of what only refers to the dataset, such as its run
// log, while they may hold what this one needs next.
const LOCK: &str = "SELECT * FROM dataset_registry WHERE dataset_id = $1 FOR NO KEY UPDATE";

/// The dataset, locked until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &TenantTx, id: Uuid) -> Result<Option<Record>> {
    Ok(tx.query_sql(LOCK, [id.into()]).await?.pop())
}

const UPDATE: &str = "
UPDATE dataset_registry SET
  description = draft.description, owners = draft.owners, domain = draft.domain,
  tags = draft.tags, schema_fqid = draft.schema_fqid, search_text = draft.search_text,
  description_reported_at = NULL, owners_reported_at = NULL, row_version = row_version + 1, updated_at = $2
FROM jsonb_to_recordset($1) AS draft (
  dataset_id uuid, description text, owners text[], domain text, tags text[], schema_fqid text,
  search_text text)
WHERE dataset_registry.dataset_id = draft.dataset_id";

/// Stores the dataset as `draft` has it. Its name does not change.
///
/// # Errors
/// Whatever the database answers.
pub async fn update(tx: &TenantTx, draft: &Draft, now: DateTime<Utc>) -> Result<()> {
    let values = [records(std::slice::from_ref(draft))?, now.into()];
    tx.execute_sql(UPDATE, values).await?;
    Ok(())
}

const RETIRE: &str = "
WITH state AS (
  UPDATE dataset_refresh_state SET listed = false, updated_at = $2 WHERE dataset_id = $1
)
UPDATE dataset_registry
   SET lifecycle = 'RETIRED', row_version = row_version + 1, updated_at = $2
 WHERE dataset_id = $1";

/// Retires the dataset, and takes it off every board and out of every count.
///
/// # Errors
/// Whatever the database answers.
pub async fn retire(tx: &TenantTx, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    tx.execute_sql(RETIRE, [id.into(), now.into()]).await?;
    Ok(())
}

const REMOVE_ALIASES: &str = "
DELETE FROM dataset_name
 WHERE dataset_id = $1 AND is_alias
   AND (namespace, name) NOT IN (
     SELECT namespace, name FROM jsonb_to_recordset($2) AS kept (namespace text, name text))";

const ADD_ALIASES: &str = "
INSERT INTO dataset_name (tenant_id, namespace, name, dataset_id, is_alias)
SELECT current_tenant(), namespace, name, $1, true
  FROM jsonb_to_recordset($2) AS alias (namespace text, name text) ORDER BY namespace, name
ON CONFLICT DO NOTHING";

/// Makes `aliases` the aliases of the dataset; answers whether all of them were free.
///
/// # Errors
/// Whatever the database answers.
pub async fn replace_aliases(tx: &TenantTx, id: Uuid, names: &[DatasetName]) -> Result<bool> {
    tx.execute_sql(REMOVE_ALIASES, [id.into(), records(names)?]).await?;
    tx.execute_sql(ADD_ALIASES, [id.into(), records(names)?]).await?;
    Ok(aliases(tx, &[id]).await?.len() == names.len())
}
