//! Subjects and their versions.

use super::{
    Answer, Asked, MAXIMUM_LISTED, Result,
    subject::short,
    told::{Told, Verbatim, text},
};
use crate::{
    auth::policy::Operation,
    schema::{
        repository::key_of,
        subjects::{names, referring},
    },
};

/// `GET /subjects`
pub(super) async fn list(mut asked: Asked) -> Result<Answer<Vec<String>>> {
    asked.begin(Operation::SchemaRead).await?;
    let call = &asked.call;
    let tx = call.read().await?;
    let found = names(&tx, call.principal().reach(), &asked.listing(MAXIMUM_LISTED)).await?;
    Ok(Answer(found.iter().map(|named| short(&named.domain, &named.name)).collect()))
}

/// `GET /subjects/{subject}/versions`
pub(super) async fn versions(mut asked: Asked) -> Result<Answer<Vec<i32>>> {
    asked.begin(Operation::SchemaRead).await?;
    let (_, versions) = asked.versions(asked.states()).await?;
    Ok(Answer(asked.part(versions.iter().rev().map(|version| version.number).collect())))
}

/// `GET /subjects/{subject}/versions/{version}`
pub(super) async fn version(mut asked: Asked) -> Result<Answer<Told>> {
    asked.begin(Operation::SchemaRead).await?;
    let (record, version) = asked.version().await?;
    let of = (&record, &version);
    Ok(Answer(Told::whole(&asked.call, of, asked.wants_descriptors()).await?))
}

/// `GET /subjects/{subject}/versions/{version}/schema`: the text itself, as it is.
pub(super) async fn schema(mut asked: Asked) -> Result<Verbatim> {
    asked.begin(Operation::SchemaRead).await?;
    let (record, version) = asked.version().await?;
    let of = (&record, &version);
    Ok(Verbatim(text(&asked.call, of, asked.wants_descriptors()).await?))
}

/// `GET /subjects/{subject}/versions/{version}/referencedby`: the numbers of those that refer to it.
pub(super) async fn referenced_by(mut asked: Asked) -> Result<Answer<Vec<i32>>> {
    asked.begin(Operation::SchemaRead).await?;
    let (_, version) = asked.version().await?;
    let call = &asked.call;
    let tx = call.read().await?;
    let reach = call.principal().reach();
    let found = referring(&tx, reach, key_of(&version), asked.states()).await?;
    Ok(Answer(asked.part(found)))
}
