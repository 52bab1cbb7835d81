//! Subscriptions over HTTP: one engine, three transports.
//!
//! [`socket`] speaks graphql-transport-ws, [`stream`] server-sent events and the multipart of Apollo's
//! router. Each gets its documents from a [`Subscription`], which knows nothing of them.
//!
//! A token is asked about every second and with every batch, as with every request: a subscription
//! ends when its token does. What was read is resolved as a call of its own, judged at its own instant.
//! Nothing is queued: while a transport cannot write, nothing is read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CorrelationId, RequestContext, authentication::Authentication, body::BodyLimits,
    graphql::Intake, subgraph::Execution,
};
use crate::{
    audit::{Ending, Record, Recorder},
    auth::TenantId,
    clock::SharedClock,
    config::{Limits, SubscriptionLimits},
    error::{Error, Result},
    live::Hub,
};

mod engine;
mod socket;
mod stream;

pub use engine::{End, Event, Subscription};

/// What subscriptions are made of; cheap to clone.
#[derive(Clone)]
pub struct Subscriptions {
    parts: Arc<Parts>,
    intake: Arc<Intake>,
}

struct Parts {
    authentication: Authentication,
    execution: Execution,
    hub: Arc<Hub>,
    body: BodyLimits,
    message_bytes: usize,
    limits: SubscriptionLimits,
    open: Arc<Open>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    recorder: Recorder,
    clock: SharedClock,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Subscriptions").finish_non_exhaustive()
    }
}

impl Subscriptions {
    /// Subscriptions by `execution`, of what `intake` admits, for whom `authentication` lets in, woken
    /// by `hub`, until `shutdown`.
    #[must_use]
    pub fn new(
        authentication: Authentication,
        execution: Execution,
        intake: Intake,
        hub: Arc<Hub>,
        limits: &Limits,
        shutdown: CancellationToken,
        (recorder, clock): (Recorder, SharedClock),
    ) -> Self {
        let parts = Parts {
            authentication,
            execution,
            hub,
            body: BodyLimits::graphql(limits),
            message_bytes: limits.graphql_body_bytes,
            limits: limits.subscriptions,
            open: Arc::new(Open { limits: limits.subscriptions, by_tenant: Mutex::default() }),
            shutdown,
            tasks: TaskTracker::new(),
            recorder,
            clock,
        };
        Self { parts: Arc::new(parts), intake: Arc::new(intake) }
    }

    /// The same, of what `intake` admits.
    #[must_use]
    pub fn taking(self, intake: Intake) -> Self {
        Self { intake: Arc::new(intake), ..self }
    }

    /// Waits until all are closed, which they are soon after the shutdown begins.
    pub async fn closed(&self) {
        self.parts.tasks.close();
        self.parts.tasks.wait().await;
    }
}

impl Parts {
    /// The end of a call that is not a request of its own: its event is to be told of `record`.
    fn ending(
        &self,
        correlation_id: &CorrelationId,
        transport: &'static str,
        action: &'static str,
    ) -> Ending {
        let record = Record::new(self.clock.clone(), correlation_id.shared().clone(), transport);
        record.is(action);
        self.recorder.ending(Arc::new(record))
    }
}

/// In front of the GraphQL handler: takes what is a subscription by its transport, and leaves the rest.
pub async fn front(
    State(subscriptions): State<Subscriptions>,
    context: RequestContext,
    request: Request,
    next: Next,
) -> Response {
    if socket::is_asked_for(&request) {
        return socket::upgrade(subscriptions, context, request).await;
    }
    match stream::Framing::asked_for(&request) {
        Some(framing) => stream::answer(&subscriptions, &context, framing, request, next).await,
        None => next.run(request).await,
    }
}

/// How many subscriptions are open.
struct Open {
    limits: SubscriptionLimits,
    by_tenant: Mutex<HashMap<TenantId, usize>>,
}

/// One of them.
struct Slot {
    open: Arc<Open>,
    tenant: TenantId,
    transport: &'static str,
}

impl Open {
    fn take(self: &Arc<Self>, tenant: &TenantId, transport: &'static str) -> Result<Slot> {
        let over = |limit, maximum: usize| {
            Err(Error::LimitExceeded { limit, maximum: u64::try_from(maximum).unwrap_or(u64::MAX) })
        };
        let mut by_tenant = self.by_tenant.lock().unwrap_or_else(PoisonError::into_inner);
        if by_tenant.values().sum::<usize>() >= self.limits.total {
            return over("limits.subscriptions", self.limits.total);
        }
        let own = by_tenant.get(tenant).copied().unwrap_or_default();
        if own >= self.limits.per_tenant {
            return over("limits.subscriptions_per_tenant", self.limits.per_tenant);
        }
        by_tenant.insert(tenant.clone(), own + 1);
        metrics::gauge!("drr_subscriptions_open", "transport" => transport).increment(1.0);
        Ok(Slot { open: self.clone(), tenant: tenant.clone(), transport })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut by_tenant = self.open.by_tenant.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = by_tenant.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                by_tenant.remove(&self.tenant);
            }
        }
        metrics::gauge!("drr_subscriptions_open", "transport" => self.transport).decrement(1.0);
    }
}
