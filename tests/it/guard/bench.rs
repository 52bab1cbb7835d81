//! What a flood of hostile documents on one connection costs a well-behaved dashboard.
//!
//! Run by `scripts/bench-guard`, which builds for release.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use drr::auth::policy::Role;
use reqwest::Client;
use serde_json::{Value, json};

use super::hostile::hostile;
use crate::{app::TestApp, cluster::run, smoke::run_event};

const DATASETS: usize = 200;
const ROUNDS: usize = 9;
const ASKED: usize = 600;
const BOARD: &str = "{ freshnessSummary { fresh warn stale unknown notApplicable }
  datasets(order: WORST_FIRST, first: 20) { nodes { name freshness { status ageSeconds staleAt }
    refreshState { status lastSuccessAt } runs(first: 3) { nodes { runId state endedAt } } }
    pageInfo { hasNextPage endCursor } } }";

fn at(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index].as_secs_f64() * 1_000.0
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

async fn timed(app: &TestApp, client: &Client, token: &str, body: &Value) -> Duration {
    let begun = Instant::now();
    let request = client.post(app.public("/graphql")).bearer_auth(token).json(body);
    request.send().await.unwrap().bytes().await.unwrap();
    begun.elapsed()
}

/// The dashboard's times in one round, sorted.
async fn dashboard(app: &TestApp, token: &str) -> Vec<Duration> {
    let (client, body) = (Client::new(), json!({ "query": BOARD }));
    let mut times = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        times.push(timed(app, &client, token, &body).await);
    }
    times.sort();
    times
}

/// Sends one hostile document after the other on one connection, until told to stop.
fn flood(app: &Arc<TestApp>, token: String) -> (Arc<AtomicBool>, Arc<AtomicU64>) {
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (app, stopped, count) = (app.clone(), stop.clone(), sent.clone());
    tokio::spawn(async move {
        let client = Client::new();
        let bodies: Vec<_> = hostile().into_iter().map(|(_, body, _)| body).collect();
        for body in bodies.iter().cycle() {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            timed(&app, &client, &token, body).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (stop, sent)
}

#[test]
#[ignore = "measures: run by scripts/bench-guard"]
fn a_flood_on_one_connection_at_most_doubles_the_p99_of_a_dashboard() {
    run(async {
        let app = Arc::new(TestApp::start().await);
        let writer = app.token("acme", Role::RuntimeWriter);
        for number in 0..DATASETS {
            let id = format!("0190b1d2-7d5a-7000-8000-{number:012}");
            let event = run_event("COMPLETE", "2026-01-31T12:00:00Z", &id, &format!("t{number}"));
            assert_eq!(app.lineage(&writer, &event).await.0, 201);
        }
        let token = app.token("acme", Role::Reader);
        refusals(&app, &token).await;
        dashboard(&app, &token).await;
        let (mut alone, mut flooded) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(dashboard(&app, &token).await);
            let (stop, sent) = flood(&app, app.token("globex", Role::Reader));
            let begun = Instant::now();
            flooded.push(dashboard(&app, &token).await);
            stop.store(true, Ordering::Relaxed);
            let rate = sent.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
            println!("  a round with {rate:.0} hostile documents per second");
        }
        let of = |rounds: &[Vec<Duration>], share: f64| {
            median(rounds.iter().map(|times| at(times, share)).collect())
        };
        let (before, after) = (of(&alone, 0.99), of(&flooded, 0.99));
        println!("dashboard alone:    p50 {:.2} ms, p99 {before:.2} ms", of(&alone, 0.5));
        println!("dashboard, flooded: p50 {:.2} ms, p99 {after:.2} ms", of(&flooded, 0.5));
        println!("p99 times {:.2}", after / before);
        assert!(after <= 2.0 * before, "{after:.2} ms after {before:.2} ms");
    });
}

/// How long each refusal takes, from the request's first byte to the answer's last.
async fn refusals(app: &TestApp, token: &str) {
    let client = Client::new();
    for (name, body, limit) in hostile() {
        let mut times = Vec::new();
        for _ in 0..51 {
            times.push(timed(app, &client, token, &body).await);
        }
        times.sort();
        println!(
            "{name:40} {limit:34} median {:.2} ms, p90 {:.2} ms",
            at(&times, 0.5),
            at(&times, 0.9)
        );
    }
}
