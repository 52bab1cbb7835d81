//! Redis that is killed, frozen, flushed or full, under load: answers are right, none fails, and none
//! waits for long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use drr::{
    auth::{Principal, policy::Role},
    cache::{Answers, Remote},
    clock::{Clock, SystemClock},
    config::Secret,
};
use futures::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use super::redis::Redis;
use crate::{app::TestApp, cluster::run, door::world::principal};

/// How many rounds of each user a trouble lasts. Whoever waited for a Redis that is frozen, which it is
/// until they are done, would never come to their end.
const ROUNDS: usize = 4;
/// What a busy machine takes for them at most.
const PATIENCE: Duration = Duration::from_secs(300);
/// What callers wait for at most because of Redis, with what a busy machine adds: far below what would be
/// waited for a connection that hangs.
const LONGEST: Duration = Duration::from_secs(5);

/// Polls and writes until `done`; every answer is the last that was written. Counts its rounds.
async fn use_it(app: &TestApp, name: &str, rounds: watch::Sender<usize>, done: &AtomicBool) {
    let (admin, reader) = (app.token("acme", Role::TenantAdmin), app.token("acme", Role::Reader));
    let register = "mutation($n: String!) { registerDataset(input: { namespace: \"n\", name: $n }) { dataset { id } } }";
    let made = app.data(&admin, register, json!({ "n": name })).await;
    let id = made["registerDataset"]["dataset"]["id"].as_str().unwrap().to_owned();
    let update = "mutation($id: ID!, $t: String!) { updateDataset(input: { id: $id, description: $t }) { status } }";
    let query = "query($id: ID!) { dataset(id: $id) { description } }";
    while !done.load(Ordering::Acquire) {
        let text = format!("{name} {}", *rounds.borrow());
        app.data(&admin, update, json!({ "id": id, "t": text })).await;
        for _ in 0..3 {
            let found = app.data(&reader, query, json!({ "id": id })).await;
            assert_eq!(found["dataset"]["description"], text.as_str());
        }
        rounds.send_modify(|rounds| *rounds += 1);
    }
}

/// Waits until each has done some more rounds, and asks `answers` meanwhile, which wait for Redis only.
async fn some(users: &mut [watch::Receiver<usize>], answers: &Answers, reader: &Principal) {
    for rounds in users {
        let begun = *rounds.borrow();
        let more = rounds.wait_for(|now| *now >= begun + ROUNDS);
        timeout(PATIENCE, more).await.expect("they wait for Redis").unwrap();
        for number in 0..ROUNDS {
            let begun = Instant::now();
            let request: [&[u8]; 2] = [b"POST", &number.to_le_bytes()];
            let asked = answers.ask(reader, false, SystemClock.now(), &request).await;
            drop(asked.place().await);
            assert!(begun.elapsed() < LONGEST, "{:?}", begun.elapsed());
        }
    }
}

#[test]
fn redis_that_fails_makes_nothing_wrong_and_nobody_wait() {
    run(async {
        let Some(mut redis) = Redis::start().await else { return };
        let url = redis.url.clone();
        let remote = Remote::new(&url, Arc::new(SystemClock)).unwrap();
        remote.connect().await;
        let answers = Answers::new(Arc::default(), 1 << 20, Duration::from_secs(60)).shared(remote);
        let reader = principal("acme", Role::Reader).await;
        let app = TestApp::with(|plan| plan.cache.redis_url = Some(Secret::new(url))).await;
        let done = AtomicBool::new(false);
        let (counting, mut users): (Vec<_>, Vec<_>) = (0..3).map(|_| watch::channel(0)).unzip();
        let using = counting.into_iter().zip(["a", "b", "c"]);
        let using = join_all(using.map(|(rounds, name)| use_it(&app, name, rounds, &done)));
        let trouble = async {
            some(&mut users, &answers, &reader).await;
            redis.tell(&["FLUSHALL"]).await;
            some(&mut users, &answers, &reader).await;
            redis.tell(&["CONFIG", "SET", "maxmemory", "1"]).await;
            some(&mut users, &answers, &reader).await;
            redis.tell(&["CONFIG", "SET", "maxmemory", "0"]).await;
            redis.signal(Signal::STOP);
            some(&mut users, &answers, &reader).await;
            redis.signal(Signal::CONT);
            some(&mut users, &answers, &reader).await;
            redis.signal(Signal::KILL);
            some(&mut users, &answers, &reader).await;
            redis.restart().await;
            // It is used again, after a rest.
            let mut own = redis.connection().await;
            let used = async {
                loop {
                    some(&mut users, &answers, &reader).await;
                    let mut keys = redis::cmd("KEYS");
                    let keys: Vec<String> =
                        keys.arg("drr:{acme}:*").query_async(&mut own).await.unwrap();
                    if !keys.is_empty() {
                        break;
                    }
                }
            };
            timeout(PATIENCE, used).await.expect("Redis is not used again");
            done.store(true, Ordering::Release);
        };
        tokio::join!(using, trouble);
        app.stop().await;
    });
}
