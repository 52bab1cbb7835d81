//! Small made-up histories: what the database makes of them, in any order and portions, is what a
//! slow model says that reads the whole set at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, TimeZone, Utc};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{accepted, service};
use crate::{app::TestApp, cluster::RUNTIME};
use drr::auth::policy::Role;

const KINDS: [&str; 6] = ["START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"];
/// What outputs are called. The last is an alias of the first.
const NAMES: [&str; 4] = ["a", "b", "c", "z-alias-of-a"];

fn dataset_of(name: usize) -> usize {
    if name == 3 { 0 } else { name }
}

#[derive(Debug, Clone)]
pub struct Happened {
    run: u128,
    kind: usize,
    slot: usize,
    outputs: BTreeSet<usize>,
    counted: bool,
}

/// Instants on both sides of the borders between partitions, few enough for ties.
fn instants(now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let month = Utc.with_ymd_and_hms(now.year(), now.month(), 1, 0, 0, 0).unwrap();
    let old = month - TimeDelta::days(70);
    [old, old + TimeDelta::seconds(1), month - TimeDelta::microseconds(1), month]
        .into_iter()
        .chain([month + TimeDelta::microseconds(1), month + TimeDelta::seconds(30)])
        .map(|at| at.min(now))
        .collect()
}

fn happened() -> impl Strategy<Value = Happened> {
    let outputs = prop::collection::btree_set(0..NAMES.len(), 0..3);
    (0..4_u128, 0..KINDS.len(), 0..6_usize, outputs, any::<bool>()).prop_map(
        |(run, kind, slot, outputs, counted)| Happened { run, kind, slot, outputs, counted },
    )
}

/// A history, the order to send it in, with repetitions, and the size of the portions.
fn histories() -> impl Strategy<Value = (Vec<Happened>, Vec<usize>, usize)> {
    vec(happened(), 1..12).prop_flat_map(|events| {
        let count = events.len();
        let order: Vec<usize> = (0..count).chain(0..count / 2).collect();
        (Just(events), Just(order).prop_shuffle(), 1..5_usize)
    })
}

fn run_id(tenant: usize, run: u128) -> Uuid {
    Uuid::from_u128((u128::try_from(tenant).unwrap() << 32) | run)
}

fn rows(run: u128, name: usize) -> i64 {
    i64::try_from(run).unwrap() * 10 + i64::try_from(name).unwrap() + 1
}

fn event(happened: &Happened, tenant: usize, at: &[DateTime<Utc>]) -> Value {
    let output = |&name: &usize| {
        let mut output = json!({ "namespace": "ns", "name": NAMES[name] });
        if happened.counted {
            let statistics = json!({ "rowCount": rows(happened.run, name) });
            output["outputFacets"] = json!({ "outputStatistics": statistics });
        }
        output
    };
    json!({
        "eventType": KINDS[happened.kind],
        "eventTime": at[happened.slot].to_rfc3339_opts(SecondsFormat::Micros, true),
        "producer": "p", "schemaURL": "s",
        "run": { "runId": run_id(tenant, happened.run) },
        "job": { "namespace": "jobs", "name": format!("job-{}", happened.run) },
        "outputs": happened.outputs.iter().map(output).collect::<Vec<_>>(),
    })
}

/// One run as a dataset sees it.
#[derive(Debug, Clone)]
struct Ran {
    run_id: Uuid,
    effective_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    state: &'static str,
    rows: Option<i64>,
}

/// What the database says, or should say, of a dataset.
#[derive(Debug, PartialEq)]
struct Said {
    status: String,
    last_success: (Option<DateTime<Utc>>, Option<Uuid>, Option<i64>),
    last_run: (Option<Uuid>, Option<DateTime<Utc>>, Option<String>),
    running_since: Option<DateTime<Utc>>,
    failures: i32,
    log: Vec<(DateTime<Utc>, Uuid, String, Option<i64>)>,
}

/// A run as all its events together tell it.
fn ran(events: &[&Happened], tenant: usize, at: &[DateTime<Utc>], dataset: usize) -> Option<Ran> {
    let names = events.iter().flat_map(|event| &event.outputs);
    // Of two names of one dataset the first stands.
    let name = names.copied().filter(|name| dataset_of(*name) == dataset).min()?;
    let time = |event: &&&Happened| at[event.slot];
    let of =
        |kinds: &'static [usize]| events.iter().filter(move |event| kinds.contains(&event.kind));
    let end = of(&[2, 3, 4]).min_by_key(|event| (time(event), [9, 9, 2, 0, 1, 9][event.kind]));
    let state = match end.map(|end| end.kind) {
        Some(2) => "COMPLETED",
        Some(3) => "FAILED",
        Some(_) => "ABORTED",
        None if of(&[0, 1]).next().is_some() => "RUNNING",
        None => "NEW",
    };
    let start = of(&[0]).map(|event| time(&event)).min();
    let first_state = of(&[0, 1, 2, 3, 4]).map(|event| time(&event)).min();
    let first = events.iter().map(|event| time(&event)).min()?;
    let counted = events.iter().any(|event| event.counted && event.outputs.contains(&name));
    Some(Ran {
        run_id: run_id(tenant, events[0].run),
        effective_at: start.or(first_state).unwrap_or(first),
        ended_at: end.map(|end| time(&end)),
        state,
        rows: counted.then(|| rows(events[0].run, name)),
    })
}

fn expected(events: &[Happened], tenant: usize, at: &[DateTime<Utc>], dataset: usize) -> Said {
    let mut runs = BTreeMap::<u128, Vec<&Happened>>::new();
    for event in events {
        runs.entry(event.run).or_default().push(event);
    }
    let mut runs: Vec<_> =
        runs.values().filter_map(|events| ran(events, tenant, at, dataset)).collect();
    runs.sort_by_key(|run| (run.effective_at, run.run_id));
    let last = runs.iter().rev().find(|run| run.state != "NEW");
    let running = last.filter(|run| run.state == "RUNNING");
    let mut ended: Vec<_> =
        runs.iter().filter(|run| matches!(run.state, "COMPLETED" | "FAILED")).collect();
    ended.sort_by_key(|run| (run.ended_at, run.run_id));
    let success = ended.iter().rev().find(|run| run.state == "COMPLETED");
    let failures = ended.iter().rev().take_while(|run| run.state == "FAILED").count();
    let status = match (running, ended.last()) {
        (Some(_), _) => "REFRESHING",
        (None, Some(run)) if run.state == "COMPLETED" => "READY",
        (None, Some(_)) => "FAILED",
        (None, None) => "NEVER",
    };
    Said {
        status: status.to_owned(),
        last_success: (
            success.and_then(|run| run.ended_at),
            success.map(|run| run.run_id),
            success.and_then(|run| run.rows),
        ),
        last_run: (
            last.map(|run| run.run_id),
            last.map(|run| run.effective_at),
            last.map(|run| run.state.to_owned()),
        ),
        running_since: running.map(|run| run.effective_at),
        failures: i32::try_from(failures).unwrap(),
        log: runs
            .iter()
            .map(|run| (run.effective_at, run.run_id, run.state.to_owned(), run.rows))
            .collect(),
    }
}

async fn said(admin: &mut PgConnection, tenant: &str, name: &str) -> Said {
    let state = sqlx::query(
        "SELECT s.* FROM dataset_refresh_state s JOIN dataset_registry d
          USING (tenant_id, dataset_id) WHERE tenant_id = $1 AND name = $2",
    );
    let state = state.bind(tenant).bind(name).fetch_one(&mut *admin).await.unwrap();
    let log = sqlx::query(
        "SELECT l.* FROM dataset_run_log l JOIN dataset_registry d USING (tenant_id, dataset_id)
          WHERE tenant_id = $1 AND name = $2 ORDER BY effective_at, run_id",
    );
    let log = log.bind(tenant).bind(name).fetch_all(admin).await.unwrap();
    Said {
        status: state.get("status"),
        last_success: (
            state.get("last_success_at"),
            state.get("last_success_run_id"),
            state.get("row_count"),
        ),
        last_run: (state.get("last_run_id"), state.get("last_run_at"), state.get("last_run_state")),
        running_since: state.get("running_since"),
        failures: state.get("consecutive_failures"),
        log: log
            .iter()
            .map(|row| {
                (row.get("effective_at"), row.get("run_id"), row.get("state"), row.get("row_count"))
            })
            .collect(),
    }
}

async fn check(app: &TestApp, tenant: usize, history: &(Vec<Happened>, Vec<usize>, usize)) {
    let (events, order, portion) = history;
    let code = format!("model-{tenant}");
    let writer = app.token(&code, Role::RuntimeWriter);
    let at = instants(app.clock.now());
    let aliases = json!([{ "namespace": "ns", "name": NAMES[3] }]);
    let register =
        "mutation($aliases: [NameInput!]!) { a: registerDataset(input: {namespace: \"ns\",
        name: \"a\", aliases: $aliases}) { status } }";
    let made = app.data(&writer, register, json!({ "aliases": aliases })).await;
    assert_eq!(made["a"]["status"], "REGISTERED");
    // The others are known from the start, so that each has a state to compare.
    let known = json!({
        "eventTime": at[0].to_rfc3339_opts(SecondsFormat::Micros, true), "producer": "p",
        "schemaURL": "s", "job": { "namespace": "jobs", "name": "j" },
        "outputs": [{ "namespace": "ns", "name": "b" }, { "namespace": "ns", "name": "c" }],
    });
    accepted(app, &writer, &known).await;

    for portion in order.chunks(*portion) {
        let portion: Vec<_> =
            portion.iter().map(|index| event(&events[*index], tenant, &at)).collect();
        accepted(app, &writer, &json!(portion)).await;
    }
    let mut admin = app.admin().await;
    for (dataset, name) in NAMES[..3].iter().enumerate() {
        let expected = expected(events, tenant, &at, dataset);
        let said = said(&mut admin, &code, name).await;
        assert_eq!(said, expected, "dataset {name} of {code} after {events:#?}");
    }
}

#[test]
fn the_state_is_what_a_slow_model_says() {
    let app = RUNTIME.block_on(service());
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let tenant = std::cell::Cell::new(0);
    TestRunner::new_with_rng(config, rng)
        .run(&histories(), |history| {
            tenant.set(tenant.get() + 1);
            RUNTIME.block_on(check(&app, tenant.get(), &history));
            Ok(())
        })
        .unwrap();
    RUNTIME.block_on(app.stop());
}
