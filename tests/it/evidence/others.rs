//! Verifiers that others wrote: `golang.org/x/mod/sumdb` in a program of Go, and pymerkle.
//! `DRR_TEST_VERIFIER` and `DRR_TEST_PYMERKLE` name them (`scripts/test` sets them up).

use std::{collections::BTreeMap, ffi::OsString, path::Path, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use tokio::{io::AsyncWriteExt, process::Command};

/// Both of them.
pub struct Others {
    verifier: OsString,
    pymerkle: OsString,
}

/// What the verifier in Go says to a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Checked {
    pub size: u64,
    pub root: Option<String>,
    pub verified: Vec<String>,
    pub refused: BTreeMap<String, String>,
}

impl Checked {
    /// That all of this, and nothing else, was asked for and is good.
    #[track_caller]
    pub fn assert_good(&self, what: &[&str]) {
        assert_eq!((self.verified.as_slice(), self.refused.len()), (&own(what)[..], 0), "{self:?}");
    }

    /// That this is refused, and only this.
    #[track_caller]
    pub fn assert_refused(&self, what: &str) {
        assert_eq!(self.refused.keys().collect::<Vec<_>>(), [what], "{self:?}");
    }
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The leaves of rows in base64, and the roots over the first so many of them.
#[derive(Debug, Deserialize)]
pub struct Made {
    pub leaves: Vec<String>,
    pub roots: BTreeMap<usize, String>,
}

impl Others {
    /// Both; without one of them a test says so and does nothing.
    pub fn found() -> Option<Self> {
        let named = |variable: &str| {
            let named = std::env::var_os(variable);
            if named.is_none() {
                eprintln!("SKIPPED: {variable} is not set; scripts/test sets it");
            }
            named
        };
        let (verifier, pymerkle) = (named("DRR_TEST_VERIFIER"), named("DRR_TEST_PYMERKLE"));
        Some(Self { verifier: verifier?, pymerkle: pymerkle? })
    }

    /// What Go says to each of these requests (`tests/clients/evidence/main.go` has their form).
    pub async fn check_all(&self, requests: &[Value]) -> Vec<Checked> {
        let input = requests.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let output = piped(Command::new(&self.verifier), input).await;
        let answers: Vec<Checked> =
            serde_json::Deserializer::from_slice(&output).into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.len(), requests.len());
        answers
    }

    /// What Go says to one request.
    pub async fn check(&self, request: Value) -> Checked {
        self.check_all(&[request]).await.remove(0)
    }

    /// The leaves of these rows of the trail, and the roots over so many of them, by pymerkle.
    pub async fn make(&self, rows: &[Value], sizes: &[usize]) -> Made {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/evidence/roots.py");
        let mut command = Command::new(&self.pymerkle);
        command.arg(script);
        let input = json!({ "rows": rows, "sizes": sizes }).to_string();
        serde_json::from_slice(&piped(command, input).await).unwrap()
    }
}

async fn piped(mut command: Command, input: String) -> Vec<u8> {
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = async move { stdin.write_all(input.as_bytes()).await.unwrap() };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    let output = output.unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    output.stdout
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// A tenant's events as the database shows them, in the order of the trail.
pub async fn rows(admin: &mut PgConnection, tenant: &str) -> Vec<Value> {
    let sql = format!(
        "SELECT to_jsonb(e) FROM audit_event e WHERE tenant_id = '{tenant}'
          ORDER BY transaction_id, sequence"
    );
    let rows = admin.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The tiles of a tenant's log as they are stored, by their paths (C2SP tlog-tiles).
pub async fn tiles(admin: &mut PgConnection, tenant: &str) -> BTreeMap<String, String> {
    let mut tiles = BTreeMap::new();
    let sql = format!("SELECT level, tile, hashes FROM evidence_tile WHERE tenant_id = '{tenant}'");
    for row in admin.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap() {
        let (level, tile, hashes): (i16, i64, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
        tiles.insert(format!("tile/{level}/{tile:03}"), base64(hashes));
    }
    let sql = format!("SELECT size, edge FROM evidence_head WHERE tenant_id = '{tenant}'");
    let head = admin.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    let (mut size, edge): (i64, Vec<u8>) = (head.get(0), head.get(1));
    let (mut edge, mut level) = (edge.as_slice(), 0);
    while size > 0 {
        let (tile, width) = (size / 256, size % 256);
        if width > 0 {
            let (hashes, rest) = edge.split_at(usize::try_from(width).unwrap() * 32);
            tiles.insert(format!("tile/{level}/{tile:03}.p/{width}"), base64(hashes));
            edge = rest;
        }
        (size, level) = (tile, level + 1);
    }
    assert!(edge.is_empty());
    tiles
}
