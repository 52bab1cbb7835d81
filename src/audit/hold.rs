//! Legal holds: events that are neither dropped nor deleted, however old they are.
//!
//! A hold is of one tenant's events, or (under [`TenantId::none`]) of all tenants', from an instant up to
//! another one. It is placed and released by people, each with a reason; nothing of it is ever removed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::repository::{Deed, OwnEntry, OwnTask, append_own};
use crate::{
    auth::TenantId,
    clock::Clock,
    db::{Db, FromRow, TenantTx, operator::DueTenant},
    error::{Error, Result},
};

/// The longest reason, in characters.
const REASON_CHARACTERS: usize = 1_000;
/// The longest name of who did it.
const ACTOR_CHARACTERS: usize = 128;

/// A hold, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Hold {
    /// Its name.
    pub hold_id: Uuid,
    /// The first instant that is held.
    pub held_from: DateTime<Utc>,
    /// The first one that is not held any more.
    pub held_until: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub actor_id: String,
    /// When.
    pub recorded_at: DateTime<Utc>,
    /// When it was released, if it was.
    pub released_at: Option<DateTime<Utc>>,
    /// By whom.
    pub released_by: Option<String>,
    /// Why.
    pub released_for: Option<String>,
}

impl Hold {
    /// Whether it holds something between two instants, both included.
    pub(super) fn covers(&self, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
        self.released_at.is_none() && self.held_from <= last && first < self.held_until
    }
}

/// Why, and by whom.
#[derive(Debug, Clone)]
pub struct Order {
    reason: String,
    actor_id: String,
}

impl Order {
    /// A reason, and the opaque name of a person.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for an empty or a long one, and for what looks like an address.
    pub fn new(reason: &str, actor_id: &str) -> Result<Self> {
        let length = reason.chars().count();
        if reason.trim().is_empty() || length > REASON_CHARACTERS || reason.contains('\0') {
            return Err(Error::bad_input("reason", "a sentence of 1,000 characters at most"));
        }
        let opaque = actor_id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        if !opaque || !(1..=ACTOR_CHARACTERS).contains(&actor_id.len()) {
            return Err(Error::bad_input(
                "by",
                "an identifier, and no address, of 128 letters at most",
            ));
        }
        Ok(Self { reason: reason.to_owned(), actor_id: actor_id.to_owned() })
    }
}

const PLACE: &str = "
INSERT INTO legal_hold
  (tenant_id, hold_id, released, held_from, held_until, reason, actor_id, recorded_at)
VALUES (current_tenant(), $1, $2, $3, $4, $5, $6, $7)";

/// Places a hold from an instant up to another one; answers its name.
///
/// # Errors
/// [`Error::BadUserInput`] if there is nothing between the two, or what the database answers.
pub async fn place(
    db: &Db,
    tenant: &DueTenant,
    (held_from, held_until): (DateTime<Utc>, DateTime<Utc>),
    order: &Order,
    clock: &dyn Clock,
) -> Result<Uuid> {
    if held_until <= held_from {
        return Err(Error::bad_input("until", "after the beginning"));
    }
    let hold_id = clock.new_id();
    let tx = db.of_due(tenant).write().await?;
    write(&tx, (hold_id, false), (held_from, held_until), order, clock).await?;
    tx.commit().await?;
    Ok(hold_id)
}

/// Releases a hold, once.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Conflict`] if it is released, or what the database answers.
pub async fn release(
    db: &Db,
    tenant: &DueTenant,
    hold_id: Uuid,
    order: &Order,
    clock: &dyn Clock,
) -> Result<()> {
    let holds = of_tenant(db, tenant).await?;
    let hold = holds.into_iter().find(|hold| hold.hold_id == hold_id);
    let hold = hold.ok_or(Error::NotFound("legal hold"))?;
    if hold.released_at.is_some() {
        return Err(Error::Conflict("the hold is released already".into()));
    }
    let tx = db.of_due(tenant).write().await?;
    write(&tx, (hold_id, true), (hold.held_from, hold.held_until), order, clock).await?;
    tx.commit().await
}

async fn write(
    tx: &TenantTx,
    (hold_id, released): (Uuid, bool),
    (held_from, held_until): (DateTime<Utc>, DateTime<Utc>),
    order: &Order,
    clock: &dyn Clock,
) -> Result<()> {
    let values = [
        hold_id.into(),
        released.into(),
        held_from.into(),
        held_until.into(),
        order.reason.as_str().into(),
        order.actor_id.as_str().into(),
        clock.now().into(),
    ];
    tx.execute_sql(PLACE, values).await?;
    let deed = if released { Deed::HoldRelease } else { Deed::HoldPlace };
    let resource = Some(format!("hold:{hold_id} by:{}", order.actor_id));
    let task = OwnTask::keeper(clock, clock.now());
    append_own(tx, &task, &[OwnEntry { deed, dataset_id: None, resource }]).await
}

const HOLDS: &str = "
SELECT placed.hold_id, placed.held_from, placed.held_until, placed.reason, placed.actor_id,
       placed.recorded_at, ended.recorded_at AS released_at, ended.actor_id AS released_by,
       ended.reason AS released_for
  FROM legal_hold AS placed
  LEFT JOIN legal_hold AS ended ON ended.hold_id = placed.hold_id AND ended.released
 WHERE NOT placed.released ORDER BY placed.recorded_at, placed.hold_id";

/// The holds under a tenant's name, those that are released too.
///
/// # Errors
/// What the database answers.
pub async fn of_tenant(db: &Db, tenant: &DueTenant) -> Result<Vec<Hold>> {
    Ok(db.of_due(tenant).read_trail().await?.query_sql(HOLDS, []).await?)
}

/// The holds in force for a tenant: its own, and those of all tenants.
pub(super) async fn in_force(db: &Db, tenant: &DueTenant) -> Result<Vec<Hold>> {
    let mut holds = of_tenant(db, tenant).await?;
    if *tenant.tenant() != TenantId::none() {
        holds.extend(of_tenant(db, &DueTenant::none()).await?);
    }
    holds.retain(|hold| hold.released_at.is_none());
    Ok(holds)
}
