//! Requests that nobody decides about in time.

use chrono::TimeDelta;
use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{Registry, record, start};
use crate::{cluster::run, door::world::strings};

async fn state(own: &Registry<'_>, name: &str) -> (Value, Value) {
    let document =
        "query($n: String!) { schemaVersion(name: $n) { state transitions { status decidedBy } } }";
    let name = format!("tenant.acme.sales.{name}");
    let mut data = own.ask(Role::SchemaAdmin, document, json!({ "n": name })).await;
    let last = data["schemaVersion"]["transitions"].as_array().unwrap().last().unwrap().clone();
    (data["schemaVersion"]["state"].take(), last)
}

// S6, S7
#[test]
fn a_request_ends_when_its_time_is_over_and_frees_its_version() {
    run(async {
        let graph = start(|_| ()).await;
        let own = Registry::new(&graph);
        let pass = async || graph.app.schemas().expirer.pass().await.unwrap();
        let used = own.active("Used").await;
        let schema = own.register("Order").await;
        let version = own.draft(&schema, &record("a")).await;
        let asked = own.propose(&version, "ACTIVATE").await;
        own.propose(&used, "DEPRECATE").await;

        graph.clock.advance(TimeDelta::days(14) - TimeDelta::seconds(1));
        assert_eq!(pass().await, 0, "not before its time");
        graph.clock.advance(TimeDelta::seconds(2));
        // Two at once end none twice.
        let expirer = &graph.app.schemas().expirer;
        let (one, other) = tokio::join!(expirer.pass(), expirer.pass());
        assert_eq!(one.unwrap() + other.unwrap(), 2);
        assert_eq!(pass().await, 0);

        let expired = json!({ "status": "EXPIRED", "decidedBy": "drr:expiry" });
        assert_eq!(state(&own, "Order@1").await, (json!("DRAFT"), expired.clone()));
        assert_eq!(state(&own, "Used@1").await, (json!("ACTIVE"), expired));
        assert_eq!(own.approve(&asked).await.as_deref(), Some("ALREADY_DECIDED"));

        let mut admin = graph.app.admin().await;
        let events = "SELECT event_type || ' ' || actor_id || ' ' || (data->>'schema') || '@' || number || ' ' || (data->>'state')
            FROM schema_event WHERE event_type = 'schema_transition.expired' ORDER BY 1";
        assert_eq!(
            strings(&mut admin, events).await,
            [
                "schema_transition.expired drr:expiry tenant.acme.sales.Order@1 DRAFT",
                "schema_transition.expired drr:expiry tenant.acme.sales.Used@1 ACTIVE",
            ]
        );
        let deeds = "SELECT split_part(resource, ' ', 1) || ' ' || class || ' ' || (e.correlation_id = a.correlation_id)
            FROM audit_event a JOIN schema_event e
              ON 'schema:' || (data->>'schema') || '@' || number = split_part(resource, ' ', 1) AND event_type = 'schema_transition.expired'
           WHERE action = 'schema_transition.expire' AND result = 'SUCCESS' ORDER BY 1";
        assert_eq!(
            strings(&mut admin, deeds).await,
            [
                "schema:tenant.acme.sales.Order@1 SCHEMA true",
                "schema:tenant.acme.sales.Used@1 SCHEMA true",
            ]
        );
        // It is a draft like any other: it can be put forward again, and become active.
        let again = own.propose(&version, "ACTIVATE").await;
        assert_eq!(own.approve(&again).await, None);
        assert_eq!(state(&own, "Order@1").await.0, "ACTIVE");
    });
}

// S6
#[test]
fn what_is_decided_or_asked_for_anew_at_the_last_moment_is_not_ended() {
    run(async {
        let graph = start(|_| ()).await;
        let own = Registry::new(&graph);
        let schema = own.register("Order").await;
        let version = own.draft(&schema, &record("a")).await;
        let asked = own.propose(&version, "ACTIVATE").await;
        graph.clock.advance(TimeDelta::days(14) - TimeDelta::seconds(1));
        assert_eq!(own.approve(&asked).await, None);
        graph.clock.advance(TimeDelta::days(1));
        assert_eq!(graph.app.schemas().expirer.pass().await.unwrap(), 0);
        assert_eq!(state(&own, "Order@1").await.0, "ACTIVE");
        // Whoever asks anew ends the old request; the pass finds nothing left to do.
        own.propose(&version, "DEPRECATE").await;
        graph.clock.advance(TimeDelta::days(15));
        own.propose(&version, "DEPRECATE").await;
        assert_eq!(graph.app.schemas().expirer.pass().await.unwrap(), 0);
    });
}
