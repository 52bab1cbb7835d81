//! Many writers at once, and clients that go away.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

use super::{Dice, accepted, assert_same, dump, scalar, service};
use crate::{
    app::TestApp,
    cluster::{Database, run},
    smoke::run_event,
};
use drr::auth::policy::Role;

const WRITERS: u64 = 16;

/// Events of a few runs over a few datasets, that contradict each other in every way.
fn overlapping(app: &TestApp, count: usize, seed: u64) -> Vec<Value> {
    let mut dice = Dice::new(seed);
    let now = app.clock.now();
    let made = (0..count).map(|number| {
        let run = dice.roll(12);
        let kind = ["START", "RUNNING", "COMPLETE", "FAIL", "OTHER"][dice.roll(5)];
        let at = now - TimeDelta::days(i64::try_from(dice.roll(60)).unwrap());
        let at = at - TimeDelta::microseconds(i64::try_from(number).unwrap());
        let outputs: Vec<_> = (0..=dice.roll(3))
            .map(|_| {
                let name = dice.roll(6);
                json!({ "namespace": "ns", "name": format!("table-{name}"),
                        "facets": {
                            "documentation": { "description": format!("As of {number}.") },
                            "ownership": { "owners": [{ "name": format!("team-{number}") }] },
                            "schema": { "fields": [{ "name": format!("f{}", dice.roll(3)) }] } },
                        "outputFacets": { "outputStatistics": { "rowCount": number } } })
            })
            .collect();
        json!({
            "eventType": kind, "eventTime": at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "producer": "p", "schemaURL": "s", "run": { "runId": Uuid::from_u128(run as u128) },
            "job": { "namespace": "jobs", "name": format!("job-{run}") }, "outputs": outputs,
        })
    });
    made.collect()
}

#[test]
fn sixteen_writers_lose_nothing_and_never_deadlock() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let events = overlapping(&app, 160, 1);
        let alone = app.token("alone", Role::RuntimeWriter);
        for event in &events {
            accepted(&app, &alone, event).await;
        }
        let together = app.token("together", Role::RuntimeWriter);
        let writers = (0..WRITERS).map(|writer| {
            let (app, events, together) = (&app, &events, &together);
            async move {
                let mut dice = Dice::new(100 + writer);
                // Each sends a third of all, in an order of its own; together every event.
                let mut own: Vec<_> = (events.iter().enumerate())
                    .filter(|(index, _)| *index as u64 % WRITERS == writer || dice.roll(3) == 0)
                    .map(|(_, event)| event.clone())
                    .collect();
                own = dice.shuffled(&own);
                while !own.is_empty() {
                    let batch = own.split_off(own.len() - own.len().min(1 + dice.roll(12)));
                    accepted(app, together, &json!(batch)).await;
                }
            }
        });
        join_all(writers).await;
        let expected = dump(&mut admin, "alone").await;
        assert!(expected.contains("run_event: 160"), "{expected}");
        assert_same(&expected, &dump(&mut admin, "together").await, "16 writers");
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        app.stop().await;
        scalar::<Option<String>>(&mut admin, "SELECT pg_stat_force_next_flush()::text").await;
        assert_eq!(scalar::<i64>(&mut admin, deadlocks).await, 0);
    });
}

// People set policies, rename and retire while pipelines report: neither waits for the other in a
// circle, and no event undoes a policy that was set while it waited.
#[test]
fn people_and_pipelines_do_not_undo_each_other() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let manager = app.token("acme", Role::TenantAdmin);
        let events = overlapping(&app, 120, 2);
        // One complete run for each, so that a policy is timed.
        let first = json!({
            "eventType": "COMPLETE", "eventTime": (app.clock.now() - TimeDelta::days(90)),
            "producer": "p", "schemaURL": "s", "run": { "runId": Uuid::from_u128(99) },
            "job": { "namespace": "jobs", "name": "first" },
            "outputs": (0..6).map(|name| json!({ "namespace": "ns",
                "name": format!("table-{name}") })).collect::<Vec<_>>(),
        });
        accepted(&app, &writer, &first).await;
        let listed = "{ datasets { nodes { id name } } }";
        let listed = app.data(&manager, listed, json!({})).await;
        let ids: Vec<_> = listed["datasets"]["nodes"].as_array().unwrap().clone();
        assert_eq!(ids.len(), 6);

        let reports = (0..4).map(|part| {
            let (app, writer, events) = (&app, &writer, &events);
            async move {
                for event in events.iter().skip(part).step_by(4) {
                    accepted(app, writer, event).await;
                }
            }
        });
        let set = "mutation($id: ID!, $warn: Int!, $alias: String!) {
            setFreshnessPolicy(input: {datasetId: $id, maxAge: {warnAfterSeconds: $warn}}) { status }
            updateDataset(input: {id: $id, domain: $alias,
                aliases: [{namespace: \"alias\", name: $alias}]}) { status } }";
        let changes = ids.iter().enumerate().map(|(number, dataset)| {
            let (app, manager, id) = (&app, &manager, &dataset["id"]);
            async move {
                for warn in 1..16 {
                    let alias = format!("a{number}-{}", warn % 3);
                    let variables = json!({ "id": id, "warn": warn * 60, "alias": alias });
                    let done = app.data(manager, set, variables).await;
                    assert_eq!(done["setFreshnessPolicy"]["status"], "SET", "{done}");
                }
            }
        });
        let retire = async {
            let retire = "mutation($id: ID!) { retireDataset(input: {id: $id}) { status } }";
            for number in 0..8 {
                let event = json!({
                    "eventType": "COMPLETE", "eventTime": app.clock.now(), "producer": "p",
                    "schemaURL": "s", "run": { "runId": Uuid::from_u128(1_000 + number) },
                    "job": { "namespace": "jobs", "name": "old" },
                    "outputs": [{ "namespace": "old", "name": format!("old-{number}") }],
                });
                accepted(&app, &writer, &event).await;
                let text = format!(
                    "{{ datasets(filter: {{text: \"old-{number}\"}}) {{ nodes {{ id }} }} }}"
                );
                let found = app.data(&manager, &text, json!({})).await;
                let id = &found["datasets"]["nodes"][0]["id"];
                let mut again = event.clone();
                again["eventType"] = json!("FAIL");
                let variables = json!({ "id": id });
                tokio::join!(
                    accepted(&app, &writer, &again),
                    app.data(&manager, retire, variables)
                );
            }
        };
        tokio::join!(join_all(reports), join_all(changes), retire);
        let undone = "SELECT count(*) FROM dataset_refresh_state s JOIN freshness_policy p
            ON p.dataset_id = s.dataset_id AND p.version = s.policy_version
          WHERE freshness_basis <> 'TIMED' OR p.version <> 15
             OR warn_at <> last_success_at + make_interval(secs => warn_after_seconds)";
        assert_eq!(scalar::<i64>(&mut admin, undone).await, 0);
        let policies = "SELECT count(*) FROM dataset_refresh_state WHERE policy_version = 15";
        assert_eq!(scalar::<i64>(&mut admin, policies).await, 6);
        app.stop().await;
        scalar::<Option<String>>(&mut admin, "SELECT pg_stat_force_next_flush()::text").await;
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(scalar::<i64>(&mut admin, deadlocks).await, 0);
    });
}

#[test]
fn a_client_that_goes_away_leaves_all_or_nothing() {
    run(async {
        let app = service().await;
        let mut admin = app.admin().await;
        let events = overlapping(&app, 300, 3);
        let whole = app.token("whole", Role::RuntimeWriter);
        accepted(&app, &whole, &json!(events)).await;
        let cut = app.token("cut", Role::RuntimeWriter);
        let batches: Vec<_> = events.chunks(5).map(|batch| json!(batch)).collect();
        let mut dice = Dice::new(4);
        let sent = join_all(batches.iter().enumerate().map(|(number, batch)| {
            // Every sixth has all the time in the world; the others from 1 µs to 65 ms, after which
            // they are dropped: the connection closes under the service.
            let patience = match number % 6 {
                0 => Duration::from_secs(60),
                _ => Duration::from_micros(1 << dice.roll(17)),
            };
            tokio::time::timeout(patience, app.lineage(&cut, batch))
        }));
        let answered: Vec<_> = sent
            .await
            .into_iter()
            .map(|sent| sent.is_ok_and(|(status, _)| status == 201))
            .collect();
        let database = Database { cluster: app.database.cluster, name: app.database.name.clone() };
        let clock = app.clock.clone();
        // What is still under way ends here.
        app.stop().await;
        let mut stored = 0;
        for (batch, answered) in batches.iter().zip(&answered) {
            let count = "SELECT count(*) FROM run_event WHERE tenant_id = 'cut'
                AND payload IN (SELECT jsonb_array_elements($1))";
            let found: i64 =
                sqlx::query_scalar(count).bind(batch).fetch_one(&mut admin).await.unwrap();
            assert!(found == 5 || (found == 0 && !answered), "{found} of a batch of 5");
            stored += found;
        }
        assert!(stored < 300, "no client was cut off");
        assert!(stored > 0, "every client was cut off");

        let app = TestApp::launch(database, clock, |_| ()).await.unwrap();
        let report = accepted(&app, &cut, &json!(events)).await;
        assert_eq!(report["summary"]["duplicates"], stored);
        let expected = dump(&mut admin, "whole").await;
        assert_same(&expected, &dump(&mut admin, "cut").await, "sent again after being cut off");
        app.stop().await;
    });
}

/// Waits until so many sessions of this database wait for a lock.
async fn waiting(watch: &mut PgConnection, sessions: i64) {
    let count = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let reached = async { while scalar::<i64>(&mut *watch, count).await != sessions {} };
    tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap();
}

/// A service with one dataset that has succeeded; its id, and an event of another run of it.
async fn one_dataset() -> (TestApp, Value, Value) {
    let app = service().await;
    let writer = app.token("acme", Role::RuntimeWriter);
    let at = (app.clock.now() - TimeDelta::hours(2)).to_rfc3339();
    let first = run_event("COMPLETE", &at, &Uuid::from_u128(1).to_string(), "orders");
    accepted(&app, &writer, &first).await;
    let listed = app.data(&writer, "{ datasets { nodes { id } } }", json!({})).await;
    let at = (app.clock.now() - TimeDelta::hours(1)).to_rfc3339();
    let next = run_event("COMPLETE", &at, &Uuid::from_u128(2).to_string(), "orders");
    (app, listed["datasets"]["nodes"][0]["id"].clone(), next)
}

// What a waiting statement reads beside the row that it waits for is as it was before it waited.
#[test]
fn an_event_that_waited_for_a_policy_keeps_it() {
    run(async {
        let (app, id, next) = one_dataset().await;
        let (mut holder, mut watch) = (app.admin().await, app.admin().await);
        let writer = app.token("acme", Role::RuntimeWriter);
        let manager = app.token("acme", Role::TenantAdmin);
        holder.execute("BEGIN; SELECT FROM dataset_refresh_state FOR UPDATE").await.unwrap();
        let set = "mutation($id: ID!) { setFreshnessPolicy(input: {datasetId: $id,
            maxAge: {warnAfterSeconds: 60}}) { status } }";
        let steps = async {
            waiting(&mut watch, 1).await;
            let event = accepted(&app, &writer, &next);
            let release = async {
                waiting(&mut watch, 2).await;
                holder.execute("ROLLBACK").await.unwrap();
            };
            tokio::join!(event, release);
        };
        let (set, ()) = tokio::join!(app.data(&manager, set, json!({ "id": id })), steps);
        assert_eq!(set["setFreshnessPolicy"]["status"], "SET");
        let timed = "SELECT freshness_basis || ' ' || (warn_at = last_success_at + interval '60 s')
            FROM dataset_refresh_state";
        assert_eq!(scalar::<String>(&mut watch, timed).await, "TIMED true");
        app.stop().await;
    });
}

#[test]
fn retiring_a_dataset_and_reporting_on_it_do_not_deadlock() {
    run(async {
        let (app, id, next) = one_dataset().await;
        let (mut holder, mut watch) = (app.admin().await, app.admin().await);
        let writer = app.token("acme", Role::RuntimeWriter);
        let manager = app.token("acme", Role::TenantAdmin);
        // Holds the event up after it has locked the state, before it writes the log.
        holder.execute("BEGIN; LOCK TABLE dataset_run_log IN SHARE MODE").await.unwrap();
        let steps = async {
            waiting(&mut watch, 1).await;
            let retire = "mutation($id: ID!) { retireDataset(input: {id: $id}) { status } }";
            let retire = app.data(&manager, retire, json!({ "id": id }));
            let release = async {
                waiting(&mut watch, 2).await;
                holder.execute("ROLLBACK").await.unwrap();
            };
            tokio::join!(retire, release).0
        };
        let (_, retired) = tokio::join!(accepted(&app, &writer, &next), steps);
        assert_eq!(retired["retireDataset"]["status"], "RETIRED");
        let state = "SELECT status || ' ' || listed FROM dataset_refresh_state";
        assert_eq!(scalar::<String>(&mut watch, state).await, "READY false");
        app.stop().await;
    });
}

#[test]
fn of_two_runs_at_once_neither_is_lost() {
    run(async {
        let (app, _, newer) = one_dataset().await;
        let (mut holder, mut watch) = (app.admin().await, app.admin().await);
        let writer = app.token("acme", Role::RuntimeWriter);
        let at = (app.clock.now() - TimeDelta::minutes(90)).to_rfc3339();
        let older = run_event("COMPLETE", &at, &Uuid::from_u128(3).to_string(), "orders");
        holder.execute("BEGIN; SELECT FROM dataset_refresh_state FOR UPDATE").await.unwrap();
        let steps = async {
            waiting(&mut watch, 1).await;
            let release = async {
                waiting(&mut watch, 2).await;
                holder.execute("ROLLBACK").await.unwrap();
            };
            tokio::join!(accepted(&app, &writer, &older), release);
        };
        tokio::join!(accepted(&app, &writer, &newer), steps);
        let last = "SELECT last_success_run_id FROM dataset_refresh_state";
        assert_eq!(scalar::<Uuid>(&mut watch, last).await, Uuid::from_u128(2));
        app.stop().await;
    });
}
