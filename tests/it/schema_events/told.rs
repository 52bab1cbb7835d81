//! Who is told: a file, a webhook, and streams of Redis.

use std::{path::Path, sync::Arc};

use chrono::TimeDelta;
use drr::schema::delivery::{RedisStreams, SchemaSink};
use serde_json::Value;

use super::{
    Registry,
    receiver::{Receiver, webhook},
    start,
};
use crate::{
    cache::redis::Redis,
    cluster::run,
    door::world::{script, strings},
    graph::{STRANGER, TENANT, string},
};

pub fn in_file(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "half a line");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of a tenant, in the order in which they came.
pub fn of(tenant: &str, events: &[Value]) -> Vec<Value> {
    let source = format!("urn:drr:tenant:{tenant}");
    events.iter().filter(|event| event["source"] == source.as_str()).cloned().collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| string(&event["type"]).trim_start_matches("drr.")).collect()
}

// S7
#[test]
fn everybody_is_told_all_in_order_though_a_receiver_fails_and_is_away() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.ndjson");
        let receiver = Arc::new(Receiver::default());
        let (address, serving) = receiver.listen("127.0.0.1:0").await;
        let sinks = vec![SchemaSink::File(file.clone()), SchemaSink::Webhook(webhook(&address))];
        let graph = start(|assembly| assembly.schemas.sinks = sinks).await;
        let (own, other) = (Registry::new(&graph), Registry::of(&graph, STRANGER));
        let pass = async || graph.app.schemas().events.pass().await.unwrap();

        own.active("Order").await;
        other.active("Invoice").await;
        // The second event of one tenant fails; the other tenant does not wait.
        receiver.answer(&[204, 500]);
        let done = pass().await;
        assert_eq!((done.delivered, done.failed), (4 + 4 + 1 + 4, 1));
        let (first, second) = match of(TENANT, &receiver.got()).len() {
            1 => (TENANT, STRANGER),
            _ => (STRANGER, TENANT),
        };
        assert_eq!(of(first, &receiver.got()).len(), 1);
        assert_eq!(of(second, &receiver.got()).len(), 4);
        // Not at once again.
        assert_eq!(pass().await.delivered, 0);
        graph.clock.advance(TimeDelta::seconds(7));
        assert_eq!(pass().await.delivered, 3);
        // The one that was not taken was sent again under the same id, and nothing else was.
        let (sent, mut once) = (receiver.sent(), receiver.sent());
        once.sort();
        once.dedup();
        assert_eq!((sent.len(), once.len()), (9, 8));

        // It goes away, and comes back at the same place.
        serving.abort();
        let _ = serving.await;
        own.active("Refund").await;
        other.active("Payment").await;
        let done = pass().await;
        assert_eq!(
            (done.delivered, done.failed),
            (8, 1),
            "nobody is asked for by the second tenant"
        );
        let (_, _serving) = receiver.listen(&address).await;
        graph.clock.advance(TimeDelta::minutes(6));
        assert_eq!(pass().await.delivered, 8);

        let expected = [
            "schema.registered",
            "schema_version.drafted",
            "schema_transition.proposed",
            "schema_transition.approved",
        ];
        for tenant in [TENANT, STRANGER] {
            let got = of(tenant, &receiver.got());
            assert_eq!(types(&got), [expected, expected].concat());
            let numbers: Vec<_> = got.iter().map(|event| string(&event["sequence"])).collect();
            assert_eq!(numbers, (1..=8).map(|n| format!("{n:019}")).collect::<Vec<_>>());
            assert_eq!(got, of(tenant, &in_file(&file)), "all are told the same");
        }
        let approved = &of(TENANT, &receiver.got())[3];
        assert_eq!(approved["subject"], "tenant.acme.sales.Order@1");
        assert_eq!(approved["specversion"], "1.0");
        assert_eq!(approved["data"]["state"], "ACTIVE");
        assert_ne!(approved["actorid"], approved["data"]["requestedBy"]);
        // What was done to tell it is no event, and not in the trail.
        let mut admin = graph.app.admin().await;
        let deeds = "SELECT action FROM audit_event WHERE actor_id LIKE 'drr:%'";
        assert_eq!(strings(&mut admin, deeds).await, Vec::<String>::new());
        let metrics = graph.app.http.get(graph.app.operations("/metrics")).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        for line in [
            "drr_schema_events_total{sink=\"webhook\",result=\"failed\"}",
            "drr_schema_events_lag_seconds{sink=\"file\"}",
        ] {
            assert!(metrics.contains(line), "{line}");
        }
    });
}

// S7
#[test]
fn a_tenant_whose_events_are_refused_holds_up_no_other() {
    run(async {
        let receiver = Arc::new(Receiver::default());
        let (address, _serving) = receiver.listen("127.0.0.1:0").await;
        let sinks = vec![SchemaSink::Webhook(webhook(&address))];
        let graph = start(|assembly| assembly.schemas.sinks = sinks).await;
        let (own, other) = (Registry::new(&graph), Registry::of(&graph, STRANGER));
        receiver.refuse(Some("urn:drr:tenant:acme"));
        for round in 1..=5 {
            own.register(&format!("A{round}")).await;
            other.register(&format!("B{round}")).await;
            graph.app.schemas().events.pass().await.unwrap();
            assert_eq!(of(STRANGER, &receiver.got()).len(), round);
            graph.clock.advance(TimeDelta::minutes(6));
        }
        assert_eq!(of(TENANT, &receiver.got()).len(), 0);
        receiver.refuse(None);
        graph.app.schemas().events.pass().await.unwrap();
        assert_eq!(of(TENANT, &receiver.got()).len(), 5);
    });
}

// S7
#[test]
fn redis_has_each_event_once_under_its_number_however_often_it_is_told() {
    run(async {
        let Some(mut redis) = Redis::start().await else { return };
        let streams = RedisStreams::new(&redis.url, None).unwrap();
        let sinks = vec![SchemaSink::Redis(streams.into())];
        let graph = start(|assembly| assembly.schemas.sinks = sinks).await;
        let own = Registry::new(&graph);
        let pass = async || graph.app.schemas().events.pass().await.unwrap();
        let entries = async |redis: &Redis| -> Vec<(String, Value)> {
            let mut connection = redis.connection().await;
            let mut range = redis::cmd("XRANGE");
            range.arg("drr:schema-events:acme").arg("-").arg("+");
            let found: Vec<(String, Vec<String>)> =
                range.query_async(&mut connection).await.unwrap();
            let entry = |(id, fields): (String, Vec<String>)| {
                assert_eq!((fields.len(), fields[0].as_str()), (2, "event"));
                (id, serde_json::from_str(&fields[1]).unwrap())
            };
            found.into_iter().map(entry).collect()
        };
        own.active("Order").await;
        assert_eq!(pass().await.delivered, 4);
        let first = entries(&redis).await;
        let ids: Vec<_> = first.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["1-0", "2-0", "3-0", "4-0"]);
        assert_eq!(first[3].1["subject"], "tenant.acme.sales.Order@1");

        // Told again from the beginning, with something new behind it.
        let mut admin = graph.app.admin().await;
        script(&mut admin, "UPDATE schema_event_cursor SET sequence = 0").await;
        own.register("Refund").await;
        assert_eq!(pass().await.delivered, 5);
        let again = entries(&redis).await;
        assert_eq!(again[..4], first[..]);
        assert_eq!((again.len(), again[4].0.as_str()), (5, "5-0"));

        // Something else is there under the name: that tenant waits, and no other.
        redis.tell(&["RENAME", "drr:schema-events:acme", "aside"]).await;
        redis.tell(&["SET", "drr:schema-events:acme", "no stream"]).await;
        own.register("Third").await;
        Registry::of(&graph, STRANGER).register("Other").await;
        let done = pass().await;
        assert_eq!((done.delivered, done.failed), (1, 1));
        redis.tell(&["RENAME", "aside", "drr:schema-events:acme"]).await;

        // It is killed, and comes back empty: what comes is told, and the rest when it is asked for.
        redis.signal(rustix::process::Signal::KILL);
        redis.restart().await;
        graph.clock.advance(TimeDelta::minutes(6));
        let mut tries = 0;
        while entries(&redis).await.is_empty() {
            tries += 1;
            assert!(tries < 5, "it is not told any more");
            pass().await;
            graph.clock.advance(TimeDelta::minutes(6));
        }
        assert_eq!(entries(&redis).await[0].0, "6-0");
    });
}

// S7
#[test]
fn a_stream_of_redis_keeps_about_as_many_as_it_is_told_to() {
    run(async {
        let Some(redis) = Redis::start().await else { return };
        let streams = RedisStreams::new(&redis.url, Some(100)).unwrap();
        let sinks = vec![SchemaSink::Redis(streams.into())];
        let graph = start(|assembly| assembly.schemas.sinks = sinks).await;
        let mut admin = graph.app.admin().await;
        script(
            &mut admin,
            "INSERT INTO tenant_directory VALUES ('acme') ON CONFLICT DO NOTHING;
             INSERT INTO schema_event (tenant_id, sequence, event_id, event_type, actor_id, correlation_id, occurred_at, data)
             SELECT 'acme', n, gen_random_uuid(), 'schema.checked', 'somebody', 'c', now(), '{}' FROM generate_series(1, 1000) n",
        )
        .await;
        let mut delivered = 0;
        while delivered < 1_000 {
            let done = graph.app.schemas().events.pass().await.unwrap();
            assert!(done.delivered > 0 && done.failed == 0, "{done:?}");
            delivered += done.delivered;
        }
        let mut connection = redis.connection().await;
        let length: u64 = redis::cmd("XLEN")
            .arg("drr:schema-events:acme")
            .query_async(&mut connection)
            .await
            .unwrap();
        assert!((100..500).contains(&length), "{length}");
    });
}
