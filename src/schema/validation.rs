//! Whether a text is a schema, how it would compare, and what payloads violate: judged, told of, and nothing
//! changed. // S5

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    command::{self, RawReference, own_name},
    content::{self, MAX_BYTES, Text, Whole},
    events::{self, EventType, NewEvent},
    model::{
        content::ContentHash,
        format::{Format, Schema},
        name::{SchemaName, VersionName},
        verdict::Verdict,
    },
    repository::{self, Record, Version},
    verdicts::{self, Candidate, Finding, Subject},
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    error::{Error, Result},
};

/// The most payloads of a batch.
pub const MAX_PAYLOADS: usize = 1_000;
/// The most violations that are told of one text or payload.
const MAX_VIOLATIONS: usize = 100;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violated {
    /// A JSON pointer, or `line:column` of a text that is no JSON.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

fn violated(violations: Vec<super::model::verdict::Violation>) -> Vec<Violated> {
    let told = violations.into_iter().take(MAX_VIOLATIONS);
    told.map(|violation| Violated { path: violation.path, message: violation.message }).collect()
}

/// A text that is to be judged.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it is written in; that of `schema` if it is left out.
    pub format: Option<Format>,
    /// The text.
    pub text: String,
    /// What it refers to.
    pub references: Vec<RawReference>,
    /// The schema that it would be a version of.
    pub schema: Option<String>,
}

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Why it is no schema; nothing if it is one.
    pub violations: Vec<Violated>,
    /// How it would compare with the versions of the schema; nothing without one.
    pub verdict: Option<String>,
    /// What differs.
    pub findings: Vec<Finding>,
}

/// Judges a text.
///
/// # Errors
/// [`Error::Forbidden`], what is wrong with what was asked, or what the database or the store answer.
pub async fn check(call: &Call, asked: Asked) -> Result<Checked> {
    let operation = Operation::SchemaValidate;
    // On the heap: comparing holds much.
    let prepare = Box::pin(async {
        let of = match &asked.schema {
            Some(fqid) => Some(named(call, own_name(call, fqid, "schema")?).await?),
            None => None,
        };
        let checked = judge(call, asked, of.as_ref()).await?;
        Ok((checked, of))
    });
    trail::change(call, operation, None, prepare, async |tx, (checked, of)| {
        let name = of.as_ref().map(|(_, subject)| subject.name.to_string());
        let data = json!({
            "schema": name, "valid": checked.violations.is_empty(),
            "violations": checked.violations.len(), "verdict": checked.verdict,
        });
        let schema_id = of.map(|(record, _)| record.schema_id);
        let event = NewEvent { event_type: EventType::Checked, schema_id, number: None, data };
        events::append(tx, call, event).await?;
        let resource = name.map(|name| format!("schema:{name}"));
        let entry = Entry { operation, dataset_id: None, resource, outcome: Outcome::Success };
        Ok(Done::new(checked, vec![entry]))
    })
    .await
}

/// A schema of the caller's by its name.
///
/// # Errors
/// [`Error::NotFound`].
async fn named(call: &Call, name: SchemaName) -> Result<(Record, Subject)> {
    let record = command::named(call, &name).await?.ok_or(Error::NotFound("schema"))?;
    let subject = Subject::of(call.principal().tenant(), &record)?;
    Ok((record, subject))
}

async fn judge(call: &Call, asked: Asked, of: Option<&(Record, Subject)>) -> Result<Checked> {
    let format = match (asked.format, of) {
        (Some(format), Some((_, subject))) if format != subject.format => {
            return Err(Error::bad_input("format", "is not that of the schema"));
        }
        (Some(format), _) => format,
        (None, Some((_, subject))) => subject.format,
        (None, None) => return Err(Error::bad_input("format", "is needed without a schema")),
    };
    if asked.text.len() > MAX_BYTES {
        return Err(Error::LimitExceeded { limit: "schemaContent", maximum: MAX_BYTES as u64 });
    }
    let (resolved, _) = command::referred(call, asked.references).await?;
    let hash = ContentHash::of(asked.text.as_bytes());
    let whole = Whole { text: Text(asked.text).into(), references: resolved.texts };
    let read = whole.clone();
    let parsed = tokio::task::spawn_blocking(move || {
        Schema::parse(format, &read.text.0, &read.references).map(|_| ()).map_err(violated)
    });
    if let Err(violations) = parsed.await.map_err(Error::internal)? {
        return Ok(Checked { violations, verdict: None, findings: Vec::new() });
    }
    let Some((record, subject)) = of else {
        return Ok(Checked { violations: Vec::new(), verdict: None, findings: Vec::new() });
    };
    let all = {
        let tx = call.read().await?;
        repository::versions_of(&tx, record.schema_id).await?
    };
    let candidate = Candidate { whole, hash, number: None };
    let compared = verdicts::compare(call, subject, candidate, &all).await?;
    let verdict = Some(compared.verdict.as_str().to_owned());
    Ok(Checked { violations: Vec::new(), verdict, findings: compared.findings })
}

/// What became of payloads: for each what it violates.
pub type Judged = Vec<Vec<Violated>>;

/// Judges payloads, each written as JSON, by a version of a schema.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`] for a missing or a foreign version, [`Error::LimitExceeded`] for too
/// many payloads, or what the database or the store answer.
pub async fn payloads(call: &Call, version: &str, payloads: Vec<String>) -> Result<Judged> {
    let operation = Operation::SchemaValidate;
    // On the heap: comparing holds much.
    let prepare = Box::pin(async {
        if payloads.len() > MAX_PAYLOADS {
            let maximum = MAX_PAYLOADS as u64;
            return Err(Error::LimitExceeded { limit: "payloads", maximum });
        }
        let (record, subject, version) = version_of(call, version).await?;
        let whole = content::whole(call, &subject.name, &version).await?;
        let judged = tokio::task::spawn_blocking(move || {
            let schema = verdicts::parsed(subject.format, &whole)?;
            Ok::<_, Error>((
                payloads.iter().map(|payload| violations(&schema, payload)).collect(),
                subject,
            ))
        });
        let (judged, subject): (Judged, _) = judged.await.map_err(Error::internal)??;
        Ok((judged, record, subject, version))
    });
    trail::change(call, operation, None, prepare, async |tx, (judged, record, subject, version)| {
        let invalid = judged.iter().filter(|violations| !violations.is_empty()).count();
        for (result, count) in [("valid", judged.len() - invalid), ("invalid", invalid)] {
            let labels = [("result", result)];
            metrics::counter!("drr_schema_payloads_total", &labels).increment(count as u64);
        }
        let data = json!({
            "schema": subject.name.to_string(), "contentHash": hex::encode(&version.content_hash),
            "payloads": judged.len(), "invalid": invalid,
        });
        let event = NewEvent {
            event_type: EventType::Validated,
            schema_id: Some(record.schema_id),
            number: Some(version.number),
            data,
        };
        events::append(tx, call, event).await?;
        let hash = repository::hash_of(&version.content_hash)?;
        let resource = Some(command::resource(&subject.name, version.number, &hash));
        let entry = Entry { operation, dataset_id: None, resource, outcome: Outcome::Success };
        Ok(Done::new(judged, vec![entry]))
    })
    .await
}

/// A version of the caller's by its name.
async fn version_of(call: &Call, name: &str) -> Result<(Record, Subject, Version)> {
    let name =
        VersionName::parse(name).map_err(|wrong| Error::bad_input("version", wrong.to_string()))?;
    let schema = own_name(call, &name.schema.to_string(), "version")?;
    let (record, subject) = named(call, schema).await?;
    let key = repository::VersionKey { schema_id: record.schema_id, number: name.number.get() };
    let tx = call.read().await?;
    let version = repository::versions_at(&tx, &[key]).await?.pop();
    Ok((record, subject, version.ok_or(Error::NotFound("schema version"))?))
}

fn violations(schema: &Schema, payload: &str) -> Vec<Violated> {
    match serde_json::from_str::<Value>(payload) {
        Ok(payload) => violated(schema.violations(&payload)),
        Err(error) => {
            let path = format!("{}:{}", error.line(), error.column());
            vec![Violated { path, message: format!("is no JSON: {error}") }]
        }
    }
}

/// The verdict as a verdict.
///
/// # Errors
/// [`Error::Internal`] for what is none.
pub fn verdict_of(checked: &Checked) -> Result<Option<Verdict>> {
    checked.verdict.as_deref().map(str::parse).transpose().map_err(Error::internal)
}
