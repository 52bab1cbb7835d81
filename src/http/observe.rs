//! Counts and times every request, bounds its time, and turns a panic into an answer.

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    body::HttpBody,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use super::{Front, ListenerKind, correlation::route};
use crate::{error::Error, telemetry};

pub(super) async fn observe(State(front): State<Front>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = route(&request).to_owned();
    let response = bounded(&front, request, next).await;
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

/// The rest of the way, within its deadline and with its panics caught.
async fn bounded(front: &Front, request: Request, next: Next) -> Response {
    let mut allowed = front.request_deadline;
    if !request.body().is_end_stream() {
        allowed += front.body_timeout;
    }
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(allowed, handled).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            metrics::counter!(telemetry::HTTP_PANICS).increment(1);
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            Error::internal(format!("a handler panicked: {message}")).into_response()
        }
        Err(_) => Error::unavailable(format!("no answer within {allowed:?}")).into_response(),
    }
}
