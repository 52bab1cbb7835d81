//! Whole answers, by what they depend on.
//!
//! Of any number of callers who ask for the same at once and find nothing kept, one makes the answer and
//! the others wait for it. If it turns out to be one that cannot be kept, the others make their own, and so
//! does everybody for a while: such requests do not wait for each other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use uuid::Uuid;

use super::{
    local::{Local, Size},
    remote::{Mark, Remote},
    stamps::{Stamp, Stamps},
};
use crate::auth::{
    Principal, TenantId, TokenKind,
    policy::{Operation, Role, ScopeSet},
};

/// How long it is remembered of a request that its answer cannot be kept, and that it failed, in
/// microseconds.
const REMEMBERED: i64 = 10_000_000;
const FAILED: i64 = 1_000_000;

/// What an answer depends on, besides its tenant and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    stamp: Stamp,
    /// The stamp that instances share, if they do.
    mark: Option<Mark>,
    request: Request,
}

/// What is asked, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    /// What the caller may see follows from these four.
    role: Role,
    kind: TokenKind,
    scopes: ScopeSet,
    /// Of which schemas.
    reach: Option<[u8; 32]>,
    /// By which door.
    internal: bool,
    sent: [u8; 32],
}

impl Request {
    /// Its name among those of its tenant.
    fn name(&self) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(self.sent).chain_update(self.role.as_str());
        let hash = hash.chain_update([u8::from(self.kind == TokenKind::Machine)]);
        let hash = hash.chain_update([u8::from(self.internal)]);
        let scopes = self.scopes.iter().map(|scope| scope.to_string()).collect::<Vec<_>>();
        let hash = hash.chain_update(self.reach.unwrap_or_default());
        hash.chain_update(scopes.join(" ")).finalize().into()
    }
}

/// What the audit trail is told of a call whose answer was kept: what it was told of the first one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// What was asked of the table of rights, in order of the first time.
    pub asked: Vec<Operation>,
    /// The dataset that it was about.
    pub dataset_id: Option<Uuid>,
    /// What else it was about.
    pub resource: Option<String>,
    /// The name of the operation.
    pub operation_name: Option<String>,
    /// The hash of the document.
    pub document_hash: Option<[u8; 32]>,
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its bytes.
    pub body: Bytes,
    /// What stands for them (`ETag`).
    pub tag: String,
    /// What was asked.
    pub told: Told,
    /// The first instant at which it does not hold, in microseconds since 1970.
    until: i64,
}

impl Answer {
    /// What it takes.
    fn bytes(&self) -> usize {
        self.body.len() + self.told.resource.as_ref().map_or(0, String::len)
    }
}

/// What is kept under a key.
#[derive(Debug, Clone)]
enum Kept {
    Answer(Arc<Answer>),
    /// That the answer cannot be kept, until this instant.
    Nothing(i64),
}

/// What comes of asking.
#[derive(Debug)]
pub enum Found {
    /// The answer.
    Answer(Arc<Answer>),
    /// Nothing; the answer may be put there once it is made.
    Place(Place),
}

/// Answers that are being made.
type Flights = HashMap<(TenantId, Key), Arc<AsyncMutex<()>>>;

/// What was asked for.
#[derive(Debug)]
pub struct Asked {
    answers: Answers,
    tenant: TenantId,
    key: Key,
    /// When, in microseconds since 1970.
    at: i64,
}

/// Where an answer goes that is being made. Whoever asks for the same waits until it is dropped.
#[derive(Debug)]
pub struct Place {
    asked: Asked,
    _flight: Option<Box<Flight>>,
}

/// The making of an answer, or the wait for somebody who makes it.
#[derive(Debug)]
struct Flight {
    answers: Answers,
    of: (TenantId, Key),
    lock: Option<Arc<AsyncMutex<()>>>,
    making: Option<OwnedMutexGuard<()>>,
}

impl Flight {
    /// Waits until nobody else makes it.
    async fn wait(&mut self) {
        if let Some(lock) = self.lock.clone() {
            self.making = Some(lock.lock_owned().await);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut flights = self.answers.flights();
        (self.making, self.lock) = (None, None);
        // Nobody else makes it or waits for it.
        if flights.get(&self.of).is_some_and(|flight| Arc::strong_count(flight) == 1) {
            flights.remove(&self.of);
        }
    }
}

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Answers {
    local: Arc<Local<Key, Kept>>,
    remote: Option<Remote>,
    stamps: Arc<Stamps>,
    flights: Arc<Mutex<Flights>>,
    /// How long an answer is kept at most, in microseconds.
    longest: i64,
}

impl Answers {
    /// Keeps answers of so many bytes together, for so long at most.
    #[must_use]
    pub fn new(stamps: Arc<Stamps>, bytes: usize, longest: std::time::Duration) -> Self {
        Self {
            local: Arc::new(Local::new("answers", bytes)),
            remote: None,
            stamps,
            flights: Arc::default(),
            longest: i64::try_from(longest.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// The same, shared with other instances.
    #[must_use]
    pub fn shared(self, remote: Remote) -> Self {
        Self { remote: Some(remote), ..self }
    }

    /// What this request asks for, at `now`, of a caller who came in by the door of the platform's own
    /// services or by the other one.
    pub async fn ask(
        &self,
        principal: &Principal,
        internal: bool,
        now: DateTime<Utc>,
        request: &[&[u8]],
    ) -> Asked {
        let tenant = principal.tenant();
        // Before the first row is read, and this one first: what is heard of a write that Redis was not
        // told of counts.
        let stamp = self.stamps.of(tenant);
        let mark = match &self.remote {
            None => None,
            Some(remote) => remote.stamp(tenant).await.ok(),
        };
        let hash = request.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
        let request = Request {
            role: principal.role(),
            kind: principal.kind(),
            scopes: principal.scopes(),
            reach: principal.reach().digest(),
            internal,
            sent: hash.finalize().into(),
        };
        let key = Key { stamp, mark, request };
        let (answers, tenant, at) = (self.clone(), tenant.clone(), now.timestamp_micros());
        Asked { answers, tenant, key, at }
    }

    fn flight(&self, tenant: &TenantId, key: Key) -> Flight {
        let of = (tenant.clone(), key);
        let lock = Some(self.flights().entry(of.clone()).or_default().clone());
        Flight { answers: self.clone(), of, lock, making: None }
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the answers of one tenant, or of all; answers how much that was.
    pub fn purge(&self, tenant: Option<&TenantId>) -> Size {
        self.local.purge(tenant)
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("drr_cache_requests_total", "outcome" => outcome).increment(1);
}

impl Asked {
    /// The answer, if it is kept, or as soon as somebody has made it who does so now.
    pub async fn kept(&self) -> Option<Arc<Answer>> {
        match self.look() {
            Some(Kept::Answer(answer)) => {
                count("kept");
                return Some(answer);
            }
            Some(Kept::Nothing(_)) => return None,
            None => {}
        }
        let of = (self.tenant.clone(), self.key);
        if !self.answers.flights().contains_key(&of) {
            return None;
        }
        self.answers.flight(&self.tenant, self.key).wait().await;
        match self.look() {
            Some(Kept::Answer(answer)) => {
                count("waited");
                Some(answer)
            }
            Some(Kept::Nothing(_)) | None => None,
        }
    }

    fn look(&self) -> Option<Kept> {
        let holds = |kept: &Kept| match kept {
            Kept::Answer(answer) => self.at < answer.until,
            Kept::Nothing(until) => self.at < *until,
        };
        self.answers.local.get(&self.tenant, &self.key, holds)
    }

    /// The place for the answer; or the answer, if somebody else has made it meanwhile.
    pub async fn place(self) -> Found {
        let mut flight = None;
        loop {
            match self.look() {
                Some(Kept::Answer(answer)) => {
                    count("waited");
                    return Found::Answer(answer);
                }
                Some(Kept::Nothing(_)) => {
                    count("never");
                    return Found::Place(Place { asked: self, _flight: None });
                }
                None if flight.is_some() => {
                    if let Some(answer) = self.made_by_others().await {
                        count("shared");
                        return Found::Answer(answer);
                    }
                    count("made");
                    return Found::Place(Place { asked: self, _flight: flight });
                }
                None => {
                    let mut made = self.answers.flight(&self.tenant, self.key);
                    made.wait().await;
                    flight = Some(Box::new(made));
                }
            }
        }
    }

    /// An answer that another instance has made.
    async fn made_by_others(&self) -> Option<Arc<Answer>> {
        let (remote, mark) = (self.answers.remote.as_ref()?, self.key.mark?);
        let kept = remote.get(&self.tenant, mark, &self.key.request.name()).await?;
        let answer = stored::read(&self.tenant, &kept)?;
        if answer.until <= self.at {
            return None;
        }
        let answer = Arc::new(answer);
        self.put(answer.bytes(), Kept::Answer(answer.clone()));
        Some(answer)
    }

    /// Lets other instances have an answer.
    fn share(&self, answer: &Answer) {
        let (Some(remote), Some(mark)) = (&self.answers.remote, self.key.mark) else { return };
        let stays = u64::try_from((answer.until - self.at) / 1_000).unwrap_or_default();
        if stays > 0 {
            let stored = stored::write(&self.tenant, answer);
            remote.put(&self.tenant, mark, &self.key.request.name(), stored, stays);
        }
    }

    fn put(&self, bytes: usize, kept: Kept) {
        self.answers.local.put(&self.tenant, self.key, bytes, kept);
    }
}

impl Place {
    /// Puts an answer there that holds until `end` (microseconds since 1970) if nothing is written;
    /// answers what stands for it.
    pub fn put(self, body: Bytes, told: Told, end: i64) -> Option<String> {
        let until = end.min(self.asked.at.saturating_add(self.asked.answers.longest));
        if until <= self.asked.at {
            self.nothing_for(REMEMBERED);
            return None;
        }
        let tag = format!("\"{}\"", hex::encode(Sha256::digest(&body)));
        let answer = Arc::new(Answer { body, tag: tag.clone(), told, until });
        self.asked.share(&answer);
        self.asked.put(answer.bytes(), Kept::Answer(answer));
        Some(tag)
    }

    /// Says that there is no answer to be kept: nobody waits for this one for a while.
    pub fn failed(self) {
        self.nothing_for(FAILED);
    }

    fn nothing_for(&self, micros: i64) {
        self.asked.put(0, Kept::Nothing(self.asked.at.saturating_add(micros)));
    }
}

mod stored;

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn asked(answers: &Answers) -> Asked {
        let request = Request {
            role: Role::Reader,
            kind: TokenKind::User,
            scopes: ScopeSet::default(),
            reach: None,
            internal: false,
            sent: [0; 32],
        };
        let tenant = TenantId::parse("acme").unwrap();
        let key = Key { stamp: answers.stamps.of(&tenant), mark: None, request };
        Asked { answers: answers.clone(), tenant, key, at: 0 }
    }

    #[tokio::test]
    async fn whoever_waited_for_an_answer_or_gave_up_leaves_nothing_behind() {
        let answers = Answers::new(Arc::default(), 1 << 20, std::time::Duration::from_secs(1));
        let Found::Place(place) = asked(&answers).place().await else {
            panic!("there is none yet")
        };
        let (kept, found) = (asked(&answers), asked(&answers).place());
        let mut gives_up = Box::pin(asked(&answers).place());
        assert!(futures::poll!(&mut gives_up).is_pending());
        let waiting = async { tokio::join!(kept.kept(), found) };
        let making = async {
            tokio::task::yield_now().await;
            drop(gives_up);
            place.put(Bytes::from_static(b"{}"), Told::default(), i64::MAX).unwrap()
        };
        let ((kept, found), tag) = tokio::join!(waiting, making);
        assert_eq!(kept.unwrap().tag, tag);
        assert!(matches!(found, Found::Answer(answer) if answer.tag == tag));
        assert!(answers.flights().is_empty());
    }

    #[tokio::test]
    async fn when_the_one_who_makes_it_goes_away_another_one_does() {
        let answers = Answers::new(Arc::default(), 1 << 20, std::time::Duration::from_secs(1));
        let Found::Place(place) = asked(&answers).place().await else {
            panic!("there is none yet")
        };
        let others = (0..3).map(|_| async {
            let Found::Place(place) = asked(&answers).place().await else {
                panic!("nobody made it")
            };
            drop(place);
        });
        let gone = async {
            tokio::task::yield_now().await;
            drop(place);
        };
        tokio::join!(join_all(others), gone);
        assert!(answers.flights().is_empty());
    }
}
