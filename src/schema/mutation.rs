//! The mutations of schemas.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{
    command::{self, Asked, Drafted, Patch, RawReference, Registered, Updated},
    governance::{self, Ended, Proposal, Ruling, Stood},
    graphql::{
        Schema, SchemaCompatibility, SchemaFormat, SchemaPolicy, SchemaVerdict, SchemaVersion,
        version_key,
    },
    model::{
        compatibility::{Compatibility, Policy},
        lifecycle,
    },
    transition_graphql::{SchemaFinding, SchemaTransition, SchemaTransitionKind},
    validation,
};
use crate::{
    dataset::model::Field,
    error::Result,
    graphql::{
        annotations::{ListSize, about, holding},
        call,
        errors::{Nullable, nullable},
        scalars::{BigInt, uuid},
    },
};

/// A schema to be registered.
#[derive(Debug, InputObject)]
pub struct RegisterSchemaInput {
    /// Its full name, in the caller's namespace: `tenant.<code>.<domain>.<name>`.
    fqid: String,
    /// What it is written in.
    format: SchemaFormat,
    /// What its versions promise; BACKWARD unless said otherwise.
    compatibility: Option<SchemaCompatibility>,
    /// What an approver may override of that; STRICT unless said otherwise.
    policy: Option<SchemaPolicy>,
    /// What it is, in words for a person; 4,096 characters at most.
    description: Option<String>,
    /// Who answers for it, the first one first; 16 at most.
    #[graphql(default)]
    owners: Vec<String>,
    /// Its tags: `[a-z0-9][a-z0-9._-]{0,62}`; 32 at most.
    #[graphql(default)]
    tags: Vec<String>,
}

/// How registering a schema ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RegisterSchemaStatus {
    /// It is registered, without any version.
    Registered,
    /// Another schema has its name; nothing was changed.
    NameTaken,
}

/// What became of a registration.
#[derive(Debug, SimpleObject)]
pub struct RegisterSchemaPayload {
    /// How it ended.
    status: RegisterSchemaStatus,
    /// The schema, or the one that has its name already.
    schema: Nullable<Schema>,
}

/// What to change about a schema. What is left out, or null, stays as it is.
#[derive(Debug, InputObject)]
pub struct UpdateSchemaInput {
    /// Which one.
    id: ID,
    /// The row version it must be at for this to be done.
    expected_version: Option<BigInt>,
    /// What its versions promise. Another promise ends an agreement that was made beforehand.
    compatibility: Option<SchemaCompatibility>,
    /// What an approver may override of that.
    policy: Option<SchemaPolicy>,
    /// What it is, in words for a person.
    description: Option<String>,
    /// Takes the description away; not together with a new one.
    #[graphql(default)]
    clear_description: bool,
    /// Who answers for it, in place of all owners so far.
    owners: Option<Vec<String>>,
    /// Its tags, in place of all tags so far.
    tags: Option<Vec<String>>,
}

/// How changing a schema ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum UpdateSchemaStatus {
    /// It is as it was asked for.
    Updated,
    /// It is at another row version than was expected; nothing was changed.
    VersionConflict,
}

/// What became of a change.
#[derive(Debug, SimpleObject)]
pub struct UpdateSchemaPayload {
    /// How it ended.
    status: UpdateSchemaStatus,
    /// The schema as it now is.
    schema: Nullable<Schema>,
}

/// A version that another one refers to.
#[derive(Debug, InputObject)]
pub struct SchemaReferenceInput {
    /// The name that it is referred to by: a full name in Avro, a `$ref` in JSON Schema, an import in Protobuf.
    name: String,
    /// The version, which must be ACTIVE or DEPRECATED: `tenant.<code>.<domain>.<name>@<number>`.
    version: String,
}

impl From<SchemaReferenceInput> for RawReference {
    fn from(input: SchemaReferenceInput) -> Self {
        Self { name: input.name, version: input.version }
    }
}

/// A version to be drafted.
#[derive(Debug, InputObject)]
pub struct DraftSchemaVersionInput {
    /// Of which schema.
    schema_id: ID,
    /// Which draft is to say something else; a new version without it.
    number: Option<i32>,
    /// What it says, in the format of the schema; 1 MiB at most.
    content: String,
    /// What it refers to; 64 at most, by way of others too.
    #[graphql(default)]
    references: Vec<SchemaReferenceInput>,
}

/// How drafting a version ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum DraftSchemaVersionStatus {
    /// It is a draft.
    Drafted,
    /// There is a version that says the same already, if perhaps in other words; nothing was changed.
    Same,
    /// It is no draft any more: what it says is frozen; nothing was changed.
    Frozen,
}

/// What became of a draft.
#[derive(Debug, SimpleObject)]
pub struct DraftSchemaVersionPayload {
    /// How it ended.
    status: DraftSchemaVersionStatus,
    /// The version, or the one that says the same already.
    version: Nullable<SchemaVersion>,
}

/// A transition that is asked for.
#[derive(Debug, InputObject)]
pub struct ProposeSchemaTransitionInput {
    /// The id of the version.
    version_id: ID,
    /// Which transition.
    kind: SchemaTransitionKind,
    /// Why; 2,000 bytes at most.
    reason: Option<String>,
    /// From when on nobody can grant it: in 14 days unless said otherwise, in 90 at the latest.
    expires_at: Option<DateTime<Utc>>,
    /// That it is known that datasets or other versions use this one: for RETIRE.
    #[graphql(default)]
    acknowledge_use: bool,
    /// Whether it takes the place of an open request for the version.
    #[graphql(default)]
    supersede: bool,
}

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "lifecycle::Refused")]
pub enum SchemaRefusal {
    /// Its content was put forward, and approvals are bound to it.
    Frozen,
    /// There is no such transition from where it is.
    WrongState,
    /// There is an open request for the version already.
    AlreadyOpen,
    /// It would never be open.
    BadExpiry,
    /// The version is incompatible with an earlier one.
    Incompatible,
    /// It cannot be told whether it is compatible, and nobody says why that is all right.
    UnknownWithoutReason,
    /// A dataset or another version still uses it, and the request does not say that this is known.
    InUse,
    /// Somebody decided, or it expired, or another took its place.
    AlreadyDecided,
    /// It is too late.
    Expired,
    /// It is too early to let it expire.
    NotExpired,
    /// Four eyes: who asked does not decide.
    OwnRequest,
    /// Only who asked can take it back.
    NotRequester,
    /// It is not a person's to decide, or not the program's.
    WrongActor,
    /// What was to be approved is not what is there.
    ContentChanged,
    /// A reason of 1 to 2,000 bytes is needed.
    BadReason,
}

/// What became of a request, or of a decision about it.
#[derive(Debug, SimpleObject)]
pub struct SchemaTransitionPayload {
    /// Why nothing was done; nothing if it was.
    refused: Option<SchemaRefusal>,
    /// The request as it now is.
    transition: Nullable<SchemaTransition>,
}

/// A request that is approved.
#[derive(Debug, InputObject)]
pub struct ApproveSchemaTransitionInput {
    /// Which one.
    id: ID,
    /// Why it is approved although its verdict is UNKNOWN, or INCOMPATIBLE where the schema's policy is LENIENT;
    /// 2,000 bytes at most.
    override_reason: Option<String>,
}

/// A request that is rejected.
#[derive(Debug, InputObject)]
pub struct RejectSchemaTransitionInput {
    /// Which one.
    id: ID,
    /// Why; 1 to 2,000 bytes.
    reason: String,
}

/// A request that is taken back.
#[derive(Debug, InputObject)]
pub struct WithdrawSchemaTransitionInput {
    /// Which one.
    id: ID,
}

/// An agreement beforehand, or its end.
#[derive(Debug, InputObject)]
pub struct SetSchemaStandingInput {
    /// The id of the schema.
    schema_id: ID,
    /// Whether the caller agrees to versions that others ask for and that are COMPATIBLE: these become ACTIVE or
    /// DEPRECATED at once, in the caller's name.
    agrees: bool,
}

/// What became of an agreement.
#[derive(Debug, SimpleObject)]
pub struct SetSchemaStandingPayload {
    /// The schema as it now is.
    schema: Nullable<Schema>,
}

/// A text that is to be judged.
#[derive(Debug, InputObject)]
pub struct ValidateSchemaInput {
    /// What it is written in; that of the schema if it is left out.
    format: Option<SchemaFormat>,
    /// The text; 1 MiB at most.
    content: String,
    /// What it refers to.
    #[graphql(default)]
    references: Vec<SchemaReferenceInput>,
    /// The full name of the schema that it would be a version of: it is compared with its versions.
    schema: Option<String>,
}

/// What is wrong, and where.
#[derive(Debug, SimpleObject)]
pub struct SchemaViolation {
    /// A JSON pointer, or `line:column` of a text that is no JSON.
    path: String,
    /// What is wrong.
    message: String,
}

/// What became of a text.
#[derive(Debug, SimpleObject)]
pub struct ValidateSchemaPayload {
    /// Whether it is a schema.
    valid: bool,
    /// Why not: at most 100.
    violations: Vec<SchemaViolation>,
    /// How it would compare with the versions of the schema; nothing without one.
    verdict: Option<SchemaVerdict>,
    /// What differs: at most 500, the worst first.
    findings: Vec<SchemaFinding>,
}

/// Payloads that are to be judged.
#[derive(Debug, InputObject)]
pub struct ValidatePayloadsInput {
    /// By which version: `tenant.<code>.<domain>.<name>@<number>`.
    version: String,
    /// The payloads, each written as JSON (Avro and Protobuf in their JSON encodings); 1,000 at most.
    payloads: Vec<String>,
}

/// What became of a payload.
#[derive(Debug, SimpleObject)]
pub struct PayloadJudgement {
    /// Whether it is as the schema says.
    valid: bool,
    /// Where it is not: at most 100.
    #[graphql(directive = ListSize::apply(about(1)))]
    violations: Vec<SchemaViolation>,
}

/// What became of payloads.
#[derive(Debug, SimpleObject)]
pub struct ValidatePayloadsPayload {
    /// How many are not as the schema says.
    invalid_count: i32,
    /// Each, in the order in which they were sent.
    judgements: Vec<PayloadJudgement>,
}

async fn register(
    context: &Context<'_>,
    input: RegisterSchemaInput,
) -> Result<RegisterSchemaPayload> {
    let fqid = input.fqid.clone();
    let asked = Asked {
        fqid: input.fqid,
        format: input.format.into(),
        compatibility: input.compatibility.map_or(Compatibility::Backward, Into::into),
        policy: input.policy.map_or(Policy::Strict, Into::into),
        description: input.description,
        owners: input.owners,
        tags: input.tags,
    };
    Ok(match command::register(call(context)?, asked).await? {
        Registered::Done(id) => RegisterSchemaPayload {
            status: RegisterSchemaStatus::Registered,
            schema: Schema::shown(context, Some(id)).await,
        },
        Registered::NameTaken => RegisterSchemaPayload {
            status: RegisterSchemaStatus::NameTaken,
            schema: nullable(Schema::named(context, &fqid).await),
        },
    })
}

async fn update(context: &Context<'_>, input: UpdateSchemaInput) -> Result<UpdateSchemaPayload> {
    let patch = Patch {
        compatibility: input.compatibility.map(Into::into),
        policy: input.policy.map(Into::into),
        description: Field { set: input.description, clear: input.clear_description },
        owners: input.owners,
        tags: input.tags,
    };
    let expected = input.expected_version.map(|version| version.0);
    let updated = command::update(call(context)?, uuid(&input.id, "id"), expected, patch).await?;
    let (status, id) = match updated {
        Updated::Done(id) => (UpdateSchemaStatus::Updated, id),
        Updated::OtherVersion(id) => (UpdateSchemaStatus::VersionConflict, id),
    };
    Ok(UpdateSchemaPayload { status, schema: Schema::shown(context, Some(id)).await })
}

async fn draft(
    context: &Context<'_>,
    input: DraftSchemaVersionInput,
) -> Result<DraftSchemaVersionPayload> {
    let references = input.references.into_iter().map(Into::into).collect();
    let schema_id = uuid(&input.schema_id, "schemaId");
    let drafted =
        command::draft(call(context)?, schema_id, input.number, &input.content, references).await?;
    let (status, key) = match drafted {
        Drafted::Done(key) => (DraftSchemaVersionStatus::Drafted, key),
        Drafted::Same(key) => (DraftSchemaVersionStatus::Same, key),
        Drafted::Frozen(key) => (DraftSchemaVersionStatus::Frozen, key),
    };
    let version = SchemaVersion::shown(context, Some(key)).await;
    Ok(DraftSchemaVersionPayload { status, version })
}

async fn propose(
    context: &Context<'_>,
    input: ProposeSchemaTransitionInput,
) -> Result<SchemaTransitionPayload> {
    let key = version_key(&input.version_id, "versionId");
    let proposal = Proposal {
        kind: input.kind.into(),
        reason: input.reason,
        expires_at: input.expires_at,
        acknowledges_use: input.acknowledge_use,
        supersedes: input.supersede,
    };
    let ended = governance::propose(call(context)?, key, proposal).await?;
    Ok(told(context, ended, None).await)
}

async fn decide(context: &Context<'_>, id: &ID, ruling: Ruling) -> Result<SchemaTransitionPayload> {
    let id = uuid(id, "id");
    let ended = governance::decide(call(context)?, id.clone(), ruling).await?;
    Ok(told(context, ended, id.ok()).await)
}

async fn told(
    context: &Context<'_>,
    ended: Ended,
    id: Option<uuid::Uuid>,
) -> SchemaTransitionPayload {
    let (refused, id) = match ended {
        Ended::Done { transition_id, .. } => (None, Some(transition_id)),
        Ended::Refused(refused) => (Some(refused.into()), id),
    };
    SchemaTransitionPayload { refused, transition: SchemaTransition::shown(context, id).await }
}

fn violations(violated: Vec<validation::Violated>) -> Vec<SchemaViolation> {
    let told = |violated: validation::Violated| SchemaViolation {
        path: violated.path,
        message: violated.message,
    };
    violated.into_iter().map(told).collect()
}

async fn check(context: &Context<'_>, input: ValidateSchemaInput) -> Result<ValidateSchemaPayload> {
    let asked = validation::Asked {
        format: input.format.map(Into::into),
        text: input.content,
        references: input.references.into_iter().map(Into::into).collect(),
        schema: input.schema,
    };
    let checked = validation::check(call(context)?, asked).await?;
    let verdict = validation::verdict_of(&checked)?.map(Into::into);
    Ok(ValidateSchemaPayload {
        valid: checked.violations.is_empty(),
        violations: violations(checked.violations),
        verdict,
        findings: checked.findings.into_iter().map(TryInto::try_into).collect::<Result<_>>()?,
    })
}

async fn judge(
    context: &Context<'_>,
    input: ValidatePayloadsInput,
) -> Result<ValidatePayloadsPayload> {
    let judged = validation::payloads(call(context)?, &input.version, input.payloads).await?;
    let judgements: Vec<_> = judged
        .into_iter()
        .map(|violated| PayloadJudgement {
            valid: violated.is_empty(),
            violations: violations(violated),
        })
        .collect();
    let invalid = judgements.iter().filter(|judgement| !judgement.valid).count();
    let invalid_count = i32::try_from(invalid).unwrap_or(i32::MAX);
    Ok(ValidatePayloadsPayload { invalid_count, judgements })
}

/// The mutations of schemas.
#[derive(Debug, Default)]
pub struct SchemaMutation;

#[Object]
impl SchemaMutation {
    /// Registers a schema, without any version.
    async fn register_schema(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The schema.")] input: RegisterSchemaInput,
    ) -> Nullable<RegisterSchemaPayload> {
        nullable(register(context, input).await.map(Some))
    }

    /// Changes what is said about a schema, or what its versions promise.
    async fn update_schema(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The changes.")] input: UpdateSchemaInput,
    ) -> Nullable<UpdateSchemaPayload> {
        nullable(update(context, input).await.map(Some))
    }

    /// Drafts a version of a schema, or has a draft say something else.
    async fn draft_schema_version(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The version.")] input: DraftSchemaVersionInput,
    ) -> Nullable<DraftSchemaVersionPayload> {
        nullable(draft(context, input).await.map(Some))
    }

    /// Asks for a transition of a version; somebody else decides.
    async fn propose_schema_transition(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The transition.")] input: ProposeSchemaTransitionInput,
    ) -> Nullable<SchemaTransitionPayload> {
        nullable(propose(context, input).await.map(Some))
    }

    /// Approves a request that somebody else made: the version moves on.
    async fn approve_schema_transition(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which one.")] input: ApproveSchemaTransitionInput,
    ) -> Nullable<SchemaTransitionPayload> {
        let ruling = Ruling::Approve(input.override_reason);
        nullable(decide(context, &input.id, ruling).await.map(Some))
    }

    /// Rejects a request that somebody else made.
    async fn reject_schema_transition(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RejectSchemaTransitionInput,
    ) -> Nullable<SchemaTransitionPayload> {
        nullable(decide(context, &input.id, Ruling::Reject(input.reason)).await.map(Some))
    }

    /// Takes back a request of the caller's own.
    async fn withdraw_schema_transition(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which one.")] input: WithdrawSchemaTransitionInput,
    ) -> Nullable<SchemaTransitionPayload> {
        nullable(decide(context, &input.id, Ruling::Withdraw).await.map(Some))
    }

    /// Agrees beforehand to versions of a schema that others ask for and that are COMPATIBLE, or does not any
    /// more.
    async fn set_schema_standing(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The agreement.")] input: SetSchemaStandingInput,
    ) -> Nullable<SetSchemaStandingPayload> {
        let set = async {
            let id = uuid(&input.schema_id, "schemaId");
            let Stood(id) = governance::stand(call(context)?, id, input.agrees).await?;
            let schema = Schema::shown(context, Some(id)).await;
            Ok(Some(SetSchemaStandingPayload { schema }))
        };
        nullable(set.await)
    }

    /// Judges a text: whether it is a schema, and how it would compare. Nothing of it is kept but an event.
    #[graphql(directive = ListSize::apply(holding(&["violations", "findings"], 10)))]
    async fn validate_schema(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The text.")] input: ValidateSchemaInput,
    ) -> Nullable<ValidateSchemaPayload> {
        nullable(check(context, input).await.map(Some))
    }

    /// Judges payloads by a version of a schema. Nothing of them is kept but an event with numbers.
    #[graphql(directive = ListSize::apply(holding(&["judgements"], 100)))]
    async fn validate_payloads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The payloads.")] input: ValidatePayloadsInput,
    ) -> Nullable<ValidatePayloadsPayload> {
        nullable(judge(context, input).await.map(Some))
    }
}
