use chrono::{DateTime, Days, NaiveDate};

use super::*;

const fn retention(evidence_days: u32) -> Retention {
    Retention {
        runs_days: 400,
        audit_days: 365,
        schema_audit_days: 1_096,
        evidence_days,
        changes_hours: 168,
    }
}

fn at(sequence: i64) -> Position {
    Position { transaction: 7, sequence }
}

/// One of the first month, which ends on 1970-02-01; so many days after that was its last event.
fn archive(class: Class, days: u64, events: i64, last_sequence: i64) -> Archive {
    let month = NaiveDate::default();
    let last_at = DateTime::UNIX_EPOCH + Days::new(31 + days);
    let object = format!("{last_sequence}");
    Archive::of_test((class, month), object, events, last_at, at(last_sequence))
}

#[test]
fn as_many_as_they_had_and_only_up_to_where_they_ended() {
    let archives = vec![archive(Class::Api, 0, 2, 9), archive(Class::Schema, 0, 1, 4)];
    let mut deleted = Deleted::new(archives).unwrap();
    assert_eq!(deleted.left, [(at(4), 1), (at(9), 2)]);
    deleted.pass(at(2));
    assert!(deleted.had_one_more(), "of the first to end");
    assert!(deleted.had_one_more());
    assert_eq!(deleted.left, [(at(4), 0), (at(9), 1)]);
    deleted.pass(at(9));
    assert!(deleted.had_one_more() && !deleted.had_one_more());
    let mut ended = Deleted::new(vec![archive(Class::Api, 0, 2, 9)]).unwrap();
    ended.pass(at(10));
    assert!(!ended.had_one_more());
    assert!(!Deleted::default().had_one_more());
}

#[test]
fn one_that_nothing_tells_of_is_named() {
    let archives = || vec![archive(Class::Api, 0, 1, 1), archive(Class::Schema, 0, 1, 2)];
    let resources = archives().iter().map(Archive::resource).collect::<Vec<_>>();
    let untold = |told: &[String]| {
        let mut deleted = Deleted::new(archives()).unwrap();
        told.iter().for_each(|resource| deleted.told(resource));
        deleted.untold(retention(2_557))
    };
    assert_eq!(untold(&resources), None);
    assert_eq!(untold(&resources[..1]).as_deref(), Some("2"));
    assert_eq!(untold(&resources[1..]).as_deref(), Some("1"));
    assert!(untold(&["1#sha256:00".to_owned()]).is_some(), "the hash is part of it");
}

#[test]
fn what_told_of_it_may_have_been_archived_and_deleted_in_its_turn() {
    let untold = |class: Class, days: u64, told: bool| {
        let later = archive(class, days, 1, 2);
        let resource = later.resource();
        let mut deleted = Deleted::new(vec![archive(Class::Api, 0, 1, 1), later]).unwrap();
        if told {
            deleted.told(&resource);
        }
        deleted.untold(retention(400))
    };
    assert_eq!(untold(Class::Api, 400, true), None);
    assert_eq!(untold(Class::Api, 399, true).as_deref(), Some("1"), "it was not old enough then");
    assert_eq!(untold(Class::Api, 400, false).as_deref(), Some("2"));
    assert_eq!(untold(Class::Schema, 400, true).as_deref(), Some("1"), "no such event is there");
}
