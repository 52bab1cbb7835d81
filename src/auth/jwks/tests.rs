//! Rotation, refusal and bad weather, against a real HTTP server on the loopback address (D8, D40).

use std::{
    net::SocketAddr,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, LOCATION},
    },
    response::IntoResponse,
    routing::get,
};
use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::{
    auth::{
        Principal, PseudonymKey, RevocationList, TenantId, TokenVerifier,
        policy::Role,
        signing::{DevelopmentKey, TokenRequest},
        verifier::VerifierSettings,
    },
    clock::ManualClock,
};

static KEYS: LazyLock<[DevelopmentKey; 2]> =
    LazyLock::new(|| [0; 2].map(|_| DevelopmentKey::generate().unwrap()));

/// A publisher whose answer can be changed, withheld and counted.
struct Publisher {
    answer: std::sync::Mutex<(StatusCode, String, &'static str)>,
    asked: AtomicUsize,
    was_asked: Notify,
    gate: Semaphore,
}

impl Publisher {
    fn publish(
        &self,
        status: StatusCode,
        document: impl Into<String>,
        cache_control: &'static str,
    ) {
        *self.answer.lock().unwrap() = (status, document.into(), cache_control);
    }

    fn keys(&self, keys: &[&DevelopmentKey]) {
        self.publish(StatusCode::OK, key_set(keys), "");
    }

    fn fails(&self) {
        self.publish(StatusCode::SERVICE_UNAVAILABLE, "", "");
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn key_set(keys: &[&DevelopmentKey]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .flat_map(|key| {
            let set: serde_json::Value = serde_json::from_str(&key.jwks_json()).unwrap();
            set["keys"].as_array().unwrap().clone()
        })
        .collect();
    serde_json::json!({ "keys": keys }).to_string()
}

async fn answer(State(publisher): State<Arc<Publisher>>) -> impl IntoResponse {
    publisher.asked.fetch_add(1, Ordering::SeqCst);
    publisher.was_asked.notify_one();
    publisher.gate.acquire().await.unwrap().forget();
    publisher.gate.add_permits(1);
    let (status, document, cache_control) = publisher.answer.lock().unwrap().clone();
    let headers = [(CACHE_CONTROL, cache_control), (LOCATION, "/elsewhere")];
    (status, headers, document)
}

struct Bench {
    publisher: Arc<Publisher>,
    clock: Arc<ManualClock>,
    source: Arc<KeySource>,
    verifier: Arc<TokenVerifier>,
    address: SocketAddr,
}

async fn bench() -> Bench {
    let publisher = Arc::new(Publisher {
        answer: std::sync::Mutex::new((StatusCode::OK, key_set(&[&KEYS[0]]), "")),
        asked: AtomicUsize::new(0),
        was_asked: Notify::new(),
        gate: Semaphore::new(1),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/keys", get(answer))
        .route("/elsewhere", get(async || key_set(&[&KEYS[1]])))
        .with_state(publisher.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let clock = Arc::new(ManualClock::default());
    let settings = KeySettings::new(JwksSource::Url(format!("http://{address}/keys")));
    let source = KeySource::new(&settings, clock.clone()).unwrap();
    let verifier = verifier(&source, &clock);
    Bench { publisher, clock, source, verifier, address }
}

fn verifier(source: &Arc<KeySource>, clock: &Arc<ManualClock>) -> Arc<TokenVerifier> {
    let verifier = TokenVerifier::new(
        &VerifierSettings::new("issuer", "drr"),
        source.clone(),
        Arc::new(RevocationList::new(clock.clone(), 10)),
        PseudonymKey::new(&[1; 32]).unwrap(),
        clock.clone(),
    );
    Arc::new(verifier.unwrap())
}

fn token(key: &DevelopmentKey, clock: &ManualClock) -> String {
    let tenant = TenantId::parse("acme").unwrap();
    let request = TokenRequest::for_role("issuer", "drr", tenant, Role::RuntimeWriter);
    key.sign(&request, clock).unwrap()
}

impl Bench {
    async fn verify(&self, key: &DevelopmentKey) -> Result<Principal, TokenError> {
        self.verifier.verify(&token(key, &self.clock)).await
    }

    fn wait(&self, duration: Duration) {
        self.clock.advance(TimeDelta::from_std(duration).unwrap());
    }
}

#[tokio::test]
async fn keys_rotate_without_a_refused_token() {
    let bench = bench().await;
    let [old, new] = &*KEYS;
    assert!(!bench.source.is_ready());
    assert!(bench.verify(old).await.is_ok(), "the first token fetches the keys");
    assert!(bench.source.is_ready());
    assert_eq!(bench.publisher.asked(), 1);
    assert!(bench.verify(old).await.is_ok());
    assert_eq!(bench.publisher.asked(), 1, "known keys are not asked for");

    bench.publisher.keys(&[old, new]);
    bench.wait(Duration::from_secs(1));
    assert!(bench.verify(new).await.is_ok(), "a new key is fetched when it is first used");
    assert!(bench.verify(old).await.is_ok(), "and the old one still holds");
    assert_eq!(bench.publisher.asked(), 2);
}

#[tokio::test]
async fn a_retired_key_voids_tokens_that_were_verified_before() {
    let bench = bench().await;
    let [old, new] = &*KEYS;
    let remembered = token(old, &bench.clock);
    assert!(bench.verifier.verify(&remembered).await.is_ok());
    bench.publisher.keys(&[new]);
    bench.source.refresh().await.unwrap();
    let refused = bench.verifier.verify(&remembered).await.unwrap_err();
    assert_eq!(refused, TokenError::UnknownKey);
    assert!(bench.verify(new).await.is_ok());

    // The same name with another key is another key.
    let renamed = key_set(&[old]).replace(old.key_id(), new.key_id());
    let remembered = token(new, &bench.clock);
    assert!(bench.verifier.verify(&remembered).await.is_ok());
    bench.publisher.publish(StatusCode::OK, renamed, "");
    bench.source.refresh().await.unwrap();
    let refused = bench.verifier.verify(&remembered).await.unwrap_err();
    assert_eq!(refused, TokenError::Signature);

    bench.publisher.keys(&[]);
    bench.source.refresh().await.unwrap();
    assert!(!bench.source.is_ready());
    assert_eq!(bench.verify(old).await.unwrap_err(), TokenError::UnknownKey);
}

#[tokio::test]
async fn unknown_keys_cannot_make_us_ask_often() {
    let bench = bench().await;
    bench.source.refresh().await.unwrap();
    let [_, unknown] = &*KEYS;
    for _ in 0..5 {
        assert_eq!(bench.verify(unknown).await.unwrap_err(), TokenError::UnknownKey);
    }
    assert_eq!(bench.publisher.asked(), 2, "asked once for all of them");
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.verify(unknown).await.unwrap_err(), TokenError::UnknownKey);
    assert_eq!(bench.publisher.asked(), 2, "the same unknown key is remembered for 10 s");
    for name in 0..50 {
        let found = bench.source.find(Some(&name.to_string())).await;
        assert_eq!(found.unwrap_err(), TokenError::UnknownKey);
    }
    assert_eq!(bench.publisher.asked(), 3, "other unknown keys ask at most once a second");
    bench.wait(Duration::from_secs(8));
    bench.publisher.keys(&[&KEYS[0], unknown]);
    assert!(bench.verify(unknown).await.is_ok(), "after that it is asked for again");
    assert_eq!(bench.publisher.asked(), 4);
}

// D40
#[tokio::test]
async fn a_made_up_key_does_not_keep_out_a_new_one() {
    let bench = bench().await;
    bench.source.refresh().await.unwrap();
    let [old, new] = &*KEYS;
    assert_eq!(bench.source.find(Some("made up")).await.unwrap_err(), TokenError::UnknownKey);
    bench.publisher.keys(&[old, new]);
    // Within the gap of a second: the rest of it is waited for, and the set is asked for again.
    bench.wait(Duration::from_millis(900));
    assert!(bench.verify(new).await.is_ok(), "published since the made-up key was asked for");
    assert_eq!(bench.publisher.asked(), 3);
}

// D40
#[tokio::test]
async fn who_waits_for_the_gap_does_not_hold_up_the_renewals_in_the_background() {
    let bench = bench().await;
    let [old, new] = &*KEYS;
    assert_eq!(bench.verify(new).await.unwrap_err(), TokenError::UnknownKey);
    assert!(bench.verify(old).await.is_ok());
    bench.wait(Duration::from_millis(10));
    let mut waiting = std::pin::pin!(bench.source.find(Some("made up")));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    bench.publisher.keys(&[new]);
    bench.source.refresh().await.unwrap();
    assert!(bench.source.known(Some(old.key_id())).is_none(), "retired meanwhile");
}

#[tokio::test]
async fn a_key_that_was_unknown_is_known_as_soon_as_the_set_has_it() {
    let bench = bench().await;
    let [old, new] = &*KEYS;
    assert_eq!(bench.verify(new).await.unwrap_err(), TokenError::UnknownKey);
    bench.publisher.keys(&[old, new]);
    bench.source.refresh().await.unwrap();
    assert!(bench.verify(new).await.is_ok());
}

#[tokio::test]
async fn one_renewal_serves_everybody_who_waits_for_it() {
    let bench = bench().await;
    bench.publisher.gate.acquire().await.unwrap().forget();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (bench.verifier.clone(), token(&KEYS[0], &bench.clock));
            tokio::spawn(async move { verifier.verify(&token).await.map(drop) })
        })
        .collect();
    bench.publisher.was_asked.notified().await;
    // Whoever asked first goes away; the others still get their answer.
    callers[0].abort();
    bench.publisher.gate.add_permits(1);
    for caller in callers.into_iter().skip(1) {
        assert_eq!(caller.await.unwrap(), Ok(()));
    }
    assert_eq!(bench.publisher.asked(), 1);
}

#[tokio::test]
async fn the_last_keys_hold_while_the_publisher_is_away_but_not_for_ever() {
    let bench = bench().await;
    let [known, unknown] = &*KEYS;
    bench.publisher.fails();
    assert_eq!(bench.verify(known).await.unwrap_err(), TokenError::KeysUnavailable);
    bench.publisher.keys(&[known]);
    bench.wait(Duration::from_secs(1));
    assert!(bench.verify(known).await.is_ok());

    bench.publisher.fails();
    assert!(matches!(bench.source.refresh().await, Err(JwksError::Status(503))));
    bench.wait(Duration::from_secs(3_598));
    assert!(bench.verify(known).await.is_ok(), "stale, but not too stale");
    assert_eq!(bench.verify(unknown).await.unwrap_err(), TokenError::KeysUnavailable);
    assert_eq!(bench.verify(unknown).await.unwrap_err(), TokenError::KeysUnavailable);
    let remembered = token(known, &bench.clock);
    assert!(bench.verifier.verify(&remembered).await.is_ok());
    bench.wait(Duration::from_secs(2));
    assert!(!bench.source.is_ready());
    let refused = bench.verifier.verify(&remembered).await.unwrap_err();
    assert_eq!(refused, TokenError::KeysUnavailable, "too stale, even for what is remembered");

    bench.publisher.keys(&[known]);
    bench.wait(Duration::from_secs(1));
    assert!(bench.verifier.verify(&remembered).await.is_ok(), "it comes back by itself");
}

#[tokio::test]
async fn answers_that_are_no_key_set_change_nothing() {
    let bench = bench().await;
    bench.source.refresh().await.unwrap();
    let good = key_set(&[&KEYS[1]]);
    let too_large = format!("{}{good}", " ".repeat(256 * 1024));
    for (status, document) in [
        (StatusCode::OK, ""),
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, r#"{"keys":7}"#),
        (StatusCode::OK, &*too_large),
        (StatusCode::NOT_FOUND, &*good),
        (StatusCode::FOUND, &*good),
        (StatusCode::TEMPORARY_REDIRECT, ""),
    ] {
        bench.publisher.publish(status, document, "");
        assert!(bench.source.refresh().await.is_err(), "{status}");
        assert!(bench.verify(&KEYS[0]).await.is_ok(), "{status}");
    }
}

#[tokio::test]
async fn a_publisher_that_hangs_is_given_up() {
    let bench = bench().await;
    bench.publisher.gate.acquire().await.unwrap().forget();
    let url = format!("http://{}/keys", bench.address);
    let mut settings = KeySettings::new(JwksSource::Url(url));
    settings.timeout = Duration::from_millis(50);
    let source = KeySource::new(&settings, bench.clock.clone()).unwrap();
    let Err(JwksError::Http(error)) = source.refresh().await else { panic!("not given up") };
    assert!(error.is_timeout());
    assert!(!error.to_string().contains("127.0.0.1"), "the URL stays out of the log");
}

#[tokio::test]
async fn max_age_brings_the_next_renewal_forward_but_never_back() {
    let bench = bench().await;
    for (cache_control, expected) in [
        ("", 60_000),
        ("max-age=30", 30_000),
        ("public, max-age=0", 1_000),
        ("max-age=86400", 60_000),
    ] {
        bench.publisher.publish(StatusCode::OK, key_set(&[&KEYS[0]]), cache_control);
        let wait = bench.source.renew(&mut *bench.source.flight.lock().await).await.unwrap();
        assert_eq!(wait, Duration::from_millis(expected), "{cache_control}");
    }
}

// D40: a key that is taken out of the file is refused within a second.
#[tokio::test]
async fn a_file_is_followed_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let [old, new] = &*KEYS;
    let replace = |keys: &[&DevelopmentKey]| {
        let draft = folder.path().join("draft");
        std::fs::write(&draft, key_set(keys)).unwrap();
        std::fs::rename(&draft, &path).unwrap();
    };
    replace(&[old]);
    let clock = Arc::new(ManualClock::default());
    let settings = KeySettings::new(JwksSource::File(path.clone()));
    assert!(settings.refresh_interval <= Duration::from_millis(500));
    let source = KeySource::new(&settings, clock.clone()).unwrap();
    let verifier = verifier(&source, &clock);
    let remembered = token(old, &clock);
    assert!(verifier.verify(&remembered).await.is_ok());

    let stop = CancellationToken::new();
    let running = tokio::spawn(source.clone().run(stop.clone()));
    let until = async |done: &dyn Fn(&Snapshot) -> bool| {
        while !done(&source.snapshot.load()) {
            tokio::task::yield_now().await;
        }
    };
    replace(&[new]);
    let taken_out = |snapshot: &Snapshot| snapshot.keys.iter().all(|key| &*key.id != old.key_id());
    tokio::time::timeout(Duration::from_secs(30), until(&taken_out)).await.unwrap();
    assert_eq!(verifier.verify(&remembered).await.unwrap_err(), TokenError::UnknownKey);
    assert!(verifier.verify(&token(new, &clock)).await.is_ok());

    std::fs::remove_file(&path).unwrap();
    assert!(matches!(source.refresh().await, Err(JwksError::File(_))));
    assert!(verifier.verify(&token(new, &clock)).await.is_ok(), "the last keys hold");
    stop.cancel();
    running.await.unwrap();
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let check = |change: fn(&mut KeySettings)| {
        let mut settings = KeySettings::new(JwksSource::Document("".into()));
        change(&mut settings);
        KeySource::new(&settings, Arc::new(ManualClock::default())).map(drop)
    };
    assert!(check(|_| ()).is_ok());
    let bad: [fn(&mut KeySettings); 6] = [
        |settings| settings.refresh_interval = Duration::ZERO,
        |settings| settings.on_demand_gap = Duration::ZERO,
        |settings| settings.unknown_key_lifetime = Duration::MAX,
        |settings| settings.maximum_staleness = Duration::from_secs(59),
        |settings| settings.timeout = Duration::ZERO,
        |settings| settings.maximum_staleness = Duration::MAX,
    ];
    for change in bad {
        assert!(matches!(check(change), Err(JwksSettingsError::Duration(_))));
    }
}
