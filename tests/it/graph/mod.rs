//! The graph, as a client sees it: reads, pages, freshness, changes, entities.

mod board;
mod entities;
mod errors;
mod freshness;
mod history;
mod impact;
mod isolation;
mod mutations;
mod pages;
mod policies;
mod runs;

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use drr::{
    auth::policy::Role,
    clock::{Clock, ManualClock},
};
use serde_json::{Value, json};
use sqlx::Row;

use crate::{app::TestApp, smoke::run_event};

/// A tenant that most tests work in, and one that must never see any of it.
pub const TENANT: &str = "acme";
pub const STRANGER: &str = "globex";

/// A running service whose time the test moves.
pub struct Graph {
    pub app: TestApp,
    pub clock: Arc<ManualClock>,
}

/// An audit event, as far as these tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    pub action: String,
    pub dataset_id: Option<String>,
    pub result: String,
    pub error_code: Option<String>,
}

impl Audited {
    pub fn new(action: &str, dataset_id: Option<&str>, result: &str, code: Option<&str>) -> Self {
        Self {
            action: action.to_owned(),
            dataset_id: dataset_id.map(str::to_owned),
            result: result.to_owned(),
            error_code: code.map(str::to_owned),
        }
    }
}

pub fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub fn name_input(namespace: &str, name: &str) -> Value {
    json!({ "namespace": namespace, "name": name })
}

pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

impl Graph {
    pub async fn start() -> Self {
        let clock = Arc::new(ManualClock::default());
        Self { app: TestApp::with_clock(&clock).await, clock }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn ago(&self, seconds: i64) -> DateTime<Utc> {
        self.now() - TimeDelta::seconds(seconds)
    }

    pub fn token(&self, role: Role) -> String {
        self.app.token(TENANT, role)
    }

    /// Reads as the tenant's reader.
    pub async fn read(&self, query: &str, variables: Value) -> Value {
        self.app.data(&self.token(Role::Reader), query, variables).await
    }

    /// The code of the one error that the tenant's reader gets.
    pub async fn read_code(&self, query: &str, variables: Value) -> String {
        self.app.code(&self.token(Role::Reader), query, variables).await
    }

    /// Runs a mutation with one input as the tenant's admin: its whole answer.
    pub async fn mutate(&self, field: &str, selection: &str, input: Value) -> Value {
        let mut kind = field.to_owned();
        kind[..1].make_ascii_uppercase();
        let query = format!(
            "mutation($input: {kind}Input!) {{ result: {field}(input: $input) {{ {selection} }} }}"
        );
        self.app.answer(&self.token(Role::TenantAdmin), &query, json!({ "input": input })).await
    }

    /// The payload of a mutation that succeeds.
    pub async fn done(&self, field: &str, selection: &str, input: Value) -> Value {
        let mut answer = self.mutate(field, selection, input).await;
        assert!(answer.get("errors").is_none(), "{field}: {answer:#}");
        answer["data"]["result"].take()
    }

    /// The code and the message of a mutation that is refused.
    pub async fn refused(&self, field: &str, input: Value) -> (String, String) {
        let answer = self.mutate(field, "__typename", input).await;
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("done: {answer:#}"));
        assert_eq!(errors.len(), 1, "{answer:#}");
        let error = &errors[0];
        (string(&error["extensions"]["code"]).to_owned(), string(&error["message"]).to_owned())
    }

    /// Registers a dataset in the namespace `ns`; its id.
    pub async fn register(&self, name: &str) -> String {
        self.register_with(json!({ "namespace": "ns", "name": name })).await
    }

    pub async fn register_with(&self, input: Value) -> String {
        let payload = self.done("registerDataset", "status dataset { id }", input).await;
        assert_eq!(payload["status"], "REGISTERED", "{payload:#}");
        string(&payload["dataset"]["id"]).to_owned()
    }

    /// Sets a policy; the version that is in force then.
    pub async fn set_policy(&self, id: &str, max_age: Value) -> i64 {
        let input = json!({ "datasetId": id, "maxAge": max_age });
        let selection = "status dataset { freshnessPolicy { version } }";
        let payload = self.done("setFreshnessPolicy", selection, input).await;
        assert_eq!(payload["status"], "SET", "{payload:#}");
        payload["dataset"]["freshnessPolicy"]["version"].as_i64().unwrap()
    }

    /// Reports a run that succeeded at `at` and wrote the datasets `names` of the namespace `ns`.
    pub async fn succeed(&self, names: &[&str], at: DateTime<Utc>) -> String {
        let run = self.clock.new_id().to_string();
        let mut event = run_event("COMPLETE", &text(at), &run, "");
        event["outputs"] = names.iter().map(|name| name_input("ns", name)).collect();
        let writer = self.token(Role::RuntimeWriter);
        let (status, report) = self.app.lineage(&writer, &event).await;
        assert_eq!(status, 201, "{report:#}");
        run
    }

    /// The tenant's audit events, in order, without those of reads.
    pub async fn audit(&self) -> Vec<Audited> {
        let rows = sqlx::query(
            "SELECT action, dataset_id::text AS dataset_id, result, error_code FROM audit_event
              WHERE tenant_id = $1 AND action NOT LIKE '%.read' AND action <> 'graphql.execute'
              ORDER BY sequence",
        )
        .bind(TENANT)
        .fetch_all(&mut self.app.admin().await)
        .await
        .unwrap();
        let event = |row: &sqlx::postgres::PgRow| Audited {
            action: row.get("action"),
            dataset_id: row.get("dataset_id"),
            result: row.get("result"),
            error_code: row.get("error_code"),
        };
        rows.iter().map(event).collect()
    }

    /// The audit events that came since there were `before` of them.
    pub async fn audited_since(&self, before: usize) -> Vec<Audited> {
        self.audit().await.split_off(before)
    }
}
