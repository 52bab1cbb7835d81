//! Sequencers that are cut off anywhere, two at a time: no leaf twice, none missing, none out of order.

use std::sync::Arc;

use drr::{
    clock::{ManualClock, SharedClock},
    db::Db,
    evidence::sequencer::Sequencer,
};

use super::{assert_logs_are_of_the_trail, events, settle};
use crate::{
    app::SIGNATORY,
    cluster::{Cluster, run},
    door::{pool::cut, world::db_settings},
};

const ROUNDS: usize = 40;

#[test]
fn cut_off_anywhere_two_sequencers_lose_and_repeat_no_leaf() {
    run(async {
        let database = Cluster::shared().await.database().await;
        let mut admin = database.admin().await;
        let clock: SharedClock = Arc::new(ManualClock::default());
        let instances = [0, 1].map(|_| {
            let db = Db::new(db_settings(database.application(), 4));
            (db.clone(), Sequencer::new(db, clock.clone(), SIGNATORY.clone()))
        });
        let (mut cuts, mut through) = (0, 0);
        for round in 0..ROUNDS {
            for (tenant, count) in [("acme", 150 + round), ("globex", 1)] {
                events(&mut admin, tenant, u32::try_from(count).unwrap()).await;
            }
            // Different places of both.
            let (first, second) = (round % 16, (7 * round) % 16);
            let (one, other) =
                tokio::join!(cut(instances[0].1.pass(), first), cut(instances[1].1.pass(), second));
            for end in [one, other] {
                if end.is_some() { through += 1 } else { cuts += 1 }
            }
            // A third goes on, if only to have a connection: to make one takes longer than all the rest.
            let third = instances[round % 2].1.pass().await.unwrap();
            assert_eq!(third.failed_tenants, 0);
        }
        assert!(cuts > 10 && through > 0, "{cuts} cut off, {through} not");
        settle(&instances[0].1, &mut admin).await;
        let sizes = assert_logs_are_of_the_trail(&mut admin).await;
        assert_eq!((sizes["acme"], sizes["globex"]), (6_780, 40));
        for (db, _) in instances {
            db.close().await;
        }
    });
}
