//! What real producers sent. The files are not part of this repository: they are looked for in
//! `DRR_SHARED_DATA`, else in `../shared/data`, and the tests say so where they are not there.

use std::{collections::BTreeMap, path::PathBuf, sync::LazyLock};

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::refresh::model::{RunEvent, RunFold, RunState};

fn shared(file: &str) -> Option<String> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("DRR_SHARED_DATA").map_or(beside, PathBuf::from);
    let text = std::fs::read_to_string(folder.join(file));
    if let Err(error) = &text {
        eprintln!("SKIPPED: {file} in {}: {error}", folder.display());
    }
    text.ok()
}

fn food_delivery() -> Option<Vec<Value>> {
    Some(serde_json::from_str(&shared("openlineage-marquez-food-delivery.json")?).unwrap())
}

fn dbt() -> Option<Vec<Value>> {
    let lines = shared("openlineage-dbt-run.jsonl")?;
    let body = |line| serde_json::from_str::<Value>(line).unwrap()["body"].take();
    Some(lines.lines().map(body).collect())
}

fn read(events: &[Value]) -> ParsedBatch {
    let limits = ParseLimits { max_datasets_per_event: 100, ..limits() };
    parse(json!(events).to_string().as_bytes(), &limits).unwrap()
}

fn runs(events: &[Value]) -> Vec<RunEvent> {
    let batch = read(events);
    let run = |event| match event {
        Ok(Event::Run(run)) => *run,
        other => panic!("{other:?}"),
    };
    batch.events.into_iter().map(run).collect()
}

fn folds<'e>(events: impl IntoIterator<Item = &'e RunEvent>) -> BTreeMap<Uuid, RunFold> {
    let mut folds = BTreeMap::<Uuid, RunFold>::new();
    for event in events {
        let mut fold = RunFold::of(event);
        if let Some(known) = folds.remove(&event.run_id) {
            fold = known.merge(fold).unwrap();
        }
        folds.insert(event.run_id, fold);
    }
    folds
}

#[test]
fn the_food_delivery_pipelines() {
    let Some(events) = food_delivery() else { return };
    let batch = read(&events);
    assert_eq!(batch.events.len(), 26);
    let codes: Vec<_> = batch.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, [WarningCode::MissingSchemaUrl; 26]);

    let events = runs(&events);
    let folds = folds(&events);
    assert_eq!(folds.len(), 13);
    assert!(folds.values().all(|fold| fold.state() == RunState::Completed && !fold.conflict()));
    assert!(folds.values().all(|fold| fold.nominal_time().is_some()));
    let menus = folds.values().find(|fold| fold.job().name() == "etl_menus").unwrap();
    assert_eq!(menus.started_at(), "2020-02-22T22:42:42Z".parse().ok());
    assert_eq!(menus.ended_at(), "2020-02-22T22:45:52Z".parse().ok());
    let names: Vec<_> = menus.outputs().keys().map(|dataset| dataset.name()).collect();
    assert_eq!(names, ["public.menus"]);
    let described = events.iter().flat_map(|event| &event.outputs);
    assert!(described.clone().count() > 0);
    assert!(described.clone().all(|output| output.facets.schema_fields.is_some()));
    assert!(described.clone().all(|output| output.facets.description.is_some()));
}

#[test]
fn the_dbt_run() {
    let Some(events) = dbt() else { return };
    let batch = read(&events);
    assert_eq!((batch.events.len(), batch.warnings), (10, vec![]));

    let folds = folds(&runs(&events));
    let model = folds.values().find(|fold| fold.job().name() == "demo.main.demo.m").unwrap();
    assert_eq!(model.state(), RunState::Completed);
    assert!(model.started_at() < model.ended_at());
    assert!(folds.contains_key(&model.parent_run_id().unwrap()));
    let names: Vec<_> = model.outputs().keys().map(|dataset| dataset.name()).collect();
    assert_eq!(names, ["demo.main.m"]);
}

#[test]
fn the_event_types_are_those_of_the_spec() {
    let Some(spec) = shared("openlineage-spec-2-0-2.json") else { return };
    let spec: Value = serde_json::from_str(&spec).unwrap();
    let types = &spec["$defs"]["RunEvent"]["allOf"][1]["properties"]["eventType"]["enum"];
    let known: Vec<_> = EventType::ALL.iter().map(|known| known.as_str()).collect();
    assert_eq!(*types, json!(known));
}

/// Both files, read once.
static EVENTS: LazyLock<Vec<RunEvent>> = LazyLock::new(|| {
    let files = [food_delivery(), dbt()].into_iter().flatten();
    files.flat_map(|events| runs(&events)).collect()
});

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(
        shuffle in Just((0..36).collect::<Vec<usize>>()).prop_shuffle(),
        repeats in vec(any::<Index>(), 0..40),
    ) {
        let expected = folds(EVENTS.iter());
        let mut sent: Vec<_> = shuffle.iter().filter_map(|&index| EVENTS.get(index)).collect();
        if !sent.is_empty() {
            let again: Vec<_> = repeats.iter().map(|index| sent[index.index(sent.len())]).collect();
            for (position, event) in again.into_iter().enumerate() {
                sent.insert(position * 2 % sent.len(), event);
            }
        }
        prop_assert_eq!(folds(sent), expected);
    }
}
