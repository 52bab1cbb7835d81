//! The life of a version, and who may move it on.
//!
//! DRAFT → PROPOSED → ACTIVE → DEPRECATED → RETIRED. Nothing moves without a transition request,
//! and none is granted by who made it. A request is bound to the hash of the content it was made
//! for; content is frozen from PROPOSED on, and a rejection or a withdrawal frees it again.
//!
//! These functions know no clock and no database: the caller hands in what is so *inside the
//! transaction that writes the outcome*. Who has the right to ask or to decide at all is the policy
//! table's to say, before this.
//!
//! To add a kind of transition: a variant of [`Kind`], its arms in [`Kind::from`] and [`Kind::to`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::compatibility::Policy;
use super::content::ContentHash;
use super::verdict::Verdict;

/// The longest reason that is kept, in bytes.
pub const MAX_REASON: usize = 2_000;

crate::wire::wire_enum! {
    /// Where a version is in its life.
    pub enum State {
        /// Being written.
        Draft = "DRAFT",
        /// Put forward, and frozen.
        Proposed = "PROPOSED",
        /// In use.
        Active = "ACTIVE",
        /// In use still, and not to be taken up.
        Deprecated = "DEPRECATED",
        /// Out of use, for good.
        Retired = "RETIRED",
    }
}

crate::wire::wire_enum! {
    /// Who sees it.
    pub enum Visibility {
        /// Its tenant.
        Private = "PRIVATE",
        /// Everybody.
        Public = "PUBLIC",
    }
}

crate::wire::wire_enum! {
    /// What is asked for.
    pub enum Kind {
        /// Take it into use.
        Activate = "ACTIVATE",
        /// Discourage it.
        Deprecate = "DEPRECATE",
        /// Take it back into use.
        Reactivate = "REACTIVATE",
        /// Take it out of use.
        Retire = "RETIRE",
        /// Show it to everybody.
        Expose = "EXPOSE",
    }
}

crate::wire::wire_enum! {
    /// What became of a request.
    pub enum Status {
        /// Nobody has decided yet.
        Open = "OPEN",
        /// Granted.
        Approved = "APPROVED",
        /// Refused by somebody else.
        Rejected = "REJECTED",
        /// Taken back by who made it.
        Withdrawn = "WITHDRAWN",
        /// Nobody decided in time.
        Expired = "EXPIRED",
        /// Another request took its place.
        Superseded = "SUPERSEDED",
    }
}

impl State {
    /// Whether what it says may still be changed.
    ///
    /// # Errors
    /// [`Refused::Frozen`] in every state but DRAFT.
    pub const fn may_change_content(self) -> Result<(), Refused> {
        match self {
            Self::Draft => Ok(()),
            _ => Err(Refused::Frozen),
        }
    }
}

impl Kind {
    /// The states that it can be asked for in.
    #[must_use]
    pub const fn from(self) -> &'static [State] {
        match self {
            Self::Activate => &[State::Draft],
            Self::Deprecate => &[State::Active],
            Self::Reactivate | Self::Retire => &[State::Deprecated],
            Self::Expose => &[State::Active, State::Deprecated],
        }
    }

    /// The state that it ends in, from the one that it was decided in.
    const fn to(self, state: State) -> State {
        match self {
            Self::Activate | Self::Reactivate => State::Active,
            Self::Deprecate => State::Deprecated,
            Self::Retire => State::Retired,
            Self::Expose => state,
        }
    }

    /// The state to be in while the request is open, from the one that it was made in.
    const fn meanwhile(self, state: State) -> State {
        match self {
            Self::Activate => State::Proposed,
            _ => state,
        }
    }

    /// The state to go back to when it is not granted.
    const fn back(self, state: State) -> State {
        match self {
            Self::Activate => State::Draft,
            _ => state,
        }
    }

    /// Whether it can be asked for in a state, or decided in it once it has been asked for.
    fn fits(self, state: State, visibility: Visibility, asked: bool) -> bool {
        let private = visibility == Visibility::Private;
        let among = |state: State| self.from().contains(&state);
        let there = match (self, asked) {
            (Self::Activate, true) => state == State::Proposed,
            _ => among(state),
        };
        there && (self != Self::Expose || private)
    }

    /// Whether data will be read and written by it that was not before.
    #[must_use]
    pub const fn needs_compatibility(self) -> bool {
        matches!(self, Self::Activate | Self::Reactivate)
    }
}

/// What is so of a version now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Where it is in its life.
    pub state: State,
    /// Who sees it.
    pub visibility: Visibility,
    /// What it says.
    pub content: ContentHash,
    /// How it compares with the versions that its schema's compatibility names, worked out anew.
    pub verdict: Verdict,
    /// What an approver may override of that.
    pub policy: Policy,
    /// Whether a dataset is bound to it, or another version refers to it.
    pub in_use: bool,
}

/// A request for a transition, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: Kind,
    /// What became of it.
    pub status: Status,
    /// Who asks.
    pub requester: String,
    /// What the version said when it was asked.
    pub content: ContentHash,
    /// From when on nobody can grant it any more.
    pub expires_at: DateTime<Utc>,
    /// That whoever asks knows that datasets still use the version. Only RETIRE needs it.
    pub acknowledges_use: bool,
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor<'a> {
    /// A principal, by its id.
    Principal(&'a str),
    /// The program itself: its sweeper, or what follows from another decision.
    System,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Grant it. An UNKNOWN compatibility needs a reason why it is granted all the same, and so does a broken
    /// promise of a schema whose policy is LENIENT.
    Approve {
        /// That reason.
        override_reason: Option<&'a str>,
    },
    /// Refuse it, and say why.
    Reject {
        /// Why.
        reason: &'a str,
    },
    /// Take it back.
    Withdraw,
    /// Time is up.
    Expire,
    /// Another request takes its place.
    Supersede,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Where the version is then.
    pub state: State,
    /// Who sees it then.
    pub visibility: Visibility,
    /// What became of the request.
    pub status: Status,
    /// Why: of a rejection, or of an override. `None` where none was needed.
    pub reason: Option<&'a str>,
    /// That a verdict that is not COMPATIBLE was overridden.
    pub overridden: bool,
}

/// Why something is not done.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    thiserror::Error,
    Serialize,
    Deserialize,
)]
pub enum Refused {
    /// Its content was put forward, and approvals are bound to it.
    #[error("the content of a version is frozen once it is proposed")]
    Frozen,
    /// There is no such transition from where it is.
    #[error("there is no such transition from the state that the version is in")]
    WrongState,
    /// There is one open already.
    #[error("another request for this version is open")]
    AlreadyOpen,
    /// It would never be open.
    #[error("the request would expire before it could be decided")]
    BadExpiry,
    /// The two schemas cannot read each other's data.
    #[error("the version is incompatible with an earlier one")]
    Incompatible,
    /// It cannot be told whether they can, and nobody says why that is all right.
    #[error("compatibility cannot be told: an approver may override this with a reason")]
    UnknownWithoutReason,
    /// A dataset is bound to it or another version refers to it, and the request does not say that this is known.
    #[error(
        "a dataset or another version still uses the version, and the request does not acknowledge it"
    )]
    InUse,
    /// Somebody decided, or it expired, or another took its place.
    #[error("the request has been decided already")]
    AlreadyDecided,
    /// It is too late.
    #[error("the request has expired")]
    Expired,
    /// It is too early to let it expire.
    #[error("the request has not expired yet")]
    NotExpired,
    /// Four eyes: this one asked.
    #[error("who made a request does not decide on it")]
    OwnRequest,
    /// Only who asked can take it back.
    #[error("only who made a request can withdraw it")]
    NotRequester,
    /// It is not a person's to decide, or not the program's.
    #[error("this is not for this actor to decide")]
    WrongActor,
    /// What was to be approved is not what is there.
    #[error("the content is not the one that the request was made for")]
    ContentChanged,
    /// Nothing was said, or too much.
    #[error("a reason of 1 to 2000 bytes is needed")]
    BadReason,
}

impl Refused {
    /// The name that clients tell it by.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Frozen => "CONTENT_FROZEN",
            Self::WrongState => "WRONG_STATE",
            Self::AlreadyOpen => "ALREADY_OPEN",
            Self::BadExpiry => "BAD_EXPIRY",
            Self::Incompatible => "INCOMPATIBLE",
            Self::UnknownWithoutReason => "UNKNOWN_COMPATIBILITY",
            Self::InUse => "IN_USE",
            Self::AlreadyDecided => "ALREADY_DECIDED",
            Self::Expired => "EXPIRED",
            Self::NotExpired => "NOT_EXPIRED",
            Self::OwnRequest => "OWN_REQUEST",
            Self::NotRequester => "NOT_REQUESTER",
            Self::WrongActor => "WRONG_ACTOR",
            Self::ContentChanged => "CONTENT_CHANGED",
            Self::BadReason => "BAD_REASON",
        }
    }
}

/// Whether `request` may be made of a version on which `open` says if another is open. The answer
/// is the state that the version is in while it is.
///
/// An UNKNOWN compatibility may be put forward: whether to override it is the approver's to say.
///
/// # Errors
/// [`Refused`]: the first reason not to.
pub fn propose(
    subject: &Subject,
    request: &Request,
    open: bool,
    now: DateTime<Utc>,
) -> Result<State, Refused> {
    if request.status != Status::Open {
        return Err(Refused::AlreadyDecided);
    }
    if open {
        return Err(Refused::AlreadyOpen);
    }
    if !request.kind.fits(subject.state, subject.visibility, false) {
        return Err(Refused::WrongState);
    }
    if request.content != subject.content {
        return Err(Refused::ContentChanged);
    }
    if request.expires_at <= now {
        return Err(Refused::BadExpiry);
    }
    let broken = subject.verdict == Verdict::Incompatible && subject.policy == Policy::Strict;
    if request.kind.needs_compatibility() && broken {
        return Err(Refused::Incompatible);
    }
    if request.kind == Kind::Retire && subject.in_use && !request.acknowledges_use {
        return Err(Refused::InUse);
    }
    Ok(request.kind.meanwhile(subject.state))
}

/// What a decision on a request comes to. A request expires at `expires_at` itself.
///
/// # Errors
/// [`Refused`]: the first reason not to. Then nothing changes.
pub fn decide<'a>(
    subject: &Subject,
    request: &Request,
    decision: Decision<'a>,
    actor: Actor<'_>,
    now: DateTime<Utc>,
) -> Result<Outcome<'a>, Refused> {
    if request.status != Status::Open {
        return Err(Refused::AlreadyDecided);
    }
    may_decide(request, decision, actor)?;
    let late = now >= request.expires_at;
    match decision {
        Decision::Approve { .. } | Decision::Reject { .. } | Decision::Withdraw if late => {
            return Err(Refused::Expired);
        }
        Decision::Expire if !late => return Err(Refused::NotExpired),
        _ => {}
    }
    let ended = |status, reason| Outcome {
        state: request.kind.back(subject.state),
        visibility: subject.visibility,
        status,
        reason,
        overridden: false,
    };
    match decision {
        Decision::Approve { override_reason } => approve(subject, request, override_reason),
        Decision::Reject { reason } => Ok(ended(Status::Rejected, Some(reasonable(reason)?))),
        Decision::Withdraw => Ok(ended(Status::Withdrawn, None)),
        Decision::Expire => Ok(ended(Status::Expired, None)),
        Decision::Supersede => Ok(ended(Status::Superseded, None)),
    }
}

fn may_decide(request: &Request, decision: Decision<'_>, actor: Actor<'_>) -> Result<(), Refused> {
    match (decision, actor) {
        (Decision::Expire | Decision::Supersede, Actor::System) => Ok(()),
        (Decision::Expire | Decision::Supersede, Actor::Principal(_)) | (_, Actor::System) => {
            Err(Refused::WrongActor)
        }
        (Decision::Withdraw, Actor::Principal(id)) => {
            if id == request.requester {
                Ok(())
            } else {
                Err(Refused::NotRequester)
            }
        }
        (Decision::Approve { .. } | Decision::Reject { .. }, Actor::Principal(id)) => {
            if id == request.requester { Err(Refused::OwnRequest) } else { Ok(()) }
        }
    }
}

fn approve<'a>(
    subject: &Subject,
    request: &Request,
    override_reason: Option<&'a str>,
) -> Result<Outcome<'a>, Refused> {
    let kind = request.kind;
    if request.content != subject.content {
        return Err(Refused::ContentChanged);
    }
    if !kind.fits(subject.state, subject.visibility, true) {
        return Err(Refused::WrongState);
    }
    if kind == Kind::Retire && subject.in_use && !request.acknowledges_use {
        return Err(Refused::InUse);
    }
    let reason = match (kind.needs_compatibility(), subject.verdict) {
        (true, Verdict::Incompatible) if subject.policy == Policy::Strict => {
            return Err(Refused::Incompatible);
        }
        (true, Verdict::Incompatible) => {
            Some(reasonable(override_reason.ok_or(Refused::Incompatible)?)?)
        }
        (true, Verdict::Unknown) => {
            Some(reasonable(override_reason.ok_or(Refused::UnknownWithoutReason)?)?)
        }
        // Nothing to override: what was said is not kept as if there had been.
        _ => None,
    };
    let visibility = if kind == Kind::Expose { Visibility::Public } else { subject.visibility };
    Ok(Outcome {
        state: kind.to(subject.state),
        visibility,
        status: Status::Approved,
        reason,
        overridden: reason.is_some(),
    })
}

fn reasonable(reason: &str) -> Result<&str, Refused> {
    let reason = reason.trim();
    if (1..=MAX_REASON).contains(&reason.len()) { Ok(reason) } else { Err(Refused::BadReason) }
}

#[cfg(test)]
mod tests;
