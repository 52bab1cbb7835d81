//! Policies for all datasets of a domain or of tags: which one applies, and that the states follow.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use crate::{
    cluster::run,
    graph::{Audited, Graph, STRANGER, string},
};

const UNKNOWN: &str = "01900000-0000-7000-8000-00000000ffff";

#[test]
fn the_most_specific_policy_applies_and_says_why() {
    run(async {
        let graph = Graph::start().await;
        let id = graph
            .register_with(
                json!({ "namespace": "ns", "name": "d", "domain": "sales", "tags": ["a", "b"] }),
            )
            .await;
        let other = graph.register("other").await;
        graph.succeed(&["d"], graph.now()).await;
        assert_eq!(graph.asked(&id).await, (Value::Null, "none".to_owned()));

        // Each more specific than the one before.
        let only = |what: &str| format!("{what}: the only one that matches");
        let most = |what: &str, of| format!("{what}: the most specific of {of} that match");
        let domain = graph.select(json!({ "domain": "sales" }), 600).await;
        assert_eq!(graph.asked(&id).await, (json!(600), only("selector domain sales")));
        graph.select(json!({ "tags": ["b"] }), 500).await;
        assert_eq!(graph.asked(&id).await, (json!(500), most("selector tags [b]", 2)));
        let two = graph.select(json!({ "tags": ["b", "a"] }), 400).await;
        assert_eq!(graph.asked(&id).await, (json!(400), most("selector tags [a, b]", 3)));
        graph.select(json!({ "tags": ["a"], "domain": "sales" }), 300).await;
        let both = "selector domain sales and tags [a]";
        assert_eq!(graph.asked(&id).await, (json!(300), most(both, 4)));
        graph.clock.advance(chrono::TimeDelta::seconds(1));
        // The same again comes after the one that was set first.
        graph.select(json!({ "tags": ["a"], "domain": "sales" }), 299).await;
        assert_eq!(graph.asked(&id).await, (json!(300), most(both, 5)));
        graph.set_policy(&id, json!({ "failAfterSeconds": 200 })).await;
        assert_eq!(graph.asked(&id).await, (json!(200), most("the dataset's own policy", 6)));
        assert_eq!(graph.asked(&other).await, (Value::Null, "none".to_owned()));
        graph.expect_states_to_be_right().await;

        // An exemption: it does not count, and comes before the others.
        let input =
            json!({ "datasetId": id, "mode": "INACTIVE", "maxAge": { "failAfterSeconds": 1 } });
        graph.done("setFreshnessPolicy", "status", input).await;
        let exempt = graph.freshness(&id).await;
        assert_eq!(
            (&exempt["status"], &exempt["policy"]["mode"]),
            (&json!("NOT_APPLICABLE"), &json!("INACTIVE"))
        );
        let removed = graph
            .done("removeFreshnessPolicy", "status selectedDatasets", json!({ "datasetId": id }))
            .await;
        assert_eq!(removed, json!({ "status": "REMOVED", "selectedDatasets": 1 }));
        assert_eq!(graph.asked(&id).await, (json!(300), most(both, 5)));

        // Another domain and other tags: others apply, in the same transaction.
        let update = |input: Value| async { graph.done("updateDataset", "status", input).await };
        update(json!({ "id": id, "tags": ["b"] })).await;
        assert_eq!(graph.asked(&id).await, (json!(500), most("selector tags [b]", 2)));
        update(json!({ "id": id, "tags": [], "clearDomain": true })).await;
        assert_eq!(graph.asked(&id).await, (Value::Null, "none".to_owned()));
        update(json!({ "id": other, "domain": "sales" })).await;
        assert_eq!(graph.asked(&other).await.0, json!(600));

        // A version for other datasets leaves those that it was for.
        let moved = json!({ "policyId": domain, "selector": { "domain": "billing" },
            "maxAge": { "failAfterSeconds": 60 }, "expectedVersion": 1 });
        let done = graph
            .done(
                "setFreshnessPolicyForSelector",
                "status selectedDatasets policy { version }",
                moved.clone(),
            )
            .await;
        assert_eq!(
            done,
            json!({ "status": "SET", "selectedDatasets": 1, "policy": { "version": 2 } })
        );
        assert_eq!(graph.asked(&other).await.0, Value::Null);
        let again = graph.done("setFreshnessPolicyForSelector", "status", moved).await;
        assert_eq!(again["status"], "VERSION_CONFLICT");
        let not_its_own = json!({ "datasetId": two });
        assert_eq!(graph.refused("removeFreshnessPolicy", not_its_own).await.0, "NOT_FOUND");
        let gone = json!({ "policyId": two });
        assert_eq!(
            graph.done("removeFreshnessPolicy", "status dataset { id }", gone.clone()).await,
            json!({ "status": "REMOVED", "dataset": null })
        );
        assert_eq!(graph.refused("removeFreshnessPolicy", gone).await.0, "NOT_FOUND");
        graph.expect_states_to_be_right().await;
    });
}

#[test]
fn whatever_comes_later_has_the_policy_too() {
    run(async {
        let graph = Graph::start().await;
        graph.select(json!({ "domain": "sales" }), 60).await;
        let registered = graph
            .register_with(json!({ "namespace": "ns", "name": "later", "domain": "sales" }))
            .await;
        assert_eq!(graph.asked(&registered).await.0, json!(60));
        assert_eq!(graph.freshness(&registered).await["status"], "UNKNOWN");
        // What a run refreshes is timed by the selector's policy, and tells which run decided.
        graph.succeed(&["later", "on-sight"], graph.now()).await;
        let fresh = graph.freshness(&registered).await;
        assert_eq!(fresh["status"], "FRESH");
        assert!(fresh["decidedBy"]["id"].is_string());
        graph.clock.advance(chrono::TimeDelta::seconds(61));
        let stale = graph.freshness(&registered).await;
        assert_eq!(stale["status"], "STALE");
        let expected = "STALE since 2026-01-01T00:01:00.000001Z: the last success was at \
                        2026-01-01T00:00:00Z; it is STALE after 2026-01-01T00:01:00Z, at an age of \
                        more than 60 s.";
        assert_eq!(stale["explanation"], expected);
        graph.expect_states_to_be_right().await;
    });
}

#[test]
fn a_selector_that_makes_no_sense_is_refused_and_audited() {
    run(async {
        let graph = Graph::start().await;
        let age = json!({ "failAfterSeconds": 60 });
        for (input, code, field) in [
            (json!({ "selector": {}, "maxAge": age }), "BAD_USER_INPUT", "selector: "),
            (json!({ "selector": { "tags": ["A b"] }, "maxAge": age }), "BAD_USER_INPUT", "tags"),
            (json!({ "selector": { "domain": "" }, "maxAge": age }), "BAD_USER_INPUT", "domain"),
            (json!({ "selector": { "domain": "d" } }), "BAD_USER_INPUT", "maxAge: "),
            (
                json!({ "selector": { "domain": "d" }, "maxAge": age, "policyId": UNKNOWN }),
                "NOT_FOUND",
                "",
            ),
            (
                json!({ "selector": { "domain": "d" }, "maxAge": age, "policyId": "x" }),
                "BAD_USER_INPUT",
                "policyId: ",
            ),
        ] {
            let before = graph.audit().await.len();
            let (is, message) = graph.refused("setFreshnessPolicyForSelector", input.clone()).await;
            assert_eq!(is, code, "{input}");
            assert!(message.starts_with(field), "{input}: {message}");
            let event =
                Audited::new("freshness_policy.set_for_selector", None, "REJECTED", Some(code));
            assert_eq!(graph.audited_since(before).await, [event]);
        }
        // A dataset's own policy is not one of a selector.
        let own = graph.register("own").await;
        graph.set_policy(&own, age.clone()).await;
        let input = json!({ "selector": { "domain": "d" }, "maxAge": age, "policyId": own });
        assert_eq!(graph.refused("setFreshnessPolicyForSelector", input).await.0, "NOT_FOUND");
        for input in [json!({}), json!({ "policyId": own, "datasetId": own })] {
            assert_eq!(graph.refused("removeFreshnessPolicy", input).await.0, "BAD_USER_INPUT");
        }
        assert_eq!(
            graph.read("{ freshnessPolicies { nodes { id } } }", json!({})).await["freshnessPolicies"]
                ["nodes"],
            json!([])
        );
    });
}

#[test]
fn policies_come_in_pages_and_versions_are_kept() {
    run(async {
        let graph = Graph::start().await;
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(graph.select(json!({ "domain": format!("d{number}") }), 60 + number).await);
        }
        graph.done("removeFreshnessPolicy", "status", json!({ "policyId": ids.remove(1) })).await;
        let query = "query($after: String) { freshnessPolicies(first: 3, after: $after) {
          nodes { id } pageInfo { hasNextPage endCursor } } }";
        let first = graph.read(query, json!({})).await["freshnessPolicies"].take();
        let second = graph.read(query, json!({ "after": first["pageInfo"]["endCursor"] })).await;
        let seen = [&first, &second["freshnessPolicies"]]
            .map(|page| page["nodes"].as_array().unwrap().clone());
        let seen: Vec<_> =
            seen.concat().iter().map(|node| string(&node["id"]).to_owned()).collect();
        assert_eq!(seen, ids);
        assert_eq!(first["pageInfo"]["hasNextPage"], true);

        let id = graph.register("d").await;
        for limit in [10, 20, 30] {
            graph.set_policy(&id, json!({ "failAfterSeconds": limit })).await;
        }
        graph
            .done(
                "removeFreshnessPolicy",
                "status",
                json!({ "datasetId": id, "expectedVersion": 3 }),
            )
            .await;
        let conflict =
            json!({ "datasetId": id, "maxAge": { "failAfterSeconds": 9 }, "expectedVersion": 4 });
        assert_eq!(
            graph.done("setFreshnessPolicy", "status", conflict).await["status"],
            "VERSION_CONFLICT"
        );
        let none =
            json!({ "datasetId": id, "maxAge": { "failAfterSeconds": 40 }, "expectedVersion": 0 });
        assert_eq!(graph.done("setFreshnessPolicy", "status", none).await["status"], "SET");
        let query = "query($id: ID!, $after: String) { dataset(id: $id) { freshnessPolicies(first: 3, after: $after) {
          nodes { version removed maxAge { failAfterSeconds } } pageInfo { endCursor } } } }";
        let versions = |page: &Value| -> Vec<(i64, bool, i64)> {
            page["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|node| {
                    (
                        node["version"].as_i64().unwrap(),
                        node["removed"].as_bool().unwrap(),
                        node["maxAge"]["failAfterSeconds"].as_i64().unwrap(),
                    )
                })
                .collect()
        };
        let first =
            graph.read(query, json!({ "id": id })).await["dataset"]["freshnessPolicies"].take();
        assert_eq!(versions(&first), [(5, false, 40), (4, true, 30), (3, false, 30)]);
        let after = json!({ "id": id, "after": first["pageInfo"]["endCursor"] });
        let second = graph.read(query, after).await;
        assert_eq!(
            versions(&second["dataset"]["freshnessPolicies"]),
            [(2, false, 20), (1, false, 10)]
        );
    });
}

/// What one tenant asks for is nothing to another, whose datasets are named and tagged alike.
#[test]
fn selectors_and_calendars_end_at_the_tenants_border() {
    run(async {
        let graph = Graph::start().await;
        let stranger = graph.app.token(STRANGER, Role::TenantAdmin);
        let register = "mutation { registerDataset(input: { namespace: \"ns\", name: \"d\", domain: \"sales\", tags: [\"a\"] }) { dataset { id } } }";
        let theirs = graph.app.data(&stranger, register, json!({})).await;
        let theirs = string(&theirs["registerDataset"]["dataset"]["id"]).to_owned();
        let policy = graph.select(json!({ "domain": "sales" }), 60).await;
        graph
            .done("setFreshnessCalendar", "status", json!({ "name": "holidays", "dates": [] }))
            .await;
        let ask = "query($id: ID!) { dataset(id: $id) { freshness { status policy { id } } }
          freshnessPolicies { nodes { id } } freshnessCalendars { name } }";
        let seen = graph.app.data(&stranger, ask, json!({ "id": theirs })).await;
        let nothing = json!({ "dataset": { "freshness": { "status": "NOT_APPLICABLE", "policy": null } },
            "freshnessPolicies": { "nodes": [] }, "freshnessCalendars": [] });
        assert_eq!(seen, nothing);
        for (mutation, id) in [
            (
                "mutation($id: ID!) { removeFreshnessPolicy(input: { policyId: $id }) { status } }",
                policy.as_str(),
            ),
            (
                "mutation($id: ID!) { setFreshnessPolicyForSelector(input: { policyId: $id, selector: { domain: \"x\" }, maxAge: { failAfterSeconds: 9 } }) { status } }",
                policy.as_str(),
            ),
            (
                "mutation($id: String!) { removeFreshnessCalendar(input: { name: $id }) { status } }",
                "holidays",
            ),
        ] {
            assert_eq!(graph.app.code(&stranger, mutation, json!({ "id": id })).await, "NOT_FOUND");
        }
        let ours = graph
            .read(
                "{ freshnessPolicies { nodes { id version } } freshnessCalendars { name } }",
                json!({}),
            )
            .await;
        assert_eq!(ours["freshnessPolicies"]["nodes"], json!([{ "id": policy, "version": 1 }]));
        assert_eq!(ours["freshnessCalendars"], json!([{ "name": "holidays" }]));
    });
}
