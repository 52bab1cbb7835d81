//! A program that is killed again and again while it puts a large backlog into the evidence ledger.

use std::time::{Duration, Instant};

use drr::clock::{Clock, SystemClock};
use reqwest::Client;
use rustix::process::Signal;

use super::behind::Behind;
use crate::{
    breach::{number, script},
    cluster::run,
    program::{Serving, serve},
};

/// How often it is killed.
const KILLS: usize = 6;
/// Events that wait when it starts: half of them of one tenant, which is more than one transaction takes.
const BACKLOG: i64 = 40_000;
const OTHERS: i64 = 10;

/// Events until there are so many that are in no log; answers how many there were already.
async fn fill_up(behind: &mut Behind) -> i64 {
    let left = behind.left().await;
    let half = (BACKLOG - left).max(0) / 2;
    let others = (1..=OTHERS).map(|n| (format!("other-{n}"), half / OTHERS));
    for (tenant, count) in others.chain([("acme".to_owned(), half)]) {
        let sql = format!(
            "INSERT INTO tenant_directory VALUES ('{tenant}') ON CONFLICT DO NOTHING;
             INSERT INTO audit_event (tenant_id, occurred_at, event_id, actor_id, action, result, correlation_id)
             SELECT '{tenant}', now(), gen_random_uuid(), 'somebody', 'dataset.read', 'SUCCESS', 'c' || n
               FROM generate_series(1, {count}) AS n"
        );
        script(&mut behind.admin, &sql).await;
    }
    left
}

/// Waits until the program has put more than so many events into logs since it began.
async fn sequenced(serving: &Serving, more_than: u64) {
    let (http, begun) = (Client::new(), Instant::now());
    let address = format!("http://{}/metrics", serving.operations);
    loop {
        let metrics = http.get(&address).send().await.unwrap().text().await.unwrap();
        let count = |line: &str| line.strip_prefix("drr_evidence_leaves_total ")?.parse().ok();
        if metrics.lines().find_map(count).unwrap_or(0_u64) > more_than {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not get on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// D36
#[test]
fn killed_again_and_again_over_a_large_backlog_it_loses_and_repeats_no_leaf() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = Serving::start(serve(folder.path()));
        first.signal(Signal::TERM);
        assert_eq!(first.ended().0, Some(0));
        let mut in_the_middle = 0;
        for kill in 0..=KILLS {
            let mut behind = Behind::open(&data).await;
            let left = fill_up(&mut behind).await;
            in_the_middle += usize::from(0 < left && left < BACKLOG);
            if kill == KILLS {
                let events = number(&mut behind.admin, "SELECT count(*) FROM audit_event").await;
                assert_eq!(behind.assert_every_event_is_a_leaf().await, events as u64);
                behind.close().await;
                break;
            }
            behind.close().await;
            let serving = Serving::start(serve(folder.path()));
            // After the first transactions or some more, and at any moment of the next ones.
            sequenced(&serving, 3_000 * (kill as u64 % 3)).await;
            let moment = SystemClock.chance() % 300;
            tokio::time::sleep(Duration::from_millis(moment.into())).await;
            serving.signal(Signal::KILL);
            assert_eq!(serving.ended().0, None, "it was killed");
        }
        assert!(
            in_the_middle >= KILLS / 2,
            "{in_the_middle} kills came neither too early nor too late"
        );
    });
}
