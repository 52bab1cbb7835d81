use uuid::Uuid;

use super::{lines::Placed, *};
use crate::audit::model::Event;

fn events(count: i64) -> Vec<Placed> {
    let placed = (1..=count).map(|sequence| {
        let event = Event {
            action: "dataset.read".into(),
            actor_id: "somebody".into(),
            also: Vec::new(),
            call_id: None,
            calls: 1,
            class: Class::Api,
            correlation_id: format!("line\n{sequence}"),
            dataset_id: None,
            document_hash: None,
            duration_us: None,
            error_code: None,
            event_id: Uuid::from_u128(sequence.unsigned_abs().into()),
            interface: None,
            // Not in the order of their places.
            occurred_at: instant(NaiveDate::default()) + chrono::TimeDelta::seconds(10 - sequence),
            operation_name: None,
            resource: None,
            result: "SUCCESS".into(),
            row_count: None,
            tenant_id: TenantId::none(),
            token_hash: None,
        };
        let leaf_hash = Some(event.leaf_hash().to_vec());
        Placed { event, transaction: 7, sequence, leaf_hash }
    });
    placed.collect()
}

fn archive(lines: &Lines) -> Archive {
    Archive::new((Class::Api, NaiveDate::default(), 1), "x".into(), lines, b"stored")
}

#[tokio::test]
async fn lines_are_found_whole_only_as_they_were() {
    let lines = Lines::write(events(3)).await.unwrap().unwrap();
    let recorded = archive(&lines);
    assert_eq!(recorded.events, 3);
    assert_eq!(recorded.first_at, recorded.last_at - chrono::TimeDelta::seconds(2));
    assert_eq!((recorded.last_transaction.as_str(), recorded.last_sequence), ("7", 3));
    let compressed = lines.compressed().await.unwrap();
    assert_eq!(lines::expanded(compressed).await.unwrap(), lines.text);
    assert!(lines::are_whole(&lines.text, &recorded).await.unwrap());
    assert!(recorded.is_of(b"stored") && !recorded.is_of(b"stores"));

    let text = String::from_utf8(lines.text.clone()).unwrap();
    assert_eq!(text.lines().count(), 3, "a line is a line");
    let fewer: Vec<_> = text.split_inclusive('\n').take(2).collect();
    let mut swapped: Vec<_> = text.split_inclusive('\n').collect();
    swapped.swap(0, 1);
    for altered in
        [text.replace("somebody", "somebodi"), fewer.concat(), swapped.concat(), String::new()]
    {
        assert!(!lines::are_whole(altered.as_bytes(), &recorded).await.unwrap(), "{altered}");
    }
    // A line whose event does not hash to what it says is found whatever the record says.
    let mut forged = lines.clone();
    forged.text = text.replace("somebody", "somebodi").into_bytes();
    assert!(!lines::are_whole(&forged.text, &archive(&forged)).await.unwrap());
}

#[tokio::test]
async fn what_is_there_is_kept_if_it_is_the_beginning() {
    let (few, more) = (events(2), events(5));
    let few = Lines::write(few).await.unwrap().unwrap();
    let more = Lines::write(more).await.unwrap().unwrap();
    let kept = more.clone().kept(&few.text).unwrap();
    assert_eq!((archive(&kept), kept.events()), (archive(&few), 2));
    assert!(few.clone().kept(&more.text).is_none(), "more than is in the trail");
    assert!(more.clone().kept(b"").is_none());
    assert!(more.clone().kept(&more.text[1..]).is_none());
    let mut other = few.text.clone();
    other[20] ^= 1;
    assert!(more.kept(&other).is_none(), "of the same length");
    assert!(Lines::write(Vec::new()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_event_with_another_hash_is_not_archived() {
    let mut events = events(2);
    events[1].event.actor_id = "somebody else".into();
    let error = Lines::write(events).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with(&format!("the event {}", Uuid::from_u128(2))), "{cause}");
}
