//! Recording what pipelines report: the same state whatever the order, the repetitions, the portions
//! and the company in which events arrive; a clear answer and no trace for what is refused.

mod answers;
pub mod clients;
mod concurrency;
mod model;
mod mutation;
mod orders;
mod refusals;

use std::{fmt::Write, path::PathBuf, sync::Arc};

use drr::{
    auth::policy::Role,
    clock::{Clock, ManualClock, SystemClock},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::app::TestApp;

/// A service whose time stands still, at the machine's own: for that there are partitions.
pub async fn service() -> TestApp {
    TestApp::with_clock(&Arc::new(ManualClock::new(SystemClock.now()))).await
}

/// What events made of a tenant, table by table: ids of datasets as their names, and without the
/// instants at which it was written down.
const DUMP: [(&str, &str); 8] = [
    (
        "dataset_registry",
        "SELECT to_jsonb(t) - '{dataset_id,created_at,updated_at}'::text[] FROM dataset_registry t",
    ),
    (
        "dataset_name",
        "SELECT to_jsonb(t) - 'dataset_id' || jsonb_build_object('of', d.name) FROM dataset_name t",
    ),
    (
        "dataset_refresh_state",
        "SELECT to_jsonb(t) - '{dataset_id,updated_at}'::text[]
           || jsonb_build_object('of', d.name) FROM dataset_refresh_state t",
    ),
    (
        "dataset_lineage",
        "SELECT to_jsonb(t) - '{downstream_id,upstream_id}'::text[]
           || jsonb_build_object('from', up.name, 'to', down.name) FROM dataset_lineage t
           JOIN dataset_registry up ON (up.tenant_id, up.dataset_id) = (t.tenant_id, upstream_id)
           JOIN dataset_registry down ON (down.tenant_id, down.dataset_id) = (t.tenant_id, downstream_id)",
    ),
    ("run", "SELECT to_jsonb(t) - '{recorded_at,updated_at}'::text[] FROM run t"),
    (
        "dataset_run_log",
        "SELECT to_jsonb(t) - 'dataset_id' || jsonb_build_object('of', d.name)
           FROM dataset_run_log t",
    ),
    ("run_event", "SELECT to_jsonb(t) - 'recorded_at' FROM run_event t"),
    (
        "dataset_observed_schema",
        "SELECT to_jsonb(t) - 'dataset_id' || jsonb_build_object('of', d.name)
           FROM dataset_observed_schema t",
    ),
];

/// The rows of one tenant, as text to be compared.
pub async fn dump(admin: &mut PgConnection, tenant: &str) -> String {
    let mut dump = String::new();
    for (table, select) in DUMP {
        let with_name = if select.contains("d.name") {
            " JOIN dataset_registry d USING (tenant_id, dataset_id)"
        } else {
            ""
        };
        let sql = format!(
            "SELECT r::text FROM ({select}{with_name} WHERE t.tenant_id = '{tenant}') AS s (r)
              ORDER BY 1"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *admin).await.unwrap();
        writeln!(dump, "{table}: {}", rows.len()).unwrap();
        for row in rows {
            let row: String = row.get(0);
            writeln!(dump, "  {}", row.replace(&format!("\"{tenant}\""), "\"<tenant>\"")).unwrap();
        }
    }
    dump
}

/// Compares line by line, so that a failure shows what differs and not two pages of JSON.
#[track_caller]
pub fn assert_same(expected: &str, actual: &str, what: &str) {
    if expected == actual {
        return;
    }
    let missing = expected.lines().filter(|line| !actual.lines().any(|other| other == *line));
    let added = actual.lines().filter(|line| !expected.lines().any(|other| other == *line));
    let (missing, added): (Vec<_>, Vec<_>) = (missing.take(4).collect(), added.take(4).collect());
    panic!("{what}: not the same\nmissing: {missing:#?}\nadded: {added:#?}");
}

const BOARD: &str = "{ datasets(first: 200) { nodes { namespace name description owners lifecycle
  refreshState { status lastSuccessAt lastSuccessRunId lastRunId lastRunAt lastRunState runningSince
                 rowCount byteCount sourceWatermark consecutiveFailures }
  freshness { status warnAt staleAt }
  runs(first: 5) { nodes { runId state startedAt endedAt rowCount conflict errorMessage
                           job { namespace name } } } } } }";

/// What a dashboard of this tenant shows.
pub async fn board(app: &TestApp, tenant: &str) -> Value {
    app.data(&app.token(tenant, Role::Reader), BOARD, json!({})).await
}

/// Sends an event or a batch that must be accepted whole.
pub async fn accepted(app: &TestApp, token: &str, events: &Value) -> Value {
    let (status, report) = app.lineage(token, events).await;
    assert_eq!(status, StatusCode::CREATED, "{report:#}");
    report
}

pub async fn scalar<T>(admin: &mut PgConnection, sql: &str) -> T
where
    T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
{
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(admin).await.unwrap()
}

/// A small generator with a fixed seed: shuffles that are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    pub fn shuffled<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for last in (1..items.len()).rev() {
            items.swap(last, self.roll(last + 1));
        }
        items
    }
}

/// Events that real clients sent. Those that are not part of this repository are looked for in
/// `DRR_SHARED_DATA`, else beside it.
fn real_events() -> Vec<(&'static str, Vec<Value>)> {
    let top = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("DRR_SHARED_DATA");
    let shared = shared.map_or_else(|| top.join("../shared/data"), PathBuf::from);
    let lines = |text: String| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let ours = std::fs::read_to_string(top.join("tests/clients/recorded/dbt-events.jsonl"));
    let mut files = vec![("our dbt project", lines(ours.unwrap()))];
    let read = |name: &str| {
        let text = std::fs::read_to_string(shared.join(name));
        if let Err(error) = &text {
            eprintln!("SKIPPED: {name} in {}: {error}", shared.display());
        }
        text.ok()
    };
    if let Some(text) = read("openlineage-marquez-food-delivery.json") {
        files.push(("food delivery", serde_json::from_str(&text).unwrap()));
    }
    if let Some(text) = read("openlineage-dbt-run.jsonl") {
        let bodies = lines(text).into_iter().map(|mut line| line["body"].take()).collect();
        files.push(("dbt run", bodies));
    }
    files
}
