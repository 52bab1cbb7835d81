//! Answers, and what is told of a version.

use std::collections::HashMap;

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::{MEDIA_TYPE, Result, subject::short};
use crate::{
    call::Call,
    error::Error,
    schema::{
        content,
        model::{
            format::{Format, Schema},
            protobuf,
        },
        repository::{self, Record, Version, hash_of, name_of, references_of},
    },
};

/// An answer in their media type, which only its caller keeps.
pub(super) struct Answer<T>(pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        answer(Json(self.0))
    }
}

/// A schema's text, as it is.
pub(super) struct Verbatim(pub String);

impl IntoResponse for Verbatim {
    fn into_response(self) -> Response {
        answer(self.0)
    }
}

fn answer(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    response
}

/// A version, as far as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    /// Theirs is left out where it is Avro.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
    schema: String,
}

#[derive(Debug, Serialize)]
struct Reference {
    name: String,
    subject: String,
    version: i32,
}

impl Told {
    /// A version without what it is called.
    pub async fn bare(call: &Call, of: (&Record, &Version), descriptor: bool) -> Result<Self> {
        let (record, version) = of;
        let format: Format = record.format.parse().map_err(Error::internal)?;
        let named = references(call, version).await?;
        Ok(Self {
            subject: None,
            id: None,
            version: None,
            schema_type: (format != Format::Avro).then(|| format.as_str()),
            references: named,
            schema: text(call, of, descriptor).await?,
        })
    }

    /// A version with what it is called.
    pub async fn whole(call: &Call, of: (&Record, &Version), descriptor: bool) -> Result<Self> {
        let (record, version) = of;
        let bare = Self::bare(call, of, descriptor).await?;
        let subject = Some(short(&record.domain, &record.name));
        Ok(Self { subject, id: Some(version.content_id), version: Some(version.number), ..bare })
    }
}

/// What a version says; a descriptor of Protobuf where that is asked for.
pub(super) async fn text(
    call: &Call,
    (record, version): (&Record, &Version),
    descriptor: bool,
) -> Result<String> {
    let name = name_of(call.principal().tenant(), record)?;
    let format: Format = record.format.parse().map_err(Error::internal)?;
    if !(descriptor && format == Format::Protobuf) {
        let text = content::get(call, &name, hash_of(&version.content_hash)?).await?;
        return Ok(text.0.clone());
    }
    let whole = content::whole(call, &name, version).await?;
    let read = tokio::task::spawn_blocking(move || {
        let schema = Schema::parse(Format::Protobuf, &whole.text.0, &whole.references);
        let schema = schema.map_err(|_| Error::internal("a stored content cannot be read"))?;
        let Schema::Protobuf(schema) = schema else {
            return Err(Error::internal("a schema of Protobuf is none"));
        };
        Ok(STANDARD.encode(protobuf::descriptor_of(&schema)))
    });
    Ok(read.await.map_err(Error::internal)??)
}

async fn references(call: &Call, version: &Version) -> Result<Vec<Reference>> {
    let references = references_of(version);
    if references.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = references.iter().map(|(_, key)| key.schema_id).collect();
    let tx = call.read().await?;
    let schemas = repository::by_ids(&tx, &ids).await?;
    let called: HashMap<_, _> =
        schemas.iter().map(|of| (of.schema_id, short(&of.domain, &of.name))).collect();
    let told = references.into_iter().map(|(name, key)| {
        let subject = called.get(&key.schema_id).cloned();
        let subject = subject.ok_or_else(|| Error::internal("a reference to no schema"))?;
        Ok(Reference { name, subject, version: key.number })
    });
    told.collect()
}
