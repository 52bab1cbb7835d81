//! Pages of a dataset's runs, over the partitions of several months.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Graph, string, text};
use crate::{cluster::run, smoke::run_event};

const PAGE: &str = "query($id: ID!, $first: Int, $after: String) { dataset(id: $id) {
  runs(first: $first, after: $after) {
    nodes { runId startedAt endedAt } pageInfo { hasNextPage endCursor } } } }";

/// Latest first, each once, whatever the size of the page: over month boundaries and ties.
#[test]
fn walking_all_pages_of_runs_gives_each_once_latest_first() {
    run(async {
        let graph = Graph::start().await;
        // The month in which the partitions of this database begin, whatever the month it is.
        let mut admin = graph.app.admin().await;
        let now: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar("SELECT date_trunc('month', now())")
                .fetch_one(&mut admin)
                .await
                .unwrap();
        graph.clock.set(now + TimeDelta::days(2));
        let id = graph.register("d").await;
        let mut expected = Vec::new();
        for step in 0..24_i32 {
            // Pairs at one instant, around the starts of three months.
            let at = now - TimeDelta::days(31 * i64::from(step / 8))
                + TimeDelta::microseconds(i64::from(step % 8 / 2) - 2);
            let run = graph.app.clock.new_id().to_string();
            let mut event = run_event("COMPLETE", &text(at), &run, "d");
            event["outputs"][0]["namespace"] = json!("ns");
            let writer = graph.token(drr::auth::policy::Role::RuntimeWriter);
            let (status, report) = graph.app.lineage(&writer, &event).await;
            assert_eq!(status, 201, "{report:#}");
            expected.push((at, run));
        }
        expected.sort_by(|a, b| b.cmp(a));
        let expected: Vec<_> = expected.into_iter().map(|(_, run)| run).collect();
        for first in [1, 3, 24, 200] {
            let (mut seen, mut after) = (Vec::new(), Value::Null);
            loop {
                let variables = json!({ "id": id, "first": first, "after": after });
                let page = graph.read(PAGE, variables).await["dataset"]["runs"].take();
                let nodes = page["nodes"].as_array().unwrap();
                seen.extend(nodes.iter().map(|node| string(&node["runId"]).to_owned()));
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
                after = page["pageInfo"]["endCursor"].clone();
            }
            assert_eq!(seen, expected, "{first}");
        }
        for (variables, code) in [
            (json!({ "id": id, "first": -1 }), "BAD_USER_INPUT"),
            (json!({ "id": id, "first": 201 }), "LIMIT_EXCEEDED"),
            (json!({ "id": id, "after": "nonsense" }), "BAD_USER_INPUT"),
        ] {
            assert_eq!(graph.read_code(PAGE, variables).await, code);
        }
    });
}
