//! What the pure parts cost, each beside the least that the same work costs, in the same run:
//! `cargo bench --bench pure`. The two of a group are to be read as a ratio; the machine's own speed falls
//! out of it. `scripts/bench` measures the whole, with the database.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be set up has nothing to be measured"
)]

use std::{
    collections::{BTreeMap, HashMap},
    hint::black_box,
    sync::Arc,
    time::Duration,
};

use async_graphql::{Variables, parser::parse_query};
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256},
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use drr::{
    audit::{Class, Event},
    auth::{
        JwksSource, KeySettings, KeySource, PseudonymKey, RevocationList, TenantId, TokenVerifier,
        VerifierSettings,
        policy::Role,
        signing::{DevelopmentKey, TokenRequest},
    },
    cache::{Answers, Found, Told},
    clock::{Clock, ManualClock, SharedClock},
    config::{Settings, Sources},
    evidence::model::{Edge, Leaf, Position},
    freshness::model::{
        Basis, Driver, Exclusions, MaxAge, Mode, Policy, Rule, Status, Target, Timing,
    },
    graphql::{Document, cost::Costs},
    http::guard,
    refresh::{
        model::{Event as Reported, RunFold},
        openlineage::{self, ParseLimits},
    },
    schema::model::format::{Format, Schema},
};
use futures::FutureExt;
use serde_json::{Value, json};
use tlog_tiles::tlog::{self, Hash, HashReader};
use uuid::Uuid;

/// What a dashboard asks: fifty datasets, their state, their last runs.
const BOARD: &str = "{ datasets(first: 50) { nodes { name freshness { status staleAt }
    refreshState { status lastSuccessAt consecutiveFailures rowCount }
    runs(first: 5) { nodes { runId state startedAt endedAt rowCount } } } } }";

fn now() -> DateTime<Utc> {
    ManualClock::default().now()
}

/// Judging 1,000 datasets, against comparing 1,000 instants with their two limits.
fn freshness(criterion: &mut Criterion) {
    let id = Uuid::from_u128(1);
    let policy = Policy {
        id,
        version: 1,
        target: Target::Dataset(id),
        rule: Rule::MaxAge(MaxAge::parse(Some(1_000), Some(2_000)).unwrap()),
        mode: Mode::Active,
        driver: Driver::Analytical,
        exclusions: Exclusions::default(),
        timezone: chrono_tz::Tz::UTC,
        effective_from: now(),
    };
    let successes = (0..1_000).map(|age| now() - TimeDelta::seconds(3 * age));
    let stored: Vec<_> =
        successes.map(|at| (at, Timing::of(Some(&policy), Some(at)).stored_deadlines())).collect();
    let limits: Vec<_> = stored
        .iter()
        .map(|(_, (warn, stale))| (warn.timestamp_micros(), stale.timestamp_micros()))
        .collect();

    let mut group = criterion.benchmark_group("freshness of 1,000 datasets");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("judged", |bencher| {
        bencher.iter(|| {
            let judged = stored.iter().map(|(at, deadlines)| {
                Timing::stored(Basis::Timed, *deadlines, Some(&policy))
                    .at(black_box(now()), Some(*at))
            });
            judged.filter(|freshness| freshness.status == Status::Stale).count()
        });
    });
    group.bench_function("limit: compared", |bencher| {
        bencher.iter(|| {
            let now = black_box(now()).timestamp_micros();
            limits
                .iter()
                .map(|(warn, stale)| i32::from(now > *warn) + i32::from(now > *stale))
                .sum::<i32>()
        });
    });
    group.finish();
}

/// Reading 99 events of 33 runs and folding them, against `serde_json` reading the same bytes as values.
fn reports(criterion: &mut Criterion) {
    let event = |number: u128| {
        let state = ["START", "RUNNING", "COMPLETE"][usize::try_from(number % 3).unwrap()];
        json!({
            "eventType": state,
            "eventTime": (now() + TimeDelta::seconds(i64::try_from(number).unwrap())).to_rfc3339(),
            "producer": "https://example.com/loader",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": { "runId": Uuid::from_u128(number / 3) },
            "job": { "namespace": "pipelines", "name": "orders" },
            "inputs": [{ "namespace": "warehouse", "name": "raw.orders" }],
            "outputs": [{ "namespace": "warehouse", "name": "sales.orders",
                          "outputFacets": { "outputStatistics": { "rowCount": number, "size": 4096 } } }],
        })
    };
    let body = Value::from_iter((0..99).map(event)).to_string();
    let limits = ParseLimits::at(now());

    let mut group = criterion.benchmark_group("99 reports of 33 runs");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("read and folded", |bencher| {
        bencher.iter(|| {
            let mut runs: BTreeMap<Uuid, RunFold> = BTreeMap::new();
            for event in openlineage::parse(black_box(body.as_bytes()), &limits).unwrap().events {
                let Reported::Run(event) = event.unwrap() else { continue };
                let fold = RunFold::of(&event);
                match runs.get_mut(&event.run_id) {
                    Some(known) => known.absorb(fold).unwrap(),
                    None => drop(runs.insert(event.run_id, fold)),
                }
            }
            assert_eq!(runs.len(), 33);
            runs
        });
    });
    group.bench_function("limit: read as JSON", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Value>(black_box(body.as_bytes())).unwrap());
    });
    group.finish();
}

fn audit_event(number: u128) -> Event {
    Event {
        action: "dataset.read".into(),
        actor_id: "dashboard".into(),
        also: vec!["freshness.read".into(), "run.read".into()],
        call_id: None,
        calls: 1,
        class: Class::Api,
        correlation_id: Uuid::from_u128(number).to_string(),
        dataset_id: None,
        document_hash: Some(vec![0xab; 32]),
        duration_us: Some(1_500),
        error_code: None,
        event_id: Uuid::from_u128(number),
        interface: Some("public".into()),
        occurred_at: now(),
        operation_name: None,
        resource: None,
        result: "success".into(),
        row_count: Some(350),
        tenant_id: TenantId::parse("acme").unwrap(),
        token_hash: Some(vec![0xcd; 32]),
    }
}

/// The hashes of a tree, in memory.
#[derive(Default)]
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        Ok(indexes.iter().map(|&index| self.0[usize::try_from(index).unwrap()]).collect())
    }
}

/// Putting 256 events of the audit trail into a log, against SHA-256 of their bytes; and checking the proof
/// that one of 4,096 is in it, against the 12 nodes above it hashed.
fn evidence(criterion: &mut Criterion) {
    let events: Vec<_> = (0..256).map(audit_event).collect();
    let leaves: Vec<_> = events.iter().map(Event::leaf).collect();
    let mut group = criterion.benchmark_group("256 events of the trail");
    group.throughput(Throughput::Bytes(leaves.iter().map(|leaf| leaf.len() as u64).sum()));
    group.bench_function("appended to the log", |bencher| {
        bencher.iter(|| {
            let (mut edge, mut complete) = (Edge::default(), Vec::new());
            for event in black_box(&events) {
                let leaf = Leaf { position: Position::default(), hash: event.leaf_hash() };
                edge.append(&leaf, &mut complete);
            }
            assert_eq!(complete.len(), 1);
            edge.root().unwrap()
        });
    });
    group.bench_function("limit: SHA-256 of their bytes", |bencher| {
        bencher.iter(|| {
            for leaf in &leaves {
                black_box(digest::digest(&digest::SHA256, black_box(leaf)));
            }
        });
    });
    group.finish();

    let (size, leaf) = (4_096, 1_234);
    let hash = |number: u64| Hash(audit_event(number.into()).leaf_hash());
    let mut tree = Stored::default();
    for number in 0..size {
        let stored = tlog::stored_hashes_for_record_hash(number, hash(number), &tree).unwrap();
        tree.0.extend(stored);
    }
    let root = tlog::tree_hash(size, &tree).unwrap();
    let proof = tlog::prove_record(size, leaf, &tree).unwrap();
    let event = audit_event(leaf.into());
    let mut group = criterion.benchmark_group("proof that an event is one of 4,096");
    group.bench_function("checked", |bencher| {
        bencher.iter(|| {
            let hash = Hash(black_box(&event).leaf_hash());
            tlog::check_record(&proof, size, root, leaf, hash).unwrap();
        });
    });
    group.bench_function("limit: 12 nodes hashed", |bencher| {
        let node = [1_u8; 65];
        bencher.iter(|| {
            for _ in 0..12 {
                black_box(digest::digest(&digest::SHA256, black_box(&node)));
            }
        });
    });
    group.finish();
}

/// A verifier that remembers so many tokens, and a token for it.
fn verifier(remembered: u64) -> (TokenVerifier, String) {
    let clock: SharedClock = Arc::new(ManualClock::default());
    let key = DevelopmentKey::generate().unwrap();
    let (issuer, audience) = ("https://identity.drr.invalid", "drr");
    let tenant = TenantId::parse("acme").unwrap();
    let request = TokenRequest::for_role(issuer, audience, tenant, Role::Reader);
    let token = key.sign(&request, clock.as_ref()).unwrap();
    let source = KeySettings::new(JwksSource::Document(key.jwks_json()));
    let keys = KeySource::new(&source, clock.clone()).unwrap();
    keys.refresh().now_or_never().unwrap().unwrap();
    let revocations = Arc::new(RevocationList::new(clock.clone(), 1));
    let pseudonyms = PseudonymKey::new(&[1; 32]).unwrap();
    let mut settings = VerifierSettings::new(issuer, audience);
    settings.cache_capacity = remembered;
    let verifier = TokenVerifier::new(&settings, keys, revocations, pseudonyms, clock).unwrap();
    (verifier, token)
}

/// Verifying a token for the first time, against the RSA signature alone; and one that is remembered,
/// against SHA-256 of its text.
fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("RS256 token");
    for (name, remembered) in [("verified", 0), ("verified again", 1_000)] {
        let (verifier, token) = verifier(remembered);
        group.bench_function(name, |bencher| {
            bencher.iter(|| verifier.verify(black_box(&token)).now_or_never().unwrap().unwrap());
        });
    }
    let (_, token) = verifier(0);
    let signed = token.rsplit_once('.').unwrap().0.as_bytes();
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed, &mut signature).unwrap();
    let public =
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()).unwrap();
    group.bench_function("limit: signature", |bencher| {
        bencher.iter(|| public.verify_sig(black_box(signed), &signature).unwrap());
    });
    group.bench_function("limit again: SHA-256", |bencher| {
        bencher.iter(|| digest::digest(&digest::SHA256, black_box(token.as_bytes())));
    });
    group.finish();
}

/// Finding an answer of 54 kB, against a hash map by the request's bytes.
fn answers(criterion: &mut Criterion) {
    let (verifier, token) = verifier(1);
    let principal = verifier.verify(&token).now_or_never().unwrap().unwrap();
    let request = json!({ "query": BOARD }).to_string();
    let body = Bytes::from(vec![b'x'; 54_000]);
    let answers = Answers::new(Arc::default(), 1 << 24, Duration::from_secs(60));
    let ask = || {
        let request: [&[u8]; 2] = [b"POST", black_box(request.as_bytes())];
        answers.ask(&principal, false, now(), &request).now_or_never().unwrap()
    };
    let Found::Place(place) = ask().place().now_or_never().unwrap() else { return };
    place.put(body.clone(), Told::default(), i64::MAX).unwrap();

    let mut group = criterion.benchmark_group("answer of 54 kB");
    group.bench_function("found", |bencher| {
        bencher.iter(|| ask().kept().now_or_never().unwrap().unwrap().body.clone());
    });
    let map = HashMap::from([(request.clone(), body)]);
    group.bench_function("limit: hash map", |bencher| {
        bencher.iter(|| map[black_box(request.as_str())].clone());
    });
    group.finish();
}

/// Admitting a document that nobody sent before, against parsing it, which a plain service does too.
fn documents(criterion: &mut Criterion) {
    let default_data_dir = std::env::temp_dir();
    let settings = Settings::load(&Sources { default_data_dir, ..Sources::default() }).unwrap();
    let limits = settings.limits.graphql_document;
    let costs = Costs::of(include_str!("../schema.graphql"));
    let mut group = criterion.benchmark_group("document of a board");
    group.throughput(Throughput::Bytes(BOARD.len() as u64));
    group.bench_function("scanned, parsed, measured", |bencher| {
        bencher.iter(|| {
            let text = black_box(BOARD);
            guard::check(text, &limits).unwrap();
            let document = Document::new(parse_query(text).unwrap(), text, &limits).unwrap();
            let variables = Variables::default();
            document.takes(&variables, &limits).unwrap();
            costs.measure(document.parsed(), None, &variables).unwrap()
        });
    });
    group.bench_function("limit: parsed", |bencher| {
        bencher.iter(|| parse_query(black_box(BOARD)).unwrap());
    });
    group.finish();
}

/// A schema of so many fields in a format, with one more than it had.
fn wide(format: Format, fields: usize) -> String {
    let kinds = ["string", "long", "double"];
    match format {
        Format::Avro => {
            let field = |at: usize| {
                let kind = kinds[at % 3];
                json!({ "name": format!("f{at}"), "type": ["null", kind], "default": null })
            };
            let fields: Vec<_> = (0..fields).map(field).collect();
            json!({ "type": "record", "name": "R", "fields": fields }).to_string()
        }
        Format::Json => {
            let kinds = ["string", "integer", "number"];
            let field = |at: usize| (format!("f{at}"), json!({ "type": kinds[at % 3] }));
            let fields: serde_json::Map<String, Value> = (0..fields).map(field).collect();
            json!({ "type": "object", "properties": fields }).to_string()
        }
        Format::Protobuf => {
            let field = |at: usize| {
                format!("{} f{at} = {};", ["string", "int64", "double"][at % 3], at + 1)
            };
            let fields: String = (0..fields).map(field).collect();
            format!("syntax = \"proto3\"; message R {{ {fields} }}")
        }
    }
}

/// Comparing a schema of 200 fields with the version before it both ways, texts read; against reading its text.
fn schemas(criterion: &mut Criterion) {
    for format in [Format::Avro, Format::Json, Format::Protobuf] {
        let mut group = criterion.benchmark_group(format!("{format} schema of 200 fields"));
        let (old, new) = (wide(format, 199), wide(format, 200));
        let read = |text: &str| Schema::parse(format, text, &[]).unwrap();
        group.bench_function("read and compared both ways", |bencher| {
            bencher.iter(|| {
                let (old, new) = (read(black_box(&old)), read(black_box(&new)));
                (new.reads(&old).unwrap(), old.reads(&new).unwrap())
            });
        });
        let (one, other) = (read(&old), read(&new));
        group.bench_function("compared one way", |bencher| {
            bencher.iter(|| black_box(&other).reads(black_box(&one)).unwrap());
        });
        group.bench_function("limit: bytes hashed", |bencher| {
            bencher.iter(|| digest::digest(&digest::SHA256, black_box(new.as_bytes())));
        });
        group.finish();
    }
}

criterion_group! {
    name = pure;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    targets = freshness, reports, evidence, tokens, answers, documents, schemas
}
criterion_main!(pure);
