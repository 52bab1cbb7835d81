//! Deleting: nothing is ever deleted here. That a version be deprecated is proposed, and done at once where
//! somebody has agreed beforehand.

use super::{Answer, Asked, Refused, Result, asked::versions_of, register::propose};
use crate::{
    auth::policy::Operation,
    call::Call,
    schema::{
        governance::Ended,
        model::lifecycle::{Kind, Refused as Reason, State},
        repository::{self, Version, key_of},
    },
};

fn is(version: &Version, states: &[State]) -> bool {
    states.iter().any(|state| state.as_str() == version.state)
}

const PAST: &[State] = &[State::Deprecated, State::Retired];

async fn begin(asked: &mut Asked) -> Result<()> {
    asked.begin(Operation::SchemaTransitionPropose).await?;
    if asked.is("permanent") {
        return Err(Refused::not_permitted("Nothing is deleted permanently here"));
    }
    Ok(())
}

/// `DELETE /subjects/{subject}`
pub(super) async fn subject(mut asked: Asked) -> Result<Answer<Vec<i32>>> {
    begin(&mut asked).await?;
    let record = asked.found().await?.ok_or_else(Refused::subject)?;
    let versions = versions_of(&asked.call, &record).await?;
    let active: Vec<_> =
        versions.iter().rev().filter(|version| is(version, &[State::Active])).collect();
    if active.is_empty() {
        let was = versions.iter().any(|version| is(version, PAST));
        return Err(if was { Refused::subject_deleted() } else { Refused::subject() });
    }
    let mut asked_for = Vec::with_capacity(active.len());
    for version in active {
        deprecate(&asked.call, version).await?;
        asked_for.push(version.number);
    }
    Ok(Answer(asked_for))
}

/// `DELETE /subjects/{subject}/versions/{version}`
pub(super) async fn version(mut asked: Asked) -> Result<Answer<i32>> {
    begin(&mut asked).await?;
    let number = asked.number()?;
    let record = asked.found().await?.ok_or_else(Refused::subject)?;
    let mut versions = versions_of(&asked.call, &record).await?;
    versions.retain(|version| is(version, &[State::Active, State::Deprecated, State::Retired]));
    if versions.is_empty() {
        return Err(Refused::subject());
    }
    let found = versions.iter().find(|version| match number {
        Some(number) => version.number == number,
        None => is(version, &[State::Active]),
    });
    let version = found.ok_or_else(Refused::version)?;
    if is(version, PAST) {
        return Err(Refused::version_deleted());
    }
    deprecate(&asked.call, version).await?;
    Ok(Answer(version.number))
}

/// Asks for a version's deprecation; to ask for it again changes nothing.
async fn deprecate(call: &Call, version: &Version) -> Result<()> {
    let key = key_of(version);
    let why = match propose(call, key, Kind::Deprecate).await? {
        Ended::Done { .. } => return Ok(()),
        // Somebody else was faster.
        Ended::Refused(Reason::WrongState) => return Ok(()),
        Ended::Refused(why) => why,
    };
    let open = {
        let tx = call.read().await?;
        repository::open_of(&tx, key).await?
    };
    match open {
        Some(open) if open.kind == Kind::Deprecate.as_str() => Ok(()),
        _ => Err(Refused::incompatible(format!("Version {}: {why}", version.number))),
    }
}
