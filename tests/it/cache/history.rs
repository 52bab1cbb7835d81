//! Writers and readers at once, and somebody who looks at what each saw: nobody reads what is older than
//! the last write that was answered before they asked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use drr::{
    audit::{Recorder, recorder::Recording},
    auth::{KeySource, PseudonymKey, RevocationList, TokenVerifier, policy::Role},
    cache::{Answers, News, Remote, Stamps},
    clock::{SharedClock, SystemClock},
    db::Db,
    graphql,
    http::{
        self, Front, ListenerKind,
        authentication::Authentication,
        graphql::{Intake, Taken, Trusted},
        subgraph::Execution,
    },
};
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::redis::Redis;
use crate::{
    app::{KEY, TestApp, assembly},
    cluster::{Cluster, Database, run, spool_folder},
};

const TENANTS: [&str; 2] = ["acme", "globex"];
const DATASETS: usize = 3;
const WRITERS: usize = 3;
const READERS: usize = 6;
/// Each writer writes so often at least, and goes on until so many have looked.
const WRITES: usize = 40;
const LOOKS: u64 = 200;

/// A service without sockets.
struct Service {
    router: Router,
    db: Db,
    recorder: Recorder,
    recording: Recording,
    stop: CancellationToken,
    listening: JoinHandle<()>,
}

/// How services know of writes.
#[derive(Clone, Copy)]
enum Knows<'r> {
    /// They are told of their own.
    Own,
    /// Nobody tells them.
    Nothing,
    /// By this Redis.
    Redis(&'r str),
    /// By this Redis, which those who write do not tell.
    Deaf(&'r str),
}

impl Service {
    async fn start(database: &Database<'static>, knows: Knows<'_>) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        let plan = assembly(database, clock.clone());
        let stamps = Arc::new(Stamps::default());
        let heard = if matches!(knows, Knows::Nothing) { Arc::default() } else { stamps.clone() };
        let mut news = News::new(clock.new_id(), heard);
        let mut answers = Answers::new(stamps, 1 << 24, Duration::from_secs(60));
        if let Knows::Redis(url) | Knows::Deaf(url) = knows {
            let remote = Remote::new(url, clock.clone()).unwrap();
            remote.connect().await;
            answers = answers.shared(remote.clone());
            if matches!(knows, Knows::Redis(_)) {
                news = news.shared(remote);
            }
        }
        let news = Arc::new(news);
        let db = Db::new(plan.database).observed_by(news.clone());
        let stop = CancellationToken::new();
        // What the news would tell later than Redis is not waited for by those that are deaf.
        let listening = match knows {
            Knows::Redis(_) => tokio::spawn(news.run(db.clone(), None, stop.clone())),
            _ => tokio::spawn(async {}),
        };
        let (recorder, recording) = Recorder::start(db.clone(), &spool_folder(), 1 << 28).unwrap();
        let keys = KeySource::new(&plan.keys, clock.clone()).unwrap();
        keys.refresh().await.unwrap();
        let revoked = Arc::new(RevocationList::new(clock.clone(), 1));
        let pseudonyms = PseudonymKey::new(&[7; 32]).unwrap();
        let verifier =
            TokenVerifier::new(&plan.verifier, keys, revoked, pseudonyms, clock.clone()).unwrap();
        let authentication = Authentication::new(Arc::new(verifier), db.clone(), clock.clone());
        let execution =
            Execution::new(authentication, graphql::subgraph(), plan.limits.graphql_cost)
                .keeping(answers);
        let taken = Taken { persisted: true, only_trusted: false };
        let intake = Intake::new(&plan.limits, Trusted::default(), taken);
        let route = http::graphql::route(execution, intake, &plan.limits);
        let front = Front::new(ListenerKind::Public, clock, &plan.limits, recorder.clone());
        let router = http::assemble(Router::new().route("/graphql", route), front);
        Self { router, db, recorder, recording, stop, listening }
    }

    async fn end(self) {
        self.stop.cancel();
        self.listening.await.unwrap();
        self.recording.close(&self.recorder).await;
        self.db.close().await;
    }
}

async fn send(router: &Router, token: &str, query: &str, variables: Value) -> Value {
    let request = Request::post("/graphql")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(json!({ "query": query, "variables": variables }).to_string()))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn token(tenant: &str, role: Role) -> String {
    KEY.sign(&TestApp::request(tenant, role), &SystemClock).unwrap()
}

/// One dataset, and what was written to it and answered.
struct Subject {
    tenant: &'static str,
    id: String,
    /// One writer at a time, so that there is an order.
    writing: tokio::sync::Mutex<u64>,
    answered: AtomicU64,
}

/// What contradicts the history of writes.
#[derive(Default)]
struct Findings(Mutex<Vec<String>>);

impl Findings {
    fn add(&self, finding: String) {
        self.0.lock().unwrap().push(finding);
    }
}

fn number(value: &Value) -> u64 {
    value.as_str().map_or(0, |text| text.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Writes a number that only grows.
async fn write(router: &Router, subject: &Subject) {
    let mut last = subject.writing.lock().await;
    *last += 1;
    let update = "mutation($id: ID!, $text: String!) { updateDataset(input: { id: $id, description: $text }) { status } }";
    let text = format!("{} {}", subject.tenant, *last);
    let admin = token(subject.tenant, Role::TenantAdmin);
    let variables = json!({ "id": subject.id, "text": text });
    let answer = send(router, &admin, update, variables).await;
    assert_eq!(answer["data"]["updateDataset"]["status"], "UPDATED", "{answer}");
    subject.answered.store(*last, Ordering::Release);
}

/// Looks at all datasets of a tenant at once, or at one.
async fn read(router: &Router, subjects: &[Subject], random: &mut StdRng, findings: &Findings) {
    let subject = &subjects[random.random_range(0..subjects.len())];
    let own: Vec<_> = subjects.iter().filter(|of| of.tenant == subject.tenant).collect();
    let before: Vec<u64> = own.iter().map(|of| of.answered.load(Ordering::Acquire)).collect();
    let reader = token(subject.tenant, Role::Reader);
    let found: Vec<(String, Value)> = if random.random_bool(0.5) {
        let list = "{ datasets { nodes { id description } } }";
        let answer = send(router, &reader, list, json!({})).await;
        let nodes = answer["data"]["datasets"]["nodes"].as_array().unwrap().clone();
        nodes
            .iter()
            .map(|it| (it["id"].as_str().unwrap().to_owned(), it["description"].clone()))
            .collect()
    } else {
        let one = "query($id: ID!) { dataset(id: $id) { description } }";
        let answer = send(router, &reader, one, json!({ "id": subject.id })).await;
        vec![(subject.id.clone(), answer["data"]["dataset"]["description"].clone())]
    };
    for (id, description) in found {
        let Some(at) = own.iter().position(|of| of.id == id) else {
            findings.add(format!("{} was shown {id}", subject.tenant));
            continue;
        };
        if description.as_str().is_some_and(|text| !text.starts_with(subject.tenant)) {
            findings.add(format!("{} was shown {description}", subject.tenant));
        }
        if number(&description) < before[at] {
            findings.add(format!("{description} after {} was answered", before[at]));
        }
    }
}

/// Everything at once, each time at any of so many instances; answers what was found to be wrong.
async fn race(instances: usize, knows: Knows<'_>, seed: u64) -> Vec<String> {
    let database = Cluster::shared().await.database().await;
    let mut services = Vec::new();
    for _ in 0..instances {
        services.push(Service::start(&database, knows).await);
    }
    let at = |random: &mut StdRng| &services[random.random_range(0..instances)].router;
    let mut subjects = Vec::new();
    for tenant in TENANTS {
        for number in 0..DATASETS {
            let registers = "mutation($name: String!) { registerDataset(input: { namespace: \"n\", name: $name }) { dataset { id } } }";
            let name = json!({ "name": format!("d{number}") });
            let admin = token(tenant, Role::TenantAdmin);
            let answer = send(&services[0].router, &admin, registers, name).await;
            let id = answer["data"]["registerDataset"]["dataset"]["id"].as_str().unwrap();
            let (id, writing) = (id.to_owned(), tokio::sync::Mutex::default());
            subjects.push(Subject { tenant, id, writing, answered: AtomicU64::new(0) });
        }
    }
    let (findings, done, looked) = (Findings::default(), AtomicBool::new(false), AtomicU64::new(0));
    let (at, subjects, looks) = (&at, &subjects, &looked);
    let writers = (0..WRITERS as u64).map(|writer| async move {
        let mut random = StdRng::seed_from_u64(seed + writer);
        for written in 0.. {
            if written >= WRITES && looks.load(Ordering::Relaxed) >= LOOKS {
                break;
            }
            let subject = &subjects[random.random_range(0..subjects.len())];
            write(at(&mut random), subject).await;
        }
    });
    let readers = (0..READERS as u64).map(|reader| {
        let (findings, done, looked) = (&findings, &done, &looked);
        async move {
            let mut random = StdRng::seed_from_u64(seed + 100 + reader);
            while !done.load(Ordering::Acquire) {
                let router = at(&mut random);
                read(router, subjects, &mut random, findings).await;
                looked.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let writing = async {
        join_all(writers).await;
        done.store(true, Ordering::Release);
    };
    tokio::join!(writing, join_all(readers));
    for service in services {
        service.end().await;
    }
    findings.0.into_inner().unwrap()
}

#[test]
fn nobody_reads_what_is_older_than_the_last_answered_write() {
    run(async {
        for seed in 0..2 {
            let findings = race(1, Knows::Own, seed * 1_000).await;
            assert_eq!(findings, Vec::<String>::new());
        }
    });
}

/// The check itself: it finds a cache that is not told of writes.
#[test]
fn a_cache_that_is_not_told_of_writes_is_found() {
    run(async {
        assert!(!race(1, Knows::Nothing, 7).await.is_empty());
    });
}

#[test]
fn with_redis_nobody_reads_what_is_older_at_any_instance() {
    run(async {
        let Some(redis) = Redis::start().await else { return };
        for seed in 0..2 {
            let findings = race(3, Knows::Redis(&redis.url), seed * 1_000).await;
            assert_eq!(findings, Vec::<String>::new());
        }
        // Those who write tell the others too late, if they do not tell Redis.
        assert!(!race(3, Knows::Deaf(&redis.url), 7).await.is_empty());
    });
}
