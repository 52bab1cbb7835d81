//! Writes that happen exactly once: requests with an idempotency key, tokens for one use, and the
//! guard that lets no write pass without its audit event. // D43, D44

mod crash;
mod every;
mod guard;
mod nonce;
mod race;
mod semantics;

use drr::auth::policy::Role;
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::Row;

use crate::app::TestApp;

pub const TENANT: &str = "acme";

/// An answer, as much of it as there is.
#[derive(Debug, Clone)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answered {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub fn replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    /// The code of the only error, in a GraphQL answer or a problem document.
    pub fn code(&self) -> String {
        let body = self.json();
        let code = body["errors"][0]["extensions"].get("code").unwrap_or(&body["code"]);
        code.as_str().unwrap_or_else(|| panic!("no code: {body:#}")).to_owned()
    }
}

/// Sends a GraphQL request with a key.
pub async fn graphql(
    app: &TestApp,
    token: &str,
    key: &str,
    query: &str,
    variables: Value,
) -> Answered {
    let request = app.http.post(app.public("/graphql")).bearer_auth(token);
    let request = request.header("idempotency-key", key);
    let body = json!({ "query": query, "variables": variables });
    Answered::of(request.json(&body).send().await.unwrap()).await
}

/// Sends OpenLineage events with a key.
pub async fn lineage(app: &TestApp, token: &str, key: &str, events: &Value) -> Answered {
    let request = app.http.post(app.internal("/api/v1/lineage")).bearer_auth(token);
    Answered::of(request.header("idempotency-key", key).json(events).send().await.unwrap()).await
}

pub fn admin(app: &TestApp) -> String {
    app.token(TENANT, Role::TenantAdmin)
}

/// A number that a superuser reads.
pub async fn count(app: &TestApp, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(&mut app.admin().await).await.unwrap().get(0)
}
