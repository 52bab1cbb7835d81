//! The document that describes REST: it tells all there is at its listener, and nothing else.

use std::collections::BTreeSet;

use drr::auth::policy::Role;
use reqwest::StatusCode;
use serde_json::Value;

use super::{get, refusal};
use crate::{cluster::run, graph::Graph};

const PATH: &str = "/storage/v1/openapi.json";

async fn document(graph: &Graph, url: String) -> Value {
    let request = graph.app.http.get(url).bearer_auth(graph.token(Role::SchemaReader));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

async fn documents(graph: &Graph) -> [Value; 2] {
    [document(graph, graph.app.public(PATH)).await, document(graph, graph.app.internal(PATH)).await]
}

/// `GET /path` of every operation.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    });
    operations.collect()
}

fn paths(document: &Value) -> BTreeSet<String> {
    document["paths"].as_object().unwrap().keys().cloned().collect()
}

// D16, D17
#[test]
fn every_route_is_described_at_its_own_listener() {
    run(async {
        let graph = Graph::start().await;
        let [public, internal] = documents(&graph).await;
        assert!(public["openapi"].as_str().unwrap().starts_with("3.1."), "{}", public["openapi"]);
        let routes = crate::policy::routes();
        let of = |start: &'static str| {
            let found = routes.iter().filter(move |route| route.starts_with(start));
            found.cloned().collect::<BTreeSet<_>>()
        };
        assert_eq!(paths(&public), of("/storage/v1/"));
        let mut all = of("/storage/v1/");
        all.extend(of("/storage-internal/"));
        all.extend(of("/api/"));
        assert_eq!(paths(&internal), all);
        // What both have is the same.
        for (name, operation) in operations(&public) {
            let (_, same) = operations(&internal).into_iter().find(|(of, _)| *of == name).unwrap();
            assert_eq!(operation, same, "{name}");
        }
    });
}

/// Everything that wants words and has none, by its place.
fn silent(value: &Value, place: &str, found: &mut Vec<String>) {
    let says = |value: &Value| {
        let words = value["description"].as_str().unwrap_or_default();
        !words.trim().is_empty() || value["$ref"].is_string() && !place.contains("/properties/")
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let place = format!("{place}/{name}");
                if ["properties", "parameters", "responses", "headers"].contains(&name.as_str()) {
                    let each: Vec<_> = match member {
                        Value::Object(each) => each.iter().map(|(n, v)| (n.clone(), v)).collect(),
                        Value::Array(each) => {
                            each.iter().map(|v| (v["name"].to_string(), v)).collect()
                        }
                        _ => panic!("{place}"),
                    };
                    let each = each.into_iter().filter(|(_, of)| !says(of));
                    found.extend(each.map(|(name, _)| format!("{place}/{name}")));
                }
                silent(member, &place, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                silent(item, &format!("{place}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Every reference, by its target.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    if let Some(target) = value["$ref"].as_str() {
        found.insert(target.trim_start_matches('#').to_owned());
    }
    match value {
        Value::Object(members) => members.values().for_each(|member| references(member, found)),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn everything_is_described_and_every_reference_leads_somewhere() {
    run(async {
        let graph = Graph::start().await;
        for document in documents(&graph).await {
            let mut found = Vec::new();
            silent(&document, "", &mut found);
            assert!(found.is_empty(), "without a description: {found:#?}");
            let mut targets = BTreeSet::new();
            references(&document, &mut targets);
            assert!(targets.len() > 15, "{targets:?}");
            let lost: Vec<_> =
                targets.iter().filter(|target| document.pointer(target).is_none()).collect();
            assert!(lost.is_empty(), "{lost:?}");
            let unused = |of: &str| -> Vec<_> {
                let known = document["components"][of].as_object().unwrap().keys();
                let known = known.map(|name| format!("/components/{of}/{name}"));
                known.filter(|name| !targets.contains(name)).collect()
            };
            assert_eq!(unused("schemas"), Vec::<String>::new());

            let mut names = BTreeSet::new();
            for (name, operation) in operations(&document) {
                assert!(names.insert(operation["operationId"].to_string()), "{name}");
                for said in ["summary", "description"] {
                    assert!(!operation[said].as_str().unwrap().is_empty(), "{name} {said}");
                }
                let responses = operation["responses"].as_object().unwrap();
                let mut expected = vec!["400", "401", "403", "500", "503"];
                if name.contains("{id}") {
                    expected.push("404");
                    let first = &operation["parameters"][0];
                    let path = name.starts_with("POST") || first["in"] == "path";
                    assert!(path, "{name}: {first}");
                }
                if name.starts_with("GET") {
                    expected.extend(["200", "304"]);
                } else {
                    expected.extend(["408", "413", "415"]);
                    assert_eq!(operation["requestBody"]["required"], true, "{name}");
                }
                for status in expected {
                    assert!(responses.contains_key(status), "{name} has no {status}");
                }
            }
            let schemes = &document["components"]["securitySchemes"];
            assert_eq!(schemes["bearer"]["scheme"], "bearer", "{schemes}");
            assert_eq!(document["security"], serde_json::json!([{ "bearer": [] }]));
        }
    });
}

// D2
#[test]
fn what_there_is_is_told_to_those_with_a_token() {
    run(async {
        let graph = Graph::start().await;
        for url in [graph.app.public(PATH), graph.app.internal(PATH)] {
            let response = graph.app.http.get(url).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        }
        assert_eq!(
            graph.app.http.get(graph.app.operations(PATH)).send().await.unwrap().status(),
            StatusCode::NOT_FOUND
        );
        let token = graph.token(Role::Reader);
        let first = get(&graph, &token, PATH).await;
        let known = super::get_if_not(&graph, &token, PATH, first.tag.as_ref().unwrap()).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED);
        let asked = get(&graph, &token, &format!("{PATH}?format=yaml")).await;
        assert_eq!(refusal(&asked), (400, "BAD_USER_INPUT", Some("format")));
    });
}
