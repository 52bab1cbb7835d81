//! From what a caller sent to a request that may be executed: read, within the limits, parsed.
//!
//! Every way in for documents (a body, a query string, a message of a socket) goes through here, and
//! only for callers whose token was verified: strangers cost no parsing.

use std::sync::Arc;

use async_graphql::{ErrorExtensionValues, Extensions, Request, ServerError, parser::parse_query};

use super::{
    documents::{Documents, Hash, hash},
    parameters::{self, Parameters},
    trusted::{Trusted, parse_hash},
};
use crate::{
    auth::TenantId,
    config::{DocumentLimits, Limits},
    error::{Error, ErrorCode, Result},
    graphql::Document,
    http::guard,
    telemetry,
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
    /// Its document is not on the list.
    Untrusted,
}

/// What a caller is told whose document is not on the list.
pub(super) const UNTRUSTED: &str = "only the documents of the list are executed here";

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

impl Refused {
    /// As an error of GraphQL, for those who have no status to say it by.
    #[must_use]
    pub fn into_server_error(self) -> ServerError {
        match self {
            Self::Document(error) => error,
            Self::Request(error) => coded(error.code().as_str(), error.to_string()),
            Self::Untrusted => coded(ErrorCode::Forbidden.as_str(), UNTRUSTED),
        }
    }
}

fn coded(code: &str, message: impl Into<String>) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", code);
    error
}

/// The code of the answer after which a client sends the whole document.
pub(super) const NOT_FOUND: &str = "PERSISTED_QUERY_NOT_FOUND";

/// Which documents are taken.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Whether a document may be asked for by its hash once it is known.
    pub persisted: bool,
    /// Whether only those of the list are executed.
    pub only_trusted: bool,
}

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    limits: DocumentLimits,
    documents: Documents,
    trusted: Arc<Trusted>,
    taken: Taken,
}

impl Intake {
    /// Admits what is within `limits`, and keeps it.
    #[must_use]
    pub fn new(limits: &Limits, trusted: Trusted, taken: Taken) -> Self {
        Self {
            limits: limits.graphql_document,
            documents: Documents::new(limits.graphql_document_cache_bytes),
            trusted: Arc::new(trusted),
            taken,
        }
    }

    /// The same, with the same documents, for callers who may send any: a gateway makes its own.
    #[must_use]
    pub fn of_any(mut self) -> Self {
        self.taken.only_trusted = false;
        self
    }

    /// From JSON: the body of a POST, or the payload of a socket's message.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of_json(&self, tenant: &TenantId, bytes: &[u8]) -> Result<Admitted, Refused> {
        self.admit(tenant, parameters::from_json(bytes, &self.limits)?)
    }

    /// From the query string of a GET.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of_query(&self, tenant: &TenantId, query: &str) -> Result<Admitted, Refused> {
        self.admit(tenant, parameters::from_query(query, &self.limits)?)
    }

    fn admit(&self, tenant: &TenantId, parameters: Parameters) -> Result<Admitted, Refused> {
        let document = self.document(tenant, &parameters)?;
        let variables = parameters.variables.unwrap_or_default();
        document.takes(&variables, &self.limits)?;
        let mut request = Request::new("").variables(variables);
        request.operation_name = parameters.operation_name;
        request.extensions = Extensions(parameters.extensions.unwrap_or_default());
        request.set_parsed_query(document.parsed().clone());
        Ok(Admitted { request, document })
    }

    /// The document that is meant: by its text, by its hash (Apollo's protocol of persisted queries),
    /// or by its id on the list.
    fn document(&self, tenant: &TenantId, asked: &Parameters) -> Result<Arc<Document>, Refused> {
        let persisted = asked.persisted()?;
        let Some(text) = asked.query.as_deref() else {
            let id = asked.document_id.as_deref();
            return match (id, persisted) {
                (Some(id), _) => self.by_id(tenant, id),
                (None, Some(id)) => self.by_id(tenant, id),
                (None, None) => Err(Error::bad_input("query", "is required, as a string").into()),
            };
        };
        let hash = hash(text);
        if let Some(claimed) = persisted {
            if !self.taken.persisted {
                return Err(not_supported());
            }
            if parse_hash(claimed) != Some(hash) {
                let reason = "is not that of the query";
                return Err(Error::bad_input("extensions.persistedQuery.sha256Hash", reason).into());
            }
        }
        self.by_text(tenant, text, hash)
    }

    /// By what stands for the text.
    fn by_id(&self, tenant: &TenantId, id: &str) -> Result<Arc<Document>, Refused> {
        if let Some(document) = self.trusted.by_id(id) {
            return Ok(counted("trusted", document));
        }
        if !self.taken.persisted {
            return Err(not_supported());
        }
        let hash = parse_hash(id).filter(|_| !self.taken.only_trusted);
        let known = hash.and_then(|hash| self.documents.get(tenant, &hash));
        known.map(|document| counted("known", document)).ok_or_else(|| {
            count("not_found");
            Refused::Document(coded(NOT_FOUND, "PersistedQueryNotFound"))
        })
    }

    fn by_text(&self, tenant: &TenantId, text: &str, hash: Hash) -> Result<Arc<Document>, Refused> {
        if let Some(document) = self.trusted.by_hash(&hash) {
            return Ok(counted("trusted", document));
        }
        if self.taken.only_trusted {
            count("untrusted");
            return Err(Refused::Untrusted);
        }
        if let Some(document) = self.documents.get(tenant, &hash) {
            return Ok(counted("known", document));
        }
        let document = Arc::new(self.parse(text).inspect_err(|_| count("refused"))?);
        self.documents.put(tenant, hash, document.clone());
        Ok(counted("new", document))
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
        Ok(Document::new(parsed, text, &self.limits)?)
    }
}

fn not_supported() -> Refused {
    count("not_supported");
    Refused::Document(coded("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported"))
}

fn counted(outcome: &'static str, document: Arc<Document>) -> Arc<Document> {
    count(outcome);
    document
}

fn count(outcome: &'static str) {
    metrics::counter!(telemetry::GRAPHQL_DOCUMENTS, "outcome" => outcome).increment(1);
}
