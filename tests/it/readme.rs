//! The README and the pages that it leads to: their examples are run, and their tables compared with
//! what they tell of.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use drr::{
    auth::policy::{Grant, Kinds, RULES, Role},
    db::embedded::{EmbeddedOptions, EmbeddedPostgres},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{app::TestApp, cluster::run, program};

/// The README, then the pages under `docs/` by name.
fn readme() -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(top.join("docs")).unwrap();
    let mut pages: Vec<_> = pages.map(|page| page.unwrap().path()).collect();
    pages.sort();
    pages.insert(0, top.join("README.md"));
    let texts = pages.iter().map(|page| std::fs::read_to_string(page).unwrap());
    texts.collect::<Vec<_>>().join("\n")
}

/// The code blocks under a comment such as `<!-- run -->`.
fn blocks(mark: &str) -> Vec<String> {
    let readme = readme();
    let mark = format!("<!-- {mark} -->\n```");
    let after = readme.split(&mark).skip(1);
    let code = after.map(|text| text.split_once('\n').unwrap().1.split("\n```").next().unwrap());
    code.map(|code| format!("{code}\n")).collect()
}

/// A program with the variables that the README's commands use.
fn command(app: &TestApp, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("PUBLIC", app.public(""))
        .env("INTERNAL", app.internal(""))
        .env("READER", app.token("acme", Role::Reader))
        .env("WRITER", app.token("acme", Role::RuntimeWriter))
        .env("ADMIN", app.token("acme", Role::TenantAdmin))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Gives a program its text, and takes what it says.
async fn feed(app: &TestApp, program: &str, text: String) -> String {
    let mut command = command(app, program);
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{text}\n{said}");
        said
    })
    .await
    .unwrap()
}

async fn names(app: &TestApp) -> BTreeSet<String> {
    let query = "{ datasets { nodes { name refreshState { status } } } }";
    let data = app.data(&app.token("acme", Role::Reader), query, json!({})).await;
    let nodes = data["datasets"]["nodes"].as_array().unwrap().iter();
    nodes.map(|node| format!("{} {}", node["name"], node["refreshState"]["status"])).collect()
}

// D43
#[test]
fn its_retry_has_one_effect_and_one_answer() {
    run(async {
        let app = TestApp::start().await;
        let commands = blocks("retry");
        assert_eq!(commands.len(), 1);
        // What is told to the reader's eye goes to the output here.
        let command = commands[0].replace("/dev/stderr", "-");
        let said = feed(&app, "bash", command).await;
        let answers: Vec<_> = said.match_indices("{\"data\"").map(|(at, _)| &said[at..]).collect();
        assert_eq!(answers.len(), 2, "{said}");
        assert!(answers[0].starts_with(answers[1].trim()), "{said}");
        assert!(answers[1].contains("REGISTERED"), "{said}");
        assert_eq!(said.matches("idempotency-replayed: true").count(), 1, "{said}");
        app.stop().await;
    });
}

#[test]
fn its_commands_work_as_they_stand() {
    run(async {
        let app = TestApp::start().await;
        let commands = blocks("run");
        let [asked, event, import, list, state] = <[String; 5]>::try_from(commands).unwrap();
        let say = async |command: String| {
            let said = feed(&app, "bash", command).await;
            serde_json::from_str::<Value>(&said).unwrap()
        };
        // The reports first, so that there is something to be asked about.
        for report in [event, import] {
            let said = say(report).await;
            assert_eq!(said["summary"]["recorded"], 1, "{said:#}");
        }
        let said = say(state).await;
        assert_eq!(said["refreshState"]["rowCount"], "1300", "{said:#}");
        let said = say(asked).await;
        assert!(said.get("errors").is_none(), "{said:#}");
        let nodes = said["data"]["datasets"]["nodes"].as_array().unwrap();
        assert_eq!(nodes[0]["runs"]["nodes"][0]["state"], "COMPLETED");
        let said = say(list).await;
        let names: BTreeSet<_> =
            said["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str()).collect();
        assert_eq!(names, BTreeSet::from([Some("raw.payments"), Some("sales.orders")]));
        app.stop().await;
    });
}

/// A shell with the README's variables, which goes on from step to step.
struct Shell {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Shell {
    fn start(app: &TestApp) -> Self {
        let mut command = command(app, "bash");
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut shell = Self { child, answers };
        shell.step("set -euo pipefail");
        shell
    }

    /// Runs a step; the JSON values that it prints.
    fn step(&mut self, text: &str) -> Vec<Value> {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{text}\necho; echo END").unwrap();
        let mut said = String::new();
        while !said.ends_with("\nEND\n") {
            let read = self.answers.read_line(&mut said).unwrap();
            assert!(read > 0, "the shell has ended at:\n{text}\n{said}");
        }
        let said = said.trim_end_matches("END\n");
        let values = serde_json::Deserializer::from_str(said).into_iter::<Value>();
        let values = values.collect::<Result<Vec<_>, _>>();
        values.unwrap_or_else(|error| panic!("{error}:\n{text}\n{said}"))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// D16, D17
#[test]
fn its_stale_dataset_is_found_explained_muted_and_fixed() {
    run(async {
        let app = TestApp::start().await;
        let [made, asked, noted, mended, told] = <[String; 5]>::try_from(blocks("story")).unwrap();
        let mut shell = Shell::start(&app);
        // What a shell says comes from the service: waiting for it must not keep the service waiting.
        let mut step = |text: &str| tokio::task::block_in_place(|| shell.step(text));
        for answer in step(&made) {
            assert!(answer.get("errors").is_none(), "{answer:#}");
        }
        let found = step(&asked).remove(0);
        let nodes = found["data"]["datasets"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 2, "{found:#}");
        let sessions = nodes.iter().find(|node| node["name"] == "marts.sessions").unwrap();
        let explanation = sessions["freshness"]["explanation"].as_str().unwrap();
        assert!(explanation.contains("STALE"), "{explanation}");
        let cause = sessions["rootCauses"]["causes"][0]["sentence"].as_str().unwrap();
        assert!(cause.contains("raw.clicks"), "{cause}");
        assert_eq!(app.sweep().await.opened, 2);
        let answer = step(&noted).remove(0);
        assert_eq!(answer["data"]["acknowledgeBreach"]["status"], "ACKNOWLEDGED", "{answer:#}");
        assert_eq!(answer["data"]["muteFreshness"]["status"], "MUTED", "{answer:#}");
        for answer in step(&mended) {
            assert_eq!(answer["summary"]["recorded"], 1, "{answer:#}");
        }
        assert_eq!(app.sweep().await.resolved, 2);
        let answer = step(&told).remove(0);
        let dataset = &answer["data"]["dataset"];
        assert_eq!(dataset["freshness"]["status"], "FRESH", "{answer:#}");
        let breach = &dataset["breaches"]["nodes"][0];
        assert_eq!(breach["state"], "RESOLVED", "{answer:#}");
        assert_eq!(breach["resolution"], "REFRESHED", "{answer:#}");
        assert_eq!(breach["acknowledgement"]["note"], "the clicks are loaded again");
        let events = answer["data"]["freshnessEvents"]["nodes"].as_array().unwrap();
        let of = events.iter().filter(|event| event["dataset"]["name"] == "marts.sessions");
        let of: Vec<_> = of.map(|event| (event["type"].as_str(), event["muted"].clone())).collect();
        let expected =
            [("OPENED", false), ("ACKNOWLEDGED", false), ("MUTED", true), ("RESOLVED", true)];
        assert_eq!(of, expected.map(|(kind, muted)| (Some(kind), json!(muted))), "{answer:#}");
        app.stop().await;
    });
}

#[test]
fn its_python_works_as_it_stands() {
    let Ok(python) = std::env::var("DRR_TEST_PYTHON") else {
        eprintln!("SKIPPED: DRR_TEST_PYTHON does not name a Python with the OpenLineage client");
        return;
    };
    run(async {
        let app = TestApp::start().await;
        for code in blocks("python") {
            feed(&app, &python, code).await;
        }
        let expected = "\"sales.customers\" \"READY\"".to_owned();
        assert_eq!(names(&app).await, BTreeSet::from([expected]));
        app.stop().await;
    });
}

/// A scope, and whether it is for services only.
type How = (Option<&'static str>, bool);

/// `reader, tenant-admin with storage.read.refresh; …`
fn granted(grants: &[Grant]) -> String {
    let mut roles: Vec<(How, Vec<&str>)> = Vec::new();
    for grant in grants {
        let how = (grant.scope.map(|scope| scope.as_str()), grant.kinds == Kinds::MachineOnly);
        match roles.iter_mut().find(|(known, _)| *known == how) {
            Some((_, roles)) => roles.push(grant.role.as_str()),
            None => roles.push((how, vec![grant.role.as_str()])),
        }
    }
    let words = roles.into_iter().map(|((scope, machine), roles)| {
        let all = roles.len() == Role::ALL.len();
        let who = if all { "every role".to_owned() } else { format!("`{}`", roles.join("`, `")) };
        let scope = scope.map(|scope| format!(" with `{scope}`")).unwrap_or_default();
        format!("{who}{scope}{}", if machine { ", services only" } else { "" })
    });
    words.collect::<Vec<_>>().join("; ")
}

// D5
#[test]
fn its_table_of_rights_is_that_of_the_program() {
    let mut table = "<!-- rights -->\n| operation | who |\n|---|---|\n".to_owned();
    for rule in RULES {
        table += &format!("| `{}` | {} |\n", rule.operation, granted(rule.grants));
    }
    table += "<!-- /rights -->";
    assert!(readme().contains(&table), "docs/tokens.md must have:\n{table}");
}

#[test]
fn its_settings_are_those_of_the_program() {
    let shown: BTreeMap<String, String> = program::answer(&["config", "check"])
        .lines()
        .map(|line| match line.split_once(" = ") {
            // Where the data goes depends on who asks.
            Some((name @ "data_dir", _)) => (name.to_owned(), String::new()),
            Some((name, value)) => {
                let value = value.strip_suffix("  (default)").expect(line);
                (name.to_owned(), format!("`{value}`"))
            }
            None => (line.strip_suffix(" is not set").expect(line).to_owned(), String::new()),
        })
        .collect();
    let readme = readme();
    let table = readme.split_once("| setting | default | |\n|---|---|---|\n").unwrap().1;
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let told: BTreeMap<String, String> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
        })
        .collect();
    assert_eq!(told, shown);
}

#[test]
fn its_way_to_a_postgresql_of_ones_own_leads_there() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let bin_dir = std::env::var_os("DRR_PG_BIN").map(Into::into);
        let options = EmbeddedOptions { data_dir: folder.path().to_owned(), bin_dir };
        // A server on which nothing of this program was made yet.
        let server = EmbeddedPostgres::start(options).await.unwrap();
        let superuser = server.superuser_options("postgres");
        let mut admin = PgConnection::connect_with(&superuser).await.unwrap();
        for statement in blocks("sql")[0].split_inclusive(";\n") {
            admin.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
        }
        admin.close().await.unwrap();
        let socket = server.socket_dir().display().to_string();
        let url = |login: &str| format!("postgres://{login}@localhost:5432/drr?host={socket}");
        let drr = async |arguments: &'static [&'static str]| {
            let mut command = program::drr(arguments);
            command.env("DRR_DATABASE_URL", url("drr_app:change-me-too"));
            command.env("DRR_DATABASE_MIGRATION_URL", url("drr_owner:change-me"));
            let output = tokio::task::spawn_blocking(move || command.output().unwrap());
            let output = output.await.unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {complaint}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(!drr(&["migrate", "status"]).await.contains("applied"));
        drr(&["migrate", "up"]).await;
        assert!(!drr(&["migrate", "status"]).await.contains("pending"));
        // It makes the checks that `serve` makes, and writes as the application.
        let said = drr(&[
            "seed",
            "--tenants",
            "1",
            "--datasets",
            "2",
            "--runs",
            "3",
            "--yes-this-is-not-production",
        ])
        .await;
        assert!(said.starts_with("seeded 2 datasets with 6 runs"), "{said}");
        server.stop().await.unwrap();
    });
}
