//! Datasets that come while policies are set: none is missed, and nobody waits in a circle.

use drr::auth::policy::Role;
use futures::future::join_all;
use serde_json::json;
use sqlx::Executor;

use crate::{cluster::run, graph::Graph, smoke::run_event};

/// Pipelines and people register datasets, others change them, and others set and remove the policies
/// that are for them: in the end each state is what a fresh look at everything says.
#[test]
fn no_dataset_is_missed_while_policies_come_and_go() {
    run(async {
        let graph = Graph::start().await;
        let (writer, manager) = (graph.token(Role::RuntimeWriter), graph.manager());
        let at = crate::graph::text(graph.now());
        let known = graph
            .register_with(json!({ "namespace": "ns", "name": "known", "domain": "d0" }))
            .await;

        let pipelines = (0..4).map(|pipeline| {
            let (graph, writer, at) = (&graph, &writer, &at);
            async move {
                for number in 0..12 {
                    // Of every name there are two pipelines that may be the first.
                    let name = format!("{}-{number}", pipeline / 2);
                    let run = graph.app.clock.new_id().to_string();
                    let mut event = run_event("COMPLETE", at, &run, &name);
                    event["outputs"][0]["namespace"] = json!("ns");
                    let known = event["outputs"][0].clone();
                    event["outputs"].as_array_mut().unwrap().push(known);
                    event["outputs"][1]["name"] = json!("known");
                    let (status, report) = graph.app.lineage(writer, &event).await;
                    assert!(status.is_success(), "{report:#}");
                }
            }
        });
        let register =
            "mutation($input: RegisterDatasetInput!) { registerDataset(input: $input) { status } }";
        let people = (0..2).map(|person| {
            let (graph, manager) = (&graph, &manager);
            async move {
                for number in 0..12 {
                    let input = json!({ "namespace": "ns", "name": format!("{person}-{number}"),
                        "domain": format!("d{}", number % 2), "tags": ["a"] });
                    graph.app.data(manager, register, json!({ "input": input })).await;
                }
            }
        });
        let update = "mutation($id: ID!, $domain: String!) { updateDataset(input: { id: $id, domain: $domain }) { status } }";
        let change = async {
            for number in 0..12 {
                let domain = format!("d{}", number % 2);
                graph.app.data(&manager, update, json!({ "id": known, "domain": domain })).await;
            }
        };
        let select = async {
            for number in 0..8 {
                let selector = match number % 3 {
                    0 => json!({ "domain": "d0" }),
                    1 => json!({ "tags": ["a"] }),
                    _ => json!({ "domain": "d1", "tags": ["a"] }),
                };
                let id = graph.select(selector, 60 + number).await;
                if number % 2 == 0 {
                    graph.done("removeFreshnessPolicy", "status", json!({ "policyId": id })).await;
                }
                let own = json!({ "failAfterSeconds": 1_000 + number });
                graph.set_policy(&known, own).await;
                graph.done("removeFreshnessPolicy", "status", json!({ "datasetId": known })).await;
            }
        };
        tokio::join!(join_all(pipelines), join_all(people), change, select);
        graph.expect_states_to_be_right().await;
        let count: (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE policy_id IS NOT NULL) FROM dataset_refresh_state",
        )
        .fetch_one(&mut graph.app.admin().await)
        .await
        .unwrap();
        assert_eq!(count.0, 25);
        assert!(count.1 > 0, "nothing has a policy");
        let mut admin = graph.app.admin().await;
        graph.app.stop().await;
        admin.execute("SELECT pg_stat_force_next_flush()").await.unwrap();
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let deadlocks: i64 = sqlx::query_scalar(deadlocks).fetch_one(&mut admin).await.unwrap();
        assert_eq!(deadlocks, 0);
    });
}

/// One that registers holds up one that sets a policy for what it registers, until it is there.
#[test]
fn a_policy_waits_for_a_dataset_that_is_on_its_way() {
    run(async {
        let graph = Graph::start().await;
        let mut admin = graph.app.admin().await;
        // As a registration holds it.
        let mut holder = graph.app.admin().await;
        holder.execute("SET app.tenant_id = 'acme'; BEGIN").await.unwrap();
        holder
            .execute(
                "SELECT pg_advisory_xact_lock_shared(
            hashtextextended('freshness policies of ' || storage_drr.current_tenant(), 0))",
            )
            .await
            .unwrap();
        let waiting = async {
            loop {
                let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
                let waits: i64 = sqlx::query_scalar(waits).fetch_one(&mut admin).await.unwrap();
                if waits == 1 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            holder.execute("COMMIT").await.unwrap();
        };
        let (policy, ()) = tokio::join!(graph.select(json!({ "domain": "d" }), 60), waiting);
        assert!(!policy.is_empty());
    });
}
