//! Random actors do random things to the versions of one schema, and what must never happen is
//! looked for from the record of what did, not by the rules that let it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::super::name::VersionNumber;
use super::super::*;
use super::at;

#[derive(Debug, Clone)]
enum Step {
    Create {
        content: u8,
    },
    Edit {
        version: usize,
        content: u8,
    },
    Discard {
        version: usize,
    },
    Propose {
        version: usize,
        kind: usize,
        by: u8,
        stale: Option<u8>,
        acknowledges_use: bool,
        ttl: i64,
    },
    Decide {
        request: usize,
        decision: usize,
        by: Option<u8>,
        reason: bool,
    },
    Bind {
        version: usize,
        in_use: bool,
    },
    Compare {
        version: usize,
        verdict: u8,
    },
    Wait {
        seconds: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..3u8).prop_map(|content| Step::Create { content }),
        2 => (0..4usize, 0..3u8).prop_map(|(version, content)| Step::Edit { version, content }),
        1 => (0..4usize).prop_map(|version| Step::Discard { version }),
        6 => (0..4usize, 0..5usize, 0..3u8, prop::option::weighted(0.1, 0..3u8), any::<bool>(), -1..90i64)
            .prop_map(|(version, kind, by, stale, acknowledges_use, ttl)| {
                Step::Propose { version, kind, by, stale, acknowledges_use, ttl }
            }),
        8 => (0..4usize, 0..9usize, prop::option::weighted(0.8, 0..3u8), any::<bool>())
            .prop_map(|(request, decision, by, reason)| Step::Decide { request, decision, by, reason }),
        1 => (0..4usize, any::<bool>()).prop_map(|(version, in_use)| Step::Bind { version, in_use }),
        2 => (0..4usize, 0..3u8).prop_map(|(version, verdict)| Step::Compare { version, verdict }),
        1 => (1..20i64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..160)
}

#[derive(Debug)]
struct Version {
    number: VersionNumber,
    subject: Subject,
    /// What it said when it was last put forward.
    frozen: Option<ContentHash>,
}

/// Of what kind, by whom, asked by whom, on what, at which verdict, and whether it was overridden.
type Approval = (Kind, String, String, ContentHash, Verdict, bool);

#[derive(Debug, Default)]
struct World {
    now: i64,
    highest: Option<VersionNumber>,
    versions: Vec<Version>,
    requests: Vec<(VersionNumber, Request)>,
    given: BTreeSet<VersionNumber>,
    /// Approvals that were granted: of which version, by whom, asked for by whom, on what.
    approvals: BTreeMap<VersionNumber, Vec<Approval>>,
}

const ACTORS: [&str; 3] = ["alice", "bob", "carol"];

impl World {
    fn pick(&mut self, index: usize) -> Option<&mut Version> {
        let count = self.versions.len();
        self.versions.get_mut(index % count.max(1))
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            // Few, so that each of them gets somewhere.
            Step::Create { .. } if self.versions.len() >= 3 => {}
            Step::Create { content } => {
                let number = VersionNumber::after(self.highest).expect("few");
                prop_assert!(self.given.insert(number), "{number} was given before");
                self.highest = Some(number);
                let content = ContentHash::of(&[content]);
                let subject = Subject {
                    state: State::Draft,
                    visibility: Visibility::Private,
                    content,
                    verdict: Verdict::Compatible,
                    policy: Policy::Strict,
                    in_use: false,
                };
                self.versions.push(Version { number, subject, frozen: None });
            }
            Step::Edit { version, content } => {
                if let Some(version) = self.pick(version)
                    && version.subject.state.may_change_content().is_ok()
                {
                    version.subject.content = ContentHash::of(&[content]);
                }
            }
            Step::Discard { version } => {
                if let Some(found) = self.pick(version)
                    && found.subject.state == State::Draft
                {
                    let number = found.number;
                    self.versions.retain(|version| version.number != number);
                    self.requests.retain(|(of, _)| *of != number);
                }
            }
            Step::Propose { version, kind, by, stale, acknowledges_use, ttl } => {
                let now = at(self.now);
                let Some(found) = self.pick(version) else { return Ok(()) };
                let (number, subject) = (found.number, found.subject);
                let request = Request {
                    kind: Kind::ALL[kind],
                    status: Status::Open,
                    requester: ACTORS[usize::from(by)].to_owned(),
                    content: stale.map_or(subject.content, |content| ContentHash::of(&[content])),
                    expires_at: now + chrono::TimeDelta::seconds(ttl),
                    acknowledges_use,
                };
                let open = self
                    .requests
                    .iter()
                    .any(|(of, request)| *of == number && request.status == Status::Open);
                if let Ok(state) = propose(&subject, &request, open, now) {
                    let found = self.pick(version).expect("it was there");
                    found.subject.state = state;
                    if state == State::Proposed {
                        found.frozen = Some(found.subject.content);
                    }
                    self.requests.push((number, request));
                }
            }
            Step::Decide { request, decision, by, reason } => {
                self.decide(request, decision, by, reason)?;
            }
            Step::Bind { version, in_use } => {
                if let Some(version) = self.pick(version) {
                    version.subject.in_use = in_use;
                }
            }
            Step::Compare { version, verdict } => {
                if let Some(version) = self.pick(version) {
                    version.subject.verdict =
                        [Verdict::Compatible, Verdict::Unknown, Verdict::Incompatible]
                            [usize::from(verdict)];
                }
            }
            Step::Wait { seconds } => self.now += seconds,
        }
        self.check()
    }

    fn decide(
        &mut self,
        index: usize,
        decision: usize,
        by: Option<u8>,
        reason: bool,
    ) -> Result<(), TestCaseError> {
        let now = at(self.now);
        // The latest requests first: those are the ones that may be open.
        let Some(index) = self.requests.len().checked_sub(1 + index) else { return Ok(()) };
        let (number, request) = self.requests[index].clone();
        let version = self.versions.iter_mut().find(|version| version.number == number);
        let Some(version) = version else { return Ok(()) };
        let decision = match decision {
            0..=4 => Decision::Approve { override_reason: reason.then_some("known") },
            5 => Decision::Reject { reason: if reason { "no" } else { "" } },
            6 => Decision::Withdraw,
            7 => Decision::Expire,
            _ => Decision::Supersede,
        };
        let id = by.map(|by| ACTORS[usize::from(by)]);
        let actor = id.map_or(Actor::System, Actor::Principal);
        let before = version.subject;
        let Ok(outcome) = decide(&before, &request, decision, actor, now) else { return Ok(()) };
        version.subject.state = outcome.state;
        version.subject.visibility = outcome.visibility;
        self.requests[index].1.status = outcome.status;
        if outcome.status == Status::Approved {
            let by = id.map(str::to_owned).expect("the program approves nothing");
            prop_assert!(now < request.expires_at);
            self.approvals.entry(number).or_default().push((
                request.kind,
                by,
                request.requester,
                request.content,
                before.verdict,
                outcome.overridden,
            ));
        } else {
            prop_assert_eq!(outcome.visibility, before.visibility);
            prop_assert!(outcome.state == before.state || outcome.state == State::Draft);
        }
        Ok(())
    }

    /// What is so after every step.
    fn check(&self) -> Result<(), TestCaseError> {
        for version in &self.versions {
            let subject = &version.subject;
            let granted = self.approvals.get(&version.number).map_or(&[][..], Vec::as_slice);
            let has = |kind: Kind| granted.iter().any(|approval| approval.0 == kind);
            for (kind, by, requester, content, verdict, overridden) in granted {
                prop_assert_ne!(by, requester);
                prop_assert_eq!(content, &subject.content, "an approval is of other content");
                if matches!(kind, Kind::Activate | Kind::Reactivate) {
                    prop_assert_ne!(*verdict, Verdict::Incompatible);
                    prop_assert_eq!(*overridden, *verdict == Verdict::Unknown);
                }
            }
            if subject.state != State::Draft {
                prop_assert_eq!(Some(subject.content), version.frozen, "frozen content changed");
            }
            let was_active = !matches!(subject.state, State::Draft | State::Proposed);
            prop_assert_eq!(was_active, has(Kind::Activate), "{:?}", version);
            prop_assert_eq!(subject.visibility == Visibility::Public, has(Kind::Expose));
            if subject.state == State::Retired {
                prop_assert!(has(Kind::Deprecate) && has(Kind::Retire));
            }
            let open = self.requests.iter().filter(|(number, request)| {
                *number == version.number && request.status == Status::Open
            });
            prop_assert!(open.count() <= 1);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_happens_that_must_not(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            world.step(step)?;
        }
    }
}

/// That the sequences above get anywhere at all: each state and each kind of approval is reached.
#[test]
fn random_sequences_reach_every_state() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut states, mut kinds, mut overridden) = (BTreeSet::new(), BTreeSet::new(), 0);
    for _ in 0..512 {
        let mut world = World::default();
        for step in steps().new_tree(&mut runner).unwrap().current() {
            world.step(&step).unwrap();
        }
        states.extend(world.versions.iter().map(|version| version.subject.state));
        for approval in world.approvals.values().flatten() {
            kinds.insert(approval.0);
            overridden += usize::from(approval.5);
        }
    }
    assert_eq!(states.len(), State::ALL.len(), "{states:?}");
    assert_eq!(kinds.len(), Kind::ALL.len(), "{kinds:?}");
    assert!(overridden > 0);
}
