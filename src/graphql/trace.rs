//! Federated tracing (`ftv1`): how long each field took, for a gateway that asks.
//!
//! An [`Extension`](async_graphql::extensions::Extension) costs every field of every request, asked
//! or not. So it is on a schema of its own, made of the same types, on which nothing runs but
//! what is traced. The format is Apollo's `reports.proto`; of it, what a subgraph has to say.

mod recording;
mod report;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use async_graphql::{
    Response, ServerResult, Value,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextRequest, NextResolve, ResolveInfo,
    },
};
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};

use crate::clock::SharedClock;
use recording::Recording;

/// The header by which a gateway asks for a trace.
const HEADER: &str = "apollo-federation-include-trace";
/// What it says then; also the answer's extension.
const FTV1: &str = "ftv1";

/// Whether a request asks for a trace.
#[must_use]
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(HEADER).is_some_and(|value| value == FTV1)
}

/// Traces every request of the schema that it is put into.
#[derive(Debug, Clone)]
pub struct FederatedTracing(SharedClock);

impl FederatedTracing {
    /// With the clock that tells when a request began.
    #[must_use]
    pub const fn new(clock: SharedClock) -> Self {
        Self(clock)
    }
}

impl ExtensionFactory for FederatedTracing {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Tracer {
            started: self.0.now(),
            begun: Instant::now(),
            recording: Mutex::new(Recording::new()),
        })
    }
}

struct Tracer {
    started: DateTime<Utc>,
    begun: Instant,
    recording: Mutex<Recording>,
}

impl Tracer {
    /// Nanoseconds since the request began.
    fn elapsed(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn record<T>(&self, act: impl FnOnce(&mut Recording) -> T) -> T {
        act(&mut self.recording.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait::async_trait]
impl Extension for Tracer {
    async fn request(&self, context: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let response = next.run(context).await;
        let duration = self.elapsed();
        let trace = self.record(|recording| {
            std::mem::replace(recording, Recording::new()).report(&response.errors, duration)
        });
        let trace = trace.between(self.started, duration);
        response.extension(FTV1, Value::String(trace.encoded()))
    }

    async fn resolve(
        &self,
        context: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let begun = self.elapsed();
        let place = self.record(|recording| recording.begin(&info, begun));
        let resolved = next.run(context, info).await;
        if let Some(place) = place {
            let ended = self.elapsed();
            self.record(|recording| recording.end(place, ended));
        }
        resolved
    }
}
