//! Sixteen callers of all kinds, and a program or a database that dies among them: of every call that
//! was answered there is one event, to one, and none of a call that was never made; and each is a leaf of
//! the evidence ledger, once.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use drr::auth::policy::Role;
use futures::future::join_all;
use reqwest::{Client, RequestBuilder};
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::json;
use sqlx::PgConnection;
use tokio::{sync::watch, time::timeout};

use super::{behind::Behind, name};
use crate::{
    app::{KEY, TestApp},
    cluster::run,
    program::{Serving, postgres, serve},
};

const CALLERS: usize = 16;
/// A dataset that is not there.
const MISSING: &str = "0190a000-0000-7000-8000-0000000000ff";
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
        // By a caller who is known: strangers beyond some are counted, and have no event each.
        6 => http
            .get(format!("http://{to}/storage/v1/datasets/{MISSING}"))
            .bearer_auth(token(Role::Reader)),
        _ => graphql(Role::Reader, "{ datasets(first: 5000) { nodes { name } } }".into()),
    }
}

/// What one caller sent, and the status that it was answered with.
pub type Sent = HashMap<String, Option<u16>>;

/// How far a round is.
#[derive(Default)]
pub struct Round {
    /// Calls that were answered, and those of them that were answered with 503.
    answered: watch::Sender<(usize, usize)>,
    over: AtomicBool,
}

impl Round {
    /// Waits until so many more calls were answered, so many of them with 503.
    pub async fn more(&self, answered: usize, unavailable: usize) {
        let mut counts = self.answered.subscribe();
        let begun = *counts.borrow();
        let enough =
            counts.wait_for(|now| now.0 - begun.0 >= answered && now.1 - begun.1 >= unavailable);
        let enough = timeout(Duration::from_secs(120), enough).await;
        enough.expect("too few were answered").unwrap();
    }

    /// Has the callers end.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Sixteen callers of all kinds until the end.
    pub async fn calls(&self, to: SocketAddr) -> Sent {
        let http = Client::new();
        let callers = (0..CALLERS).map(|caller| calls(&http, to, caller, self));
        join_all(callers).await.into_iter().flatten().collect()
    }
}

/// Calls until the end; every fifth call is broken off after some time.
async fn calls(http: &Client, to: SocketAddr, caller: usize, round: &Round) -> Sent {
    let mut sent = Sent::new();
    for number in 0.. {
        if round.over.load(Ordering::Acquire) {
            break;
        }
        let call = name();
        let request = request(http, to, number + caller, caller * 1_000_000 + number);
        let whole = async {
            let answer = request.header("x-correlation-id", &call).send().await?;
            let status = answer.status().as_u16();
            answer.bytes().await.map(|_| status)
        };
        let patience =
            if number % 5 == 4 { Duration::from_millis(3) } else { Duration::from_secs(60) };
        let answer = timeout(patience, whole).await.ok().and_then(Result::ok);
        sent.insert(call, answer);
        if let Some(status) = answer {
            round.answered.send_modify(|counts| {
                counts.0 += 1;
                counts.1 += usize::from(status == 503);
            });
        }
    }
    sent
}

async fn round(folder: &Path, kill: impl FnOnce(&Serving)) -> Sent {
    let mut command = serve(folder);
    command.env("DRR_DATABASE__ACQUIRE_TIMEOUT_MS", "60000");
    let serving = Serving::start(command);
    let round = Round::default();
    let killed = async {
        round.more(ANSWERS, 0).await;
        kill(&serving);
        round.end();
    };
    let (sent, ()) = tokio::join!(round.calls(serving.public), killed);
    serving.ended();
    sent
}

/// The events of each correlation id, of which so many are those of the call.
pub async fn trail(admin: &mut PgConnection) -> HashMap<String, (i64, i64)> {
    let sql = "SELECT correlation_id, count(*), count(*) FILTER (WHERE event_id = call_id)
                 FROM audit_event WHERE call_id IS NOT NULL GROUP BY 1";
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(admin).await.unwrap();
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
        let spool = folder.join("data/spool/events");
        for attempt in 0.. {
            let last = Serving::start(serve(folder));
            last.signal(Signal::TERM);
            assert_eq!(last.ended().0, Some(0));
            if spool.metadata().unwrap().len() == 0 {
                break;
            }
            // A database that is too busy to take them in time leaves them to the next start.
            assert!(attempt < 20, "{spool:?} is not delivered");
        }

        let mut behind = Behind::open(&folder.join("data")).await;
        let trail = trail(&mut behind.admin).await;
        let answered = sent.values().flatten().count();
        assert!(answered >= 3 * ANSWERS, "{answered}");
        for (call, answered) in &sent {
            let (all, own) = trail.get(call).copied().unwrap_or_default();
            // Of one that was not answered it is not known whether it was begun.
            let good = own == 1 || (answered.is_none() && all == 0);
            assert!(good, "{call}: {own} of {all}, {answered:?}");
        }
        for call in trail.keys() {
            assert!(sent.contains_key(call), "{call} was never made");
        }
        // And every one is in the ledger, once.
        assert!(behind.assert_every_event_is_a_leaf().await >= answered as u64);
        behind.close().await;
    });
}
