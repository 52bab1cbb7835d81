//! What people do about breaches: take note of one, and mute a dataset.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    model::{BreachPayload, EventType, Payload},
    store::{self, NewEvent},
    sweeper::json,
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    db::{FromRow, TenantTx},
    error::{Error, ErrorCode, Result},
};

/// The longest note or reason, in characters.
const MAX_TEXT_CHARS: usize = 1_024;
/// The longest mute.
const LONGEST_MUTE: TimeDelta = TimeDelta::days(366);

fn text(field: &'static str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(Error::bad_input(field, "must not exceed 1024 characters"));
    }
    if text.chars().any(|char| char.is_control() && char != '\n') {
        return Err(Error::bad_input(field, "must not contain control characters"));
    }
    Ok(text.to_owned())
}

/// How taking note of a breach ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledged {
    /// It is noted.
    Done,
    /// Somebody has done so before; theirs stands.
    Before,
    /// It is over, and needs nobody any more.
    Over,
}

/// A dataset, the breach in question, and the mute.
#[derive(Debug, FromRow)]
struct Subject {
    dataset_id: Uuid,
    namespace: String,
    name: String,
    domain: Option<String>,
    listed: bool,
    muted_until: Option<DateTime<Utc>>,
    breach_id: Option<Uuid>,
    policy_id: Option<Uuid>,
    policy_version: Option<i32>,
    level: Option<String>,
    opened_at: Option<DateTime<Utc>>,
    escalated_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    acknowledged_at: Option<DateTime<Utc>>,
}

const OF_BREACH: &str = "
SELECT r.dataset_id, r.namespace, r.name, r.domain, s.listed, s.muted_until, b.breach_id,
       b.policy_id, b.policy_version, b.level, b.opened_at, b.escalated_at, b.resolved_at,
       b.last_success_at, b.acknowledged_at
  FROM freshness_breach b JOIN dataset_registry r USING (dataset_id)
  JOIN dataset_refresh_state s USING (dataset_id)
 WHERE b.breach_id = $1";

const OF_DATASET: &str = "
SELECT r.dataset_id, r.namespace, r.name, r.domain, s.listed, s.muted_until, b.breach_id,
       b.policy_id, b.policy_version, b.level, b.opened_at, b.escalated_at, b.resolved_at,
       b.last_success_at, b.acknowledged_at
  FROM dataset_refresh_state s JOIN dataset_registry r USING (dataset_id)
  LEFT JOIN freshness_breach b ON b.dataset_id = s.dataset_id AND b.resolved_at IS NULL
 WHERE s.dataset_id = $1 FOR UPDATE OF s";

impl Subject {
    fn event(&self, call: &Call, kind: EventType, mute: Option<DateTime<Utc>>) -> Result<NewEvent> {
        let breach = self.breach_id.zip(self.policy_id).zip(self.opened_at);
        let level = self.level.as_deref().map(str::parse::<super::model::Level>).transpose();
        let level = level.map_err(Error::internal)?.map(super::model::Level::as_str);
        let payload = Payload {
            dataset_id: self.dataset_id,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            domain: self.domain.clone(),
            breach: breach.zip(level).map(|(((id, policy_id), opened_at), level)| BreachPayload {
                id,
                policy_id,
                policy_version: self.policy_version.unwrap_or_default(),
                level,
                opened_at,
                escalated_at: self.escalated_at,
                resolved_at: None,
                resolution: None,
                resolved_by_run_id: None,
                last_success_at: self.last_success_at,
            }),
            muted_until: mute,
            by: Some(call.principal().actor().to_owned()),
        };
        let muted_until = self.muted_until.filter(|until| *until > call.now());
        Ok(NewEvent {
            event_id: call.new_id(),
            event_type: kind.as_str(),
            dataset_id: self.dataset_id,
            breach_id: self.breach_id,
            level,
            muted: muted_until.is_some(),
            payload: json(&payload)?,
            delivery: if NewEvent::is_delivered(kind) { "PENDING" } else { "WITHHELD" },
            deliverable_at: muted_until.unwrap_or_else(|| call.now()),
        })
    }
}

async fn subject(tx: &TenantTx, sql: &'static str, id: Uuid) -> Result<Option<Subject>> {
    Ok(tx.query_sql(sql, [id.into()]).await?.pop())
}

const ACKNOWLEDGE: &str = "
UPDATE freshness_breach SET acknowledged_at = $2, acknowledged_by = $3, acknowledgement_note = $4
 WHERE breach_id = $1";

/// Takes note of an open breach.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a missing or a foreign breach;
/// [`Error::BadUserInput`] for a note that is too long.
pub async fn acknowledge(
    call: &Call,
    breach_id: Result<Uuid>,
    note: Option<&str>,
) -> Result<Acknowledged> {
    let operation = Operation::BreachAcknowledge;
    let prepare = async {
        let note = note.map(|note| text("note", note)).transpose()?;
        Ok((breach_id?, note.filter(|note| !note.is_empty())))
    };
    trail::change(call, operation, None, prepare, async |tx, (id, note)| {
        store::lock(tx).await?;
        let breach = subject(tx, OF_BREACH, id).await?.ok_or(Error::NotFound("breach"))?;
        let done = match (breach.resolved_at, breach.acknowledged_at) {
            (Some(_), _) => Acknowledged::Over,
            (None, Some(_)) => Acknowledged::Before,
            (None, None) => Acknowledged::Done,
        };
        if done == Acknowledged::Done {
            let actor = call.principal().actor();
            let values = [id.into(), call.now().into(), actor.into(), note.into()];
            tx.execute_sql(ACKNOWLEDGE, values).await?;
            let event = breach.event(call, EventType::Acknowledged, None)?;
            store::tell(tx, &[event], call.now()).await?;
        }
        let outcome = match done {
            Acknowledged::Over => Outcome::Rejected(ErrorCode::Conflict),
            Acknowledged::Done | Acknowledged::Before => Outcome::Success,
        };
        let (dataset_id, resource) = (Some(breach.dataset_id), Some(format!("breach:{id}")));
        Ok(Done::new(done, vec![Entry { operation, dataset_id, resource, outcome }]))
    })
    .await
}

const MUTE: &str = "
UPDATE dataset_refresh_state SET muted_until = $2, mute_reason = $3, muted_by = $4
 WHERE dataset_id = $1";

// What waits is put off, or is no longer.
const PUT_OFF: &str = "
UPDATE freshness_event SET deliverable_at = $2, next_attempt_at = $2
 WHERE dataset_id = $1 AND delivery = 'PENDING'";

/// Mutes a dataset until an instant: nobody is told of its breaches until then.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a missing or a foreign dataset, [`Error::Conflict`]
/// for a retired one; [`Error::BadUserInput`] for an instant that is not ahead, or more than 366
/// days, and for a reason that is empty or too long.
pub async fn mute(
    call: &Call,
    dataset_id: Result<Uuid>,
    until: DateTime<Utc>,
    reason: &str,
) -> Result<()> {
    let prepare = async {
        let until = until.trunc_subsecs(6);
        if until <= call.now() || until > call.now() + LONGEST_MUTE {
            return Err(Error::bad_input("until", "must be ahead, by 366 days at most"));
        }
        let reason = text("reason", reason)?;
        if reason.is_empty() {
            return Err(Error::bad_input("reason", "must not be empty"));
        }
        Ok((dataset_id.clone()?, Some((until, reason))))
    };
    let (operation, dataset) = (Operation::FreshnessMute, dataset_id.clone().ok());
    trail::change(call, operation, dataset, prepare, async |tx, (id, mute)| {
        change_mute(tx, call, id, mute).await
    })
    .await
    .map(|_: bool| ())
}

/// Ends a mute before its time; answers whether there was one.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a missing or a foreign dataset.
pub async fn unmute(call: &Call, dataset_id: Result<Uuid>) -> Result<bool> {
    let (operation, dataset) = (Operation::FreshnessMute, dataset_id.clone().ok());
    trail::change(call, operation, dataset, async { dataset_id }, async |tx, id| {
        change_mute(tx, call, id, None).await
    })
    .await
}

/// Answers whether anything had to be changed.
async fn change_mute(
    tx: &TenantTx,
    call: &Call,
    id: Uuid,
    mute: Option<(DateTime<Utc>, String)>,
) -> Result<Done<bool>> {
    store::lock(tx).await?;
    let mut subject = subject(tx, OF_DATASET, id).await?.ok_or(Error::NotFound("dataset"))?;
    if mute.is_some() && !subject.listed {
        return Err(Error::Conflict("the dataset is retired".into()));
    }
    let (kind, word) = match &mute {
        Some(_) => (EventType::Muted, "mute"),
        None => (EventType::Unmuted, "unmute"),
    };
    let was_muted = subject.muted_until.is_some_and(|until| until > call.now());
    let changes = mute.is_some() || was_muted;
    if changes {
        let by = mute.as_ref().map(|_| call.principal().actor());
        let (until, reason) = mute.unzip();
        tx.execute_sql(MUTE, [id.into(), until.into(), reason.into(), by.into()]).await?;
        subject.muted_until = until;
        let waits_until = until.unwrap_or_else(|| call.now());
        tx.execute_sql(PUT_OFF, [id.into(), waits_until.into()]).await?;
        store::tell(tx, &[subject.event(call, kind, until)?], call.now()).await?;
    }
    let entry = Entry {
        operation: Operation::FreshnessMute,
        dataset_id: Some(id),
        resource: Some(word.to_owned()),
        outcome: Outcome::Success,
    };
    Ok(Done::new(changes, vec![entry]))
}
