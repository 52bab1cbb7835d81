//! Legal holds.

use chrono::{Months, TimeDelta};
use drr::{
    audit::hold::{self, Order},
    config::Retention,
    db::operator::DueTenant,
    error::ErrorCode,
};
use uuid::Uuid;

use super::{Story, instant};
use crate::{app::settings, cluster::run, door::world::strings};

// D37
#[test]
fn what_is_held_is_neither_dropped_nor_deleted_until_it_is_released() {
    run(async {
        let mut story = Story::begin(14).await;
        story.settled().await;
        let (db, clock) = (story.db(), story.clock.clone());
        let (retention, archivist) = (settings().retention, story.app.archivist().clone());
        let order = |why: &str| Order::new(why, "counsel-7").unwrap();
        let (partition, due) = (story.partition(), story.day(365));
        let all = (instant(story.month), instant(story.following()));
        let acme = story.tenant("acme").await;

        // What ends when the first event begins, and another tenant's time without events, hold nothing.
        let (first, past) =
            (instant(story.month) + TimeDelta::days(14), instant(story.month - Months::new(3)));
        for (tenant, times) in [(&acme, (past, first)), (&DueTenant::none(), (past, first))] {
            hold::place(&db, tenant, times, &order("too early"), clock.as_ref()).await.unwrap();
        }
        let said = archivist.retain(retention, due, true).await.unwrap();
        assert_eq!((said.dropped.len(), said.held.len()), (1, 0));

        // The first instant alone is enough; so is a hold of everybody's.
        let instant_held = (first, first + TimeDelta::microseconds(1));
        for (tenant, times) in [(&acme, instant_held), (&DueTenant::none(), all)] {
            let held =
                hold::place(&db, tenant, times, &order("a case"), clock.as_ref()).await.unwrap();
            let done = archivist.retain(retention, due, false).await.unwrap();
            assert_eq!((done.dropped.len(), done.held), (0, vec![partition.clone()]));
            assert!(story.is_there(&partition).await && story.archived().await.is_empty());
            hold::release(&db, tenant, held, &order("it is over"), clock.as_ref()).await.unwrap();
            let again = hold::release(&db, tenant, held, &order("again"), clock.as_ref()).await;
            assert_eq!(again.unwrap_err().code(), ErrorCode::Conflict);
        }
        let unknown = hold::release(&db, &acme, Uuid::nil(), &order("none"), clock.as_ref()).await;
        assert_eq!(unknown.unwrap_err().code(), ErrorCode::NotFound);
        let done = archivist.retain(retention, due, false).await.unwrap();
        assert_eq!((done.dropped.len(), done.held.len()), (1, 0));

        // Of its archives, a tenant's own stay.
        let held = hold::place(&db, &acme, all, &order("later"), clock.as_ref()).await.unwrap();
        let kept = Retention { audit_days: 36_500, schema_audit_days: 36_500, ..retention };
        let done = archivist.retain(kept, story.day(2_557), false).await.unwrap();
        assert!(done.deleted.len() == 2 && done.deleted.iter().all(|name| !name.contains("acme")));
        hold::release(&db, &acme, held, &order("over"), clock.as_ref()).await.unwrap();
        let done = archivist.retain(kept, story.day(2_557), false).await.unwrap();
        assert!(done.deleted.len() == 1 && done.deleted[0].contains("tenant-acme"));

        // Everything that was done is told, with the name of who did it.
        let told = "SELECT action || ' ' || count(*) || ' ' || bool_and(resource LIKE 'hold:% by:counsel-7')
            FROM audit_event WHERE action LIKE 'legal_hold.%' GROUP BY action ORDER BY 1";
        assert_eq!(
            strings(&mut story.admin, told).await,
            ["legal_hold.place 5 true", "legal_hold.release 3 true"]
        );
        assert_eq!(hold::of_tenant(&db, &acme).await.unwrap().len(), 3, "nothing of it is removed");
        db.close().await;
        story.app.stop().await;
    });
}

// D39
#[test]
fn a_hold_has_a_reason_and_somebody_who_is_no_address() {
    for (reason, by) in
        [("", "a"), (" ", "a"), ("why", ""), ("why", "a@b.c"), ("why", "a b"), ("\0", "a")]
    {
        assert_eq!(Order::new(reason, by).unwrap_err().code(), ErrorCode::BadUserInput);
    }
    assert!(
        Order::new(&"x".repeat(1_001), "a").is_err() && Order::new("x", &"a".repeat(129)).is_err()
    );
}
