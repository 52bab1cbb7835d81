//! What was asked for versions and decided about them, in the graph.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    graphql::{SchemaVerdict, SchemaVersion},
    model::{lifecycle, verdict},
    repository::{self, Transition, VersionKey},
    verdicts,
};
use crate::{
    error::{Error, Result},
    graphql::{
        annotations::{ListSize, about},
        call,
        direct::{Direct, direct},
        errors::{Nullable, nullable},
    },
};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::Status")]
pub enum SchemaTransitionStatus {
    /// Nobody has decided yet.
    Open,
    /// Granted.
    Approved,
    /// Refused by somebody else.
    Rejected,
    /// Taken back by who made it.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
    /// Another request took its place.
    Superseded,
}

/// What is asked for a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::Kind")]
pub enum SchemaTransitionKind {
    /// Take it into use.
    Activate,
    /// Discourage it.
    Deprecate,
    /// Take it back into use.
    Reactivate,
    /// Take it out of use.
    Retire,
    /// Let everybody see it.
    Expose,
}

/// One difference between two versions.
#[derive(Debug, SimpleObject)]
pub struct SchemaFinding {
    /// The number of the earlier version.
    against: i32,
    /// `NEW_READS_OLD` or `OLD_READS_NEW`.
    direction: String,
    /// What it makes of the verdict.
    verdict: SchemaVerdict,
    /// What kind of difference.
    rule: String,
    /// Where.
    path: String,
    /// What it means.
    message: String,
}

impl TryFrom<verdicts::Finding> for SchemaFinding {
    type Error = Error;

    fn try_from(finding: verdicts::Finding) -> Result<Self> {
        let verdict: verdict::Verdict = finding.verdict.parse().map_err(Error::internal)?;
        Ok(Self {
            against: finding.against,
            direction: finding.direction,
            verdict: verdict.into(),
            rule: finding.rule,
            path: finding.path,
            message: finding.message,
        })
    }
}

/// A request for a transition of a version, and what became of it: kept for ever.
#[derive(Debug, Clone)]
pub struct SchemaTransition(Transition);

impl From<Transition> for SchemaTransition {
    fn from(transition: Transition) -> Self {
        Self(transition)
    }
}

impl SchemaTransition {
    /// The request to show in the payload of a mutation.
    pub(super) async fn shown(context: &Context<'_>, id: Option<Uuid>) -> Nullable<Self> {
        let id = id?;
        let read = async {
            let call = call(context)?;
            let tx = call.read().await?;
            Ok(repository::transition(&tx, id).await?.map(Self))
        };
        nullable(read.await)
    }
}

fn verdict_of(text: &str) -> Result<SchemaVerdict> {
    let verdict: verdict::Verdict = text.parse().map_err(Error::internal)?;
    Ok(verdict.into())
}

/// A request for a transition of a version, and what became of it: kept for ever.
#[Object]
impl SchemaTransition {
    /// Its identifier.
    async fn id(&self) -> ID {
        self.0.transition_id.into()
    }

    /// What is asked for.
    async fn kind(&self) -> Result<SchemaTransitionKind> {
        let kind: lifecycle::Kind = self.0.kind.parse().map_err(Error::internal)?;
        Ok(kind.into())
    }

    /// What became of it.
    async fn status(&self) -> Result<SchemaTransitionStatus> {
        let status: lifecycle::Status = self.0.status.parse().map_err(Error::internal)?;
        Ok(status.into())
    }

    /// Of which version.
    async fn version(&self, context: &Context<'_>) -> Nullable<Direct<SchemaVersion>> {
        let key = VersionKey { schema_id: self.0.schema_id, number: self.0.number };
        direct(SchemaVersion::load(context, key).await)
    }

    /// The hash of the content that it is for; it is for no other.
    async fn content_hash(&self) -> String {
        hex::encode(&self.0.content_hash)
    }

    /// When it was made.
    async fn requested_at(&self) -> DateTime<Utc> {
        self.0.requested_at
    }

    /// Who made it: an opaque subject.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// Why, in the words of who made it.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// From when on nobody can grant it.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.0.expires_at
    }

    /// That who made it knows that the version is used.
    async fn acknowledges_use(&self) -> bool {
        self.0.acknowledged
    }

    /// How the content compared when it was made.
    async fn verdict(&self) -> Result<SchemaVerdict> {
        verdict_of(&self.0.verdict)
    }

    /// What differed then: at most 500, the worst first.
    #[graphql(directive = ListSize::apply(about(5)))]
    async fn findings(&self) -> Result<Vec<SchemaFinding>> {
        let findings: Vec<verdicts::Finding> =
            serde_json::from_value(self.0.findings.clone()).map_err(Error::internal)?;
        findings.into_iter().map(TryInto::try_into).collect()
    }

    /// When it ended.
    async fn decided_at(&self) -> Option<DateTime<Utc>> {
        self.0.decided_at
    }

    /// Who ended it: an opaque subject, or `drr:expiry`.
    async fn decided_by(&self) -> Option<&str> {
        self.0.decided_by.as_deref()
    }

    /// Why: of a rejection, or of an approval although it is not COMPATIBLE.
    async fn decision(&self) -> Option<&str> {
        self.0.decision.as_deref()
    }

    /// How the content compared when it was approved.
    async fn decided_verdict(&self) -> Nullable<SchemaVerdict> {
        nullable(self.0.decided_verdict.as_deref().map(verdict_of).transpose())
    }

    /// That it was approved by what somebody had agreed to beforehand.
    async fn standing(&self) -> bool {
        self.0.standing
    }
}
