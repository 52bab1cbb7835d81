//! Errors have codes, and limits let every real board pass.

use drr::auth::policy::Role;
use serde_json::{Value, json};

use super::Graph;
use crate::cluster::run;

#[test]
fn every_error_has_a_code_and_the_correlation_id() {
    run(async {
        let graph = Graph::start().await;
        let id = graph.register("a").await;
        let big = "mutation($v: BigInt, $id: ID!) {
          updateDataset(input: { id: $id, expectedVersion: $v }) { status } }";
        let by_id = "query($id: ID!) { dataset(id: $id) { id } }";
        for (query, variables, code) in [
            ("{", json!({}), "BAD_USER_INPUT"),
            ("{ nothing }", json!({}), "BAD_USER_INPUT"),
            ("{ datasets(first: \"x\") { nodes { id } } }", json!({}), "BAD_USER_INPUT"),
            (
                "query($f: Int) { datasets(first: $f) { nodes { id } } }",
                json!({ "f": "x" }),
                "BAD_USER_INPUT",
            ),
            (
                "query($f: Int) { datasets(first: $f) { nodes { id } } }",
                json!({ "f": 1e10 }),
                "BAD_USER_INPUT",
            ),
            (by_id, json!({ "id": {} }), "BAD_USER_INPUT"),
            (by_id, json!({ "id": "" }), "BAD_USER_INPUT"),
            (by_id, json!({}), "BAD_USER_INPUT"),
            (big, json!({ "id": id, "v": "9223372036854775808" }), "BAD_USER_INPUT"),
            (big, json!({ "id": id, "v": "1.0" }), "BAD_USER_INPUT"),
            (big, json!({ "id": id, "v": 1.5 }), "BAD_USER_INPUT"),
            (big, json!({ "id": id, "v": true }), "BAD_USER_INPUT"),
        ] {
            let answer =
                graph.app.answer(&graph.token(Role::TenantAdmin), query, variables.clone()).await;
            let errors =
                answer["errors"].as_array().unwrap_or_else(|| panic!("{query} {variables}"));
            for error in errors {
                assert_eq!(error["extensions"]["code"], code, "{query} {variables} {answer:#}");
                assert!(error["extensions"]["correlationId"].is_string());
            }
        }
        for value in [json!("9223372036854775807"), json!("-9223372036854775808"), json!(i64::MAX)]
        {
            let variables = json!({ "id": id, "v": value });
            let data = graph.app.data(&graph.token(Role::TenantAdmin), big, variables).await;
            assert_eq!(data["updateDataset"]["status"], "VERSION_CONFLICT", "{value}");
        }
    });
}

#[test]
fn the_largest_board_passes_and_a_hostile_one_does_not() {
    run(async {
        let graph = Graph::start().await;
        let run_fields =
            "runId state startedAt endedAt rowCount byteCount fileCount sourceWatermark
          conflict errorMessage job { namespace name }";
        let board = format!("query($runs: Int) {{ datasets(first: 200, order: WORST_FIRST) {{
          nodes {{ id urn namespace name description owners domain tags lifecycle version
            refreshState {{ status lastSuccessAt lastRunState consecutiveFailures rowCount }}
            freshness {{ status since warnAt staleAt nextChangeAt ageSeconds }}
            freshnessPolicy {{ version mode maxAge {{ warnAfterSeconds failAfterSeconds }} }}
            runs(first: $runs) {{ nodes {{ {run_fields} run {{ id state parentRunId }} }} }} }} }} }}");
        graph.read(&board, json!({ "runs": 10 })).await;
        let hostile = "{ datasets(first: 200) { nodes { runs(first: 200) { nodes { dataset {
          runs(first: 200) { nodes { dataset { runs(first: 200) { nodes { state } } } } } } } } } } }";
        let deep = format!(
            "{{ datasets(first: 1) {{ nodes {{ {} id {} }} }} }}",
            "runs(first: 1) { nodes { dataset { ".repeat(8),
            "} } }".repeat(8)
        );
        for (query, variables, message) in [
            (board.as_str(), json!({ "runs": 200 }), "limits.graphql_cost"),
            (hostile, json!({}), "limits.graphql_cost"),
            (deep.as_str(), json!({}), "depth"),
        ] {
            let answer = graph.app.answer(&graph.token(Role::Reader), query, variables).await;
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{query} {answer:#}");
            assert!(error["message"].as_str().unwrap().contains(message), "{answer:#}");
            assert_eq!(answer["data"], Value::Null);
        }
    });
}

// Design §4: a few hundred bytes whose fragments each spread the next one twice.
#[test]
fn doubling_fragments_are_refused_before_anything_spreads_them() {
    run(async {
        let graph = Graph::start().await;
        let link =
            |index: u32| format!(" fragment f{index} on Query {{ ...f{0} ...f{0} }}", index + 1);
        let links: String = (0..60).map(link).collect();
        let query = format!("{{ ...f0 }}{links} fragment f60 on Query {{ me {{ role }} }}");
        // Spread out, it would be more selections than can be counted in a lifetime.
        let code = graph.app.code(&graph.token(Role::Reader), &query, json!({})).await;
        assert_eq!(code, "LIMIT_EXCEEDED");
    });
}

/// A request, with extensions of its own: the whole answer.
async fn extended(graph: &Graph, body: Value) -> Value {
    let request = graph.app.http.post(graph.app.public("/graphql"));
    let request = request.bearer_auth(graph.token(Role::Reader)).json(&body);
    request.send().await.unwrap().json().await.unwrap()
}

#[test]
fn who_asks_for_it_is_told_what_a_document_costs() {
    run(async {
        let graph = Graph::start().await;
        let query = "query($first: Int) { datasets(first: $first) { nodes {
          name refreshState { status } freshness { status } runs(first: 2) { nodes { runId } } } } }";
        for (first, estimated) in [(json!(10), 1 + 10 * 6), (json!(null), 1 + 50 * 6)] {
            let mut body = json!({ "query": query, "variables": { "first": first } });
            let answer = extended(&graph, body.clone()).await;
            assert_eq!(answer.get("extensions"), None, "nobody asked");
            body["extensions"] = json!({ "cost": true });
            let answer = extended(&graph, body).await;
            let cost = json!({ "estimated": estimated, "max": 50_000 });
            assert_eq!(answer["extensions"], json!({ "cost": cost }), "{answer:#}");
            assert_eq!(answer["data"]["datasets"]["nodes"], json!([]));
        }
        graph.app.stop().await;
    });
}

/// Each is a few hundred bytes, and would be millions of objects.
#[test]
fn what_multiplies_is_refused_by_its_cost() {
    run(async {
        let graph = Graph::start().await;
        let introspection = "fields { type { ".repeat(6);
        let introspection =
            format!("{{ __schema {{ types {{ {introspection} name {} }} }} }}", "} }".repeat(6));
        let page = "{ d: datasets(first: 200) { nodes { ...n } } } fragment n on Dataset {
          runs(first: 200) { nodes { dataset { breaches(first: 200) { nodes { id } } } } } }";
        let by_variable = "query($n: Int = 200) { datasets(first: $n) { nodes {
          runs(first: $n) { nodes { run { id } dataset { name } } } } } }";
        let walk =
            "{ datasets(first: 200) { nodes { upstream(first: 1000) { nodes { distance } } } } }";
        for query in [introspection.as_str(), page, by_variable, walk] {
            let answer = graph.app.answer(&graph.token(Role::Reader), query, json!({})).await;
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{query} {answer:#}");
            assert_eq!(error["message"], "over the limit limits.graphql_cost = 50000", "{query}");
        }
        // What tools ask for passes.
        graph.read(crate::sdl::INTROSPECTION, json!({})).await;
        let small = json!({ "n": 3 });
        graph.read(by_variable, small).await;
        graph.app.stop().await;
    });
}

#[test]
fn me_is_what_the_token_says() {
    run(async {
        let graph = Graph::start().await;
        let query = "{ me { tenantId actorId role scopes isMachine expiresAt } }";
        let me = &graph.read(query, json!({})).await["me"];
        assert_eq!(me["tenantId"], super::TENANT);
        assert_eq!(me["role"], Role::Reader.as_str());
        assert_eq!(me["scopes"], json!(["storage.read.refresh"]));
        assert_eq!(me["isMachine"], false);
    });
}
