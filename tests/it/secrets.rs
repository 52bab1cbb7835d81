//! No secret leaves the program: it runs as a user runs it, with every log line there is, and
//! whatever it writes is searched for every secret that it knows or was sent.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use reqwest::{Client, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{cluster::run, smoke::run_event};

const PATIENCE: Duration = Duration::from_secs(120);
const PERSON: &str = "anna.schmidt@example.org";

fn drr() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drr"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("DRR_") && name != "DRR_PG_BIN")
    {
        command.env_remove(name);
    }
    command
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The running program, and every line that it has written.
struct Program {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
}

impl Program {
    fn serve(folder: &Path) -> Self {
        let set = |name: &str, value: &str| format!("--set={name}={value}");
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let mut command = drr();
        command.arg("serve").args(
            ["public", "internal", "operations"]
                .map(|name| set(&format!("listen.{name}"), "127.0.0.1:0")),
        );
        command.args([
            set("data_dir", &path("data")),
            set("auth.issuer", "https://identity.example"),
            set("auth.audience", "drr"),
            set("auth.jwks_file", &path("jwks.json")),
            set("log.filter", "trace"),
        ]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines() {
                    let _ = sender.send(line.unwrap());
                }
            });
        }
        Self { child, lines, log: Vec::new() }
    }

    /// The addresses of its listeners, by name; it answers from then on.
    fn addresses(&mut self) -> BTreeMap<String, String> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the program serves");
            self.log.push(line.clone());
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            if line["message"] == "serving" {
                let names = ["public", "internal", "operations"];
                return names
                    .map(|name| {
                        (name.to_owned(), format!("http://{}", line[name].as_str().unwrap()))
                    })
                    .into();
            }
        }
    }

    /// Ends it as a service manager does; everything that it has ever written.
    fn end(mut self) -> Vec<String> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        // The lines end when the program does.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.log.push(line);
        }
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.log)
    }
}

/// What must never be seen, each with a name for the message.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 10, "{name} is too short to be searched for");
        self.0.push((name.to_owned(), secret.to_owned()));
    }

    /// Each part of a token by itself: any two of them are enough to guess the third.
    fn add_token(&mut self, name: &str, token: &str) {
        for part in token.split('.').skip(1) {
            self.add(name, part);
        }
    }

    /// Every line of every file below a folder that could be a secret.
    fn add_files(&mut self, path: &PathBuf) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                self.add_files(&entry.unwrap().path());
            }
            return;
        }
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        for line in text.lines().filter(|line| line.len() >= 10 && !line.starts_with("-----")) {
            self.add(&path.display().to_string(), line);
        }
    }

    fn not_in<'a>(&self, whose: &str, lines: impl IntoIterator<Item = &'a str>) {
        for line in lines {
            for (name, secret) in &self.0 {
                assert!(!line.contains(secret), "{whose} shows {name}: {line}");
            }
        }
    }
}

/// What users send: good, bad and forbidden, over both versions of HTTP.
async fn use_it(at: &BTreeMap<String, String>, tokens: &BTreeMap<&str, String>) {
    let clients = [Client::new(), Client::builder().http2_prior_knowledge().build().unwrap()];
    for client in clients {
        let graphql = |query: &str| {
            client.post(format!("{}/graphql", at["public"])).json(&json!({ "query": query }))
        };
        let run = "0190a000-0000-7000-8000-000000000001";
        let event = run_event("COMPLETE", "2026-11-01T00:00:00Z", run, "orders");
        let lineage = || client.post(format!("{}/api/v1/lineage", at["internal"])).json(&event);
        let register =
            "mutation { registerDataset(input: { namespace: \"n\", name: \"d\" }) { status } }";
        let sent: [(u16, RequestBuilder); 8] = [
            (201, lineage().bearer_auth(&tokens["runtime-writer"])),
            (
                200,
                graphql("{ me { actorId } datasets { nodes { name runs { nodes { runId } } } } }")
                    .bearer_auth(&tokens["reader"]),
            ),
            (200, graphql(register).bearer_auth(&tokens["person"])),
            (200, graphql(register).bearer_auth(&tokens["reader"])),
            (403, lineage().bearer_auth(&tokens["reader"])),
            (401, graphql("{ me { role } }").bearer_auth(&tokens["foreign"])),
            (401, lineage().bearer_auth(&tokens["tampered"])),
            (401, graphql("{ me { role } }").basic_auth("user", Some(&tokens["password"]))),
        ];
        for (status, request) in sent {
            let response = request.header("x-correlation-id", "find-me").send().await.unwrap();
            assert_eq!(response.status(), status, "{}", response.text().await.unwrap());
        }
    }
}

// D29, D34
#[test]
fn no_secret_is_in_the_log_the_metrics_or_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("development.pem");
    let sign = |key: &Path, arguments: &[&str]| {
        let fixed = ["--issuer=https://identity.example", "--audience=drr", "--tenant=acme"];
        output(drr().args(["token", "--key"]).arg(key).args(fixed).args(arguments))
    };
    let other = folder.path().join("foreign.pem");
    let writer = sign(&key, &["--role=runtime-writer"]);
    let tokens = BTreeMap::from([
        ("reader", sign(&key, &["--role=reader"])),
        ("person", sign(&key, &["--role=tenant-admin", &format!("--subject={PERSON}")])),
        ("foreign", sign(&other, &["--role=reader"])),
        ("tampered", format!("{}x", writer.trim_end_matches('x'))),
        ("password", "a-password-sent-by-mistake".to_owned()),
        ("runtime-writer", writer),
    ]);
    let jwks = output(
        drr().args(["token", "--jwks", "--tenant=acme", "--role=reader", "--key"]).arg(&key),
    );
    std::fs::write(folder.path().join("jwks.json"), jwks).unwrap();

    let mut program = Program::serve(folder.path());
    let at = program.addresses();
    let metrics = run(async {
        use_it(&at, &tokens).await;
        reqwest::get(format!("{}/metrics", at["operations"])).await.unwrap().text().await.unwrap()
    });
    let log = program.end();

    let mut secrets = Secrets::default();
    for (name, token) in tokens.iter().filter(|(name, _)| **name != "password") {
        secrets.add_token(name, token);
    }
    secrets.add("a password", &tokens["password"]);
    secrets.add("a person", PERSON);
    secrets.add_files(&key);
    secrets.add_files(&other);
    let known = secrets.0.len();
    secrets.add_files(&folder.path().join("data/credentials"));
    assert!(secrets.0.len() >= known + 4, "the passwords of the database and the pseudonym key");
    secrets.not_in("the log", log.iter().map(String::as_str));
    secrets.not_in("/metrics", metrics.lines());

    // The search can find something: the log is whole, and the requests are in it.
    let lines: Vec<Value> = log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), log.len(), "every line is JSON");
    let of = |level: &str| lines.iter().filter(|line| line["level"] == level).count();
    assert!(of("TRACE") > 100 && of("DEBUG") > 10, "not every line there is");
    let answered = lines
        .iter()
        .filter(|line| line["correlation_id"] == "find-me" && line["message"] == "answered");
    let mut statuses: Vec<_> = answered.map(|line| line["status"].as_u64().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        [200, 200, 200, 200, 200, 200, 201, 201, 401, 401, 401, 401, 401, 401, 403, 403]
    );
    assert!(metrics.contains("drr_token_validation_failures_total"), "{metrics}");
}

// D29
#[test]
fn the_settings_show_where_a_secret_comes_from_and_not_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("owner");
    std::fs::write(
        &file,
        "postgres://drr_owner:owner-secret-1234@db.example/drr?sslmode=verify-full",
    )
    .unwrap();
    let shown = output(
        drr()
            .args(["config", "check"])
            .env(
                "DRR_DATABASE_URL",
                "postgres://drr_app:login-secret-1234@db.example/drr?sslmode=verify-full",
            )
            .env("DRR_DATABASE_MIGRATION_URL_FILE", &file)
            .env("DRR_AUTH__PSEUDONYM_KEY", "pseudonym-secret-0123456789abcdef"),
    );
    let mut secrets = Secrets::default();
    for secret in ["owner-secret-1234", "login-secret-1234", "pseudonym-secret-0123456789abcdef"] {
        secrets.add(secret, secret);
    }
    secrets.not_in("config check", shown.lines());
    assert!(shown.contains("postgres://drr_app:****@db.example/drr"), "{shown}");
    assert!(shown.contains("auth.pseudonym_key = ****  (DRR_AUTH__PSEUDONYM_KEY)"), "{shown}");
}
