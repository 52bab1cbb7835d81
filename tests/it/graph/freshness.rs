//! Freshness at its exact boundaries: a limit is still kept at exactly its instant.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Graph, string, text};
use crate::cluster::run;

impl Graph {
    /// What each way of asking says of the only dataset that there is.
    async fn status(&self) -> Value {
        let board = "query($status: [FreshnessStatus!]) {
          freshnessSummary { total fresh warn stale unknown notApplicable }
          all: datasets { nodes { freshness {
            status evaluatedAt since warnAt staleAt nextChangeAt ageSeconds } } }
          named: datasets(filter: { status: $status }) { nodes { id } }
          worst: datasets(filter: { status: $status }, order: WORST_FIRST) { nodes { id } }
        }";
        let mut data = self.read(board, json!({ "status": null })).await;
        let freshness = data["all"]["nodes"][0]["freshness"].take();
        let status = string(&freshness["status"]).to_owned();
        assert_eq!(freshness["evaluatedAt"].as_str(), Some(rfc(self.now()).as_str()));
        for asked in ["FRESH", "WARN", "STALE", "UNKNOWN", "NOT_APPLICABLE"] {
            let data = self.read(board, json!({ "status": [asked] })).await;
            let expected = usize::from(asked == status);
            for list in ["named", "worst"] {
                let found = data[list]["nodes"].as_array().unwrap().len();
                assert_eq!(found, expected, "{list} {asked} {status}");
            }
            let count = match asked {
                "NOT_APPLICABLE" => "notApplicable".to_owned(),
                other => other.to_lowercase(),
            };
            assert_eq!(data["freshnessSummary"][&count], expected, "{asked} {status}");
            assert_eq!(data["freshnessSummary"]["total"], 1);
        }
        freshness
    }
}

/// An instant as answers have it.
pub fn rfc(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339()
}

#[test]
fn a_limit_is_kept_at_exactly_its_instant_and_not_a_microsecond_longer() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        let success = graph.now();
        let tick = TimeDelta::microseconds(1);
        let (warn, stale) = (TimeDelta::seconds(100), TimeDelta::seconds(200));

        assert_eq!(graph.status().await["status"], "NOT_APPLICABLE");
        graph.set_policy(&id, json!({ "warnAfterSeconds": 100, "failAfterSeconds": 200 })).await;
        let unknown = graph.status().await;
        assert_eq!(unknown["status"], "UNKNOWN");
        assert_eq!(unknown["ageSeconds"], Value::Null);
        graph.succeed(&["d"], success).await;

        for (after, status, since, next) in [
            (TimeDelta::zero(), "FRESH", Some(TimeDelta::zero()), Some(warn + tick)),
            (warn, "FRESH", Some(TimeDelta::zero()), Some(warn + tick)),
            (warn + tick, "WARN", Some(warn + tick), Some(stale + tick)),
            (stale, "WARN", Some(warn + tick), Some(stale + tick)),
            (stale + tick, "STALE", Some(stale + tick), None),
        ] {
            graph.clock.set(success + after);
            let freshness = graph.status().await;
            assert_eq!(freshness["status"], status, "{after}");
            let instant = |after: Option<TimeDelta>| json!(after.map(|after| rfc(success + after)));
            assert_eq!(freshness["since"], instant(since), "{after}");
            assert_eq!(freshness["nextChangeAt"], instant(next), "{after}");
            assert_eq!(freshness["warnAt"], instant(Some(warn)));
            assert_eq!(freshness["staleAt"], instant(Some(stale)));
            assert_eq!(freshness["ageSeconds"], after.num_seconds());
        }
        // A new success makes it fresh again; a failure alone would not.
        graph.succeed(&["d"], graph.now()).await;
        assert_eq!(graph.status().await["status"], "FRESH");
    });
}

#[test]
fn a_policy_counts_from_the_moment_it_is_set() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        graph.succeed(&["d"], graph.ago(150)).await;
        for (limits, mode, status) in [
            (json!({ "warnAfterSeconds": 100 }), "ACTIVE", "WARN"),
            (json!({ "failAfterSeconds": 100 }), "ACTIVE", "STALE"),
            (json!({ "failAfterSeconds": 150 }), "ACTIVE", "FRESH"),
            (json!({ "failAfterSeconds": 149 }), "ACTIVE", "STALE"),
            (json!({ "failAfterSeconds": 100 }), "INACTIVE", "NOT_APPLICABLE"),
            (json!({ "warnAfterSeconds": 1, "failAfterSeconds": 315_576_000 }), "ACTIVE", "WARN"),
        ] {
            let input = json!({ "datasetId": id, "maxAge": limits, "mode": mode });
            let selection = "status dataset { freshness { status } freshnessPolicy { mode } }";
            let payload = graph.done("setFreshnessPolicy", selection, input).await;
            assert_eq!(payload["dataset"]["freshness"]["status"], status, "{limits}");
            assert_eq!(payload["dataset"]["freshnessPolicy"]["mode"], mode);
            assert_eq!(graph.status().await["status"], status, "{limits}");
        }
    });
}

/// A success that lies ahead (another machine's clock is fast) has age zero.
#[test]
fn a_success_that_lies_ahead_is_fresh() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        graph.set_policy(&id, json!({ "failAfterSeconds": 1 })).await;
        graph.succeed(&["d"], graph.ago(-300)).await;
        let freshness = graph.status().await;
        assert_eq!(freshness["status"], "FRESH");
        assert_eq!(freshness["ageSeconds"], 0);
        assert!(text(graph.now()).starts_with("2026-01-01T00:00:00"));
    });
}
