//! From what a caller sent to a request that may be executed: read, within the limits, parsed.
//!
//! Every way in for documents (a body, a query string, a message of a socket) goes through here, and
//! only for callers whose token was verified: strangers cost no parsing.

use std::sync::Arc;

use async_graphql::{Request, ServerError, parser::parse_query};

use super::parameters::{self, Parameters};
use crate::{
    auth::TenantId,
    config::{DocumentLimits, Limits},
    error::{Error, Result},
    graphql::Document,
    http::guard,
};

/// A request that may be executed.
#[derive(Debug)]
pub struct Admitted {
    /// The request; it holds the parsed document already.
    pub request: Request,
    /// Its document, and what is known of it.
    pub document: Arc<Document>,
}

/// Why a request may not be executed.
#[derive(Debug)]
pub enum Refused {
    /// It is no GraphQL request, or over a limit.
    Request(Error),
    /// Its document is none: what the parser says, answered like what the validation says.
    Document(ServerError),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    limits: DocumentLimits,
}

impl Intake {
    /// Admits what is within `limits`.
    #[must_use]
    pub const fn new(limits: &Limits) -> Self {
        Self { limits: limits.graphql_document }
    }

    /// From JSON: the body of a POST, or the payload of a socket's message.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of_json(&self, tenant: &TenantId, bytes: &[u8]) -> Result<Admitted, Refused> {
        self.admit(tenant, parameters::from_json(bytes)?)
    }

    /// From the query string of a GET.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of_query(&self, tenant: &TenantId, query: &str) -> Result<Admitted, Refused> {
        self.admit(tenant, parameters::from_query(query)?)
    }

    fn admit(&self, _tenant: &TenantId, parameters: Parameters) -> Result<Admitted, Refused> {
        let text = parameters.query.as_deref();
        let text = text.ok_or_else(|| Error::bad_input("query", "is required, as a string"))?;
        let document = Arc::new(self.parse(text)?);
        let mut request = Request::new("").variables(parameters.variables.unwrap_or_default());
        request.operation_name = parameters.operation_name;
        request.extensions = parameters.extensions.unwrap_or_default();
        request.set_parsed_query(document.parsed().clone());
        Ok(Admitted { request, document })
    }

    fn parse(&self, text: &str) -> Result<Document, Refused> {
        guard::check(text, &self.limits).map_err(|error| match error {
            // What cannot be scanned could not be parsed either.
            Error::BadUserInput { .. } => {
                Refused::Document(ServerError::new(error.to_string(), None))
            }
            error => Refused::Request(error),
        })?;
        let parsed = parse_query(text).map_err(|error| Refused::Document(error.into()))?;
        Ok(Document::new(parsed)?)
    }
}
