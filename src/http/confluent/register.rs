//! Registering a schema, and looking one up by what it says.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Answer, Asked, Refused, Result,
    asked::{find, own, versions_of},
    compatibility::{broken, compared},
    told::Told,
};
use crate::{
    auth::policy::Operation,
    call::Call,
    error::Error,
    schema::{
        command::{self, Drafted, RawReference, Read},
        governance::{self, Ended, Proposal},
        model::{
            compatibility::Policy,
            format::Format,
            lifecycle::{Kind, Refused as Reason, State},
            name::SchemaName,
            protobuf,
            verdict::Verdict,
        },
        repository::{self, Content, Record, Version, VersionKey, key_of},
    },
};

/// How often something is done anew when another version came between.
const ATTEMPTS: usize = 3;

/// The body of a request with a schema. Whatever else theirs may have is not looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posted {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<PostedReference>>,
    metadata: Option<Value>,
    rule_set: Option<Value>,
    id: Option<i64>,
    version: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct PostedReference {
    name: String,
    subject: String,
    version: i32,
}

/// A schema that was sent: a text, and what it refers to.
pub(super) struct Sent {
    pub format: Format,
    pub text: String,
    pub references: Vec<RawReference>,
}

impl Posted {
    /// What was sent, with a text where there was a descriptor.
    pub async fn read(self, call: &Call) -> Result<Sent> {
        if self.metadata.is_some() || self.rule_set.is_some() {
            return Err(Refused::not_permitted("Metadata and rules are not kept here"));
        }
        let is_given = |number: Option<i64>| number.is_some_and(|number| number > 0);
        if is_given(self.id) || is_given(self.version) {
            return Err(Refused::not_permitted(
                "Ids and versions are given here, and not imported",
            ));
        }
        let format = match self.schema_type.as_deref() {
            None | Some("") => Format::Avro,
            Some(name) => name.parse().map_err(|_| {
                Refused::invalid_schema("Invalid schema: schemaType is AVRO, JSON or PROTOBUF")
            })?,
        };
        let text = self.schema.filter(|text| !text.trim().is_empty());
        let text = text.ok_or_else(|| Refused::invalid_schema("Empty schema"))?;
        let named = |posted: PostedReference| {
            let subject = own(call, &posted.subject).map_err(|_| {
                Refused::invalid_schema("Invalid schema: a reference names no subject")
            })?;
            Ok(RawReference { name: posted.name, version: format!("{subject}@{}", posted.version) })
        };
        let references = self.references.unwrap_or_default().into_iter().map(named);
        let references = references.collect::<Result<Vec<_>>>()?;
        match descriptor(format, &text) {
            None => Ok(Sent { format, text, references }),
            Some(descriptor) => {
                let text = text_of(call, descriptor, references.clone()).await?;
                Ok(Sent { format, text, references })
            }
        }
    }
}

/// A descriptor of Protobuf, in the one alphabet that no schema's text is written in alone.
fn descriptor(format: Format, text: &str) -> Option<Vec<u8>> {
    if format != Format::Protobuf {
        return None;
    }
    STANDARD.decode(text.trim()).ok()
}

async fn text_of(
    call: &Call,
    descriptor: Vec<u8>,
    references: Vec<RawReference>,
) -> Result<String> {
    let (resolved, _) = command::referred(call, references).await.map_err(Refused::of_schema)?;
    let read = tokio::task::spawn_blocking(move || protobuf::text_of(&descriptor, &resolved.texts));
    read.await.map_err(Error::internal)?.map_err(|wrong| {
        let first = wrong.first().map(ToString::to_string).unwrap_or_default();
        Refused::invalid_schema(format!("Invalid schema: {first}"))
    })
}

impl Sent {
    /// What it says: read, so that it is a schema.
    pub async fn read(&self, call: &Call) -> Result<Read> {
        let read = command::read(call, self.format, &self.text, self.references.clone());
        read.await.map_err(Refused::of_schema)
    }
}

/// The number that a schema was registered under.
#[derive(Debug, Serialize)]
pub(super) struct Id {
    id: i32,
}

/// `POST /subjects/{subject}/versions`: drafts a version and proposes that it becomes active. The same again is
/// answered with the number that it has.
pub(super) async fn register(mut asked: Asked) -> Result<Answer<Id>> {
    asked.begin(Operation::SchemaDraft).await?;
    let name = asked.own_subject()?;
    let posted: Posted = asked.json().await?;
    let call = &asked.call;
    let sent = posted.read(call).await?;
    let read = sent.read(call).await?;
    let record = subject(call, &name, sent.format).await?;
    if record.format != sent.format.as_str() {
        return Err(Refused::incompatible(format!(
            "The subject's schemas are of {}",
            record.format
        )));
    }
    let version = match same(call, &record, &read.content).await? {
        Some(version) => version,
        None => {
            compatible(call, &record, read).await?;
            drafted(call, &record, &sent).await?
        }
    };
    let version = match state_of(&version)? {
        State::Draft => proposed(call, &record, &version).await?,
        _ => version,
    };
    match state_of(&version)? {
        State::Proposed | State::Active | State::Deprecated => {
            Ok(Answer(Id { id: version.content_id }))
        }
        State::Retired => {
            let number = version.number;
            Err(Refused::incompatible(format!(
                "Version {number} says the same, and is retired for good"
            )))
        }
        State::Draft => {
            Err(Refused::incompatible("The request for the version was ended meanwhile"))
        }
    }
}

fn state_of(version: &Version) -> Result<State, Error> {
    version.state.parse().map_err(Error::internal)
}

/// The subject, made if it is not there.
async fn subject(call: &Call, name: &SchemaName, format: Format) -> Result<Record> {
    if let Some(record) = find(call, name).await? {
        return Ok(record);
    }
    let asked = command::Asked::plain(name.to_string(), format);
    // If somebody else was faster, it is theirs.
    command::register(call, asked).await?;
    Ok(find(call, name).await?.ok_or(Error::NotFound("schema"))?)
}

/// The version that says the same.
async fn same(call: &Call, record: &Record, content: &Content) -> Result<Option<Version>> {
    let versions = versions_of(call, record).await?;
    let canonical = content.canonical.as_bytes();
    Ok(versions.into_iter().find(|version| version.canonical_hash == canonical))
}

async fn again(call: &Call, key: VersionKey) -> Result<Version> {
    let tx = call.read().await?;
    let version = repository::versions_at(&tx, &[key]).await?.pop();
    Ok(version.ok_or(Error::NotFound("schema version"))?)
}

/// Refuses what nobody could approve, before there is a version that says it.
async fn compatible(call: &Call, record: &Record, read: Read) -> Result<()> {
    let versions = versions_of(call, record).await?;
    let compared = compared(call, record, read, &versions).await?;
    let policy: Policy = record.policy.parse().map_err(Error::internal)?;
    if compared.verdict == Verdict::Incompatible && policy == Policy::Strict {
        let details = broken(&compared).join(", ");
        return Err(Refused::incompatible(format!(
            "Schema being registered is incompatible with an earlier schema for the subject, \
             details: [{details}]"
        )));
    }
    Ok(())
}

async fn drafted(call: &Call, record: &Record, sent: &Sent) -> Result<Version> {
    let references = sent.references.clone();
    // On the heap: what drafts and what proposes are large.
    let drafted =
        Box::pin(command::draft(call, Ok(record.schema_id), None, &sent.text, references)).await;
    let (Drafted::Done(key) | Drafted::Same(key) | Drafted::Frozen(key)) =
        drafted.map_err(Refused::of_schema)?;
    again(call, key).await
}

/// Asks for a version's activation; the version as it is then.
async fn proposed(call: &Call, record: &Record, version: &Version) -> Result<Version> {
    let key = key_of(version);
    match propose(call, key, Kind::Activate).await? {
        // Somebody else asked for it meanwhile: then there is nothing more to ask for.
        Ended::Done { .. } => {}
        Ended::Refused(Reason::AlreadyOpen | Reason::WrongState) => {}
        Ended::Refused(why) => {
            let of = super::subject::short(&record.domain, &record.name);
            return Err(Refused::incompatible(format!("{of}: {why}")));
        }
    }
    again(call, key).await
}

/// Asks for a transition, anew if another version of the schema comes between.
pub(super) async fn propose(call: &Call, key: VersionKey, kind: Kind) -> Result<Ended> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match Box::pin(governance::propose(call, Ok(key), Proposal::of(kind))).await {
            Err(Error::Conflict(_)) if left > 0 => {}
            ended => return Ok(ended?),
        }
    }
}

/// `POST /subjects/{subject}`: the version that says the same.
pub(super) async fn lookup(mut asked: Asked) -> Result<Answer<Told>> {
    asked.begin(Operation::SchemaRead).await?;
    let posted: Posted = asked.json().await?;
    let call = &asked.call;
    let sent = posted.read(call).await?;
    let content = sent.read(call).await?.content;
    let active = State::Active.as_str();
    let states =
        [active, State::Proposed.as_str(), State::Deprecated.as_str(), State::Retired.as_str()];
    let states = if asked.is("deleted") { &states[..] } else { &states[..1] };
    let (record, versions) = asked.versions(states).await?;
    let canonical = content.canonical.as_bytes();
    let same = versions.iter().find(|version| version.canonical_hash == canonical);
    let same =
        same.filter(|_| record.format == sent.format.as_str()).ok_or_else(Refused::schema)?;
    Ok(Answer(Told::whole(call, (&record, same), asked.wants_descriptors()).await?))
}
