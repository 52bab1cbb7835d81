//! The operations listener: is the process alive, may it get traffic, what does it count.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, StatusCode, header},
    routing::get,
};
use futures::future::{BoxFuture, join_all};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

const EXPOSITION: [(HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];

/// Why a part is not ready, for the people who operate it: what is missing, never a secret, an
/// address with a password or a tenant's data.
pub type NotReady = Cow<'static, str>;

/// Something that must work before traffic comes.
pub trait ReadinessCheck: Send + Sync + 'static {
    /// Names the part: `database`, `migrations`, `keys`.
    fn name(&self) -> &'static str;

    /// Asks the part itself. Dropped at the deadline.
    fn check(&self) -> BoxFuture<'_, Result<(), NotReady>>;
}

/// What the operations listener answers from.
#[derive(Clone)]
pub struct Operations {
    /// Asked anew at each `/readyz`.
    pub checks: Vec<Arc<dyn ReadinessCheck>>,
    /// How long each check may take.
    pub deadline: Duration,
    /// Rendered at `/metrics`.
    pub metrics: PrometheusHandle,
    /// Cancelled when the program begins to end: not ready from then on.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|check| check.name()).collect();
        formatter.debug_struct("Operations").field("checks", &names).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    checks: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<NotReady>,
}

impl Outcome {
    fn new(name: &'static str, result: Result<(), NotReady>) -> Self {
        Self { name, ok: result.is_ok(), reason: result.err() }
    }
}

/// `/livez`, `/readyz` and `/metrics`.
pub fn router(operations: Operations) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(operations)
}

/// Answers as long as the process does; a dead database is no reason to restart it.
async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(operations): State<Operations>) -> (StatusCode, Json<Report>) {
    let asked = operations.checks.iter().map(|check| async {
        let answer = tokio::time::timeout(operations.deadline, check.check()).await;
        let late = || Err(format!("no answer within {:?}", operations.deadline).into());
        Outcome::new(check.name(), answer.unwrap_or_else(|_| late()))
    });
    let mut checks = join_all(asked).await;
    let ending = operations.shutdown.is_cancelled();
    let shutdown = if ending { Err("the program is ending".into()) } else { Ok(()) };
    checks.push(Outcome::new("shutdown", shutdown));
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Report { ready, checks }))
}

async fn render(State(operations): State<Operations>) -> ([(HeaderName, &'static str); 1], String) {
    (EXPOSITION, operations.metrics.render())
}
