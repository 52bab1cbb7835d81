//! What the graph states about its fields (`rights::NEEDS`, and from it the SDL) against its answers.

use std::collections::BTreeSet;

use drr::{
    auth::policy::{Role, ScopeSet, allows},
    graphql::rights::{NEEDS, needed},
};
use serde_json::{Value, json};

use super::{Entry, RUN, TENANT, Token, World};
use crate::{app::TestApp, cluster::run};

/// Whether the graph states that a token may have what an entry reaches; nothing of routes, and of
/// what the library itself answers.
pub fn stated(entry: &Entry, token: &Token) -> Option<bool> {
    if entry.reaches.starts_with('/') {
        return None;
    }
    let (object, field) = entry.reaches.split_once('.')?;
    let (object, field) = if object == "_Entity" { (field, "id") } else { (object, field) };
    if field.starts_with('_') {
        return None;
    }
    let role: Role = token.role.parse().unwrap();
    let scopes = ScopeSet::parse(&token.scope_claim());
    let operations: Vec<_> = needed(object, field).collect();
    assert!(!operations.is_empty(), "{} needs nothing?", entry.reaches);
    Some(operations.into_iter().all(|operation| allows(role, token.kind.1, scopes, operation)))
}

const TYPES: &str = "{ __schema { types { name kind fields { name type { ...t }
    args { name type { ...t } } } } } }
  fragment t on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// The name of a type within its lists and its non-nulls, and whether it is a list.
fn named(of: &Value) -> (&str, bool) {
    match of["ofType"].is_null() {
        true => (of["name"].as_str().unwrap(), false),
        false => {
            let (name, list) = named(&of["ofType"]);
            (name, list || of["kind"] == "LIST")
        }
    }
}

/// A selection of a field, with the arguments that it must have.
fn selection(types: &[Value], field: &Value) -> String {
    let arguments: Vec<_> = field["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|argument| argument["type"]["kind"] == "NON_NULL")
        .filter(|argument| argument["name"] == "from" || argument["name"] == "to")
        .map(|argument| match argument["name"].as_str().unwrap() {
            "from" => "from: \"2026-10-01T00:00:00Z\"",
            _ => "to: \"2026-10-02T00:00:00Z\"",
        })
        .collect();
    let arguments =
        if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
    let (of, _) = named(&field["type"]);
    let kind = &types.iter().find(|found| found["name"] == of).unwrap()["kind"];
    let below = if kind == "OBJECT" { " { __typename }" } else { "" };
    format!("{}{arguments}{below}", field["name"].as_str().unwrap())
}

// D5, D12, S9: every field of every entity, by the way that needs no root field.
#[test]
fn every_field_of_an_entity_is_for_whom_the_graph_states() {
    run(async {
        let world = World::start().await;
        let app = &world.app;
        // Who may read both registries, and who may read neither.
        let reader = app.token(TENANT, Role::TenantAdmin);
        let mut without = TestApp::request(TENANT, Role::Reader);
        without.scopes = ScopeSet::default();
        let without = app.sign(&without);
        let schema = app.data(&reader, TYPES, json!({})).await;
        let types = schema["__schema"]["types"].as_array().unwrap();
        let entities: Vec<_> =
            NEEDS.iter().map(|(place, _)| *place).filter(|place| !place.contains('.')).collect();
        let mut asked = 0;
        for entity in &entities {
            let id = match *entity {
                "Breach" => &world.breach,
                "Dataset" => &world.kept,
                "RefreshRun" => RUN,
                "Schema" => &world.schemas.standing,
                "SchemaVersion" => &world.schemas.active,
                other => panic!("{other}: how is it asked for?"),
            };
            let variables = json!({ "r": [{ "__typename": entity, "id": id }] });
            let of = types.iter().find(|of| of["name"] == *entity).unwrap();
            for field in of["fields"].as_array().unwrap() {
                let selected = selection(types, field);
                let query = format!(
                    "query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {entity} {{ {selected} }} }} }}"
                );
                let data = app.data(&reader, &query, variables.clone()).await;
                assert!(data["_entities"][0].is_object(), "{entity} {selected}: {data}");
                let code = app.code(&without, &query, variables.clone()).await;
                assert_eq!(code, "FORBIDDEN", "{entity} {selected}");
                asked += 1;
            }
        }
        assert!(asked > 50, "{asked}");

        // Whoever shows an entity elsewhere states its right too, but for what is shown only to
        // whoever may see it, and for the pages and payloads of a field that states it.
        let stated: BTreeSet<_> = NEEDS.iter().map(|(place, _)| (*place).to_owned()).collect();
        for of in types.iter().filter(|of| of["kind"] == "OBJECT") {
            let object = of["name"].as_str().unwrap();
            let below = ["Connection", "Edge", "Payload"].iter().any(|end| object.ends_with(end));
            for field in of["fields"].as_array().into_iter().flatten() {
                let place = format!("{object}.{}", field["name"].as_str().unwrap());
                if entities.contains(&named(&field["type"]).0) && !below {
                    assert!(stated.contains(&place) || place == "Freshness.decidedBy", "{place}");
                }
            }
        }
    });
}
