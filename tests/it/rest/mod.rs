//! REST: the same as GraphQL by the same rights, its pages and tags, what it takes in, and the
//! document that describes it.

mod answers;
mod compare;
pub mod dbt;
mod openapi;
mod refresh_state;
mod schemathesis;

use drr::auth::policy::Role;
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::graph::{Graph, STRANGER, text};

const DATASETS: &str = "/storage/v1/datasets";

/// An answer, as far as these tests look at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub tag: Option<String>,
    /// The reference to the next page.
    pub next: Option<String>,
    pub body: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let header =
            |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, tag, link) = (response.status(), header(header::ETAG), header(header::LINK));
        assert_eq!(header(header::CACHE_CONTROL).as_deref(), Some("private, no-cache"));
        assert_eq!(header(header::VARY).as_deref(), Some("authorization"));
        let next = link.map(|link| {
            let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"");
            next.unwrap().to_owned()
        });
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Self { status, tag, next, body }
    }
}

/// Reads from the public listener.
pub async fn get(graph: &Graph, token: &str, path: &str) -> Answer {
    let request = graph.app.http.get(graph.app.public(path)).bearer_auth(token);
    Answer::of(request.send().await.unwrap()).await
}

/// The same by a caller who has the content with this tag already.
pub async fn get_if_not(graph: &Graph, token: &str, path: &str, tag: &str) -> Answer {
    let request = graph.app.http.get(graph.app.public(path)).bearer_auth(token);
    Answer::of(request.header(header::IF_NONE_MATCH, tag).send().await.unwrap()).await
}

/// What a refusal says: its status, its code, and where.
pub fn refusal(answer: &Answer) -> (u16, &str, Option<&str>) {
    let body = &answer.body;
    (answer.status.as_u16(), body["code"].as_str().unwrap_or_default(), body["field"].as_str())
}

/// A few datasets in every status, with all that can be known of one; the id of the one about which
/// everything is known.
pub async fn world(graph: &Graph) -> String {
    let full = json!({
        "namespace": "postgres://db:5432", "name": "public.orders é",
        "aliases": [{ "namespace": "ns", "name": "shop.orders" }],
        "description": "What was ordered.", "owners": ["team:sales"], "domain": "sales",
        "tags": ["daily", "gold"],
    });
    let id = graph.register_with(full).await;
    graph.set_policy(&id, json!({ "warnAfterSeconds": 60, "failAfterSeconds": 120 })).await;
    let writer = graph.token(Role::RuntimeWriter);
    for (index, kind) in ["START", "COMPLETE", "START", "FAIL"].into_iter().enumerate() {
        let at = text(graph.ago(100 - i64::try_from(index).unwrap()));
        let run = format!("0190a000-0000-7000-8000-00000000000{}", index / 2);
        let mut event = crate::smoke::run_event(kind, &at, &run, "");
        event["outputs"] = json!([{ "namespace": "ns", "name": "shop.orders", "outputFacets": {
            "outputStatistics": { "rowCount": 5_000_000_000_i64, "size": 7, "fileCount": 2 },
            "drr_sourceWatermark": { "at": at } } }]);
        if kind == "FAIL" {
            event["run"]["facets"] = json!({ "errorMessage": { "message": "disk full" } });
        }
        let (status, report) = graph.app.lineage(&writer, &event).await;
        assert_eq!(status, StatusCode::CREATED, "{report:#}");
    }
    let found = dbt::file(&json!([dbt::result("orders", "warn", 90)]));
    assert_eq!(dbt::import(graph, "ns", &found).await.0, StatusCode::OK);
    for (name, age) in [("fresh", Some(1)), ("stale", Some(500)), ("never", None), ("free", None)] {
        let id = graph.register(name).await;
        if name != "free" {
            graph.set_policy(&id, json!({ "failAfterSeconds": 120 })).await;
        }
        if let Some(age) = age {
            graph.succeed(&[name], graph.ago(age)).await;
        }
    }
    let retired = graph.register("retired").await;
    graph.done("retireDataset", "status", json!({ "id": retired })).await;
    // Nothing of this may ever be seen by the tenant, nor the other way round.
    let stranger = graph.app.token(STRANGER, Role::TenantAdmin);
    let foreign =
        "mutation { registerDataset(input: { namespace: \"ns\", name: \"foreign\" }) { status } }";
    graph.app.data(&stranger, foreign, json!({})).await;
    id
}
