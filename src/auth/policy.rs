//! The one table of rights: operation × role × scope × kind of token, as data.
//!
//! Deny by default: an operation without a row in [`RULES`], or a caller without a grant in its
//! row, gets [`Error::Forbidden`]. Row-level security asks again, on its own, in the database.
//!
//! To add an operation: a variant of [`Operation`] with its name and its place in
//! [`Operation::ALL`], one row in [`RULES`], and its expectation in the tests beside this file.
//! Nothing else decides what anybody may do.

use super::principal::{Principal, TokenKind};
pub use super::roles::{Role, Scope, ScopeSet, UnknownRole};
use crate::error::Error;

/// Something a caller can ask for. Its name is also the action in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Datasets: by id, by URN, lists.
    DatasetRead,
    /// A new dataset.
    DatasetRegister,
    /// Another description, owner, tag of a dataset.
    DatasetUpdate,
    /// The end of a dataset.
    DatasetRetire,
    /// Freshness: verdicts, summaries, policies, and the refresh states behind them.
    FreshnessRead,
    /// A new freshness policy for a dataset.
    FreshnessPolicySet,
    /// A new freshness policy for all datasets of a selector.
    FreshnessPolicySetForSelector,
    /// The end of a freshness policy.
    FreshnessPolicyRemove,
    /// A calendar for freshness policies, or other dates of one.
    FreshnessCalendarSet,
    /// The end of a calendar.
    FreshnessCalendarRemove,
    /// Breaches and what happened to them.
    BreachRead,
    /// Taking note of a breach.
    BreachAcknowledge,
    /// A time in which nobody is told of a dataset's breaches, and its end.
    FreshnessMute,
    /// Runs: by id, lists.
    RunRead,
    /// Run events, as this service's own mutation.
    RunEventsRecord,
    /// Run events, as OpenLineage.
    LineageIngest,
    /// What dbt found, as its `sources.json`.
    DbtSourcesImport,
    /// The audit trail of the caller's tenant.
    AuditRead,
    /// The evidence ledger of the caller's tenant: checkpoints, proofs, tiles.
    EvidenceRead,
    /// Schemas, their versions, what these say, and what was asked and decided about them.
    SchemaRead,
    /// What was asked and decided about versions, and all else that happened to schemas.
    SchemaTransitionRead,
    /// How many schemas, versions and requests there are: numbers, and no row.
    SchemaFiguresRead,
    /// A new schema.
    SchemaRegister,
    /// Another description, owner, tag or promise of a schema.
    SchemaUpdate,
    /// What a version of a schema says, while it is a draft.
    SchemaDraft,
    /// A request for a transition of a version, and its withdrawal.
    SchemaTransitionPropose,
    /// A decision about such a request.
    SchemaTransitionDecide,
    /// The approval of a request to which somebody else has agreed beforehand.
    SchemaTransitionSettle,
    /// An agreement beforehand to versions of a schema that are compatible, and its end.
    SchemaStandingSet,
    /// Whether a text is a schema, and what a payload violates.
    SchemaValidate,
    /// What the caller's own token says.
    MeRead,
    /// The schema of this API.
    SchemaIntrospect,
    /// The SDL that a supergraph is composed of, from outside: a gateway's.
    SchemaCompose,
}

impl Operation {
    /// Every operation, once.
    pub const ALL: [Self; 33] = [
        Self::DatasetRead,
        Self::DatasetRegister,
        Self::DatasetUpdate,
        Self::DatasetRetire,
        Self::FreshnessRead,
        Self::FreshnessPolicySet,
        Self::FreshnessPolicySetForSelector,
        Self::FreshnessPolicyRemove,
        Self::FreshnessCalendarSet,
        Self::FreshnessCalendarRemove,
        Self::BreachRead,
        Self::BreachAcknowledge,
        Self::FreshnessMute,
        Self::RunRead,
        Self::RunEventsRecord,
        Self::LineageIngest,
        Self::DbtSourcesImport,
        Self::AuditRead,
        Self::EvidenceRead,
        Self::SchemaRead,
        Self::SchemaTransitionRead,
        Self::SchemaFiguresRead,
        Self::SchemaRegister,
        Self::SchemaUpdate,
        Self::SchemaDraft,
        Self::SchemaTransitionPropose,
        Self::SchemaTransitionDecide,
        Self::SchemaTransitionSettle,
        Self::SchemaStandingSet,
        Self::SchemaValidate,
        Self::MeRead,
        Self::SchemaIntrospect,
        Self::SchemaCompose,
    ];

    /// Whether what it reads is another one only after a write to the tenant's rows, or by time.
    #[must_use]
    pub const fn is_of_rows(self) -> bool {
        matches!(
            self,
            Self::DatasetRead
                | Self::FreshnessRead
                | Self::BreachRead
                | Self::RunRead
                | Self::SchemaRead
        )
    }

    /// Whether what is told of it in the audit trail is kept for as long as what was done to schemas. // S13
    #[must_use]
    pub const fn is_of_schemas(self) -> bool {
        matches!(
            self,
            Self::SchemaRead
                | Self::SchemaTransitionRead
                | Self::SchemaFiguresRead
                | Self::SchemaRegister
                | Self::SchemaUpdate
                | Self::SchemaDraft
                | Self::SchemaTransitionPropose
                | Self::SchemaTransitionDecide
                | Self::SchemaTransitionSettle
                | Self::SchemaStandingSet
                | Self::SchemaValidate
        )
    }

    /// The stable name, as the audit trail and the metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DatasetRead => "dataset.read",
            Self::DatasetRegister => "dataset.register",
            Self::DatasetUpdate => "dataset.update",
            Self::DatasetRetire => "dataset.retire",
            Self::FreshnessRead => "freshness.read",
            Self::FreshnessPolicySet => "freshness_policy.set",
            Self::FreshnessPolicySetForSelector => "freshness_policy.set_for_selector",
            Self::FreshnessPolicyRemove => "freshness_policy.remove",
            Self::FreshnessCalendarSet => "freshness_calendar.set",
            Self::FreshnessCalendarRemove => "freshness_calendar.remove",
            Self::BreachRead => "breach.read",
            Self::BreachAcknowledge => "breach.acknowledge",
            Self::FreshnessMute => "freshness.mute",
            Self::RunRead => "run.read",
            Self::RunEventsRecord => "run_events.record",
            Self::LineageIngest => "lineage.ingest",
            Self::DbtSourcesImport => "dbt_sources.import",
            Self::AuditRead => "audit.read",
            Self::EvidenceRead => "evidence.read",
            Self::SchemaRead => "schema.read",
            Self::SchemaTransitionRead => "schema_transition.read",
            Self::SchemaFiguresRead => "schema_figures.read",
            Self::SchemaRegister => "schema.register",
            Self::SchemaUpdate => "schema.update",
            Self::SchemaDraft => "schema.draft",
            Self::SchemaTransitionPropose => "schema_transition.propose",
            Self::SchemaTransitionDecide => "schema_transition.decide",
            Self::SchemaTransitionSettle => "schema_transition.settle",
            Self::SchemaStandingSet => "schema_standing.set",
            Self::SchemaValidate => "schema.validate",
            Self::MeRead => "me.read",
            Self::SchemaIntrospect => "schema.introspect",
            Self::SchemaCompose => "schema.compose",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Which kinds of token a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// A person's or a service's.
    Any,
    /// A service's only.
    MachineOnly,
}

impl Kinds {
    pub(crate) const fn include(self, kind: TokenKind) -> bool {
        matches!((self, kind), (Self::Any, _) | (Self::MachineOnly, TokenKind::Machine))
    }
}

/// One way to be allowed: this role, with this scope (if any), on this kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The role the token must carry.
    pub role: Role,
    /// The scope it must carry as well; `None` when the role is enough.
    pub scope: Option<Scope>,
    /// The kinds of token it is for.
    pub kinds: Kinds,
}

/// One row of the table: any one of the grants is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What is asked for.
    pub operation: Operation,
    /// Who may have it.
    pub grants: &'static [Grant],
}

const fn any(role: Role, scope: Scope) -> Grant {
    Grant { role, scope: Some(scope), kinds: Kinds::Any }
}

const fn machine(role: Role, scope: Scope) -> Grant {
    Grant { role, scope: Some(scope), kinds: Kinds::MachineOnly }
}

const fn unscoped(role: Role) -> Grant {
    Grant { role, scope: None, kinds: Kinds::Any }
}

const fn unscoped_machine(role: Role) -> Grant {
    Grant { role, scope: None, kinds: Kinds::MachineOnly }
}

const READERS: &[Grant] = &[
    any(Role::Reader, Scope::ReadRefresh),
    any(Role::RuntimeWriter, Scope::ReadRefresh),
    any(Role::TenantAdmin, Scope::ReadRefresh),
    any(Role::Auditor, Scope::ReadAudit),
];
const WRITERS: &[Grant] = &[machine(Role::RuntimeWriter, Scope::WriteRefresh)];
const MANAGERS: &[Grant] = &[any(Role::TenantAdmin, Scope::ManageRefresh)];
const REGISTRARS: &[Grant] = &[
    any(Role::TenantAdmin, Scope::ManageRefresh),
    machine(Role::RuntimeWriter, Scope::WriteRefresh),
];
const TRAIL_READERS: &[Grant] =
    &[any(Role::Auditor, Scope::ReadAudit), any(Role::TenantAdmin, Scope::ManageRefresh)];
const SCHEMA_READERS: &[Grant] = &[
    unscoped(Role::SchemaAdmin),
    unscoped(Role::SchemaReader),
    unscoped(Role::PipelineRunner),
    unscoped(Role::GovernanceApprover),
    unscoped(Role::TenantAdmin),
    any(Role::Auditor, Scope::ReadAudit),
];
const GOVERNORS: &[Grant] = &[
    unscoped(Role::SchemaAdmin),
    unscoped(Role::GovernanceApprover),
    unscoped(Role::TenantAdmin),
    any(Role::Auditor, Scope::ReadAudit),
];
const OPERATORS: &[Grant] = &[unscoped(Role::Operator)];
const SCHEMA_AUTHORS: &[Grant] = &[unscoped(Role::SchemaAdmin), unscoped(Role::TenantAdmin)];
const APPROVERS: &[Grant] = &[unscoped(Role::GovernanceApprover)];
const VALIDATORS: &[Grant] =
    &[unscoped(Role::SchemaAdmin), unscoped(Role::SchemaValidator), unscoped(Role::TenantAdmin)];
const EVERYONE: &[Grant] = &[
    unscoped(Role::Reader),
    unscoped(Role::RuntimeWriter),
    unscoped(Role::Auditor),
    unscoped(Role::SchemaAdmin),
    unscoped(Role::SchemaReader),
    unscoped(Role::SchemaValidator),
    unscoped(Role::PipelineRunner),
    unscoped(Role::GovernanceApprover),
    unscoped(Role::TenantAdmin),
    unscoped(Role::Operator),
];
const GATEWAYS: &[Grant] = &[unscoped_machine(Role::Operator)];

/// The table of rights (D5, D9, D12–D17, S3). One row per operation.
pub const RULES: [Rule; Operation::ALL.len()] = [
    Rule { operation: Operation::DatasetRead, grants: READERS },
    Rule { operation: Operation::DatasetRegister, grants: REGISTRARS },
    Rule { operation: Operation::DatasetUpdate, grants: MANAGERS },
    Rule { operation: Operation::DatasetRetire, grants: MANAGERS },
    Rule { operation: Operation::FreshnessRead, grants: READERS },
    Rule { operation: Operation::FreshnessPolicySet, grants: MANAGERS },
    Rule { operation: Operation::FreshnessPolicySetForSelector, grants: MANAGERS },
    Rule { operation: Operation::FreshnessPolicyRemove, grants: MANAGERS },
    Rule { operation: Operation::FreshnessCalendarSet, grants: MANAGERS },
    Rule { operation: Operation::FreshnessCalendarRemove, grants: MANAGERS },
    Rule { operation: Operation::BreachRead, grants: READERS },
    Rule { operation: Operation::BreachAcknowledge, grants: MANAGERS },
    Rule { operation: Operation::FreshnessMute, grants: MANAGERS },
    Rule { operation: Operation::RunRead, grants: READERS },
    Rule { operation: Operation::RunEventsRecord, grants: WRITERS },
    Rule { operation: Operation::LineageIngest, grants: WRITERS },
    Rule { operation: Operation::DbtSourcesImport, grants: WRITERS },
    Rule { operation: Operation::AuditRead, grants: TRAIL_READERS },
    Rule { operation: Operation::EvidenceRead, grants: TRAIL_READERS },
    Rule { operation: Operation::SchemaRead, grants: SCHEMA_READERS },
    Rule { operation: Operation::SchemaTransitionRead, grants: GOVERNORS },
    Rule { operation: Operation::SchemaFiguresRead, grants: OPERATORS },
    Rule { operation: Operation::SchemaRegister, grants: SCHEMA_AUTHORS },
    Rule { operation: Operation::SchemaUpdate, grants: SCHEMA_AUTHORS },
    Rule { operation: Operation::SchemaDraft, grants: SCHEMA_AUTHORS },
    Rule { operation: Operation::SchemaTransitionPropose, grants: SCHEMA_AUTHORS },
    Rule { operation: Operation::SchemaTransitionDecide, grants: APPROVERS },
    Rule { operation: Operation::SchemaTransitionSettle, grants: SCHEMA_AUTHORS },
    Rule { operation: Operation::SchemaStandingSet, grants: APPROVERS },
    Rule { operation: Operation::SchemaValidate, grants: VALIDATORS },
    Rule { operation: Operation::MeRead, grants: EVERYONE },
    Rule { operation: Operation::SchemaIntrospect, grants: EVERYONE },
    Rule { operation: Operation::SchemaCompose, grants: GATEWAYS },
];

/// Who may hold a scope at all. A token that holds one against these rules is refused whole: its
/// issuer made a mistake, or somebody else made the token (D12–D14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeRule {
    /// The scope that is restricted.
    pub scope: Scope,
    /// The only role whose tokens may carry it.
    pub role: Role,
    /// The kinds of token that may carry it.
    pub kinds: Kinds,
}

/// The restricted scopes. A scope without a row here may be on any token; alone it gives nothing.
pub const SCOPE_RULES: [ScopeRule; 3] = [
    ScopeRule { scope: Scope::WriteRefresh, role: Role::RuntimeWriter, kinds: Kinds::MachineOnly },
    ScopeRule { scope: Scope::ReadAudit, role: Role::Auditor, kinds: Kinds::Any },
    ScopeRule { scope: Scope::ManageRefresh, role: Role::TenantAdmin, kinds: Kinds::Any },
];

/// Whether a token of this role and kind may carry these scopes together.
#[must_use]
pub fn may_hold(role: Role, kind: TokenKind, scopes: ScopeSet) -> bool {
    SCOPE_RULES
        .iter()
        .filter(|rule| scopes.contains(rule.scope))
        .all(|rule| rule.role == role && rule.kinds.include(kind))
}

/// The scopes that the table gives a use to, for a token of this role and kind.
#[must_use]
pub fn useful_scopes(role: Role, kind: TokenKind) -> ScopeSet {
    RULES
        .iter()
        .flat_map(|rule| rule.grants)
        .filter(|grant| grant.role == role && grant.kinds.include(kind))
        .filter_map(|grant| grant.scope)
        .collect()
}

/// Whether the table allows it.
#[must_use]
pub fn allows(role: Role, kind: TokenKind, scopes: ScopeSet, operation: Operation) -> bool {
    RULES
        .iter()
        .filter(|rule| rule.operation == operation)
        .flat_map(|rule| rule.grants)
        .filter(|grant| grant.role == role && grant.kinds.include(kind))
        .any(|grant| grant.scope.is_none_or(|scope| scopes.contains(scope)))
}

/// Whether the table allows it to this caller.
#[must_use]
pub fn permits(principal: &Principal, operation: Operation) -> bool {
    allows(principal.role(), principal.kind(), principal.scopes(), operation)
}

/// Lets the caller pass, or does not. Denials are counted in
/// `drr_policy_denials_total{operation, role}`.
///
/// # Errors
/// [`Error::Forbidden`] unless the table allows it.
pub fn authorize(principal: &Principal, operation: Operation) -> Result<(), Error> {
    if permits(principal, operation) {
        return Ok(());
    }
    metrics::counter!(
        "drr_policy_denials_total",
        "operation" => operation.as_str(),
        "role" => principal.role().as_str(),
    )
    .increment(1);
    Err(Error::Forbidden)
}

#[cfg(test)]
mod tests;
