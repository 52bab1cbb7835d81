//! What subjects promise: their level of compatibility, and nothing else.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Answer, Asked, Refused, Result};
use crate::{
    auth::policy::Operation,
    error::Error,
    schema::{
        command::{self, Patch, Updated},
        model::compatibility::Compatibility,
        repository::Record,
    },
};

/// What a subject promises unless it says otherwise.
const EVERYWHERE: Compatibility = Compatibility::Backward;

/// What is promised.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Level {
    compatibility_level: String,
}

impl Level {
    fn of(level: &str) -> Answer<Self> {
        Answer(Self { compatibility_level: level.to_owned() })
    }
}

/// `GET /config`
pub(super) async fn everywhere(mut asked: Asked) -> Result<Answer<Level>> {
    asked.begin(Operation::SchemaRead).await?;
    Ok(Level::of(EVERYWHERE.as_str()))
}

/// `GET /config/{subject}`
pub(super) async fn read(mut asked: Asked) -> Result<Answer<Level>> {
    asked.begin(Operation::SchemaRead).await?;
    match asked.found().await? {
        Some(record) => Ok(Level::of(&record.compatibility)),
        None if asked.is("defaultToGlobal") => Ok(Level::of(EVERYWHERE.as_str())),
        None => Err(Refused::no_level()),
    }
}

/// What is to be promised.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setting {
    compatibility: Option<String>,
    #[serde(flatten, skip_serializing)]
    other: Map<String, Value>,
}

/// `PUT /config/{subject}`
pub(super) async fn set(mut asked: Asked) -> Result<Answer<Setting>> {
    asked.begin(Operation::SchemaUpdate).await?;
    let Setting { compatibility, other } = asked.json().await?;
    if other.values().any(|value| !value.is_null()) {
        return Err(Refused::not_permitted("Only the level of compatibility can be set here"));
    }
    let level = compatibility.map(|level| level.to_ascii_uppercase());
    let level: Option<Compatibility> = level.and_then(|level| level.parse().ok());
    let level = level.ok_or_else(Refused::invalid_level)?;
    change(&asked, level).await?;
    let compatibility = Some(level.as_str().to_owned());
    Ok(Answer(Setting { compatibility, other: Map::new() }))
}

/// `DELETE /config/{subject}`: back to what everybody promises; answered with what was promised before.
pub(super) async fn reset(mut asked: Asked) -> Result<Answer<Level>> {
    asked.begin(Operation::SchemaUpdate).await?;
    let before = change(&asked, EVERYWHERE).await?;
    Ok(Level::of(&before.compatibility))
}

/// Changes what a subject promises; the subject as it was before.
async fn change(asked: &Asked, level: Compatibility) -> Result<Record> {
    let record = asked.found().await?.ok_or_else(Refused::subject)?;
    let patch = Patch { compatibility: Some(level), ..Patch::default() };
    match command::update(&asked.call, Ok(record.schema_id), None, patch).await? {
        Updated::Done(_) => Ok(record),
        Updated::OtherVersion(_) => {
            Err(Error::Conflict("the schema changed meanwhile".into()).into())
        }
    }
}

/// Whether a subject takes schemas: each does, if they are agreed to.
#[derive(Debug, Serialize)]
pub(super) struct Mode {
    mode: &'static str,
}

/// `GET /mode` and `GET /mode/{subject}`
pub(super) async fn mode(mut asked: Asked) -> Result<Answer<Mode>> {
    asked.begin(Operation::SchemaRead).await?;
    Ok(Answer(Mode { mode: "READWRITE" }))
}

/// What cannot be set: the level of all subjects at once, and modes.
pub(super) async fn refuse(mut asked: Asked) -> Result<Answer<Mode>> {
    asked.begin(Operation::SchemaUpdate).await?;
    Err(Refused::not_permitted("Levels are set per subject, and modes not at all"))
}
