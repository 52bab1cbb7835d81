//! What a run reports, taken as what a schema is to say: a version is drafted of it, and put forward.

use serde_json::Value;
use uuid::Uuid;

use super::{
    command::{self, Asked, Drafted, Registered, own_name},
    content, drift_store,
    governance::{self, Ended, Proposal},
    model::{
        format::Format,
        lifecycle::{Kind, Refused, State},
        name::SchemaName,
        observed::{self, NoDraft},
    },
    repository::{self, Record, VersionKey},
};
use crate::{
    auth::policy::Operation,
    call::Call,
    error::{Error, Result},
};

/// How that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// There is a version, and a request that it becomes active.
    Proposed(VersionKey, Uuid),
    /// There is a draft, and why it cannot be put forward.
    Refused(VersionKey, Refused),
    /// There is a version already that says so.
    Same(VersionKey),
    /// No run has reported any fields.
    NothingReported,
    /// The dataset is bound to no schema, and nobody says what a new one is to be called.
    NameNeeded,
    /// The dataset is bound to a schema already.
    Bound,
    /// Another schema has the name.
    NameTaken,
    /// The schema is written in something else than Avro: what is to change is a person's to write.
    NotAvro,
    /// Nothing can be made of what is reported: why.
    NoDraft(NoDraft),
}

/// Drafts a version of the schema that a dataset is bound to of what was last reported of it, or registers a
/// schema for a dataset that is bound to none; and asks that the version becomes active.
///
/// Each step is a change of its own, as if the caller did one after the other.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`] for a missing or a foreign dataset or schema, what is wrong with what
/// was asked, or what the database or the store answer.
pub async fn accept(
    call: &Call,
    dataset_id: Result<Uuid>,
    fqid: Option<String>,
) -> Result<Accepted> {
    call.authorize(Operation::SchemaDraft)?;
    let dataset_id = dataset_id?;
    call.record().about_dataset(dataset_id);
    let tx = call.read().await?;
    let reported = drift_store::last(&tx, dataset_id).await?.ok_or(Error::NotFound("dataset"))?;
    drop(tx);
    let Some(fields) = reported.fields else { return Ok(Accepted::NothingReported) };
    let (name, bound) = match (reported.schema_fqid, fqid) {
        (Some(_), Some(_)) => return Ok(Accepted::Bound),
        (None, None) => return Ok(Accepted::NameNeeded),
        (Some(bound), None) => {
            let missing = || Error::NotFound("schema");
            let fqid = bound.split('@').next().unwrap_or_default();
            let name = own_name(call, fqid, "datasetId").map_err(|_| missing())?;
            let record = command::named(call, &name).await?.ok_or_else(missing)?;
            (name, Some(record))
        }
        (None, Some(fqid)) => (own_name(call, &fqid, "schemaFqid")?, None),
    };
    let of_record = match &bound {
        // Readers find a record by its name: it keeps the one that it has.
        Some(record) => known_name(call, &name, record).await?,
        None => None,
    };
    let of_record = of_record.unwrap_or_else(|| record_name(&name));
    let text = match observed::draft(&fields, &of_record) {
        Ok(text) => text,
        Err(NoDraft::NoFields) => return Ok(Accepted::NothingReported),
        Err(why) => return Ok(Accepted::NoDraft(why)),
    };
    let schema_id = match bound {
        Some(record) if record.format != Format::Avro.as_str() => return Ok(Accepted::NotAvro),
        Some(record) => record.schema_id,
        None => {
            let plain = Asked::plain(name.to_string(), Format::Avro);
            match command::register(call, plain).await? {
                Registered::Done(id) => id,
                Registered::NameTaken => return Ok(Accepted::NameTaken),
            }
        }
    };
    let key = match command::draft(call, Ok(schema_id), None, &text, Vec::new()).await? {
        Drafted::Done(key) => key,
        Drafted::Same(key) | Drafted::Frozen(key) if is_draft(call, key).await? => key,
        Drafted::Same(key) | Drafted::Frozen(key) => return Ok(Accepted::Same(key)),
    };
    let reason = Some(format!("what runs report of dataset {dataset_id}"));
    let proposal = Proposal { reason, ..Proposal::of(Kind::Activate) };
    Ok(match Box::pin(governance::propose(call, Ok(key), proposal)).await? {
        Ended::Done { transition_id, .. } => Accepted::Proposed(key, transition_id),
        Ended::Refused(refused) => Accepted::Refused(key, refused),
    })
}

/// The name of the record: Avro's names have no `-`, and the draft sees to that.
fn record_name(name: &SchemaName) -> String {
    format!("{}.{}", name.domain(), name.name())
}

/// The name of the record that the latest active version of a schema of Avro is.
async fn known_name(call: &Call, name: &SchemaName, record: &Record) -> Result<Option<String>> {
    if record.format != Format::Avro.as_str() {
        return Ok(None);
    }
    let latest = {
        let tx = call.read().await?;
        repository::latest_active(&tx, &[record.schema_id]).await?.pop()
    };
    let Some(latest) = latest else { return Ok(None) };
    let text = content::get(call, name, repository::hash_of(&latest.content_hash)?).await?;
    let schema: Value = serde_json::from_str(&text.0).map_err(Error::internal)?;
    let text = |member: &str| schema.get(member).and_then(Value::as_str);
    Ok(text("name").map(|own| match text("namespace") {
        Some(namespace) => format!("{namespace}.{own}"),
        None => own.to_owned(),
    }))
}

async fn is_draft(call: &Call, key: VersionKey) -> Result<bool> {
    let tx = call.read().await?;
    let found = repository::versions_at(&tx, &[key]).await?.pop();
    Ok(found.is_some_and(|version| version.state == State::Draft.as_str()))
}
