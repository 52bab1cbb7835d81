//! A witness as C2SP tlog-witness says: it keeps what it signed last of each log, and signs nothing that
//! it is not shown to have grown from there.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use drr::{
    auth::TenantId,
    evidence::{Signatory, note::Tree},
};
use signed_note::{Note, StandardVerifier, VerifierList, key_id};
use tlog_tiles::{
    checkpoint::Checkpoint,
    tlog::{Hash, check_tree},
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::app::SIGNATORY;

/// What a witness does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// It answers nothing.
    Slow,
    /// It signs with a key that is not its own.
    WrongKey,
    /// It signs what it was not shown.
    OtherText,
    /// It answers so, and looks at nothing.
    Says(u16, &'static str),
}

/// A witness of the logs of the tests, by C2SP tlog-witness.
pub struct Witness {
    name: String,
    key: Ed25519KeyPair,
    manner: Mutex<Manner>,
    /// What it signed last of each log.
    pub seen: Mutex<BTreeMap<String, Tree>>,
    /// Whose logs it knows.
    logs: Arc<Signatory>,
    /// What it was asked, and what it answered.
    asked: Mutex<Vec<(String, u16)>>,
    time: AtomicU64,
}

fn pair() -> Ed25519KeyPair {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.as_ref()).unwrap()
}

fn typed(key: &Ed25519KeyPair) -> Vec<u8> {
    [&[4], key.public_key().as_ref()].concat()
}

impl Witness {
    /// One of the logs of the tests.
    pub fn new(name: &str) -> Arc<Self> {
        Self::of(name, SIGNATORY.clone())
    }

    /// One of the logs that are signed so.
    pub fn of(name: &str, logs: Arc<Signatory>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            key: pair(),
            manner: Mutex::new(Manner::Good),
            seen: Mutex::default(),
            logs,
            asked: Mutex::default(),
            time: AtomicU64::new(1_796_000_000),
        })
    }

    /// A log's own key, by which a checkpoint of it is known.
    fn log(&self, origin: &str) -> Option<StandardVerifier> {
        let tenant = TenantId::parse_or_none(origin.rsplit_once('/')?.1).ok()?;
        let known = self.logs.origin(&tenant) == origin;
        known.then(|| StandardVerifier::new(&self.logs.verifier_key(&tenant)).unwrap())
    }

    pub fn verifier_key(&self) -> String {
        let typed = typed(&self.key);
        format!("{}+{:08x}+{}", self.name, key_id(&self.name, &typed), STANDARD.encode(typed))
    }

    /// Listens at `address`; whoever ends the task ends the witness.
    pub async fn listen(self: &Arc<Self>, address: &str) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = Router::new()
            .route("/of/logs/add-checkpoint", post(add_checkpoint))
            .with_state(self.clone());
        (address, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
    }

    /// The line of a policy that names it.
    pub fn line(&self, address: &str) -> String {
        format!("witness {} {} http://{address}/of/logs/\n", self.name, self.verifier_key())
    }

    pub fn is(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub fn size(&self) -> Option<u64> {
        self.seen.lock().unwrap().get("drr.example/evidence/acme").map(|tree| tree.size)
    }

    /// What it was asked and what it answered, since the last time.
    pub fn bodies(&self) -> Vec<(String, u16)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The old sizes that it was asked from, and what it answered, since the last time.
    pub fn asked(&self) -> Vec<(u64, u16)> {
        let asked = self.bodies();
        let old = |body: &str| body.lines().next().unwrap()["old ".len()..].parse().unwrap();
        asked.iter().map(|(body, answer)| (old(body), *answer)).collect()
    }

    /// What it answers to a request: a status, and a text.
    fn judge(&self, body: &str) -> (u16, String) {
        let (head, note) = body.split_once("\n\n").unwrap();
        let mut head = head.lines();
        let old: u64 = head.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
        let proof: Vec<Hash> = head.map(|line| Hash::parse_hash(line).unwrap()).collect();
        let note = Note::from_bytes(note.as_bytes()).unwrap();
        let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
        let Some(log) = self.log(checkpoint.origin()) else { return (404, String::new()) };
        if note.verify(&VerifierList::new(vec![Box::new(log)])).is_err() {
            return (403, String::new());
        }
        let new = Tree { size: checkpoint.size(), root: checkpoint.hash().0 };
        let mut seen = self.seen.lock().unwrap();
        let known = seen.get(checkpoint.origin()).copied();
        let size = known.map_or(0, |tree| tree.size);
        if old > new.size {
            return (400, String::new());
        } else if old != size || known.is_some_and(|tree| tree.size == new.size && tree != new) {
            return (409, format!("{size}\n"));
        }
        let shown = match known {
            None => proof.is_empty(),
            Some(tree) => {
                let (root, before) = (Hash(new.root), Hash(tree.root));
                check_tree(&proof, new.size, root, tree.size, before).is_ok()
            }
        };
        if !shown {
            return (422, String::new());
        }
        seen.insert(checkpoint.origin().to_owned(), new);
        (200, self.cosign(note.text()))
    }

    /// Its cosignature, among others that nobody asked for.
    fn cosign(&self, text: &[u8]) -> String {
        let manner = *self.manner.lock().unwrap();
        let key = if manner == Manner::WrongKey { &pair() } else { &self.key };
        // Each at another time, so that no two are the same.
        let time = self.time.fetch_add(1, Ordering::Relaxed);
        let text = std::str::from_utf8(text).unwrap();
        let text = if manner == Manner::OtherText { "another\n" } else { text };
        let signature = key.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
        let id = key_id(&self.name, &typed(&self.key)).to_be_bytes();
        let own = [&id[..], &time.to_be_bytes(), signature.as_ref()].concat();
        let mut lines = format!("\u{2014} other.example {}\n", STANDARD.encode([7; 76]));
        writeln!(lines, "\u{2014} {} {}", self.name, STANDARD.encode(own)).unwrap();
        lines
    }
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: String) -> Response {
    let manner = *witness.manner.lock().unwrap();
    let (status, text) = match manner {
        Manner::Slow => std::future::pending().await,
        Manner::Says(status, text) => (status, text.to_owned()),
        _ => witness.judge(&body),
    };
    witness.asked.lock().unwrap().push((body, status));
    let status = StatusCode::from_u16(status).unwrap();
    let kind = if status == StatusCode::CONFLICT { "text/x.tlog.size" } else { "text/plain" };
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}
