//! A line of a bundle: an event in its OCSF form, and in its `unmapped.evidence` what shows that it is in
//! the log. It stays an event that every reader of OCSF can take.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tlog_tiles::tlog::{self, Hash};

use super::super::note::Tree;
use crate::audit::{Event, model::leaf_hash, ocsf::api_activity};

/// The version of this program.
const OWN: &str = env!("CARGO_PKG_VERSION");
const MEMBER: &str = "evidence";

/// What shows that an event is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    /// The hashes from the leaf to the root (RFC 6962 §2.1.1), in base64.
    pub(super) inclusion_proof: Vec<String>,
    /// The event as it was hashed.
    pub(super) leaf: String,
    /// Which leaf of the log it is, from 0.
    pub(super) leaf_index: u64,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It is longer than any can be, or has no end.
    #[error("it is too long or cut off")]
    Cut,
    /// It is not such an object.
    #[error("it is no event with its evidence")]
    Form,
    /// Its event is of another tenant or time than the bundle is.
    #[error("its event is not of what the bundle is about")]
    Foreign,
    /// What is said in OCSF is not what its leaf says.
    #[error("its OCSF form is not that of its leaf")]
    Told,
    /// The same, and the form may be that of another version of the program.
    #[error("its OCSF form is not that of its leaf as drr {own} writes it; drr {0} did", own = OWN)]
    ToldBy(String),
    /// The leaf is not before those of the lines after it.
    #[error("its leaf {0} does not come after that of the line before")]
    Order(u64),
    /// The log that was signed has no such leaf in this place.
    #[error("its leaf is not number {0} of the log that was signed")]
    NotIncluded(u64),
}

/// The line of an event.
pub(super) fn written(event: &Event, evidence: &Evidence) -> serde_json::Result<Vec<u8>> {
    let mut said = api_activity(event);
    if let Some(unmapped) = said.get_mut("unmapped").and_then(Value::as_object_mut) {
        unmapped.insert(MEMBER.to_owned(), serde_json::to_value(evidence)?);
    }
    let mut line = serde_json::to_vec(&said)?;
    line.push(b'\n');
    Ok(line)
}

impl Evidence {
    pub(super) fn new(index: u64, leaf: String, proof: &[Hash]) -> Self {
        let inclusion_proof = proof.iter().map(|hash| STANDARD.encode(hash.0)).collect();
        Self { inclusion_proof, leaf, leaf_index: index }
    }
}

/// The event of a line that a version of the program wrote, and which leaf it is, if that is in the tree
/// and says what the line says.
pub(super) fn checked(line: &[u8], tree: Tree, program: &str) -> Result<(Event, u64), BadLine> {
    let mut said: Value = serde_json::from_slice(line).map_err(|_| BadLine::Form)?;
    let unmapped = said.get_mut("unmapped").and_then(Value::as_object_mut);
    let evidence = unmapped.and_then(|unmapped| unmapped.remove(MEMBER)).ok_or(BadLine::Form)?;
    let evidence: Evidence = serde_json::from_value(evidence).map_err(|_| BadLine::Form)?;
    let event: Event = serde_json::from_str(&evidence.leaf).map_err(|_| BadLine::Form)?;
    let mut told = api_activity(&event);
    if let Some(version) = told.pointer_mut("/metadata/product/version") {
        *version = program.into();
    }
    match told == said {
        true => {}
        false if program == OWN => return Err(BadLine::Told),
        false => return Err(BadLine::ToldBy(program.to_owned())),
    }
    let index = evidence.leaf_index;
    let proof = evidence.inclusion_proof.iter().map(|hash| Hash::parse_hash(hash));
    let proof = proof.collect::<Result<Vec<_>, _>>().map_err(|_| BadLine::Form)?;
    let hash = Hash(leaf_hash(evidence.leaf.as_bytes()));
    match tlog::check_record(&proof, tree.size, Hash(tree.root), index, hash) {
        Ok(()) => Ok((event, index)),
        Err(_) => Err(BadLine::NotIncluded(index)),
    }
}

#[cfg(test)]
mod tests;
