use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::refresh::model::{ContentHash, EventType, OutputStatistics, RunEvent};

mod real;

const RUN_ID: &str = "4d3b8069-69b6-4708-ade0-3275112c9f04";

fn now() -> DateTime<Utc> {
    "2026-12-31T00:00:00Z".parse().unwrap()
}

fn limits() -> ParseLimits {
    ParseLimits {
        max_events: 1_000,
        max_datasets_per_event: 4,
        now: now(),
        max_future_skew: TimeDelta::seconds(300),
    }
}

fn valid() -> Value {
    json!({
        "eventType": "FAIL",
        "eventTime": "2026-01-31T12:00:00.123456Z",
        "producer": "https://example.com/producer",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": RUN_ID, "facets": {
            "errorMessage": {"message": "boom", "programmingLanguage": "SQL"},
            "nominalTime": {"nominalStartTime": "2026-01-31T00:00:00Z"},
            "parent": {"run": {"runId": RUN_ID}, "job": {"namespace": "n", "name": "p"}},
            "unknown_facet": {"deep": [1, {"x": null}]}
        }},
        "job": {"namespace": "scheduler", "name": "job"},
        "inputs": [{"namespace": "ns", "name": "b"}, {"namespace": "ns", "name": "a"}],
        "outputs": [{
            "namespace": "ns", "name": "t",
            "facets": {
                "schema": {"fields": [{"name": "id", "type": "INTEGER"}]},
                "documentation": {"description": "A table."},
                "ownership": {"owners": [{"name": "team:a", "type": "MAINTAINER"}]}
            },
            "outputFacets": {
                "outputStatistics": {"rowCount": 3, "size": 4.0, "fileCount": 5},
                "drr_sourceWatermark": {"at": "2026-01-31T11:00:00Z"}
            }
        }]
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut event = valid();
    *event.pointer_mut(pointer).unwrap() = value;
    event
}

fn without(parent: &str, name: &str) -> Value {
    let mut event = valid();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    event
}

fn parse_all(body: &Value) -> ParsedBatch {
    parse(body.to_string().as_bytes(), &limits()).unwrap()
}

/// The event, and the codes of its warnings with their fields.
fn run(event: &Value) -> (RunEvent, Vec<(WarningCode, String)>) {
    let mut batch = parse_all(event);
    let warnings = batch.warnings.into_iter().map(|warning| (warning.code, warning.field));
    match batch.events.remove(0).unwrap() {
        Event::Run(run) => (*run, warnings.collect()),
        other => panic!("{other:?}"),
    }
}

fn refused(event: &Value) -> (EventErrorCode, String) {
    let mut batch = parse_all(event);
    assert_eq!(batch.warnings, []);
    let error = batch.events.remove(0).unwrap_err();
    (error.code, error.field)
}

#[test]
fn a_run_event_is_read_whole() {
    let event = valid();
    let (run, warnings) = run(&event);
    assert_eq!(warnings, []);
    assert_eq!(run.run_id, Uuid::parse_str(RUN_ID).unwrap());
    assert_eq!((run.job.namespace(), run.job.name()), ("scheduler", "job"));
    assert_eq!(run.event_type, EventType::Fail);
    assert_eq!(run.event_time.timestamp_subsec_micros(), 123_456);
    assert_eq!(run.producer.as_deref(), Some("https://example.com/producer"));
    assert_eq!(run.inputs.iter().map(|input| input.dataset.name()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(run.error_message.as_deref(), Some("boom"));
    assert_eq!(run.nominal_time.unwrap().end_at, None);
    assert_eq!(run.parent_run_id, Some(run.run_id));
    assert_eq!(run.content_hash, ContentHash::of(&event));
    assert_eq!(run.payload, event);

    let output = &run.outputs[0];
    let statistics =
        OutputStatistics { row_count: Some(3), byte_count: Some(4), file_count: Some(5) };
    assert_eq!(output.statistics, statistics);
    assert_eq!(output.source_watermark, "2026-01-31T11:00:00Z".parse().ok());
    assert_eq!(output.facets.schema_fields, Some(json!([{"name": "id", "type": "INTEGER"}])));
    assert_eq!(output.facets.description.as_deref(), Some("A table."));
    assert_eq!(output.facets.owners, ["team:a"]);
}

#[test]
fn job_and_dataset_events_are_told_apart_by_their_shape() {
    let mut job = without("", "run");
    job.as_object_mut().unwrap().remove("eventType");
    let dataset = json!({
        "eventTime": "2026-01-31T12:00:00Z", "producer": "p", "schemaURL": "s",
        "dataset": {"namespace": "ns", "name": "t", "facets": {
            "schema": {"fields": []},
            "documentation": {"description": " "},
            "ownership": {"_deleted": true, "owners": [{"name": "x"}]}
        }}
    });
    let batch = parse_all(&json!([job, dataset]));
    assert_eq!(batch.warnings, []);
    let Ok(Event::Job(job)) = &batch.events[0] else { panic!("{:?}", batch.events[0]) };
    assert_eq!((job.job.name(), job.inputs.len(), job.outputs.len()), ("job", 2, 1));
    let Ok(Event::Dataset(event)) = &batch.events[1] else { panic!("{:?}", batch.events[1]) };
    assert_eq!(event.facets.schema_fields, Some(json!([])));
    assert_eq!((&event.facets.description, event.facets.owners.len()), (&None, 0));
}

#[test]
fn what_the_core_lacks_is_named_by_its_path() {
    use EventErrorCode::{Invalid, Missing};
    for (parent, name, field) in [
        ("", "eventTime", "eventTime"),
        ("", "run", "run"),
        ("", "job", "job"),
        ("/run", "runId", "run.runId"),
        ("/job", "namespace", "job.namespace"),
        ("/job", "name", "job.name"),
        ("/inputs/1", "name", "inputs.1.name"),
        ("/outputs/0", "namespace", "outputs.0.namespace"),
    ] {
        assert_eq!(refused(&without(parent, name)), (Missing, field.to_owned()));
        let pointer = format!("{parent}/{name}");
        assert_eq!(refused(&with(&pointer, Value::Null)), (Missing, field.to_owned()));
        assert_eq!(refused(&with(&pointer, json!([1]))), (Invalid, field.to_owned()));
    }
    for (pointer, value, field) in [
        ("/run/runId", json!("manual__2026"), "run.runId"),
        ("/eventTime", json!("yesterday"), "eventTime"),
        ("/eventTime", json!(1_700_000_000), "eventTime"),
        ("/eventType", json!("DONE"), "eventType"),
        ("/eventType", json!(""), "eventType"),
        ("/producer", json!(1), "producer"),
        ("/schemaURL", json!({}), "schemaURL"),
        ("/inputs", json!({}), "inputs"),
        ("/outputs", json!("x"), "outputs"),
        ("/outputs/0", json!(["ns", "t"]), "outputs.0"),
        ("/outputs/0/name", json!(" "), "outputs.0.name"),
        ("/inputs/0/namespace", json!("a\nb"), "inputs.0.namespace"),
        ("/job/name", json!("x".repeat(1_025)), "job.name"),
        ("/run/facets", json!([]), "run.facets"),
        ("/outputs/0/facets", json!(7), "outputs.0.facets"),
        ("/outputs/0/outputFacets", json!(true), "outputs.0.outputFacets"),
    ] {
        assert_eq!(refused(&with(pointer, value)), (Invalid, field.to_owned()), "{pointer}");
    }
    assert_eq!(refused(&json!({"eventTime": "2026-01-31T12:00:00Z"})), (Missing, String::new()));
    assert_eq!(refused(&json!([[]])), (Invalid, String::new()));
    assert_eq!(refused(&json!(["START", 7])), (Invalid, String::new()));
}

#[test]
fn times_in_the_future_and_before_1970_are_refused() {
    let at = |text: &str| with("/eventTime", json!(text));
    assert_eq!(run(&at("2026-12-31T00:05:00Z")).0.event_time, now() + TimeDelta::seconds(300));
    let expected = (EventErrorCode::TimeInFuture, "eventTime".to_owned());
    assert_eq!(refused(&at("2026-12-31T00:05:00.000001Z")), expected);
    assert_eq!(run(&at("1970-01-01T00:00:00Z")).0.event_time, DateTime::UNIX_EPOCH);
    let expected = (EventErrorCode::TimeTooEarly, "eventTime".to_owned());
    assert_eq!(refused(&at("1969-12-31T23:59:59.999999Z")), expected);
}

#[test]
fn the_character_nul_is_refused_anywhere() {
    for (pointer, value, field) in [
        ("/job/name", json!("a\0"), "job.name"),
        ("/run/facets/unknown_facet/deep/1/x", json!("\0"), "run.facets.unknown_facet.deep.1.x"),
        ("/run/facets/unknown_facet", json!({"a\0": 1}), "run.facets.unknown_facet"),
    ] {
        let expected = (EventErrorCode::NulCharacter, field.to_owned());
        assert_eq!(refused(&with(pointer, value)), expected);
    }
}

#[test]
fn old_producers_are_accepted_with_a_warning() {
    use WarningCode::{EventTypeCase, MissingProducer, MissingSchemaUrl, TimeWithoutZone};
    for (event, code, field) in [
        (without("", "schemaURL"), MissingSchemaUrl, "schemaURL"),
        (without("", "producer"), MissingProducer, "producer"),
        (with("/eventTime", json!("2026-01-31T12:00:00.123456")), TimeWithoutZone, "eventTime"),
        (with("/eventType", json!("fail")), EventTypeCase, "eventType"),
    ] {
        let (read, warnings) = run(&event);
        assert_eq!(warnings, [(code, field.to_owned())]);
        let (expected, _) = run(&valid());
        assert_eq!((read.event_time, read.event_type), (expected.event_time, expected.event_type));
    }
    let (read, warnings) = run(&without("", "eventType"));
    assert_eq!((read.event_type, warnings), (EventType::Other, vec![]));
    let mut early = without("/run/facets", "parent");
    early["run"]["facets"]["parentRun"] = json!({"run": {"runId": RUN_ID}});
    early["outputs"][0]["outputFacets"] = Value::Null;
    early["outputs"][0]["facets"]["stats"] = json!({"rowCount": 9, "size": 8});
    let (read, warnings) = run(&early);
    assert_eq!((read.parent_run_id.is_some(), warnings), (true, vec![]));
    assert_eq!(read.outputs[0].statistics.row_count, Some(9));
}

#[test]
fn a_facet_of_another_form_is_ignored_and_kept() {
    use WarningCode::{FacetIgnored, ValueIgnored};
    let statistics = "/outputs/0/outputFacets/outputStatistics";
    for (pointer, value, code, field) in [
        ("/run/facets/errorMessage", json!("boom"), FacetIgnored, "run.facets.errorMessage"),
        (
            "/run/facets/errorMessage/message",
            json!(5),
            FacetIgnored,
            "run.facets.errorMessage.message",
        ),
        ("/run/facets/parent/run/runId", json!("x"), FacetIgnored, "run.facets.parent.run.runId"),
        (
            "/run/facets/nominalTime/nominalStartTime",
            json!("x"),
            FacetIgnored,
            "run.facets.nominalTime.nominalStartTime",
        ),
        (
            "/outputs/0/facets/schema/fields",
            json!(1),
            FacetIgnored,
            "outputs.0.facets.schema.fields",
        ),
        (
            "/outputs/0/facets/ownership/owners/0/name",
            json!(" "),
            FacetIgnored,
            "outputs.0.facets.ownership",
        ),
        (statistics, json!([]), FacetIgnored, "outputs.0.outputFacets.outputStatistics"),
    ] {
        let event = with(pointer, value);
        let (read, warnings) = run(&event);
        assert_eq!(warnings, [(code, field.to_owned())]);
        assert_eq!(read.payload, event);
    }
    for bad in [json!(-1), json!(1.5), json!(u64::MAX), json!(1e300), json!("3")] {
        let (read, warnings) = run(&with(&format!("{statistics}/rowCount"), bad));
        let field = "outputs.0.outputFacets.outputStatistics.rowCount".to_owned();
        assert_eq!(warnings, [(ValueIgnored, field)]);
        assert_eq!(read.outputs[0].statistics.row_count, None);
        assert_eq!(read.outputs[0].statistics.byte_count, Some(4));
    }
    let (read, _) = run(&with(&format!("{statistics}/rowCount"), json!(i64::MAX)));
    assert_eq!(read.outputs[0].statistics.row_count, Some(i64::MAX));
}

#[test]
fn a_long_error_message_is_cut_between_characters() {
    let at =
        |count: usize| run(&with("/run/facets/errorMessage/message", json!("é".repeat(count))));
    let (read, warnings) = at(MAX_ERROR_MESSAGE_CHARS);
    assert_eq!((read.error_message.unwrap().chars().count(), warnings), (4_096, vec![]));
    let (read, warnings) = at(MAX_ERROR_MESSAGE_CHARS + 1);
    assert_eq!(read.error_message.unwrap().chars().count(), 4_096);
    assert_eq!(warnings[0].0, WarningCode::TextTruncated);
}

#[test]
fn a_dataset_named_twice_is_one() {
    let mut event = valid();
    let statistics = json!({"outputStatistics": {"rowCount": 7, "fileCount": 8}});
    event["outputs"][0]["outputFacets"] = json!({"outputStatistics": {"rowCount": 3}});
    let again = json!({"namespace": "ns", "name": "t", "outputFacets": statistics});
    event["outputs"].as_array_mut().unwrap().push(again);
    event["inputs"] = json!([{"namespace": "ns", "name": "a"}, {"namespace": "ns", "name": "a"}]);
    let (read, _) = run(&event);
    assert_eq!((read.inputs.len(), read.outputs.len()), (1, 1));
    let statistics = read.outputs[0].statistics;
    assert_eq!((statistics.row_count, statistics.file_count), (Some(3), Some(8)));
    assert_eq!(read.outputs[0].facets.owners, ["team:a"]);
}

#[test]
fn one_bad_event_takes_no_other_with_it() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let good = valid().to_string();
    let body = format!(r#"[{good}, {{"eventTime": {deep}}}, {{"x": "\ud800"}}, 5, {good}]"#);
    let batch = parse(body.as_bytes(), &limits()).unwrap();
    let accepted: Vec<_> = batch.events.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, false, false, false, true]);
    let error = batch.events[3].clone().unwrap_err();
    assert_eq!((error.index, error.field.as_str()), (3, ""));
    assert!(matches!(Error::from(error), Error::BadUserInput { field, .. } if field == "events.3"));
}

#[test]
fn limits_hold_exactly() {
    let limits = ParseLimits { max_events: 2, ..limits() };
    let batch = |count: usize| parse(json!(vec![valid(); count]).to_string().as_bytes(), &limits);
    assert_eq!(batch(2).unwrap().events.len(), 2);
    assert_eq!(batch(0).unwrap().events.len(), 0);
    assert!(matches!(batch(3), Err(ParseError::TooManyEvents { maximum: 2 })));

    let datasets = |count: usize| -> Vec<_> {
        (0..count).map(|number| json!({"namespace": "ns", "name": number.to_string()})).collect()
    };
    assert_eq!(run(&with("/inputs", json!(datasets(3)))).0.inputs.len(), 3);
    let expected = (EventErrorCode::TooManyDatasets, String::new());
    assert_eq!(refused(&with("/inputs", json!(datasets(4)))), expected);
}

#[test]
fn a_body_that_is_no_event_is_refused_as_a_whole() {
    let good = valid().to_string();
    for bad in ["", " ", "{", "[{]", "nonsense", &good[..good.len() - 1], &format!("{good}{good}")]
    {
        assert!(matches!(parse(bad.as_bytes(), &limits()), Err(ParseError::NotJson(_))), "{bad}");
    }
    assert!(matches!(parse(b"{\"a\":\"\xff\"}", &limits()), Err(ParseError::NotJson(_))));
    for bad in ["null", "5", "\"x\"", " true "] {
        assert!(matches!(parse(bad.as_bytes(), &limits()), Err(ParseError::NotEvents)), "{bad}");
    }
    assert_eq!(parse(format!(" \n{good} ").as_bytes(), &limits()).unwrap().events.len(), 1);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9TZ:.+-]{0,30}".prop_map(Value::from),
        Just(Value::from("9999-12-31T23:59:60.999999999-23:59")),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let names = prop_oneof![
            any::<String>(),
            prop::sample::select(vec![
                "run", "job", "runId", "facets", "name", "fields", "message"
            ])
            .prop_map(str::to_owned),
        ];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((names, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn places(value: &Value, path: &str, all: &mut Vec<String>) {
    all.push(path.to_owned());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, child)| (name.clone(), child)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect()
        }
        _ => Vec::new(),
    };
    for (name, child) in children {
        places(child, &format!("{path}/{name}"), all);
    }
}

fn mutated() -> impl Strategy<Value = Value> {
    let mut all = Vec::new();
    places(&valid(), "", &mut all);
    vec((prop::sample::select(all), anything()), 1..4).prop_map(|changes| {
        let mut event = valid();
        for (pointer, value) in changes {
            if let Some(place) = event.pointer_mut(&pointer) {
                *place = value;
            }
        }
        event
    })
}

proptest! {
    #[test]
    fn whatever_is_changed_in_an_event_nothing_panics_and_nothing_is_lost(event in mutated()) {
        let text = json!([valid(), event, valid()]).to_string();
        let batch = parse(text.as_bytes(), &limits()).unwrap();
        prop_assert_eq!(batch.events.len(), 3);
        prop_assert!(batch.events[0].is_ok() && batch.events[2].is_ok());
        if let Ok(Event::Run(run)) = &batch.events[1] {
            // Through the text, as the parser saw it.
            let sent: Value = serde_json::from_str(&event.to_string()).unwrap();
            prop_assert_eq!(&run.payload, &sent);
            prop_assert!(!run.payload.to_string().contains("\\u0000"));
            prop_assert!(run.event_time >= DateTime::UNIX_EPOCH);
            prop_assert_eq!(run.event_time.timestamp_subsec_nanos() % 1_000, 0);
            let counts = run.outputs.iter().map(|output| output.statistics.row_count);
            prop_assert!(counts.flatten().all(|count| count >= 0));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200), position in any::<prop::sample::Index>()) {
        let _ = parse(&bytes, &limits());
        // And so within a valid event.
        let mut text = valid().to_string().into_bytes();
        let position = position.index(text.len());
        text.splice(position..position, bytes.into_iter().take(3));
        let _ = parse(&text, &limits());
    }
}
