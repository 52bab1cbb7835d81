//! `_entities`: what a gateway asks for by key.

use drr::{
    auth::policy::{Role, ScopeSet},
    clock::Clock,
};
use serde_json::{Value, json};

use super::{
    Graph, STRANGER,
    board::{counted, fill},
    string,
};
use crate::{app::TestApp, cluster::run};

const ENTITIES: &str = "query($representations: [_Any!]!) {
  _entities(representations: $representations) {
    __typename
    ... on Dataset { id name }
    ... on RefreshRun { id state outputs { dataset { name } } }
  }
}";

#[test]
fn entities_are_found_by_each_of_their_keys() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let run = graph.succeed(&["a"], graph.now()).await;
        let representations = json!([
            { "__typename": "Dataset", "id": id },
            { "__typename": "Dataset", "namespace": "ns", "name": "a" },
            { "__typename": "RefreshRun", "id": run },
        ]);
        let data = graph.read(ENTITIES, json!({ "representations": representations })).await;
        let dataset = json!({ "__typename": "Dataset", "id": id, "name": "a" });
        let run = json!({ "__typename": "RefreshRun", "id": run, "state": "COMPLETED",
            "outputs": [{ "dataset": { "name": "a" } }] });
        assert_eq!(data["_entities"], json!([dataset, dataset, run]));
    });
}

/// One that is missing, foreign or malformed is null; those beside it stand.
#[test]
fn an_entity_that_is_not_there_takes_no_other_with_it() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let foreign = {
            let query = "mutation { registerDataset(input: { namespace: \"ns\", name: \"f\" }) {
              dataset { id } } }";
            let token = graph.app.token(STRANGER, Role::TenantAdmin);
            let data = graph.app.data(&token, query, json!({})).await;
            string(&data["registerDataset"]["dataset"]["id"]).to_owned()
        };
        let good = json!({ "__typename": "Dataset", "id": id });
        let representations = json!([
            good,
            { "__typename": "Dataset", "id": "01900000-0000-7000-8000-00000000ffff" },
            { "__typename": "Dataset", "id": "malformed" },
            { "__typename": "Dataset", "id": foreign },
            { "__typename": "Dataset", "namespace": "ns", "name": "f" },
            { "__typename": "Dataset", "namespace": "", "name": "f" },
            { "__typename": "RefreshRun", "id": foreign },
            good,
        ]);
        let variables = json!({ "representations": representations });
        let answer = graph.app.answer(&graph.token(Role::Reader), ENTITIES, variables).await;
        let there: Vec<_> =
            answer["data"]["_entities"].as_array().unwrap().iter().map(Value::is_object).collect();
        assert_eq!(there, [true, false, false, false, false, false, false, true], "{answer:#}");
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 2, "{answer:#}");
        for error in errors {
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
            assert!(error["extensions"]["correlationId"].is_string());
        }
    });
}

/// What no resolver knows is a coded error of that one, and neither a panic nor an internal one.
#[test]
fn a_representation_that_says_nothing_is_bad_input_in_its_place() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let good = json!({ "__typename": "Dataset", "id": id });
        for bad in [
            json!({ "__typename": "Nothing", "id": "x" }),
            json!({ "__typename": "Freshness", "id": "x" }),
            json!({ "__typename": "Dataset" }),
            json!({ "__typename": "Dataset", "namespace": "ns" }),
            json!({ "__typename": "Dataset", "id": { "a": [1] } }),
            json!({ "__typename": "Dataset", "id": null }),
            json!({ "__typename": "Dataset", "id": true }),
            json!({ "__typename": "Dataset", "namespace": 1, "name": "a" }),
            json!({ "__typename": "Dataset", "namespace": "ns", "name": ["a"] }),
            json!({ "__typename": 1 }),
            json!({ "id": "x" }),
            json!({ "index": 0, "representation": good }),
            json!("text"),
            json!([good]),
            json!(null),
        ] {
            let variables = json!({ "representations": [good, bad, good] });
            let answer = graph.app.answer(&graph.token(Role::Reader), ENTITIES, variables).await;
            let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{bad}: {answer:#}"));
            assert_eq!(errors.len(), 1, "{bad} {answer:#}");
            assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT", "{bad} {answer:#}");
            let path = errors[0]["path"].as_array().unwrap();
            assert_eq!(path[..2], [json!("_entities"), json!(1)], "{bad} {answer:#}");
            let entities = &answer["data"]["_entities"];
            assert_eq!(entities[1], Value::Null, "{bad}");
            for sibling in [0, 2] {
                assert_eq!(entities[sibling]["name"], "a", "{bad} {answer:#}");
            }
            assert_eq!(entities.as_array().unwrap().len(), 3);
        }
    });
}

/// One that fails, one that is missing, one malformed, one of an unknown type, among good ones: under
/// aliases, twice in a document, in line and from variables, and with keys of both kinds.
#[test]
fn each_error_has_the_place_of_its_representation() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let query = "query($r: [_Any!]!, $id: ID!, $from: DateTime!, $d: [_Any!]! = [{ __typename: \"Nothing\" }]) {
          first: _entities(representations: $r) { ... on Dataset { name } }
          again: _entities(representations: $r) { ... on Dataset { name } }
          ...inline
          defaulted: _entities(representations: $d) { __typename }
          single: _entities(representations: { __typename: \"Dataset\", id: $id }) { ...set }
          below: _entities(representations: [{ __typename: \"Nothing\" }, { __typename: \"Dataset\", id: $id }]) {
            ... on Dataset { name slaAttainment(from: $from, to: $from) { attained } runs(first: -1) { nodes { runId } } }
          }
        }
        fragment inline on Query { ... { inline: _entities(representations: [
          { __typename: \"Dataset\", id: $id, more: { of: \"this\" } }, { __typename: \"Nothing\" },
          { __typename: \"Dataset\", namespace: \"ns\", name: \"a\" }]) { ...set } } }
        fragment set on Dataset { name namespace }";
        let variables = json!({
            "id": id,
            "from": "2026-01-01T00:00:00Z",
            "r": [
                { "__typename": "Dataset", "id": id, "name": "another", "owners": [1] },
                { "__typename": "Dataset", "id": "01900000-0000-7000-8000-00000000ffff" },
                { "__typename": "Dataset", "id": "malformed" },
                { "__typename": "Nothing", "id": id },
                { "__typename": "Dataset", "namespace": "ns", "name": "a", "id": null },
                { "__typename": "Dataset", "namespace": "ns", "name": "a" },
            ],
        });
        let answer = graph.app.answer(&graph.token(Role::Reader), query, variables).await;
        let data = &answer["data"];
        let a = json!({ "name": "a" });
        for field in ["first", "again"] {
            let found = data[field].as_array().unwrap();
            assert_eq!(
                found[..4],
                [a.clone(), Value::Null, Value::Null, Value::Null],
                "{answer:#}"
            );
            assert_eq!(
                found[4..],
                [a.clone(), a.clone()],
                "a key of two fields goes before one of one"
            );
        }
        let set = json!({ "name": "a", "namespace": "ns" });
        assert_eq!(data["inline"], json!([set, null, set]), "{answer:#}");
        assert_eq!(data["single"], json!([set]), "{answer:#}");
        // What may not be null took its own entity with it, and no other.
        assert_eq!(data["below"], json!([null, null]), "{answer:#}");
        assert_eq!(data["defaulted"], json!([null]));
        let errors = answer["errors"].as_array().unwrap();
        let mut paths: Vec<_> = errors.iter().map(|error| error["path"].to_string()).collect();
        paths.sort_unstable();
        let place = |field: &str, index: usize| json!([field, index]).to_string();
        let mut expected = vec![
            place("inline", 1),
            place("defaulted", 0),
            place("below", 0),
            json!(["below", 1, "runs"]).to_string(),
            json!(["below", 1, "slaAttainment"]).to_string(),
        ];
        for field in ["first", "again"] {
            expected.extend([2, 3].map(|index| place(field, index)));
        }
        expected.sort_unstable();
        assert_eq!(paths, expected, "{answer:#}");
    });
}

// S10: each type, for a caller of another tenant and for one without the right.
#[test]
fn entities_are_refused_each_in_its_place() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let run = graph.succeed(&["a"], graph.ago(60)).await;
        let representations = json!([
            { "__typename": "Dataset", "id": id },
            { "__typename": "Dataset", "namespace": "ns", "name": "a" },
            { "__typename": "RefreshRun", "id": run },
            { "__typename": "Breach", "id": id },
        ]);
        let variables = json!({ "representations": representations });
        let mut without = TestApp::request(super::TENANT, Role::Reader);
        without.scopes = ScopeSet::default();
        let answer = graph.app.answer(&graph.app.sign(&without), ENTITIES, variables.clone()).await;
        assert_eq!(answer["data"]["_entities"], json!([null, null, null, null]));
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 4, "{answer:#}");
        assert!(errors.iter().all(|error| error["extensions"]["code"] == "FORBIDDEN"));
        let stranger = graph.app.token(STRANGER, Role::Reader);
        let data = graph.app.data(&stranger, ENTITIES, variables).await;
        assert_eq!(data["_entities"], json!([null, null, null, null]));
    });
}

/// N representations of one type are one statement for each thousand of them at the most, whichever
/// keys they have and however often they come; their order stays.
#[test]
fn representations_are_deduplicated_and_read_in_batches() {
    counted(async |graph, count| {
        fill(graph, 50).await;
        let by_id = {
            let query = "{ datasets(first: 200) { nodes { id name } } }";
            graph.read(query, json!({})).await["datasets"]["nodes"].clone()
        };
        let query = "query($r: [_Any!]!) { _entities(representations: $r) {
          ... on Dataset { name } ... on RefreshRun { id } } }";
        for times in [1, 10] {
            let mut representations = Vec::new();
            let mut expected = Vec::new();
            for _ in 0..times {
                for node in by_id.as_array().unwrap() {
                    let (id, name) = (&node["id"], &node["name"]);
                    representations.push(json!({ "__typename": "Dataset", "id": id }));
                    let natural =
                        json!({ "__typename": "Dataset", "namespace": "ns", "name": name });
                    representations.push(natural);
                    representations.push(json!({ "__typename": "RefreshRun", "id": id }));
                    expected.extend([
                        json!({ "name": name }),
                        json!({ "name": name }),
                        Value::Null,
                    ]);
                }
            }
            let (data, cost) = graph.cost(count, query, json!({ "r": representations })).await;
            assert_eq!(data["_entities"], Value::from(expected));
            // Datasets by id, datasets by name, runs.
            assert_eq!(cost, 3, "{} representations", representations.len());
        }
        // None of them is there, and each is asked for.
        let ids = (0..2_500).map(|_| graph.clock.new_id().to_string());
        let representations: Vec<_> =
            ids.map(|id| json!({ "__typename": "Dataset", "id": id })).collect();
        let (data, cost) = graph.cost(count, query, json!({ "r": representations })).await;
        assert!(data["_entities"].as_array().unwrap().iter().all(Value::is_null));
        assert!(cost <= 3, "{cost} statements");
    });
}
