//! The graph behind the GraphQL handler.

use std::sync::Arc;

use async_graphql::Request;
use axum::http::request::Parts;

use super::{
    RequestContext,
    authentication::Authentication,
    graphql::{Executed, Executor},
};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    graphql::{
        self, Subgraph, expansion,
        sdl::{self, ServiceSdl},
    },
    idempotency::Attempt,
};

/// Executes requests of callers with a valid token; without one nothing is executed.
#[derive(Clone)]
pub struct Execution {
    authentication: Authentication,
    subgraph: Subgraph,
    service_sdl: Arc<ServiceSdl>,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Execution").finish_non_exhaustive()
    }
}

impl Execution {
    /// Executes on `subgraph` for whom `authentication` lets in.
    #[must_use]
    pub fn new(authentication: Authentication, subgraph: Subgraph) -> Self {
        let service_sdl = Arc::new(ServiceSdl::new(&subgraph));
        Self { authentication, subgraph, service_sdl }
    }
}

impl Executor for Execution {
    async fn execute(&self, mut request: Request, parts: Parts) -> Result<Executed> {
        let context = parts.extensions.get::<RequestContext>();
        let context =
            context.ok_or_else(|| Error::internal("a route outside of http::assemble"))?;
        let call = self.authentication.call(&parts.headers, &context.correlation_id).await?;
        let attempt = parts.extensions.get::<Arc<Attempt>>();
        let call = call.attempting(attempt.cloned());
        let kept = attempt.is_some().then(|| call.clone());
        if let Some(name) = &request.operation_name {
            tracing::Span::current().record("operation", name.as_str());
        }
        // What does not parse is reported by the execution.
        let introspects = match request.parsed_query() {
            Ok(document) => {
                expansion::check(document)?;
                // The library answers these fields itself, where no resolver could ask.
                sdl::introspects(document)
            }
            Err(_) => false,
        };
        if introspects {
            call.authorize(Operation::SchemaIntrospect)?;
        }
        let response = self.subgraph.execute(graphql::with_call(request, call)).await;
        let mut response = graphql::errors::name_limits(response);
        if introspects {
            self.service_sdl.put_into(&mut response);
        }
        Ok(Executed { response, call: kept })
    }
}
