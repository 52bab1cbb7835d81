//! Pages of datasets, against a slow filter and a slow sort in the test.

use std::cmp::Reverse;

use chrono::TimeDelta;
use drr::auth::policy::Role;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{Graph, STRANGER, string};
use crate::cluster::run;

const PAGE: &str =
    "query($first: Int, $after: String, $order: DatasetOrder, $filter: DatasetFilter) {
  datasets(first: $first, after: $after, order: $order, filter: $filter) {
    nodes {
      id name namespace description owners domain tags lifecycle
      freshness { status warnAt staleAt }
    }
    pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}";

const RANKS: [&str; 5] = ["STALE", "UNKNOWN", "WARN", "FRESH", "NOT_APPLICABLE"];

/// A filter in the test's own words.
type Slow = dyn Fn(&Value) -> bool;

impl Graph {
    async fn page(&self, first: i64, after: Option<&str>, order: &str, filter: &Value) -> Value {
        let variables = json!({ "first": first, "after": after, "order": order, "filter": filter });
        self.read(PAGE, variables).await["datasets"].take()
    }

    /// All pages of a list, one after the other.
    async fn walk(&self, first: i64, order: &str, filter: &Value) -> Vec<Value> {
        let (mut nodes, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.page(first, after.as_deref(), order, filter).await;
            assert_eq!(page["pageInfo"]["hasPreviousPage"], after.is_some());
            let more = page["pageInfo"]["hasNextPage"].as_bool().unwrap();
            let new = page["nodes"].as_array().unwrap();
            assert!(new.len() as i64 == first || !more, "{page:#}");
            nodes.extend(new.iter().cloned());
            if !more {
                return nodes;
            }
            after = Some(string(&page["pageInfo"]["endCursor"]).to_owned());
        }
    }

    /// Datasets of every kind there is, the same in every run.
    async fn assorted(&self, count: usize) -> Vec<Value> {
        let mut random = StdRng::seed_from_u64(7);
        let words =
            ["Orders", "ORDERS eu", "straße", "naïve", "ＦＵＬＬ", "İstanbul", "x_%", "日本"];
        for number in 0..count {
            let word = words[random.random_range(0..words.len())];
            // Many share a name, in namespaces of their own.
            let name = format!("{word} {}", random.random_range(0..8));
            let namespace = format!("ns{number}");
            let mut input = json!({ "namespace": namespace, "name": name });
            if random.random_bool(0.5) {
                input["domain"] = json!(["sales", "ops"][random.random_range(0..2)]);
            }
            if random.random_bool(0.5) {
                input["owners"] = json!([(["ann", "bob"][random.random_range(0..2)]), "team"]);
            }
            if random.random_bool(0.5) {
                input["tags"] = json!([(["pii", "gold"][random.random_range(0..2)])]);
            }
            if random.random_bool(0.3) {
                input["description"] = json!("All the Ｏrders\nof the day");
            }
            let id = self.register_with(input).await;
            if random.random_bool(0.8) {
                let limits = [
                    json!({ "warnAfterSeconds": 100 }),
                    json!({ "failAfterSeconds": 200 }),
                    json!({ "warnAfterSeconds": 100, "failAfterSeconds": 200 }),
                ];
                self.set_policy(&id, limits[random.random_range(0..3)].clone()).await;
            }
            if random.random_bool(0.8) {
                let event = crate::smoke::run_event(
                    "COMPLETE",
                    // Few instants, so that there are ties.
                    &super::text(self.ago(50 * random.random_range(0..8))),
                    &self.app.clock.new_id().to_string(),
                    &name,
                );
                let mut event = event;
                event["outputs"][0]["namespace"] = json!(namespace);
                let writer = self.token(Role::RuntimeWriter);
                let (status, report) = self.app.lineage(&writer, &event).await;
                assert_eq!(status, 201, "{report:#}");
            }
            if random.random_bool(0.1) {
                let input = json!({ "id": id });
                self.done("retireDataset", "status", input).await;
            }
        }
        let mut all = self.walk(200, "NAME", &json!({})).await;
        all.extend(self.walk(200, "NAME", &json!({ "lifecycle": "RETIRED" })).await);
        assert_eq!(all.len(), count);
        all
    }
}

fn ids(nodes: &[Value]) -> Vec<&str> {
    nodes.iter().map(|node| string(&node["id"])).collect()
}

fn by_name(nodes: &mut [Value]) {
    nodes.sort_by_key(|node| (string(&node["name"]).to_owned(), string(&node["id"]).to_owned()));
}

fn worst_first(nodes: &mut [Value]) {
    nodes.sort_by_key(|node| {
        let freshness = &node["freshness"];
        let rank = RANKS.iter().position(|rank| freshness["status"] == *rank).unwrap();
        let limit = |name: &str| freshness[name].as_str().map(str::to_owned);
        // Without a limit to warn at, the one to fail at; an end that never comes, last.
        let (warn, stale) = (limit("warnAt"), limit("staleAt"));
        let deadline = if rank == 0 { stale } else { warn.or(stale) };
        (rank, Reverse(deadline.is_some()), deadline, string(&node["id"]).to_owned())
    });
}

/// Every page size, order and filter gives what a slow filter and a slow sort of everything give.
#[test]
fn walking_all_pages_gives_each_dataset_once_in_order() {
    run(async {
        let graph = Graph::start().await;
        let all = graph.assorted(60).await;
        type Test = fn(&Value) -> bool;
        let active: Test = |node| node["lifecycle"] == "ACTIVE";
        let text = |node: &Value, part: &str| {
            ["namespace", "name", "description"].iter().any(|field| {
                let text = node[field].as_str().unwrap_or_default();
                drr::dataset::model::profile::normalised(text).contains(part)
            })
        };
        let filters: Vec<(Value, Box<Slow>)> = vec![
            (json!({}), Box::new(active)),
            (json!({ "lifecycle": "RETIRED" }), Box::new(|node| node["lifecycle"] == "RETIRED")),
            (json!({ "status": [] }), Box::new(active)),
            (
                json!({ "status": ["STALE", "FRESH"] }),
                Box::new(|node| {
                    let status = &node["freshness"]["status"];
                    node["lifecycle"] == "ACTIVE" && (status == "STALE" || status == "FRESH")
                }),
            ),
            (
                json!({ "status": ["UNKNOWN", "WARN", "NOT_APPLICABLE"] }),
                Box::new(|node| {
                    let status = &node["freshness"]["status"];
                    node["lifecycle"] == "ACTIVE" && status != "STALE" && status != "FRESH"
                }),
            ),
            (
                json!({ "owner": "ann", "status": ["STALE"] }),
                Box::new(move |node| {
                    active(node)
                        && node["owners"][0] == "ann"
                        && node["freshness"]["status"] == "STALE"
                }),
            ),
            (
                json!({ "domain": "sales" }),
                Box::new(move |node| active(node) && node["domain"] == "sales"),
            ),
            (
                json!({ "tag": "pii" }),
                Box::new(move |node| active(node) && node["tags"][0] == "pii"),
            ),
            (json!({ "tag": "pi" }), Box::new(|_| false)),
            (
                json!({ "text": "oRDERS" }),
                Box::new(move |node| active(node) && text(node, "orders")),
            ),
            (json!({ "text": "full" }), Box::new(move |node| active(node) && text(node, "full"))),
            (
                json!({ "text": "NAI\u{308}VE" }),
                Box::new(move |node| active(node) && text(node, "naïve")),
            ),
            (json!({ "text": "_%" }), Box::new(move |node| active(node) && text(node, "_%"))),
            (json!({ "text": "日" }), Box::new(move |node| active(node) && text(node, "日"))),
            (
                json!({ "text": "ns1", "domain": "ops", "tag": "gold", "owner": "team" }),
                Box::new(move |node| {
                    active(node)
                        && text(node, "ns1")
                        && node["domain"] == "ops"
                        && node["tags"][0] == "gold"
                        && node["owners"][1] == "team"
                }),
            ),
        ];
        for (filter, test) in filters {
            let mut expected: Vec<Value> = all.iter().filter(|node| test(node)).cloned().collect();
            for order in ["NAME", "WORST_FIRST"] {
                if order == "NAME" {
                    by_name(&mut expected);
                } else {
                    worst_first(&mut expected);
                }
                for first in [7, 200] {
                    let seen = graph.walk(first, order, &filter).await;
                    assert_eq!(ids(&seen), ids(&expected), "{order} {first} {filter}");
                }
            }
        }
        for order in ["NAME", "WORST_FIRST"] {
            let whole = graph.walk(200, order, &json!({})).await;
            for first in [1, 2] {
                let seen = graph.walk(first, order, &json!({})).await;
                assert_eq!(ids(&seen), ids(&whole), "{order} {first}");
            }
        }
    });
}

/// Between the pages of a list, datasets grow stale: none of them is lost, and none is there twice.
#[test]
fn a_status_that_changes_between_pages_moves_nothing() {
    run(async {
        let graph = Graph::start().await;
        for number in 0..9 {
            let name = format!("d{number}");
            let id = graph.register(&name).await;
            let limits = json!({ "warnAfterSeconds": 100, "failAfterSeconds": 200 });
            graph.set_policy(&id, limits).await;
            graph.succeed(&[&name], graph.ago(30 * number)).await;
        }
        let whole = graph.page(9, None, "WORST_FIRST", &json!({})).await;
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = graph.page(2, after.as_deref(), "WORST_FIRST", &json!({})).await;
            seen.extend(page["nodes"].as_array().unwrap().iter().cloned());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = Some(string(&page["pageInfo"]["endCursor"]).to_owned());
            graph.clock.advance(TimeDelta::seconds(60));
        }
        assert_eq!(ids(&seen), ids(whole["nodes"].as_array().unwrap()));
        // Asked anew, it is another order of statuses.
        let anew = graph.page(9, None, "WORST_FIRST", &json!({})).await;
        assert!(
            anew["nodes"].as_array().unwrap().iter().all(|n| n["freshness"]["status"] == "STALE")
        );
    });
}

#[test]
fn arguments_of_a_page_have_bounds() {
    run(async {
        let graph = Graph::start().await;
        graph.register("a").await;
        graph.register("b").await;
        let empty = graph.page(0, None, "NAME", &json!({})).await;
        assert_eq!(empty["nodes"], json!([]));
        assert_eq!(empty["pageInfo"]["hasNextPage"], true);
        for (first, code) in [(-1, "BAD_USER_INPUT"), (201, "LIMIT_EXCEEDED")] {
            assert_eq!(graph.read_code(PAGE, json!({ "first": first })).await, code);
        }
        let long = "x".repeat(257);
        for filter in [
            json!({ "owner": "a\u{0}" }),
            json!({ "domain": "a\u{0}" }),
            json!({ "tag": "a\u{0}" }),
            json!({ "text": "a\u{0}" }),
            json!({ "text": long }),
        ] {
            let code = graph.read_code(PAGE, json!({ "filter": filter })).await;
            assert_eq!(code, "BAD_USER_INPUT", "{filter}");
        }
        assert_eq!(graph.walk(9, "NAME", &json!({ "text": "x".repeat(256) })).await.len(), 0);
    });
}

/// A cursor is the caller's, who may do anything with it. // D42
#[test]
fn a_cursor_gives_nothing_but_a_place_in_its_own_list() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    run(async {
        let graph = Graph::start().await;
        for name in ["a", "b", "c"] {
            graph.register(name).await;
        }
        let cursor = async |order: &str| {
            let page = graph.page(1, None, order, &json!({})).await;
            string(&page["pageInfo"]["endCursor"]).to_owned()
        };
        let (name, worst) = (cursor("NAME").await, cursor("WORST_FIRST").await);
        let code = async |after: &str, order: &str| {
            graph.read_code(PAGE, json!({ "after": after, "order": order })).await
        };
        assert_eq!(code(&name, "WORST_FIRST").await, "BAD_USER_INPUT");
        assert_eq!(code(&worst, "NAME").await, "BAD_USER_INPUT");
        let id = "01900000-0000-7000-8000-000000000000";
        let made = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        for (after, order) in [
            (String::new(), "NAME"),
            ("!".to_owned(), "NAME"),
            (name[1..].to_owned(), "NAME"),
            (made(json!({ "n": { "name": "a\u{0}", "dataset_id": id } })), "NAME"),
            (made(json!({ "n": { "name": 1, "dataset_id": id } })), "NAME"),
            (made(json!({ "n": { "name": "a", "dataset_id": "' OR 1=1" } })), "NAME"),
            (
                made(json!({ "w": { "as_of": "+262142-01-01T00:00:00Z", "rank": 0,
                "deadline": "2026-01-01T00:00:00Z", "dataset_id": id } })),
                "WORST_FIRST",
            ),
            (
                made(json!({ "w": { "as_of": "2026-01-01T00:00:00Z", "rank": 0,
                "deadline": "-262142-01-01T00:00:00Z", "dataset_id": id } })),
                "WORST_FIRST",
            ),
        ] {
            assert_eq!(code(&after, order).await, "BAD_USER_INPUT", "{after}");
        }
        // What is well formed is a place, whoever made it.
        let far = made(json!({ "w": { "as_of": "2026-01-01T00:00:00Z", "rank": i32::MAX,
            "deadline": "2026-01-01T00:00:00Z", "dataset_id": id } }));
        let page = graph.page(9, Some(&far), "WORST_FIRST", &json!({})).await;
        assert_eq!(page["nodes"], json!([]));
        let low = made(json!({ "w": { "as_of": "2026-01-01T00:00:00Z", "rank": i32::MIN,
            "deadline": "2026-01-01T00:00:00Z", "dataset_id": id } }));
        let page = graph.page(9, Some(&low), "WORST_FIRST", &json!({})).await;
        assert_eq!(page["nodes"].as_array().unwrap().len(), 3);
        let stranger = graph.app.token(STRANGER, Role::Reader);
        for (after, order) in [(&name, "NAME"), (&worst, "WORST_FIRST"), (&low, "WORST_FIRST")] {
            let variables = json!({ "after": after, "order": order });
            let data = graph.app.data(&stranger, PAGE, variables).await;
            assert_eq!(data["datasets"]["nodes"], json!([]));
        }
    });
}
