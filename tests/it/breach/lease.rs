//! Who leads.

use std::{sync::Arc, time::Duration};

use drr::{
    clock::{ManualClock, SharedClock},
    db::Db,
    lease::{Lease, lead},
};
use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{fill, number, script};
use crate::{
    app::TestApp,
    cluster::{Cluster, run},
    door::world::db_settings,
};

const EXPIRE: &str = "UPDATE lease SET expires_at = clock_timestamp() - interval '1 microsecond'";

#[test]
fn one_holds_it_until_it_gives_it_up_or_its_time_is_over() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let clock: SharedClock = Arc::new(ManualClock::default());
        let db = Db::new(db_settings(database.application(), 4));
        let claims = [0, 1, 2].map(|_| Lease::new(db.clone(), "test", &clock));
        let other = Lease::new(db.clone(), "another", &clock);
        let all = futures::future::join_all(claims.iter().map(Lease::take)).await;
        let held: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(held.iter().filter(|held| **held).count(), 1, "{held:?}");
        let leader = held.iter().position(|held| *held).unwrap();
        let next = (leader + 1) % 3;
        assert!(claims[leader].take().await.unwrap() && other.take().await.unwrap());
        // Another's lease cannot be given up.
        claims[next].give_up().await.unwrap();
        assert!(!claims[next].take().await.unwrap());
        claims[leader].give_up().await.unwrap();
        assert!(claims[next].take().await.unwrap() && !claims[leader].take().await.unwrap());
        script(&mut database.admin().await, EXPIRE).await;
        assert!(claims[leader].take().await.unwrap() && !claims[next].take().await.unwrap());
        let left = "SELECT count(*) FROM lease
            WHERE expires_at BETWEEN clock_timestamp() + interval '1 s' AND clock_timestamp() + interval '3 s'";
        assert_eq!(number(&mut database.admin().await, left).await, 1, "the other one is over");
        db.close().await;
    });
}

#[test]
fn the_work_follows_the_lease() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let clock: SharedClock = Arc::new(ManualClock::default());
        let db = Db::new(db_settings(database.application(), 4));
        let (said, mut heard) = mpsc::unbounded_channel();
        let start = |name: &'static str| {
            let (said, stop) = (said.clone(), CancellationToken::new());
            let lease = Lease::new(db.clone(), "test", &clock);
            let work = move |stop: CancellationToken| {
                let said = said.clone();
                async move {
                    said.send((name, "began")).unwrap();
                    stop.cancelled().await;
                    said.send((name, "ended")).unwrap();
                }
                .boxed()
            };
            (tokio::spawn(lead(lease, stop.clone(), work)), stop)
        };
        let (_one, stop_one) = start("one");
        assert_eq!(heard.recv().await.unwrap(), ("one", "began"));
        let (two, stop_two) = start("two");
        // Given up: the next one has it as soon as it looks, and not before the work has ended.
        stop_one.cancel();
        assert_eq!(heard.recv().await.unwrap(), ("one", "ended"));
        assert_eq!(heard.recv().await.unwrap(), ("two", "began"));
        // Killed: it is over when its time is over.
        two.abort();
        drop(stop_two);
        let (three, stop_three) = start("three");
        let took = tokio::time::timeout(Duration::from_secs(5), heard.recv()).await;
        assert_eq!(took.unwrap().unwrap(), ("three", "began"), "within 5 s of the leader's death");
        // Taken away: the work ends.
        script(&mut database.admin().await, "UPDATE lease SET holder = 'somebody', expires_at = clock_timestamp() + interval '1 hour'").await;
        assert_eq!(heard.recv().await.unwrap(), ("three", "ended"));
        stop_three.cancel();
        three.await.unwrap();
        db.close().await;
    });
}

#[test]
fn a_running_service_looks_by_itself_and_gives_the_lease_up_when_it_ends() {
    run(async {
        let app =
            TestApp::with(|assembly| assembly.breaches.sweep_every = Some(drr::app::SWEEP_EVERY))
                .await;
        let mut admin = app.admin().await;
        fill(&mut admin, "acme", 3, "now() - interval '1 s'", "'9999-12-31'").await;
        let found = async {
            while number(&mut admin, "SELECT count(*) FROM freshness_breach").await < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), found).await.expect("found within 5 s");
        assert_eq!(number(&mut admin, "SELECT count(*) FROM lease").await, 1);
        app.stop().await;
        assert_eq!(number(&mut admin, "SELECT count(*) FROM lease").await, 0);
    });
}
