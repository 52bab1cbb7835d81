//! The real clients, run against the running service. `DRR_TEST_PYTHON` names the Python that has
//! them (`scripts/test` sets it up).

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use drr::auth::policy::Role;
use serde_json::{Value, json};
use tokio::process::Command;

use super::board;
use crate::{app::TestApp, cluster::run};

/// The Python with the clients; without it a test says so and does nothing.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("DRR_TEST_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("SKIPPED: DRR_TEST_PYTHON is not set; scripts/test sets it");
    }
    python
}

/// A command of that Python's, told where to report, with nothing else of our environment.
fn client(program: &Path, python: &Path, app: &TestApp, token: &str, home: &Path) -> Command {
    let tools = python.parent().unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
        .env("HOME", home)
        .env("LANG", "C.UTF-8")
        .env("DO_NOT_TRACK", "1")
        .env("OPENLINEAGE_URL", app.internal(""))
        .env("OPENLINEAGE_API_KEY", token)
        .env("OPENLINEAGE_NAMESPACE", "shop")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn finish(mut command: Command) {
    let output = command.output().await.unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    // The clients report a failed delivery, and end well.
    assert!(!err.contains("Failed to emit") && !err.contains("Traceback"), "{out}\n{err}");
}

fn dataset<'b>(board: &'b Value, name: &str) -> &'b Value {
    let nodes = board["datasets"]["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("no {name}: {board:#}"))
}

async fn expect_fresh(app: &TestApp, name: &str) {
    let manager = app.token("acme", Role::TenantAdmin);
    let found = "query($text: String!) { datasets(filter: {text: $text}) { nodes { id name } } }";
    let found = app.data(&manager, found, json!({ "text": name })).await;
    let nodes = found["datasets"]["nodes"].as_array().unwrap();
    let id = &nodes.iter().find(|node| node["name"] == name).unwrap()["id"];
    let set = "mutation($id: ID!) { setFreshnessPolicy(input: {datasetId: $id,
        maxAge: {warnAfterSeconds: 3600, failAfterSeconds: 7200}}) { status } }";
    app.data(&manager, set, json!({ "id": id })).await;
    let board = board(app, "acme").await;
    let seen = dataset(&board, name);
    assert_eq!(seen["refreshState"]["status"], "READY", "{seen:#}");
    assert_eq!(seen["freshness"]["status"], "FRESH", "{seen:#}");
}

const EMIT: &str = r#"
from datetime import datetime, timezone
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import output_statistics_output_dataset, schema_dataset
from openlineage.client.uuid import generate_new_uuid

client = OpenLineageClient()
run, job = Run(runId=str(generate_new_uuid())), Job(namespace="scripts", name="load")
schema = schema_dataset.SchemaDatasetFacet(
    fields=[schema_dataset.SchemaDatasetFacetFields(name="id", type="BIGINT")])
written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=42, size=4096)
for state, facets in [(RunState.START, {}), (RunState.COMPLETE, {"outputStatistics": written})]:
    client.emit(RunEvent(
        eventType=state, eventTime=datetime.now(timezone.utc).isoformat(), run=run, job=job,
        producer="https://example.com/script", inputs=[InputDataset(namespace="shop", name="source")],
        outputs=[OutputDataset(namespace="shop", name="target", facets={"schema": schema},
                               outputFacets=facets)]))
client.close()
"#;

#[test]
fn openlineage_python_reports() {
    let Some(python) = python() else { return };
    run(async {
        let app = TestApp::start().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let home = tempfile::tempdir().unwrap();
        let mut command = client(&python, &python, &app, &writer, home.path());
        command.args(["-c", EMIT]).current_dir(home.path());
        finish(command).await;
        expect_fresh(&app, "target").await;
        let board = board(&app, "acme").await;
        let state = &dataset(&board, "target")["refreshState"];
        assert_eq!((&state["rowCount"], &state["byteCount"]), (&json!("42"), &json!("4096")));
        assert_eq!(dataset(&board, "source")["refreshState"]["status"], "NEVER");
        let mut admin = app.admin().await;
        let schemas = "SELECT jsonb_agg(fields) FROM dataset_observed_schema";
        let schemas: Value = super::scalar(&mut admin, schemas).await;
        assert_eq!(schemas[0][0]["name"], "id", "{schemas}");
        let elsewhere = super::board(&app, "globex").await;
        assert_eq!(elsewhere["datasets"]["nodes"], json!([]));
        app.stop().await;
    });
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_real_dbt_run_reports() {
    let Some(python) = python() else { return };
    run(async {
        let app = TestApp::start().await;
        let writer = app.token("acme", Role::RuntimeWriter);
        let home = tempfile::tempdir().unwrap();
        let project = home.path().join("shop");
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/dbt_project");
        copy(&ours, &project);
        let tool = python.parent().unwrap().join("dbt-ol");
        for arguments in ["seed", "run"] {
            let mut command = client(&tool, &python, &app, &writer, home.path());
            command.args([arguments, "--profiles-dir", "."]).current_dir(&project);
            finish(command).await;
        }
        for model in
            ["stg_customers", "stg_orders", "stg_payments", "orders", "customers", "daily_revenue"]
        {
            expect_fresh(&app, &format!("shop.main.{model}")).await;
        }
        let board = board(&app, "acme").await;
        let mart = dataset(&board, "shop.main.daily_revenue");
        assert_eq!(mart["description"], "Revenue of each day in US dollars, returns left out.");
        assert_eq!(dataset(&board, "shop.main.raw_orders")["refreshState"]["status"], "NEVER");
        assert_eq!(super::board(&app, "globex").await["datasets"]["nodes"], json!([]));
        let sql = "SELECT count(*) FROM audit_event WHERE result <> 'SUCCESS'";
        let mut admin = app.admin().await;
        assert_eq!(super::scalar::<i64>(&mut admin, sql).await, 0);
        app.stop().await;
    });
}
