//! What real producers sent. The files are not part of this repository: they are looked for in
//! `DRR_SHARED_DATA`, else in `../shared/data`, and the tests say so where they are not there.

use std::{collections::BTreeMap, path::PathBuf};

use super::*;

fn shared(file: &str) -> Option<String> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("DRR_SHARED_DATA").map_or(beside, PathBuf::from);
    let text = std::fs::read_to_string(folder.join(file));
    if let Err(error) = &text {
        eprintln!("SKIPPED: {file} in {}: {error}", folder.display());
    }
    text.ok()
}

/// The fields of each dataset that events report with any.
fn facets(events: &[Value]) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for dataset in events
        .iter()
        .flat_map(|event| ["inputs", "outputs"].map(|side| &event[side]))
        .filter_map(Value::as_array)
        .flatten()
    {
        let fields = &dataset["facets"]["schema"]["fields"];
        if fields.is_array() {
            found.insert(dataset["name"].as_str().unwrap().to_owned(), fields.clone());
        }
    }
    found
}

#[test]
fn the_food_delivery_datasets_become_schemas_and_differ_from_each_other() {
    let Some(text) = shared("openlineage-marquez-food-delivery.json") else { return };
    let facets = facets(&serde_json::from_str::<Vec<Value>>(&text).unwrap());
    assert_eq!(facets.len(), FOOD_DELIVERY);
    let drafts: Vec<(&Value, Schema)> = facets
        .iter()
        .map(|(name, fields)| (fields, read(Format::Avro, &draft(fields, name).unwrap())))
        .collect();
    for (index, (fields, own)) in drafts.iter().enumerate() {
        assert_eq!(drift(fields, own), []);
        let names = own.fields().into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        let reported = fields.as_array().unwrap().iter().map(|field| &field["name"]);
        assert_eq!(names, reported.map(|name| name.as_str().unwrap()).collect::<Vec<_>>());
        for (other, (_, schema)) in drafts.iter().enumerate() {
            let is_same = drift(fields, schema).is_empty();
            assert_eq!(is_same, index == other || own.canonical() == schema.canonical());
        }
    }
}

/// How many of its datasets have fields.
const FOOD_DELIVERY: usize = 13;

/// It knows the names of columns and not their types.
#[test]
fn what_dbt_sends_says_of_no_types() {
    let Some(text) = shared("openlineage-dbt-run.jsonl") else { return };
    let body = |line| serde_json::from_str::<Value>(line).unwrap()["body"].take();
    let facets = facets(&text.lines().map(body).collect::<Vec<_>>());
    let fields = &facets["demo.main.m"];
    assert_eq!(drift(fields, &avro(json!([{ "name": "id", "type": "long" }]))), []);
    assert_eq!(lines(fields, &avro(json!([]))), ["NOT_IN_SCHEMA id: UNKNOWN / -"]);
    let own = read(Format::Avro, &draft(fields, "demo.main.m").unwrap());
    assert_eq!(drift(fields, &own), []);
}
