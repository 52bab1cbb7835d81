//! The graph: its roots, what every resolver shares, and the schema put together.
//!
//! A feature's types and resolvers are in its own `graphql.rs`; here they are only joined. To add a
//! root field: in the feature, where it asks [`Call::authorize`](crate::call::Call::authorize)
//! first; the test of the policy table fails for one that does not.

pub mod connection;
mod document;
pub mod errors;
pub mod expansion;
mod me;
pub mod scalars;
pub mod sdl;
pub mod subscription;

pub use document::Document;

use async_graphql::{Context, MergedObject, MergedSubscription, Request, Schema};

use crate::{
    breach::{
        graphql::{BreachMutation, BreachQuery, BreachSubscription},
        loader::{BreachPages, Breaches, Mutes, OpenBreaches},
    },
    call::Call,
    change::graphql::ChangeSubscription,
    dataset::{
        graphql::{DatasetMutation, DatasetQuery},
        loader::{Aliases, DatasetIds, Datasets},
    },
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
};

/// Everything that can be read.
#[derive(Debug, Default, MergedObject)]
pub struct Query(BreachQuery, DatasetQuery, FreshnessQuery, RefreshQuery, me::MeQuery);

/// Everything that can be changed.
#[derive(Debug, Default, MergedObject)]
pub struct Mutation(BreachMutation, DatasetMutation, FreshnessMutation, RefreshMutation);

/// Everything that can be followed.
#[derive(Debug, Default, MergedSubscription)]
pub struct Subscription(BreachSubscription, ChangeSubscription);

/// The schema of the subgraph.
pub type Subgraph = Schema<Query, Mutation, Subscription>;

/// How deep a selection may be nested. The deepest that the graph makes sense of is about half.
const MAX_DEPTH: usize = 24;
/// How many fields one answer may have: those of a node times the nodes of its page. A board of 200
/// datasets with everything about them and their last 10 runs has about half.
const MAX_COMPLEXITY: usize = 100_000;

/// Puts the schema together.
#[must_use]
pub fn subgraph() -> Subgraph {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .enable_federation()
        .enable_subscription_in_federation()
        .disable_suggestions()
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .finish()
}

/// The request with what its resolvers need: the call, and loaders that belong to it alone.
#[must_use]
pub fn with_call(request: Request, call: Call) -> Request {
    request
        .data(Datasets::new(&call))
        .data(DatasetIds::new(&call))
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
        .data(call)
}

/// The call that a resolver is part of.
///
/// # Errors
/// [`Error::Internal`](crate::error::Error::Internal) if the request was not made by [`with_call`].
pub fn call<'a>(context: &Context<'a>) -> crate::error::Result<&'a Call> {
    shared(context)
}

/// Something that [`with_call`] put into the request.
///
/// # Errors
/// As for [`call`].
pub fn shared<'a, T: Send + Sync + 'static>(context: &Context<'a>) -> crate::error::Result<&'a T> {
    context.data::<T>().map_err(|error| crate::error::Error::internal(error.message))
}
