//! Trusted documents: a list of those that this deployment's own clients send.
//!
//! A file of JSON, read when the program starts: Apollo's manifest
//! (`{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body", …}]}`)
//! or a plain map of id to document. An id that looks like a SHA-256 must be that of its document.

use std::{collections::HashMap, path::Path, sync::Arc};

use async_graphql::parser::parse_query;
use serde::Deserialize;

use super::documents::{Hash, hash};
use crate::{config::DocumentLimits, graphql::Document, http::guard};

/// Why a list of trusted documents cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the trusted documents ({path}) cannot be used: {reason}")]
pub struct BrokenManifest {
    path: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    Apollo(Apollo),
    Plain(HashMap<String, String>),
}

#[derive(Deserialize)]
struct Apollo {
    format: String,
    version: u32,
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Trusted {
    by_id: HashMap<String, Arc<Document>>,
    by_hash: HashMap<Hash, Arc<Document>>,
}

impl Trusted {
    /// Reads a list. Each document must be within the limits, like any other.
    ///
    /// # Errors
    /// [`BrokenManifest`].
    pub fn read(path: &Path, limits: &DocumentLimits) -> Result<Self, BrokenManifest> {
        let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let trusted = read.and_then(|text| Self::parse(&text, limits));
        trusted.map_err(|reason| BrokenManifest { path: path.display().to_string(), reason })
    }

    fn parse(text: &str, limits: &DocumentLimits) -> Result<Self, String> {
        let manifest = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let documents: Vec<(String, String)> = match manifest {
            Manifest::Apollo(apollo)
                if apollo.format != "apollo-persisted-query-manifest" || apollo.version != 1 =>
            {
                return Err(format!("unknown format {} {}", apollo.format, apollo.version));
            }
            Manifest::Apollo(apollo) => apollo
                .operations
                .into_iter()
                .map(|operation| (operation.id, operation.body))
                .collect(),
            Manifest::Plain(documents) => documents.into_iter().collect(),
        };
        let mut trusted = Self::default();
        for (id, text) in documents {
            trusted.add(&id, &text, limits).map_err(|reason| format!("{id}: {reason}"))?;
        }
        Ok(trusted)
    }

    fn add(&mut self, id: &str, text: &str, limits: &DocumentLimits) -> Result<(), String> {
        let hash = hash(text);
        let claimed = parse_hash(id);
        if claimed.is_some_and(|claimed| claimed != hash) {
            return Err(format!("the SHA-256 of its document is {}", hex::encode(hash)));
        }
        guard::check(text, limits).map_err(|error| error.to_string())?;
        let parsed = parse_query(text).map_err(|error| error.to_string())?;
        let document = Document::new(parsed, text, limits).map_err(|error| error.to_string())?;
        let document = Arc::new(document);
        if self.by_id.insert(id.to_owned(), document.clone()).is_some() {
            return Err("is there twice".to_owned());
        }
        self.by_hash.insert(hash, document);
        Ok(())
    }

    /// The document by this id: that of the list, or its hash.
    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Document>> {
        let by_hash = || self.by_hash.get(&parse_hash(id)?);
        self.by_id.get(id).or_else(by_hash).cloned()
    }

    /// The document whose text has this hash.
    pub(super) fn by_hash(&self, hash: &Hash) -> Option<Arc<Document>> {
        self.by_hash.get(hash).cloned()
    }
}

/// A SHA-256 in hexadecimal digits, `sha256:` before it or not.
pub(super) fn parse_hash(text: &str) -> Option<Hash> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    hex::decode(digits).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::tests::limits;

    fn parse(manifest: &serde_json::Value) -> Result<Trusted, String> {
        Trusted::parse(&manifest.to_string(), &limits().graphql_document)
    }

    const TEXT: &str = "query Me { me { role } }";

    fn digest() -> String {
        hex::encode(hash(TEXT))
    }

    #[test]
    fn both_forms_of_the_list_are_read() {
        let apollo = json!({
            "format": "apollo-persisted-query-manifest", "version": 1,
            "operations": [{ "id": "me-1", "name": "Me", "type": "query", "body": TEXT }],
        });
        let trusted = parse(&apollo).unwrap();
        for id in ["me-1", &digest(), &format!("sha256:{}", digest())] {
            assert!(trusted.by_id(id).is_some(), "{id}");
        }
        assert!(trusted.by_id("me-2").is_none());
        let trusted = parse(&json!({ digest(): TEXT })).unwrap();
        assert!(trusted.by_hash(&hash(TEXT)).is_some());
        assert!(trusted.by_hash(&hash("{ me { role } }")).is_none());
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        let deep = format!("{{ a(x: {}1{}) }}", "[".repeat(70), "]".repeat(70));
        for (manifest, said) in [
            (json!({ "0".repeat(64): TEXT }), digest()),
            (json!({ "a": "{ me" }), "a: ".to_owned()),
            (json!({ "a": deep }), "limits.graphql_document_depth".to_owned()),
            (
                json!({ "format": "x", "version": 1, "operations": [] }),
                "unknown format x".to_owned(),
            ),
            (json!([1]), "did not match".to_owned()),
        ] {
            let reason = parse(&manifest).unwrap_err();
            assert!(reason.contains(&said), "{reason}");
        }
    }
}
