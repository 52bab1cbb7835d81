//! `drr schema check` and `drr schema compare`: schemas without a registry.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program;

const ORDER: &str = r#"{ "type": "record", "name": "Order", "fields": [
  { "name": "id", "type": "long" }, { "name": "note", "type": ["null", "string"], "default": null } ] }"#;
const WITH_STATE: &str = r#"{ "type": "record", "name": "Order", "fields": [
  { "name": "id", "type": "long" }, { "name": "state", "type": "string" } ] }"#;

/// Files with texts, in a folder.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// The exit code, the lines of the answer, and the complaint.
fn said(arguments: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let output = program::output(&[&["schema"], arguments].concat());
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(str::to_owned).collect();
    (output.status.code(), lines, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_be_read_is_named_and_fails() {
    let files = Files::new();
    let (old, new) = (files.with("old.avsc", ORDER), files.with("new.avsc", WITH_STATE));
    let compared =
        |reader: &str, writer: &str| said(&["compare", "--format", "avro", reader, writer]);
    let (code, lines, complaint) = compared(&new, &old);
    assert_eq!(code, Some(1), "{complaint}");
    assert_eq!(lines.last().unwrap(), "INCOMPATIBLE");
    let missing = "INCOMPATIBLE READER_FIELD_MISSING_DEFAULT_VALUE /fields/1: ";
    assert!(lines.iter().any(|line| line.starts_with(missing)), "{lines:#?}");
    assert!(complaint.contains("not everything that is written can be read"), "{complaint}");

    let (code, lines, _) = compared(&old, &new);
    assert_eq!((code, lines.last().unwrap().as_str()), (Some(0), "COMPATIBLE"));
    assert!(lines.iter().any(|line| line.contains("FIELD_REMOVED")), "{lines:#?}");
}

#[test]
fn a_payload_is_checked_with_what_its_schema_refers_to() {
    let files = Files::new();
    let schema =
        files.with("order.json", r#"{ "properties": { "to": { "$ref": "address.json" } } }"#);
    let address = files.with("address.json", r#"{ "required": ["city"] }"#);
    let good = files.with("good.json", r#"{ "to": { "city": "Ghent" } }"#);
    let bad = files.with("bad.json", r#"{ "to": {} }"#);
    let reference = format!("address.json={address}");
    let (code, lines, complaint) =
        said(&["check", "--format", "JSON", "--reference", &reference, &schema, &good, &bad]);
    assert_eq!(code, Some(1), "{lines:#?} {complaint}");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("bad.json") && lines[0].contains("city"), "{lines:#?}");
    assert!(complaint.contains("1 of 2 payloads"), "{complaint}");

    // Nothing is fetched: without it, the schema is none.
    let (code, lines, complaint) = said(&["check", "--format", "json", &schema, &good]);
    assert_eq!(code, Some(1), "{lines:#?} {complaint}");
    assert!(complaint.contains("is no schema of JSON"), "{complaint}");
}

/// Texts that are made to hang or to crash whoever reads them.
fn hostile() -> Vec<(&'static str, String)> {
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let circle = r##"{ "$ref": "#", "allOf": [{ "$ref": "#" }] }"##;
    vec![
        ("avro", deep(r#"{"type":"array","items":"#, "}")),
        ("json", deep(r#"{"not":"#, "}")),
        ("json", circle.to_owned()),
        ("json", format!("{{ \"pattern\": \"{}\" }}", "(a|".repeat(20_000))),
        ("protobuf", format!("syntax = \"proto3\"; {}", deep("message M { ", "}"))),
        ("protobuf", "option (a) = { ".repeat(50_000)),
    ]
}

#[test]
fn a_hostile_schema_is_refused_and_harms_nobody() {
    let files = Files::new();
    for (number, (format, text)) in hostile().into_iter().enumerate() {
        let file = files.with(&format!("{number}.txt"), &text);
        let (code, lines, complaint) = said(&["check", "--format", format, &file]);
        assert_eq!(code, Some(1), "{number}: {complaint}");
        assert!(complaint.contains("is no schema of"), "{number}: {complaint}");
        assert!(!lines.is_empty() && lines.iter().all(|line| line.len() < 2_000), "{number}");
    }
}

/// Real events against the specification that others wrote, where these are at hand.
#[test]
fn real_events_keep_to_the_specification_but_for_a_url_that_they_lack() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("DRR_SHARED_DATA").map_or(beside, PathBuf::from);
    let spec = folder.join("openlineage-spec-2-0-2.json").display().to_string();
    let Ok(events) = std::fs::read_to_string(folder.join("openlineage-marquez-food-delivery.json"))
    else {
        return eprintln!("SKIPPED: there are no real events in {}", folder.display());
    };
    let events: Vec<serde_json::Value> = serde_json::from_str(&events).unwrap();
    let files = Files::new();
    let write = |name: &str, event: &serde_json::Value| files.with(name, &event.to_string());
    let bare = write("bare.json", &events[0]);
    let (code, lines, complaint) = said(&["check", "--format", "JSON", &spec, &bare]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(lines.iter().any(|line| line.contains("schemaURL")), "{lines:#?}");
    let whole: Vec<String> = events
        .into_iter()
        .enumerate()
        .map(|(number, mut event)| {
            event["schemaURL"] = "https://openlineage.io/spec/2-0-2/OpenLineage.json".into();
            write(&format!("{number}.json"), &event)
        })
        .collect();
    let mut arguments = vec!["check", "--format", "JSON", &spec];
    arguments.extend(whole.iter().map(String::as_str));
    let (code, lines, complaint) = said(&arguments);
    assert_eq!(code, Some(0), "{lines:#?} {complaint}");
}
