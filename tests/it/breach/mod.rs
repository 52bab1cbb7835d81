//! Breaches: found by the clock, told to the webhook, noted and muted by people.

mod events;
mod kill;
mod lease;
mod people;
mod scale;
mod sweep;
pub mod webhook;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::graph::{Graph, string};

pub const TICK: TimeDelta = TimeDelta::microseconds(1);

/// Everything about breaches, the latest first.
const ALL: &str = "{ breaches { nodes {
  id state level openedAt detectedAt escalatedAt resolvedAt resolution resolvedBy { id }
  lastSuccessAt durationSeconds policyId policyVersion dataset { id name }
  acknowledgement { at by note } mute { until reason by } } } }";

/// What happened, in its order.
const EVENTS: &str = "query($after: String) { freshnessEvents(first: 200, after: $after) {
  nodes { id sequence type muted level dataset { name } breach { id state } }
  pageInfo { endCursor hasNextPage } } }";

impl Graph {
    /// A dataset that succeeded now and has these limits; its id.
    pub async fn watched(&self, name: &str, max_age: Value) -> String {
        let id = self.register(name).await;
        self.set_policy(&id, max_age).await;
        self.succeed(&[name], self.now()).await;
        id
    }

    /// The tenant's breaches, the latest first.
    pub async fn breaches(&self) -> Vec<Value> {
        let mut data = self.read(ALL, json!({})).await;
        data["breaches"]["nodes"].take().as_array().unwrap().clone()
    }

    /// The only breach that there is.
    pub async fn breach(&self) -> Value {
        let mut breaches = self.breaches().await;
        assert_eq!(breaches.len(), 1, "{breaches:#?}");
        breaches.remove(0)
    }

    /// What happened, as `TYPE name`, in its order.
    pub async fn told(&self) -> Vec<String> {
        let data = self.read(EVENTS, json!({ "after": null })).await;
        let nodes = data["freshnessEvents"]["nodes"].as_array().unwrap();
        for (index, node) in nodes.iter().enumerate() {
            assert_eq!(string(&node["sequence"]), (index + 1).to_string(), "a gap");
        }
        let word = |node: &Value| {
            format!("{} {}", string(&node["type"]), string(&node["dataset"]["name"]))
        };
        nodes.iter().map(word).collect()
    }
}

/// An instant as answers have it.
pub fn rfc(at: DateTime<Utc>) -> String {
    at.to_rfc3339()
}

/// Runs a script as a superuser.
pub async fn script(admin: &mut PgConnection, sql: &str) {
    let done = admin.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// One number that the database answers with.
pub async fn number(admin: &mut PgConnection, sql: &str) -> i64 {
    admin.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap().get(0)
}

/// Fills `tenant` with `count` datasets, of which the one with the number n is late from `warn` on
/// and stale from `stale` on, as SQL over n.
pub async fn fill(admin: &mut PgConnection, tenant: &str, count: u32, warn: &str, stale: &str) {
    let sql = format!(
        "INSERT INTO tenant_directory VALUES ('{tenant}') ON CONFLICT DO NOTHING;
         INSERT INTO dataset_registry (tenant_id, dataset_id, namespace, name, search_text, created_at, updated_at)
         SELECT '{tenant}', md5('{tenant}/' || n)::uuid, 'ns', 'd' || n, '', now(), now()
           FROM generate_series(1, {count}) AS n;
         INSERT INTO dataset_refresh_state (tenant_id, dataset_id, policy_id, policy_version, alerting,
                freshness_basis, last_success_at, warn_at, stale_at, updated_at)
         SELECT '{tenant}', id, id, 1, true, 'TIMED', '2020-01-01', {warn}, {stale}, now()
           FROM generate_series(1, {count}) AS n, LATERAL (SELECT md5('{tenant}/' || n)::uuid) AS made (id)"
    );
    script(admin, &sql).await;
}
