//! The four parameters of a GraphQL request, from a JSON body or from a query string.

use async_graphql::{Request, Variables};
use serde::Deserialize;

use crate::error::{Error, Result};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Variables>,
    extensions: Option<async_graphql::Extensions>,
}

impl TryFrom<Parameters> for Request {
    type Error = Error;

    fn try_from(parameters: Parameters) -> Result<Self> {
        let query = parameters
            .query
            .ok_or_else(|| Error::bad_input("query", "is required, as a string"))?;
        let mut request = Self::new(query).variables(parameters.variables.unwrap_or_default());
        request.operation_name = parameters.operation_name;
        request.extensions = parameters.extensions.unwrap_or_default();
        Ok(request)
    }
}

/// From the body of a POST. serde_json refuses more than 128 levels, so that values of variables
/// cannot grow deeper than a stack.
pub(super) fn from_json(bytes: &[u8]) -> Result<Request> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::bad_input("body", "batches are not supported: send one request each"));
    }
    let parameters: Parameters = json("body", bytes)?;
    parameters.try_into()
}

/// From the query string of a GET.
pub(super) fn from_query(query: &str) -> Result<Request> {
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
    parameters.try_into()
}

fn json<T: for<'de> Deserialize<'de>>(field: &'static str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::bad_input(field, error.to_string()))
}
