//! What versions say, as objects: encrypted, and checked against their hash at every read.
//!
//! An object's name has the hash of what is in it, so that whatever a transaction comes to, nothing of another
//! version is ever written over. One that no version names was put there by a call that then failed; it harms
//! nobody. // S4

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use super::{
    model::{content::ContentHash, name::SchemaName},
    repository::{self, Record, Version, VersionKey, hash_of, name_of},
};
use crate::{
    auth::TenantId,
    cache::Fact,
    call::Call,
    db::{TenantDb, TenantTx},
    error::{Error, Result},
    keys::Sealed,
};

/// The largest content, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most versions that one refers to, by way of others too.
pub const MAX_REFERENCES: usize = 64;
/// The most bytes that these have together.
const MAX_REFERENCED_BYTES: usize = 4 * MAX_BYTES;

/// An object is not what its version says that it is.
#[derive(Debug, thiserror::Error)]
pub enum Tampered {
    /// It is gone.
    #[error("{0} is gone")]
    Gone(String),
    /// Its hash is another one.
    #[error("{0} holds something else than its version says")]
    Other(String),
}

/// Keeps a content of a schema of the caller's tenant; it is durable when this returns.
///
/// # Errors
/// What the store or the keys answer.
pub async fn put(call: &Call, schema: &SchemaName, content: &str) -> Result<ContentHash> {
    let hash = ContentHash::of(content.as_bytes());
    // One that is there already has the same in it.
    let content = content.as_bytes().to_vec();
    call.sealed()?.create(call.principal().tenant(), &schema.object_key(&hash), content).await?;
    Ok(hash)
}

/// A content, which never changes under its hash.
struct Known(ContentHash);

impl Fact for Known {
    type Value = Text;

    fn name(&self) -> (Uuid, i64) {
        // 192 bits of the hash: no two contents share them.
        let bytes = self.0.as_bytes();
        let (mut entity, mut version) = ([0; 16], [0; 8]);
        entity.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        version.iter_mut().zip(bytes.iter().skip(16)).for_each(|(to, from)| *to = *from);
        (Uuid::from_bytes(entity), i64::from_be_bytes(version))
    }

    fn bytes(value: &Self::Value) -> usize {
        value.0.len()
    }
}

/// What a version says.
#[derive(Debug)]
pub struct Text(pub String);

/// Who reads contents of a tenant, with what they refer to: a caller, or a task of the program's own.
pub trait Reader: Sync {
    /// Whose they are.
    fn tenant(&self) -> &TenantId;

    /// These schemas and versions; a missing or a foreign one is not in the answer.
    fn versions(
        &self,
        keys: &[VersionKey],
    ) -> impl Future<Output = Result<(Vec<Record>, Vec<Version>)>> + Send;

    /// The content of a schema with this hash.
    fn text(
        &self,
        schema: &SchemaName,
        hash: ContentHash,
    ) -> impl Future<Output = Result<Arc<Text>>> + Send;
}

async fn found(tx: &TenantTx, keys: &[VersionKey]) -> Result<(Vec<Record>, Vec<Version>)> {
    let ids: Vec<_> = keys.iter().map(|key| key.schema_id).collect();
    Ok((repository::by_ids(tx, &ids).await?, repository::versions_at(tx, keys).await?))
}

impl Reader for Call {
    fn tenant(&self) -> &TenantId {
        self.principal().tenant()
    }

    async fn versions(&self, keys: &[VersionKey]) -> Result<(Vec<Record>, Vec<Version>)> {
        let tx = self.read().await?;
        found(&tx, keys).await
    }

    async fn text(&self, schema: &SchemaName, hash: ContentHash) -> Result<Arc<Text>> {
        get(self, schema, hash).await
    }
}

/// What is kept of a tenant, as a task of the program's own reads it.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'s> {
    /// Its rows.
    pub db: &'s TenantDb,
    /// Its objects.
    pub sealed: &'s Sealed,
    /// Whose they are.
    pub tenant: &'s TenantId,
}

impl Reader for Stored<'_> {
    fn tenant(&self) -> &TenantId {
        self.tenant
    }

    async fn versions(&self, keys: &[VersionKey]) -> Result<(Vec<Record>, Vec<Version>)> {
        found(&self.db.read().await?, keys).await
    }

    async fn text(&self, schema: &SchemaName, hash: ContentHash) -> Result<Arc<Text>> {
        Ok(Arc::new(Text(read(self.sealed, self.tenant, schema, &hash).await?)))
    }
}

/// The content of a schema of the caller's tenant with this hash.
///
/// # Errors
/// [`Tampered`], or what the store or the keys answer.
pub async fn get(call: &Call, schema: &SchemaName, hash: ContentHash) -> Result<Arc<Text>> {
    let known = Known(hash);
    if let Some(text) = call.known(&known) {
        return Ok(text);
    }
    let text = read(call.sealed()?, call.principal().tenant(), schema, &hash).await?;
    let text = Arc::new(Text(text));
    call.learn(&known, text.clone());
    Ok(text)
}

/// The content of a schema of `tenant` with this hash, as it is in the store.
///
/// # Errors
/// As [`get`].
pub async fn read(
    sealed: &Sealed,
    tenant: &TenantId,
    schema: &SchemaName,
    hash: &ContentHash,
) -> Result<String> {
    let name = schema.object_key(hash);
    let content = sealed.get(tenant, &name).await?;
    let content = content.ok_or_else(|| Error::internal(Tampered::Gone(name.clone())))?;
    if ContentHash::of(&content) != *hash {
        return Err(Error::internal(Tampered::Other(name)));
    }
    String::from_utf8(content).map_err(Error::internal)
}

/// A content with all that it refers to, by way of others too.
#[derive(Debug, Clone)]
pub struct Whole {
    /// What the version itself says.
    pub text: Arc<Text>,
    /// The names that are referred to, and what these versions say.
    pub references: Vec<(String, String)>,
}

impl Whole {
    /// How many bytes it has altogether.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.0.len() + self.references.iter().map(|(_, text)| text.len()).sum::<usize>()
    }
}

/// What a version says, with all that it refers to.
///
/// # Errors
/// As [`get`].
pub async fn whole(reader: &impl Reader, schema: &SchemaName, version: &Version) -> Result<Whole> {
    let text = reader.text(schema, hash_of(&version.content_hash)?).await?;
    let references = resolve(reader, repository::references_of(version)).await?.texts;
    Ok(Whole { text, references })
}

/// What is referred to.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The names, and what these versions say.
    pub texts: Vec<(String, String)>,
    /// The names, and the canonical hashes.
    pub canonical: Vec<(String, Vec<u8>)>,
    /// The versions that are referred to directly, as they are.
    pub direct: Vec<Version>,
}

/// Reads what is referred to, by way of others too.
///
/// # Errors
/// [`Error::BadUserInput`] at `references` if two versions have one name, [`Error::LimitExceeded`],
/// [`Error::NotFound`] for a missing or foreign one, or as [`get`].
pub async fn resolve(
    reader: &impl Reader,
    references: Vec<(String, VersionKey)>,
) -> Result<Resolved> {
    let mut known: BTreeMap<String, VersionKey> = BTreeMap::new();
    let (mut resolved, mut next, mut bytes, mut first) = (Resolved::default(), references, 0, true);
    while !next.is_empty() {
        let mut fresh = Vec::new();
        for (name, key) in next {
            match known.get(&name) {
                Some(other) if *other == key => {}
                Some(_) => {
                    return Err(Error::bad_input("references", "one name is of two versions"));
                }
                None => {
                    known.insert(name.clone(), key);
                    fresh.push((name, key));
                }
            }
        }
        if known.len() > MAX_REFERENCES {
            let maximum = MAX_REFERENCES as u64;
            return Err(Error::LimitExceeded { limit: "references", maximum });
        }
        next = Vec::new();
        for (name, schema, version) in read_versions(reader, fresh).await? {
            let text = reader.text(&schema, hash_of(&version.content_hash)?).await?;
            bytes += text.0.len();
            if bytes > MAX_REFERENCED_BYTES {
                let maximum = MAX_REFERENCED_BYTES as u64;
                return Err(Error::LimitExceeded { limit: "referencedBytes", maximum });
            }
            next.extend(repository::references_of(&version));
            resolved.texts.push((name.clone(), text.0.clone()));
            resolved.canonical.push((name, version.canonical_hash.clone()));
            if first {
                resolved.direct.push(version);
            }
        }
        first = false;
    }
    resolved.canonical.sort();
    Ok(resolved)
}

/// The versions with these keys, each with its schema's name.
async fn read_versions(
    reader: &impl Reader,
    wanted: Vec<(String, VersionKey)>,
) -> Result<Vec<(String, SchemaName, Version)>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = wanted.iter().map(|(_, key)| *key).collect();
    let (schemas, versions) = reader.versions(&keys).await?;
    let found = wanted.into_iter().map(|(name, key)| {
        let schema = schemas.iter().find(|schema| schema.schema_id == key.schema_id);
        let schema = schema.ok_or(Error::NotFound("referenced schema"))?;
        let version = versions.iter().find(|version| repository::key_of(version) == key);
        let version = version.ok_or(Error::NotFound("referenced schema version"))?;
        Ok((name, name_of(reader.tenant(), schema)?, version.clone()))
    });
    found.collect()
}
