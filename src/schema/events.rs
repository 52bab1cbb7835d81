//! What happened to schemas, appended in the transaction in which it happened: what receivers are sent, and what
//! those who look back are shown. // S7

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    audit::OwnTask,
    call::Call,
    db::TenantTx,
    error::Result,
    live::{self, Topic},
};

crate::wire::wire_enum! {
    /// What can happen.
    pub enum EventType {
        /// A schema is there.
        Registered = "schema.registered",
        /// Something else is said about a schema, or promised.
        Updated = "schema.updated",
        /// Somebody agreed beforehand to what is compatible.
        StandingGranted = "schema.standing_granted",
        /// Nobody does any more.
        StandingRevoked = "schema.standing_revoked",
        /// A version is there, or says something else.
        Drafted = "schema_version.drafted",
        /// A transition is asked for.
        Proposed = "schema_transition.proposed",
        /// It is granted.
        Approved = "schema_transition.approved",
        /// It is refused.
        Rejected = "schema_transition.rejected",
        /// It is taken back.
        Withdrawn = "schema_transition.withdrawn",
        /// Nobody decided in time.
        Expired = "schema_transition.expired",
        /// Another took its place.
        Superseded = "schema_transition.superseded",
        /// A text was judged.
        Checked = "schema.checked",
        /// Payloads were judged.
        Validated = "payloads.validated",
        /// What a run reported is not what its dataset's schema says.
        DriftFound = "schema_drift.found",
        /// It is again.
        DriftResolved = "schema_drift.resolved",
    }
}

/// Who makes something happen: a caller, or a task of the program's own.
pub trait Author: Sync {
    /// Under which name.
    fn actor(&self) -> &str;
    /// What ties together all that is done at once.
    fn correlation_id(&self) -> &str;
    /// When.
    fn now(&self) -> DateTime<Utc>;
    /// A new identifier.
    fn new_id(&self) -> Uuid;
}

impl Author for Call {
    fn actor(&self) -> &str {
        self.principal().actor()
    }

    fn correlation_id(&self) -> &str {
        self.correlation_id()
    }

    fn now(&self) -> DateTime<Utc> {
        self.now()
    }

    fn new_id(&self) -> Uuid {
        self.new_id()
    }
}

impl Author for OwnTask<'_> {
    fn actor(&self) -> &str {
        self.actor()
    }

    fn correlation_id(&self) -> &str {
        self.correlation_id()
    }

    fn now(&self) -> DateTime<Utc> {
        self.now()
    }

    fn new_id(&self) -> Uuid {
        self.new_id()
    }
}

/// An event to be appended.
#[derive(Debug)]
pub struct NewEvent {
    /// What happened.
    pub event_type: EventType,
    /// To which schema, if to one that is there.
    pub schema_id: Option<Uuid>,
    /// To which of its versions.
    pub number: Option<i32>,
    /// What else there is to be said.
    pub data: Value,
}

// A statement of its own, so that the next one's snapshot is of after it: the order of numbers is the order of
// commit.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtext('drr.schema_event'), hashtext(current_tenant()))";
const APPEND: &str = "
INSERT INTO schema_event (tenant_id, sequence, event_id, event_type, schema_id, number, actor_id,
                          correlation_id, occurred_at, data)
SELECT current_tenant(), coalesce(max(sequence), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8 FROM schema_event";

/// Appends an event. Whoever does so holds up the tenant's others until the transaction ends: it is the last
/// thing to do.
///
/// # Errors
/// Whatever the database answers.
pub async fn append(tx: &TenantTx, author: &impl Author, event: NewEvent) -> Result<()> {
    tx.execute_sql(LOCK, []).await?;
    let values = [
        author.new_id().into(),
        event.event_type.as_str().into(),
        event.schema_id.into(),
        event.number.into(),
        author.actor().into(),
        author.correlation_id().into(),
        author.now().into(),
        event.data.into(),
    ];
    tx.execute_sql(APPEND, values).await?;
    live::notify(tx, Topic::Schemas).await
}
