//! What a bundle says of itself: a signed note whose text is [`FORM`] and, after it, JSON.
//!
//! The first line of a checkpoint is the name of a log and the second one a number: neither can be taken
//! for the other, though the same key signs both.

use std::{collections::BTreeMap, str};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::super::{model::BrokenLog, note};

/// The first line.
pub const FORM: &str = "drr.audit-export/v1";

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name of the log, and of the key that signs it.
    pub log: String,
    /// Whose events these are.
    pub tenant: String,
    /// They happened not before.
    pub since: Option<DateTime<Utc>>,
    /// They happened before.
    pub until: DateTime<Utc>,
    /// How many there are.
    pub events: u64,
    /// Archives with events of that time that are kept no longer: by their names, how many they had of
    /// this time or of another.
    pub deleted: BTreeMap<String, u64>,
    /// When the bundle was made.
    pub made_at: DateTime<Utc>,
    /// The version of the program that made it.
    pub program: String,
    /// The other files, by their names.
    pub files: BTreeMap<String, File>,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// As it is signed.
    ///
    /// # Errors
    /// None that this type can come to.
    pub fn text(&self) -> serde_json::Result<String> {
        Ok(format!("{FORM}\n{}\n", serde_json::to_string_pretty(self)?))
    }

    /// What a note says that is signed by this key.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(verifier_key: &str, signed: &[u8]) -> Result<Self, BadManifest> {
        let text = note::opened(verifier_key, signed)?;
        let text = str::from_utf8(&text).map_err(|_| BadManifest::Form)?;
        let said = text.strip_prefix(FORM).and_then(|rest| rest.strip_prefix('\n'));
        Ok(serde_json::from_str(said.ok_or(BadManifest::Form)?)?)
    }
}

/// Why a note is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum BadManifest {
    /// It is not signed by this key.
    #[error("it is not signed by this key: {}", reason(.0))]
    Unsigned(#[from] BrokenLog),
    /// Its first line is another one.
    #[error("it does not begin with {FORM}")]
    Form,
    /// It does not say what a manifest says.
    #[error("{0}")]
    Content(#[from] serde_json::Error),
}

fn reason(error: &BrokenLog) -> String {
    match error {
        BrokenLog::Checkpoint(reason) => reason.clone(),
        other => other.to_string(),
    }
}
