//! Counts and times every request, bounds its time, and turns a panic into an answer.

use std::{any::Any, panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use super::{Front, ListenerKind, RequestContext, correlation::route};
use crate::{
    error::{Error, Result},
    telemetry,
};

pub(super) async fn observe(State(front): State<Front>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = route(&request).to_owned();
    let deadline = request.extensions().get::<RequestContext>().map(|context| context.deadline);
    let deadline = deadline.unwrap_or_else(|| front.deadline(&request));
    let answered = bounded(deadline, next.run(request)).await;
    let response = answered.unwrap_or_else(IntoResponse::into_response);
    let (elapsed, status) = (started.elapsed(), response.status());
    let listener = front.listener.as_str();
    metrics::counter!(
        telemetry::HTTP_REQUESTS,
        "listener" => listener, "route" => route.clone(), "status" => status.as_str().to_owned(),
    )
    .increment(1);
    metrics::histogram!(telemetry::HTTP_DURATION, "listener" => listener, "route" => route)
        .record(elapsed);
    tracing::Span::current().record("status", status.as_u16());
    let duration_ms = elapsed.as_secs_f64() * 1_000.0;
    // Probes and scrapes come every few seconds and say nothing.
    if front.listener == ListenerKind::Operations && status.is_success() {
        tracing::debug!(duration_ms, "answered");
    } else {
        tracing::info!(duration_ms, "answered");
    }
    response
}

/// What `work` comes to: within its deadline, and with its panics caught.
///
/// # Errors
/// [`Error::DeadlineExceeded`]; [`Error::Internal`] for a panic.
pub(super) async fn bounded<T>(
    deadline: tokio::time::Instant,
    work: impl Future<Output = T>,
) -> Result<T> {
    let handled = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout_at(deadline, handled).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(panic)) => {
            metrics::counter!(telemetry::HTTP_PANICS).increment(1);
            Err(Error::internal(format!("a handler panicked: {}", message(panic.as_ref()))))
        }
        Err(_) => {
            metrics::counter!(telemetry::HTTP_DEADLINES).increment(1);
            Err(Error::DeadlineExceeded)
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
