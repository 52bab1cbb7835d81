//! Suites and gateways that others wrote, against the running service: `tests/gateway/` is theirs.
//! `DRR_TEST_NODE` names the Node that has them (`scripts/test` sets it up).

use std::process::Stdio;

use drr::auth::policy::{Role, Scope, ScopeSet};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    app::{AUDIENCE, ISSUER, KEY, TestApp},
    cluster::run,
};

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
pub async fn node(file: &str, variables: &[(&str, String)]) {
    let Some(node) = std::env::var_os("DRR_TEST_NODE") else {
        eprintln!("SKIPPED: DRR_TEST_NODE is not set; scripts/test sets it");
        return;
    };
    let output = Command::new(node)
        .args(["--test", "--test-timeout=300000", "--test-reporter=spec", file])
        .current_dir(FOLDER)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", std::env::temp_dir())
        .envs(variables.iter().map(|(name, value)| (name, value)))
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
}

/// Runs one against drr.
async fn passes(file: &str) {
    let app = TestApp::with(|assembly| assembly.changes.follow = true).await;
    let datasets = datasets(&app).await;
    let mut no_scope = TestApp::request("acme", Role::Reader);
    no_scope.scopes = ScopeSet::default();
    let mut writer = TestApp::request("acme", Role::RuntimeWriter);
    writer.scopes = [Scope::WriteRefresh].into_iter().collect();
    let variables = [
        ("DRR_URL", app.public("/graphql")),
        ("DRR_INTERNAL_URL", app.internal("/graphql")),
        ("DRR_READER", app.token("acme", Role::Reader)),
        ("DRR_STRANGER", app.token("globex", Role::Reader)),
        ("DRR_ADMIN", app.token("acme", Role::TenantAdmin)),
        ("DRR_NO_SCOPE", app.sign(&no_scope)),
        ("DRR_WRITER", app.sign(&writer)),
        ("DRR_JWKS", KEY.jwks_json().to_string()),
        ("DRR_ISSUER", ISSUER.to_owned()),
        ("DRR_AUDIENCE", AUDIENCE.to_owned()),
        ("DRR_DATASETS", Value::from(datasets).to_string()),
    ];
    node(file, &variables).await;
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

#[test]
fn the_schema_breaks_nothing_of_the_last_tagged_version() {
    run(passes("breaking.test.mjs"));
}
