mod sequences;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn subject(state: State) -> Subject {
    Subject {
        state,
        visibility: Visibility::Private,
        content: ContentHash::of(b"1"),
        verdict: Verdict::Compatible,
        policy: Policy::Strict,
        in_use: false,
    }
}

fn request(kind: Kind) -> Request {
    Request {
        kind,
        status: Status::Open,
        requester: "alice".to_owned(),
        content: ContentHash::of(b"1"),
        expires_at: at(100),
        acknowledges_use: false,
    }
}

const APPROVE: Decision<'static> = Decision::Approve { override_reason: None };
const BOB: Actor<'static> = Actor::Principal("bob");
const ALICE: Actor<'static> = Actor::Principal("alice");

#[test]
fn every_transition_that_there_is() {
    let mut there = Vec::new();
    for &kind in Kind::ALL {
        for &state in State::ALL {
            let Ok(meanwhile) = propose(&subject(state), &request(kind), false, at(0)) else {
                continue;
            };
            let while_open = subject(meanwhile);
            let approved = decide(&while_open, &request(kind), APPROVE, BOB, at(1)).unwrap();
            let reject = Decision::Reject { reason: "no" };
            let rejected = decide(&while_open, &request(kind), reject, BOB, at(1)).unwrap();
            assert_eq!(rejected.state, state, "a rejection leads back to where it came from");
            there.push(format!(
                "{} {} {} {} {}",
                kind.as_str(),
                state.as_str(),
                meanwhile.as_str(),
                approved.state.as_str(),
                approved.visibility.as_str()
            ));
        }
    }
    assert_eq!(
        there,
        [
            "ACTIVATE DRAFT PROPOSED ACTIVE PRIVATE",
            "DEPRECATE ACTIVE ACTIVE DEPRECATED PRIVATE",
            "REACTIVATE DEPRECATED DEPRECATED ACTIVE PRIVATE",
            "RETIRE DEPRECATED DEPRECATED RETIRED PRIVATE",
            "EXPOSE ACTIVE ACTIVE ACTIVE PUBLIC",
            "EXPOSE DEPRECATED DEPRECATED DEPRECATED PUBLIC",
        ]
    );
}

#[test]
fn no_request_is_made_that_could_not_be_granted() {
    let refused = |subject: &Subject, request: &Request, open| {
        propose(subject, request, open, at(0)).unwrap_err()
    };
    let (draft, activate) = (subject(State::Draft), request(Kind::Activate));
    assert_eq!(refused(&draft, &activate, true), Refused::AlreadyOpen);
    assert_eq!(refused(&subject(State::Active), &activate, false), Refused::WrongState);
    let other = Request { content: ContentHash::of(b"2"), ..activate.clone() };
    assert_eq!(refused(&draft, &other, false), Refused::ContentChanged);
    let late = Request { expires_at: at(0), ..activate.clone() };
    assert_eq!(refused(&draft, &late, false), Refused::BadExpiry);
    let decided = Request { status: Status::Approved, ..activate.clone() };
    assert_eq!(refused(&draft, &decided, false), Refused::AlreadyDecided);
    let incompatible = Subject { verdict: Verdict::Incompatible, ..draft };
    assert_eq!(refused(&incompatible, &activate, false), Refused::Incompatible);
    let unknown = Subject { verdict: Verdict::Unknown, ..draft };
    assert_eq!(propose(&unknown, &activate, false, at(0)), Ok(State::Proposed));
    let used = Subject { in_use: true, ..subject(State::Deprecated) };
    assert_eq!(refused(&used, &request(Kind::Retire), false), Refused::InUse);
    let knowing = Request { acknowledges_use: true, ..request(Kind::Retire) };
    assert_eq!(propose(&used, &knowing, false, at(0)), Ok(State::Deprecated));
    let public = Subject { visibility: Visibility::Public, ..subject(State::Active) };
    assert_eq!(refused(&public, &request(Kind::Expose), false), Refused::WrongState);
}

#[test]
fn who_asked_does_not_decide_and_only_they_withdraw() {
    let (proposed, request) = (subject(State::Proposed), request(Kind::Activate));
    let decide = |decision, actor| decide(&proposed, &request, decision, actor, at(1));
    let reject = Decision::Reject { reason: "no" };
    assert_eq!(decide(APPROVE, ALICE), Err(Refused::OwnRequest));
    assert_eq!(decide(reject, ALICE), Err(Refused::OwnRequest));
    assert_eq!(decide(Decision::Withdraw, BOB), Err(Refused::NotRequester));
    assert_eq!(decide(Decision::Withdraw, ALICE).map(|done| done.state), Ok(State::Draft));
    for decision in [APPROVE, reject, Decision::Withdraw] {
        assert_eq!(decide(decision, Actor::System), Err(Refused::WrongActor));
    }
    for decision in [Decision::Expire, Decision::Supersede] {
        assert_eq!(decide(decision, BOB), Err(Refused::WrongActor));
    }
    let superseded = decide(Decision::Supersede, Actor::System).unwrap();
    assert_eq!((superseded.state, superseded.status), (State::Draft, Status::Superseded));
}

#[test]
fn a_request_expires_at_its_very_instant() {
    let (proposed, request) = (subject(State::Proposed), request(Kind::Activate));
    let decide = |decision, actor, now| {
        decide(&proposed, &request, decision, actor, at(now)).map(|done| done.status)
    };
    let reject = Decision::Reject { reason: "no" };
    assert_eq!(decide(APPROVE, BOB, 99), Ok(Status::Approved));
    assert_eq!(decide(APPROVE, BOB, 100), Err(Refused::Expired));
    assert_eq!(decide(reject, BOB, 100), Err(Refused::Expired));
    assert_eq!(decide(Decision::Withdraw, ALICE, 100), Err(Refused::Expired));
    assert_eq!(decide(Decision::Expire, Actor::System, 99), Err(Refused::NotExpired));
    assert_eq!(decide(Decision::Expire, Actor::System, 100), Ok(Status::Expired));
}

#[test]
fn what_is_so_now_counts_and_not_what_was_so_when_it_was_asked() {
    let request = request(Kind::Activate);
    let decide = |subject: Subject, request: &Request, decision| {
        decide(&subject, request, decision, BOB, at(1)).unwrap_err()
    };
    let proposed = subject(State::Proposed);
    let changed = Subject { content: ContentHash::of(b"2"), ..proposed };
    assert_eq!(decide(changed, &request, APPROVE), Refused::ContentChanged);
    let incompatible = Subject { verdict: Verdict::Incompatible, ..proposed };
    assert_eq!(decide(incompatible, &request, APPROVE), Refused::Incompatible);
    let forced = Decision::Approve { override_reason: Some("I know better") };
    assert_eq!(decide(incompatible, &request, forced), Refused::Incompatible);
    assert_eq!(decide(subject(State::Draft), &request, APPROVE), Refused::WrongState);
    let used = Subject { in_use: true, ..subject(State::Deprecated) };
    let retire = Request { kind: Kind::Retire, ..request.clone() };
    assert_eq!(decide(used, &retire, APPROVE), Refused::InUse);
    for &status in &Status::ALL[1..] {
        let decided = Request { status, ..request.clone() };
        assert_eq!(decide(proposed, &decided, APPROVE), Refused::AlreadyDecided);
    }
}

#[test]
fn an_unknown_compatibility_is_overridden_with_a_reason() {
    let unknown = Subject { verdict: Verdict::Unknown, ..subject(State::Proposed) };
    let request = request(Kind::Activate);
    let long = "a".repeat(MAX_REASON + 1);
    let approve = |override_reason| {
        decide(&unknown, &request, Decision::Approve { override_reason }, BOB, at(1))
    };
    assert_eq!(approve(None), Err(Refused::UnknownWithoutReason));
    assert_eq!(approve(Some(" \n")), Err(Refused::BadReason));
    assert_eq!(approve(Some(&long)), Err(Refused::BadReason));
    let approved = approve(Some(" checked by hand ")).unwrap();
    assert_eq!((approved.reason, approved.overridden), (Some("checked by hand"), true));
    // A reason where there is nothing to override leaves no trace of an override.
    let plain = Decision::Approve { override_reason: Some("why not") };
    let approved = decide(&subject(State::Proposed), &request, plain, BOB, at(1)).unwrap();
    assert_eq!((approved.reason, approved.overridden), (None, false));
}

#[test]
fn names_are_read_as_they_are_written() {
    for &state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
        assert_eq!(state.may_change_content().is_ok(), state == State::Draft);
    }
    for &kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert!("open".parse::<Status>().is_err());
}
