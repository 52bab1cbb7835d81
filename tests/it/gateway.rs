//! Suites and gateways that others wrote, against the running service: `tests/gateway/` is theirs.
//! `DRR_TEST_NODE` names the Node that has them (`scripts/test` sets it up).

use std::process::Stdio;

use drr::auth::policy::{Role, ScopeSet};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{app::TestApp, cluster::run};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway");
const DATASETS: [&str; 3] = ["orders", "customers", "daily_revenue"];

/// Registers the datasets that the gateways are asked for.
async fn datasets(app: &TestApp) -> Vec<Value> {
    let register = "mutation($input: RegisterDatasetInput!) {
        registerDataset(input: $input) { dataset { id namespace name } } }";
    let admin = app.token("acme", Role::TenantAdmin);
    let mut made = Vec::new();
    for name in DATASETS {
        let input = json!({ "namespace": "warehouse", "name": name, "owners": ["revenue"] });
        let mut data = app.data(&admin, register, json!({ "input": input })).await;
        made.push(data["registerDataset"]["dataset"].take());
    }
    made
}

/// Runs one file of tests with Node; its own report is the reason if it fails.
async fn passes(file: &str) {
    let Some(node) = std::env::var_os("DRR_TEST_NODE") else {
        eprintln!("SKIPPED: DRR_TEST_NODE is not set; scripts/test sets it");
        return;
    };
    let app = TestApp::with(|assembly| assembly.changes.follow = true).await;
    let datasets = datasets(&app).await;
    let mut no_scope = TestApp::request("acme", Role::Reader);
    no_scope.scopes = ScopeSet::default();
    let output = Command::new(node)
        .args(["--test", "--test-reporter=spec", file])
        .current_dir(FOLDER)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", std::env::temp_dir())
        .env("DRR_URL", app.public("/graphql"))
        .env("DRR_READER", app.token("acme", Role::Reader))
        .env("DRR_STRANGER", app.token("globex", Role::Reader))
        .env("DRR_ADMIN", app.token("acme", Role::TenantAdmin))
        .env("DRR_NO_SCOPE", app.sign(&no_scope))
        .env("DRR_DATASETS", Value::from(datasets).to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}\n{trouble}");
    // A file without a test would end well too.
    let passed = report.lines().find_map(|line| line.trim().strip_prefix("ℹ pass "));
    assert!(passed.is_some_and(|count| count.parse::<u32>().unwrap() > 0), "{report}");
    app.stop().await;
}

#[test]
fn the_audits_of_graphql_over_http_pass() {
    run(passes("audits.test.mjs"));
}

#[test]
fn gateways_compose_and_join_the_graph_with_another() {
    run(passes("gateways.test.mjs"));
}

#[test]
fn the_clients_of_both_subscription_protocols_are_told_and_come_back() {
    run(passes("subscriptions.test.mjs"));
}
