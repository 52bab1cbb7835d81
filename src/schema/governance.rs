//! What is asked for versions, and decided about them: by two people.
//!
//! Whether a version may move on is [`lifecycle`]'s to say, which is told what is so inside the transaction that
//! writes the outcome. The database asks again, on its own: an approval is of somebody else, for the same content,
//! by the role that can do nothing else. // S6, S16
//!
//! Somebody who may approve can agree beforehand to all versions of a schema that are COMPATIBLE
//! ([`stand`]): what somebody else then asks for is approved at once, in their name ([`settle`]).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    command::{is_reached, locked, resource, tell},
    events::{Author, EventType},
    model::{
        lifecycle::{self, Actor, Decision, Kind, Refused, Request, State, Status},
        verdict::Verdict,
    },
    repository::{
        self, Judged, NewTransition, Record, Transition, Version, VersionKey, hash_of, key_of,
    },
    usage,
    verdicts::{Candidate, Compared, Subject, compare, unread},
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    db::TenantTx,
    error::{Error, ErrorCode, Result},
};

/// How long a request waits for a decision unless it is said otherwise, and at most.
const WAITS: TimeDelta = TimeDelta::days(14);
const WAITS_AT_MOST: TimeDelta = TimeDelta::days(90);
/// Who ends a request that nobody decided about in time. No token's subject begins with `drr:`.
pub const EXPIRY: &str = "drr:expiry";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Which transition.
    pub kind: Kind,
    /// Why.
    pub reason: Option<String>,
    /// From when on nobody can grant it.
    pub expires_at: Option<DateTime<Utc>>,
    /// That it is known that the version is used.
    pub acknowledges_use: bool,
    /// Whether it takes the place of an open request for the version.
    pub supersedes: bool,
}

impl Proposal {
    /// A transition, and nothing else said about it.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self { kind, reason: None, expires_at: None, acknowledges_use: false, supersedes: false }
    }
}

/// How asking or deciding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// As it was asked.
    Done {
        /// The request.
        transition_id: Uuid,
        /// Whether somebody else has agreed to it beforehand.
        agreed: bool,
    },
    /// Not at all: why.
    Refused(Refused),
}

/// What is so of a version now.
struct Now {
    record: Record,
    subject: Subject,
    version: Version,
    all: Vec<Version>,
    users: i64,
}

impl Now {
    async fn locked(tx: &TenantTx, call: &Call, key: VersionKey) -> Result<Self> {
        let record = locked(tx, call, key.schema_id).await?;
        Self::of(tx, key, record).await
    }

    async fn read(call: &Call, key: VersionKey) -> Result<Self> {
        let tx = call.read().await?;
        let found = repository::by_ids(&tx, &[key.schema_id]).await?.pop();
        let record = found.filter(|record| is_reached(call, record));
        Self::of(&tx, key, record.ok_or(Error::NotFound("schema version"))?).await
    }

    async fn of(tx: &TenantTx, key: VersionKey, record: Record) -> Result<Self> {
        let all = repository::versions_of(tx, key.schema_id).await?;
        let version = all.iter().find(|version| version.number == key.number).cloned();
        let version = version.ok_or(Error::NotFound("schema version"))?;
        let subject = Subject::of(tx.tenant(), &record)?;
        let users = usage::users(tx, &subject.name, key).await?;
        Ok(Self { record, subject, version, all, users })
    }

    /// What was compared is this version, with what it would be compared with now.
    fn judged(&self, compared: &Compared) -> Result<lifecycle::Subject> {
        if !compared.is_of(&self.version, self.subject.compatibility, &self.all) {
            return Err(Error::Conflict("another version of the schema came between".into()));
        }
        self.with(compared.verdict)
    }

    fn with(&self, verdict: Verdict) -> Result<lifecycle::Subject> {
        Ok(lifecycle::Subject {
            state: self.version.state.parse().map_err(Error::internal)?,
            visibility: self.version.visibility.parse().map_err(Error::internal)?,
            content: hash_of(&self.version.content_hash)?,
            verdict,
            policy: self.subject.policy,
            in_use: self.users > 0,
        })
    }

    fn resource(&self) -> Result<Option<String>> {
        let hash = hash_of(&self.version.content_hash)?;
        Ok(Some(resource(&self.subject.name, self.version.number, &hash)))
    }

    /// Says what happened to a request for it.
    async fn tell(
        &self,
        tx: &TenantTx,
        author: &impl Author,
        event_type: EventType,
        (id, kind): (Uuid, Kind),
        more: &Told<'_>,
    ) -> Result<()> {
        let data = json!({
            "schema": self.subject.name.to_string(), "transitionId": id, "kind": kind.as_str(),
            "contentHash": hex::encode(&self.version.content_hash), "state": more.state.as_str(),
            "verdict": more.verdict.map(Verdict::as_str), "reason": more.reason,
            "requestedBy": more.requested_by, "decidedBy": more.decided_by, "standing": more.standing,
        });
        let of = (self.version.schema_id, Some(self.version.number));
        tell(tx, author, event_type, of, data).await
    }
}

/// What an event says of a request.
struct Told<'a> {
    state: State,
    verdict: Option<Verdict>,
    reason: Option<&'a str>,
    requested_by: &'a str,
    decided_by: Option<&'a str>,
    standing: bool,
}

/// Compares a version as it is now, outside of any transaction. Where nothing depends on it, what cannot be read
/// any more is UNKNOWN: a version that was tampered with can still be taken out of use. // S18
async fn compared(call: &Call, now: &Now, key: VersionKey, kind: Kind) -> Result<Compared> {
    let compared = async {
        let candidate = Candidate::stored(call, &now.subject.name, &now.version).await?;
        compare(call, &now.subject, candidate, &now.all).await
    };
    match compared.await {
        Err(error) if error.code() == ErrorCode::Internal && !kind.needs_compatibility() => {
            tracing::error!(schema = %now.subject.name, number = key.number, ?error, "not compared");
            unread(&now.subject, &now.version, &now.all)
        }
        compared => compared,
    }
}

/// Asks for a transition of a version; one that somebody else agreed to beforehand is approved at once.
///
/// # Errors
/// [`Error::Forbidden`], [`Error::NotFound`], [`Error::Conflict`] if another version came between, what is wrong
/// with what was asked, or what the database or the store answer.
pub async fn propose(call: &Call, key: Result<VersionKey>, proposal: Proposal) -> Result<Ended> {
    let asked = ask(call, key, proposal).await?;
    if let Ended::Done { transition_id, agreed: true } = asked {
        // If it is not to be after all, the request is there and open.
        settle(call, transition_id).await?;
    }
    Ok(asked)
}

async fn ask(call: &Call, key: Result<VersionKey>, proposal: Proposal) -> Result<Ended> {
    let operation = Operation::SchemaTransitionPropose;
    // On the heap: comparing holds much.
    let prepare = Box::pin(async {
        let key = key?;
        let expires_at = proposal.expires_at.unwrap_or_else(|| call.now() + WAITS);
        if expires_at > call.now() + WAITS_AT_MOST {
            return Err(Error::bad_input("expiresAt", "must be within 90 days"));
        }
        if proposal.reason.as_ref().is_some_and(|reason| reason.len() > lifecycle::MAX_REASON) {
            return Err(Error::bad_input("reason", "must have at most 2,000 bytes"));
        }
        let now = Now::read(call, key).await?;
        let compared = compared(call, &now, key, proposal.kind).await?;
        Ok((key, compared, expires_at))
    });
    trail::change(call, operation, None, prepare, async |tx, (key, compared, expires_at)| {
        let mut now = Now::locked(tx, call, key).await?;
        let open = clear(tx, call, &mut now, proposal.supersedes).await?;
        let subject = now.judged(&compared)?;
        let actor = call.principal().actor();
        let request = Request {
            kind: proposal.kind,
            status: Status::Open,
            requester: actor.to_owned(),
            content: subject.content,
            expires_at,
            acknowledges_use: proposal.acknowledges_use,
        };
        let state = match lifecycle::propose(&subject, &request, open, call.now()) {
            Ok(state) => state,
            Err(refused) => return refusal(operation, refused, now.resource()?),
        };
        let new = NewTransition {
            transition_id: call.new_id(),
            key,
            kind: proposal.kind,
            content: subject.content,
            reason: proposal.reason.as_deref(),
            expires_at,
            acknowledged: proposal.acknowledges_use,
            verdict: compared.verdict,
            findings: serde_json::to_value(&compared.findings).map_err(Error::internal)?,
        };
        repository::ask(tx, &new, (actor, call.now())).await?;
        if state != subject.state {
            repository::set_state(tx, key, state, call.now()).await?;
        }
        let told = Told {
            state,
            verdict: Some(compared.verdict),
            reason: proposal.reason.as_deref(),
            requested_by: actor,
            decided_by: None,
            standing: false,
        };
        now.tell(tx, call, EventType::Proposed, (new.transition_id, proposal.kind), &told).await?;
        let agreed = compared.verdict == Verdict::Compatible
            && matches!(proposal.kind, Kind::Activate | Kind::Deprecate)
            && now.record.standing_by.as_deref().is_some_and(|by| by != actor);
        done(operation, new.transition_id, agreed, now.resource()?)
    })
    .await
}

/// Makes room for a new request: ends an open one whose time is over, or whose place is taken. Answers whether
/// there is one that is still open.
async fn clear(tx: &TenantTx, call: &Call, now: &mut Now, supersedes: bool) -> Result<bool> {
    let Some(open) = repository::open_of(tx, key_of(&now.version)).await? else {
        return Ok(false);
    };
    let (decision, event_type, by) = if call.now() >= open.expires_at {
        (Decision::Expire, EventType::Expired, EXPIRY)
    } else if supersedes {
        (Decision::Supersede, EventType::Superseded, call.principal().actor())
    } else {
        return Ok(true);
    };
    close(tx, call, now, &open, (decision, event_type, by)).await?;
    Ok(false)
}

/// Ends a request without an approver, and frees the version.
async fn close(
    tx: &TenantTx,
    author: &impl Author,
    now: &mut Now,
    open: &Transition,
    (decision, event_type, by): (Decision<'_>, EventType, &str),
) -> Result<()> {
    // It is not asked how it compares.
    let (subject, request) = (now.with(Verdict::Unknown)?, request(open)?);
    let ended = lifecycle::decide(&subject, &request, decision, Actor::System, author.now());
    let ended = ended.map_err(Error::internal)?;
    let told = (ended.status, ended.reason);
    repository::end(tx, open.transition_id, told, None, (by, author.now())).await?;
    if ended.state != subject.state {
        repository::set_state(tx, key_of(&now.version), ended.state, author.now()).await?;
        ended.state.as_str().clone_into(&mut now.version.state);
    }
    let told = Told {
        state: ended.state,
        verdict: None,
        reason: None,
        requested_by: &open.requested_by,
        decided_by: Some(by),
        standing: false,
    };
    now.tell(tx, author, event_type, (open.transition_id, request.kind), &told).await
}

/// Ends a request that nobody decided about in time, if it is still one; answers what it was about.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn expire(
    tx: &TenantTx,
    author: &impl Author,
    transition_id: Uuid,
) -> Result<Option<String>> {
    let Some(asked) = repository::transition(tx, transition_id).await? else { return Ok(None) };
    let Some(record) = repository::lock(tx, asked.schema_id).await? else { return Ok(None) };
    let key = VersionKey { schema_id: asked.schema_id, number: asked.number };
    let mut now = Now::of(tx, key, record).await?;
    // As it is under the lock.
    let open = repository::open_of(tx, key)
        .await?
        .filter(|open| open.transition_id == transition_id && open.expires_at <= author.now());
    let Some(open) = open else { return Ok(None) };
    close(tx, author, &mut now, &open, (Decision::Expire, EventType::Expired, EXPIRY)).await?;
    now.resource()
}

/// What is decided about a request.
#[derive(Debug, Clone)]
pub enum Ruling {
    /// Granted; with why a verdict that is not COMPATIBLE is no matter, if it is not.
    Approve(Option<String>),
    /// Refused, and why.
    Reject(String),
    /// Taken back by who made it.
    Withdraw,
    /// Granted in the name of who agreed to it beforehand.
    Settle,
}

impl Ruling {
    const fn operation(&self) -> Operation {
        match self {
            Self::Approve(_) | Self::Reject(_) => Operation::SchemaTransitionDecide,
            Self::Settle => Operation::SchemaTransitionSettle,
            Self::Withdraw => Operation::SchemaTransitionPropose,
        }
    }

    fn decision(&self) -> Decision<'_> {
        match self {
            Self::Approve(reason) => Decision::Approve { override_reason: reason.as_deref() },
            Self::Settle => Decision::Approve { override_reason: None },
            Self::Reject(reason) => Decision::Reject { reason },
            Self::Withdraw => Decision::Withdraw,
        }
    }
}

/// Approves a request in the name of who agreed to it beforehand.
async fn settle(call: &Call, transition_id: Uuid) -> Result<Ended> {
    decide(call, Ok(transition_id), Ruling::Settle).await
}

/// Decides about a request.
///
/// # Errors
/// As [`propose`].
pub async fn decide(call: &Call, transition_id: Result<Uuid>, ruling: Ruling) -> Result<Ended> {
    let operation = ruling.operation();
    // On the heap: comparing holds much.
    let prepare = Box::pin(async {
        let transition_id = transition_id?;
        let asked = {
            let tx = call.read().await?;
            repository::transition(&tx, transition_id).await?
        };
        let asked = asked.ok_or(Error::NotFound("schema transition"))?;
        let key = VersionKey { schema_id: asked.schema_id, number: asked.number };
        // What the token is not for looks like what is not there.
        let now = Now::read(call, key).await.map_err(|error| match error {
            Error::NotFound(_) => Error::NotFound("schema transition"),
            other => other,
        })?;
        let kind = asked.kind.parse().map_err(Error::internal)?;
        let compared = match ruling {
            Ruling::Approve(_) | Ruling::Settle => Some(compared(call, &now, key, kind).await?),
            Ruling::Reject(_) | Ruling::Withdraw => None,
        };
        Ok((transition_id, key, compared))
    });
    trail::change(call, operation, None, prepare, async |tx, (transition_id, key, compared)| {
        let now = Now::locked(tx, call, key).await?;
        let asked = repository::transition(tx, transition_id).await?;
        let asked = asked.ok_or(Error::NotFound("schema transition"))?;
        let subject = match &compared {
            Some(compared) => now.judged(compared)?,
            // It is not asked how it compares.
            None => now.with(Verdict::Unknown)?,
        };
        let request = request(&asked)?;
        let standing = matches!(ruling, Ruling::Settle);
        let actor = match now.record.standing_by.as_deref().filter(|_| standing) {
            Some(by) => by,
            // Nobody agrees any more: who asks does not approve, and so is refused.
            None => call.principal().actor(),
        };
        let by = Actor::Principal(actor);
        let outcome = match lifecycle::decide(&subject, &request, ruling.decision(), by, call.now())
        {
            Ok(outcome) => outcome,
            Err(refused) => return refusal(operation, refused, now.resource()?),
        };
        let (kind, status) = (request.kind.as_str(), outcome.status.as_str());
        let labels = [("kind", kind), ("status", status)];
        metrics::counter!("drr_schema_transitions_total", &labels).increment(1);
        let judged = compared.map(|compared| Judged { verdict: compared.verdict, standing });
        let told = (outcome.status, outcome.reason);
        // The request first: the database lets a version move on only with it.
        repository::end(tx, transition_id, told, judged, (actor, call.now())).await?;
        if outcome.visibility != subject.visibility {
            let to = (outcome.state, outcome.visibility);
            repository::expose(tx, key, to, call.now()).await?;
        } else if outcome.state != subject.state {
            repository::set_state(tx, key, outcome.state, call.now()).await?;
        }
        let event_type = match outcome.status {
            Status::Approved => EventType::Approved,
            Status::Rejected => EventType::Rejected,
            _ => EventType::Withdrawn,
        };
        let told = Told {
            state: outcome.state,
            verdict: judged.map(|judged| judged.verdict),
            reason: outcome.reason,
            requested_by: &asked.requested_by,
            decided_by: Some(actor),
            standing,
        };
        now.tell(tx, call, event_type, (transition_id, request.kind), &told).await?;
        done(operation, transition_id, false, now.resource()?)
    })
    .await
}

/// How agreeing beforehand ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood(pub Uuid);

/// Agrees beforehand to all versions of a schema that others ask for and that are COMPATIBLE, or does not any
/// more. Another promise of the schema ends it.
///
/// # Errors
/// [`Error::NotFound`] for a missing or a foreign schema, or whatever the database answers.
pub async fn stand(call: &Call, schema_id: Result<Uuid>, agrees: bool) -> Result<Stood> {
    let operation = Operation::SchemaStandingSet;
    trail::change(call, operation, None, async { schema_id }, async |tx, schema_id| {
        let record = locked(tx, call, schema_id).await?;
        let subject = Subject::of(call.principal().tenant(), &record)?;
        let by = agrees.then(|| call.principal().actor());
        repository::stand(tx, schema_id, by, call.now()).await?;
        let event_type =
            if agrees { EventType::StandingGranted } else { EventType::StandingRevoked };
        let data = json!({ "schema": subject.name.to_string(), "before": record.standing_by });
        tell(tx, call, event_type, (schema_id, None), data).await?;
        let resource = Some(format!("schema:{}", subject.name));
        let entry = Entry { operation, dataset_id: None, resource, outcome: Outcome::Success };
        Ok(Done::new(Stood(schema_id), vec![entry]))
    })
    .await
}

fn request(asked: &Transition) -> Result<Request> {
    Ok(Request {
        kind: asked.kind.parse().map_err(Error::internal)?,
        status: asked.status.parse().map_err(Error::internal)?,
        requester: asked.requested_by.clone(),
        content: hash_of(&asked.content_hash)?,
        expires_at: asked.expires_at,
        acknowledges_use: asked.acknowledged,
    })
}

fn done(
    operation: Operation,
    transition_id: Uuid,
    agreed: bool,
    resource: Option<String>,
) -> Result<Done<Ended>> {
    let entry = Entry { operation, dataset_id: None, resource, outcome: Outcome::Success };
    Ok(Done::new(Ended::Done { transition_id, agreed }, vec![entry]))
}

/// Nothing is done, and the trail says why not.
fn refusal(
    operation: Operation,
    refused: Refused,
    resource: Option<String>,
) -> Result<Done<Ended>> {
    let outcome = Outcome::Rejected(ErrorCode::Conflict);
    let entry = Entry { operation, dataset_id: None, resource, outcome };
    Ok(Done::undone(Ended::Refused(refused), vec![entry]))
}
