//! What each listener has.

use axum::{Router, middleware::from_fn_with_state, routing::post};

use crate::{
    clock::SharedClock,
    config::Limits,
    graphql::{self, Subgraph},
    http::{
        self, ListenerKind,
        authentication::Authentication,
        body::BodyLimits,
        graphql::Intake,
        lineage::{self, Lineage},
        once::{KeyRule, Once},
        rest::{BrokenResource, Rest},
        subgraph::Execution,
        subscription::{self, Subscriptions},
    },
};

/// What the routes of all listeners are made of.
pub(super) struct Routes<'a> {
    pub(super) authentication: &'a Authentication,
    pub(super) subgraph: &'a Subgraph,
    pub(super) execution: &'a Execution,
    pub(super) subscriptions: &'a Subscriptions,
    pub(super) limits: &'a Limits,
}

impl Routes<'_> {
    /// What users have.
    pub(super) fn public(&self, intake: Intake, graphiql: bool) -> Result<Router, BrokenResource> {
        let graphql = self.graphql(self.execution.clone(), intake);
        let page = if graphiql { http::graphiql::routes() } else { Router::new() };
        let rest = self.rest()?.routes(ListenerKind::Public)?;
        Ok(graphql.merge(rest).merge(self.evidence()).merge(self.confluent()).merge(page))
    }

    /// What the platform's own services have: the same, and ways to report. Any document is taken,
    /// since a gateway makes its own, and whoever asks for a trace has one.
    pub(super) fn internal(
        &self,
        intake: Intake,
        clock: &SharedClock,
    ) -> Result<Router, BrokenResource> {
        let lineage = Lineage {
            authentication: self.authentication.clone(),
            limits: BodyLimits::lineage(self.limits),
            once: Once::new(KeyRule::Optional, self.limits),
        };
        let execution = self.execution.clone().tracing_on(graphql::traced_subgraph(clock.clone()));
        Ok(self
            .graphql(execution, intake.of_any())
            .merge(self.rest()?.internal_routes(self.limits)?)
            .merge(self.evidence())
            .merge(self.confluent())
            .route("/api/v1/lineage", post(lineage::ingest).with_state(lineage)))
    }

    fn graphql(&self, execution: Execution, intake: Intake) -> Router {
        let subscriptions = self.subscriptions.clone().taking(intake.clone());
        let front = from_fn_with_state(subscriptions, subscription::front);
        let graphql = http::graphql::route(execution, intake, self.limits).layer(front);
        Router::new().route("/graphql", graphql)
    }

    fn evidence(&self) -> Router {
        http::evidence::routes(self.authentication.clone())
    }

    fn confluent(&self) -> Router {
        http::confluent::routes(self.authentication.clone(), self.limits)
    }

    fn rest(&self) -> Result<Rest, BrokenResource> {
        Rest::new(self.authentication.clone(), self.subgraph.clone(), self.limits)
    }
}
