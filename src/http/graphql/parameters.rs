//! The parameters of a GraphQL request, from a JSON body or from a query string: the four of the
//! specification, and `documentId` in place of the document.

use std::collections::HashMap;

use async_graphql::{Value, Variables};
use serde::Deserialize;

use crate::{
    config::DocumentLimits,
    error::{Error, Result},
    http::guard,
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    pub(super) query: Option<String>,
    pub(super) document_id: Option<String>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<Variables>,
    pub(super) extensions: Option<HashMap<String, Value>>,
}

impl Parameters {
    /// The hash that stands for the document in Apollo's protocol of persisted queries.
    pub(super) fn persisted(&self) -> Result<Option<&str>> {
        const FIELD: &str = "extensions.persistedQuery";
        let extensions = self.extensions.as_ref();
        let Some(extension) = extensions.and_then(|all| all.get("persistedQuery")) else {
            return Ok(None);
        };
        let malformed = || Error::bad_input(FIELD, "must be {version: 1, sha256Hash: \"…\"}");
        let Value::Object(extension) = extension else { return Err(malformed()) };
        match (extension.get("version"), extension.get("sha256Hash")) {
            (Some(Value::Number(version)), Some(Value::String(hash)))
                if version.as_u64() == Some(1) =>
            {
                Ok(Some(hash))
            }
            _ => Err(malformed()),
        }
    }
}

/// From the body of a POST. serde_json refuses more than 128 levels, so that values of variables
/// cannot grow deeper than a stack.
pub(super) fn from_json(bytes: &[u8], limits: &DocumentLimits) -> Result<Parameters> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::bad_input("body", "batches are not supported: send one request each"));
    }
    json("body", bytes, limits)
}

/// From the query string of a GET.
pub(super) fn from_query(query: &str, limits: &DocumentLimits) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let repeated = match &*name {
            "query" => parameters.query.replace(value.into_owned()).is_some(),
            "documentId" => parameters.document_id.replace(value.into_owned()).is_some(),
            "operationName" => parameters.operation_name.replace(value.into_owned()).is_some(),
            "variables" => {
                let variables = json("variables", value.as_bytes(), limits)?;
                parameters.variables.replace(variables).is_some()
            }
            "extensions" => {
                let extensions: Option<_> = json("extensions", value.as_bytes(), limits)?;
                parameters.extensions.replace(extensions.unwrap_or_default()).is_some()
            }
            _ => false,
        };
        if repeated {
            return Err(Error::bad_input(name.into_owned(), "is given twice"));
        }
    }
    Ok(parameters)
}

fn json<T: for<'de> Deserialize<'de>>(
    field: &'static str,
    bytes: &[u8],
    limits: &DocumentLimits,
) -> Result<T> {
    guard::check_json(bytes, limits)?;
    serde_json::from_slice(bytes).map_err(|error| Error::bad_input(field, error.to_string()))
}
