//! Every field of every answer equals GraphQL's, for the same tokens.

use std::collections::HashMap;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, Type, TypeDefinition, TypeKind, TypeSystemDefinition},
};
use chrono::TimeDelta;
use drr::{
    auth::policy::Role,
    graphql::{sdl, subgraph},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{DATASETS, get, refusal, world};
use crate::{
    cluster::run,
    graph::{Graph, STRANGER, TENANT, text},
};

/// What has an address of its own in REST, or is another way to the same.
const APART: [(&str, &str); 14] = [
    ("AuditEvent", "dataset"),
    ("Dataset", "freshnessPolicies"),
    ("Dataset", "externalVerdicts"),
    ("Dataset", "rootCauses"),
    ("Dataset", "schema"),
    ("Dataset", "schemaDrift"),
    ("Dataset", "schemaVersion"),
    ("DatasetRun", "schemaVersion"),
    ("Freshness", "policy"),
    ("Freshness", "decidedBy"),
    ("DatasetRun", "run"),
    ("DatasetRun", "dataset"),
    ("Breach", "dataset"),
    ("Breach", "mute"),
];

/// The types of the graph, read from its SDL.
struct Types(HashMap<String, TypeDefinition>);

impl Types {
    fn read() -> Self {
        let document = parse_schema(sdl::sdl(&subgraph())).unwrap();
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some(definition.node),
            _ => None,
        });
        Self(types.map(|of| (of.name.node.to_string(), of)).collect())
    }

    /// The selection of all there is below a type; nothing for a scalar. What wants arguments is a
    /// question of its own, and a run is only referred to.
    fn all(&self, of: &str) -> String {
        let Some(TypeKind::Object(object)) = self.0.get(of).map(|of| &of.kind) else {
            return String::new();
        };
        if of == "RefreshRun" {
            return "{ id }".to_owned();
        }
        let fields = object.fields.iter().map(|field| &field.node);
        let fields = fields.filter(|field| field.arguments.is_empty());
        let fields = fields.filter(|field| !APART.contains(&(of, field.name.node.as_str())));
        let fields: Vec<_> = fields
            .map(|field| format!("{} {}", field.name.node, self.all(named(&field.ty.node))))
            .collect();
        format!("{{ {} }}", fields.join(" "))
    }
}

fn named(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

/// Each resource of a dataset, the question that GraphQL answers alike, and where.
fn pairs(types: &Types) -> [(&'static str, String, &'static str); 4] {
    let all = |of: &str| types.all(of);
    let freshness = format!(
        "{{ id urn freshness {} freshnessPolicy {} refreshState {} externalVerdicts {} }}",
        all("Freshness"),
        all("FreshnessPolicy"),
        all("RefreshState"),
        all("ExternalVerdict"),
    );
    let runs = format!(
        "{{ runs(first: 2) {{ nodes {} pageInfo {{ hasNextPage endCursor }} }} }}",
        all("DatasetRun"),
    );
    let breaches = format!(
        "{{ breaches(state: OPEN, first: 1) {{ nodes {} pageInfo {{ hasNextPage endCursor }} }} }}",
        all("Breach"),
    );
    [
        ("", all("Dataset"), "/dataset"),
        ("/freshness", freshness, "/dataset"),
        ("/runs?first=2", runs, "/dataset/runs"),
        ("/breaches?state=OPEN&first=1", breaches, "/dataset/breaches"),
    ]
}

const READERS: [Role; 4] = [Role::Reader, Role::RuntimeWriter, Role::TenantAdmin, Role::Auditor];

// D16
#[test]
fn a_dataset_is_the_same_by_either_way() {
    run(async {
        let graph = Graph::start().await;
        let full = world(&graph).await;
        assert_eq!(graph.app.sweep().await.opened, 2);
        let until = text(graph.now() + TimeDelta::hours(1));
        let mute = json!({ "datasetId": full, "until": until, "reason": "the source is down" });
        graph.done("muteFreshness", "status", mute).await;
        let types = Types::read();
        for role in READERS {
            let token = graph.token(role);
            let ids = graph.app.data(&token, "{ datasets { nodes { id urn } } }", json!({})).await;
            let nodes = ids["datasets"]["nodes"].as_array().unwrap().clone();
            assert_eq!(nodes.len(), 5, "{nodes:#?}");
            for node in &nodes {
                let id = node["id"].as_str().unwrap();
                for (resource, selection, at) in pairs(&types) {
                    let query = format!("query($id: ID!) {{ dataset(id: $id) {selection} }}");
                    let data = graph.app.data(&token, &query, json!({ "id": id })).await;
                    let expected = data.pointer(at).unwrap();
                    // Percent-encoded as a whole, so that the URN's own escapes survive.
                    let urn = node["urn"].as_str().unwrap().replace('%', "%25");
                    for id in [id, &urn] {
                        let answer =
                            get(&graph, &token, &format!("{DATASETS}/{id}{resource}")).await;
                        assert_eq!(answer.status, StatusCode::OK, "{answer:#?}");
                        assert_eq!(answer.body, *expected, "{role} {resource}");
                    }
                }
            }
        }
        // What is compared is there: nothing of the one that has everything is empty.
        let token = graph.token(Role::Reader);
        let answer = get(&graph, &token, &format!("{DATASETS}/{full}/freshness")).await.body;
        assert_eq!(answer["externalVerdicts"][0]["status"], "WARN", "{answer:#}");
        assert_eq!(answer["freshness"]["status"], "WARN", "{answer:#}");
        let answer = get(&graph, &token, &format!("{DATASETS}/{full}")).await.body;
        assert_eq!(answer["freshnessMute"]["reason"], "the source is down", "{answer:#}");
        assert_eq!(answer["openBreach"]["level"], "WARN", "{answer:#}");
        assert_eq!(answer["refreshState"]["sourceWatermarkOrigin"], "OPENLINEAGE", "{answer:#}");
        let breaches = get(&graph, &token, &format!("{DATASETS}/{full}/breaches")).await.body;
        assert_eq!(breaches["nodes"][0], answer["openBreach"]);
        let over = format!("{DATASETS}/{full}/breaches?state=RESOLVED");
        assert_eq!(get(&graph, &token, &over).await.body["nodes"], json!([]));
        let answer = get(&graph, &token, &format!("{DATASETS}/{full}/runs")).await.body;
        assert_eq!(answer["nodes"][1]["errorMessage"], "disk full", "{answer:#}");
        assert_eq!(answer["nodes"][2]["rowCount"], "5000000000", "{answer:#}");
    });
}

/// What GraphQL says to the same filter, page by page.
async fn pages(graph: &Graph, token: &str, arguments: &str, selection: &str) -> Vec<Value> {
    let query = format!(
        "query($after: String) {{ datasets({arguments} first: 2, after: $after) {{
            nodes {selection} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let (mut pages, mut after) = (Vec::new(), Value::Null);
    loop {
        let data = graph.app.data(token, &query, json!({ "after": after })).await;
        let page = &data["datasets"]["pageInfo"];
        after = page["endCursor"].clone();
        let more = page["hasNextPage"] == true;
        pages.push(data["datasets"].clone());
        if !more {
            return pages;
        }
    }
}

// D16
#[test]
fn lists_are_the_same_page_by_page() {
    run(async {
        let graph = Graph::start().await;
        world(&graph).await;
        let selection = Types::read().all("Dataset");
        let token = graph.token(Role::Reader);
        for (query, arguments, count) in [
            ("", "", 5),
            ("order=WORST_FIRST&", "order: WORST_FIRST,", 5),
            ("status=STALE&status=UNKNOWN&", "filter: { status: [STALE, UNKNOWN] },", 2),
            ("text=ORDER&", "filter: { text: \"ORDER\" },", 1),
            (
                "domain=sales&tag=gold&owner=team%3Asales&",
                "filter: { domain: \"sales\", tag: \"gold\", owner: \"team:sales\" },",
                1,
            ),
            ("lifecycle=RETIRED&", "filter: { lifecycle: RETIRED },", 1),
            ("text=foreign&", "filter: { text: \"foreign\" },", 0),
        ] {
            let mut path = format!("{DATASETS}?{query}first=2");
            let mut seen = 0;
            let expected = pages(&graph, &token, arguments, &selection).await;
            for page in &expected {
                let answer = get(&graph, &token, &path).await;
                assert_eq!(answer.body, *page, "{path}");
                seen += page["nodes"].as_array().unwrap().len();
                let more = page["pageInfo"]["hasNextPage"] == true;
                assert_eq!(answer.next.is_some(), more, "{path}");
                if let Some(next) = answer.next {
                    path = format!("{DATASETS}{next}");
                }
            }
            assert_eq!(seen, count, "{query}");
        }
    });
}

// D16, S10
#[test]
fn denied_and_missing_are_the_same_as_well() {
    run(async {
        let graph = Graph::start().await;
        let id = world(&graph).await;
        let missing = "0190a000-0000-7000-8000-0000000000ff";
        let paths = [
            DATASETS.to_owned(),
            format!("{DATASETS}/{id}"),
            format!("{DATASETS}/{id}/freshness"),
            format!("{DATASETS}/{id}/runs"),
            format!("{DATASETS}/{id}/breaches"),
        ];
        for role in [Role::SchemaReader, Role::Operator, Role::PipelineRunner] {
            for path in &paths {
                let answer = get(&graph, &graph.token(role), path).await;
                assert_eq!(refusal(&answer), (403, "FORBIDDEN", None), "{role} {path}");
                // Nor is such a role told what is there.
                let none = get(&graph, &graph.token(role), &path.replace(&id, missing)).await;
                assert_eq!(refusal(&none), refusal(&answer), "{role} {path}");
            }
        }
        let stranger = graph.app.token(STRANGER, Role::Reader);
        for path in &paths[1..] {
            let foreign = get(&graph, &stranger, path).await;
            assert_eq!(refusal(&foreign), (404, "NOT_FOUND", None), "{path}");
            let missing = path.replace(&id, missing);
            assert_eq!(refusal(&get(&graph, &stranger, &missing).await), refusal(&foreign));
            let none = get(&graph, &graph.app.token(TENANT, Role::Reader), &missing).await;
            assert_eq!(refusal(&none), refusal(&foreign));
        }
        let foreign = get(&graph, &stranger, DATASETS).await;
        let names: Vec<_> =
            foreign.body["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
        assert_eq!(names, ["foreign"]);
    });
}
