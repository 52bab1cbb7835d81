//! What is found, what changes, and what is over.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{DATASET, SCHEMA, accepted, bind, compared, dataset, pass, report, start};
use crate::{
    cluster::run,
    door::world::strings,
    graph::{Graph, string},
};

const DRIFT: &str = "schemaDrift { foundAt observedAt version { number }
    differences { path kind reported registered } }";

async fn events(graph: &Graph) -> Vec<String> {
    let sql = "SELECT event_type || ' ' || actor_id || ' ' || number || ' ' || (data->>'changed') || ' ' || (data->>'differenceCount')
        FROM schema_event WHERE event_type LIKE 'schema\\_drift.%' ORDER BY sequence";
    strings(&mut graph.app.admin().await, sql).await
}

async fn deeds(graph: &Graph) -> Vec<String> {
    let sql = "SELECT action || ' ' || class || ' ' || (dataset_id IS NOT NULL) || ' ' || resource FROM audit_event
        WHERE actor_id = 'drr:drift' ORDER BY sequence";
    strings(&mut graph.app.admin().await, sql).await
}

#[test]
fn a_difference_is_found_changes_and_is_over() {
    run(async {
        let graph = start().await;
        report(&graph, DATASET, &[("id", "bigint"), ("note", "text")]).await;
        let id = dataset(&graph, "").await;
        let id = string(&id["id"]).to_owned();
        assert_eq!(pass(&graph).await, compared(0, 0, 0), "it is bound to nothing");
        accepted(&graph, &id, Some(SCHEMA)).await;
        bind(&graph, &id, Some(SCHEMA)).await;
        assert_eq!(pass(&graph).await, compared(1, 0, 0));
        assert_eq!(pass(&graph).await, compared(0, 0, 0), "nothing is compared twice");
        assert_eq!(dataset(&graph, DRIFT).await["schemaDrift"], Value::Null);

        report(&graph, DATASET, &[("id", "bigint"), ("note", "boolean")]).await;
        assert_eq!(
            dataset(&graph, DRIFT).await["schemaDrift"],
            Value::Null,
            "not while it comes in"
        );
        // Two at once find it once.
        let finder = &graph.app.schemas().drift;
        let (one, other) = tokio::join!(finder.pass(), finder.pass());
        assert_eq!(one.unwrap().found + other.unwrap().found, 1);
        let drift = dataset(&graph, DRIFT).await["schemaDrift"].take();
        let since = drift["foundAt"].clone();
        assert_eq!(drift["version"]["number"], 1);
        let differs = json!([{ "path": "note", "kind": "TYPE_DIFFERS", "reported": "boolean", "registered": "STRING" }]);
        assert_eq!(drift["differences"], differs);

        // The same difference reported anew is no news; another one is, of the same finding.
        report(&graph, DATASET, &[("note", "bool"), ("id", "int8")]).await;
        let again = pass(&graph).await;
        assert_eq!((again.datasets, again.resolved), (1, 0));
        report(&graph, DATASET, &[("id", "bigint"), ("note", "boolean"), ("extra", "date")]).await;
        assert_eq!(pass(&graph).await, compared(1, 1, 0));
        let drift = dataset(&graph, DRIFT).await["schemaDrift"].take();
        assert_eq!(drift["foundAt"], since);
        assert_eq!(drift["differences"].as_array().unwrap().len(), 2, "{drift:#}");

        // As it was before.
        report(&graph, DATASET, &[("id", "bigint"), ("note", "text")]).await;
        assert_eq!(pass(&graph).await, compared(1, 0, 1));
        assert_eq!(dataset(&graph, DRIFT).await["schemaDrift"], Value::Null);
        let events = events(&graph).await;
        assert_eq!(events.first().unwrap(), "schema_drift.found drr:drift 1 false 1");
        assert_eq!(events.last().unwrap(), "schema_drift.resolved drr:drift 1 true 0");
        let deeds = deeds(&graph).await;
        assert_eq!(deeds[0], format!("schema_drift.compare SCHEMA true schema:{SCHEMA}@1"));
        assert_eq!(deeds[1], format!("schema_drift.find SCHEMA true schema:{SCHEMA}@1"));
        assert_eq!(
            deeds.last().unwrap(),
            &format!("schema_drift.resolve SCHEMA true schema:{SCHEMA}@1")
        );
    });
}

#[test]
fn what_is_bound_to_nothing_differs_from_nothing_and_is_compared_again_when_it_is() {
    run(async {
        let graph = start().await;
        report(&graph, DATASET, &[("id", "bigint")]).await;
        let id = dataset(&graph, "").await;
        let id = string(&id["id"]).to_owned();
        accepted(&graph, &id, Some(SCHEMA)).await;
        report(&graph, DATASET, &[("id", "text")]).await;
        // Bound to the one version, and not to whatever is the latest.
        let first = format!("{SCHEMA}@1");
        bind(&graph, &id, Some(&first)).await;
        assert_eq!(pass(&graph).await, compared(1, 1, 0));
        bind(&graph, &id, None).await;
        assert_eq!(pass(&graph).await, compared(1, 0, 1));
        assert_eq!(dataset(&graph, DRIFT).await["schemaDrift"], Value::Null);
        assert_eq!(pass(&graph).await, compared(0, 0, 0));
        bind(&graph, &id, Some(SCHEMA)).await;
        assert_eq!(pass(&graph).await, compared(1, 1, 0));
        let retire = "mutation($i: ID!) { retireDataset(input: { id: $i }) { status } }";
        graph.app.data(&graph.token(Role::TenantAdmin), retire, json!({ "i": id })).await;
        assert_eq!(pass(&graph).await, compared(1, 0, 1));
        let events = events(&graph).await;
        let kinds: Vec<_> = events.iter().map(|event| event.split(' ').next().unwrap()).collect();
        let twice = ["schema_drift.found", "schema_drift.resolved"];
        assert_eq!(kinds, [twice, twice].concat());
    });
}
