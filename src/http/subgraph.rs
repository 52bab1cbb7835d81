//! The graph behind the GraphQL handler.

use async_graphql::{Request, Response};
use axum::http::request::Parts;

use super::{RequestContext, authentication::Authentication, graphql::Executor};
use crate::{
    error::{Error, Result},
    graphql::{self, Subgraph},
};

/// Executes requests of callers with a valid token; without one nothing is executed.
#[derive(Clone)]
pub struct Execution {
    authentication: Authentication,
    subgraph: Subgraph,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Execution").finish_non_exhaustive()
    }
}

impl Execution {
    /// Executes on `subgraph` for whom `authentication` lets in.
    #[must_use]
    pub const fn new(authentication: Authentication, subgraph: Subgraph) -> Self {
        Self { authentication, subgraph }
    }
}

impl Executor for Execution {
    async fn execute(&self, request: Request, parts: Parts) -> Result<Response> {
        let context = parts.extensions.get::<RequestContext>();
        let context =
            context.ok_or_else(|| Error::internal("a route outside of http::assemble"))?;
        let call = self.authentication.call(&parts.headers, &context.correlation_id).await?;
        if let Some(name) = &request.operation_name {
            tracing::Span::current().record("operation", name.as_str());
        }
        let response = self.subgraph.execute(graphql::with_call(request, call)).await;
        Ok(graphql::errors::name_limits(response))
    }
}
