//! The graph behind the GraphQL handler.

use std::sync::Arc;

use async_graphql::Request;
use axum::http::request::Parts;

use super::{
    RequestContext,
    authentication::Authentication,
    graphql::{Admitted, Executed, Executor},
};
use crate::{
    auth::{TenantId, policy::Operation},
    call::Call,
    error::{Error, Result},
    graphql::{self, Subgraph, sdl::ServiceSdl},
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

impl Execution {
    /// The request as the graph executes it, if the caller may ask for what is in it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for what the caller may not ask for.
    pub fn prepare(&self, call: &Call, admitted: Admitted) -> Result<Request> {
        let Admitted { request, document } = admitted;
        if let Some(name) = &request.operation_name {
            tracing::Span::current().record("operation", name.as_str());
        }
        // The library answers these fields itself, where no resolver could ask.
        if document.introspects() {
            call.authorize(Operation::SchemaIntrospect)?;
        }
        Ok(graphql::with_call(request, call.clone()))
    }
}

impl Executor for Execution {
    type Caller = Call;

    async fn authenticate(&self, parts: &Parts) -> Result<Call> {
        let context = parts.extensions.get::<RequestContext>();
        let context =
            context.ok_or_else(|| Error::internal("a route outside of http::assemble"))?;
        let call = self.authentication.call(&parts.headers, &context.correlation_id).await?;
        Ok(call.attempting(parts.extensions.get::<Arc<Attempt>>().cloned()))
    }

    fn tenant<'a>(&self, call: &'a Call) -> &'a TenantId {
        call.principal().tenant()
    }

    async fn execute(&self, call: Call, admitted: Admitted) -> Result<Executed> {
        let introspects = admitted.document.introspects();
        let request = self.prepare(&call, admitted)?;
        let response = self.subgraph.execute(request).await;
        let mut response = graphql::errors::name_limits(response);
        if introspects {
            self.service_sdl.put_into(&mut response);
        }
        Ok(Executed { response, call: call.attempt().is_some().then_some(call) })
    }
}
