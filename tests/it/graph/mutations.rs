//! Registering, changing and retiring datasets.

use drr::auth::policy::Role;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::Executor;

use super::{Audited, Graph, name_input, string};
use crate::cluster::run;

const ALL: &str = "status dataset {
  id namespace name version description owners domain tags lifecycle aliases { namespace name }
}";

/// No two datasets share a name or an alias, whichever came first.
#[test]
fn a_name_is_one_datasets_alone() {
    run(async {
        let graph = Graph::start().await;
        let a = json!({ "namespace": "ns", "name": "a", "aliases": [name_input("ns", "alias")] });
        let a = graph.register_with(a).await;
        for input in [
            json!({ "namespace": "ns", "name": "a" }),
            json!({ "namespace": "ns", "name": "alias" }),
            json!({ "namespace": "ns", "name": "b", "aliases": [name_input("ns", "a")] }),
            json!({ "namespace": "ns", "name": "b", "aliases": [name_input("ns", "alias")] }),
        ] {
            let before = graph.audit().await.len();
            let payload = graph.done("registerDataset", ALL, input.clone()).await;
            assert_eq!(payload["status"], "NAME_TAKEN", "{input}");
            assert_eq!(payload["dataset"]["id"], json!(a), "{input}");
            let event = Audited::new("dataset.register", Some(&a), "REJECTED", Some("CONFLICT"));
            assert_eq!(graph.audited_since(before).await, [event]);
        }
        // Nothing of what was refused is left: the name is free.
        let b = graph.register("b").await;
        for alias in ["a", "alias"] {
            let input =
                json!({ "id": b, "aliases": [name_input("ns", "free"), name_input("ns", alias)] });
            let payload = graph.done("updateDataset", ALL, input).await;
            assert_eq!(payload["status"], "NAME_TAKEN", "{alias}");
            assert_eq!(payload["dataset"]["aliases"], json!([]));
            assert_eq!(payload["dataset"]["version"], "1");
        }
        // An alias that is given up is free for others.
        graph.done("updateDataset", ALL, json!({ "id": a, "aliases": [] })).await;
        let input = json!({ "id": b, "aliases": [name_input("ns", "alias")] });
        assert_eq!(graph.done("updateDataset", ALL, input).await["status"], "UPDATED");
    });
}

#[test]
fn of_many_who_register_a_name_at_once_one_does() {
    run(async {
        let graph = Graph::start().await;
        let input = json!({ "namespace": "ns", "name": "a" });
        let all = join_all((0..8).map(|_| graph.done("registerDataset", ALL, input.clone()))).await;
        let registered = all.iter().filter(|payload| payload["status"] == "REGISTERED").count();
        assert_eq!(registered, 1, "{all:#?}");
        assert!(all.iter().all(|payload| payload["dataset"]["id"] == all[0]["dataset"]["id"]));
    });
}

#[test]
fn a_patch_leaves_what_it_does_not_name() {
    run(async {
        let graph = Graph::start().await;
        let full = json!({ "namespace": "ns", "name": "a", "description": "one", "owners": ["ann"],
            "domain": "sales", "tags": ["t"], "aliases": [name_input("ns", "x")] });
        let id = graph.register_with(full).await;
        let update = async |mut input: Value| {
            input["id"] = json!(id);
            let mut payload = graph.done("updateDataset", ALL, input).await;
            assert_eq!(payload["status"], "UPDATED", "{payload:#}");
            payload["dataset"].take()
        };
        let nothing = json!({ "description": null, "owners": null, "domain": null, "tags": null,
            "aliases": null, "clearDescription": false });
        for input in [json!({}), nothing] {
            let dataset = update(input).await;
            assert_eq!(dataset["description"], "one");
            assert_eq!(dataset["owners"], json!(["ann"]));
            assert_eq!(dataset["domain"], "sales");
            assert_eq!(dataset["tags"], json!(["t"]));
            assert_eq!(dataset["aliases"], json!([name_input("ns", "x")]));
        }
        let dataset = update(json!({ "clearDescription": true, "clearDomain": true, "owners": [],
            "tags": ["z", "b", "z"], "aliases": [name_input("ns", "z"), name_input("ns", "y")] }))
        .await;
        assert_eq!(dataset["description"], Value::Null);
        assert_eq!(dataset["domain"], Value::Null);
        assert_eq!(dataset["owners"], json!([]));
        assert_eq!(dataset["tags"], json!(["b", "z"]));
        assert_eq!(dataset["aliases"], json!([name_input("ns", "y"), name_input("ns", "z")]));
        assert_eq!(dataset["version"], "4");
        for input in [
            json!({ "id": id, "description": "two", "clearDescription": true }),
            json!({ "id": id, "domain": "ops", "clearDomain": true }),
        ] {
            assert_eq!(graph.refused("updateDataset", input).await.0, "BAD_USER_INPUT");
        }
        for (expected, status) in
            [("3", "VERSION_CONFLICT"), ("4", "UPDATED"), ("4", "VERSION_CONFLICT")]
        {
            let input = json!({ "id": id, "expectedVersion": expected, "description": "new" });
            let payload = graph.done("updateDataset", ALL, input).await;
            assert_eq!(payload["status"], status);
            assert_eq!(
                payload["dataset"]["version"].as_str().unwrap(),
                if status == "UPDATED" {
                    "5"
                } else if expected == "3" {
                    "4"
                } else {
                    "5"
                }
            );
        }
    });
}

/// Two changes in one request: the payload of each is of its own time.
#[test]
fn a_payload_shows_what_its_own_change_made() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let query = "mutation($id: ID!) {
          a: updateDataset(input: { id: $id, description: \"one\" }) { dataset { description version } }
          b: updateDataset(input: { id: $id, description: \"two\" }) { dataset { description version } }
          c: setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 9 } }) {
            dataset { freshness { status } freshnessPolicy { version } } }
          d: setFreshnessPolicy(input: { datasetId: $id, maxAge: { failAfterSeconds: 9 }, mode: INACTIVE }) {
            dataset { freshness { status } freshnessPolicy { version } } }
          e: retireDataset(input: { id: $id }) { dataset { lifecycle version } }
        }";
        let data =
            graph.app.data(&graph.token(Role::TenantAdmin), query, json!({ "id": id })).await;
        let expected = json!({
            "a": { "dataset": { "description": "one", "version": "2" } },
            "b": { "dataset": { "description": "two", "version": "3" } },
            "c": { "dataset": { "freshness": { "status": "UNKNOWN" }, "freshnessPolicy": { "version": 1 } } },
            "d": { "dataset": { "freshness": { "status": "NOT_APPLICABLE" }, "freshnessPolicy": { "version": 2 } } },
            "e": { "dataset": { "lifecycle": "RETIRED", "version": "4" } },
        });
        assert_eq!(data, expected);
    });
}

#[test]
fn a_retired_dataset_is_on_no_board_and_keeps_its_history() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        graph.set_policy(&id, json!({ "failAfterSeconds": 60 })).await;
        let input = json!({ "id": id, "expectedVersion": "7" });
        let payload = graph.done("retireDataset", ALL, input).await;
        assert_eq!(payload["status"], "VERSION_CONFLICT");
        for _ in 0..2 {
            let payload = graph.done("retireDataset", ALL, json!({ "id": id })).await;
            assert_eq!(payload["status"], "RETIRED");
            assert_eq!(payload["dataset"]["version"], "2");
        }
        assert_eq!(graph.refused("updateDataset", json!({ "id": id })).await.0, "CONFLICT");
        let run = graph.succeed(&["a"], graph.now()).await;
        let query = "query($id: ID!, $urn: String!) {
          datasets { nodes { id } } worst: datasets(order: WORST_FIRST) { nodes { id } }
          fresh: datasets(filter: { status: [FRESH] }) { nodes { id } }
          freshnessSummary { total }
          dataset(id: $id) { lifecycle refreshState { lastSuccessRunId } runs { nodes { runId } } }
          datasetByUrn(urn: $urn) { id }
        }";
        let urn = "urn:drr:dataset:acme:ns:a";
        let data = graph.read(query, json!({ "id": id, "urn": urn })).await;
        for list in ["datasets", "worst", "fresh"] {
            assert_eq!(data[list]["nodes"], json!([]), "{list}");
        }
        assert_eq!(data["freshnessSummary"]["total"], 0);
        assert_eq!(data["dataset"]["lifecycle"], "RETIRED");
        assert_eq!(data["dataset"]["refreshState"]["lastSuccessRunId"], json!(run));
        assert_eq!(data["dataset"]["runs"]["nodes"][0]["runId"], json!(run));
        assert_eq!(data["datasetByUrn"]["id"], json!(id));
        let payload = graph.done("registerDataset", ALL, name_input("ns", "a")).await;
        assert_eq!(payload["status"], "NAME_TAKEN");
    });
}

/// A run that is being recorded holds the dataset's key; a change of the dataset does not wait for
/// it, or the two could wait for each other.
#[test]
fn a_dataset_can_be_changed_while_its_runs_are_recorded() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let mut admin = graph.app.admin().await;
        admin.execute("BEGIN").await.unwrap();
        let sql = "SELECT FROM dataset_registry WHERE dataset_id = $1::uuid FOR KEY SHARE";
        sqlx::query(sql).bind(&id).execute(&mut admin).await.unwrap();
        graph.done("retireDataset", "status", json!({ "id": id })).await;
        admin.execute("ROLLBACK").await.unwrap();
    });
}

/// D34: a change and its audit event are there together or not at all.
#[test]
fn without_its_audit_event_there_is_no_change() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let mut admin = graph.app.admin().await;
        let look =
            "SELECT concat((SELECT jsonb_agg(r ORDER BY r.dataset_id) FROM dataset_registry r),
            (SELECT jsonb_agg(n ORDER BY n.name) FROM dataset_name n),
            (SELECT jsonb_agg(s ORDER BY s.dataset_id) FROM dataset_refresh_state s),
            (SELECT count(*) FROM freshness_policy), (SELECT count(*) FROM audit_event))";
        let before: String = sqlx::query_scalar(look).fetch_one(&mut admin).await.unwrap();
        for sql in [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'full'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION refuse()",
        ] {
            admin.execute(sql).await.unwrap();
        }
        for (field, input) in [
            (
                "registerDataset",
                json!({ "namespace": "ns", "name": "b", "aliases": [name_input("ns", "c")] }),
            ),
            (
                "updateDataset",
                json!({ "id": id, "description": "new", "aliases": [name_input("ns", "c")] }),
            ),
            ("retireDataset", json!({ "id": id })),
            ("setFreshnessPolicy", json!({ "datasetId": id, "maxAge": { "failAfterSeconds": 9 } })),
        ] {
            assert_eq!(graph.refused(field, input).await.0, "INTERNAL", "{field}");
            let after: String = sqlx::query_scalar(look).fetch_one(&mut admin).await.unwrap();
            assert_eq!(after, before, "{field}");
        }
    });
}

#[test]
fn every_change_leaves_one_audit_event() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let unknown = "01900000-0000-7000-8000-00000000ffff";
        let reader = graph.token(Role::Reader);
        for (field, action, input, missing) in [
            ("updateDataset", "dataset.update", json!({ "id": id }), json!({ "id": unknown })),
            (
                "setFreshnessPolicy",
                "freshness_policy.set",
                json!({ "datasetId": id, "maxAge": { "failAfterSeconds": 9 } }),
                json!({ "datasetId": unknown, "maxAge": { "failAfterSeconds": 9 } }),
            ),
            ("retireDataset", "dataset.retire", json!({ "id": id }), json!({ "id": unknown })),
        ] {
            let before = graph.audit().await.len();
            graph.done(field, "status", input.clone()).await;
            assert_eq!(graph.refused(field, missing).await.0, "NOT_FOUND");
            let kind = format!("{}{}", field[..1].to_uppercase(), &field[1..]);
            let query =
                format!("mutation($input: {kind}Input!) {{ {field}(input: $input) {{ status }} }}");
            assert_eq!(
                graph.app.code(&reader, &query, json!({ "input": input })).await,
                "FORBIDDEN"
            );
            let expected = [
                Audited::new(action, Some(&id), "SUCCESS", None),
                Audited::new(action, Some(unknown), "REJECTED", Some("NOT_FOUND")),
                Audited::new(action, Some(&id), "DENIED", Some("FORBIDDEN")),
            ];
            assert_eq!(graph.audited_since(before).await, expected);
        }
        let before = graph.audit().await.len();
        graph.refused("registerDataset", name_input("", "x")).await;
        let event = Audited::new("dataset.register", None, "REJECTED", Some("BAD_USER_INPUT"));
        assert_eq!(graph.audited_since(before).await, [event]);
    });
}

/// At each limit of the input it is taken, one beyond it is refused at its field.
#[test]
fn inputs_have_exact_limits() {
    run(async {
        let graph = Graph::start().await;
        let many = |count: usize| (0..count).map(|n| format!("x{n}")).collect::<Vec<_>>();
        let aliases = |count: usize| {
            (0..count).map(|n| name_input("alias", &n.to_string())).collect::<Vec<_>>()
        };
        let cases: [(&str, Value, Value); 9] = [
            ("namespace", json!("n".repeat(512)), json!("n".repeat(513))),
            ("name", json!("é".repeat(512)), json!("é".repeat(513))),
            ("description", json!("é".repeat(4_096)), json!("é".repeat(4_097))),
            ("owners", json!(many(16)), json!(many(17))),
            ("owners.0", json!(["é".repeat(128)]), json!(["é".repeat(129)])),
            ("domain", json!("d".repeat(63)), json!("d".repeat(64))),
            ("tags", json!(many(32)), json!(many(33))),
            ("tags.0", json!(["t".repeat(63)]), json!(["t".repeat(64)])),
            ("aliases", json!(aliases(16)), json!(aliases(17))),
        ];
        for (number, (field, most, more)) in cases.into_iter().enumerate() {
            let argument = field.split('.').next().unwrap();
            let mut input = name_input("ns", &format!("d{number}"));
            input[argument] = more;
            let (code, message) = graph.refused("registerDataset", input.clone()).await;
            assert_eq!(code, "BAD_USER_INPUT", "{field}");
            assert!(message.starts_with(&format!("{field}: ")), "{field}: {message}");
            input[argument] = most.clone();
            let selection = "status dataset { id namespace name description owners domain tags aliases { namespace name } }";
            let payload = graph.done("registerDataset", selection, input).await;
            assert_eq!(payload["status"], "REGISTERED", "{field}");
            let shown = &payload["dataset"][argument];
            if let Some(most) = most.as_array() {
                assert_eq!(shown.as_array().unwrap().len(), most.len());
            } else {
                assert_eq!(string(shown), string(&most));
            }
        }
    });
}
