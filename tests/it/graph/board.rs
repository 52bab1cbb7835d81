//! A board costs a fixed number of SQL statements, however many datasets it shows.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use drr::{auth::policy::Role, clock::ManualClock};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::{Value, json};

use super::{Graph, string};
use crate::{
    app::TestApp,
    cluster::{Cluster, run},
};

/// Counts what one thread does, by the name of a counter. The service of such a test runs on a runtime of that one
/// thread, so that nothing of the tests beside it is counted.
struct Counting(&'static str, Arc<AtomicU64>);

impl Recorder for Counting {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == self.0 { Counter::from_arc(self.1.clone()) } else { Counter::noop() }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Runs a test whose statements are counted.
pub fn counted<T>(test: impl AsyncFnOnce(&Graph, &AtomicU64) -> T) -> T {
    counting("drr_db_statements_total", test)
}

fn counting<T>(what: &'static str, test: impl AsyncFnOnce(&Graph, &AtomicU64) -> T) -> T {
    let database = run(async { Cluster::shared().await.database().await });
    let count = Arc::new(AtomicU64::new(0));
    let counter = Counting(what, count.clone());
    let _counting = metrics::set_default_local_recorder(&counter);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(ManualClock::default());
        let app = TestApp::launch(database, clock.clone(), |_| ()).await.unwrap();
        let graph = Graph { app, clock };
        let result = test(&graph, &count).await;
        graph.app.stop().await;
        result
    })
}

impl Graph {
    /// Answers a query, and how many of what is counted that took.
    pub async fn cost(&self, count: &AtomicU64, query: &str, variables: Value) -> (Value, u64) {
        let token = self.token(Role::Reader);
        let before = count.load(Ordering::SeqCst);
        let data = self.app.data(&token, query, variables).await;
        (data, count.load(Ordering::SeqCst) - before)
    }
}

const DATASET: &str = "
fragment Everything on Dataset {
  id urn namespace name description owners domain tags lifecycle version createdAt updatedAt
  aliases { namespace name }
  refreshState { status lastSuccessAt lastRunId lastRunState consecutiveFailures rowCount }
  freshnessPolicy { version mode maxAge { warnAfterSeconds failAfterSeconds } createdBy }
  freshness { status evaluatedAt since warnAt staleAt nextChangeAt ageSeconds }
  runs(first: 10) {
    nodes {
      runId state startedAt endedAt rowCount job { namespace name }
      dataset { name freshness { status } }
      run { id state outputs { runId dataset { id name } } }
    }
    pageInfo { hasNextPage endCursor }
  }
}";

const RUNS: usize = 12;

pub async fn fill(graph: &Graph, datasets: usize) {
    let admin = graph.token(Role::TenantAdmin);
    for number in 0..datasets {
        let query = "mutation($input: RegisterDatasetInput!) {
          registerDataset(input: $input) { dataset { id } } }";
        let name = format!("d{number:04}");
        let aliases = [json!({ "namespace": "other", "name": name })];
        let input = json!({ "namespace": "ns", "name": name, "aliases": aliases });
        let data = graph.app.data(&admin, query, json!({ "input": input })).await;
        let id = string(&data["registerDataset"]["dataset"]["id"]).to_owned();
        graph.set_policy(&id, json!({ "warnAfterSeconds": 60, "failAfterSeconds": 120 })).await;
    }
    let writer = graph.token(Role::RuntimeWriter);
    for back in 0..RUNS {
        let events: Vec<_> = (0..datasets)
            .map(|number| {
                let run = graph.app.clock.new_id().to_string();
                let name = format!("d{number:04}");
                let at = super::text(graph.ago(10 * i64::try_from(back + number % 20).unwrap()));
                crate::smoke::run_event("COMPLETE", &at, &run, &name)
            })
            .map(|mut event| {
                event["outputs"][0]["namespace"] = json!("ns");
                event
            })
            .collect();
        let (status, report) = graph.app.lineage(&writer, &json!(events)).await;
        assert!(status.is_success(), "{report:#}");
    }
}

/// All that an answer shows is read in one transaction: its BEGIN costs as much as a small statement.
#[test]
fn a_board_is_read_in_one_transaction() {
    counting("drr_db_transactions_total", async |graph, count| {
        let query = format!("{{ datasets {{ nodes {{ ...Everything }} }} }} {DATASET}");
        fill(graph, 3).await;
        let (data, cost) = graph.cost(count, &query, json!({})).await;
        assert_eq!(data["datasets"]["nodes"].as_array().unwrap().len(), 3);
        assert_eq!(cost, 1);
    });
}

/// The deepest board that there is, in both orders: as many statements for 10 datasets as for 200.
#[test]
fn a_board_is_a_fixed_number_of_statements_whatever_it_shows() {
    counted(async |graph, count| {
        let query = format!(
            "query($first: Int, $order: DatasetOrder) {{
               freshnessSummary {{ total fresh }}
               datasets(first: $first, order: $order) {{ nodes {{ ...Everything }} }}
             }} {DATASET}"
        );
        fill(graph, 200).await;
        // The worst first are judged by the clock, and so ask when it will say something else.
        for (order, expected) in [("NAME", 9), ("WORST_FIRST", 10)] {
            let mut costs = Vec::new();
            for first in [10, 100, 200] {
                let variables = json!({ "first": first, "order": order });
                let (data, cost) = graph.cost(count, &query, variables).await;
                let nodes = data["datasets"]["nodes"].as_array().unwrap();
                assert_eq!(nodes.len(), first);
                for node in nodes {
                    let runs = node["runs"]["nodes"].as_array().unwrap();
                    assert_eq!(runs.len(), 10, "{node:#}");
                    assert!(
                        runs.iter()
                            .all(|run| run["run"]["outputs"][0]["dataset"]["id"] == node["id"])
                    );
                    assert_ne!(node["freshness"]["status"], "UNKNOWN");
                    assert_eq!(node["aliases"][0]["namespace"], "other");
                }
                costs.push(cost);
            }
            // The summary, until when it holds, the page, aliases, states, pages of runs, runs, their logs, and the
            // datasets that the runs point back to. The policies are known since the runs were recorded.
            assert_eq!(costs, [expected; 3], "{order}");
        }
        let span = format!(
            "from: \"{}\", to: \"{}\"",
            super::text(graph.ago(86_400)),
            super::text(graph.ago(-60))
        );
        let query = format!(
            "query($first: Int) {{ datasets(first: $first) {{ nodes {{
               refreshState {{ anomalies {{ kind }} expectedNextRun {{ at }} }}
               runBuckets({span}, bucket: HOUR) {{ buckets {{ runs }} }} runStatistics({span}) {{ runs }}
               slaAttainment({span}) {{ attained }} rootCauses {{ truncated }}
               upstream(first: 10) {{ truncated }} downstream(first: 10) {{ truncated }} }} }} }}"
        );
        let mut costs = Vec::new();
        for first in [10, 200] {
            let (data, cost) = graph.cost(count, &query, json!({ "first": first })).await;
            let nodes = data["datasets"]["nodes"].as_array().unwrap();
            assert_eq!(nodes.len(), first);
            assert!(nodes.iter().all(|node| node["runStatistics"]["runs"] == RUNS), "{data:#}");
            costs.push(cost);
        }
        assert_eq!(costs[0], costs[1]);
    });
}

/// What is known is not known for longer because something else had to be asked for meanwhile.
#[test]
fn a_policy_is_asked_for_again_after_its_time() {
    run(async {
        let graph = Graph::start().await;
        fill(&graph, 2).await;
        let warns_after = async || {
            let query = "{ datasets(first: 1) { nodes {
              freshness { warnAt } refreshState { lastSuccessAt } } } }";
            let data = graph.read(query, json!({})).await;
            let node = &data["datasets"]["nodes"][0];
            let at = |value: &Value| string(value).parse::<DateTime<Utc>>().unwrap();
            at(&node["freshness"]["warnAt"]) - at(&node["refreshState"]["lastSuccessAt"])
        };
        // By then nothing is known any more: `cache.seconds` is 10.
        graph.clock.advance(TimeDelta::seconds(11));
        graph.succeed(&["d0000"], graph.now()).await;
        // As a database may have it that was put back to an earlier day.
        let other = "UPDATE freshness_policy SET warn_after_seconds = 30";
        sqlx::query(other).execute(&mut graph.app.admin().await).await.unwrap();
        graph.clock.advance(TimeDelta::seconds(6));
        graph.succeed(&["d0000", "d0001"], graph.now()).await;
        assert_eq!(warns_after().await, TimeDelta::seconds(60), "it is known");
        graph.clock.advance(TimeDelta::seconds(5));
        graph.succeed(&["d0000"], graph.now()).await;
        assert_eq!(warns_after().await, TimeDelta::seconds(30), "its time is over");
    });
}
