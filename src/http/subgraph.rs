//! The graph behind the GraphQL handler.

use std::sync::Arc;

use async_graphql::{Request, Response, Value, parser::types::OperationType, value};
use axum::http::request::Parts;

use super::{
    ListenerKind, RequestContext,
    authentication::Authentication,
    graphql::{Admitted, Executed, Executor},
};
use crate::{
    auth::{TenantId, policy::Operation},
    cache::{Answer, Answers, Asked, Lifetime},
    call::Call,
    error::{Error, Result},
    graphql::{
        self, InputTypes, Subgraph,
        cost::Costs,
        direct::Traced,
        entities,
        sdl::{self, ServiceSdl},
        trace,
    },
    idempotency::Attempt,
};

/// Executes requests of callers with a valid token; without one nothing is executed.
#[derive(Clone)]
pub struct Execution {
    authentication: Authentication,
    subgraph: Subgraph,
    traced: Option<Subgraph>,
    service_sdl: Arc<ServiceSdl>,
    costs: Arc<Costs>,
    /// What a document may cost.
    maximum_cost: u64,
    inputs: Arc<InputTypes>,
    answers: Option<Answers>,
}

/// The extension of a request, and of its answer.
const COST: &str = "cost";

impl std::fmt::Debug for Execution {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Execution").finish_non_exhaustive()
    }
}

impl Execution {
    /// Executes on `subgraph`, for whom `authentication` lets in, what costs no more than
    /// `maximum_cost`.
    #[must_use]
    pub fn new(authentication: Authentication, subgraph: Subgraph, maximum_cost: u64) -> Self {
        let service_sdl = Arc::new(ServiceSdl::new(&subgraph));
        let costs = Arc::new(Costs::of(&sdl::sdl(&subgraph)));
        let inputs = Arc::new(InputTypes::of(&subgraph));
        let (traced, answers) = (None, None);
        Self { authentication, subgraph, traced, service_sdl, costs, maximum_cost, inputs, answers }
    }

    /// Keeps answers there.
    #[must_use]
    pub fn keeping(self, answers: Answers) -> Self {
        Self { answers: Some(answers), ..self }
    }

    /// Executes what asks for a trace on `traced`; otherwise there is none.
    #[must_use]
    pub fn tracing_on(self, traced: Subgraph) -> Self {
        Self { traced: Some(traced), ..self }
    }

    /// What executes.
    #[must_use]
    pub const fn subgraph(&self) -> &Subgraph {
        &self.subgraph
    }

    fn cost(&self, admitted: &Admitted) -> Result<u64> {
        let Admitted { request, document } = admitted;
        let operation = request.operation_name.as_deref();
        let cost = self.costs.measure(document.parsed(), operation, &request.variables)?;
        if cost > self.maximum_cost {
            metrics::counter!("drr_graphql_cost_refused_total").increment(1);
            let (limit, maximum) = ("limits.graphql_cost", self.maximum_cost);
            return Err(Error::LimitExceeded { limit, maximum });
        }
        metrics::counter!("drr_graphql_cost_total").increment(cost);
        Ok(cost)
    }

    /// The request as the graph executes it, if the caller may ask for what is in it, and what is to
    /// be done with each of its answers.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for what the caller may not ask for, [`Error::LimitExceeded`] for what
    /// costs too much, [`Error::BadUserInput`] for what the graph cannot take.
    pub fn prepare(&self, call: &Call, admitted: Admitted) -> Result<(Request, Finish)> {
        let name = admitted.request.operation_name.as_deref();
        call.record().document(name, *admitted.document.hash());
        let cost = self.cost(&admitted)?;
        let Admitted { mut request, document } = admitted;
        if let Some(name) = &request.operation_name {
            tracing::Span::current().record("operation", name.as_str());
        }
        self.inputs.check(document.parsed())?;
        // The library answers these fields itself, where no resolver could ask.
        let mut service_sdl = None;
        if document.introspects() {
            call.authorize(Operation::SchemaIntrospect)?;
            if sdl::serves(document.parsed()) {
                if !call.is_internal() {
                    call.authorize(Operation::SchemaCompose)?;
                }
                service_sdl = Some(self.service_sdl.clone());
            }
        }
        entities::number(&mut request, document.parsed());
        let reports_cost = request.extensions.get(COST) == Some(&Value::Boolean(true));
        let finish = Finish {
            service_sdl,
            cost: reports_cost.then(|| value!({ "estimated": cost, "max": self.maximum_cost })),
        };
        Ok((graphql::with_call(request, call.clone()), finish))
    }
}

/// What is to be done with an answer of the graph.
#[derive(Debug, Clone)]
pub struct Finish {
    service_sdl: Option<Arc<ServiceSdl>>,
    cost: Option<Value>,
}

impl Finish {
    /// Does it.
    #[must_use]
    pub fn apply(&self, response: Response) -> Response {
        let mut response = graphql::errors::name_limits(response);
        if let Some(service_sdl) = &self.service_sdl {
            service_sdl.put_into(&mut response);
        }
        if let Some(cost) = &self.cost {
            response.extensions.insert(COST.to_owned(), cost.clone());
        }
        response
    }
}

/// Who was let in, and how.
#[derive(Debug)]
pub struct Caller {
    call: Call,
    wants_trace: bool,
}

impl Executor for Execution {
    type Caller = Caller;

    async fn authenticate(&self, parts: &Parts) -> Result<Caller> {
        let context = parts.extensions.get::<RequestContext>();
        let context =
            context.ok_or_else(|| Error::internal("a route outside of http::assemble"))?;
        let call = self.authentication.call(&parts.headers, &context.record).await?;
        let call = call.coming_inside(context.listener == ListenerKind::Internal);
        let call = call.until(context.deadline);
        let call = call.attempting(parts.extensions.get::<Arc<Attempt>>().cloned());
        Ok(Caller { call, wants_trace: trace::is_asked_for(&parts.headers) })
    }

    fn tenant<'a>(&self, caller: &'a Caller) -> &'a TenantId {
        caller.call.principal().tenant()
    }

    async fn ask(&self, caller: &Caller, request: &[&[u8]]) -> Option<(Asked, Lifetime)> {
        let (answers, call) = (self.answers.as_ref()?, &caller.call);
        // An answer with a trace tells of one execution.
        if caller.wants_trace && self.traced.is_some() {
            return None;
        }
        let principal = call.principal();
        let asked = answers.ask(principal, call.is_internal(), call.judged_at(), request).await;
        Some((asked, call.lifetime().clone()))
    }

    fn takes(&self, caller: &Caller, answer: &Answer) -> bool {
        let (call, told) = (&caller.call, &answer.told);
        if told.asked.iter().any(|operation| call.authorize(*operation).is_err()) {
            return false;
        }
        let name = told.operation_name.as_deref();
        if let Some(name) = name {
            tracing::Span::current().record("operation", name);
        }
        if let Some(hash) = told.document_hash {
            call.record().document(name, hash);
        }
        if let Some(dataset_id) = told.dataset_id {
            call.record().about_dataset(dataset_id);
        }
        if let Some(resource) = &told.resource {
            call.record().about(|| resource.clone());
        }
        true
    }

    async fn begin(&self, caller: &Caller) -> Result<()> {
        caller.call.begin().await
    }

    async fn execute(&self, caller: Caller, admitted: Admitted) -> Result<Executed> {
        let Caller { mut call, wants_trace } = caller;
        let name = admitted.request.operation_name.as_deref();
        if admitted.document.selected(name) == Some(OperationType::Query) {
            call = call.reading();
        }
        let (request, finish) = self.prepare(&call, admitted)?;
        let response = match self.traced.as_ref().filter(|_| wants_trace) {
            Some(traced) => traced.execute(request.data(Traced)).await,
            None => self.subgraph.execute(request).await,
        };
        let response = finish.apply(response);
        Ok(Executed { response, call: call.attempt().is_some().then_some(call) })
    }
}
