//! What the trail costs: the same calls with it and without it, in turns.
//!
//! `scripts/bench-audit` runs it. The processor's time is that of this process and of PostgreSQL's
//! together; the callers are in this process as well, and cost the same with and without.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request};
use drr::{
    audit::{Outcome, Record, Recorder},
    auth::{
        KeySource, PseudonymKey, RevocationList, TokenVerifier,
        policy::{Operation, Role},
    },
    clock::{SharedClock, SystemClock},
    db::Db,
    graphql,
    http::{
        self, Front, ListenerKind,
        authentication::Authentication,
        graphql::{Intake, Taken, Trusted},
        subgraph::Execution,
    },
};
use futures::future::join_all;
use tower::ServiceExt;

use crate::{
    app::{KEY, TestApp, assembly},
    cluster::{Cluster, run, spool_folder},
};

const CALLERS: usize = 64;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// Seconds of the processor that a process and its children have used.
fn used(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12) + ticks(13) + ticks(14)) / 100.0
}

/// Of this process, and of every PostgreSQL that it started.
fn processor() -> f64 {
    let own = std::process::id().to_string();
    let mut known = vec![own.clone()];
    let mut total = used(&own);
    // Children of children: the server, and its processes.
    loop {
        let mut more = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if known.contains(&pid) || !Path::new("/proc").join(&pid).join("stat").exists() {
                continue;
            }
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1);
            if parent.is_some_and(|parent| known.iter().any(|known| known == parent)) {
                more.push(pid);
            }
        }
        if more.is_empty() {
            return total;
        }
        total += more.iter().map(|pid| used(pid)).sum::<f64>();
        known.extend(more);
    }
}

struct Measured {
    calls: usize,
    /// Microseconds of the processor a call.
    cost: f64,
    p50: Duration,
    p99: Duration,
}

async fn measure(router: &Router, token: &str, query: &str, callers: usize) -> Measured {
    let (before, end) = (processor(), Instant::now() + ROUND);
    let callers = (0..callers).map(|_| {
        let (router, token) = (router.clone(), token.to_owned());
        let body = serde_json::json!({ "query": query }).to_string();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while Instant::now() < end {
                let request = Request::post("/graphql")
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", "application/json")
                    .body(Body::from(body.clone()))
                    .unwrap();
                let begun = Instant::now();
                let answer = router.clone().oneshot(request).await.unwrap();
                assert_eq!(answer.status(), 200);
                axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
                taken.push(begun.elapsed());
            }
            taken
        })
    });
    let mut taken: Vec<_> = join_all(callers).await.into_iter().flat_map(Result::unwrap).collect();
    let cost = (processor() - before) * 1e6 / taken.len() as f64;
    taken.sort_unstable();
    let at = |share: usize| taken[taken.len() * share / 100];
    Measured { calls: taken.len(), cost, p50: at(50), p99: at(99) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "a bench"]
fn what_the_trail_costs() {
    run(async {
        let database = Cluster::shared().await.database().await;
        // As in production: an event is on the disk before its answer leaves.
        let mut admin = database.cluster.admin("postgres").await;
        for sql in ["ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"] {
            sqlx::raw_sql(sql).execute(&mut admin).await.unwrap();
        }
        let clock: SharedClock = Arc::new(SystemClock);
        let plan = assembly(&database, clock.clone());
        let db = Db::new(plan.database);
        let (recorder, recording) = Recorder::start(db.clone(), &spool_folder(), 1 << 28).unwrap();
        let keys = KeySource::new(&plan.keys, clock.clone()).unwrap();
        keys.refresh().await.unwrap();
        let revoked = Arc::new(RevocationList::new(clock.clone(), 1));
        let pseudonyms = PseudonymKey::new(&[7; 32]).unwrap();
        let verifier =
            TokenVerifier::new(&plan.verifier, keys, revoked, pseudonyms, clock.clone()).unwrap();
        let authentication = Authentication::new(Arc::new(verifier), db.clone(), clock.clone());
        let execution =
            Execution::new(authentication.clone(), graphql::subgraph(), plan.limits.graphql_cost);
        let taken = Taken { persisted: true, only_trusted: false };
        let intake = Intake::new(&plan.limits, Trusted::default(), taken);
        let routes = || {
            let route = http::graphql::route(execution.clone(), intake.clone(), &plan.limits);
            Router::new().route("/graphql", route)
        };
        let front =
            || Front::new(ListenerKind::Public, clock.clone(), &plan.limits, recorder.clone());
        let audited = http::assemble(routes(), front());
        let unaudited = http::assemble_unaudited(routes(), front());
        let token = KEY.sign(&TestApp::request("acme", Role::TenantAdmin), &SystemClock).unwrap();

        let read = "{ me { role } }";
        let board = "{ datasets(first: 20) { nodes { name } } }";
        for (name, query, callers) in [
            ("a read without the database, 64 callers", read, CALLERS),
            ("a list of datasets, 64 callers", board, CALLERS),
            ("a read without the database, 1 caller", read, 1),
        ] {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                without.push(measure(&unaudited, &token, query, callers).await);
                with.push(measure(&audited, &token, query, callers).await);
            }
            let of = |measured: &[Measured], what: fn(&Measured) -> f64| {
                median(measured.iter().map(what).collect())
            };
            let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
            let p50: fn(&Measured) -> f64 = |it| it.p50.as_secs_f64() * 1e3;
            let p99: fn(&Measured) -> f64 = |it| it.p99.as_secs_f64() * 1e3;
            println!(
                "{name}: CPU {:.1} µs with, {:.1} without, {:.1} more; p50 {:.2} / {:.2} ms; p99 {:.2} / {:.2} ms; {:.0} / {:.0} calls/s",
                of(&with, |it| it.cost),
                of(&without, |it| it.cost),
                of(&with, |it| it.cost) - of(&without, |it| it.cost),
                of(&with, p50),
                of(&without, p50),
                of(&with, p99),
                of(&without, p99),
                of(&with, |it| it.calls as f64) / ROUND.as_secs_f64(),
                of(&without, |it| it.calls as f64) / ROUND.as_secs_f64(),
            );
            assert!(with.iter().all(|it| milliseconds(it.p99) < 5_000.0));
        }
        sustained(&authentication, &recorder, &clock, &token).await;
        recording.close(&recorder).await;
        db.close().await;
    });
}

/// How many events a second become durable, when many wait for theirs and for nothing else.
async fn sustained(
    authentication: &Authentication,
    recorder: &Recorder,
    clock: &SharedClock,
    token: &str,
) {
    let (before, begun) = (processor(), Instant::now());
    let callers = (0..2_000).map(|_| {
        let (authentication, recorder, clock, token) =
            (authentication.clone(), recorder.clone(), clock.clone(), token.to_owned());
        tokio::spawn(async move {
            let mut made = 0_usize;
            while begun.elapsed() < Duration::from_secs(10) {
                let record = Record::new(clock.clone(), "bench".into(), "public");
                let record = Arc::new(record);
                let call = authentication.verified(&token, &record).await.unwrap();
                call.authorize(Operation::MeRead).unwrap();
                recorder.ending(record).end(Outcome::Success).await.unwrap();
                made += 1;
            }
            made
        })
    });
    let made: usize = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    let seconds = begun.elapsed().as_secs_f64();
    let cost = (processor() - before) * 1e6 / made as f64;
    println!(
        "{:.0} events a second for {seconds:.0} s, {cost:.1} µs of the processor each",
        made as f64 / seconds
    );
}
