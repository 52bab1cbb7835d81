//! When breaches are opened and resolved, at the exact instants.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{TICK, rfc, script};
use crate::{
    cluster::run,
    graph::{Graph, string},
};

const BOTH: [i64; 2] = [100, 200];

fn both() -> Value {
    json!({ "warnAfterSeconds": BOTH[0], "failAfterSeconds": BOTH[1] })
}

#[test]
fn a_breach_begins_one_microsecond_after_the_limit_and_worsens_as_the_same_one() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.watched("d", both()).await;
        let success = graph.now();
        let [warn, stale] = BOTH.map(|seconds| success + TimeDelta::seconds(seconds));

        graph.clock.set(warn);
        assert_eq!(graph.app.sweep().await.opened, 0);
        assert_eq!(graph.breaches().await, Vec::<Value>::new());
        graph.clock.set(warn + TICK);
        assert_eq!(graph.app.sweep().await.opened, 1);
        let opened = graph.breach().await;
        assert_eq!((&opened["state"], &opened["level"]), (&json!("OPEN"), &json!("WARN")));
        assert_eq!(opened["openedAt"], rfc(warn + TICK));
        assert_eq!(opened["detectedAt"], rfc(warn + TICK));
        assert_eq!(opened["lastSuccessAt"], rfc(success));
        assert_eq!((&opened["policyId"], &opened["policyVersion"]), (&json!(id), &json!(1)));
        assert_eq!(opened["dataset"], json!({ "id": id, "name": "d" }));

        // Nothing is done twice, and nothing is late a microsecond early.
        for now in [warn + TICK, stale] {
            graph.clock.set(now);
            let swept = graph.app.sweep().await;
            assert_eq!((swept.opened, swept.escalated, swept.resolved), (0, 0, 0));
        }
        graph.clock.set(stale + TICK);
        assert_eq!(graph.app.sweep().await.escalated, 1);
        let escalated = graph.breach().await;
        assert_eq!(escalated["id"], opened["id"]);
        assert_eq!(escalated["level"], "FAIL");
        assert_eq!(escalated["escalatedAt"], rfc(stale + TICK));
        assert_eq!(escalated["durationSeconds"], BOTH[1] - BOTH[0]);

        graph.clock.advance(TimeDelta::seconds(60));
        let end = graph.ago(10);
        let by = graph.succeed(&["d"], end).await;
        assert_eq!(graph.app.sweep().await.resolved, 1);
        let over = graph.breach().await;
        assert_eq!(over["id"], opened["id"]);
        assert_eq!(
            (&over["state"], &over["resolution"]),
            (&json!("RESOLVED"), &json!("REFRESHED"))
        );
        assert_eq!(over["resolvedAt"], rfc(end), "at the end of the run");
        assert_eq!(over["resolvedBy"]["id"], by);
        assert_eq!(graph.told().await, ["OPENED d", "ESCALATED d", "RESOLVED d"]);

        // Late again: another breach. Noticed late: it begins where it began.
        graph.clock.set(end + TimeDelta::seconds(1_000));
        assert_eq!(graph.app.sweep().await.opened, 1);
        let again = graph.breaches().await.remove(0);
        assert_ne!(again["id"], opened["id"]);
        assert_eq!(again["openedAt"], rfc(end + TimeDelta::seconds(100) + TICK));
        assert_eq!(again["escalatedAt"], rfc(end + TimeDelta::seconds(200) + TICK));
        assert_eq!(again["detectedAt"], rfc(graph.now()));
    });
}

#[test]
fn a_limit_to_fail_at_alone_opens_at_fail() {
    run(async {
        let graph = Graph::start().await;
        graph.watched("d", json!({ "failAfterSeconds": 100 })).await;
        graph.clock.advance(TimeDelta::seconds(100) + TICK);
        assert_eq!(graph.app.sweep().await.opened, 1);
        let breach = graph.breach().await;
        assert_eq!((&breach["level"], &breach["escalatedAt"]), (&json!("FAIL"), &Value::Null));
        assert_eq!(graph.app.sweep().await.escalated, 0);
    });
}

#[test]
fn another_policy_and_the_end_of_a_dataset_end_its_breach() {
    run(async {
        let graph = Graph::start().await;
        let (loose, off, gone) = (
            graph.watched("loose", both()).await,
            graph.watched("off", both()).await,
            graph.watched("gone", both()).await,
        );
        graph.clock.advance(TimeDelta::seconds(150));
        assert_eq!(graph.app.sweep().await.opened, 3);
        graph.set_policy(&loose, json!({ "warnAfterSeconds": 1_000 })).await;
        let inactive = json!({ "datasetId": off, "maxAge": both(), "mode": "INACTIVE" });
        graph.done("setFreshnessPolicy", "status", inactive).await;
        graph.done("retireDataset", "status", json!({ "id": gone })).await;
        graph.clock.advance(TimeDelta::seconds(1));
        assert_eq!(graph.app.sweep().await.resolved, 3);
        let breaches = graph.breaches().await;
        for (name, resolution) in
            [("loose", "POLICY_CHANGED"), ("off", "POLICY_CHANGED"), ("gone", "RETIRED")]
        {
            let breach = breaches.iter().find(|breach| breach["dataset"]["name"] == name).unwrap();
            assert_eq!(breach["resolution"], resolution, "{name}");
            assert_eq!(breach["resolvedAt"], rfc(graph.now()), "{name}");
            assert_eq!(breach["resolvedBy"], Value::Null, "{name}");
        }
        assert_eq!(graph.app.sweep().await, drr::breach::sweeper::Swept::default());
    });
}

#[test]
fn what_another_policy_finds_late_is_another_breach() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.watched("d", both()).await;
        graph.clock.advance(TimeDelta::seconds(150));
        graph.app.sweep().await;
        let other = "0190a000-0000-7000-8000-00000000000c";
        let mut admin = graph.app.admin().await;
        let sql = format!(
            "UPDATE dataset_refresh_state SET policy_id = '{other}' WHERE dataset_id = '{id}'"
        );
        script(&mut admin, &sql).await;
        let swept = graph.app.sweep().await;
        assert_eq!((swept.resolved, swept.opened), (1, 1), "in one pass");
        let breaches = graph.breaches().await;
        let ids: Vec<_> = breaches.iter().map(|breach| string(&breach["policyId"])).collect();
        assert!(ids.contains(&other) && ids.contains(&id.as_str()), "{ids:?}");
        assert_eq!(breaches.iter().filter(|breach| breach["state"] == "OPEN").count(), 1);
        assert_eq!(graph.told().await, ["OPENED d", "RESOLVED d", "OPENED d"]);
        // The database itself lets no second one be open.
        let twice = "INSERT INTO freshness_breach (tenant_id, breach_id, dataset_id, policy_id,
            policy_version, level, opened_at, detected_at)
          SELECT tenant_id, gen_random_uuid(), dataset_id, policy_id, 1, level, opened_at, detected_at
            FROM freshness_breach WHERE resolved_at IS NULL";
        let refused = sqlx::query(twice).execute(&mut admin).await.unwrap_err();
        assert!(refused.to_string().contains("freshness_breach_one_open"), "{refused}");
    });
}

// Only what alerts, and only what was late.
#[test]
fn what_does_not_alert_opens_none() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.watched("d", both()).await;
        graph.register("without_policy").await;
        let never = graph.register("never").await;
        graph.set_policy(&never, both()).await;
        let mut admin = graph.app.admin().await;
        let passive = |alerting: bool| {
            format!(
                "UPDATE dataset_refresh_state SET alerting = {alerting} WHERE dataset_id = '{id}'"
            )
        };
        script(&mut admin, &passive(false)).await;
        graph.clock.advance(TimeDelta::seconds(150));
        assert_eq!(graph.app.sweep().await.opened, 0);
        script(&mut admin, &passive(true)).await;
        assert_eq!(graph.app.sweep().await.opened, 1);
        script(&mut admin, &passive(false)).await;
        assert_eq!(graph.app.sweep().await.resolved, 1);
        assert_eq!(graph.breach().await["resolution"], "POLICY_CHANGED");
    });
}

// A run reported late that ended in time: the breach was none, and lasts no time.
#[test]
fn a_run_that_was_only_reported_late_leaves_a_breach_without_length() {
    run(async {
        let graph = Graph::start().await;
        graph.watched("d", both()).await;
        let success = graph.now();
        graph.clock.advance(TimeDelta::seconds(150));
        graph.app.sweep().await;
        graph.succeed(&["d"], success + TimeDelta::seconds(90)).await;
        assert_eq!(graph.app.sweep().await.resolved, 1);
        let breach = graph.breach().await;
        assert_eq!(
            (&breach["resolvedAt"], &breach["durationSeconds"]),
            (&breach["openedAt"], &json!(0))
        );
    });
}

// D34: who did it is the program itself, in the transaction in which it was done.
#[test]
fn what_the_sweeper_does_is_audited() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.watched("d", both()).await;
        graph.clock.advance(TimeDelta::seconds(150));
        graph.app.sweep().await;
        graph.clock.advance(TimeDelta::seconds(100));
        graph.app.sweep().await;
        graph.succeed(&["d"], graph.now()).await;
        graph.app.sweep().await;
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT action, dataset_id::text, resource, result FROM audit_event
              WHERE actor_id = 'drr:sweeper' AND correlation_id LIKE 'sweep-%' ORDER BY sequence",
        )
        .fetch_all(&mut graph.app.admin().await)
        .await
        .unwrap();
        let breach = format!("breach:{}", string(&graph.breach().await["id"]));
        let row =
            |action: &str| (action.to_owned(), id.clone(), breach.clone(), "SUCCESS".to_owned());
        assert_eq!(rows, ["breach.open", "breach.escalate", "breach.resolve"].map(row));
    });
}
