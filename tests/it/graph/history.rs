//! History over HTTP: buckets, statistics, freshness intervals, attainment, anomalies; late events
//! change the history they belong to.

use chrono::TimeDelta;
use drr::{auth::policy::Role, clock::Clock};
use serde_json::{Value, json};

use super::{Graph, name_input, text};
use crate::{cluster::run, smoke::run_event};

/// A run of the dataset `d` that ended `ago` seconds ago.
struct Told {
    ago: i64,
    seconds: i64,
    how: &'static str,
    rows: i64,
}

impl Graph {
    async fn tell(&self, runs: &[Told]) {
        let mut events = Vec::new();
        for told in runs {
            let id = self.clock.new_id().to_string();
            for (event_type, ago) in [("START", told.ago + told.seconds), (told.how, told.ago)] {
                let mut event = run_event(event_type, &text(self.ago(ago)), &id, "");
                let mut output = name_input("ns", "d");
                output["outputFacets"] = json!({ "outputStatistics": { "rowCount": told.rows } });
                event["outputs"] = json!([output]);
                events.push(event);
            }
        }
        let writer = self.token(Role::RuntimeWriter);
        let (status, report) = self.app.lineage(&writer, &json!(events)).await;
        assert_eq!(status, 201, "{report:#}");
    }

    /// What the dataset `d` says.
    async fn says(&self, selection: &str) -> Value {
        let query = format!("{{ datasets {{ nodes {{ {selection} }} }} }}");
        let data = self.app.data(&self.token(Role::Reader), &query, json!({})).await;
        data["datasets"]["nodes"][0].clone()
    }

    fn span(&self, from: i64, to: i64) -> String {
        format!("from: \"{}\", to: \"{}\"", text(self.ago(from)), text(self.ago(to)))
    }
}

const HOUR: i64 = 3_600;

#[test]
fn buckets_and_statistics_are_of_the_runs_that_took_place() {
    run(async {
        let graph = Graph::start().await;
        graph.register("d").await;
        graph
            .tell(&[
                Told { ago: 5 * HOUR, seconds: 100, how: "COMPLETE", rows: 10 },
                Told { ago: 5 * HOUR - 600, seconds: 300, how: "COMPLETE", rows: 20 },
                Told { ago: 3 * HOUR, seconds: 50, how: "FAIL", rows: 0 },
                Told { ago: 3 * HOUR - 900, seconds: 50, how: "FAIL", rows: 0 },
                Told { ago: 2 * HOUR, seconds: 60, how: "COMPLETE", rows: 5 },
                Told { ago: 2 * HOUR - 60, seconds: 10, how: "ABORT", rows: 5 },
                // Outside.
                Told { ago: 50 * HOUR, seconds: 60, how: "COMPLETE", rows: 5 },
            ])
            .await;
        let span = graph.span(6 * HOUR, 0);
        let fields =
            "from to runs succeeded failed aborted rows durationP50Seconds durationP95Seconds";
        let said = graph
            .says(&format!(
                "runBuckets({span}, bucket: HOUR) {{ truncated buckets {{ {fields} }} }}
                 runStatistics({span}) {{ runs succeeded failed aborted successRate recoveries
                   durationP50Seconds durationP95Seconds meanTimeToRecoverSeconds truncated }}"
            ))
            .await;
        assert_eq!(said["runBuckets"]["truncated"], false);
        let buckets = said["runBuckets"]["buckets"].as_array().unwrap();
        let runs: Vec<_> = buckets.iter().map(|bucket| bucket["runs"].as_i64().unwrap()).collect();
        // The one that ended five hours ago took place in the hour before.
        assert_eq!(runs, [1, 1, 1, 2, 1, 0], "{buckets:#?}");
        assert_eq!(buckets[0]["durationP50Seconds"], 100.0);
        assert_eq!((&buckets[0]["rows"], &buckets[1]["rows"]), (&json!("10"), &json!("20")));
        assert_eq!(buckets[2]["rows"], Value::Null);
        assert_eq!(
            said["runStatistics"],
            json!({ "runs": 6, "succeeded": 3, "failed": 2, "aborted": 1, "successRate": 0.6,
                    "recoveries": 1, "durationP50Seconds": 100.0, "durationP95Seconds": 300.0,
                    "meanTimeToRecoverSeconds": 3_600.0, "truncated": false })
        );
        graph.app.stop().await;
    });
}

#[test]
fn freshness_history_is_judged_by_what_was_so_and_changes_with_what_comes_late() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        // In force from now on; the runs come after.
        graph.set_policy(&id, json!({ "warnAfterSeconds": 600, "failAfterSeconds": 1_200 })).await;
        let start = graph.now();
        graph.clock.advance(TimeDelta::seconds(10_000));
        let done = |after: i64| Told { ago: 10_000 - after, seconds: 10, how: "COMPLETE", rows: 1 };
        graph.tell(&[done(1_000), done(6_000)]).await;
        let span = graph.span(11_000, -500);
        let query = format!(
            "freshnessHistory({span}) {{ truncated intervals {{ from to status }} }}
             slaAttainment({span}) {{ from to attained freshShare freshSeconds warnSeconds staleSeconds
               unknownSeconds notApplicableSeconds staleIntervals recoveries
               meanTimeToRecoverSeconds truncated }}"
        );
        let tick = TimeDelta::microseconds(1);
        let after = |seconds: i64| start + TimeDelta::seconds(seconds);
        let interval = |from, to, status: &str| json!({ "from": super::freshness::rfc(from), "to": super::freshness::rfc(to), "status": status });
        let said = graph.says(&query).await;
        assert_eq!(
            said["freshnessHistory"]["intervals"],
            json!([
                interval(after(-1_000), after(0), "NOT_APPLICABLE"),
                interval(after(0), after(1_000), "UNKNOWN"),
                interval(after(1_000), after(1_600) + tick, "FRESH"),
                interval(after(1_600) + tick, after(2_200) + tick, "WARN"),
                interval(after(2_200) + tick, after(6_000), "STALE"),
                interval(after(6_000), after(6_600) + tick, "FRESH"),
                interval(after(6_600) + tick, after(7_200) + tick, "WARN"),
                // What lies ahead is left out.
                interval(after(7_200) + tick, after(10_000), "STALE"),
            ])
        );
        let sla = &said["slaAttainment"];
        assert_eq!((&sla["staleIntervals"], &sla["recoveries"]), (&json!(2), &json!(1)));
        assert_eq!(
            (&sla["unknownSeconds"], &sla["notApplicableSeconds"]),
            (&json!(1_000.0), &json!(1_000.0))
        );
        let attained = sla["attained"].as_f64().unwrap();
        assert!((attained - 2_400.0 / 9_000.0).abs() < 1e-6, "{sla:#}");

        // A run of long ago is reported only now.
        graph.tell(&[done(2_500)]).await;
        let said = graph.says(&query).await;
        let intervals = said["freshnessHistory"]["intervals"].as_array().unwrap();
        assert_eq!(intervals[4], interval(after(2_200) + tick, after(2_500), "STALE"));
        assert_eq!(intervals[5], interval(after(2_500), after(3_100) + tick, "FRESH"));
        assert_eq!(said["slaAttainment"]["recoveries"], 2);
        // The last ones only.
        let query =
            format!("freshnessHistory({span}, last: 1) {{ truncated intervals {{ status }} }}");
        let said = graph.says(&query).await;
        assert_eq!(
            said["freshnessHistory"],
            json!({ "truncated": true, "intervals": [{ "status": "STALE" }] })
        );
        graph.app.stop().await;
    });
}

#[test]
fn a_refresh_state_names_what_is_unusual_and_when_to_expect_the_next_run() {
    run(async {
        let graph = Graph::start().await;
        graph.register("d").await;
        let usual =
            |back: i64| Told { ago: back * HOUR, seconds: 60, how: "COMPLETE", rows: 1_000 };
        graph.tell(&(2..30).map(usual).collect::<Vec<_>>()).await;
        let query =
            "refreshState { anomalies { kind value expectedLow expectedHigh sampleSize sentence }
                       expectedNextRun { at basis intervalSeconds sampleSize }
                       lastFailureAt sourceWatermarkOrigin }";
        let state = graph.says(query).await["refreshState"].clone();
        assert_eq!(state["anomalies"], json!([]));
        assert_eq!(state["lastFailureAt"], Value::Null);
        let next = super::freshness::rfc(graph.ago(HOUR + 60));
        assert_eq!(
            state["expectedNextRun"],
            json!({ "at": next, "basis": "MEDIAN_INTERVAL", "intervalSeconds": 3_600.0, "sampleSize": 27 })
        );
        graph.tell(&[Told { ago: HOUR, seconds: 60, how: "COMPLETE", rows: 3 }]).await;
        let state = graph.says(query).await["refreshState"].clone();
        assert_eq!(state["anomalies"][0]["kind"], "ROWS_LOW", "{state:#}");
        assert_eq!(state["anomalies"][0]["sampleSize"], 28);
        // One that starts and never ends.
        let id = graph.clock.new_id().to_string();
        let mut event = run_event("START", &text(graph.now()), &id, "");
        event["outputs"] = json!([name_input("ns", "d")]);
        let writer = graph.token(Role::RuntimeWriter);
        assert_eq!(graph.app.lineage(&writer, &event).await.0, 201);
        graph.clock.advance(TimeDelta::seconds(900));
        assert_eq!(graph.says(query).await["refreshState"]["anomalies"], json!([]));
        graph.clock.advance(TimeDelta::seconds(1));
        let state = graph.says(query).await["refreshState"].clone();
        assert_eq!(state["anomalies"][0]["kind"], "RUN_NEVER_ENDS", "{state:#}");
        graph.app.stop().await;
    });
}

#[test]
fn ranges_and_sizes_that_cannot_be_are_refused() {
    run(async {
        let graph = Graph::start().await;
        graph.register("d").await;
        let reader = graph.token(Role::Reader);
        let (day, year) = (graph.span(86_400, 0), graph.span(401 * 86_400, 0));
        for (selection, code) in [
            (format!("runBuckets({year}) {{ truncated }}"), "LIMIT_EXCEEDED"),
            (format!("runBuckets({day}, minutes: 1) {{ truncated }}"), "LIMIT_EXCEEDED"),
            (format!("runBuckets({day}, minutes: 0) {{ truncated }}"), "BAD_USER_INPUT"),
            (
                format!("runBuckets({day}, minutes: 5, bucket: DAY) {{ truncated }}"),
                "BAD_USER_INPUT",
            ),
            (format!("runBuckets({day}, timezone: \"Mars\") {{ truncated }}"), "BAD_USER_INPUT"),
            (format!("runStatistics({}) {{ runs }}", graph.span(0, 86_400)), "BAD_USER_INPUT"),
            (format!("freshnessHistory({day}, last: 0) {{ truncated }}"), "BAD_USER_INPUT"),
            (format!("slaAttainment({year}) {{ attained }}"), "LIMIT_EXCEEDED"),
            ("upstream(depth: 11) { truncated }".to_owned(), "BAD_USER_INPUT"),
            ("downstream(first: 1001) { truncated }".to_owned(), "BAD_USER_INPUT"),
        ] {
            let query = format!("{{ datasets {{ nodes {{ name {selection} }} }} }}");
            assert_eq!(graph.app.code(&reader, &query, json!({})).await, code, "{selection}");
        }
        graph.app.stop().await;
    });
}
