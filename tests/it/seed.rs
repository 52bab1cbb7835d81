//! `drr seed`, through the program: the rows follow from the arguments, and are what the service
//! itself would have written.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use drr::{
    auth::policy::Role,
    db::embedded::{EmbeddedOptions, EmbeddedPostgres},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    app::TestApp,
    cluster::{SCHEMA, run},
    program::{answer, drr, output},
};

const DATASETS: i64 = 30;

fn seed(data_dir: &Path, runs: i64, more: &[&str]) -> String {
    let (datasets, runs) = (DATASETS.to_string(), runs.to_string());
    let data_dir = format!("data_dir={}", data_dir.display());
    let arguments = ["seed", "--tenants", "2", "--datasets", &datasets, "--runs", &runs];
    answer(&[&arguments[..], &["--set", &data_dir], more].concat())
}

/// Rows without what tells when and under which id they were made.
const COMPARED: [(&str, &str); 6] = [
    ("dataset_registry", "to_jsonb(t) - '{dataset_id,created_at,updated_at}'::text[]"),
    ("dataset_name", "to_jsonb(t) - 'dataset_id'"),
    (
        "dataset_refresh_state",
        "to_jsonb(t) - '{dataset_id,policy_id,updated_at}'::text[] || to_jsonb(n)",
    ),
    (
        "freshness_policy",
        "to_jsonb(t) - '{dataset_id,policy_id,effective_from,created_at}'::text[] || to_jsonb(n)",
    ),
    ("dataset_run_log", "to_jsonb(t) - 'dataset_id' || to_jsonb(n)"),
    ("run", "to_jsonb(t) - '{recorded_at,updated_at}'::text[]"),
];

/// What a table holds, a row a value, in a fixed order.
async fn rows(connection: &mut PgConnection, table: &str, row: &str) -> Vec<Value> {
    let names = match table {
        "dataset_refresh_state" | "freshness_policy" | "dataset_run_log" => {
            "JOIN LATERAL (SELECT d.name FROM dataset_registry d
              WHERE (d.tenant_id, d.dataset_id) = (t.tenant_id, t.dataset_id)) n ON true"
        }
        _ => "",
    };
    let sql = format!("SELECT {row} AS r FROM {table} t {names} ORDER BY r");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap()
}

/// Looks into the private database of a command that has ended.
async fn look<T>(data_dir: &Path, look: impl AsyncFnOnce(&mut PgConnection) -> T) -> T {
    let bin_dir = std::env::var_os("DRR_PG_BIN").map(Into::into);
    let options = EmbeddedOptions { data_dir: data_dir.to_owned(), bin_dir };
    let server = EmbeddedPostgres::start(options).await.unwrap();
    let options = server.superuser_options("drr").options([("search_path", SCHEMA)]);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    connection.execute("SET timezone = 'UTC'").await.unwrap();
    let seen = look(&mut connection).await;
    connection.close().await.unwrap();
    server.stop().await.unwrap();
    seen
}

async fn dump(connection: &mut PgConnection) -> Vec<(String, Vec<Value>)> {
    let mut tables = Vec::new();
    for (table, _) in COMPARED {
        tables.push((table.to_owned(), rows(connection, table, "to_jsonb(t)").await));
    }
    tables
}

async fn compared(connection: &mut PgConnection) -> Vec<Vec<Value>> {
    let mut tables = Vec::new();
    for (table, row) in COMPARED {
        tables.push(rows(connection, table, row).await);
    }
    tables
}

async fn count(connection: &mut PgConnection, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {what}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
}

#[test]
fn the_same_arguments_give_the_same_rows() {
    run(async {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let said = seed(first.path(), 40, &[]);
        let expected = "seeded 60 datasets with 2400 runs in 2 tenants, as of 2026-01-01T00:00:00Z";
        assert!(said.starts_with(expected), "{said}");
        let made = look(first.path(), async |connection| {
            assert_eq!(count(connection, "run").await, 2_400);
            assert_eq!(count(connection, "dataset_run_log_history").await, 2_400);
            // D34, D35: who did it stands in the trail.
            assert_eq!(count(connection, "audit_event WHERE result = 'SUCCESS'").await, 6);
            // By the rule of the benchmarks, worked out by another program.
            for (what, id) in [
                ("dataset_registry WHERE dataset_id", "ad31e474-d462-6400-db0d-f57007c0e423"),
                ("run WHERE run_id", "5d64dfd4-70ed-5840-95a3-62d908686e4a"),
            ] {
                assert_eq!(count(connection, &format!("{what} = '{id}'")).await, 1, "{id}");
            }
            dump(connection).await
        })
        .await;

        seed(second.path(), 40, &[]);
        assert_eq!(look(second.path(), dump).await, made);
        let said = seed(first.path(), 40, &["--as-of", "2026-02-01T00:00:00Z"]);
        assert!(said.starts_with("seeded 0 datasets with 0 runs"), "{said}");
        let (again, events) = look(first.path(), async |connection| {
            (dump(connection).await, count(connection, "audit_event").await)
        })
        .await;
        assert_eq!((again, events), (made, 6));
    });
}

fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What is reported of run `r` of dataset `d`, by the rule that the seed documents.
fn events(tenant: i64, d: i64, r: i64, name: &str, run_id: &str) -> [Value; 2] {
    let as_of: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let start = as_of - TimeDelta::hours(r) - TimeDelta::minutes(d % 60);
    let end = start + TimeDelta::seconds(30 + d * r % 600);
    let number = tenant + d + r;
    let kind = match number {
        _ if number % 13 == 0 => "FAIL",
        _ if number % 29 == 0 => "ABORT",
        _ => "COMPLETE",
    };
    let count = if kind == "FAIL" { 0 } else { 1_000 + (d * 7_919 + r * 104_729) % 1_000_000 };
    let producer = "https://drr.invalid/seed";
    let event = |kind: &str, time| {
        json!({
            "eventType": kind, "eventTime": instant(time), "producer": producer,
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": { "runId": run_id },
            "job": { "namespace": "pipelines", "name": format!("refresh {name}") },
        })
    };
    let facet = |name| format!("https://openlineage.io/spec/facets/{name}");
    let mut ended = event(kind, end);
    ended["outputs"] = json!([{
        "namespace": "warehouse", "name": name,
        "outputFacets": { "outputStatistics": {
            "_producer": producer, "rowCount": count,
            "_schemaURL": facet("1-0-2/OutputStatisticsOutputDatasetFacet.json"),
        } },
    }]);
    if kind == "FAIL" {
        ended["run"]["facets"] = json!({ "errorMessage": {
            "_producer": producer, "_schemaURL": facet("1-0-1/ErrorMessageRunFacet.json"),
            "message": format!("TimeoutError: upstream extract exceeded {}s", 60 + d % 300),
            "programmingLanguage": "python",
        } });
    }
    [event("START", start), ended]
}

const REGISTER: &str = "mutation ($input: RegisterDatasetInput!) {
  registerDataset(input: $input) { status dataset { id } } }";
const SET_POLICY: &str = "mutation ($input: SetFreshnessPolicyInput!) {
  setFreshnessPolicy(input: $input) { status } }";

/// Makes by the front door what the seed makes for a tenant; `ids` are those of the seeded runs.
async fn report(app: &TestApp, tenant: i64, runs: i64, ids: &[String]) {
    let code = format!("tenant-{tenant:04}");
    let (admin, writer) =
        (app.token(&code, Role::TenantAdmin), app.token(&code, Role::RuntimeWriter));
    let domains = ["sales", "billing", "ops", "ml", "web", "hr", "risk", "supply"];
    let mut ids = ids.iter();
    let mut batch = Vec::new();
    for d in 1..=DATASETS {
        let domain = domains[usize::try_from(d % 8).unwrap()];
        let name = format!("{domain}.dataset_{d:06}");
        let input = json!({ "namespace": "warehouse", "name": name, "domain": domain,
            "owners": [format!("team-{}", d * 7 % 23)],
            "tags": [format!("tier{}", d % 3), format!("src{}", d % 11)] });
        let made = app.data(&admin, REGISTER, json!({ "input": input })).await;
        let limit = [900, 3_600, 14_400, 86_400][usize::try_from(d % 4).unwrap()];
        let input = json!({ "datasetId": made["registerDataset"]["dataset"]["id"],
            "maxAge": { "warnAfterSeconds": limit / 5 * 4, "failAfterSeconds": limit } });
        app.data(&admin, SET_POLICY, json!({ "input": input })).await;
        for r in 1..=runs {
            batch.extend(events(tenant, d, r, &name, ids.next().unwrap()));
        }
    }
    for batch in batch.chunks(900) {
        let (status, answer) = app.lineage(&writer, &json!(batch)).await;
        assert_eq!(status, 201, "{answer:#}");
        assert!(answer.get("warnings").is_none(), "{answer:#}");
    }
}

#[test]
fn the_rows_are_those_that_the_service_writes_for_the_same_events() {
    run(async {
        // One run each as well: then some datasets have nothing but a failure or an abortion.
        for runs in [0, 1, 16] {
            let folder = tempfile::tempdir().unwrap();
            seed(folder.path(), runs, &[]);
            let app = TestApp::start().await;
            let ids = "SELECT md5('r/' || t || '/' || d || '/' || r)::uuid::text
                         FROM generate_series(1, $1) t, generate_series(1, $2) d,
                              generate_series(1, $3) r ORDER BY t, d, r";
            let mut admin = app.admin().await;
            admin.execute("SET timezone = 'UTC'").await.unwrap();
            let ids: Vec<String> = sqlx::query_scalar(ids)
                .bind(2_i64)
                .bind(DATASETS)
                .bind(runs)
                .fetch_all(&mut admin)
                .await
                .unwrap();
            let half = ids.len() / 2;
            report(&app, 1, runs, &ids[..half]).await;
            report(&app, 2, runs, &ids[half..]).await;
            let seeded = look(folder.path(), compared).await;
            let written = compared(&mut admin).await;
            for ((table, _), (seeded, written)) in COMPARED.iter().zip(seeded.iter().zip(&written))
            {
                assert_eq!(seeded.len(), written.len(), "{table} with {runs} runs");
                for (seeded, written) in seeded.iter().zip(written) {
                    assert_eq!(seeded, written, "{table} with {runs} runs");
                }
            }
            admin.close().await.unwrap();
            app.stop().await;
        }
    });
}

#[test]
fn production_is_not_seeded_by_mistake() {
    let refused = |environment: Option<&str>, more: &[&str]| {
        let arguments = ["seed", "--tenants", "1", "--datasets", "1", "--runs", "1"];
        let mut command = drr(&[&arguments[..], more].concat());
        // Nobody listens there.
        command.env("DRR_DATABASE_URL", "postgres://nobody@127.0.0.1:1/drr");
        command.envs(environment.map(|environment| ("DRR_ENVIRONMENT", environment)));
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let message = refused(None, &[]);
    assert!(message.contains("--yes-this-is-not-production"), "{message}");
    for allowed in [
        refused(None, &["--yes-this-is-not-production"]),
        refused(Some("dev"), &[]),
        refused(Some("staging"), &[]),
    ] {
        assert!(allowed.contains("the database cannot be reached"), "{allowed}");
    }
    let ahead = output(&[
        "seed",
        "--tenants",
        "1",
        "--datasets",
        "1",
        "--runs",
        "1",
        "--as-of",
        "9000-01-01T00:00:00Z",
    ]);
    assert!(String::from_utf8(ahead.stderr).unwrap().contains("--as-of"));
}
