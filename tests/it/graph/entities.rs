//! `_entities`: what a gateway asks for by key.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::{Graph, STRANGER, string};
use crate::cluster::run;

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

/// What no resolver knows is a coded error, and neither a panic nor an internal one.
#[test]
fn a_representation_that_says_nothing_is_bad_input() {
    run(async {
        let graph = Graph::start().await;
        for representation in [
            json!({ "__typename": "Nothing", "id": "x" }),
            json!({ "__typename": "Dataset" }),
            json!({ "__typename": "Dataset", "namespace": "ns" }),
            json!({ "__typename": "Dataset", "id": { "a": [1] } }),
            json!({ "__typename": 1 }),
            json!({ "id": "x" }),
            json!("text"),
            json!(null),
        ] {
            let variables = json!({ "representations": [representation] });
            let answer = graph.app.answer(&graph.token(Role::Reader), ENTITIES, variables).await;
            let error = &answer["errors"][0];
            assert_eq!(
                error["extensions"]["code"], "BAD_USER_INPUT",
                "{representation} {answer:#}"
            );
        }
    });
}
