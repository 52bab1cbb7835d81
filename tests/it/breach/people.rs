//! What people do about breaches, and what they may see.

use chrono::TimeDelta;
use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::rfc;
use crate::{
    cluster::run,
    graph::{Audited, Graph, STRANGER, TENANT, string},
};

fn late() -> Value {
    json!({ "warnAfterSeconds": 100 })
}

#[test]
fn a_breach_is_noted_once_while_it_is_open() {
    run(async {
        let graph = Graph::start().await;
        let dataset = graph.watched("d", late()).await;
        graph.clock.advance(TimeDelta::seconds(101));
        graph.app.sweep().await;
        let id = string(&graph.breach().await["id"]).to_owned();
        let before = graph.audit().await.len();
        let note = |note: &str| json!({ "breachId": id, "note": note });
        let selection = "status breach { acknowledgement { at by note } }";
        let done = graph.done("acknowledgeBreach", selection, note(" on it ")).await;
        assert_eq!(done["status"], "ACKNOWLEDGED");
        let first = done["breach"]["acknowledgement"].clone();
        let expected =
            json!({ "at": rfc(graph.now()), "by": "development-tenant-admin", "note": "on it" });
        assert_eq!(first, expected);
        let again = graph.done("acknowledgeBreach", selection, note("me too")).await;
        assert_eq!(again["status"], "ALREADY_ACKNOWLEDGED");
        assert_eq!(again["breach"]["acknowledgement"], first);
        graph.succeed(&["d"], graph.now()).await;
        graph.app.sweep().await;
        let over = graph.done("acknowledgeBreach", "status", note("")).await;
        assert_eq!(over["status"], "ALREADY_RESOLVED");
        assert_eq!(graph.told().await, ["OPENED d", "ACKNOWLEDGED d", "RESOLVED d"]);

        let audited =
            |result, code| Audited::new("breach.acknowledge", Some(&dataset), result, code);
        let mut since = graph.audited_since(before).await;
        since.retain(|event| event.action == "breach.acknowledge");
        let expected = [
            audited("SUCCESS", None),
            audited("SUCCESS", None),
            audited("REJECTED", Some("CONFLICT")),
        ];
        assert_eq!(since, expected);
        let long = json!({ "breachId": id, "note": "x".repeat(1_025) });
        assert_eq!(graph.refused("acknowledgeBreach", long).await.0, "BAD_USER_INPUT");
        let missing = json!({ "breachId": "0190a000-0000-7000-8000-0000000000ff" });
        assert_eq!(graph.refused("acknowledgeBreach", missing).await.0, "NOT_FOUND");
    });
}

#[test]
fn a_mute_has_a_reason_and_an_end_and_changes_no_verdict() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.watched("d", late()).await;
        let until = graph.now() + TimeDelta::hours(1);
        let mute = |until: chrono::DateTime<chrono::Utc>, reason: &str| json!({ "datasetId": id, "until": rfc(until), "reason": reason });
        for (bad, field) in [
            (mute(graph.now(), "r"), "until"),
            (mute(graph.ago(1), "r"), "until"),
            (mute(graph.now() + TimeDelta::days(367), "r"), "until"),
            (mute(until, " "), "reason"),
            (mute(until, &"x".repeat(1_025)), "reason"),
        ] {
            let (code, message) = graph.refused("muteFreshness", bad).await;
            assert_eq!(code, "BAD_USER_INPUT", "{message}");
            assert!(message.starts_with(field), "{message}");
        }
        let shown = "status dataset { freshnessMute { until reason by } freshness { status } }";
        let done = graph.done("muteFreshness", shown, mute(until, "migration")).await;
        let expected =
            json!({ "until": rfc(until), "reason": "migration", "by": "development-tenant-admin" });
        assert_eq!(done["dataset"]["freshnessMute"], expected);
        graph.clock.advance(TimeDelta::seconds(101));
        assert_eq!(graph.app.sweep().await.opened, 1, "it hides no breach");
        let breach = graph.breach().await;
        assert_eq!(breach["mute"], expected);
        let read = "query($id: ID!) { dataset(id: $id) { freshness { status } openBreach { id level }
            freshnessMute { reason } breaches(state: OPEN) { nodes { id } } over: breaches(state: RESOLVED) { nodes { id } } } }";
        let dataset = graph.read(read, json!({ "id": id })).await["dataset"].take();
        assert_eq!(dataset["freshness"]["status"], "WARN");
        assert_eq!(dataset["openBreach"], json!({ "id": breach["id"], "level": "WARN" }));
        assert_eq!(dataset["breaches"]["nodes"], json!([{ "id": breach["id"] }]));
        assert_eq!(dataset["over"]["nodes"], json!([]));
        // It ends at its instant, by itself.
        graph.clock.set(until - super::TICK);
        assert_ne!(
            graph.read(read, json!({ "id": id })).await["dataset"]["freshnessMute"],
            Value::Null
        );
        graph.clock.set(until);
        assert_eq!(
            graph.read(read, json!({ "id": id })).await["dataset"]["freshnessMute"],
            Value::Null
        );

        let unmute = |status: &'static str| {
            let graph = &graph;
            let input = json!({ "datasetId": id });
            async move {
                let done = graph.done("unmuteFreshness", shown, input).await;
                assert_eq!(
                    (&done["status"], &done["dataset"]["freshnessMute"]),
                    (&json!(status), &Value::Null)
                );
            }
        };
        unmute("NOT_MUTED").await;
        graph.done("muteFreshness", shown, mute(until + TimeDelta::hours(1), "again")).await;
        unmute("UNMUTED").await;
        assert_eq!(graph.told().await, ["MUTED d", "OPENED d", "MUTED d", "UNMUTED d"]);
        graph.done("retireDataset", "status", json!({ "id": id })).await;
        let late = mute(until + TimeDelta::hours(1), "late");
        assert_eq!(graph.refused("muteFreshness", late).await.0, "CONFLICT");
    });
}

#[test]
fn breaches_are_filtered_and_paged() {
    run(async {
        let graph = Graph::start().await;
        for n in 0..7 {
            let name = format!("d{n}");
            let domain = if n < 3 { "sales" } else { "ops" };
            let id = graph
                .register_with(json!({ "namespace": "ns", "name": name, "domain": domain }))
                .await;
            let fail = if n % 2 == 0 {
                json!({ "failAfterSeconds": 100 + n })
            } else {
                json!({ "warnAfterSeconds": 100 + n })
            };
            graph.set_policy(&id, fail).await;
        }
        let names: Vec<_> = (0..7).map(|n| format!("d{n}")).collect();
        graph.succeed(&names.iter().map(String::as_str).collect::<Vec<_>>(), graph.now()).await;
        graph.clock.advance(TimeDelta::seconds(200));
        assert_eq!(graph.app.sweep().await.opened, 7);
        graph.succeed(&["d6"], graph.now()).await;
        graph.app.sweep().await;
        let of = |nodes: &Value| -> Vec<String> {
            let nodes = nodes["breaches"]["nodes"].as_array().unwrap().iter();
            nodes.map(|node| string(&node["dataset"]["name"]).to_owned()).collect()
        };
        for (arguments, expected) in [
            ("state: OPEN", vec!["d5", "d4", "d3", "d2", "d1", "d0"]),
            ("state: RESOLVED", vec!["d6"]),
            ("level: FAIL", vec!["d6", "d4", "d2", "d0"]),
            ("level: FAIL, state: OPEN, domain: \"sales\"", vec!["d2", "d0"]),
            ("acknowledged: true", vec![]),
            ("acknowledged: false, domain: \"ops\", level: WARN", vec!["d5", "d3"]),
        ] {
            let query = format!("{{ breaches({arguments}) {{ nodes {{ dataset {{ name }} }} }} }}");
            assert_eq!(of(&graph.read(&query, json!({})).await), expected, "{arguments}");
        }
        let page = "query($after: String) { breaches(first: 3, after: $after) { nodes { dataset { name } } pageInfo { hasNextPage endCursor } } }";
        let (mut after, mut seen) = (Value::Null, Vec::new());
        loop {
            let data = graph.read(page, json!({ "after": after })).await;
            seen.extend(of(&data));
            let info = &data["breaches"]["pageInfo"];
            after = info["endCursor"].clone();
            if info["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(seen, ["d6", "d5", "d4", "d3", "d2", "d1", "d0"]);
        assert_eq!(graph.read_code(page, json!({ "after": "x" })).await, "BAD_USER_INPUT");
        assert_eq!(
            graph.read_code("{ breaches(domain: \"No\") { nodes { id } } }", json!({})).await,
            "BAD_USER_INPUT"
        );
    });
}

// S10, D41
#[test]
fn a_stranger_sees_and_changes_nothing() {
    run(async {
        let graph = Graph::start().await;
        let dataset = graph.watched("d", late()).await;
        graph.clock.advance(TimeDelta::seconds(101));
        graph.app.sweep().await;
        let id = string(&graph.breach().await["id"]).to_owned();
        let reader = graph.app.token(STRANGER, Role::Reader);
        let admin = graph.app.token(STRANGER, Role::TenantAdmin);
        let none = "0190a000-0000-7000-8000-0000000000ff";
        for id in [id.as_str(), none] {
            let query = "query($id: ID!) { breach(id: $id) { id } breaches { nodes { id } } freshnessEvents { nodes { id } } }";
            let data = graph.app.data(&reader, query, json!({ "id": id })).await;
            let nothing = json!({ "breach": null, "breaches": { "nodes": [] }, "freshnessEvents": { "nodes": [] } });
            assert_eq!(data, nothing);
            let entity = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";
            let of = json!({ "r": [{ "__typename": "Breach", "id": id }] });
            assert_eq!(
                graph.app.data(&reader, entity, of.clone()).await["_entities"],
                json!([null])
            );
            let acknowledge =
                "mutation($id: ID!) { acknowledgeBreach(input: { breachId: $id }) { status } }";
            assert_eq!(graph.app.code(&admin, acknowledge, json!({ "id": id })).await, "NOT_FOUND");
        }
        for id in [dataset.as_str(), none] {
            for change in [
                "mutation($id: ID!) { muteFreshness(input: { datasetId: $id, until: \"2026-02-01T00:00:00Z\", reason: \"r\" }) { status } }",
                "mutation($id: ID!) { unmuteFreshness(input: { datasetId: $id }) { status } }",
            ] {
                assert_eq!(graph.app.code(&admin, change, json!({ "id": id })).await, "NOT_FOUND");
            }
        }
        let entity =
            "query($r: [_Any!]!) { _entities(representations: $r) { ... on Breach { state } } }";
        let of = json!({ "r": [{ "__typename": "Breach", "id": id }] });
        assert_eq!(graph.read(entity, of).await["_entities"], json!([{ "state": "OPEN" }]));
        assert_eq!(graph.breach().await["acknowledgement"], Value::Null);
        assert_eq!(TENANT, "acme");
    });
}
