//! What real clients reported, where it is at hand.

use std::path::{Path, PathBuf};

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{accepted, bind, compared, pass, start};
use crate::{cluster::run, graph::string};

#[test]
fn what_real_events_report_becomes_proposals_from_which_nothing_differs() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("DRR_SHARED_DATA").map_or(beside, PathBuf::from);
    let Ok(events) = std::fs::read_to_string(folder.join("openlineage-marquez-food-delivery.json"))
    else {
        return eprintln!("SKIPPED: there are no real events in {}", folder.display());
    };
    run(async move {
        let graph = start().await;
        let events: Value = serde_json::from_str(&events).unwrap();
        let writer = graph.token(Role::RuntimeWriter);
        for event in events.as_array().unwrap() {
            let (status, answer) = graph.app.lineage(&writer, event).await;
            assert_eq!(status, 201, "{answer:#}");
        }
        let query = "{ datasets(first: 50) { nodes { id name } } }";
        let data = graph.read(query, json!({})).await;
        let datasets = data["datasets"]["nodes"].as_array().unwrap();
        let reported = datasets.iter().filter(|node| string(&node["name"]).starts_with("public."));
        let mut bound = 0;
        for node in reported {
            let name = string(&node["name"]).replace('.', "_");
            let fqid = format!("tenant.acme.food.{name}");
            assert_eq!(accepted(&graph, string(&node["id"]), Some(&fqid)).await, 1);
            bind(&graph, string(&node["id"]), Some(&fqid)).await;
            bound += 1;
        }
        assert_eq!(bound, 13);
        assert_eq!(pass(&graph).await, compared(13, 0, 0));
        // Later runs are of these versions.
        let again: Value = events[events.as_array().unwrap().len() - 1].clone();
        let mut again = again;
        again["run"]["runId"] = json!("0190a000-0000-7000-8000-0000000000aa");
        let (status, answer) = graph.app.lineage(&writer, &again).await;
        assert_eq!(status, 201, "{answer:#}");
        assert_eq!(pass(&graph).await, compared(0, 0, 0), "they report the same");
    });
}
