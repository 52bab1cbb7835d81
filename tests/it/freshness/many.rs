//! A policy for many datasets, and for more than it may be for.

use serde_json::json;
use sqlx::Executor;

use crate::{cluster::run, graph::Graph};

const DATASETS: &str = "
WITH made AS (
  SELECT gen_random_uuid() AS id, 'd' || n AS name, n FROM generate_series(1, 100001) AS n
), registered AS (
  INSERT INTO dataset_registry (tenant_id, dataset_id, namespace, name, domain, tags, search_text, created_at, updated_at)
  SELECT 'acme', id, 'ns', name, 'many', CASE WHEN n <= 2500 THEN '{some}'::text[] ELSE '{}' END, name, now(), now() FROM made
)
INSERT INTO dataset_refresh_state (tenant_id, dataset_id, status, last_success_at, updated_at)
SELECT 'acme', id, 'READY', '2026-01-01T00:00:00Z', now() FROM made";

#[test]
fn a_policy_for_too_many_datasets_changes_nothing_and_one_for_many_changes_all() {
    run(async {
        let graph = Graph::start().await;
        let mut admin = graph.app.admin().await;
        // The rows of an import, which leave no audit event.
        admin.execute("SET session_replication_role = replica").await.unwrap();
        admin.execute(DATASETS).await.unwrap();
        let mut input = json!({ "selector": { "domain": "many" },
            "deadline": { "cron": "0 6 * * *", "lowerBoundSeconds": 3_600, "failAfterSeconds": 0 },
            "timezone": "Europe/Berlin", "exclusions": { "weekdays": ["SATURDAY", "SUNDAY"] } });
        let (code, message) = graph.refused("setFreshnessPolicyForSelector", input.clone()).await;
        assert_eq!(code, "LIMIT_EXCEEDED");
        assert!(message.contains("selectedDatasets = 100000"), "{message}");
        let changed = "SELECT (SELECT count(*) FROM freshness_policy)
            + (SELECT count(*) FROM dataset_refresh_state WHERE policy_id IS NOT NULL)";
        let count: i64 = sqlx::query_scalar(changed).fetch_one(&mut admin).await.unwrap();
        assert_eq!(count, 0);
        // More than are brought up to date at once, in one transaction.
        input["selector"]["tags"] = json!(["some"]);
        let selection = "status selectedDatasets";
        let done = graph.done("setFreshnessPolicyForSelector", selection, input).await;
        assert_eq!(done, json!({ "status": "SET", "selectedDatasets": 2_500 }));
        let right = "SELECT count(*) FROM dataset_refresh_state WHERE alerting AND policy_version = 1
            AND policies_matching = 1 AND freshness_basis = 'TIMED' AND stale_at = '2026-01-01T05:00:00Z'";
        let count: i64 = sqlx::query_scalar(right).fetch_one(&mut admin).await.unwrap();
        assert_eq!(count, 2_500);
    });
}
