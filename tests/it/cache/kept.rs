//! One answer after the other.

use chrono::TimeDelta;
use drr::auth::policy::{Role, ScopeSet};
use futures::future::join_all;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use sqlx::Row;

use super::{ask, rows};
use crate::{
    app::TestApp,
    cluster::run,
    graph::{Graph, STRANGER, TENANT},
};

const BOARD: &str = "query Board { datasets { nodes { name freshness { status nextChangeAt } refreshState { lastRunState } } } }";

/// Whether the database was asked for the call with this correlation id.
async fn was_read(app: &TestApp, name: &str) -> bool {
    let rows = rows(app, name).await;
    assert_eq!(rows.len(), 1, "one event of each call");
    rows[0] > 0
}

// D34: an answer that is kept is a call like any other.
#[test]
fn a_poll_is_answered_from_memory_until_something_is_written_and_audited_all_the_same() {
    run(async {
        let graph = Graph::start().await;
        let app = &graph.app;
        let id = graph.register("orders").await;
        let reader = graph.token(Role::Reader);
        let first = ask(app, &reader, BOARD, "first").await;
        assert_eq!(first, ask(app, &reader, BOARD, "second").await);
        assert!(was_read(app, "first").await && !was_read(app, "second").await);
        // Another token of the same role, and so the same rights.
        assert_eq!(first, ask(app, &graph.token(Role::Reader), BOARD, "third").await);
        assert!(!was_read(app, "third").await);

        let sql = "SELECT action, also, actor_id, document_hash, result
                     FROM audit_event WHERE correlation_id = $1";
        let mut admin = app.admin().await;
        let mut told = async |name: &str| {
            let row = sqlx::query(sql).bind(name).fetch_one(&mut admin).await.unwrap();
            let texts = ["action", "actor_id", "result"];
            let texts = texts.map(|column| row.get::<String, _>(column));
            (
                texts,
                row.get::<Option<Vec<String>>, _>("also"),
                row.get::<Vec<u8>, _>("document_hash"),
            )
        };
        assert_eq!(told("first").await, told("second").await);

        graph.succeed(&["orders"], graph.now()).await;
        let after = ask(app, &reader, BOARD, "fourth").await;
        assert!(was_read(app, "fourth").await);
        assert_eq!(
            after["data"]["datasets"]["nodes"][0]["refreshState"]["lastRunState"],
            "COMPLETED"
        );
        // About one dataset: the trail says of which, either way.
        let one = format!("{{ dataset(id: \"{id}\") {{ name }} }}");
        for name in ["fifth", "sixth"] {
            ask(app, &reader, &one, name).await;
        }
        let about = "SELECT count(*) FROM audit_event WHERE correlation_id IN ('fifth', 'sixth') AND dataset_id = $1";
        let id: uuid::Uuid = id.parse().unwrap();
        let count: i64 =
            sqlx::query_scalar(about).bind(id).fetch_one(&mut app.admin().await).await.unwrap();
        assert_eq!(count, 2);
        assert!(!was_read(app, "sixth").await);
        // A write of another tenant is none of this one's business.
        let registers =
            "mutation { registerDataset(input: { namespace: \"n\", name: \"x\" }) { status } }";
        app.data(&app.token(STRANGER, Role::TenantAdmin), registers, json!({})).await;
        ask(app, &reader, &one, "seventh").await;
        assert!(!was_read(app, "seventh").await);
        graph.app.stop().await;
    });
}

// D41, S10
#[test]
fn who_may_see_less_or_is_of_another_tenant_gets_their_own_whoever_came_first() {
    run(async {
        let graph = Graph::start().await;
        let app = &graph.app;
        graph.register("orders").await;
        let mut request = TestApp::request(TENANT, Role::Reader);
        request.scopes = ScopeSet::default();
        let unscoped = app.sign(&request);
        let tokens = [
            (app.token(TENANT, Role::Reader), 1),
            (app.token(STRANGER, Role::Reader), 0),
            (app.token(TENANT, Role::Auditor), 1),
        ];
        for _ in 0..2 {
            for (token, count) in &tokens {
                let answer = ask(app, token, BOARD, "x").await;
                assert_eq!(answer["data"]["datasets"]["nodes"].as_array().unwrap().len(), *count);
                let refused = ask(app, &unscoped, BOARD, "y").await;
                assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
            }
        }
        // What a caller's token says is nobody else's answer.
        let me = "{ me { actorId role } }";
        for role in [Role::Reader, Role::Auditor, Role::Reader] {
            let answer = ask(app, &app.token(TENANT, role), me, "me").await;
            assert_eq!(answer["data"]["me"]["role"], role.as_str());
        }
        graph.app.stop().await;
    });
}

// A status is never another one than the clock says.
#[test]
fn no_status_outlasts_its_instant() {
    run(async {
        let graph = Graph::start().await;
        let app = &graph.app;
        let id = graph.register("orders").await;
        graph.set_policy(&id, json!({ "warnAfterSeconds": 5, "failAfterSeconds": 8 })).await;
        let other = graph.register("others").await;
        graph.set_policy(&other, json!({ "warnAfterSeconds": 3, "failAfterSeconds": 3_600 })).await;
        graph.succeed(&["orders", "others"], graph.now()).await;
        let reader = graph.token(Role::Reader);
        let one = format!("{{ dataset(id: \"{id}\") {{ freshness {{ status }} }} }}");
        let summary = "{ freshnessSummary { fresh warn stale } }";
        let late = "{ datasets(filter: { status: [WARN, STALE] }, order: WORST_FIRST) { nodes { name } } }";
        let see = async |name: &str| {
            let status =
                ask(app, &reader, &one, name).await["data"]["dataset"]["freshness"]["status"]
                    .take();
            let counts = ask(app, &reader, summary, name).await["data"]["freshnessSummary"].take();
            let late = ask(app, &reader, late, name).await["data"]["datasets"]["nodes"].take();
            let late: Vec<_> = late
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned())
                .collect();
            let counts = ["fresh", "warn", "stale"].map(|of| counts[of].as_i64().unwrap());
            (status.as_str().unwrap().to_owned(), counts, late.join(" "))
        };
        let is = |status: &str, counts: [i64; 3], late: &str| {
            (status.to_owned(), counts, late.to_owned())
        };
        let micro = TimeDelta::microseconds(1);
        assert_eq!(see("0").await, is("FRESH", [2, 0, 0], ""));
        // A limit is still kept at exactly its instant.
        graph.clock.advance(TimeDelta::seconds(3));
        assert_eq!(see("3").await, is("FRESH", [2, 0, 0], ""));
        assert_eq!(rows(app, "3").await, [0, 0, 0], "kept");
        graph.clock.advance(micro);
        assert_eq!(see("3-later").await, is("FRESH", [1, 1, 0], "others"));
        let read = rows(app, "3-later").await;
        assert!(read[0] == 0 && read[1] > 0 && read[2] > 0, "{read:?}");
        graph.clock.advance(TimeDelta::seconds(2));
        assert_eq!(see("5-later").await, is("WARN", [0, 2, 0], "others orders"));
        graph.clock.advance(TimeDelta::seconds(3));
        assert_eq!(see("8-later").await, is("STALE", [0, 1, 1], "orders others"));
        graph.app.stop().await;
    });
}

#[test]
fn ages_are_of_the_last_second_and_nothing_is_kept_for_longer_than_is_set() {
    run(async {
        let graph = Graph::start().await;
        let app = &graph.app;
        let id = graph.register("orders").await;
        graph.succeed(&["orders"], graph.now()).await;
        let reader = graph.token(Role::Reader);
        let age =
            format!("{{ dataset(id: \"{id}\") {{ freshness {{ ageSeconds evaluatedAt }} }} }}");
        let first = ask(app, &reader, &age, "a").await;
        graph.clock.advance(TimeDelta::milliseconds(999));
        assert_eq!(ask(app, &reader, &age, "b").await, first);
        graph.clock.advance(TimeDelta::milliseconds(1));
        let later = ask(app, &reader, &age, "c").await;
        assert_eq!(later["data"]["dataset"]["freshness"]["ageSeconds"], 1);

        let name = format!("{{ dataset(id: \"{id}\") {{ name }} }}");
        ask(app, &reader, &name, "d").await;
        graph.clock.advance(TimeDelta::seconds(10) - TimeDelta::microseconds(1));
        ask(app, &reader, &name, "e").await;
        graph.clock.advance(TimeDelta::microseconds(1));
        ask(app, &reader, &name, "f").await;
        assert!(!was_read(app, "e").await && was_read(app, "f").await);

        // What tells of the trail, or judges by the clock without saying for how long, is never kept.
        let auditor = graph.token(Role::Auditor);
        let trail = "{ auditEvents(first: 1) { nodes { id } } }";
        assert_ne!(ask(app, &auditor, trail, "g").await, ask(app, &auditor, trail, "h").await);
        let anomalies =
            format!("{{ dataset(id: \"{id}\") {{ refreshState {{ anomalies {{ kind }} }} }} }}");
        for name in ["i", "j"] {
            ask(app, &reader, &anomalies, name).await;
            assert!(was_read(app, name).await);
        }
        graph.app.stop().await;
    });
}

#[test]
fn errors_are_not_kept_and_mutations_are_made_each_time() {
    run(async {
        let graph = Graph::start().await;
        let app = &graph.app;
        let reader = graph.token(Role::Reader);
        let broken = "{ datasets(after: \"x\") { nodes { name } } }";
        for name in ["a", "b"] {
            assert_eq!(
                ask(app, &reader, broken, name).await["errors"][0]["extensions"]["correlationId"],
                name
            );
        }
        let admin = graph.token(Role::TenantAdmin);
        let registers =
            "mutation { registerDataset(input: { namespace: \"n\", name: \"x\" }) { status } }";
        let mut statuses = Vec::new();
        for name in ["c", "d"] {
            statuses.push(
                ask(app, &admin, registers, name).await["data"]["registerDataset"]["status"].take(),
            );
        }
        assert_eq!(statuses, ["REGISTERED", "NAME_TAKEN"]);
        graph.app.stop().await;
    });
}

#[test]
fn whoever_polls_by_get_is_told_only_of_changes() {
    run(async {
        let graph = Graph::start().await;
        graph.register("orders").await;
        let get = async |known: Option<&str>| {
            let url = graph.app.public(
                "/graphql?query=%7B%20datasets%20%7B%20nodes%20%7B%20name%20%7D%20%7D%20%7D",
            );
            let mut request = graph.app.http.get(url).bearer_auth(graph.token(Role::Reader));
            if let Some(known) = known {
                request = request.header(header::IF_NONE_MATCH, known);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "private, no-cache");
            let tag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
            (answer.status(), tag, answer.text().await.unwrap())
        };
        let (status, tag, body) = get(None).await;
        assert_eq!((status, body.contains("orders")), (StatusCode::OK, true));
        assert_eq!(get(Some(&tag)).await, (StatusCode::NOT_MODIFIED, tag.clone(), String::new()));
        graph.register("payments").await;
        let (status, changed, body) = get(Some(&tag)).await;
        assert_eq!((status, body.contains("payments")), (StatusCode::OK, true));
        assert_ne!(changed, tag);
        graph.app.stop().await;
    });
}

#[test]
fn of_many_who_ask_at_once_one_asks_the_database() {
    run(async {
        let graph = Graph::start().await;
        let app = &graph.app;
        for name in 0..20 {
            graph.register(&format!("d{name}")).await;
        }
        let reader = graph.token(Role::Reader);
        let answers = join_all((0..50).map(|_| ask(app, &reader, BOARD, "crowd"))).await;
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        let rows = rows(app, "crowd").await;
        assert_eq!(rows.len(), 50);
        assert_eq!(rows.iter().filter(|rows| **rows > 0).count(), 1, "{rows:?}");
        graph.app.stop().await;
    });
}

/// Two instances on one database: what one writes, the other knows after a moment.
#[test]
fn another_instance_hears_of_writes() {
    run(async {
        let graph = Graph::start().await;
        let plan = crate::app::assembly(&graph.app.database, graph.clock.clone());
        let other = Box::pin(drr::app::App::start(plan)).await.unwrap();
        let id = graph.register("orders").await;
        let reader = graph.token(Role::Reader);
        let query = format!("{{ dataset(id: \"{id}\") {{ description }} }}");
        let url = format!("http://{}/graphql", other.public);
        let there = async || {
            let request = graph.app.http.post(&url).bearer_auth(&reader);
            let answer = request.json(&json!({ "query": query })).send().await.unwrap();
            answer.json::<Value>().await.unwrap()["data"]["dataset"]["description"].take()
        };
        for round in 0..5 {
            let before = there().await;
            let text = format!("round {round}");
            graph.done("updateDataset", "status", json!({ "id": id, "description": text })).await;
            // By the hand of its own clock it would keep the old one for good.
            let begun = std::time::Instant::now();
            let mut seen = there().await;
            while seen == before {
                assert!(
                    begun.elapsed() < std::time::Duration::from_secs(20),
                    "it never hears of it"
                );
                tokio::task::yield_now().await;
                seen = there().await;
            }
            assert_eq!(seen, text.as_str());
        }
        Box::pin(other.stop()).await;
        graph.app.stop().await;
    });
}
