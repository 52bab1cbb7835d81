use serde_json::json;

use super::*;

fn file(results: &Value) -> Vec<u8> {
    let metadata = json!({
        "dbt_schema_version": "https://schemas.getdbt.com/dbt/sources/v3.json",
        "generated_at": "2026-01-31T12:00:00.5Z",
    });
    json!({ "metadata": metadata, "results": results }).to_string().into_bytes()
}

fn result(changes: &Value) -> Value {
    let mut result = json!({
        "unique_id": "source.shop.raw.orders",
        "max_loaded_at": "2026-01-31T10:00:00+00:00",
        "snapshotted_at": "2026-01-31T12:00:00.25Z",
        "max_loaded_at_time_ago_in_s": 7200.25,
        "status": "warn",
        "criteria": {
            "warn_after": { "count": 90, "period": "minute" },
            "error_after": { "count": 2, "period": "day" },
            "filter": null,
        },
    });
    for (name, value) in changes.as_object().unwrap() {
        result[name] = value.clone();
    }
    result
}

fn one(changes: &Value) -> Result<Item> {
    read(&file(&json!([result(changes)])), "ns").unwrap().remove(0)
}

fn refused(changes: &Value) -> String {
    match one(changes) {
        Err(Error::BadUserInput { field, .. }) => field.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_is_a_verdict_and_a_run() {
    let Item { verdict, run, job } = one(&json!({})).unwrap();
    assert_eq!((verdict.dataset.namespace(), verdict.dataset.name()), ("ns", "raw.orders"));
    assert_eq!(verdict.status, VerdictStatus::Warn);
    assert_eq!(
        (verdict.warn_after_seconds, verdict.error_after_seconds),
        (Some(5_400), Some(172_800))
    );
    assert_eq!(verdict.age_seconds(), Some(7_200));
    assert_eq!(run.map(|(_, at)| at), verdict.max_loaded_at);
    assert_eq!((job.namespace(), job.name()), ("ns", JOB));
}

#[test]
fn the_run_follows_from_what_was_loaded_where_and_when() {
    let run = |changes: &Value| one(changes).unwrap().run.unwrap().0;
    let first = run(&json!({}));
    let later = json!({ "snapshotted_at": "2026-01-31T13:00:00Z", "status": "error" });
    assert_eq!(first, run(&later));
    assert_ne!(first, run(&json!({ "max_loaded_at": "2026-01-31T10:00:01Z" })));
    assert_ne!(first, run(&json!({ "unique_id": "source.shop.raw.customers" })));
    let elsewhere = read(&file(&json!([result(&json!({}))])), "other").unwrap().remove(0).unwrap();
    assert_ne!(first, elsewhere.run.unwrap().0);
}

#[test]
fn without_a_load_there_is_no_run() {
    let failed = json!({
        "unique_id": "source.shop.raw.a.b", "status": "runtime error", "error": "no such table",
    });
    let items = read(&file(&json!([failed])), "ns").unwrap();
    let Item { verdict, run, .. } = items[0].as_ref().unwrap();
    assert_eq!(verdict.dataset.name(), "raw.a.b");
    assert_eq!((verdict.max_loaded_at, *run), (None, None));
    assert_eq!(verdict.snapshotted_at.to_rfc3339(), "2026-01-31T12:00:00.500+00:00");
    assert_eq!(verdict.message.as_deref(), Some("no such table"));

    let empty = one(&json!({ "max_loaded_at": "0001-01-01T00:00:00+00:00", "status": "error" }));
    let empty = empty.unwrap();
    assert_eq!((empty.run, empty.verdict.max_loaded_at), (None, None));
    assert_eq!(empty.verdict.status, VerdictStatus::Error);
}

#[test]
fn what_is_wrong_is_named() {
    for (changes, field) in [
        (json!({ "unique_id": null }), "unique_id"),
        (json!({ "unique_id": "model.shop.orders" }), "unique_id"),
        (json!({ "unique_id": "source.shop.orders" }), "unique_id"),
        (json!({ "status": "fine" }), "status"),
        (json!({ "max_loaded_at": "yesterday" }), "max_loaded_at"),
        (json!({ "max_loaded_at": null }), "max_loaded_at"),
        (
            json!({ "criteria": { "warn_after": { "count": 1, "period": "week" } } }),
            "criteria.warn_after",
        ),
    ] {
        assert_eq!(refused(&changes), format!("results.0.{field}"), "{changes}");
    }
    for body in
        ["", "[]", "{}", "{\"metadata\": {\"dbt_schema_version\": \"x/dbt/sources/v2.json\"}}"]
    {
        assert!(read(body.as_bytes(), "ns").is_err(), "{body}");
    }
}

#[test]
fn limits_may_be_absent() {
    let none = json!({ "criteria": { "warn_after": { "count": null, "period": null } } });
    let verdict = one(&none).unwrap().verdict;
    assert_eq!((verdict.warn_after_seconds, verdict.error_after_seconds), (None, None));
}
