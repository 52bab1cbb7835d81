//! Requests of three tenants over HTTP, cut off at random moments.
//!
//! `DRR_TEST_CUT_REQUESTS` says how many, `DRR_TEST_SEED` how the chances fall.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use drr::auth::policy::Role;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    pool::{COUNTING, UNCLEAN, at_rest, metric},
    world::strings,
};
use crate::{app::TestApp, cluster::run, smoke::run_event};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const REQUESTS: usize = 100_000;
const WORKERS: usize = 24;
/// The first requests of each worker are left to answer, to learn how long answers take, and of the
/// later ones every so manieth: those that were answered before they were cut off are the fast ones.
const WARM_UP: usize = 20;
const LEFT_TO_ANSWER: usize = 8;

const READS: [&str; 2] = [
    "{ datasets(first: 5) { nodes { name description } } }",
    "{ me { tenantId } datasets(first: 5) { nodes { name refreshState { status } } } }",
];
const WRITE: &str = "mutation($id: ID!, $text: String) {
  updateDataset(input: {id: $id, description: $text}) { status dataset { name } } }";

/// How many requests, or which seed, unless the environment says otherwise.
fn chosen<T: std::str::FromStr>(variable: &str, default: T) -> T {
    std::env::var(variable).ok().map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
    })
}

/// One tenant's requests, as they travel.
struct Tenant {
    name: &'static str,
    reads: Vec<Vec<u8>>,
    writes: Vec<Vec<u8>>,
}

impl Tenant {
    /// One in eight is a write.
    fn request(&self, random: &mut StdRng) -> &[u8] {
        let of = if random.random_ratio(1, 8) { &self.writes } else { &self.reads };
        &of[random.random_range(0..of.len())]
    }
}

#[derive(Default)]
struct Tally {
    begun: AtomicUsize,
    answered: AtomicUsize,
    cut: AtomicUsize,
    /// How long an answer takes of late, in microseconds.
    typical: AtomicU64,
}

impl Tally {
    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap();
        let typical = self.typical.load(Ordering::Relaxed);
        let next = if typical == 0 { took } else { (typical * 15 + took) / 16 };
        self.typical.store(next, Ordering::Relaxed);
    }

    fn typical(&self) -> Duration {
        Duration::from_micros(self.typical.load(Ordering::Relaxed))
    }
}

#[test]
fn requests_cut_off_at_random_moments_leave_nothing_behind() {
    run(async {
        let _counting = COUNTING.lock().await;
        let app = TestApp::start().await;
        let mut tenants = Vec::new();
        for name in TENANTS {
            tenants.push(tenant(&app, name).await);
        }
        let (tenants, tally) = (Arc::new(tenants), Arc::new(Tally::default()));
        let requests = chosen("DRR_TEST_CUT_REQUESTS", REQUESTS);
        let seed = chosen("DRR_TEST_SEED", 1_u64);
        let before = metric(UNCLEAN);
        let started = Instant::now();
        let workers = (0..WORKERS).map(|worker| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(worker as u64));
            let (tenants, tally) = (tenants.clone(), tally.clone());
            tokio::spawn(work(app.public_address(), tenants, tally, requests, random))
        });
        for worker in futures::future::join_all(workers).await {
            worker.unwrap();
        }
        let (cut, answered) =
            (tally.cut.load(Ordering::Relaxed), tally.answered.load(Ordering::Relaxed));
        println!("{cut} cut off, {answered} answered, in {:?}", started.elapsed());
        assert_eq!(cut + answered, requests);
        assert!(
            cut * 5 > requests && answered * 10 > requests,
            "{cut} cut off, {answered} answered"
        );

        // Nobody waits for a transaction any more, and none was found open by the next borrower.
        at_rest(&app.database).await;
        assert_eq!(metric(UNCLEAN), before);
        whole_or_not_at_all(&app).await;
        for name in TENANTS {
            let query = "{ datasets { nodes { name description } } }";
            let seen = app.data(&app.token(name, Role::Reader), query, json!({})).await;
            only_own(&seen.to_string(), name);
            assert_eq!(seen["datasets"]["nodes"].as_array().unwrap().len(), 3, "{seen:#}");
        }
        app.stop().await;
    });
}

/// A tenant with three datasets that bear its name, and its requests.
async fn tenant(app: &TestApp, name: &'static str) -> Tenant {
    let writer = app.token(name, Role::RuntimeWriter);
    for dataset in 0..3 {
        let run = format!("0190a000-0000-7000-8000-00000000000{dataset}");
        let output = format!("{name}-{dataset}");
        let event = run_event("COMPLETE", "2026-11-01T00:00:00Z", &run, &output);
        let (status, report) = app.lineage(&writer, &event).await;
        assert_eq!(status, 201, "{report:#}");
    }
    let (reader, admin) = (app.token(name, Role::Reader), app.token(name, Role::TenantAdmin));
    let seen = app.data(&reader, "{ datasets { nodes { id } } }", json!({})).await;
    let reads = READS.iter().map(|query| request(&reader, query, &json!({}))).collect();
    let nodes = seen["datasets"]["nodes"].as_array().unwrap().iter();
    let text = format!("of {name}");
    let writes: Vec<_> = nodes
        .map(|node| request(&admin, WRITE, &json!({ "id": node["id"], "text": text })))
        .collect();
    assert_eq!(writes.len(), 3);
    Tenant { name, reads, writes }
}

fn request(token: &str, query: &str, variables: &Value) -> Vec<u8> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn work(
    address: std::net::SocketAddr,
    tenants: Arc<Vec<Tenant>>,
    tally: Arc<Tally>,
    requests: usize,
    mut random: StdRng,
) {
    let mut connection = None;
    let mut own = 0;
    while tally.begun.fetch_add(1, Ordering::Relaxed) < requests {
        let tenant = &tenants[random.random_range(0..tenants.len())];
        let request = tenant.request(&mut random);
        own += 1;
        let left_to_answer = own <= WARM_UP || own % LEFT_TO_ANSWER == 0;
        let patience = if left_to_answer {
            Duration::from_secs(60)
        } else {
            tally.typical().mul_f64(random.random_range(0.0..1.6))
        };
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => TcpStream::connect(address).await.unwrap(),
        };
        let begun = Instant::now();
        match tokio::time::timeout(patience, exchange(&mut stream, request)).await {
            Err(_) => {
                tally.cut.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => {
                let answer = answer.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                assert!(!answer.contains("\"errors\""), "{answer}");
                only_own(&answer, tenant.name);
                if left_to_answer {
                    tally.learn(begun.elapsed());
                }
                tally.answered.fetch_add(1, Ordering::Relaxed);
                connection = Some(stream);
            }
        }
    }
}

/// Sends a request, reads its answer whole.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<String> {
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.expect("an answer of known length") {
            return Ok(text.into_owned());
        }
    }
}

/// Everything bears its tenant's name: what is shown, and what is not.
fn only_own(answer: &str, tenant: &str) {
    assert!(answer.contains(tenant), "{tenant} does not see its own: {answer}");
    for other in TENANTS.iter().filter(|&&other| other != tenant) {
        assert!(!answer.contains(other), "{tenant} sees {other}'s: {answer}");
    }
}

/// Every change has its audit event, every event its change: whatever was cut off.
async fn whole_or_not_at_all(app: &TestApp) {
    let mut admin = app.admin().await;
    let changes = "SELECT tenant_id || ' ' || dataset_id || ' ' || (row_version - 1) FROM dataset_registry ORDER BY 1";
    let events = "SELECT tenant_id || ' ' || dataset_id || ' ' || count(*) FROM audit_event
      WHERE action = 'dataset.update' AND result = 'SUCCESS' GROUP BY tenant_id, dataset_id ORDER BY 1";
    let changes = strings(&mut admin, changes).await;
    assert_eq!(changes, strings(&mut admin, events).await);
    let mut made = BTreeMap::<&str, u64>::new();
    for line in &changes {
        let words: Vec<&str> = line.split(' ').collect();
        *made.entry(words[0]).or_default() += words[2].parse::<u64>().unwrap();
    }
    assert!(TENANTS.iter().all(|tenant| made[tenant] > 0), "{made:?}");
    let owners = "SELECT tenant_id || ' ' || coalesce(description, '') FROM dataset_registry
                   WHERE description <> 'of ' || tenant_id OR name NOT LIKE tenant_id || '-%'";
    assert_eq!(strings(&mut admin, owners).await, Vec::<String>::new());
}
