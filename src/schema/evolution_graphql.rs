//! What became of fields from version to version, in the graph.

use async_graphql::{Context, Enum, SimpleObject};

use super::{
    content,
    graphql::{Schema, SchemaVerdict, SchemaVersion},
    model::{
        compatibility::Direction,
        evolution::{self, ChangeKind, FieldChange},
        lifecycle::State,
        name::VersionNumber,
        verdict::Verdict,
    },
    page,
    verdicts::{self, Subject},
};
use crate::{
    auth::policy::Operation,
    error::{Error, Result},
    graphql::call,
};

/// The most versions that are looked through for a field.
const MAX_VERSIONS: u32 = 100;

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "ChangeKind")]
pub enum SchemaChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Dropped,
    /// It is another.
    Changed,
    /// It is of no field: what holds them, or what is around them.
    Other,
}

/// What became of a field from one version to another.
#[derive(Debug, SimpleObject)]
pub struct SchemaFieldChange {
    /// The field; of a change of no field the place in the schema.
    path: String,
    /// What became of it.
    kind: SchemaChangeKind,
    /// Its type before, in the words of the format.
    old_type: Option<String>,
    /// Its type now.
    new_type: Option<String>,
    /// Whether the later version still reads it from what the earlier one wrote.
    backward: SchemaVerdict,
    /// Whether the earlier version reads it from what the later one writes.
    forward: SchemaVerdict,
    /// Whether it is breaking in either direction. What cannot be told is not.
    breaking: bool,
    /// Why, with the direction first: at most 20.
    messages: Vec<String>,
}

impl From<FieldChange> for SchemaFieldChange {
    fn from(change: FieldChange) -> Self {
        let message = |(direction, difference): (Direction, super::model::verdict::Difference)| {
            let direction = match direction {
                Direction::NewReadsOld => "NEW_READS_OLD",
                Direction::OldReadsNew => "OLD_READS_NEW",
            };
            format!("{direction} {}: {}", difference.rule, difference.message)
        };
        let verdicts = [change.backward, change.forward];
        Self {
            path: change.path,
            kind: change.kind.into(),
            old_type: change.old_type,
            new_type: change.new_type,
            backward: change.backward.into(),
            forward: change.forward.into(),
            breaking: verdicts.contains(&Verdict::Incompatible),
            messages: change.differences.into_iter().map(message).collect(),
        }
    }
}

/// What differs between two versions of a schema, field by field.
#[derive(Debug, SimpleObject)]
pub struct SchemaDiff {
    /// The earlier one.
    from: SchemaVersion,
    /// The later one.
    to: SchemaVersion,
    /// Whether the later one reads what the earlier one wrote.
    backward: SchemaVerdict,
    /// Whether the earlier one reads what the later one writes.
    forward: SchemaVerdict,
    /// What became of each field that is not the same, by path.
    changes: Vec<SchemaFieldChange>,
}

/// Compares two versions of one schema, or of two that are in one format.
pub(super) async fn diff(
    context: &Context<'_>,
    from: &str,
    to: &str,
) -> Result<Option<SchemaDiff>> {
    let (Some(from), Some(to)) =
        (SchemaVersion::named(context, from).await?, SchemaVersion::named(context, to).await?)
    else {
        return Ok(None);
    };
    let call = call(context)?;
    let (old, new) = (from.schema.subject(context)?, to.schema.subject(context)?);
    if old.format != new.format {
        return Err(Error::bad_input("to", "is in another format"));
    }
    let earlier = content::whole(call, &old.name, &from.version).await?;
    let later = content::whole(call, &new.name, &to.version).await?;
    let compared = tokio::task::spawn_blocking(move || {
        let (earlier, later) =
            (verdicts::parsed(old.format, &earlier)?, verdicts::parsed(new.format, &later)?);
        let backward = later.reads(&earlier).map_err(Error::internal)?.verdict();
        let forward = earlier.reads(&later).map_err(Error::internal)?.verdict();
        Ok::<_, Error>((evolution::changes(&earlier, &later), backward, forward))
    });
    let (changes, backward, forward) = compared.await.map_err(Error::internal)??;
    Ok(Some(SchemaDiff {
        from,
        to,
        backward: backward.into(),
        forward: forward.into(),
        changes: changes.into_iter().map(Into::into).collect(),
    }))
}

/// What a version did to a field.
#[derive(Debug, SimpleObject)]
pub struct SchemaFieldStep {
    /// The version that did it.
    version: SchemaVersion,
    /// What it did, compared with the version before it.
    change: SchemaFieldChange,
}

/// Which versions brought, changed or dropped a field. Drafts are no history yet.
pub(super) async fn history(
    context: &Context<'_>,
    fqid: &str,
    path: String,
    last: Option<i32>,
) -> Result<Option<Vec<SchemaFieldStep>>> {
    let call = call(context)?;
    call.authorize(Operation::SchemaRead)?;
    let last = match last.map(u32::try_from) {
        None => MAX_VERSIONS,
        Some(Ok(last)) if last <= MAX_VERSIONS => last,
        Some(Ok(_)) => {
            return Err(Error::LimitExceeded { limit: "last", maximum: MAX_VERSIONS.into() });
        }
        Some(Err(_)) => return Err(Error::bad_input("last", "must not be negative")),
    };
    let Some(schema) = Schema::named(context, fqid).await? else { return Ok(None) };
    let subject: Subject = schema.subject(context)?;
    let mut versions = {
        let tx = call.read().await?;
        page::versions(&tx, schema.0.schema_id, None, last).await?
    };
    versions.retain(|version| version.state != State::Draft.as_str());
    versions.reverse();
    let mut texts = Vec::with_capacity(versions.len());
    for version in &versions {
        let number = VersionNumber::new(version.number).map_err(Error::internal)?;
        texts.push((number, content::whole(call, &subject.name, version).await?));
    }
    let steps = tokio::task::spawn_blocking(move || {
        let read = texts
            .iter()
            .map(|(number, whole)| Ok((*number, verdicts::parsed(subject.format, whole)?)));
        let read = read.collect::<Result<Vec<_>>>()?;
        let read: Vec<_> = read.iter().map(|(number, schema)| (*number, schema)).collect();
        Ok::<_, Error>(evolution::history(&read, &path))
    });
    let steps = steps.await.map_err(Error::internal)??;
    let step = |step: evolution::FieldStep| {
        let is = |version: &&super::repository::Version| version.number == step.version.get();
        let version = versions.iter().find(is)?.clone();
        let version = SchemaVersion { schema: schema.clone(), version: version.into() };
        Some(SchemaFieldStep { version, change: step.change.into() })
    };
    Ok(Some(steps.into_iter().filter_map(step).collect()))
}
