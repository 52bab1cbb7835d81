//! Lineage over HTTP: edges from inputs and outputs, walks, and root causes.

use std::collections::BTreeSet;

use drr::{auth::policy::Role, clock::Clock};
use serde_json::{Value, json};

use super::{Graph, STRANGER, name_input, string, text};
use crate::{cluster::run, smoke::run_event};

impl Graph {
    /// Reports that a job read some datasets, and in an event of its own that it wrote some.
    async fn link(&self, token: &str, job: &str, inputs: &[&str], outputs: &[&str]) {
        let id = self.clock.new_id().to_string();
        let named = |names: &[&str]| names.iter().map(|name| name_input("ns", name)).collect();
        let event = |event_type, ago, inputs: Value, outputs: Value| {
            let mut event = run_event(event_type, &text(self.ago(ago)), &id, "");
            event["job"]["name"] = json!(job);
            (event["inputs"], event["outputs"]) = (inputs, outputs);
            event
        };
        // Inputs with the start, outputs with the end, and the end is told first.
        for event in [
            event("COMPLETE", 100, json!([]), named(outputs)),
            event("START", 200, named(inputs), json!([])),
        ] {
            let (status, report) = self.app.lineage(token, &event).await;
            assert_eq!(status, 201, "{report:#}");
        }
    }

    async fn walked(&self, name: &str, selection: &str) -> Value {
        let query =
            "query($text: String) { datasets(filter: { text: $text }) { nodes { SELECTION } } }"
                .replace("SELECTION", selection);
        let data = self.app.data(&self.token(Role::Reader), &query, json!({ "text": name })).await;
        data["datasets"]["nodes"][0].clone()
    }
}

fn reached(walk: &Value) -> BTreeSet<(String, i64)> {
    let nodes = walk["nodes"].as_array().unwrap().iter();
    let node = |node: &Value| {
        (string(&node["dataset"]["name"]).to_owned(), node["distance"].as_i64().unwrap())
    };
    nodes.map(node).collect()
}

fn set(expected: &[(&str, i64)]) -> BTreeSet<(String, i64)> {
    expected.iter().map(|(name, distance)| ((*name).to_owned(), *distance)).collect()
}

const UP: &str =
    "upstream(depth: 10) { truncated nodes { distance job { name } dataset { id name } } }";

#[test]
fn walks_follow_what_runs_read_and_wrote_and_end_in_circles() {
    run(async {
        let graph = Graph::start().await;
        let writer = graph.token(Role::RuntimeWriter);
        graph.link(&writer, "load", &["source"], &["raw"]).await;
        graph.link(&writer, "clean", &["raw", "rates"], &["orders"]).await;
        graph.link(&writer, "mart", &["orders"], &["revenue"]).await;
        // A circle, and a dataset that is made from itself.
        graph.link(&writer, "feedback", &["revenue"], &["raw"]).await;
        graph.link(&writer, "incremental", &["orders"], &["orders"]).await;
        // The same names elsewhere.
        graph
            .link(&graph.app.token(STRANGER, Role::RuntimeWriter), "theirs", &["secret"], &["raw"])
            .await;

        let up = graph.walked("revenue", UP).await["upstream"].clone();
        assert_eq!(
            reached(&up),
            set(&[("orders", 1), ("raw", 2), ("rates", 2), ("source", 3)]),
            "{up:#}"
        );
        assert_eq!(up["nodes"][0]["job"]["name"], "mart");
        assert_eq!(up["truncated"], false);
        let down =
            "downstream(depth: 2, first: 1) { truncated nodes { distance dataset { name } } }";
        let down = graph.walked("source", down).await["downstream"].clone();
        assert_eq!((reached(&down), &down["truncated"]), (set(&[("raw", 1)]), &json!(true)));
        let near = "upstream { nodes { distance viaDatasetId dataset { name } } }";
        assert_eq!(
            reached(&graph.walked("revenue", near).await["upstream"]),
            set(&[("orders", 1)])
        );
        graph.app.stop().await;
    });
}

#[test]
fn a_late_dataset_names_the_late_one_that_made_it_late() {
    run(async {
        let graph = Graph::start().await;
        let writer = graph.token(Role::RuntimeWriter);
        graph.link(&writer, "load", &["source"], &["raw"]).await;
        graph.link(&writer, "clean", &["raw", "rates"], &["orders"]).await;
        graph.link(&writer, "mart", &["orders"], &["revenue"]).await;
        let ids = "{ datasets { nodes { id name } } }";
        let data = graph.app.data(&graph.token(Role::Reader), ids, json!({})).await;
        for node in data["datasets"]["nodes"].as_array().unwrap() {
            graph.set_policy(string(&node["id"]), json!({ "failAfterSeconds": 300 })).await;
        }
        let causes = "freshness { status } rootCauses { truncated causes { since sentence
                        dataset { name } path { name } } }";
        let ask = async || graph.walked("revenue", causes).await;
        // `source` and `rates` have never succeeded: no run wrote them.
        let said = ask().await;
        assert_eq!(said["rootCauses"]["causes"], json!([]), "fresh: {said:#}");

        graph.clock.advance(chrono::TimeDelta::seconds(250));
        graph.succeed(&["source", "rates"], graph.now()).await;
        let said = ask().await;
        assert_eq!(said["freshness"]["status"], "STALE");
        let cause = &said["rootCauses"]["causes"][0];
        assert_eq!(said["rootCauses"]["causes"].as_array().unwrap().len(), 1, "{said:#}");
        assert_eq!(cause["dataset"]["name"], "raw");
        let path: Vec<_> =
            cause["path"].as_array().unwrap().iter().map(|node| string(&node["name"])).collect();
        assert_eq!(path, ["revenue", "orders", "raw"]);
        let sentence = string(&cause["sentence"]);
        assert!(sentence.starts_with("stale because raw is stale since 2026-"), "{sentence}");
        assert!(sentence.ends_with(": no run has come since"), "{sentence}");

        // Its run fails: the sentence says so. It succeeds: then the next one is the cause.
        let id = graph.clock.new_id().to_string();
        let mut event = run_event("FAIL", &text(graph.now()), &id, "");
        event["outputs"] = json!([name_input("ns", "raw")]);
        assert_eq!(graph.app.lineage(&writer, &event).await.0, 201);
        let said = ask().await;
        let sentence = string(&said["rootCauses"]["causes"][0]["sentence"]);
        assert!(sentence.contains(": its last run failed at 2026-"), "{sentence}");
        graph.succeed(&["raw"], graph.now()).await;
        let said = ask().await;
        assert_eq!(said["rootCauses"]["causes"][0]["dataset"]["name"], "orders");
        graph.app.stop().await;
    });
}
