//! Setting a policy.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    model::{MaxAge, Mode, Policy, Timing},
    repository,
};
use crate::{
    audit::{
        Entry, Outcome,
        trail::{self, Done},
    },
    auth::policy::Operation,
    call::Call,
    error::{Error, ErrorCode, Result},
};

/// How setting a policy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Set {
    /// It is in force.
    Done,
    /// Another version is in force than the caller thought; nothing was changed.
    OtherVersion,
}

/// A policy to be set, as it was asked for. It is read inside the frame of the change, so that what
/// is refused is audited like what is done.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// For which dataset.
    pub dataset_id: Result<Uuid>,
    /// The age in seconds beyond which to warn.
    pub warn_after: Option<i64>,
    /// The age in seconds beyond which the dataset is stale.
    pub fail_after: Option<i64>,
    /// Whether it counts.
    pub mode: Mode,
    /// The version that the caller believes to be in force, if it matters; 0 stands for none.
    pub expected_version: Option<i32>,
}

/// Adds a version of a dataset's policy and puts it into force.
///
/// # Errors
/// [`Error::Forbidden`]; [`Error::NotFound`] for a missing or a foreign dataset,
/// [`Error::Conflict`] for a retired one.
pub async fn set(call: &Call, new: NewPolicy) -> Result<Set> {
    let (operation, dataset_id) = (Operation::FreshnessPolicySet, new.dataset_id.clone().ok());
    let prepare = async { Ok((new.dataset_id?, MaxAge::parse(new.warn_after, new.fail_after)?)) };
    trail::change(call, operation, dataset_id, prepare, async |tx, (id, max_age)| {
        let locked = repository::lock(tx, id).await?;
        let locked = locked.ok_or(Error::NotFound("dataset"))?;
        if !locked.listed {
            return Err(Error::Conflict("the dataset is retired".into()));
        }
        let in_force = locked.policy_version.unwrap_or(0);
        let accepted = new.expected_version.is_none_or(|expected| expected == in_force);
        if accepted {
            let policy = Policy {
                version: in_force.checked_add(1).ok_or(Error::LimitExceeded {
                    limit: "policyVersions",
                    maximum: i32::MAX.unsigned_abs().into(),
                })?,
                max_age,
                mode: new.mode,
            };
            let timing = Timing::of(Some(&policy), locked.last_success_at);
            repository::set(tx, call, id, &policy, &timing).await?;
        }
        let (set, outcome) = if accepted {
            (Set::Done, Outcome::Success)
        } else {
            (Set::OtherVersion, Outcome::Rejected(ErrorCode::Conflict))
        };
        Ok(Done::new(set, vec![Entry { operation, dataset_id: Some(id), resource: None, outcome }]))
    })
    .await
}
