//! The four parameters of a GraphQL request, from a JSON body or from a query string.

use async_graphql::{Extensions, Variables};
use serde::Deserialize;

use crate::error::{Error, Result};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    pub(super) query: Option<String>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<Variables>,
    pub(super) extensions: Option<Extensions>,
}

/// From the body of a POST. serde_json refuses more than 128 levels, so that values of variables
/// cannot grow deeper than a stack.
pub(super) fn from_json(bytes: &[u8]) -> Result<Parameters> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::bad_input("body", "batches are not supported: send one request each"));
    }
    json("body", bytes)
}

/// From the query string of a GET.
pub(super) fn from_query(query: &str) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let repeated = match &*name {
            "query" => parameters.query.replace(value.into_owned()).is_some(),
            "operationName" => parameters.operation_name.replace(value.into_owned()).is_some(),
            "variables" => {
                let variables = json("variables", value.as_bytes())?;
                parameters.variables.replace(variables).is_some()
            }
            "extensions" => {
                let extensions = json("extensions", value.as_bytes())?;
                parameters.extensions.replace(extensions).is_some()
            }
            _ => false,
        };
        if repeated {
            return Err(Error::bad_input(name.into_owned(), "is given twice"));
        }
    }
    Ok(parameters)
}

fn json<T: for<'de> Deserialize<'de>>(field: &'static str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::bad_input(field, error.to_string()))
}
