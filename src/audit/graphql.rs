//! The audit trail in the graph.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};

use super::{
    model::{self, Event},
    reading::{self, EventPosition, Filter},
};
use crate::{
    auth::policy::Operation,
    dataset::graphql::Dataset,
    error::{Error, Result},
    evidence::graphql::AuditEvidence,
    graphql::{
        annotations::{Cost, LOG, ListSize, page},
        call,
        connection::{Connection, Page, Place, is_possible_instant},
        direct::{Direct, direct},
        errors::{Nullable, nullable},
        scalars::{BigInt, searched, uuid},
    },
};

/// How long an event is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Class")]
pub enum AuditClass {
    /// A call, or what it changed in the registry of datasets.
    Api,
    /// What was done to a schema.
    Schema,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "model::Ended")]
pub enum AuditResult {
    /// It was done.
    Success,
    /// It was answered with something missing.
    Partial,
    /// The caller may not do it.
    Denied,
    /// It could not be done as it was asked.
    Rejected,
    /// This service failed.
    Failure,
    /// The caller went away before there was an answer.
    Cancelled,
}

/// One event of the audit trail.
#[derive(Debug)]
pub struct AuditEvent(Event);

/// One event of the audit trail: what a call was and how it ended, or what it changed.
#[Object]
impl AuditEvent {
    /// Its identifier.
    async fn id(&self) -> ID {
        self.0.event_id.into()
    }

    /// When the call came.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.occurred_at
    }

    /// Who: an opaque subject, a pseudonym, or a part of the program (`drr:sweeper`).
    async fn actor_id(&self) -> &str {
        &self.0.actor_id
    }

    /// What was asked for (`dataset.retire`), or done by the program itself (`breach.open`).
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// What else the same call asked for.
    async fn also(&self) -> Vec<&str> {
        self.0.also.iter().map(AsRef::as_ref).collect()
    }

    /// How long it is kept.
    async fn class(&self) -> AuditClass {
        self.0.class.into()
    }

    /// How it ended.
    async fn result(&self) -> Result<AuditResult> {
        let ended: model::Ended = self.0.result.parse().map_err(Error::internal)?;
        Ok(ended.into())
    }

    /// Why, if it is not a success: the code that the caller was told.
    async fn error_code(&self) -> Option<&str> {
        self.0.error_code.as_deref()
    }

    /// What ties it to the answer and the log.
    async fn correlation_id(&self) -> &str {
        &self.0.correlation_id
    }

    /// The call that it was part of; the event of the call itself has this as its identifier.
    async fn call_id(&self) -> Option<ID> {
        self.0.call_id.map(Into::into)
    }

    /// How many calls it tells of: more than one only of callers without a token, and of those who were
    /// sent away because there was too much to do.
    async fn calls(&self) -> BigInt {
        BigInt(self.0.calls.into())
    }

    /// The dataset that it was about, where it was one.
    async fn dataset_id(&self) -> Option<ID> {
        self.0.dataset_id.map(Into::into)
    }

    /// That dataset, if it is there.
    async fn dataset(&self, context: &Context<'_>) -> Nullable<Direct<Dataset>> {
        direct(Dataset::load(context, self.0.dataset_id?).await)
    }

    /// What else it was about (`run:<id>`).
    async fn resource(&self) -> Option<&str> {
        self.0.resource.as_deref()
    }

    /// By which way the call came: `public`, `internal`, `graphql-transport-ws`.
    async fn interface(&self) -> Option<&str> {
        self.0.interface.as_deref()
    }

    /// The name of the GraphQL operation.
    async fn operation_name(&self) -> Option<&str> {
        self.0.operation_name.as_deref()
    }

    /// SHA-256 of the GraphQL document, in hexadecimal.
    async fn document_hash(&self) -> Option<String> {
        self.0.document_hash.as_deref().map(hex::encode)
    }

    /// SHA-256 of the token, in hexadecimal.
    async fn token_hash(&self) -> Option<String> {
        self.0.token_hash.as_deref().map(hex::encode)
    }

    /// How long it took until the event was written, in microseconds.
    async fn duration_microseconds(&self) -> Option<BigInt> {
        self.0.duration_us.map(big)
    }

    /// Rows that the database answered or changed for the call.
    async fn row_count(&self) -> Option<BigInt> {
        self.0.row_count.map(big)
    }

    /// What shows that it is in the evidence ledger; none while it waits to be put there, which is for
    /// about a second.
    #[graphql(directive = Cost::apply(LOG))]
    async fn evidence(&self, context: &Context<'_>) -> Nullable<AuditEvidence> {
        AuditEvidence::of(context, &self.0).await
    }
}

fn big(number: u64) -> BigInt {
    BigInt(number.try_into().unwrap_or(i64::MAX))
}

/// Which events; all conditions together.
#[derive(Debug, Default, InputObject)]
pub struct AuditEventFilter {
    /// Done by exactly this actor.
    actor_id: Option<String>,
    /// This was asked for, alone or with others in one call.
    action: Option<String>,
    /// About this dataset, whether it is still there or not.
    dataset_id: Option<ID>,
    /// Ended so.
    result: Option<AuditResult>,
    /// Not before this instant.
    since: Option<DateTime<Utc>>,
    /// Before this instant.
    until: Option<DateTime<Utc>>,
    /// With exactly this correlation id.
    correlation_id: Option<String>,
    /// Of this class.
    class: Option<AuditClass>,
}

impl TryFrom<AuditEventFilter> for Filter {
    type Error = Error;

    fn try_from(filter: AuditEventFilter) -> Result<Self> {
        let texts = [
            ("filter.actorId", &filter.actor_id),
            ("filter.action", &filter.action),
            ("filter.correlationId", &filter.correlation_id),
        ];
        searched(&texts)?;
        for (field, instant) in [("filter.since", filter.since), ("filter.until", filter.until)] {
            if instant.is_some_and(|instant| !is_possible_instant(instant)) {
                return Err(Error::bad_input(field, "is no instant of the years 1 to 9999"));
            }
        }
        let dataset_id = filter.dataset_id.map(|id| uuid(&id, "filter.datasetId")).transpose()?;
        Ok(Self {
            actor_id: filter.actor_id,
            action: filter.action,
            dataset_id,
            result: filter.result.map(Into::into),
            since: filter.since,
            until: filter.until,
            correlation_id: filter.correlation_id,
            class: filter.class.map(Into::into),
        })
    }
}

/// The place of an event in a list.
pub type AuditEventCursor = EventPosition;

impl Place for EventPosition {
    fn is_possible(&self) -> bool {
        is_possible_instant(self.occurred_at)
    }
}

/// A page of events.
pub type AuditEventConnection = Connection<AuditEventCursor, AuditEvent>;

async fn with_id(context: &Context<'_>, id: &ID) -> Result<Option<AuditEvent>> {
    let call = call(context)?;
    call.authorize(Operation::AuditRead)?;
    let tx = call.db().read_trail().await?;
    Ok(reading::by_id(&tx, uuid(id, "id")?).await?.map(AuditEvent))
}

/// The root fields about the audit trail.
#[derive(Debug, Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// The event of the audit trail with this id.
    async fn audit_event(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its identifier.")] id: ID,
    ) -> Nullable<AuditEvent> {
        nullable(with_id(context, &id).await)
    }

    /// The audit trail of the caller's tenant, the latest first. Looking is a call like any other, and in
    /// the trail itself.
    #[graphql(directive = ListSize::apply(page(50)))]
    async fn audit_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which ones.")] filter: Option<AuditEventFilter>,
        #[graphql(desc = "At most so many; 50 unless said otherwise, 200 at the most.")]
        first: Option<i32>,
        #[graphql(desc = "Go on after this cursor.")] after: Option<String>,
    ) -> Result<AuditEventConnection> {
        let call = call(context)?;
        call.authorize(Operation::AuditRead)?;
        let filter = filter.unwrap_or_default().try_into()?;
        let page = Page::<EventPosition>::parse(first, after.as_deref(), 50)?;
        let tx = call.db().read_trail().await?;
        let events = reading::page(&tx, &filter, page.after, page.limit()).await?;
        let events = events.into_iter();
        Ok(page.connection(events.map(|event| (EventPosition::of(&event), AuditEvent(event)))))
    }
}
