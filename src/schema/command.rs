//! What changes schemas and their drafts: each a transaction with its audit event and its own.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    content::{self, MAX_BYTES, Resolved, Text, Whole},
    events::{self, Author, EventType, NewEvent},
    model::{
        compatibility::{Compatibility, Policy},
        content::ContentHash,
        format::{Format, Schema},
        lifecycle::State,
        name::{SchemaName, VersionName},
    },
    repository::{self, Content, NewSchema, Profile, Record, Version, VersionKey},
    verdicts::{Subject, is_in_use},
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    dataset::model::{Description, Field, Owners, Tags},
    db::TenantTx,
    error::{Error, ErrorCode, Result},
};

/// The most violations of a text that are told at once.
const MAX_TOLD: usize = 10;

/// A schema that is to be registered, as it was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its full name.
    pub fqid: String,
    /// What it is written in.
    pub format: Format,
    /// What its versions promise.
    pub compatibility: Compatibility,
    /// What an approver may override of that.
    pub policy: Policy,
    /// What it is.
    pub description: Option<String>,
    /// Who answers for it.
    pub owners: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Asked {
    /// A schema about which nothing is said yet.
    #[must_use]
    pub const fn plain(fqid: String, format: Format) -> Self {
        Self {
            fqid,
            format,
            compatibility: Compatibility::Backward,
            policy: Policy::Strict,
            description: None,
            owners: Vec::new(),
            tags: Vec::new(),
        }
    }
}

/// How registering a schema ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registered {
    /// It is there.
    Done(Uuid),
    /// Another one has its name.
    NameTaken,
}

/// The name of a schema that the caller's token is for. Nobody is told whether that of another tenant is one.
///
/// # Errors
/// [`Error::BadUserInput`] at `field`.
pub fn own_name(call: &Call, fqid: &str, field: &'static str) -> Result<SchemaName> {
    let name =
        SchemaName::parse(fqid).map_err(|wrong| Error::bad_input(field, wrong.to_string()))?;
    match is_own(call, &name) {
        true => Ok(name),
        false => Err(Error::bad_input(field, "is not in the caller's namespace")),
    }
}

/// Whether a name is one that the caller's token is for.
#[must_use]
pub fn is_own(call: &Call, name: &SchemaName) -> bool {
    let principal = call.principal();
    name.code() == principal.tenant().as_str()
        && principal.reach().includes(name.domain(), name.name())
}

/// The schema with a name that the caller's token is for, if it is there.
///
/// # Errors
/// Whatever the database answers.
pub async fn named(call: &Call, name: &SchemaName) -> Result<Option<Record>> {
    let key = (name.domain().to_owned(), name.name().to_owned());
    let tx = call.read().await?;
    let found = repository::by_names(&tx, &[key]).await?.pop();
    Ok(found.filter(|record| is_reached(call, record)))
}

/// A schema that the caller's token is for.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign one.
pub async fn readable(call: &Call, schema_id: Uuid) -> Result<Record> {
    let tx = call.read().await?;
    let found = repository::by_ids(&tx, &[schema_id]).await?.pop();
    found.filter(|record| is_reached(call, record)).ok_or(Error::NotFound("schema"))
}

/// Whether the caller's token is for a schema.
#[must_use]
pub fn is_reached(call: &Call, record: &Record) -> bool {
    call.principal().reach().includes(&record.domain, &record.name)
}

/// Registers a schema without any version.
///
/// # Errors
/// [`Error::Forbidden`], what is wrong with what was asked, or whatever the database answers.
pub async fn register(call: &Call, asked: Asked) -> Result<Registered> {
    let operation = Operation::SchemaRegister;
    let prepare = async {
        let name = own_name(call, &asked.fqid, "fqid")?;
        let description = asked.description.map(Description::parse).transpose()?;
        Ok((name, description, Owners::parse(asked.owners)?, Tags::parse(asked.tags)?))
    };
    let (format, compatibility, policy) = (asked.format, asked.compatibility, asked.policy);
    trail::change(call, operation, None, prepare, async |tx, (name, description, owners, tags)| {
        let schema_id = call.new_id();
        let new = NewSchema {
            schema_id,
            domain: name.domain(),
            name: name.name(),
            format,
            compatibility,
            policy: policy.as_str(),
            description: description.as_ref().map(Description::as_str),
            owners: owners.as_slice(),
            tags: tags.as_slice(),
        };
        let by = (call.principal().actor(), call.now());
        let resource = Some(format!("schema:{name}"));
        if !repository::insert(tx, &new, by).await? {
            let outcome = Outcome::Rejected(ErrorCode::Conflict);
            let entry = Entry { operation, dataset_id: None, resource, outcome };
            return Ok(Done::new(Registered::NameTaken, vec![entry]));
        }
        let data = json!({
            "schema": name.to_string(), "format": format.as_str(),
            "compatibility": compatibility.as_str(), "policy": policy.as_str(),
        });
        tell(tx, call, EventType::Registered, (schema_id, None), data).await?;
        let entry = Entry { operation, dataset_id: None, resource, outcome: Outcome::Success };
        Ok(Done::new(Registered::Done(schema_id), vec![entry]))
    })
    .await
}

/// Appends an event of a schema.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn tell(
    tx: &TenantTx,
    author: &impl Author,
    event_type: EventType,
    (schema_id, number): (Uuid, Option<i32>),
    data: serde_json::Value,
) -> Result<()> {
    let event = NewEvent { event_type, schema_id: Some(schema_id), number, data };
    events::append(tx, author, event).await
}

/// What to change about a schema, as it was asked for; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// What its versions promise.
    pub compatibility: Option<Compatibility>,
    /// What an approver may override of that.
    pub policy: Option<Policy>,
    /// What it is.
    pub description: Field<String>,
    /// Who answers for it.
    pub owners: Option<Vec<String>>,
    /// Its tags.
    pub tags: Option<Vec<String>>,
}

/// How changing a schema ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Updated {
    /// As it was asked.
    Done(Uuid),
    /// Not at all: the schema is at another row version than the caller thought.
    OtherVersion(Uuid),
}

/// Says something else about a schema, or has its versions promise something else.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign schema, what is wrong with what was asked, or whatever the
/// database answers.
pub async fn update(
    call: &Call,
    schema_id: Result<Uuid>,
    expected_version: Option<i64>,
    patch: Patch,
) -> Result<Updated> {
    let operation = Operation::SchemaUpdate;
    trail::change(call, operation, None, async { schema_id }, async |tx, schema_id| {
        let record = locked(tx, call, schema_id).await?;
        let subject = Subject::of(call.principal().tenant(), &record)?;
        let resource = Some(format!("schema:{}", subject.name));
        if expected_version.is_some_and(|expected| expected != record.row_version) {
            let outcome = Outcome::Rejected(ErrorCode::Conflict);
            let entry = Entry { operation, dataset_id: None, resource, outcome };
            return Ok(Done::new(Updated::OtherVersion(schema_id), vec![entry]));
        }
        let description = patch.description.apply("description", record.description)?;
        let description = description.map(Description::parse).transpose()?;
        let owners = Owners::parse(patch.owners.unwrap_or(record.owners))?;
        let tags = Tags::parse(patch.tags.unwrap_or(record.tags))?;
        let policy = patch.policy.unwrap_or(subject.policy);
        let compatibility = patch.compatibility.unwrap_or(subject.compatibility);
        let profile = Profile {
            compatibility,
            policy: policy.as_str(),
            description: description.as_ref().map(Description::as_str),
            owners: owners.as_slice(),
            tags: tags.as_slice(),
        };
        repository::update(tx, schema_id, &profile, call.now()).await?;
        let data = json!({
            "schema": subject.name.to_string(), "compatibility": compatibility.as_str(),
            "compatibilityBefore": subject.compatibility.as_str(), "policy": policy.as_str(),
            "policyBefore": subject.policy.as_str(),
        });
        tell(tx, call, EventType::Updated, (schema_id, None), data).await?;
        let entry = Entry { operation, dataset_id: None, resource, outcome: Outcome::Success };
        Ok(Done::new(Updated::Done(schema_id), vec![entry]))
    })
    .await
}

/// A schema that the caller's token is for, locked.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign one.
pub(super) async fn locked(tx: &TenantTx, call: &Call, schema_id: Uuid) -> Result<Record> {
    let found = repository::lock(tx, schema_id).await?;
    found.filter(|record| is_reached(call, record)).ok_or(Error::NotFound("schema"))
}

/// A schema that another one refers to, as it was asked for.
#[derive(Debug, Clone)]
pub struct RawReference {
    /// The name that it is referred to by: a full name in Avro, a `$ref` in JSON Schema, an import in Protobuf.
    pub name: String,
    /// The version: `tenant.<code>.<domain>.<name>@<number>`.
    pub version: String,
}

/// How drafting a version ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drafted {
    /// It is a draft with this number.
    Done(VersionKey),
    /// There is a version that says the same already, if perhaps in other words.
    Same(VersionKey),
    /// The draft was put forward meanwhile: what it says is frozen.
    Frozen(VersionKey),
}

/// Drafts a version of a schema: a new one, or `number` again while it is a draft.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign schema, [`Error::BadUserInput`] at `content` with what is wrong
/// with it, or what the database or the store answer.
pub async fn draft(
    call: &Call,
    schema_id: Result<Uuid>,
    number: Option<i32>,
    text: &str,
    references: Vec<RawReference>,
) -> Result<Drafted> {
    let operation = Operation::SchemaDraft;
    // On the heap: reading holds much.
    let prepare = Box::pin(async {
        let record = readable(call, schema_id?).await?;
        let subject = Subject::of(call.principal().tenant(), &record)?;
        let content = read(call, subject.format, text, references).await?.content;
        content::put(call, &subject.name, text).await?;
        Ok((record.schema_id, subject, content))
    });
    trail::change(call, operation, None, prepare, async |tx, (schema_id, subject, content)| {
        let record = locked(tx, call, schema_id).await?;
        let versions = repository::versions_of(tx, schema_id).await?;
        let by = (call.principal().actor(), call.now());
        let done = place(&versions, number, &content, schema_id, record.last_number)?;
        match done {
            Drafted::Done(key) if number.is_some() => {
                repository::rewrite(tx, key, &content, call.now()).await?;
            }
            Drafted::Done(key) => repository::insert_version(tx, key, &content, by).await?,
            Drafted::Same(_) | Drafted::Frozen(_) => {}
        }
        let (key, outcome) = match done {
            Drafted::Done(key) | Drafted::Same(key) => (key, Outcome::Success),
            Drafted::Frozen(key) => (key, Outcome::Rejected(ErrorCode::Conflict)),
        };
        if let Drafted::Done(key) = done {
            let data = json!({
                "schema": subject.name.to_string(), "contentHash": content.hash.to_string(),
                "canonicalHash": content.canonical.to_string(),
            });
            tell(tx, call, EventType::Drafted, (schema_id, Some(key.number)), data).await?;
        }
        let resource = Some(resource(&subject.name, key.number, &content.hash));
        Ok(Done::new(done, vec![Entry { operation, dataset_id: None, resource, outcome }]))
    })
    .await
}

/// What the audit trail says of a version: its name, and the hash of what it said then.
pub(super) fn resource(name: &SchemaName, number: i32, hash: &ContentHash) -> String {
    format!("schema:{name}@{number} sha256:{hash}")
}

/// Where a content goes among the versions of its schema.
fn place(
    versions: &[Version],
    number: Option<i32>,
    content: &Content,
    schema_id: Uuid,
    last: i32,
) -> Result<Drafted> {
    let key = |number| VersionKey { schema_id, number };
    let same = versions.iter().find(|version| {
        version.canonical_hash == content.canonical.as_bytes()
            && number.is_none_or(|number| version.number != number)
    });
    if let Some(same) = same {
        return Ok(Drafted::Same(key(same.number)));
    }
    let Some(number) = number else {
        let next = last.checked_add(1).ok_or_else(|| Error::Conflict("no number is left".into()));
        return Ok(Drafted::Done(key(next?)));
    };
    let version = versions.iter().find(|version| version.number == number);
    let version = version.ok_or(Error::NotFound("schema version"))?;
    let state: State = version.state.parse().map_err(Error::internal)?;
    Ok(match state.may_change_content() {
        Ok(()) => Drafted::Done(key(number)),
        Err(_) => Drafted::Frozen(key(number)),
    })
}

/// A text that was read.
#[derive(Debug)]
pub struct Read {
    /// What stands for it.
    pub content: Content,
    /// The text, with all that it refers to.
    pub whole: Whole,
}

/// Reads a text as a content of this format, with what it refers to.
///
/// # Errors
/// [`Error::BadUserInput`] at `content` or `references`, [`Error::LimitExceeded`], or what the store answers.
pub async fn read(
    call: &Call,
    format: Format,
    text: &str,
    references: Vec<RawReference>,
) -> Result<Read> {
    let (resolved, references) = referred(call, references).await?;
    let text = text.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let canonical = canonical(format, &text, &resolved)?;
        let bytes = i32::try_from(text.len()).unwrap_or(i32::MAX);
        let hash = ContentHash::of(text.as_bytes());
        let whole = Whole { text: Text(text).into(), references: resolved.texts };
        Ok(Read { content: Content { hash, canonical, bytes, references }, whole })
    });
    read.await.map_err(Error::internal)?
}

/// What a text refers to: read, and by key.
///
/// # Errors
/// [`Error::BadUserInput`] at `references`, [`Error::LimitExceeded`], or what the store answers.
pub async fn referred(
    call: &Call,
    references: Vec<RawReference>,
) -> Result<(Resolved, Vec<(String, VersionKey)>)> {
    if references.is_empty() {
        return Ok((Resolved::default(), Vec::new()));
    }
    if references.len() > content::MAX_REFERENCES {
        let maximum = content::MAX_REFERENCES as u64;
        return Err(Error::LimitExceeded { limit: "references", maximum });
    }
    let bad = |what: String| Error::bad_input("references", what);
    let mut asked = Vec::with_capacity(references.len());
    for RawReference { name, version } in references {
        let version = VersionName::parse(&version).map_err(|wrong| bad(wrong.to_string()))?;
        let schema = own_name(call, &version.schema.to_string(), "references")?;
        asked.push((name, schema, version.number.get()));
    }
    let names: Vec<_> = asked
        .iter()
        .map(|(_, schema, _)| (schema.domain().to_owned(), schema.name().to_owned()))
        .collect();
    let tx = call.read().await?;
    let found = repository::by_names(&tx, &names).await?;
    drop(tx);
    let keys = asked.into_iter().map(|(name, schema, number)| {
        let is =
            |record: &&Record| record.domain == schema.domain() && record.name == schema.name();
        let record = found.iter().find(is).ok_or(Error::NotFound("referenced schema"))?;
        Ok((name, VersionKey { schema_id: record.schema_id, number }))
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let resolved = content::resolve(call, keys.clone()).await?;
    if let Some(other) = resolved.direct.iter().find(|version| !is_in_use(version)) {
        return Err(bad(format!("version {} is {} and not in use", other.number, other.state)));
    }
    Ok((resolved, keys))
}

/// The hash of a content's canonical text, and of those of what it refers to.
fn canonical(format: Format, text: &str, resolved: &Resolved) -> Result<ContentHash> {
    if text.len() > MAX_BYTES {
        return Err(Error::LimitExceeded { limit: "schemaContent", maximum: MAX_BYTES as u64 });
    }
    let schema = Schema::parse(format, text, &resolved.texts).map_err(|wrong| {
        let wrong: Vec<_> = wrong.iter().take(MAX_TOLD).map(ToString::to_string).collect();
        Error::bad_input("content", format!("is no schema: {}", wrong.join("; ")))
    })?;
    Ok(canonical_hash(schema.canonical(), &resolved.canonical))
}

/// The hash of a canonical text, and of those of what it refers to by which names.
pub(super) fn canonical_hash(
    mut canonical: String,
    references: &[(String, Vec<u8>)],
) -> ContentHash {
    for (name, hash) in references {
        let _ = write!(canonical, "\n{name} {}", hex::encode(hash));
    }
    ContentHash::of(canonical.as_bytes())
}
