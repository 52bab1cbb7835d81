//! Schemas, their versions and what was asked of these, read and written.

use chrono::{DateTime, Utc};
use entity::{schema_registry, schema_transition, schema_version};
use sea_orm::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::{
    compatibility::Compatibility,
    content::ContentHash,
    format::Format,
    lifecycle::{Kind, State, Status, Visibility},
    name::SchemaName,
    verdict::Verdict,
};
use crate::{
    auth::TenantId,
    db::TenantTx,
    error::{Error, Result},
};

/// A schema as it is stored.
pub type Record = schema_registry::Model;
/// A version as it is stored.
pub type Version = schema_version::Model;
/// A request as it is stored.
pub type Transition = schema_transition::Model;

/// A version as it is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VersionKey {
    /// The schema.
    pub schema_id: Uuid,
    /// Its number.
    pub number: i32,
}

/// The key of a stored version.
#[must_use]
pub const fn key_of(version: &Version) -> VersionKey {
    VersionKey { schema_id: version.schema_id, number: version.number }
}

/// What a stored version refers to, by the names that it does so by.
#[must_use]
pub fn references_of(version: &Version) -> Vec<(String, VersionKey)> {
    let keys = version.reference_ids.iter().zip(&version.reference_numbers);
    let keys =
        keys.map(|(schema_id, number)| VersionKey { schema_id: *schema_id, number: *number });
    version.reference_names.iter().cloned().zip(keys).collect()
}

/// The name of a stored schema of `tenant`.
///
/// # Errors
/// [`Error::Internal`] for a record that no command can have written.
pub fn name_of(tenant: &TenantId, record: &Record) -> Result<SchemaName> {
    SchemaName::new(tenant.as_str(), &record.domain, &record.name).map_err(Error::internal)
}

/// A hash as it is stored.
///
/// # Errors
/// [`Error::Internal`] for what is none.
pub fn hash_of(stored: &[u8]) -> Result<ContentHash> {
    let bytes = stored.try_into().map_err(Error::internal)?;
    Ok(ContentHash::from_bytes(bytes))
}

const BY_IDS: &str = "SELECT * FROM schema_registry WHERE schema_id = ANY ($1)";

/// The schemas with these ids; a missing or a foreign one is not in the answer.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_ids(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<Record>> {
    Ok(tx.query_sql(BY_IDS, [ids.to_vec().into()]).await?)
}

const BY_NAMES: &str = "
SELECT s.* FROM unnest($1::text[], $2::text[]) AS wanted (domain, name)
  JOIN schema_registry s USING (domain, name)";

/// The schemas with these domains and names.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_names(tx: &TenantTx, names: &[(String, String)]) -> Result<Vec<Record>> {
    let (domains, names): (Vec<_>, Vec<_>) = names.iter().cloned().unzip();
    Ok(tx.query_sql(BY_NAMES, [domains.into(), names.into()]).await?)
}

// Not the row: an approver may not change it, and so may not lock it either.
const LOCK: &str = "SELECT pg_advisory_xact_lock(
  hashtextextended('schema ' || current_tenant() || ' ' || $1::text, 0))";

/// A schema, locked until the transaction ends: whoever changes a version of it comes by here.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &TenantTx, schema_id: Uuid) -> Result<Option<Record>> {
    tx.execute_sql(LOCK, [schema_id.into()]).await?;
    Ok(by_ids(tx, &[schema_id]).await?.pop())
}

const VERSIONS_AT: &str = "
SELECT v.* FROM unnest($1::uuid[], $2::int4[]) AS wanted (schema_id, number)
  JOIN schema_version v USING (schema_id, number)";

/// These versions; a missing or a foreign one is not in the answer.
///
/// # Errors
/// Whatever the database answers.
pub async fn versions_at(tx: &TenantTx, keys: &[VersionKey]) -> Result<Vec<Version>> {
    let ids: Vec<_> = keys.iter().map(|key| key.schema_id).collect();
    let numbers: Vec<_> = keys.iter().map(|key| key.number).collect();
    Ok(tx.query_sql(VERSIONS_AT, [ids.into(), numbers.into()]).await?)
}

const LATEST_ACTIVE: &str = "
SELECT DISTINCT ON (schema_id) * FROM schema_version
 WHERE schema_id = ANY ($1) AND state = 'ACTIVE' ORDER BY schema_id, number DESC";

/// Of each of these schemas the latest version that is active.
///
/// # Errors
/// Whatever the database answers.
pub async fn latest_active(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<Version>> {
    Ok(tx.query_sql(LATEST_ACTIVE, [ids.to_vec().into()]).await?)
}

const VERSIONS_OF: &str = "
SELECT * FROM schema_version WHERE schema_id = $1 ORDER BY number DESC";

/// All versions of a schema, the latest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn versions_of(tx: &TenantTx, schema_id: Uuid) -> Result<Vec<Version>> {
    Ok(tx.query_sql(VERSIONS_OF, [schema_id.into()]).await?)
}

/// What a new schema is to be.
#[derive(Debug)]
pub struct NewSchema<'a> {
    /// Its id.
    pub schema_id: Uuid,
    /// Its domain.
    pub domain: &'a str,
    /// Its name there.
    pub name: &'a str,
    /// Its format.
    pub format: Format,
    /// What its versions promise.
    pub compatibility: Compatibility,
    /// `STRICT` or `LENIENT`.
    pub policy: &'static str,
    /// What it is.
    pub description: Option<&'a str>,
    /// Who answers for it.
    pub owners: &'a [String],
    /// Its tags.
    pub tags: &'a [String],
}

const INSERT: &str = "
INSERT INTO schema_registry (tenant_id, schema_id, domain, name, format, compatibility, policy,
                             description, owners, tags, created_at, created_by, updated_at)
VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10)
ON CONFLICT (tenant_id, domain, name) DO NOTHING";

/// Adds a schema; answers whether its name was free.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(
    tx: &TenantTx,
    new: &NewSchema<'_>,
    (by, now): (&str, DateTime<Utc>),
) -> Result<bool> {
    let values: [Value; 11] = [
        new.schema_id.into(),
        new.domain.into(),
        new.name.into(),
        new.format.as_str().into(),
        new.compatibility.as_str().into(),
        new.policy.into(),
        new.description.into(),
        new.owners.to_vec().into(),
        new.tags.to_vec().into(),
        now.into(),
        by.into(),
    ];
    Ok(tx.execute_sql(INSERT, values).await? == 1)
}

/// What a version says.
#[derive(Debug)]
pub struct Content {
    /// Of its bytes.
    pub hash: ContentHash,
    /// Of its canonical text, with those of what it refers to.
    pub canonical: ContentHash,
    /// How many bytes.
    pub bytes: i32,
    /// The names that it refers to others by, and these.
    pub references: Vec<(String, VersionKey)>,
}

impl Content {
    fn values(&self) -> [Value; 6] {
        let names: Vec<_> = self.references.iter().map(|(name, _)| name.clone()).collect();
        let ids: Vec<_> = self.references.iter().map(|(_, key)| key.schema_id).collect();
        let numbers: Vec<_> = self.references.iter().map(|(_, key)| key.number).collect();
        [
            self.hash.as_bytes().to_vec().into(),
            self.canonical.as_bytes().to_vec().into(),
            self.bytes.into(),
            names.into(),
            ids.into(),
            numbers.into(),
        ]
    }
}

const INSERT_VERSION: &str = "
WITH counted AS (
  UPDATE schema_registry SET last_number = $2 WHERE schema_id = $1 AND last_number = $2 - 1
  RETURNING schema_id
), latest AS (
  SELECT coalesce(max(content_id), 0) AS content_id FROM schema_version
)
INSERT INTO schema_version (tenant_id, schema_id, number, content_hash, canonical_hash, content_bytes,
                            reference_names, reference_ids, reference_numbers, created_at, created_by,
                            changed_at, content_id)
SELECT current_tenant(), schema_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, latest.content_id + 1
  FROM counted, latest";

// A statement of its own, so that the next one's snapshot is of after it.
const NUMBER: &str =
    "SELECT pg_advisory_xact_lock(hashtext('drr.schema_version'), hashtext(current_tenant()))";

/// Adds a draft with the next number of a locked schema, and the next of those by which clients of Confluent's
/// registry know contents.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_version(
    tx: &TenantTx,
    key: VersionKey,
    content: &Content,
    (by, now): (&str, DateTime<Utc>),
) -> Result<()> {
    tx.execute_sql(NUMBER, []).await?;
    let [hash, canonical, bytes, names, ids, numbers] = content.values();
    let values: [Value; 10] = [
        key.schema_id.into(),
        key.number.into(),
        hash,
        canonical,
        bytes,
        names,
        ids,
        numbers,
        now.into(),
        by.into(),
    ];
    match tx.execute_sql(INSERT_VERSION, values).await? {
        1 => Ok(()),
        _ => Err(Error::internal("a version was not given the next number of its schema")),
    }
}

const REWRITE: &str = "
UPDATE schema_version SET
  content_hash = $3, canonical_hash = $4, content_bytes = $5, reference_names = $6,
  reference_ids = $7, reference_numbers = $8, changed_at = $9
 WHERE schema_id = $1 AND number = $2";

/// Gives a draft another content.
///
/// # Errors
/// Whatever the database answers: it refuses for what is no draft.
pub async fn rewrite(
    tx: &TenantTx,
    key: VersionKey,
    content: &Content,
    now: DateTime<Utc>,
) -> Result<()> {
    let [hash, canonical, bytes, names, ids, numbers] = content.values();
    let (id, number) = (key.schema_id.into(), key.number.into());
    tx.execute_sql(REWRITE, [id, number, hash, canonical, bytes, names, ids, numbers, now.into()])
        .await?;
    Ok(())
}

const SET_STATE: &str = "
UPDATE schema_version SET state = $3, changed_at = $4 WHERE schema_id = $1 AND number = $2";

/// Moves a version on; what it says stays.
///
/// # Errors
/// Whatever the database answers: it refuses without an approval.
pub async fn set_state(
    tx: &TenantTx,
    key: VersionKey,
    state: State,
    now: DateTime<Utc>,
) -> Result<()> {
    let (id, number) = (key.schema_id.into(), key.number.into());
    tx.execute_sql(SET_STATE, [id, number, state.as_str().into(), now.into()]).await?;
    Ok(())
}

const EXPOSE: &str = "
UPDATE schema_version SET state = $3, visibility = $4, changed_at = $5
 WHERE schema_id = $1 AND number = $2";

/// The same, and changes who sees it.
///
/// # Errors
/// As [`set_state`].
pub async fn expose(
    tx: &TenantTx,
    key: VersionKey,
    (state, visibility): (State, Visibility),
    now: DateTime<Utc>,
) -> Result<()> {
    let (id, number) = (key.schema_id.into(), key.number.into());
    let (state, visibility) = (state.as_str().into(), visibility.as_str().into());
    tx.execute_sql(EXPOSE, [id, number, state, visibility, now.into()]).await?;
    Ok(())
}

/// A request that is to be made.
#[derive(Debug)]
pub struct NewTransition<'a> {
    /// Its id.
    pub transition_id: Uuid,
    /// Of which version.
    pub key: VersionKey,
    /// What is asked for.
    pub kind: Kind,
    /// What the version says.
    pub content: ContentHash,
    /// Why.
    pub reason: Option<&'a str>,
    /// From when on nobody can grant it.
    pub expires_at: DateTime<Utc>,
    /// That it is known that datasets use it.
    pub acknowledged: bool,
    /// How it compares.
    pub verdict: Verdict,
    /// What differs.
    pub findings: serde_json::Value,
}

const ASK: &str = "
INSERT INTO schema_transition (tenant_id, transition_id, schema_id, number, kind, content_hash,
                               requested_at, requested_by, reason, expires_at, acknowledged, verdict,
                               findings)
VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// Adds a request.
///
/// # Errors
/// Whatever the database answers.
pub async fn ask(
    tx: &TenantTx,
    new: &NewTransition<'_>,
    (by, now): (&str, DateTime<Utc>),
) -> Result<()> {
    let values: [Value; 12] = [
        new.transition_id.into(),
        new.key.schema_id.into(),
        new.key.number.into(),
        new.kind.as_str().into(),
        new.content.as_bytes().to_vec().into(),
        now.into(),
        by.into(),
        new.reason.into(),
        new.expires_at.into(),
        new.acknowledged.into(),
        new.verdict.as_str().into(),
        new.findings.clone().into(),
    ];
    tx.execute_sql(ASK, values).await?;
    Ok(())
}

const DECIDE: &str = "
UPDATE schema_transition SET
  status = $2, decided_at = $3, decided_by = $4, decision = $5, decided_verdict = $6, standing = $7
 WHERE transition_id = $1";

const END: &str = "
UPDATE schema_transition SET status = $2, decided_at = $3, decided_by = $4, decision = $5
 WHERE transition_id = $1";

/// What an approver found.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// How the content compares now.
    pub verdict: Verdict,
    /// That it was agreed to beforehand.
    pub standing: bool,
}

/// Ends a request: as an approver with what was found, as anybody else without that.
///
/// # Errors
/// Whatever the database answers: it refuses what the role may not do.
pub async fn end(
    tx: &TenantTx,
    transition_id: Uuid,
    (status, reason): (Status, Option<&str>),
    judged: Option<Judged>,
    (by, now): (&str, DateTime<Utc>),
) -> Result<()> {
    let (id, status) = (transition_id.into(), status.as_str().into());
    match judged {
        Some(Judged { verdict, standing }) => {
            let (reason, verdict) = (reason.into(), verdict.as_str().into());
            let values = [id, status, now.into(), by.into(), reason, verdict, standing.into()];
            tx.execute_sql(DECIDE, values).await?
        }
        None => tx.execute_sql(END, [id, status, now.into(), by.into(), reason.into()]).await?,
    };
    Ok(())
}

const OPEN_OF: &str = "
SELECT * FROM schema_transition WHERE schema_id = $1 AND number = $2 AND status = 'OPEN'";

/// The open request for a version.
///
/// # Errors
/// Whatever the database answers.
pub async fn open_of(tx: &TenantTx, key: VersionKey) -> Result<Option<Transition>> {
    Ok(tx.query_sql(OPEN_OF, [key.schema_id.into(), key.number.into()]).await?.pop())
}

const TRANSITION: &str = "SELECT * FROM schema_transition WHERE transition_id = $1";

/// A request.
///
/// # Errors
/// Whatever the database answers.
pub async fn transition(tx: &TenantTx, transition_id: Uuid) -> Result<Option<Transition>> {
    Ok(tx.query_sql(TRANSITION, [transition_id.into()]).await?.pop())
}

const DECIDED_OF: &str = "
SELECT * FROM schema_transition WHERE schema_id = $1 AND number = $2
 ORDER BY requested_at, transition_id LIMIT 200";

/// What was asked for a version, the earliest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn transitions_of(tx: &TenantTx, key: VersionKey) -> Result<Vec<Transition>> {
    Ok(tx.query_sql(DECIDED_OF, [key.schema_id.into(), key.number.into()]).await?)
}

/// What a schema is to be from now on.
#[derive(Debug)]
pub struct Profile<'a> {
    /// What its versions promise.
    pub compatibility: Compatibility,
    /// `STRICT` or `LENIENT`.
    pub policy: &'a str,
    /// What it is.
    pub description: Option<&'a str>,
    /// Who answers for it.
    pub owners: &'a [String],
    /// Its tags.
    pub tags: &'a [String],
}

const UPDATE: &str = "
UPDATE schema_registry SET
  compatibility = $2, policy = $3, description = $4, owners = $5, tags = $6, row_version = row_version + 1,
  updated_at = $7
 WHERE schema_id = $1";

/// Says something else about a schema.
///
/// # Errors
/// Whatever the database answers.
pub async fn update(
    tx: &TenantTx,
    schema_id: Uuid,
    profile: &Profile<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    let values = [
        schema_id.into(),
        profile.compatibility.as_str().into(),
        profile.policy.into(),
        profile.description.into(),
        profile.owners.to_vec().into(),
        profile.tags.to_vec().into(),
        now.into(),
    ];
    tx.execute_sql(UPDATE, values).await?;
    Ok(())
}

const STAND: &str =
    "UPDATE schema_registry SET standing_by = $2, standing_at = $3 WHERE schema_id = $1";

/// Says who agrees beforehand to versions that are compatible; nobody without `by`.
///
/// # Errors
/// Whatever the database answers.
pub async fn stand(
    tx: &TenantTx,
    schema_id: Uuid,
    by: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    tx.execute_sql(STAND, [schema_id.into(), by.into(), by.map(|_| now).into()]).await?;
    Ok(())
}
