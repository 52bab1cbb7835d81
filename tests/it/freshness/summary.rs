//! The counts by status are those of the datasets, whatever of their changes was announced by then.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use drr::clock::Clock;
use serde_json::{Value, json};

use crate::{cluster::run, graph::Graph};

const BOTH: &str = "{ freshnessSummary { fresh warn stale unknown notApplicable total }
  datasets(first: 200) { nodes { freshness { status } } } }";

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Compares the two in one answer; gives the counts.
async fn agree(graph: &Graph) -> Value {
    let data = graph.read(BOTH, json!({})).await;
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for node in data["datasets"]["nodes"].as_array().unwrap() {
        *counted.entry(node["freshness"]["status"].as_str().unwrap()).or_default() += 1;
    }
    let summary = &data["freshnessSummary"];
    let of = |status| counted.get(status).copied().unwrap_or_default();
    let expected = json!({
        "fresh": of("FRESH"), "warn": of("WARN"), "stale": of("STALE"), "unknown": of("UNKNOWN"),
        "notApplicable": of("NOT_APPLICABLE"), "total": counted.values().sum::<u64>(),
    });
    assert_eq!(*summary, expected);
    expected
}

#[test]
fn the_summary_counts_what_the_list_shows_whatever_was_announced() {
    run(async {
        let graph = Graph::start().await;
        let (mut chance, mut datasets, mut seen) = (Chance(3), Vec::new(), BTreeMap::new());
        for step in 0..120 {
            let any = |chance: &mut Chance, of: &[(String, String)]| {
                of.get(usize::try_from(chance.below(of.len().max(1) as u64)).unwrap()).cloned()
            };
            let chosen = any(&mut chance, &datasets);
            match (chance.below(10), chosen) {
                (0..3, _) | (_, None) => {
                    let name = format!("d{step}");
                    datasets.push((graph.register(&name).await, name));
                }
                (3, Some((id, _))) => {
                    let limits = json!({ "warnAfterSeconds": 60, "failAfterSeconds": 120 });
                    graph.set_policy(&id, limits).await;
                }
                (4 | 5, Some((id, name))) => {
                    graph.set_policy(&id, json!({ "failAfterSeconds": 90 })).await;
                    graph.succeed(&[&name], graph.clock.now()).await;
                }
                (6, Some((id, _))) => {
                    graph.done("retireDataset", "status", json!({ "id": id })).await;
                    datasets.retain(|(known, _)| *known != id);
                }
                (7, _) => graph.clock.advance(TimeDelta::seconds(30)),
                // A limit is kept at its instant and passed a microsecond later.
                (8, _) => graph.clock.advance(TimeDelta::microseconds(1)),
                _ => {
                    graph.app.announce().await;
                }
            }
            for (status, count) in agree(&graph).await.as_object().unwrap() {
                let most = seen.entry(status.clone()).or_insert(0);
                *most = count.as_u64().unwrap().max(*most);
            }
        }
        assert!(seen.values().all(|most| *most > 0), "not every status was there: {seen:?}");
        // What was announced at a later instant than it is asked about is put right as well.
        let announced = "SELECT count(*) FROM freshness_announced WHERE listed";
        graph.clock.advance(TimeDelta::hours(1));
        graph.app.announce().await;
        graph.clock.advance(-TimeDelta::hours(1));
        agree(&graph).await;
        assert_ne!(crate::breach::number(&mut graph.app.admin().await, announced).await, 0);
    });
}
