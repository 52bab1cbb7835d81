use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::Index,
};
use serde_json::json;

use super::*;
use crate::refresh::model::{DatasetFacets, Input, Output, OutputStatistics, WatermarkOrigin};

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_700_000_000_000_000 + micros).unwrap()
}

fn dataset(number: u8) -> DatasetName {
    DatasetName::parse("ns", format!("table-{number}")).unwrap()
}

fn output(number: u8, rows: Option<i64>, watermark: Option<i64>) -> Output {
    Output {
        dataset: dataset(number),
        statistics: OutputStatistics { row_count: rows, ..OutputStatistics::default() },
        source_watermark: watermark.map(at),
        source_watermark_origin: watermark.map(|micros| {
            WatermarkOrigin::ALL[usize::try_from(micros).unwrap() % WatermarkOrigin::ALL.len()]
        }),
        facets: DatasetFacets::default(),
    }
}

/// An event whose hash, as it must, is a function of its content.
fn event(event_type: EventType, micros: i64, note: &str, outputs: Vec<Output>) -> RunEvent {
    let payload = json!([event_type.as_str(), micros, note, format!("{outputs:?}")]);
    RunEvent {
        run_id: Uuid::from_u128(7),
        job: JobName::parse("scheduler", "job").unwrap(),
        event_type,
        event_time: at(micros),
        producer: None,
        inputs: Vec::new(),
        outputs,
        error_message: (!note.is_empty()).then(|| note.to_owned()),
        nominal_time: (note.len() == 1)
            .then(|| NominalTime { start_at: at(-micros), end_at: None }),
        parent_run_id: (note.len() == 2).then(|| Uuid::from_u128(note.len() as u128)),
        content_hash: ContentHash::of(&payload),
        payload,
    }
}

/// The event, with inputs.
fn reading(mut event: RunEvent, inputs: impl IntoIterator<Item = u8>) -> RunEvent {
    let facets = DatasetFacets::default;
    let input = |number| Input { dataset: dataset(number), facets: facets() };
    event.inputs = inputs.into_iter().map(input).collect();
    event.payload = json!([event.payload, format!("{:?}", event.inputs)]);
    event.content_hash = ContentHash::of(&event.payload);
    event
}

pub(crate) fn fold<'e>(events: impl IntoIterator<Item = &'e RunEvent>) -> RunFold {
    events.into_iter().map(RunFold::of).reduce(|left, right| left.merge(right).unwrap()).unwrap()
}

fn events() -> impl Strategy<Value = Vec<RunEvent>> {
    // Few instants, so that ties are frequent.
    let outputs = vec((0..3_u8, 0..3_i64), 0..3);
    let inputs = btree_set(0..3_u8, 0..3);
    let one = (0..EventType::ALL.len(), 0..4_i64, "[ab]{0,2}", outputs, inputs);
    let one = one.prop_map(|(event_type, micros, note, outputs, inputs)| {
        let outputs = outputs.into_iter().map(|(number, rows)| {
            output(number, (rows > 0).then_some(rows), (rows == 1).then_some(micros))
        });
        let mut outputs: Vec<_> = outputs.collect();
        outputs.sort_by(|left, right| left.dataset.cmp(&right.dataset));
        outputs.dedup_by(|left, right| left.dataset == right.dataset);
        reading(event(EventType::ALL[event_type], micros, &note, outputs), inputs)
    });
    vec(one, 1..9)
}

/// Events, and the same ones in any order with any of them repeated.
fn events_sent_again() -> impl Strategy<Value = (Vec<RunEvent>, Vec<RunEvent>)> {
    (events(), vec(any::<Index>(), 0..8)).prop_flat_map(|(events, repeats)| {
        let repeats = repeats.iter().map(|index| events[index.index(events.len())].clone());
        let sent: Vec<_> = events.iter().cloned().chain(repeats).collect();
        (Just(events), Just(sent).prop_shuffle())
    })
}

/// Everything that a fold says.
#[derive(Debug, PartialEq)]
struct Said {
    state: RunState,
    started_at: Option<DateTime<Utc>>,
    effective_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    conflict: bool,
    error_message: Option<String>,
    nominal_time: Option<NominalTime>,
    parent_run_id: Option<Uuid>,
    inputs: BTreeMap<DatasetName, (DateTime<Utc>, DateTime<Utc>)>,
    outputs: BTreeMap<DatasetName, (OutputStatistics, Option<Watermark>)>,
}

type Watermark = (DateTime<Utc>, WatermarkOrigin);

fn said(fold: &RunFold) -> Said {
    let outputs = fold.outputs().iter();
    Said {
        state: fold.state(),
        started_at: fold.started_at(),
        effective_at: fold.effective_at(),
        ended_at: fold.ended_at(),
        conflict: fold.conflict(),
        error_message: fold.error_message().map(str::to_owned),
        nominal_time: fold.nominal_time(),
        parent_run_id: fold.parent_run_id(),
        inputs: fold
            .inputs()
            .iter()
            .map(|(name, input)| (name.clone(), (input.first_at, input.last_at)))
            .collect(),
        outputs: outputs
            .map(|(name, output)| {
                let watermark = output.source_watermark().zip(output.source_watermark_origin());
                (name.clone(), (output.statistics(), watermark))
            })
            .collect(),
    }
}

/// The rules again, read off the sorted set of events.
fn slow(events: &[RunEvent]) -> Said {
    let mut sorted: Vec<_> = events.iter().collect();
    sorted.sort_by_key(|event| (event.event_time, event.content_hash));
    let is = |event_type: EventType| move |event: &&&RunEvent| event.event_type == event_type;
    let rank = |event_type| match event_type {
        EventType::Fail => Some((0, RunState::Failed)),
        EventType::Abort => Some((1, RunState::Aborted)),
        EventType::Complete => Some((2, RunState::Completed)),
        _ => None,
    };
    let mut terminal: Vec<_> = sorted
        .iter()
        .filter_map(|event| Some((event.event_time, rank(event.event_type)?, event)))
        .collect();
    terminal.sort_by_key(|(time, (rank, _), event)| (*time, *rank, event.content_hash));
    let first_state = sorted.iter().find(|event| event.event_type != EventType::Other);
    let started = sorted.iter().find(is(EventType::Start));
    let winner = terminal.first();
    let mut inputs = BTreeMap::new();
    for event in &sorted {
        for input in &event.inputs {
            let at = event.event_time;
            inputs.entry(input.dataset.clone()).or_insert((at, at)).1 = at;
        }
    }
    let mut outputs = BTreeMap::<_, (OutputStatistics, Option<Watermark>)>::new();
    for output in sorted.iter().flat_map(|event| &event.outputs) {
        let known = outputs.entry(output.dataset.clone()).or_default();
        if !output.statistics.is_empty() {
            known.0 = output.statistics;
        }
        known.1 = output.source_watermark.zip(output.source_watermark_origin).or(known.1);
    }
    Said {
        state: match (winner, first_state) {
            (Some((_, (_, state), _)), _) => *state,
            (None, Some(_)) => RunState::Running,
            (None, None) => RunState::New,
        },
        started_at: started.map(|event| event.event_time),
        effective_at: started.or(first_state).unwrap_or(&sorted[0]).event_time,
        ended_at: winner.map(|(time, ..)| *time),
        conflict: terminal.windows(2).any(|pair| pair[0].2.event_type != pair[1].2.event_type),
        error_message: winner
            .filter(|(.., event)| event.event_type == EventType::Fail)
            .and_then(|(.., event)| event.error_message.clone()),
        nominal_time: sorted.iter().rev().find_map(|event| event.nominal_time),
        parent_run_id: sorted.iter().rev().find_map(|event| event.parent_run_id),
        inputs,
        outputs,
    }
}

proptest! {
    #[test]
    fn it_says_what_the_rules_say(events in events()) {
        prop_assert_eq!(said(&fold(&events)), slow(&events));
    }

    #[test]
    fn order_repetition_and_portions_do_not_matter(
        (events, shuffled) in events_sent_again(),
        cuts in vec(any::<bool>(), 20),
    ) {
        let expected = fold(&events);
        prop_assert_eq!(&fold(&shuffled), &expected);

        // In portions: each folded on its own, stored, read back, merged.
        let mut portions = vec![Vec::new()];
        for (event, cut) in shuffled.iter().zip(cuts) {
            if cut {
                portions.push(Vec::new());
            }
            portions.last_mut().unwrap().push(event);
        }
        let stored = portions.into_iter().filter(|portion| !portion.is_empty()).map(|portion| {
            let json = serde_json::to_value(fold(portion)).unwrap();
            serde_json::from_value::<RunFold>(json).unwrap()
        });
        prop_assert_eq!(stored.reduce(|left, right| left.merge(right).unwrap()), Some(expected));
    }

    #[test]
    fn merging_is_associative_commutative_and_idempotent(
        first in events(), second in events(), third in events(),
    ) {
        let (a, b, c) = (fold(&first), fold(&second), fold(&third));
        let join = |left: &RunFold, right: &RunFold| left.clone().merge(right.clone()).unwrap();
        prop_assert_eq!(join(&a, &b), join(&b, &a));
        prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        prop_assert_eq!(join(&a, &a), a);
    }

    #[test]
    fn other_changes_nothing_of_the_state(events in events(), micros in 0..4_i64) {
        let before = fold(&events);
        let other = RunFold::of(&event(EventType::Other, micros, "", Vec::new()));
        let after = before.clone().merge(other).unwrap();
        if before.state() == RunState::New {
            prop_assert_eq!(after.state(), RunState::New);
        } else {
            prop_assert_eq!(said(&after), said(&before));
        }
    }
}

#[test]
fn the_earliest_end_wins_and_a_contradiction_is_kept() {
    let start = event(EventType::Start, 0, "", Vec::new());
    let complete = event(EventType::Complete, 10, "", Vec::new());
    let fail = event(EventType::Fail, 20, "late", Vec::new());
    let late = fold([&fail, &start, &complete]);
    assert_eq!((late.state(), late.ended_at()), (RunState::Completed, Some(at(10))));
    assert_eq!((late.conflict(), late.error_message()), (true, None));

    let tie = fold([&event(EventType::Fail, 10, "boom", Vec::new()), &start, &complete]);
    assert_eq!((tie.state(), tie.error_message()), (RunState::Failed, Some("boom")));

    let twice = fold([&complete, &event(EventType::Complete, 11, "", Vec::new())]);
    assert!(!twice.conflict());
    assert_eq!(
        (twice.ended_at(), twice.started_at(), twice.effective_at()),
        (Some(at(10)), None, at(10))
    );
}

#[test]
fn a_run_belongs_to_one_job() {
    let first = event(EventType::Start, 0, "", Vec::new());
    let other_job = RunEvent { job: JobName::parse("scheduler", "x").unwrap(), ..first.clone() };
    let other_run = RunEvent { run_id: Uuid::from_u128(8), ..first.clone() };
    let merge = |other: &RunEvent| RunFold::of(&first).merge(RunFold::of(other));
    assert_eq!(merge(&other_job), Err(MergeError::OtherJob));
    assert_eq!(merge(&other_run), Err(MergeError::OtherRun));
}

// What is stored today must be read tomorrow; this is what was stored before inputs and origins were.
#[test]
fn a_fold_without_inputs_and_origins_still_reads() {
    let told = RunEvent {
        outputs: vec![output(1, Some(5), Some(3))],
        ..event(EventType::Complete, 10, "", Vec::new())
    };
    let mut json = serde_json::to_value(RunFold::of(&told)).unwrap();
    assert!(json.get("inputs").is_none(), "{json:#}");
    let known = json["outputs"][0][1].as_object_mut().unwrap();
    assert!(known.remove("source_watermark_origin").is_some());
    let stored: RunFold = serde_json::from_value(json).unwrap();
    let output = stored.outputs()[&dataset(1)];
    assert_eq!(output.source_watermark(), Some(at(3)));
    assert_eq!(output.source_watermark_origin(), Some(WatermarkOrigin::Openlineage));
    let later = reading(event(EventType::Other, 20, "", Vec::new()), [2]);
    let merged = stored.merge(RunFold::of(&later)).unwrap();
    assert_eq!(merged.inputs()[&dataset(2)], InputFold { first_at: at(20), last_at: at(20) });
}
