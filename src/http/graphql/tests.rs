use std::{io, sync::Arc};

use async_graphql::{EmptySubscription, Json, Object, Schema};
use axum::Router;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::http::{
    Front, ListenerKind, assemble,
    tests::{limits, recorder},
};

struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }
    async fn echo(&self, value: Json<Value>) -> Json<Value> {
        value
    }
    async fn own(&self) -> Option<async_graphql::Result<i32>> {
        Some(Err(Error::NotFound("dataset").into()))
    }
    async fn shared(&self) -> Option<Result<i32, Arc<Error>>> {
        Some(Err(Arc::new(Error::internal("the secret reason"))))
    }
    async fn foreign(&self) -> Option<async_graphql::Result<i32>> {
        Some(Err(io::Error::other("the secret reason").into()))
    }
    async fn fatal(&self) -> Result<i32, Error> {
        Err(Error::Forbidden)
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn change(&self) -> bool {
        true
    }
}

#[derive(Clone)]
struct Toy(Schema<Query, Mutation, EmptySubscription>);

impl Executor for Toy {
    type Caller = (TenantId, Option<HeaderValue>);

    async fn authenticate(&self, parts: &Parts) -> Result<Self::Caller, Error> {
        match parts.headers.get("x-toy") {
            Some(toy) if toy == "stranger" => Err(Error::Unauthenticated),
            toy => Ok((TenantId::parse("acme").unwrap(), toy.cloned())),
        }
    }

    fn tenant<'a>(&self, caller: &'a Self::Caller) -> &'a TenantId {
        &caller.0
    }

    async fn execute(&self, caller: Self::Caller, admitted: Admitted) -> Result<Executed, Error> {
        match caller.1 {
            Some(toy) if toy == "forbidden" => Err(Error::Forbidden),
            _ => Ok(self.0.execute(admitted.request).await.into()),
        }
    }
}

fn intake() -> Intake {
    let taken = Taken { persisted: true, only_trusted: false };
    Intake::new(&limits(), Trusted::default(), taken)
}

fn app() -> Router {
    with_intake(intake())
}

fn with_intake(intake: Intake) -> Router {
    let toy = Toy(Schema::new(Query, Mutation, EmptySubscription));
    let routes = Router::new().route("/graphql", route(toy, intake, &limits()));
    let clock = Arc::new(crate::clock::SystemClock);
    assemble(routes, Front::new(ListenerKind::Public, clock, &limits(), recorder()))
}

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Value,
}

async fn send(request: Request) -> Answer {
    let (parts, body) = app().oneshot(request).await.unwrap().into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn request(method: Method, uri: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");
const GRAPHQL: (&str, &str) = ("accept", "application/graphql-response+json");

async fn post(headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let headers: Vec<_> = [JSON].iter().chain(headers).copied().collect();
    send(request(Method::POST, "/graphql", &headers, body)).await
}

async fn query(headers: &[(&str, &str)], document: &str) -> Answer {
    post(headers, json!({ "query": document }).to_string()).await
}

async fn get(parameters: &[(&str, &str)]) -> Answer {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    send(request(Method::GET, &format!("/graphql?{query}"), &[GRAPHQL], Body::empty())).await
}

fn assert_coded(answer: &Answer, status: u16, code: &str) {
    let (extensions, body) = (&answer.body["errors"][0]["extensions"], &answer.body);
    assert_eq!((answer.status, extensions["code"].as_str()), (status, Some(code)), "{body}");
    assert_eq!(extensions["correlationId"], answer.headers["x-correlation-id"].to_str().unwrap());
}

#[tokio::test]
async fn both_methods_and_both_media_types() {
    for answer in [
        query(&[], "{ hello }").await,
        query(&[GRAPHQL], "query A { hello }").await,
        get(&[("query", "{ hello }"), ("variables", "{}"), ("extensions", "null")]).await,
        post(&[], r#"{"query":"{hello}","variables":null,"operationName":null,"extensions":null}"#)
            .await,
    ] {
        assert_eq!((answer.status, &answer.body), (200, &json!({"data": {"hello": "world"}})));
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    let plain = query(&[], "{ hello }").await;
    assert_eq!(plain.headers["content-type"], "application/json; charset=utf-8");
    let graphql = query(&[GRAPHQL], "{ hello }").await;
    assert!(graphql.headers["content-type"].to_str().unwrap().starts_with(GRAPHQL.1));
}

#[tokio::test]
async fn only_json_comes_in_and_only_json_goes_out() {
    let body = json!({"query": "{ hello }"}).to_string();
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "x"]
    {
        let request = request(Method::POST, "/graphql", &[("content-type", kind)], body.clone());
        assert_coded(&send(request).await, 415, "BAD_USER_INPUT");
    }
    let untyped = request(Method::POST, "/graphql", &[], body.clone());
    assert_coded(&send(untyped).await, 415, "BAD_USER_INPUT");
    assert_coded(&post(&[("accept", "text/html")], body).await, 406, "BAD_USER_INPUT");
}

#[tokio::test]
async fn mutations_come_by_post_only() {
    for document in ["mutation { change }", "query A { hello } mutation B { change }"] {
        let answer = get(&[("query", document), ("operationName", "B")]).await;
        assert_coded(&answer, 405, "BAD_USER_INPUT");
        assert_eq!(answer.headers["allow"], "POST");
    }
    let chosen = [("query", "query A { hello } mutation B { change }"), ("operationName", "A")];
    assert_eq!(get(&chosen).await.body["data"]["hello"], "world");
    assert_eq!(query(&[], "mutation { change }").await.body["data"]["change"], true);
    let answer = send(request(Method::PUT, "/graphql", &[JSON], "{}")).await;
    assert_coded(&answer, 405, "BAD_USER_INPUT");
    assert_eq!(answer.headers["allow"], "GET, POST");
}

#[tokio::test]
async fn malformed_requests() {
    for body in [
        "",
        "{",
        "null",
        "7",
        "{}",
        r#"{"query":7}"#,
        r#"{"query":"{hello}","variables":"x"}"#,
        r#"{"query":"{hello}","variables":[]}"#,
        r#"{"query":"{hello}","operationName":7}"#,
        r#"{"query":"{hello}","extensions":[]}"#,
        r#"{"query":"{hello}","query":"{hello}"}"#,
        r#"[{"query":"{hello}"}]"#,
        " [",
    ] {
        assert_coded(&post(&[], body).await, 400, "BAD_USER_INPUT");
    }
    let batch = post(&[], r#"[{"query":"{hello}"}]"#).await;
    assert!(batch.body["errors"][0]["message"].as_str().unwrap().contains("batches"));
    assert_coded(&get(&[]).await, 400, "BAD_USER_INPUT");
    assert_coded(&get(&[("query", "{hello}"), ("variables", "{")]).await, 400, "BAD_USER_INPUT");
    assert_coded(&get(&[("query", "{hello}"), ("query", "{own}")]).await, 400, "BAD_USER_INPUT");
}

#[tokio::test]
async fn the_status_of_a_refused_document_follows_the_media_type() {
    for document in [
        "{",
        "{ unknown }",
        "{ hello(x: 1) }",
        "{ hello(x: \"",
        "query A { hello } query B { hello }",
    ] {
        let plain = query(&[], document).await;
        assert_coded(&plain, 200, "BAD_USER_INPUT");
        let graphql = query(&[GRAPHQL], document).await;
        assert_coded(&graphql, 400, "BAD_USER_INPUT");
        assert!(plain.body.get("data").is_none() && graphql.body.get("data").is_none());
    }
}

#[tokio::test]
async fn errors_of_execution_keep_their_code_and_hide_their_cause() {
    for (document, code, data) in [
        ("{ own hello }", "NOT_FOUND", json!({"own": null, "hello": "world"})),
        ("{ shared }", "INTERNAL", json!({"shared": null})),
        ("{ foreign }", "INTERNAL", json!({"foreign": null})),
        ("{ fatal }", "FORBIDDEN", json!(null)),
    ] {
        let answer = query(&[GRAPHQL], document).await;
        assert_coded(&answer, 200, code);
        assert_eq!(answer.body["data"], data);
        assert!(!answer.body.to_string().contains("secret"), "{}", answer.body);
    }
}

// D4
#[tokio::test]
async fn strangers_are_told_how_to_introduce_themselves() {
    let answer = query(&[("x-toy", "stranger")], "{ hello }").await;
    assert_coded(&answer, 401, "UNAUTHENTICATED");
    assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"drr\"");
    let answer = query(&[("x-toy", "stranger"), ("authorization", "Bearer x")], "{ hello }").await;
    assert!(answer.headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    assert_coded(&query(&[("x-toy", "forbidden")], "{ hello }").await, 403, "FORBIDDEN");
}

/// 4 KB that would overflow the stack of the parser, on a stack as tokio's workers have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nesting_does_not_reach_the_parser() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{ echo(value: {}1{}) }}", open.repeat(depth), close.repeat(depth))
    };
    // 400 to 800 levels is where the parser itself overflows a debug build's stack.
    let lists = [65, 500, 2_000].map(|depth| nested("[", "]", depth));
    let objects = [500, 2_000].map(|depth| nested("{a:", "}", depth));
    let documents = lists.into_iter().chain(objects).chain(["{".repeat(4_000)]);
    for document in documents {
        let answer = tokio::spawn(async move { query(&[], &document).await }).await.unwrap();
        assert_coded(&answer, 413, "LIMIT_EXCEEDED");
        let message = answer.body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("limits.graphql_document_depth = 64"), "{message}");
    }
    let fits = nested("[", "]", 60);
    let answer = tokio::spawn(async move { query(&[], &fits).await }).await.unwrap();
    assert!(answer.body["data"]["echo"].is_array(), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn variables_are_as_deep_as_json_may_be() {
    for (depth, status) in [(120, 200), (200, 400), (50_000, 413)] {
        let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let document = "query($v: JSON!) { echo(value: $v) }";
        let body = format!(r#"{{"query":"{document}","variables":{{"v":{value}}}}}"#);
        let answer = tokio::spawn(async move { post(&[], body).await }).await.unwrap();
        assert_eq!(answer.status, status, "{depth}: {}", answer.body);
        assert_eq!(answer.body.get("errors").is_some(), status != 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_large_body_is_refused_by_name() {
    let answer = query(&[], &"#".repeat(300_000)).await;
    assert_coded(&answer, 413, "LIMIT_EXCEEDED");
    assert!(answer.body.to_string().contains("limits.graphql_body_bytes = 262144"));
}
