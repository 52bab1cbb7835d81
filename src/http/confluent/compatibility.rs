//! Whether a schema would be compatible, without registering it.

use serde::Serialize;

use super::{Answer, Asked, Refused, Result, asked::versions_of, register::Posted};
use crate::{
    auth::policy::Operation,
    call::Call,
    schema::{
        command::Read,
        model::{format::Format, lifecycle::State, verdict::Verdict},
        repository::{Record, Version},
        verdicts::{self, Candidate, Compared, Finding, Subject},
    },
};

/// The most reasons that are told.
const MAXIMUM_MESSAGES: usize = 20;

/// What a question about compatibility is answered with.
#[derive(Debug, Serialize)]
pub(super) struct Verdicts {
    is_compatible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<String>>,
}

/// Why a schema is not, or cannot be said to be, compatible: the worst first.
pub(super) fn broken(compared: &Compared) -> Vec<String> {
    let notes = Verdict::Compatible.as_str();
    let worse = compared.findings.iter().filter(|finding| finding.verdict != notes);
    worse.take(MAXIMUM_MESSAGES).map(message).collect()
}

fn message(finding: &Finding) -> String {
    let Finding { against, direction, verdict, rule, path, message } = finding;
    let told = if verdict == Verdict::Unknown.as_str() { "cannot be told: " } else { "" };
    format!(
        "{{errorType:'{rule}', description:'{told}{message}', path:'{path}', direction:'{direction}', version:{against}}}"
    )
}

/// `POST /compatibility/subjects/{subject}/versions`
pub(super) async fn with_all(mut asked: Asked) -> Result<Answer<Verdicts>> {
    asked.begin(Operation::SchemaRead).await?;
    let sent = sent(&mut asked).await?;
    let Some(record) = asked.found().await? else { return Ok(Answer(nothing(&asked))) };
    let versions = versions_of(&asked.call, &record).await?;
    compare(&asked, &record, sent, &versions).await
}

/// `POST /compatibility/subjects/{subject}/versions/{version}`
pub(super) async fn with_one(mut asked: Asked) -> Result<Answer<Verdicts>> {
    asked.begin(Operation::SchemaRead).await?;
    let number = asked.number()?;
    let sent = sent(&mut asked).await?;
    let found = asked.found().await?;
    let versions = match &found {
        Some(record) => versions_of(&asked.call, record).await?,
        None => Vec::new(),
    };
    let is_live = |version: &&Version| version.state == State::Active.as_str();
    let mut live = versions.iter().filter(is_live);
    let version = live.find(|version| number.is_none_or(|number| version.number == number));
    match (version, &found) {
        (Some(version), Some(record)) => {
            compare(&asked, record, sent, std::slice::from_ref(version)).await
        }
        // There is no latest one that it could be incompatible with.
        _ if number.is_none() => Ok(Answer(nothing(&asked))),
        _ => Err(Refused::version()),
    }
}

/// The schema that was sent, read, and its format.
async fn sent(asked: &mut Asked) -> Result<(Format, Read)> {
    let posted: Posted = asked.json().await?;
    let sent = posted.read(&asked.call).await?;
    Ok((sent.format, sent.read(&asked.call).await?))
}

/// How what was sent would compare with these versions of a schema, if it were its next one.
pub(super) async fn compared(
    call: &Call,
    record: &Record,
    read: Read,
    versions: &[Version],
) -> Result<Compared> {
    let subject = Subject::of(call.principal().tenant(), record)?;
    let candidate = Candidate { whole: read.whole, hash: read.content.hash, number: None };
    Ok(verdicts::compare(call, &subject, candidate, versions).await?)
}

/// What is said where there is nothing to be incompatible with.
fn nothing(asked: &Asked) -> Verdicts {
    Verdicts { is_compatible: true, messages: asked.is("verbose").then(Vec::new) }
}

async fn compare(
    asked: &Asked,
    record: &Record,
    (format, read): (Format, Read),
    versions: &[Version],
) -> Result<Answer<Verdicts>> {
    let verbose = |messages: Vec<String>| asked.is("verbose").then_some(messages);
    if record.format != format.as_str() {
        let messages = vec![format!("The subject's schemas are of {}", record.format)];
        return Ok(Answer(Verdicts { is_compatible: false, messages: verbose(messages) }));
    }
    let compared = compared(&asked.call, record, read, versions).await?;
    let is_compatible = compared.verdict == Verdict::Compatible;
    Ok(Answer(Verdicts { is_compatible, messages: verbose(broken(&compared)) }))
}
