//! Random people who do random things at two instances at once: the log of what happened, in the order in which
//! it was committed, never tells of something that must not be. // S6

use std::collections::BTreeMap;

use drr::auth::policy::Role;
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::{Desk, TENANT, record};
use crate::{
    app::TestApp,
    cluster::{Database, run},
};

const PEOPLE: usize = 8;
const DEEDS: usize = 30;
const NAMES: [&str; 2] = ["tenant.acme.sales.Order", "tenant.acme.sales.Refund"];
const KINDS: [&str; 5] = ["ACTIVATE", "DEPRECATE", "REACTIVATE", "RETIRE", "EXPOSE"];

/// Somebody who may do everything, by two tokens under one subject.
struct Person {
    author: String,
    approver: String,
    chance: StdRng,
}

impl Person {
    fn new(app: &TestApp, at: usize) -> Self {
        let token = |role| {
            let mut request = TestApp::request(TENANT, role);
            request.subject = format!("person-{}", at % 3);
            app.sign(&request)
        };
        Self {
            author: token(Role::SchemaAdmin),
            approver: token(Role::GovernanceApprover),
            chance: StdRng::seed_from_u64(at as u64),
        }
    }

    /// Does something; answers how that ended.
    async fn act(&mut self, app: &TestApp, schemas: &[String]) -> String {
        let waiting = "{ pendingApprovals(first: 20) { nodes { id } } }";
        let waiting = app.data(&self.author, waiting, json!({})).await;
        let waiting = waiting["pendingApprovals"]["nodes"].as_array().unwrap().clone();
        let open = waiting.choose(&mut self.chance).map(|node| node["id"].clone());
        let schema = schemas.choose(&mut self.chance).unwrap();
        let number = self.chance.random_range(1..6);
        let (version, kind) =
            (format!("{schema}@{number}"), *KINDS.choose(&mut self.chance).unwrap());
        let fields: Vec<_> =
            ["a", "b", "c", "d"].into_iter().filter(|_| self.chance.random_bool(0.5)).collect();
        let text = record("R", &fields);
        let (token, document, variables) = match (self.chance.random_range(0..10), open) {
            (0 | 1, _) => (&self.author, "mutation($s: ID!, $c: String!) {
                draftSchemaVersion(input: { schemaId: $s, content: $c }) { status } }",
                json!({ "s": schema, "c": text })),
            (2, _) => (&self.author, "mutation($s: ID!, $n: Int!, $c: String!) {
                draftSchemaVersion(input: { schemaId: $s, number: $n, content: $c }) { status } }",
                json!({ "s": schema, "n": number, "c": text })),
            (3, Some(id)) => (&self.approver, "mutation($id: ID!) {
                rejectSchemaTransition(input: { id: $id, reason: \"no\" }) { refused } }", json!({ "id": id })),
            (4, Some(id)) => (&self.author, "mutation($id: ID!) {
                withdrawSchemaTransition(input: { id: $id }) { refused } }", json!({ "id": id })),
            (5..=7, Some(id)) => (&self.approver, "mutation($id: ID!) {
                approveSchemaTransition(input: { id: $id }) { refused } }", json!({ "id": id })),
            (8, _) => (&self.author, "mutation($v: ID!, $k: SchemaTransitionKind!) {
                proposeSchemaTransition(input: { versionId: $v, kind: $k, supersede: true }) { refused } }",
                json!({ "v": version, "k": kind })),
            _ => (&self.author, "mutation($v: ID!, $k: SchemaTransitionKind!) {
                proposeSchemaTransition(input: { versionId: $v, kind: $k }) { refused } }",
                json!({ "v": version, "k": kind })),
        };
        let answer = app.answer(token, document, variables).await;
        if let Some(code) = answer["errors"][0]["extensions"]["code"].as_str() {
            // Of what is not there, or was there a moment ago.
            assert!(["NOT_FOUND", "CONFLICT"].contains(&code), "{document}: {answer:#}");
            return code.to_owned();
        }
        let payload = answer["data"].as_object().unwrap().values().next().unwrap();
        let ended = payload.as_object().unwrap().values().next().unwrap();
        ended.as_str().unwrap_or("DONE").to_owned()
    }
}

/// What the log has told of a version so far.
#[derive(Debug, Default, Clone)]
struct Told {
    state: String,
    content: String,
    /// The open request, what it is for, and who made it.
    open: Option<(String, String, String)>,
    visible: bool,
}

/// Follows the log; panics at what must not be.
fn follow(events: &[Value]) -> BTreeMap<(String, i64), Told> {
    let mut versions: BTreeMap<(String, i64), Told> = BTreeMap::new();
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for event in events {
        let kind = event["type"].as_str().unwrap();
        let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
        let Some(number) = event["version"]["number"].as_i64() else { continue };
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let schema = text("schema");
        let key = (schema.clone(), number);
        if kind == "schema_version.drafted" {
            let highest = last.entry(schema).or_default();
            if !versions.contains_key(&key) {
                assert_eq!(number, *highest + 1, "numbers go up by one, and none comes again");
                *highest = number;
                versions.insert(key.clone(), Told { state: "DRAFT".to_owned(), ..Told::default() });
            }
            let told = versions.get_mut(&key).unwrap();
            assert_eq!(told.state, "DRAFT", "{key:?}: written when it was frozen");
            told.content = text("contentHash");
            continue;
        }
        let told = versions.get_mut(&key).unwrap_or_else(|| panic!("{key:?} was never drafted"));
        assert_eq!(told.content, text("contentHash"), "{key:?}: {kind} of another content");
        let request = text("transitionId");
        if kind == "schema_transition.proposed" {
            assert!(told.open.is_none(), "{key:?}: two open requests");
            assert!(told.state != "DRAFT" || text("kind") == "ACTIVATE", "{key:?}: {data}");
            told.open = Some((request, text("kind"), text("requestedBy")));
        } else {
            let (open, asked, by) =
                told.open.take().unwrap_or_else(|| panic!("{key:?}: {kind} of nothing"));
            assert_eq!(
                (open, &asked, &by),
                (request, &text("kind"), &text("requestedBy")),
                "{key:?}"
            );
            let before = told.state.as_str();
            let after = match (kind, asked.as_str(), before) {
                ("schema_transition.approved", "ACTIVATE", "PROPOSED")
                | ("schema_transition.approved", "REACTIVATE", "DEPRECATED") => "ACTIVE",
                ("schema_transition.approved", "DEPRECATE", "ACTIVE") => "DEPRECATED",
                ("schema_transition.approved", "RETIRE", "DEPRECATED") => "RETIRED",
                ("schema_transition.approved", "EXPOSE", "ACTIVE" | "DEPRECATED") => {
                    assert!(!std::mem::replace(&mut told.visible, true), "{key:?}: exposed twice");
                    before
                }
                ("schema_transition.approved", ..) => panic!("{key:?}: {asked} from {before}"),
                (_, "ACTIVATE", "PROPOSED") => "DRAFT",
                _ => before,
            };
            if kind == "schema_transition.approved" {
                assert_ne!(text("decidedBy"), by, "{key:?}: by who asked");
            }
            assert_eq!(text("state"), after, "{key:?}: {kind}");
        }
        told.state = text("state");
    }
    versions
}

#[test]
fn nobody_brings_a_version_where_it_must_not_be() {
    run(async {
        let app = TestApp::start().await;
        let database = Database { cluster: app.database.cluster, name: app.database.name.clone() };
        // Both keep contents at the same place.
        let (objects, keys) = (app.objects.clone(), crate::app::vault_of(&app.objects));
        let other = TestApp::launch(database, app.clock.clone(), |assembly| {
            assembly.vault.objects = objects;
            assembly.vault.keys = keys;
        });
        let other = other.await.unwrap();
        let desk = Desk::of(&app, TENANT);
        let schemas =
            [desk.register(NAMES[0], "AVRO").await, desk.register(NAMES[1], "AVRO").await];
        let people = (0..PEOPLE).map(|at| {
            let (app, schemas) = (if at % 2 == 0 { &app } else { &other }, &schemas);
            async move {
                let mut person = Person::new(app, at);
                let mut ends: BTreeMap<String, usize> = BTreeMap::new();
                for _ in 0..DEEDS {
                    *ends.entry(person.act(app, schemas).await).or_default() += 1;
                }
                ends
            }
        });
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for (end, count) in join_all(people).await.into_iter().flatten() {
            *ends.entry(end).or_default() += count;
        }
        let mut events = Vec::new();
        let mut after = Value::Null;
        loop {
            let page = "query($a: String) { schemaEvents(first: 200, after: $a) {
                nodes { type data version { number } } pageInfo { endCursor hasNextPage } } }";
            let mut page =
                app.data(&desk.author, page, json!({ "a": after })).await["schemaEvents"].take();
            events.append(page["nodes"].as_array_mut().unwrap());
            after = page["pageInfo"]["endCursor"].take();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        let told = follow(&events);
        // What is there is what the log comes to.
        for ((schema, number), told) in &told {
            let is = desk.version(&format!("{schema}@{number}")).await;
            assert_eq!(
                (&is["state"], &is["contentHash"]),
                (&json!(told.state), &json!(told.content))
            );
        }
        println!("{} events, {} versions, {ends:?}", events.len(), told.len());
        let seen = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        assert!(
            seen("schema_transition.approved") > 3 && seen("schema_transition.rejected") > 0,
            "{ends:?}"
        );
        assert!(ends.contains_key("OWN_REQUEST") && ends.contains_key("WRONG_STATE"), "{ends:?}");
        other.stop().await;
        app.stop().await;
    });
}

#[test]
fn what_must_not_be_is_seen() {
    let event = |kind: &str, content: &str, more: Value| {
        let mut data = json!({ "schema": NAMES[0], "contentHash": content, "transitionId": "t",
            "kind": "ACTIVATE", "requestedBy": "a" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "type": kind, "version": { "number": 1 }, "data": data.to_string() })
    };
    let drafted = event("schema_version.drafted", "x", json!({}));
    let proposed = event("schema_transition.proposed", "x", json!({ "state": "PROPOSED" }));
    let approved = |by: &str| {
        event("schema_transition.approved", "x", json!({ "state": "ACTIVE", "decidedBy": by }))
    };
    assert_eq!(follow(&[drafted.clone(), proposed.clone(), approved("b")]).len(), 1);
    let rewritten = event("schema_version.drafted", "y", json!({}));
    let of_other =
        event("schema_transition.approved", "y", json!({ "state": "ACTIVE", "decidedBy": "b" }));
    for wrong in [
        vec![drafted.clone(), proposed.clone(), approved("a")],
        vec![drafted.clone(), approved("b")],
        vec![drafted.clone(), proposed.clone(), rewritten],
        vec![drafted.clone(), proposed.clone(), of_other],
        vec![drafted, proposed.clone(), proposed],
    ] {
        assert!(std::panic::catch_unwind(|| follow(&wrong)).is_err(), "{wrong:#?}");
    }
}
