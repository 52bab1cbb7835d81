//! Writers with keys, and a program or a database that dies among them: nothing that was acknowledged
//! is lost, nothing happens twice, and whoever asks again gets the answer that was given.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use drr::auth::policy::Role;
use futures::future::join_all;
use reqwest::Client;
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::timeout};

use super::{Answered, TENANT};
use crate::{
    app::{KEY, TestApp},
    cluster::run,
    program::{Serving, postgres, serve},
};

const WRITERS: usize = 16;
/// How many answers are waited for before the kill.
const ACKNOWLEDGED: usize = 100;

const REGISTER: &str = "mutation($name: String!) {
  registerDataset(input: { namespace: \"ns\", name: $name }) { dataset { id } } }";
const UPDATE: &str = "mutation($id: ID!, $text: String!) {
  updateDataset(input: { id: $id, description: $text }) { status dataset { version description } } }";

/// Somebody who changes one dataset again and again: how often that happened is its version.
struct Writer {
    number: usize,
    id: Value,
    /// The answers so far; the change after them is the one in doubt.
    answers: Vec<Answered>,
}

fn token() -> String {
    let request = TestApp::request(TENANT, Role::TenantAdmin);
    KEY.sign(&request, &drr::clock::SystemClock).unwrap()
}

async fn send(
    http: &Client,
    to: std::net::SocketAddr,
    key: &str,
    query: &str,
    variables: Value,
) -> Option<Answered> {
    let request = http.post(format!("http://{to}/graphql")).bearer_auth(token());
    let request = request.header("idempotency-key", key);
    let response = request.json(&json!({ "query": query, "variables": variables })).send().await;
    let response = response.ok()?;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.ok()?.to_vec();
    Some(Answered { status, headers, bytes })
}

impl Writer {
    async fn new(http: &Client, to: std::net::SocketAddr, number: usize, round: &str) -> Self {
        let name = json!({ "name": format!("{round}-{number}") });
        let made = send(http, to, &format!("{round}-{number}"), REGISTER, name).await.unwrap();
        let id = made.json()["data"]["registerDataset"]["dataset"]["id"].clone();
        Self { number, id, answers: Vec::new() }
    }

    /// Its change with this number, counted from 1.
    async fn change(
        &self,
        http: &Client,
        to: std::net::SocketAddr,
        number: usize,
    ) -> Option<Answered> {
        let id = self.id.as_str().unwrap();
        let text = format!("change {number} of {}", self.number);
        let variables = json!({ "id": id, "text": text });
        let answer = send(http, to, &format!("{id}-{number}"), UPDATE, variables).await?;
        // What the death of the database leaves: whether the change was made is not known then.
        if !answer.status.is_success() || answer.json().get("errors").is_some() {
            return None;
        }
        let payload = &answer.json()["data"]["updateDataset"];
        assert_eq!(payload["status"], "UPDATED");
        assert_eq!(payload["dataset"]["version"], (number + 1).to_string());
        Some(answer)
    }

    /// Changes until nobody answers any more.
    async fn work(
        mut self,
        http: &Client,
        to: std::net::SocketAddr,
        acknowledged: &AtomicUsize,
        enough: &Notify,
    ) -> Self {
        while let Some(answer) = self.change(http, to, self.answers.len() + 1).await {
            assert!(!answer.replayed());
            self.answers.push(answer);
            if acknowledged.fetch_add(1, Ordering::AcqRel) + 1 == ACKNOWLEDGED {
                enough.notify_one();
            }
        }
        self
    }

    /// Asks for everything again.
    async fn check(&self, http: &Client, to: std::net::SocketAddr) {
        let doubtful = self.answers.len() + 1;
        self.change(http, to, doubtful).await.expect("the change in doubt can be made");
        for (index, before) in self.answers.iter().enumerate() {
            let again = self.change(http, to, index + 1).await.unwrap();
            assert!(again.replayed(), "{}: {}", self.number, index + 1);
            assert_eq!(again.bytes, before.bytes);
        }
        // Each of them counted once.
        let next = self.change(http, to, doubtful + 1).await.unwrap();
        assert!(!next.replayed());
    }
}

/// The program, patient enough with a machine that is busy with other tests.
fn started(folder: &Path) -> Serving {
    let mut command = serve(folder);
    command.env("DRR_DATABASE__ACQUIRE_TIMEOUT_MS", "60000");
    Serving::start(command)
}

async fn survive(folder: &Path, round: &'static str, kill: impl FnOnce(&Serving)) {
    let serving = started(folder);
    let to = serving.public;
    let http = Client::new();
    let writers = join_all((0..WRITERS).map(|number| Writer::new(&http, to, number, round))).await;
    let (acknowledged, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let working: Vec<_> = writers
        .into_iter()
        .map(|writer| {
            let (http, acknowledged, enough) = (http.clone(), acknowledged.clone(), enough.clone());
            tokio::spawn(async move { writer.work(&http, to, &acknowledged, &enough).await })
        })
        .collect();
    timeout(Duration::from_secs(60), enough.notified()).await.expect("the writers gave up");
    kill(&serving);
    let writers: Vec<_> = join_all(working).await.into_iter().map(Result::unwrap).collect();
    serving.ended();

    let serving = started(folder);
    let to = serving.public;
    let checked: usize = writers.iter().map(|writer| writer.answers.len()).sum();
    assert!(checked >= ACKNOWLEDGED, "{checked}");
    join_all(writers.iter().map(|writer| writer.check(&http, to))).await;
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().0, Some(0));
}

// D43
#[test]
fn what_was_acknowledged_survives_kills_and_nothing_happens_twice() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        survive(folder.path(), "program", |serving| serving.signal(Signal::KILL)).await;
        survive(folder.path(), "database", |_| {
            pidfd_send_signal(postgres(&folder.path().join("data")), Signal::KILL).unwrap();
        })
        .await;
    });
}
