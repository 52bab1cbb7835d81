//! What a real client reported: `openlineage-dbt`, of building a small warehouse with dbt-core and
//! duckdb (`tests/clients/record.py` records it). It loaded seeds, built the models, tested them, and
//! built them once more, this time without the exchange rates that the last model needs.
//!
//! A replay is that at another time: every instant moved by the same distance, every run with an
//! id of its own. The same replay asked for twice is the same events, which the service knows.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::cli::Failure;

const EVENTS: &str = include_str!("dbt-events.jsonl");

/// The events of one tenant's warehouse.
#[derive(Debug)]
pub(super) struct Recording {
    /// Seeds, models, tests: all went well.
    pub(super) good: Vec<Value>,
    /// The models once more; the last one failed.
    pub(super) failing: Vec<Value>,
}

impl Recording {
    /// The recording, as if the project had another name than `shop`.
    pub(super) fn of(project: &str) -> Result<Self, Failure> {
        let events = EVENTS.replace("shop", project);
        let events = events.lines().map(serde_json::from_str);
        let events: Vec<Value> = events.collect::<Result<_, _>>()?;
        // dbt itself is a run, and the parent of those of its models.
        let last = events.last().and_then(run_id).ok_or("the recording is empty")?.to_owned();
        let of_last = |event: &Value| {
            let parent = event.pointer("/run/facets/parent/run/runId").and_then(Value::as_str);
            run_id(event) == Some(&last) || parent == Some(&last)
        };
        let (failing, good) = events.into_iter().partition(of_last);
        Ok(Self { good, failing })
    }
}

fn run_id(event: &Value) -> Option<&str> {
    event.pointer("/run/runId")?.as_str()
}

fn event_time(event: &Value) -> Option<DateTime<Utc>> {
    event.get("eventTime")?.as_str()?.parse().ok()
}

/// `events` as if the last of them happened at `end`, without those of the job `but`.
pub(super) fn replay(
    events: &[Value],
    end: DateTime<Utc>,
    but: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let last = events.iter().filter_map(event_time).max().ok_or("the recording has no times")?;
    let skipped = |event: &Value| {
        let job = event.pointer("/job/name").and_then(Value::as_str).unwrap_or_default();
        but.is_some_and(|but| job == but)
    };
    let ids: Vec<_> = events.iter().filter_map(run_id).collect();
    let moved = events.iter().filter(|event| !skipped(event));
    moved.map(|event| moved_by(event, end - last, end, &ids)).collect()
}

fn moved_by(
    event: &Value,
    distance: TimeDelta,
    end: DateTime<Utc>,
    ids: &[&str],
) -> Result<Value, Failure> {
    // In the text, since an event names other runs in places of its producer's choice.
    let mut text = event.to_string();
    for id in ids {
        let name = format!("drr-demo/{}/{id}", end.timestamp_micros());
        text = text.replace(id, &Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string());
    }
    let mut event: Value = serde_json::from_str(&text)?;
    if let (Some(time), Some(place)) = (event_time(&event), event.get_mut("eventTime")) {
        *place = (time + distance).to_rfc3339_opts(SecondsFormat::Micros, true).into();
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn end() -> DateTime<Utc> {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_recording_falls_into_what_went_well_and_what_did_not() {
        let recording = Recording::of("shop").unwrap();
        let failures =
            |events: &[Value]| events.iter().filter(|event| event["eventType"] == "FAIL").count();
        assert_eq!(failures(&recording.good), 0);
        assert_eq!(failures(&recording.failing), 2, "the model, and dbt itself");
        let ids = |events: &[Value]| -> BTreeSet<String> {
            events.iter().filter_map(run_id).map(str::to_owned).collect()
        };
        assert!(ids(&recording.good).is_disjoint(&ids(&recording.failing)));
    }

    #[test]
    fn a_replay_keeps_distances_and_families_and_can_be_asked_for_again() {
        let recording = Recording::of("outlet").unwrap().good;
        let replayed = replay(&recording, end(), None).unwrap();
        assert_eq!(replayed.iter().filter_map(event_time).max(), Some(end()));
        let span = |events: &[Value]| {
            let times = || events.iter().filter_map(event_time);
            times().max().unwrap() - times().min().unwrap()
        };
        assert_eq!(span(&replayed), span(&recording));
        let text = serde_json::to_string(&replayed).unwrap();
        assert!(!text.contains("shop") && text.contains("duckdb://outlet.duckdb"), "{text}");
        let known: BTreeSet<_> = replayed.iter().filter_map(run_id).collect();
        for event in recording.iter().filter_map(run_id) {
            assert!(!text.contains(event), "an old id is left");
        }
        for event in &replayed {
            if let Some(parent) = event.pointer("/run/facets/parent/run/runId") {
                assert!(known.contains(parent.as_str().unwrap()));
            }
        }
        assert_eq!(replay(&recording, end(), None).unwrap(), replayed);
        let later = replay(&recording, end() + TimeDelta::microseconds(1), None).unwrap();
        assert!(later.iter().filter_map(run_id).all(|id| !known.contains(id)));
    }

    #[test]
    fn a_job_can_be_left_out() {
        let recording = Recording::of("shop").unwrap().failing;
        let job = "shop.main.shop.customers";
        let rest = replay(&recording, end(), Some(job)).unwrap();
        assert_eq!(recording.len() - rest.len(), 2, "its START and its COMPLETE");
        assert!(rest.iter().all(|event| event["job"]["name"] != job));
    }
}
