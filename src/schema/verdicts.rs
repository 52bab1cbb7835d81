//! How a content compares with those of the versions before it.
//!
//! Contents are read, and compared, outside of the transaction that decides: they never change under a hash.
//! What the transaction finds must be what was compared ([`Compared::is_of`]); if another version came between,
//! it is compared anew.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    content::{self, Whole},
    model::{
        compatibility::{Check, Compatibility, Direction, Policy},
        content::ContentHash,
        format::{Format, Schema},
        lifecycle::State,
        name::{SchemaName, VersionNumber},
        verdict::Verdict,
    },
    repository::{Record, Version, hash_of, name_of},
};
use crate::{
    auth::TenantId,
    call::Call,
    error::{Error, Result},
};

/// How long all comparisons of a version may take together. What they do is bounded by itself; this is for a
/// machine that has too much to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most earlier versions that one is compared with. A transitive promise over more is UNKNOWN.
const MAX_EARLIER: usize = 200;
/// The most bytes that these have together, with all that they refer to.
const MAX_EARLIER_BYTES: usize = 16 * 1024 * 1024;
/// The most findings that are kept of one comparison.
const MAX_FINDINGS: usize = 500;

/// One difference from an earlier version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The number of the earlier version.
    pub against: i32,
    /// Which way around.
    pub direction: String,
    /// What it makes of the verdict.
    pub verdict: String,
    /// What kind of difference.
    pub rule: String,
    /// Where.
    pub path: String,
    /// What it means.
    pub message: String,
}

/// What comparing a version came to.
#[derive(Debug)]
pub struct Compared {
    /// The worst of all.
    pub verdict: Verdict,
    /// Every difference.
    pub findings: Vec<Finding>,
    content: ContentHash,
    against: Vec<(i32, Vec<u8>)>,
}

impl Compared {
    /// Whether this is still what comparing would come to: the same content, with the same earlier versions.
    #[must_use]
    pub fn is_of(&self, version: &Version, compatibility: Compatibility, all: &[Version]) -> bool {
        version.content_hash == self.content.as_bytes()
            && earlier(Some(version.number), compatibility, all)
                .iter()
                .map(|earlier| (earlier.number, earlier.content_hash.clone()))
                .eq(self.against.iter().cloned())
    }
}

/// Whether a stored version is in use: somebody may hold data of it.
#[must_use]
pub fn is_in_use(version: &Version) -> bool {
    [State::Active, State::Deprecated].map(State::as_str).contains(&version.state.as_str())
}

/// The versions that one is compared with: those that are or were in use, whose data somebody may hold.
fn earlier(number: Option<i32>, compatibility: Compatibility, all: &[Version]) -> Vec<&Version> {
    let in_use = |version: &&Version| Some(version.number) != number && is_in_use(version);
    let mut found: Vec<_> = all.iter().filter(in_use).collect();
    let numbers: Vec<_> =
        found.iter().filter_map(|version| VersionNumber::new(version.number).ok()).collect();
    let against: Vec<_> =
        compatibility.checks(&numbers).iter().map(|check| check.against.get()).collect();
    found.retain(|version| against.contains(&version.number));
    found.sort_unstable_by_key(|version| std::cmp::Reverse(version.number));
    found
}

/// The versions that one is compared with, and which way around.
pub(super) fn plan(
    number: Option<i32>,
    compatibility: Compatibility,
    all: &[Version],
) -> (Vec<&Version>, Vec<Check>) {
    let against = earlier(number, compatibility, all);
    let numbers: Vec<_> =
        against.iter().filter_map(|version| VersionNumber::new(version.number).ok()).collect();
    (against, compatibility.checks(&numbers))
}

/// What reading and comparing needs of a schema.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name.
    pub name: SchemaName,
    /// Its format.
    pub format: Format,
    /// What its versions promise.
    pub compatibility: Compatibility,
    /// What an approver may override of that.
    pub policy: Policy,
}

impl Subject {
    /// That of a stored schema of `tenant`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a record that no command can have written.
    pub fn of(tenant: &TenantId, record: &Record) -> Result<Self> {
        Ok(Self {
            name: name_of(tenant, record)?,
            format: record.format.parse().map_err(Error::internal)?,
            compatibility: record.compatibility.parse().map_err(Error::internal)?,
            policy: record.policy.parse().map_err(Error::internal)?,
        })
    }
}

/// A content that is to be compared, and of which version it is, if it is one already.
#[derive(Debug)]
pub struct Candidate {
    /// What it says.
    pub whole: Whole,
    /// Its hash.
    pub hash: ContentHash,
    /// The version's number.
    pub number: Option<i32>,
}

impl Candidate {
    /// That of a stored version.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn stored(call: &Call, name: &SchemaName, version: &Version) -> Result<Self> {
        Ok(Self {
            whole: content::whole(call, name, version).await?,
            hash: hash_of(&version.content_hash)?,
            number: Some(version.number),
        })
    }
}

/// Compares a content with those of all versions that its schema's promise names.
///
/// # Errors
/// What the store answers, [`Error::DeadlineExceeded`], or [`Error::Internal`] for a content that cannot be read
/// any more.
pub async fn compare(
    call: &Call,
    subject: &Subject,
    candidate: Candidate,
    all: &[Version],
) -> Result<Compared> {
    let (against, mut checks) = plan(candidate.number, subject.compatibility, all);
    let (mut texts, mut bytes) = (Vec::with_capacity(against.len()), 0);
    for earlier in against.iter().take(MAX_EARLIER) {
        let whole = content::whole(call, &subject.name, earlier).await?;
        bytes += whole.bytes();
        if bytes > MAX_EARLIER_BYTES {
            break;
        }
        texts.push((earlier.number, whole));
    }
    let left_out = against.len() - texts.len();
    checks.retain(|check| texts.iter().any(|(number, _)| *number == check.against.get()));
    let (format, whole) = (subject.format, candidate.whole);
    let work = move || findings(format, &whole, &texts, &checks);
    let done = timeout(PATIENCE, tokio::task::spawn_blocking(work)).await;
    let mut findings = done.map_err(|_| Error::DeadlineExceeded)?.map_err(Error::internal)??;
    if left_out > 0 {
        let message = format!("{left_out} earlier versions are more than may be compared at once");
        findings.push((Verdict::Unknown, untold("TOO_MUCH_WORK", message)));
    }
    Ok(judged(candidate.hash, &against, findings))
}

/// What is so of a stored version that cannot be compared, since not everything can be read any more.
///
/// # Errors
/// [`Error::Internal`] for a record that no command can have written.
pub fn unread(subject: &Subject, version: &Version, all: &[Version]) -> Result<Compared> {
    let (against, _) = plan(Some(version.number), subject.compatibility, all);
    let message = "a stored content cannot be read any more".to_owned();
    let finding = (Verdict::Unknown, untold("CONTENT_UNREADABLE", message));
    Ok(judged(hash_of(&version.content_hash)?, &against, vec![finding]))
}

fn judged(
    content: ContentHash,
    against: &[&Version],
    mut findings: Vec<(Verdict, Finding)>,
) -> Compared {
    let verdict = findings.iter().map(|(verdict, _)| *verdict).max();
    // The worst are kept if there are too many.
    findings.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
    findings.truncate(MAX_FINDINGS);
    Compared {
        verdict: verdict.unwrap_or(Verdict::Compatible),
        findings: findings.into_iter().map(|(_, finding)| finding).collect(),
        content,
        against: against.iter().map(|of| (of.number, of.content_hash.clone())).collect(),
    }
}

/// Why it cannot be told, of the whole.
fn untold(rule: &str, message: String) -> Finding {
    Finding {
        against: 0,
        direction: String::new(),
        verdict: Verdict::Unknown.as_str().to_owned(),
        rule: rule.to_owned(),
        path: String::new(),
        message,
    }
}

/// Reads a stored content.
///
/// # Errors
/// [`Error::Internal`]: it was read when it was stored.
pub fn parsed(format: Format, whole: &Whole) -> Result<Schema> {
    Schema::parse(format, &whole.text.0, &whole.references).map_err(|wrong| {
        let first = wrong.first().map(ToString::to_string).unwrap_or_default();
        Error::internal(format!("a stored content cannot be read any more: {first}"))
    })
}

/// Every difference from the earlier ones.
///
/// # Errors
/// As [`parsed`].
pub(super) fn findings(
    format: Format,
    own: &Whole,
    earlier: &[(i32, Whole)],
    checks: &[Check],
) -> Result<Vec<(Verdict, Finding)>> {
    let own = Arc::new(parsed(format, own)?);
    let mut found = Vec::new();
    for (number, whole) in earlier {
        let old = Arc::new(parsed(format, whole)?);
        for check in checks.iter().filter(|check| check.against.get() == *number) {
            let (reader, writer) = check.sides(&own, &old);
            let comparison = reader.reads(writer).map_err(Error::internal)?;
            let direction = match check.direction {
                Direction::NewReadsOld => "NEW_READS_OLD",
                Direction::OldReadsNew => "OLD_READS_NEW",
            };
            found.extend(comparison.differences.into_iter().map(|difference| {
                let finding = Finding {
                    against: *number,
                    direction: direction.to_owned(),
                    verdict: difference.verdict.as_str().to_owned(),
                    rule: difference.rule.to_owned(),
                    path: difference.path,
                    message: difference.message,
                };
                (difference.verdict, finding)
            }));
        }
    }
    Ok(found)
}
