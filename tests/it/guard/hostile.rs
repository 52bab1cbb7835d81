//! Documents that are made to hurt.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use crate::{app::TestApp, cluster::run, door::pool::metric};

/// The largest answer to a refused request, in bytes.
const LARGEST_REFUSAL: usize = 8_192;

/// What hurts, and the limit that it meets.
pub fn hostile() -> Vec<(&'static str, Value, &'static str)> {
    let document = |text: String| json!({ "query": text });
    let nested = |open: &str, close: &str, depth: usize| {
        document(format!("{{ a(v: {}1{}) }}", open.repeat(depth), close.repeat(depth)))
    };
    let spread = |length: usize, times: usize| {
        let links = (0..length).map(|index| {
            let spreads = format!("...f{} ", index + 1).repeat(times);
            format!("fragment f{index} on Query {{ {spreads} }} ")
        });
        let links: String = links.collect();
        document(format!("{{ ...f0 }} {links} fragment f{length} on Query {{ me {{ role }} }}"))
    };
    let many = |count: usize, text: &dyn Fn(usize) -> String| {
        (0..count).map(text).collect::<Vec<_>>().join(" ")
    };
    let flood = |times: usize| "@skip(if: false) ".repeat(times);
    let entities = |count: usize| {
        let one = json!({ "__typename": "Dataset", "id": "x" });
        vec![one; count]
    };
    let clash = format!(
        "{{ me {{ role({}) {} }} }}",
        many(30, &|index| format!("x{index}: 1")),
        "role ".repeat(1_500)
    );
    vec![
        ("nested lists", nested("[", "]", 2_000), "limits.graphql_document_depth"),
        ("nested objects", nested("{a: ", "}", 2_000), "limits.graphql_document_depth"),
        ("nested selections", document("{ a ".repeat(2_000)), "limits.graphql_document_depth"),
        ("doubling fragments", spread(40, 2), "selections"),
        ("a long chain of fragments", spread(100, 1), "nesting of selections"),
        (
            "100,000 aliases",
            document(format!("{{ {} }}", many(100_000, &|index| format!("a{index}: me")))),
            "limits.graphql_body_bytes",
        ),
        (
            "300 aliases",
            document(format!("{{ me {{ {} }} }}", many(300, &|index| format!("a{index}: role")))),
            "limits.graphql_aliases",
        ),
        (
            "directives on a field",
            document(format!("{{ me {{ role {} }} }}", flood(500))),
            "limits.graphql_directives",
        ),
        (
            "directives on an operation",
            document(format!("query {} {{ me {{ role }} }}", flood(500))),
            "limits.graphql_directives",
        ),
        (
            "directives by fragments",
            document(format!(
                "{{ me {{ {} }} }} fragment f on Me {{ role {} }}",
                "...f ".repeat(100),
                flood(20)
            )),
            "limits.graphql_directives",
        ),
        (
            "5,000 representations",
            json!({
                "query": "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }",
                "variables": { "r": entities(5_000) },
            }),
            "limits.graphql_representations",
        ),
        (
            "3 times 1,100 representations",
            json!({
                "query": "query($r: [_Any!]!) { a: _entities(representations: $r) { __typename }
                    b: _entities(representations: $r) { __typename }
                    c: _entities(representations: $r) { __typename } }",
                "variables": { "r": entities(1_100) },
            }),
            "limits.graphql_representations",
        ),
        (
            "a list of 100,000",
            json!({
                "query": "query($v: [String!]) { datasets(tags: $v) { nodes { name } } }",
                "variables": { "v": vec![1; 100_000] },
            }),
            "limits.graphql_values",
        ),
        (
            "a list of 10,000 in many places",
            json!({
                "query": format!(
                    "query($v: [String!]) {{ me {{ {} }} }}",
                    "role(x: $v) ".repeat(300)
                ),
                "variables": { "v": vec![1; 10_000] },
            }),
            "limits.graphql_values",
        ),
        (
            "a list in the document",
            document(format!(
                "{{ datasets(tags: [{}]) {{ nodes {{ name }} }} }}",
                "1 ".repeat(5_000)
            )),
            "limits.graphql_document_tokens",
        ),
        ("a wide root", document(format!("{{ {} }}", "me { role } ".repeat(51))), "root fields"),
        (
            "many operations",
            document(many(200, &|index| format!("query q{index} {{ me {{ role }} }}"))),
            "operations",
        ),
        (
            "many variables",
            document(format!(
                "query({}) {{ me {{ role }} }}",
                many(500, &|index| format!("$v{index}: Int"))
            )),
            "variables",
        ),
        ("fields that differ in their arguments", document(clash), "comparisons"),
        (
            "a long text",
            document(format!("{{ datasetByUrn(urn: \"{}\") {{ name }} }}", "x".repeat(200_000))),
            "limits.graphql_document_bytes",
        ),
        (
            "a long block",
            document(format!(
                "{{ datasetByUrn(urn: \"\"\"{}\"\"\") {{ name }} }}",
                " x\n".repeat(50_000)
            )),
            "limits.graphql_document_bytes",
        ),
        (
            "pages in pages",
            document(
                "{ datasets(first: 200) { nodes { runs(first: 200) { nodes { job { name } } } } } }"
                    .to_owned(),
            ),
            "limits.graphql_cost",
        ),
    ]
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn what_is_made_to_hurt_is_refused_by_the_name_of_a_limit_and_costs_no_memory() {
    run(async {
        let app = TestApp::start().await;
        let token = app.token("acme", Role::Reader);
        let mut settled = 0;
        for round in 0..6 {
            for (name, body, limit) in hostile() {
                let request = app.http.post(app.public("/graphql")).bearer_auth(&token);
                let answer = request.json(&body).send().await.unwrap();
                let status = answer.status().as_u16();
                let text = answer.text().await.unwrap();
                let said: Value = serde_json::from_str(&text).unwrap();
                let error = &said["errors"][0];
                assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{name}: {text:.500}");
                assert!(error["extensions"]["correlationId"].is_string(), "{name}: {text:.500}");
                let message = error["message"].as_str().unwrap();
                assert!(
                    message.contains(&format!("over the limit {limit} = ")),
                    "{name}: {message}"
                );
                assert_eq!(status, 413, "{name}");
                assert!(text.len() < LARGEST_REFUSAL, "{name}: {} bytes", text.len());
            }
            // What is allocated once has been by then.
            if round == 1 {
                settled = resident_mib();
            }
        }
        let grown = resident_mib().saturating_sub(settled);
        assert!(grown < 64, "{grown} MiB more after four rounds");
    });
}

#[test]
fn what_the_validation_refuses_is_answered_in_few_words() {
    run(async {
        let app = TestApp::start().await;
        let token = app.token("acme", Role::Reader);
        let panics = metric("drr_http_panics_total");
        let long = "x".repeat(60_000);
        for (document, errors) in [
            (format!("{{ me {{ {} }} }}", "nothing ".repeat(2_900)), 10),
            (format!("{{ me {{ {long} }} }}"), 1),
            (
                format!("{{ {} }}", (0..20).map(|index| format!("q{index} ")).collect::<String>()),
                10,
            ),
            // The library's validation would panic.
            ("query($v: [Nope] = [1]) { me { role } }".to_owned(), 1),
            ("query($v: Nope = 1) { me { role } }".to_owned(), 10),
        ] {
            let answer = app.send(&token, &document, json!({})).await.text().await.unwrap();
            assert!(answer.len() < LARGEST_REFUSAL, "{} bytes for {document:.80}", answer.len());
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let told = answer["errors"].as_array().unwrap();
            assert!((1..=errors).contains(&told.len()), "{answer:#}");
            for error in told {
                assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer:#}");
                assert!(error["extensions"]["correlationId"].is_string(), "{answer:#}");
            }
        }
        assert_eq!(metric("drr_http_panics_total"), panics);
    });
}

#[test]
fn strangers_cost_no_reading_and_batches_are_refused() {
    run(async {
        let app = TestApp::start().await;
        let stranger = app.http.post(app.public("/graphql")).json(&hostile()[0].1);
        assert_eq!(stranger.send().await.unwrap().status(), 401);
        let batch = json!([{ "query": "{ me { role } }" }, { "query": "{ me { role } }" }]);
        let request = app.http.post(app.public("/graphql"));
        let request = request.bearer_auth(app.token("acme", Role::Reader)).json(&batch);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("batches"));
    });
}
