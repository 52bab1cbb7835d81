//! The mutations of breaches.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{
    command::{self, Acknowledged},
    graphql::Breach,
};
use crate::{
    dataset::graphql::Dataset,
    error::Result,
    graphql::{
        call,
        errors::{Nullable, nullable},
        scalars::uuid,
    },
};

/// A breach to take note of.
#[derive(Debug, InputObject)]
pub struct AcknowledgeBreachInput {
    /// Which one.
    breach_id: ID,
    /// What others should know; 1,024 characters at most. It is kept, and not delivered anywhere.
    note: Option<String>,
}

/// How taking note of a breach ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum AcknowledgeBreachStatus {
    /// It is noted.
    Acknowledged,
    /// Somebody has done so before, and theirs stands.
    AlreadyAcknowledged,
    /// The breach is over; nothing was changed.
    AlreadyResolved,
}

/// What became of taking note.
#[derive(Debug, SimpleObject)]
pub struct AcknowledgeBreachPayload {
    /// How it ended.
    status: AcknowledgeBreachStatus,
    /// The breach as it now is.
    breach: Nullable<Breach>,
}

/// A dataset to be muted.
#[derive(Debug, InputObject)]
pub struct MuteFreshnessInput {
    /// Which one.
    dataset_id: ID,
    /// Until when; ahead, by 366 days at most. Another mute takes the place of the one before.
    until: DateTime<Utc>,
    /// Why; 1,024 characters at most.
    reason: String,
}

/// How muting a dataset ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum MuteFreshnessStatus {
    /// It is muted.
    Muted,
}

/// What became of muting a dataset.
#[derive(Debug, SimpleObject)]
pub struct MuteFreshnessPayload {
    /// How it ended.
    status: MuteFreshnessStatus,
    /// The dataset as it now is.
    dataset: Nullable<Dataset>,
}

/// A dataset to be muted no longer.
#[derive(Debug, InputObject)]
pub struct UnmuteFreshnessInput {
    /// Which one.
    dataset_id: ID,
}

/// How ending a mute ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum UnmuteFreshnessStatus {
    /// The dataset is muted no longer.
    Unmuted,
    /// It was not muted; nothing was changed.
    NotMuted,
}

/// What became of ending a mute.
#[derive(Debug, SimpleObject)]
pub struct UnmuteFreshnessPayload {
    /// How it ended.
    status: UnmuteFreshnessStatus,
    /// The dataset as it now is.
    dataset: Nullable<Dataset>,
}

async fn acknowledge(
    context: &Context<'_>,
    input: AcknowledgeBreachInput,
) -> Result<AcknowledgeBreachPayload> {
    let id = uuid(&input.breach_id, "breachId");
    let status =
        match command::acknowledge(call(context)?, id.clone(), input.note.as_deref()).await? {
            Acknowledged::Done => AcknowledgeBreachStatus::Acknowledged,
            Acknowledged::Before => AcknowledgeBreachStatus::AlreadyAcknowledged,
            Acknowledged::Over => AcknowledgeBreachStatus::AlreadyResolved,
        };
    Ok(AcknowledgeBreachPayload { status, breach: Breach::shown(context, id.ok()).await })
}

async fn mute(context: &Context<'_>, input: MuteFreshnessInput) -> Result<MuteFreshnessPayload> {
    let id = uuid(&input.dataset_id, "datasetId");
    command::mute(call(context)?, id.clone(), input.until, &input.reason).await?;
    let status = MuteFreshnessStatus::Muted;
    Ok(MuteFreshnessPayload { status, dataset: Dataset::shown(context, id.ok()).await })
}

async fn unmute(
    context: &Context<'_>,
    input: UnmuteFreshnessInput,
) -> Result<UnmuteFreshnessPayload> {
    let id = uuid(&input.dataset_id, "datasetId");
    let status = if command::unmute(call(context)?, id.clone()).await? {
        UnmuteFreshnessStatus::Unmuted
    } else {
        UnmuteFreshnessStatus::NotMuted
    };
    Ok(UnmuteFreshnessPayload { status, dataset: Dataset::shown(context, id.ok()).await })
}

/// The mutations of breaches.
#[derive(Debug, Default)]
pub struct BreachMutation;

#[Object]
impl BreachMutation {
    /// Takes note of an open breach.
    async fn acknowledge_breach(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The breach.")] input: AcknowledgeBreachInput,
    ) -> Nullable<AcknowledgeBreachPayload> {
        nullable(acknowledge(context, input).await.map(Some))
    }

    /// Holds back until an instant what would be told of a dataset's breaches. The verdict stays what
    /// it is, and so do the breaches.
    async fn mute_freshness(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The mute.")] input: MuteFreshnessInput,
    ) -> Nullable<MuteFreshnessPayload> {
        nullable(mute(context, input).await.map(Some))
    }

    /// Ends a mute before its time.
    async fn unmute_freshness(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which one.")] input: UnmuteFreshnessInput,
    ) -> Nullable<UnmuteFreshnessPayload> {
        nullable(unmute(context, input).await.map(Some))
    }
}
