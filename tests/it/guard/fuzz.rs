//! Raw request bodies, made of real ones and of nothing at all, against the real service.
//!
//! `DRR_TEST_FUZZ_SECONDS` says for how long. A failure is made smaller and printed.

use std::time::{Duration, Instant};

use drr::auth::policy::Role;
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::hostile::hostile;
use crate::{app::TestApp, cluster::run, door::pool::metric};

const SECONDS: u64 = 15;
/// No answer is larger: there is no data, and refusals are short.
const LARGEST_ANSWER: usize = 512 << 10;
/// No answer takes longer, in a debug build on a machine that others use too.
const SLOWEST_ANSWER: Duration = Duration::from_secs(60);

/// Documents as clients send them.
const REAL: [&str; 8] = [
    "{ me { role tenantId } }",
    "query B($first: Int, $after: String) { datasets(order: WORST_FIRST, first: $first, after: $after)
      { nodes { id name freshness { status ageSeconds } ...r } pageInfo { hasNextPage endCursor } } }
      fragment r on Dataset { runs(first: 3) { nodes { runId state } } }",
    "query E($r: [_Any!]!) { _entities(representations: $r) { ... on Dataset { name } } }",
    "{ __schema { types { name fields { name args { name type { name ofType { name } } } } } } }",
    "{ datasetByUrn(urn: \"urn:drr:dataset:acme:warehouse:sales.orders\") { name @skip(if: false) } }",
    "mutation R($i: RegisterDatasetInput!) { registerDataset(input: $i) { status dataset { id } } }",
    "{ freshnessSummary { fresh warn } breaches(first: 2) { nodes { level } } _service { sdl } }",
    "query($v: [String!] = [\"a\"], $n: [[Int]] = [[1]]) { datasets(tags: $v) { nodes { name } } }",
];

/// Pieces of the grammar, and what has hurt before.
const PIECES: [&str; 28] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "...",
    "...f ",
    "$v",
    "@skip(if: true)",
    "\"",
    "\"\"\"",
    "\\",
    "#",
    "fragment f on Query { ...f }",
    "a: ",
    "null",
    "-1e999",
    "\u{0}",
    "\u{202e}",
    "query Q",
    "subscription",
    "[Nope] = [1]",
    ": 99999999999999999999",
    "__typename",
    "first: -1",
    "_Any",
    "\\ud800",
];

#[derive(Debug, Clone)]
enum Change {
    Insert(Index, &'static str),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Flip(Index, u8),
    Swap(Index, Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), select(&PIECES[..])).prop_map(|(at, piece)| Change::Insert(at, piece)),
        2 => (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Change::Remove(at, length)),
        2 => (any::<Index>(), 1_usize..60, 2_usize..400)
            .prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Flip(at, byte)),
        1 => (any::<Index>(), any::<Index>(), 1_usize..30)
            .prop_map(|(one, other, length)| Change::Swap(one, other, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let piece =
        |bytes: &[u8], at: usize, length: usize| bytes[at..bytes.len().min(at + length)].to_vec();
    let place = |bytes: &[u8], at: &Index| at.index(bytes.len() + 1);
    match change {
        Change::Insert(at, piece) => {
            let at = place(bytes, at);
            bytes.splice(at..at, piece.bytes());
        }
        Change::Remove(at, length) => {
            let at = place(bytes, at);
            bytes.drain(at..bytes.len().min(at + length));
        }
        Change::Repeat(at, length, times) => {
            let at = place(bytes, at);
            let again = piece(bytes, at, *length).repeat(*times);
            bytes.splice(at..at, again);
        }
        Change::Flip(at, byte) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        Change::Flip(..) => {}
        Change::Swap(one, other, length) => {
            let moved = piece(bytes, place(bytes, one), *length);
            let other = place(bytes, other);
            bytes.splice(other..other, moved);
        }
    }
}

/// A real request, its document or its whole body changed; a hostile one, changed; or any bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let variables = json!({
        "first": 5, "v": ["x"], "r": [{ "__typename": "Dataset", "id": "x" }],
        "i": { "namespace": "warehouse", "name": "sales.orders" },
    });
    let whole = move |query: &str| json!({ "query": query, "variables": variables });
    let real: Vec<Value> = REAL.iter().map(|query| whole(query)).collect();
    let hurting: Vec<Value> = hostile().into_iter().map(|(_, body, _)| body).collect();
    let changes = || prop::collection::vec(change(), 0..6);
    let changed = |body: Value, changes: Vec<Change>| {
        let mut bytes = body.to_string().into_bytes();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        bytes
    };
    let document = |mut body: Value, changes: Vec<Change>| {
        let mut text = body["query"].as_str().unwrap().as_bytes().to_vec();
        changes.iter().for_each(|change| apply(&mut text, change));
        body["query"] = String::from_utf8_lossy(&text).into();
        body.to_string().into_bytes()
    };
    prop_oneof![
        6 => (select(real.clone()), changes()).prop_map(move |(body, all)| document(body, all)),
        3 => (select(real), changes()).prop_map(move |(body, all)| changed(body, all)),
        2 => (select(hurting), changes()).prop_map(move |(body, all)| document(body, all)),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ]
}

async fn asked(app: &TestApp, token: &str, body: Vec<u8>) -> Result<(), String> {
    let begun = Instant::now();
    let request = app.http.post(app.public("/graphql")).bearer_auth(token);
    let request = request.header("content-type", "application/json").body(body);
    let response = request.send().await.map_err(|error| format!("no answer: {error}"))?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.map_err(|error| format!("a broken answer: {error}"))?;
    let took = begun.elapsed();
    if bytes.len() > LARGEST_ANSWER || took > SLOWEST_ANSWER {
        return Err(format!("{} bytes of answer after {took:?}", bytes.len()));
    }
    let answer: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    if ![200, 400, 403, 413].contains(&status) || status != 200 && errors.is_empty() {
        return Err(format!("{status}: {answer}"));
    }
    for error in errors {
        let (code, id) = (&error["extensions"]["code"], &error["extensions"]["correlationId"]);
        let known = drr::error::ErrorCode::ALL.iter().any(|known| code == known.as_str());
        let fine =
            known && !["INTERNAL", "UNAVAILABLE"].contains(&code.as_str().unwrap_or_default());
        if !fine && code != "PERSISTED_QUERY_NOT_FOUND" || !id.is_string() {
            return Err(format!("{answer}"));
        }
    }
    Ok(())
}

#[test]
fn no_body_makes_the_service_panic_die_or_say_too_much() {
    let seconds = std::env::var("DRR_TEST_FUZZ_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().unwrap());
    run(async move {
        let app = TestApp::start().await;
        let panics = metric("drr_http_panics_total");
        let runtime = Handle::current();
        let fuzzing = tokio::task::spawn_blocking(move || {
            let tokens = [Role::Reader, Role::TenantAdmin].map(|role| app.token("acme", role));
            let (end, mut cases) = (Instant::now() + Duration::from_secs(seconds), 0);
            let mut tokens = (tokens, Instant::now());
            while Instant::now() < end {
                // A token of a person lasts 15 minutes.
                if tokens.1.elapsed() > Duration::from_secs(600) {
                    let fresh =
                        [Role::Reader, Role::TenantAdmin].map(|role| app.token("acme", role));
                    tokens = (fresh, Instant::now());
                }
                let config = Config { cases: 50, failure_persistence: None, ..Config::default() };
                let strategy = (body(), select(tokens.0.to_vec()));
                let outcome = TestRunner::new(config).run(&strategy, |(body, token)| {
                    let shown = String::from_utf8_lossy(&body).into_owned();
                    let outcome = runtime.block_on(asked(&app, &token, body));
                    outcome.map_err(|reason| {
                        TestCaseError::fail(format!("{reason:.2000}\n{shown:.4000}"))
                    })
                });
                if let Err(error) = outcome {
                    panic!("{error:.9000}");
                }
                cases += 50;
            }
            println!("{cases} bodies in {seconds} s");
        });
        fuzzing.await.unwrap();
        assert_eq!(metric("drr_http_panics_total"), panics);
    });
}
