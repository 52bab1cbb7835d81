//! Answers that are kept: who gets them, until when, and what is told of it.

mod encrypted;
mod failing;
mod history;
mod kept;
mod operator;
pub mod redis;

use serde_json::{Value, json};

use crate::app::TestApp;

/// Sends a query under a correlation id; its whole answer.
pub async fn ask(app: &TestApp, token: &str, query: &str, name: &str) -> Value {
    let request = app.http.post(app.public("/graphql")).bearer_auth(token);
    let request = request.header("x-correlation-id", name).json(&json!({ "query": query }));
    request.send().await.unwrap().json().await.unwrap()
}

/// The rows that the database answered for the calls with these correlation ids, call by call. None for a
/// call that was answered from what is kept.
pub async fn rows(app: &TestApp, name: &str) -> Vec<i64> {
    let sql = "SELECT row_count FROM audit_event WHERE correlation_id = $1 AND event_id = call_id
                ORDER BY sequence";
    sqlx::query_scalar(sql).bind(name).fetch_all(&mut app.admin().await).await.unwrap()
}
