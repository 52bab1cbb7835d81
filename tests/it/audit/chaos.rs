//! Sixteen callers of all kinds, and a program or a database that dies among them: of every call that
//! was answered there is one event, to one, and none of a call that was never made; and each is a leaf of
//! the evidence ledger, once.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use drr::auth::policy::Role;
use futures::future::join_all;
use reqwest::{Client, RequestBuilder};
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::json;
use tokio::{sync::Notify, time::timeout};

use super::{behind::Behind, name};
use crate::{
    app::{KEY, TestApp},
    cluster::run,
    program::{Serving, postgres, serve},
};

const CALLERS: usize = 16;
/// How many answers are waited for before the kill.
const ANSWERS: usize = 200;

fn token(role: Role) -> String {
    KEY.sign(&TestApp::request("acme", role), &drr::clock::SystemClock).unwrap()
}

/// A call of one of several kinds.
fn request(http: &Client, to: SocketAddr, kind: usize, number: usize) -> RequestBuilder {
    let graphql = |role, query: String| {
        let request = http.post(format!("http://{to}/graphql")).bearer_auth(token(role));
        request.json(&json!({ "query": query }))
    };
    match kind % 8 {
        0 => graphql(Role::Reader, "{ me { role } }".into()),
        1 => graphql(Role::Reader, "{ datasets { nodes { name freshness { status } } } }".into()),
        2 => graphql(
            Role::TenantAdmin,
            format!(
                "mutation {{ registerDataset(input: {{ namespace: \"n\", name: \"{number}\" }}) {{ status }} }}"
            ),
        ),
        3 => graphql(
            Role::Reader,
            "mutation { registerDataset(input: { namespace: \"n\", name: \"x\" }) { status } }"
                .into(),
        ),
        4 => graphql(Role::Reader, "{ me {".into()),
        5 => http.get(format!("http://{to}/storage/v1/datasets")).bearer_auth(token(Role::Reader)),
        6 => http.get(format!("http://{to}/nowhere")).bearer_auth(token(Role::Reader)),
        _ => graphql(Role::Reader, "{ datasets(first: 5000) { nodes { name } } }".into()),
    }
}

/// What one caller sent, and whether it was answered.
type Sent = HashMap<String, bool>;

/// How far a round is.
#[derive(Default)]
struct Round {
    answered: AtomicUsize,
    enough: Notify,
    killed: AtomicBool,
}

/// Calls until something dies; every fifth call is broken off after some time.
async fn calls(http: &Client, to: SocketAddr, caller: usize, round: &Round) -> Sent {
    let mut sent = Sent::new();
    for number in 0.. {
        if round.killed.load(Ordering::Acquire) {
            break;
        }
        let call = name();
        let request = request(http, to, number + caller, caller * 1_000_000 + number);
        let whole = async {
            let answer = request.header("x-correlation-id", &call).send().await?;
            answer.bytes().await
        };
        let patience =
            if number % 5 == 4 { Duration::from_millis(3) } else { Duration::from_secs(60) };
        let answer = timeout(patience, whole).await;
        sent.insert(call, matches!(answer, Ok(Ok(_))));
        if matches!(answer, Ok(Ok(_)))
            && round.answered.fetch_add(1, Ordering::AcqRel) + 1 == ANSWERS
        {
            round.enough.notify_one();
        }
    }
    sent
}

async fn round(folder: &Path, kill: impl FnOnce(&Serving)) -> Sent {
    let mut command = serve(folder);
    command.env("DRR_DATABASE__ACQUIRE_TIMEOUT_MS", "60000");
    let serving = Serving::start(command);
    let (to, http) = (serving.public, Client::new());
    let round = Round::default();
    let callers = (0..CALLERS).map(|caller| calls(&http, to, caller, &round));
    let killed = async {
        let enough = timeout(Duration::from_secs(120), round.enough.notified()).await;
        enough.expect("too few were answered");
        kill(&serving);
        round.killed.store(true, Ordering::Release);
    };
    let (sent, ()) = tokio::join!(join_all(callers), killed);
    serving.ended();
    sent.into_iter().flatten().collect()
}

/// The events of each correlation id, of which so many are those of the call.
async fn trail(behind: &mut Behind) -> HashMap<String, (i64, i64)> {
    let sql = "SELECT correlation_id, count(*), count(*) FILTER (WHERE event_id = call_id)
                 FROM audit_event WHERE call_id IS NOT NULL GROUP BY 1";
    let rows: Vec<(String, i64, i64)> =
        sqlx::query_as(sql).fetch_all(&mut behind.admin).await.unwrap();
    rows.into_iter().map(|(call, all, own)| (call, (all, own))).collect()
}

// D34, D35, D36
#[test]
fn every_answered_call_has_one_event_whatever_dies() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut sent = round(folder, |serving| serving.signal(Signal::KILL)).await;
        sent.extend(
            round(folder, |_| {
                pidfd_send_signal(postgres(&folder.join("data")), Signal::KILL).unwrap();
            })
            .await,
        );
        // Once in peace: what is on disk is delivered, and all end in order.
        sent.extend(round(folder, |serving| serving.signal(Signal::TERM)).await);
        let last = Serving::start(serve(folder));
        last.signal(Signal::TERM);
        assert_eq!(last.ended().0, Some(0));

        let mut behind = Behind::open(&folder.join("data")).await;
        let trail = trail(&mut behind).await;
        let answered = sent.values().filter(|answered| **answered).count();
        assert!(answered >= 3 * ANSWERS, "{answered}");
        for (call, answered) in &sent {
            let (all, own) = trail.get(call).copied().unwrap_or_default();
            // Of one that was not answered it is not known whether it was begun.
            assert!(own == 1 || (!answered && all == 0), "{call}: {own} of {all}, {answered}");
        }
        for call in trail.keys() {
            assert!(sent.contains_key(call), "{call} was never made");
        }
        // And every one is in the ledger, once.
        assert!(behind.assert_every_event_is_a_leaf().await >= answered as u64);
        behind.close().await;
    });
}
