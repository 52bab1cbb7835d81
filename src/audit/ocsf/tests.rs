use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::{
    audit::Class,
    auth::{TenantId, policy::Operation},
};

fn event(action: &'static str, result: &'static str) -> Event {
    Event {
        action: action.into(),
        actor_id: "somebody".into(),
        also: vec!["run.read".into()],
        call_id: Some(Uuid::from_u128(7)),
        calls: 1,
        class: Class::Api,
        correlation_id: "nightly-7".into(),
        dataset_id: Some(Uuid::from_u128(9)),
        document_hash: Some(vec![0xab; 32]),
        duration_us: Some(1_500),
        error_code: (result == "DENIED").then(|| "FORBIDDEN".into()),
        event_id: Uuid::from_u128(8),
        interface: Some("public".into()),
        occurred_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
        operation_name: Some("Board".into()),
        resource: Some("run:x".into()),
        result: result.into(),
        row_count: Some(3),
        tenant_id: TenantId::parse("acme").unwrap(),
        token_hash: None,
    }
}

/// What a member must be.
#[derive(Clone, Copy)]
enum Is {
    Integer,
    Text,
    Object,
    Array,
}

/// The attributes that the schema's server requires of the class, in 1.3.0, and of the objects in it.
const REQUIRED: &[(&str, Is)] = &[
    ("/activity_id", Is::Integer),
    ("/actor", Is::Object),
    ("/api", Is::Object),
    ("/api/operation", Is::Text),
    ("/api/request/uid", Is::Text),
    ("/api/service", Is::Object),
    ("/category_uid", Is::Integer),
    ("/class_uid", Is::Integer),
    ("/metadata", Is::Object),
    ("/metadata/product", Is::Object),
    ("/metadata/product/vendor_name", Is::Text),
    ("/metadata/version", Is::Text),
    ("/severity_id", Is::Integer),
    ("/src_endpoint", Is::Object),
    ("/time", Is::Integer),
    ("/type_uid", Is::Integer),
];
/// Others that the class or its base knows and this mapping uses.
const KNOWN: &[(&str, Is)] = &[
    ("/activity_name", Is::Text),
    ("/category_name", Is::Text),
    ("/class_name", Is::Text),
    ("/count", Is::Integer),
    ("/duration", Is::Integer),
    ("/message", Is::Text),
    ("/resources", Is::Array),
    ("/severity", Is::Text),
    ("/status", Is::Text),
    ("/status_code", Is::Text),
    ("/status_detail", Is::Text),
    ("/status_id", Is::Integer),
    ("/type_name", Is::Text),
    ("/unmapped", Is::Object),
];

fn check(said: &Value) {
    let fits = |value: &Value, is: Is| match is {
        Is::Integer => value.is_i64(),
        Is::Text => value.as_str().is_some_and(|text| !text.is_empty()),
        Is::Object => value.is_object(),
        Is::Array => value.is_array(),
    };
    for (place, is) in REQUIRED {
        let value = said.pointer(place).unwrap_or_else(|| panic!("{place} is missing: {said:#}"));
        assert!(fits(value, *is), "{place}: {value}");
    }
    for (name, value) in said.as_object().unwrap() {
        let place = format!("/{name}");
        let known = REQUIRED.iter().chain(KNOWN).find(|(known, _)| *known == place);
        let (_, is) = known.unwrap_or_else(|| panic!("{place} is none of the class's"));
        assert!(fits(value, *is), "{place}: {value}");
    }
    // The constraints of the objects: at least one of these.
    assert!(said.pointer("/actor/user/uid").is_some_and(Value::is_string));
    assert!(said.pointer("/src_endpoint/svc_name").is_some_and(Value::is_string));
    let number = |place: &str| said.pointer(place).and_then(Value::as_u64).unwrap();
    assert_eq!(number("/class_uid"), 6003);
    assert_eq!(number("/category_uid"), 6003 / 1_000);
    assert_eq!(number("/type_uid"), 6003 * 100 + number("/activity_id"));
    assert!([0, 1, 2, 3, 4, 99].contains(&number("/activity_id")));
    assert!([0, 1, 2, 99].contains(&number("/status_id")));
    assert!([0, 1, 2, 3, 4, 5, 6, 99].contains(&number("/severity_id")));
    assert_eq!(said["metadata"]["version"], "1.3.0");
}

// D46
#[test]
fn every_action_and_every_result_is_an_api_activity() {
    let own = ["breach.open", "breach.escalate", "breach.resolve", "freshness_event.deliver"];
    for action in Operation::ALL.map(Operation::as_str).into_iter().chain(own) {
        for result in Ended::ALL {
            check(&api_activity(&event(action, result.as_str())));
        }
    }
    let bare = Event {
        actor_id: NOBODY.into(),
        also: Vec::new(),
        calls: 40,
        dataset_id: None,
        document_hash: None,
        duration_us: None,
        interface: None,
        operation_name: None,
        resource: None,
        row_count: None,
        tenant_id: TenantId::none(),
        ..event("request", "DENIED")
    };
    let said = api_activity(&bare);
    check(&said);
    assert_eq!(said["count"], 40);
    assert_eq!(said["activity_id"], 99);
    assert_eq!(said["resources"], json!([]));
}

#[test]
fn nothing_of_an_event_is_lost() {
    let said = api_activity(&event("dataset.retire", "DENIED"));
    let at = |place: &str| said.pointer(place).cloned().unwrap_or_else(|| panic!("{place}"));
    let call = Uuid::from_u128(7).to_string();
    for (place, expected) in [
        ("/activity_name", json!("Delete")),
        ("/actor/user/uid", json!("somebody")),
        ("/api/operation", json!("dataset.retire")),
        ("/api/request/uid", json!(call)),
        ("/metadata/correlation_uid", json!("nightly-7")),
        ("/metadata/tenant_uid", json!("acme")),
        ("/metadata/uid", json!(Uuid::from_u128(8).to_string())),
        ("/metadata/original_time", json!("2023-11-14T22:13:20.123456+00:00")),
        ("/resources/0/uid", json!(Uuid::from_u128(9).to_string())),
        ("/resources/1", json!({ "type": "run", "name": "run:x" })),
        ("/severity", json!("Medium")),
        ("/src_endpoint/svc_name", json!("public")),
        ("/status", json!("Failure")),
        ("/status_code", json!("FORBIDDEN")),
        ("/time", json!(1_700_000_000_123_i64)),
        ("/unmapped/also", json!(["run.read"])),
        ("/unmapped/class", json!("API")),
        ("/unmapped/document_hash", json!("ab".repeat(32))),
        ("/unmapped/duration_us", json!(1_500)),
        ("/unmapped/operation_name", json!("Board")),
        ("/unmapped/result", json!("DENIED")),
        ("/unmapped/row_count", json!(3)),
    ] {
        assert_eq!(at(place), expected, "{place}");
    }
}
