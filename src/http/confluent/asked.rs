//! A request: who asks, for what, and what comes with it.

use std::sync::{Mutex, PoisonError};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;

use super::{
    super::{
        RequestContext,
        body::{self, BodyLimits},
    },
    Confluent, Refused, Result, subject,
};
use crate::{
    auth::policy::Operation,
    call::Call,
    schema::{
        command::{is_own, named},
        model::{lifecycle::State, name::SchemaName},
        repository::{self, Record, Version},
        subjects::Listing,
    },
};

/// The media types that a body may have, the first of which answers have.
const MEDIA_TYPES: [&str; 3] =
    [super::MEDIA_TYPE, "application/vnd.schemaregistry+json", "application/json"];
/// A version in use.
const LIVE: &[&str] = &[State::Active.as_str()];
/// One that is, or was.
const ANY: &[&str] = &[State::Active.as_str(), State::Deprecated.as_str(), State::Retired.as_str()];

/// See the [module](self).
pub(super) struct Asked {
    pub call: Call,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    /// In a lock, so that what reads the rest of the request can be sent to another thread.
    body: Mutex<Body>,
    limits: BodyLimits,
}

impl FromRequest<Confluent> for Asked {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &Confluent) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let context = RequestContext::from_request_parts(&mut parts, state).await?;
        let path = RawPathParams::from_request_parts(&mut parts, state).await;
        let call = state.authentication.call(&parts.headers, &context.record).await?;
        // What is no UTF-8 is no name.
        let path = path.map_err(|_| Refused::subject())?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            call: call.until(context.deadline),
            path: path.iter().map(owned).collect(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: parts.headers,
            body: Mutex::new(body),
            limits: state.limits,
        })
    }
}

impl Asked {
    /// Lets the caller do this, or does not, and waits for a place at work.
    pub async fn begin(&mut self, operation: Operation) -> Result<()> {
        tracing::Span::current().record("operation", operation.as_str());
        self.call.authorize(operation)?;
        Ok(self.call.begin().await?)
    }

    /// What comes with it.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let media = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.and_then(|text| text.parse::<mime::Mime>().ok());
        if media.is_some_and(|media| !MEDIA_TYPES.contains(&media.essence_str())) {
            return Err(Refused::media_type());
        }
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let body = std::mem::take(body);
        let bytes = body::read(&self.headers, body, &self.limits).await?;
        serde_json::from_slice(&bytes).map_err(|error| Refused::malformed(&error))
    }

    fn in_path(&self, name: &str) -> &str {
        let found = self.path.iter().find(|(of, _)| of == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is `true`, in whatever case: that of a client's language.
    pub fn is(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether it asks for descriptors of Protobuf in place of texts.
    pub fn wants_descriptors(&self) -> bool {
        self.parameter("format") == Some("serialized")
    }

    /// The states of the versions that it asks for.
    pub fn states(&self) -> &'static [&'static str] {
        if self.is("deleted") { ANY } else { LIVE }
    }

    /// Which part of a list it asks for: all of it, as far as that goes, where it does not say.
    pub fn listing(&self, most: u32) -> Listing<'_> {
        // What is no number, or below 0, is none.
        let number = |name| self.parameter(name).and_then(|text| text.parse::<u32>().ok());
        Listing {
            prefix: subject::prefix(self.parameter("subjectPrefix").unwrap_or_default()),
            states: self.states(),
            offset: number("offset").unwrap_or(0),
            limit: number("limit").unwrap_or(most).min(most),
        }
    }

    /// The part of `list` that it asks for.
    pub fn part<T>(&self, list: Vec<T>) -> Vec<T> {
        let Listing { offset, limit, .. } = self.listing(super::MAXIMUM_LISTED);
        let whole = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        list.into_iter().skip(whole(offset)).take(whole(limit)).collect()
    }

    /// The number in the path.
    pub fn id(&self) -> Result<i32> {
        self.in_path("id").parse().map_err(|_| Refused::schema())
    }

    /// The version in the path; none is the latest.
    pub fn number(&self) -> Result<Option<i32>> {
        match self.in_path("version") {
            "latest" | "-1" => Ok(None),
            text => match text.parse() {
                Ok(number @ 1..) => Ok(Some(number)),
                _ => Err(Refused::invalid_version()),
            },
        }
    }

    /// The subject in the path, as one to write to.
    pub fn own_subject(&self) -> Result<SchemaName> {
        own(&self.call, self.in_path("subject"))
    }

    /// The subject in the path, if it is there.
    pub async fn found(&self) -> Result<Option<Record>> {
        match own(&self.call, self.in_path("subject")) {
            Ok(name) => find(&self.call, &name).await,
            Err(_) => Ok(None),
        }
    }

    /// The subject in the path, with its versions in these states, the latest first.
    ///
    /// # Errors
    /// 40401 for one without any: missing and foreign ones, and those that are not in use, look the same.
    pub async fn versions(&self, states: &[&str]) -> Result<(Record, Vec<Version>)> {
        let record = self.found().await?.ok_or_else(Refused::subject)?;
        let mut versions = versions_of(&self.call, &record).await?;
        versions.retain(|version| states.contains(&version.state.as_str()));
        if versions.is_empty() { Err(Refused::subject()) } else { Ok((record, versions)) }
    }

    /// The version in the path.
    ///
    /// # Errors
    /// 42202 for what is no number, 40401 and 40402.
    pub async fn version(&self) -> Result<(Record, Version)> {
        let number = self.number()?;
        let (record, versions) = self.versions(self.states()).await?;
        let is_asked_for = |version: &Version| match number {
            Some(number) => version.number == number,
            None => LIVE.contains(&version.state.as_str()),
        };
        let version = versions.into_iter().find(is_asked_for);
        Ok((record, version.ok_or_else(Refused::version)?))
    }
}

/// The name of a schema that the caller's token is for.
///
/// # Errors
/// 42208.
pub(super) fn own(call: &Call, text: &str) -> Result<SchemaName> {
    let name = subject::parse(call.principal().tenant(), text)
        .map_err(|wrong| Refused::invalid_subject(&wrong.to_string()))?;
    match is_own(call, &name) {
        true => Ok(name),
        false => Err(Refused::invalid_subject("it is not the caller's")),
    }
}

/// A schema by its name.
pub(super) async fn find(call: &Call, name: &SchemaName) -> Result<Option<Record>> {
    call.record().about(|| format!("schema:{name}"));
    Ok(named(call, name).await?)
}

/// All versions of a schema, the latest first.
pub(super) async fn versions_of(call: &Call, record: &Record) -> Result<Vec<Version>> {
    let tx = call.read().await?;
    Ok(repository::versions_of(&tx, record.schema_id).await?)
}
