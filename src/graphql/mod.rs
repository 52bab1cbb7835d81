//! The graph: its roots, what every resolver shares, and the schema put together.
//!
//! A feature's types and resolvers are in its own `graphql.rs`; here they are only joined. To add a
//! root field: in the feature, where it asks [`Call::authorize`](crate::call::Call::authorize)
//! first; the test of the policy table fails for one that does not.

pub mod annotations;
pub mod connection;
pub mod cost;
pub mod direct;
mod document;
pub mod entities;
pub mod errors;
pub mod expansion;
mod inputs;
mod me;
pub mod rights;
pub mod scalars;
pub mod sdl;
pub mod subscription;
pub mod trace;

use self::{entities::Root, trace::FederatedTracing};
pub use document::Document;
pub use inputs::InputTypes;

use std::sync::Arc;

use chrono::TimeDelta;

use async_graphql::{Context, MergedObject, MergedSubscription, Request, Schema, SchemaBuilder};

use crate::{
    audit::graphql::AuditQuery,
    breach::{
        graphql::{BreachMutation, BreachQuery, BreachSubscription},
        loader::{BreachPages, Breaches, Mutes, OpenBreaches},
    },
    call::Call,
    change::graphql::ChangeSubscription,
    clock::SharedClock,
    dataset::{
        graphql::{DatasetMutation, DatasetQuery},
        loader::{Aliases, Datasets, NamedDatasets},
    },
    evidence::{graphql::EvidenceQuery, loader::Proofs},
    freshness::{
        graphql::{FreshnessMutation, FreshnessQuery},
        loader::{Policies, PolicyVersions},
    },
    history::loader::{PolicyHistories, RecentRuns, RunRanges, SuccessRanges},
    lineage::loader::{RootCauses, Walks},
    refresh::{
        graphql::{RefreshMutation, RefreshQuery},
        loader::{LogsOfRuns, RunPages, Runs, States, Verdicts},
    },
    schema::{
        drift_graphql::SchemaDriftMutation,
        loader::{Drifts, LatestVersions, NamedSchemas, Schemas, Versions},
        mutation::SchemaMutation,
        query::{SchemaQuery, SchemaSubscription},
    },
};

/// Everything that can be read.
#[derive(Debug, Default, MergedObject)]
pub struct Query(
    AuditQuery,
    BreachQuery,
    DatasetQuery,
    EvidenceQuery,
    FreshnessQuery,
    RefreshQuery,
    SchemaQuery,
    me::MeQuery,
);

/// Everything that can be changed.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(
    BreachMutation,
    DatasetMutation,
    FreshnessMutation,
    RefreshMutation,
    SchemaDriftMutation,
    SchemaMutation,
);

/// Everything that can be followed.
#[derive(Debug, Default, MergedSubscription)]
pub struct Subscription(BreachSubscription, ChangeSubscription, SchemaSubscription);

/// The schema of the subgraph.
pub type Subgraph = Schema<Root<Query>, Mutation, Subscription>;
type Builder = SchemaBuilder<Root<Query>, Mutation, Subscription>;

/// How long an answer may be kept that tells ages in whole seconds.
pub const AGES_HOLD: TimeDelta = TimeDelta::seconds(1);

/// How deep a selection may be nested. The deepest that the graph makes sense of is about half.
const MAX_DEPTH: usize = 24;
/// How many errors of the parser and the validation are told at once.
const MAX_ERRORS: usize = 10;
/// How long the text of one of them may be: it repeats names of the document.
const MAX_ERROR_BYTES: usize = 500;

/// Puts the schema together.
#[must_use]
pub fn subgraph() -> Subgraph {
    builder().finish()
}

/// The same once more, with a trace in every answer.
#[must_use]
pub fn traced_subgraph(clock: SharedClock) -> Subgraph {
    builder().extension(FederatedTracing::new(clock)).finish()
}

fn builder() -> Builder {
    Schema::build(Root(Query::default()), Mutation::default(), Subscription::default())
        .enable_federation()
        .enable_subscription_in_federation()
        .disable_suggestions()
        .limit_depth(MAX_DEPTH)
}

/// The request with what its resolvers need: the call, and loaders that belong to it alone.
#[must_use]
pub fn with_call(request: Request, call: Call) -> Request {
    let call = Arc::new(call);
    request
        .data(Datasets::new(&call))
        .data(NamedDatasets::new(&call))
        .data(Aliases::new(&call))
        .data(States::new(&call))
        .data(Policies::new(&call))
        .data(PolicyVersions::new(&call))
        .data(Breaches::new(&call))
        .data(OpenBreaches::new(&call))
        .data(BreachPages::new(&call))
        .data(Mutes::new(&call))
        .data(Runs::new(&call))
        .data(LogsOfRuns::new(&call))
        .data(RunPages::new(&call))
        .data(Verdicts::new(&call))
        .data(RunRanges::new(&call))
        .data(SuccessRanges::new(&call))
        .data(RecentRuns::new(&call))
        .data(PolicyHistories::new(&call))
        .data(Walks::new(&call))
        .data(RootCauses::new(&call))
        .data(Proofs::new(&call))
        .data(Schemas::new(&call))
        .data(NamedSchemas::new(&call))
        .data(Versions::new(&call))
        .data(LatestVersions::new(&call))
        .data(Drifts::new(&call))
        .data(call)
}

/// The call that a resolver is part of.
///
/// # Errors
/// [`Error::Internal`](crate::error::Error::Internal) if the request was not made by [`with_call`].
pub fn call<'a>(context: &Context<'a>) -> crate::error::Result<&'a Call> {
    shared::<Arc<Call>>(context).map(AsRef::as_ref)
}

/// Something that [`with_call`] put into the request.
///
/// # Errors
/// As for [`call`].
pub fn shared<'a, T: Send + Sync + 'static>(context: &Context<'a>) -> crate::error::Result<&'a T> {
    context.data::<T>().map_err(|error| crate::error::Error::internal(error.message))
}
