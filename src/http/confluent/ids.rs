//! Versions by their number within the tenant: what a message's first bytes name.

use serde::Serialize;

use super::{
    Answer, Asked, Refused, Result,
    subject::short,
    told::{Told, Verbatim, text},
};
use crate::{
    auth::policy::Operation,
    schema::{
        command::is_reached,
        model::lifecycle::State,
        repository::{self, Record, Version},
        subjects::by_content_id,
    },
};

/// The version that the path names. A draft is nobody's to read messages by: what it says may change.
async fn named(asked: &mut Asked) -> Result<(Record, Version)> {
    asked.begin(Operation::SchemaRead).await?;
    let (call, id) = (&asked.call, asked.id()?);
    call.record().about(|| format!("schema:#{id}"));
    let tx = call.read().await?;
    let version = by_content_id(&tx, id).await?;
    let version = version.filter(|version| version.state != State::Draft.as_str());
    let version = version.ok_or_else(Refused::schema)?;
    let record = repository::by_ids(&tx, &[version.schema_id]).await?.pop();
    let record = record.filter(|record| is_reached(call, record)).ok_or_else(Refused::schema)?;
    Ok((record, version))
}

/// `GET /schemas/ids/{id}`
pub(super) async fn read(mut asked: Asked) -> Result<Answer<Told>> {
    let (record, version) = named(&mut asked).await?;
    let of = (&record, &version);
    Ok(Answer(Told::bare(&asked.call, of, asked.wants_descriptors()).await?))
}

/// `GET /schemas/ids/{id}/schema`: the text itself, as it is.
pub(super) async fn schema(mut asked: Asked) -> Result<Verbatim> {
    let (record, version) = named(&mut asked).await?;
    let of = (&record, &version);
    Ok(Verbatim(text(&asked.call, of, asked.wants_descriptors()).await?))
}

/// The subject that the version is of, if it is in use there.
async fn used(mut asked: Asked) -> Result<(Asked, Option<(String, i32)>)> {
    let (record, version) = named(&mut asked).await?;
    let is_used = asked.states().contains(&version.state.as_str());
    let used = is_used.then(|| (short(&record.domain, &record.name), version.number));
    Ok((asked, used))
}

/// `GET /schemas/ids/{id}/subjects`
pub(super) async fn subjects(asked: Asked) -> Result<Answer<Vec<String>>> {
    let (asked, used) = used(asked).await?;
    let subjects = used.into_iter().map(|(subject, _)| subject).collect();
    Ok(Answer(asked.part(subjects)))
}

/// A version of a subject.
#[derive(Serialize)]
pub(super) struct Used {
    subject: String,
    version: i32,
}

/// `GET /schemas/ids/{id}/versions`
pub(super) async fn versions(asked: Asked) -> Result<Answer<Vec<Used>>> {
    let (asked, used) = used(asked).await?;
    let versions = used.into_iter().map(|(subject, version)| Used { subject, version }).collect();
    Ok(Answer(asked.part(versions)))
}
