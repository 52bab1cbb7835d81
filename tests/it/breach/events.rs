//! The events, for those who catch up by cursor.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{EVENTS, number};
use crate::{
    cluster::run,
    graph::{Graph, string},
};

#[test]
fn a_reader_who_goes_on_after_the_last_event_it_saw_misses_none() {
    run(async {
        let graph = Graph::start().await;
        for n in 0..5 {
            graph.watched(&format!("d{n}"), json!({ "failAfterSeconds": 100 + n })).await;
        }
        let page = EVENTS.replace("first: 200", "first: 2");
        let (mut after, mut seen) = (Value::Null, Vec::new());
        for _ in 0..12 {
            graph.clock.advance(TimeDelta::seconds(10));
            graph.app.sweep().await;
            if graph.now().timestamp() % 30 == 0 {
                graph.succeed(&["d0", "d3"], graph.now()).await;
            }
            loop {
                let data = graph.read(&page, json!({ "after": after })).await;
                let events = &data["freshnessEvents"];
                for node in events["nodes"].as_array().unwrap() {
                    seen.push(string(&node["sequence"]).parse::<usize>().unwrap());
                }
                if events["pageInfo"]["endCursor"] != Value::Null {
                    after = events["pageInfo"]["endCursor"].clone();
                }
                if events["pageInfo"]["hasNextPage"] == false {
                    break;
                }
            }
        }
        let all =
            number(&mut graph.app.admin().await, "SELECT count(*) FROM freshness_event").await;
        assert!(all >= 3, "{all}");
        assert_eq!(seen, (1..=usize::try_from(all).unwrap()).collect::<Vec<_>>());
    });
}

// Writers of every kind at once: the numbers have no gap, and their order is that of commit.
#[test]
fn numbers_are_in_the_order_of_commit() {
    run(async {
        let graph = Graph::start().await;
        let mut ids = Vec::new();
        for n in 0..8 {
            ids.push(graph.watched(&format!("d{n}"), json!({ "failAfterSeconds": 100 })).await);
        }
        graph.clock.advance(TimeDelta::seconds(101));
        let mutes = ids.iter().map(|id| {
            let input = json!({ "datasetId": id, "until": "2026-01-02T00:00:00Z", "reason": "r" });
            let graph = &graph;
            async move { graph.done("muteFreshness", "status", input).await }
        });
        let sweeps = futures::future::join_all((0..4).map(|_| graph.app.sweep()));
        let (_, swept) = tokio::join!(futures::future::join_all(mutes), sweeps);
        assert_eq!(swept.iter().map(|swept| swept.opened).sum::<u64>(), 8);
        assert_eq!(graph.told().await.len(), 16, "8 mutes, 8 breaches, and no gap");
        // The audit entries are numbered as they are written, in the same transactions.
        let turned = "SELECT count(*) FROM (SELECT a.sequence AS by,
            lag(a.sequence) OVER (ORDER BY e.sequence) AS before FROM freshness_event e
            JOIN audit_event a ON a.resource = 'breach:' || e.breach_id AND a.action = 'breach.open'
              AND e.event_type = 'breach.opened'
             OR a.dataset_id = e.dataset_id AND a.action = 'freshness.mute'
              AND e.event_type = 'breach.muted') AS e
          WHERE by < before";
        assert_eq!(number(&mut graph.app.admin().await, turned).await, 0);
    });
}
