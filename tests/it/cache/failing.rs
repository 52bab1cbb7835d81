//! Redis that is killed, frozen, flushed or full, under load: answers are right, none fails, and none
//! waits for long.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use drr::{auth::policy::Role, config::Secret};
use futures::future::join_all;
use rustix::process::Signal;
use serde_json::json;

use super::redis::Redis;
use crate::{app::TestApp, cluster::run};

/// What callers wait for at most because of Redis, with what a busy machine adds: far below what would be
/// waited for a connection that hangs.
const LONGEST: Duration = Duration::from_secs(5);

/// Polls and writes until `done`; every answer is the last that was written. Answers how many there were,
/// and the longest that one of them took.
async fn use_it(app: &TestApp, name: &str, done: &AtomicBool) -> (usize, Duration) {
    let (admin, reader) = (app.token("acme", Role::TenantAdmin), app.token("acme", Role::Reader));
    let register = "mutation($n: String!) { registerDataset(input: { namespace: \"n\", name: $n }) { dataset { id } } }";
    let made = app.data(&admin, register, json!({ "n": name })).await;
    let id = made["registerDataset"]["dataset"]["id"].as_str().unwrap().to_owned();
    let update = "mutation($id: ID!, $t: String!) { updateDataset(input: { id: $id, description: $t }) { status } }";
    let query = "query($id: ID!) { dataset(id: $id) { description } }";
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !done.load(Ordering::Acquire) {
        let text = format!("{name} {count}");
        for step in 0..4 {
            let begun = Instant::now();
            if step == 0 {
                app.data(&admin, update, json!({ "id": id, "t": text })).await;
            } else {
                let found = app.data(&reader, query, json!({ "id": id })).await;
                assert_eq!(found["dataset"]["description"], text.as_str());
            }
            longest = longest.max(begun.elapsed());
        }
        count += 1;
    }
    (count, longest)
}

#[test]
fn redis_that_fails_makes_nothing_wrong_and_nobody_wait() {
    run(async {
        let Some(mut redis) = Redis::start().await else { return };
        let url = redis.url.clone();
        let app = TestApp::with(|plan| plan.cache.redis_url = Some(Secret::new(url))).await;
        let done = AtomicBool::new(false);
        let users = join_all(["a", "b", "c"].map(|name| use_it(&app, name, &done)));
        let trouble = async {
            let some = || tokio::time::sleep(Duration::from_millis(1_500));
            some().await;
            redis.tell(&["FLUSHALL"]).await;
            some().await;
            redis.tell(&["CONFIG", "SET", "maxmemory", "1"]).await;
            some().await;
            redis.tell(&["CONFIG", "SET", "maxmemory", "0"]).await;
            redis.signal(Signal::STOP);
            some().await;
            redis.signal(Signal::CONT);
            some().await;
            redis.signal(Signal::KILL);
            some().await;
            redis.restart().await;
            some().await;
            done.store(true, Ordering::Release);
        };
        let (used, ()) = tokio::join!(users, trouble);
        for (count, longest) in used {
            assert!(count > 3, "{count} rounds");
            assert!(longest < LONGEST, "{longest:?}");
        }
        // It is used again.
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("drr:{acme}:*")
            .query_async(&mut redis.connection().await)
            .await
            .unwrap();
        assert!(!keys.is_empty());
        app.stop().await;
    });
}
