//! A resource: a document of the graph, and how its answer becomes a body.

use async_graphql::{
    Request, ServerError, Variables,
    parser::{parse_query, types::ExecutableDocument},
};
use serde_json::{Map, Value};

use super::{
    graph::Graph,
    parameters::{Expected, Given, Parameter},
};
use crate::{
    call::Call,
    error::{Error, Result},
    graphql::{self, Subgraph},
};

/// Something to be read.
#[derive(Debug)]
pub(super) struct Resource {
    /// Its name, for clients that are made from the OpenAPI document, and for logs.
    pub name: &'static str,
    /// Its route.
    pub path: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// What else there is to say.
    pub description: &'static str,
    /// What it asks the graph. A dataset stands in it as [`BY_ID`].
    pub document: &'static str,
    /// The fragments of the document.
    pub fragments: &'static [&'static str],
    /// What its path names.
    pub thing: Thing,
    /// The way to the body in what the graph answers. A null on the way is a missing thing.
    pub body: &'static [&'static str],
    /// The field whose arguments the parameters are.
    pub field: (&'static str, &'static str),
    /// The parameters of the query.
    pub parameters: &'static [Parameter],
    /// Members that change with time alone: no part of what the tag stands for.
    pub volatile: &'static [&'static str],
}

/// What the `{id}` of a path names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thing {
    /// In a word.
    pub kind: &'static str,
    /// By what it is named.
    pub named: &'static str,
}

/// A dataset.
pub(super) const A_DATASET: Thing = Thing {
    kind: "dataset",
    named: "The dataset: its `id`, or its URN (`urn:drr:dataset:<tenant>:<namespace>:<name>`, or that of \
            an alias), percent-encoded.",
};

/// An event of the audit trail.
pub(super) const AN_EVENT: Thing = Thing { kind: "event", named: "The event: its `id`." };

/// What proves an event.
pub(super) const AN_EVENTS_EVIDENCE: Thing = Thing { kind: "evidence", named: AN_EVENT.named };

/// The log of a tenant.
pub(super) const A_LOG: Thing = Thing { kind: "log", named: "" };

/// How a document names the one dataset that it is about. An URN in the path puts [`BY_URN`] there.
const BY_ID: (&str, &str) = ("$id: ID!", "dataset(id: $id)");
const BY_URN: (&str, &str) = ("$id: String!", "dataset: datasetByUrn(urn: $id)");

/// Why a resource cannot be served: a fault of this program, found when it starts.
#[derive(Debug, thiserror::Error)]
#[error("a REST resource does not fit the graph: {0}")]
pub struct BrokenResource(pub(super) String);

/// A resource, ready to be asked for.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What it is.
    pub resource: &'static Resource,
    /// The parameters, with what they may be.
    pub parameters: Vec<Expected>,
    by_id: ExecutableDocument,
    by_urn: ExecutableDocument,
}

impl Prepared {
    /// Reads the resource's document and what the graph says of its parameters.
    pub fn new(resource: &'static Resource, graph: &Graph) -> Result<Self, BrokenResource> {
        let expected = |parameter| Expected::of(parameter, resource.field, graph);
        let text = resource.text();
        let by_urn = text.replace(BY_ID.0, BY_URN.0).replace(BY_ID.1, BY_URN.1);
        Ok(Self {
            resource,
            parameters: resource.parameters.iter().map(expected).collect::<Result<_, _>>()?,
            by_id: parse(&text)?,
            by_urn: parse(&by_urn)?,
        })
    }

    /// The document by which the body's form is known.
    pub const fn document(&self) -> &ExecutableDocument {
        &self.by_id
    }

    /// Asks the graph; answers the body.
    ///
    /// # Errors
    /// The first error of the graph's answer, [`Error::NotFound`] for a thing that is not there.
    pub async fn execute(
        &self,
        subgraph: &Subgraph,
        call: Call,
        id: Option<String>,
        given: &Given,
    ) -> Result<Value> {
        let by_urn = id.as_deref().is_some_and(|id| id.starts_with("urn:"));
        let document = if by_urn { &self.by_urn } else { &self.by_id };
        let mut variables = given.variables();
        if let Some(id) = id {
            variables.insert("id".to_owned(), id.into());
        }
        let data = execute(subgraph, call, document, variables).await?;
        self.resource.body.iter().try_fold(data, |mut value, member| {
            match value.get_mut(member).map(Value::take) {
                None | Some(Value::Null) => Err(Error::NotFound(self.resource.thing.kind)),
                Some(inner) => Ok(inner),
            }
        })
    }
}

impl Resource {
    /// Whether there may be no such thing.
    pub fn may_be_missing(&self) -> bool {
        self.path.contains("{id}") || self.body.len() > 1 || self.body == ["evidence"]
    }

    /// The whole document.
    fn text(&self) -> String {
        [&[self.document], self.fragments].concat().join("\n")
    }
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<ExecutableDocument, BrokenResource> {
    parse_query(text).map_err(|error| BrokenResource(format!("{error}: {text}")))
}

/// Executes one of our own documents as the caller. All of it must be had: an answer with a part
/// missing would be a body that says what is not so.
///
/// # Errors
/// The first error of the answer.
pub(super) async fn execute(
    subgraph: &Subgraph,
    call: Call,
    document: &ExecutableDocument,
    variables: Map<String, Value>,
) -> Result<Value> {
    let variables = Variables::from_json(Value::Object(variables));
    let mut request = Request::new("").variables(variables);
    request.set_parsed_query(document.clone());
    let response = subgraph.execute(graphql::with_call(request, call)).await;
    match response.errors.into_iter().next() {
        Some(error) => Err(own(error)),
        None => response.data.into_json().map_err(Error::internal),
    }
}

/// The error that a resolver answered. The documents are ours: whatever else is wrong with one is
/// a fault of this service.
fn own(error: ServerError) -> Error {
    match error.source::<Error>() {
        Some(own) => own.clone(),
        None => Error::internal(error.message),
    }
}
