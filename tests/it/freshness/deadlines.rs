//! Deadlines, modes and refusals over HTTP.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{cluster::run, graph::Graph};

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn due(cron: &str) -> Value {
    json!({ "cron": cron, "lowerBoundSeconds": 3_600, "warnAfterSeconds": 0, "failAfterSeconds": 600 })
}

/// At six in Berlin, on working days: a Friday's success does for the weekend, and no longer.
#[test]
fn a_deadline_is_kept_missed_and_healed() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        let input = json!({ "datasetId": id, "deadline": due("0 6 * * *"), "timezone": "Europe/Berlin",
            "driver": "REGULATORY", "exclusions": { "weekdays": ["SATURDAY", "SUNDAY"] } });
        graph.clock.set(instant("2026-03-27T04:30:00Z")); // Friday, 05:30
        graph.done("setFreshnessPolicy", "status", input).await;
        assert_eq!(graph.freshness(&id).await["status"], "UNKNOWN");
        graph.succeed(&["d"], graph.now()).await;
        let fresh = graph.freshness(&id).await;
        // Clocks went forward on Sunday.
        assert_eq!(fresh["deadline"], "2026-03-30T04:00:00+00:00");
        assert_eq!(fresh["warnAt"], "2026-03-30T04:00:00+00:00");
        assert_eq!(fresh["staleAt"], "2026-03-30T04:10:00+00:00");
        let expected = "FRESH: the last success was at 2026-03-27T04:30:00Z; it covers the deadlines \
            before 2026-03-30T04:00:00Z, for which a success must not be earlier than \
            2026-03-30T03:00:00Z; WARN 0 s after it, STALE 600 s after it.";
        assert_eq!(fresh["explanation"], expected);
        let policy = &fresh["policy"];
        assert_eq!(policy["deadline"], due("0 6 * * *"));
        assert_eq!(
            (&policy["driver"], &policy["timezone"], &policy["maxAge"]),
            (&json!("REGULATORY"), &json!("Europe/Berlin"), &Value::Null)
        );
        for (at, status) in [
            ("2026-03-30T04:00:00Z", "FRESH"),
            ("2026-03-30T04:00:00.000001Z", "WARN"),
            ("2026-03-30T04:10:00Z", "WARN"),
            ("2026-03-30T04:10:00.000001Z", "STALE"),
        ] {
            graph.clock.set(instant(at));
            assert_eq!(graph.freshness(&id).await["status"], status, "{at}");
        }
        // However late, it heals, until the next deadline that it does not cover.
        graph.clock.set(instant("2026-03-30T15:00:00Z"));
        graph.succeed(&["d"], graph.now()).await;
        let healed = graph.freshness(&id).await;
        assert_eq!(
            (&healed["status"], &healed["deadline"]),
            (&json!("FRESH"), &json!("2026-03-31T04:00:00+00:00"))
        );
    });
}

/// As `src/freshness/model/deadline.rs` documents it.
#[test]
fn clocks_that_change_lose_no_named_time() {
    run(async {
        let graph = Graph::start().await;
        graph.clock.set(instant("2026-12-01T00:00:00Z"));
        for (cron, zone, success, expected) in [
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00+00:00"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00+00:00"),
            ("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00+00:00"),
            (
                "15 2 * * *",
                "Australia/Lord_Howe",
                "2026-10-03T01:00:00Z",
                "2026-10-03T15:30:00+00:00",
            ),
        ] {
            let name = format!("{zone}-{success}");
            let id = graph.register(&name).await;
            let mut deadline = due(cron);
            deadline["timezone"] = zone.into();
            graph
                .done(
                    "setFreshnessPolicy",
                    "status",
                    json!({ "datasetId": id, "deadline": deadline }),
                )
                .await;
            graph.succeed(&[&name], instant(success)).await;
            assert_eq!(graph.freshness(&id).await["deadline"], expected, "{cron} {zone}");
        }
    });
}

#[test]
fn what_makes_no_sense_is_refused_where_it_does_not() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        let with = |field: &str, value: Value| {
            let mut deadline = due("0 6 * * *");
            deadline[field] = value;
            json!({ "deadline": deadline })
        };
        let age = json!({ "failAfterSeconds": 60 });
        let saturdays =
            json!({ "deadline": due("0 6 * * 6"), "exclusions": { "weekdays": ["SATURDAY"] } });
        for (mut input, field) in [
            (with("cron", json!("nonsense")), "cron"),
            (with("cron", json!("0 0 6 * * *")), "cron"),
            (with("cron", json!(format!("0 6 * * {}", ["1"; 60].join(",")))), "cron"),
            (with("cron", json!("0 6 30 2 *")), "cron"),
            (saturdays, "exclusions"),
            (with("lowerBoundSeconds", json!(86_401)), "lowerBoundSeconds"),
            (with("lowerBoundSeconds", json!(0)), "lowerBoundSeconds"),
            (with("warnAfterSeconds", json!(600)), "deadline"),
            (with("failAfterSeconds", json!(-1)), "failAfterSeconds"),
            (with("timezone", json!("Mars/Olympus")), "timezone"),
            (json!({ "maxAge": age, "timezone": "europe/berlin" }), "timezone"),
            (json!({ "maxAge": age, "deadline": due("0 6 * * *") }), "maxAge"),
            (json!({}), "maxAge"),
            (
                json!({ "maxAge": age, "effectiveFrom": "2026-01-01T00:00:00.000001Z" }),
                "effectiveFrom",
            ),
        ] {
            input["datasetId"] = json!(id);
            let (code, message) = graph.refused("setFreshnessPolicy", input.clone()).await;
            assert_eq!(code, "BAD_USER_INPUT", "{input}");
            assert!(message.starts_with(&format!("{field}: ")), "{input}: {message}");
        }
        // By two clocks that do not agree.
        let mut two = with("timezone", json!("UTC"));
        two["timezone"] = json!("Europe/Berlin");
        two["datasetId"] = json!(id);
        assert!(graph.refused("setFreshnessPolicy", two).await.1.starts_with("timezone: "));
        assert_eq!(graph.freshness(&id).await["policy"], Value::Null);
        // It may have been in force before it was written down.
        let past =
            json!({ "datasetId": id, "maxAge": age, "effectiveFrom": "2020-02-29T00:00:00Z" });
        graph.done("setFreshnessPolicy", "status", past).await;
        let policy = &graph.freshness(&id).await["policy"];
        assert_eq!(policy["effectiveFrom"], "2020-02-29T00:00:00+00:00");
    });
}

/// Whoever is not to be told is not alerted, and sees the same verdict; and so does a mute.
#[test]
fn neither_a_mode_nor_a_mute_changes_a_verdict() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        graph.succeed(&["d"], graph.ago(61)).await;
        let mut verdicts = Vec::new();
        for (mode, alerting) in
            [("ACTIVE", true), ("PASSIVE", false), ("INACTIVE", false), ("ACTIVE", true)]
        {
            let input =
                json!({ "datasetId": id, "mode": mode, "maxAge": { "failAfterSeconds": 60 } });
            graph.done("setFreshnessPolicy", "status", input).await;
            let state: (bool,) = sqlx::query_as("SELECT alerting FROM dataset_refresh_state")
                .fetch_one(&mut graph.app.admin().await)
                .await
                .unwrap();
            assert_eq!(state.0, alerting, "{mode}");
            verdicts.push(graph.freshness(&id).await["status"].clone());
        }
        assert_eq!(verdicts, ["STALE", "STALE", "NOT_APPLICABLE", "STALE"]);
        let muted =
            "UPDATE dataset_refresh_state SET muted_until = $1, mute_reason = 'x', muted_by = 'y'";
        let until = graph.now() + TimeDelta::days(1);
        sqlx::query(muted).bind(until).execute(&mut graph.app.admin().await).await.unwrap();
        assert_eq!(graph.freshness(&id).await["status"], "STALE");
    });
}
