//! Freshness policies over HTTP: selectors, calendars, deadlines, and what the refresh states keep.

mod calendars;
mod clients;
mod deadlines;
mod many;
mod racing;
mod selectors;
mod summary;

use drr::auth::policy::Role;
use serde_json::{Value, json};

use crate::graph::{Graph, string};

/// A dataset's freshness, with all that it says.
const FRESHNESS: &str = "query($id: ID!) { dataset(id: $id) { freshness {
  status explanation since deadline warnAt staleAt nextChangeAt policyReason decidedBy { id }
  policy { id version selector { domain tags } mode driver timezone removed effectiveFrom
    maxAge { warnAfterSeconds failAfterSeconds }
    deadline { cron lowerBoundSeconds warnAfterSeconds failAfterSeconds }
    exclusions { weekdays dates calendars } } } } }";

impl Graph {
    async fn freshness(&self, id: &str) -> Value {
        self.read(FRESHNESS, json!({ "id": id })).await["dataset"]["freshness"].take()
    }

    /// Sets a policy for a selector; its id.
    async fn select(&self, selector: Value, fail_after: i64) -> String {
        let input = json!({ "selector": selector, "maxAge": { "failAfterSeconds": fail_after } });
        let done = self.done("setFreshnessPolicyForSelector", "status policy { id }", input).await;
        assert_eq!(done["status"], "SET", "{done:#}");
        string(&done["policy"]["id"]).to_owned()
    }

    /// How long a dataset may go without a success, and why.
    async fn asked(&self, id: &str) -> (Value, String) {
        let freshness = self.freshness(id).await;
        let reason = freshness["policyReason"].as_str().unwrap_or("none").to_owned();
        (freshness["policy"]["maxAge"]["failAfterSeconds"].clone(), reason)
    }

    /// States that are not as a policy would have them: must be none. Worked out anew by the
    /// database, from the policies and the datasets alone, for policies of a maximum age.
    async fn expect_states_to_be_right(&self) {
        let wrong: Vec<(String,)> = sqlx::query_as(
            "WITH latest AS (
               SELECT DISTINCT ON (tenant_id, policy_id) * FROM freshness_policy
                ORDER BY tenant_id, policy_id, version DESC
             ), matching AS (
               SELECT r.tenant_id, r.dataset_id, p.policy_id, p.version, p.fail_after_seconds,
                      row_number() OVER (PARTITION BY r.tenant_id, r.dataset_id ORDER BY
                        p.dataset_id IS NULL,
                        CASE WHEN cardinality(p.selector_tags) = 0 THEN 2
                             WHEN p.selector_domain IS NULL THEN 1 ELSE 0 END,
                        cardinality(p.selector_tags) DESC, p.policy_id) AS place,
                      count(*) OVER (PARTITION BY r.tenant_id, r.dataset_id) AS matching
                 FROM dataset_registry r JOIN latest p ON p.tenant_id = r.tenant_id
                  AND NOT p.removed AND (p.dataset_id = r.dataset_id OR p.dataset_id IS NULL
                    AND (p.selector_domain IS NULL OR p.selector_domain = r.domain)
                    AND p.selector_tags <@ r.tags)
             )
             SELECT s.dataset_id::text FROM dataset_refresh_state s
               LEFT JOIN matching m ON (m.tenant_id, m.dataset_id, m.place)
                 = (s.tenant_id, s.dataset_id, 1)
              WHERE (s.policy_id, s.policy_version, s.policies_matching, s.freshness_basis)
                IS DISTINCT FROM (m.policy_id, m.version, coalesce(m.matching, 0)::integer,
                  CASE WHEN m.policy_id IS NULL THEN 'NOT_APPLICABLE'
                       WHEN s.last_success_at IS NULL THEN 'UNKNOWN' ELSE 'TIMED' END)
                OR s.freshness_basis = 'TIMED' AND s.stale_at
                  <> s.last_success_at + m.fail_after_seconds * interval '1 second'",
        )
        .fetch_all(&mut self.app.admin().await)
        .await
        .unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    fn manager(&self) -> String {
        self.token(Role::TenantAdmin)
    }
}
