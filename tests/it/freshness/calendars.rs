//! Calendars: dates on which nothing is expected, by name.

use serde_json::{Value, json};

use crate::{
    cluster::run,
    graph::{Audited, Graph},
};

#[test]
fn a_calendar_moves_what_is_judged_by_it() {
    run(async {
        let graph = Graph::start().await; // Thursday, 2026-01-01
        let id = graph.register("d").await;
        graph.succeed(&["d"], graph.now()).await;
        let set = |dates: Value| json!({ "name": "holidays", "description": "Bank holidays.", "dates": dates });
        let selection = "status judgedDatasets calendar { name description dates version }";
        let made = graph
            .done("setFreshnessCalendar", selection, set(json!(["2026-01-02", "2026-01-02"])))
            .await;
        let calendar = json!({ "name": "holidays", "description": "Bank holidays.", "dates": ["2026-01-02"], "version": "1" });
        assert_eq!(made, json!({ "status": "SET", "judgedDatasets": 0, "calendar": calendar }));

        // Two days, of which the weekend and the holiday do not count.
        let policy = json!({ "datasetId": id, "maxAge": { "failAfterSeconds": 172_800 },
            "exclusions": { "weekdays": ["SUNDAY", "SATURDAY"], "calendars": ["holidays"] } });
        graph.done("setFreshnessPolicy", "status", policy).await;
        let stale_at = || async { graph.freshness(&id).await["staleAt"].clone() };
        assert_eq!(stale_at().await, "2026-01-06T00:00:00+00:00");
        let exclusions = &graph.freshness(&id).await["policy"]["exclusions"];
        assert_eq!(
            *exclusions,
            json!({ "weekdays": ["SATURDAY", "SUNDAY"], "dates": [], "calendars": ["holidays"] })
        );
        let moved = graph
            .done("setFreshnessCalendar", selection, set(json!(["2026-01-05", "2026-01-02"])))
            .await;
        assert_eq!(
            (&moved["judgedDatasets"], &moved["calendar"]["version"]),
            (&json!(1), &json!("2"))
        );
        assert_eq!(stale_at().await, "2026-01-07T00:00:00+00:00");
        // A run is judged by it as well: a success on the holiday begins to age after the weekend and Monday.
        graph.clock.advance(chrono::TimeDelta::hours(30));
        graph.succeed(&["d"], graph.now()).await;
        assert_eq!(stale_at().await, "2026-01-08T00:00:00+00:00");

        let remove = json!({ "name": "holidays" });
        let before = graph.audit().await.len();
        let refused = graph.done("removeFreshnessCalendar", "status", remove.clone()).await;
        assert_eq!(refused["status"], "IN_USE");
        let event = Audited::new("freshness_calendar.remove", None, "REJECTED", Some("CONFLICT"));
        assert_eq!(graph.audited_since(before).await, [event]);
        graph.done("removeFreshnessPolicy", "status", json!({ "datasetId": id })).await;
        let conflict = json!({ "name": "holidays", "expectedVersion": 1 });
        assert_eq!(
            graph.done("removeFreshnessCalendar", "status", conflict).await["status"],
            "VERSION_CONFLICT"
        );
        assert_eq!(
            graph.done("removeFreshnessCalendar", "status", remove.clone()).await["status"],
            "REMOVED"
        );
        assert_eq!(graph.refused("removeFreshnessCalendar", remove).await.0, "NOT_FOUND");
        assert_eq!(
            graph.read("{ freshnessCalendars { name } }", json!({})).await["freshnessCalendars"],
            json!([])
        );
    });
}

#[test]
fn what_makes_no_sense_is_refused_where_it_does_not() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("d").await;
        let days: Vec<_> = (0..1_001)
            .map(|day| (chrono::NaiveDate::default() + chrono::TimeDelta::days(day)).to_string())
            .collect();
        for (input, field) in [
            (json!({ "name": "", "dates": [] }), "name"),
            (json!({ "name": "No", "dates": [] }), "name"),
            (json!({ "name": "c", "dates": days }), "dates"),
        ] {
            let (code, message) = graph.refused("setFreshnessCalendar", input).await;
            assert_eq!(code, "BAD_USER_INPUT");
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
        }
        let week = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
        let eleven: Vec<_> = (0..11).map(|number| format!("c{number}")).collect();
        for (exclusions, field) in [
            (json!({ "weekdays": week }), "exclusions.weekdays"),
            (json!({ "dates": days }), "exclusions.dates"),
            (json!({ "calendars": eleven }), "exclusions.calendars"),
            (json!({ "calendars": ["nothing"] }), "exclusions.calendars"),
        ] {
            let input = json!({ "datasetId": id, "maxAge": { "failAfterSeconds": 60 }, "exclusions": exclusions });
            let (code, message) = graph.refused("setFreshnessPolicy", input).await;
            assert_eq!(code, "BAD_USER_INPUT");
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
        }
        let conflict = json!({ "name": "c", "dates": [], "expectedVersion": 1 });
        let done = graph.done("setFreshnessCalendar", "status calendar { name }", conflict).await;
        assert_eq!(done, json!({ "status": "VERSION_CONFLICT", "calendar": null }));
    });
}
