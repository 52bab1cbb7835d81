//! What a caller must be allowed for each field, and what that means to a gateway.
//!
//! The resolvers ask the table of rights ([`RULES`]) themselves. This table says which of its
//! operations they ask for, so that the SDL can say it too (`@requiresScopes`, `@authenticated`,
//! the tag of what is for services only) and a gateway can refuse before it asks. Tests ask every
//! field of it with tokens of every role and scope: a field that is missing here, or here for
//! another operation, fails. To add a field that asks for a right: one row here.

use std::collections::BTreeSet;

use crate::auth::{
    TokenKind,
    policy::{Grant, Kinds, Operation, RULES, Role, ScopeSet},
};

/// The operations of a type or of a field; of all of them the caller must be allowed every one. Those
/// of a type are for all its fields, by whichever way it is reached: it is an entity.
pub const NEEDS: &[(&str, &[Operation])] = &[
    ("AuditEvent.dataset", &[Operation::DatasetRead]),
    ("AuditEvent.evidence", &[Operation::EvidenceRead]),
    ("Breach", &[Operation::BreachRead]),
    ("Breach.dataset", &[Operation::DatasetRead]),
    ("Breach.resolvedBy", &[Operation::RunRead]),
    ("Dataset", &[Operation::DatasetRead]),
    ("Dataset.breaches", &[Operation::BreachRead]),
    ("Dataset.downstream", &[Operation::RunRead]),
    ("Dataset.externalVerdicts", &[Operation::FreshnessRead]),
    ("Dataset.freshness", &[Operation::FreshnessRead]),
    ("Dataset.freshnessHistory", &[Operation::FreshnessRead]),
    ("Dataset.freshnessMute", &[Operation::BreachRead]),
    ("Dataset.freshnessPolicies", &[Operation::FreshnessRead]),
    ("Dataset.freshnessPolicy", &[Operation::FreshnessRead]),
    ("Dataset.openBreach", &[Operation::BreachRead]),
    ("Dataset.refreshState", &[Operation::FreshnessRead]),
    ("Dataset.rootCauses", &[Operation::FreshnessRead, Operation::RunRead]),
    ("Dataset.runBuckets", &[Operation::RunRead]),
    ("Dataset.runStatistics", &[Operation::RunRead]),
    ("Dataset.runs", &[Operation::RunRead]),
    ("Dataset.schema", &[Operation::SchemaRead]),
    ("Dataset.schemaDrift", &[Operation::SchemaRead]),
    ("Dataset.schemaVersion", &[Operation::SchemaRead]),
    ("Dataset.slaAttainment", &[Operation::FreshnessRead]),
    ("Dataset.upstream", &[Operation::RunRead]),
    ("DatasetRun.dataset", &[Operation::DatasetRead]),
    ("DatasetRun.run", &[Operation::RunRead]),
    ("DatasetRun.schemaVersion", &[Operation::SchemaRead]),
    ("FreshnessChange.dataset", &[Operation::DatasetRead]),
    ("FreshnessChange.freshness", &[Operation::FreshnessRead]),
    ("FreshnessEvent.breach", &[Operation::BreachRead]),
    ("FreshnessEvent.dataset", &[Operation::DatasetRead]),
    ("LineageNode.dataset", &[Operation::DatasetRead]),
    ("Mutation.acceptSchemaDrift", &[Operation::SchemaDraft]),
    ("Mutation.acknowledgeBreach", &[Operation::BreachAcknowledge]),
    ("Mutation.approveSchemaTransition", &[Operation::SchemaTransitionDecide]),
    ("Mutation.draftSchemaVersion", &[Operation::SchemaDraft]),
    ("Mutation.muteFreshness", &[Operation::FreshnessMute]),
    ("Mutation.proposeSchemaTransition", &[Operation::SchemaTransitionPropose]),
    ("Mutation.recordRunEvents", &[Operation::RunEventsRecord]),
    ("Mutation.registerDataset", &[Operation::DatasetRegister]),
    ("Mutation.registerSchema", &[Operation::SchemaRegister]),
    ("Mutation.rejectSchemaTransition", &[Operation::SchemaTransitionDecide]),
    ("Mutation.removeFreshnessCalendar", &[Operation::FreshnessCalendarRemove]),
    ("Mutation.removeFreshnessPolicy", &[Operation::FreshnessPolicyRemove]),
    ("Mutation.retireDataset", &[Operation::DatasetRetire]),
    ("Mutation.setFreshnessCalendar", &[Operation::FreshnessCalendarSet]),
    ("Mutation.setFreshnessPolicy", &[Operation::FreshnessPolicySet]),
    ("Mutation.setFreshnessPolicyForSelector", &[Operation::FreshnessPolicySetForSelector]),
    ("Mutation.setSchemaStanding", &[Operation::SchemaStandingSet]),
    ("Mutation.unmuteFreshness", &[Operation::FreshnessMute]),
    ("Mutation.updateDataset", &[Operation::DatasetUpdate]),
    ("Mutation.updateSchema", &[Operation::SchemaUpdate]),
    ("Mutation.validatePayloads", &[Operation::SchemaValidate]),
    ("Mutation.validateSchema", &[Operation::SchemaValidate]),
    ("Mutation.withdrawSchemaTransition", &[Operation::SchemaTransitionPropose]),
    ("Query.auditEvent", &[Operation::AuditRead]),
    ("Query.auditEvents", &[Operation::AuditRead]),
    ("Query.breach", &[Operation::BreachRead]),
    ("Query.breaches", &[Operation::BreachRead]),
    ("Query.dataset", &[Operation::DatasetRead]),
    ("Query.datasetByUrn", &[Operation::DatasetRead]),
    ("Query.datasets", &[Operation::DatasetRead]),
    ("Query.evidence", &[Operation::EvidenceRead]),
    ("Query.fieldHistory", &[Operation::SchemaRead]),
    ("Query.freshnessCalendars", &[Operation::FreshnessRead]),
    ("Query.freshnessEvents", &[Operation::BreachRead]),
    ("Query.freshnessPolicies", &[Operation::FreshnessRead]),
    ("Query.freshnessSummary", &[Operation::FreshnessRead]),
    ("Query.me", &[Operation::MeRead]),
    ("Query.pendingApprovals", &[Operation::SchemaTransitionRead]),
    ("Query.run", &[Operation::RunRead]),
    ("Query.schema", &[Operation::SchemaRead]),
    ("Query.schemaDiff", &[Operation::SchemaRead]),
    ("Query.schemaEvents", &[Operation::SchemaTransitionRead]),
    ("Query.schemaFigures", &[Operation::SchemaFiguresRead]),
    ("Query.schemaVersion", &[Operation::SchemaRead]),
    ("Query.schemas", &[Operation::SchemaRead]),
    ("RefreshRun", &[Operation::RunRead]),
    ("RefreshState.anomalies", &[Operation::RunRead]),
    ("RefreshState.expectedNextRun", &[Operation::FreshnessRead, Operation::RunRead]),
    ("RootCause.dataset", &[Operation::DatasetRead]),
    ("RootCause.path", &[Operation::DatasetRead]),
    ("RunEvent.run", &[Operation::RunRead]),
    ("Schema", &[Operation::SchemaRead]),
    ("Schema.latest", &[Operation::SchemaRead]),
    ("SchemaDiff.from", &[Operation::SchemaRead]),
    ("SchemaDiff.to", &[Operation::SchemaRead]),
    ("SchemaDrift.version", &[Operation::SchemaRead]),
    ("SchemaEvent.schema", &[Operation::SchemaRead]),
    ("SchemaEvent.version", &[Operation::SchemaRead]),
    ("SchemaFieldStep.version", &[Operation::SchemaRead]),
    ("SchemaReference.version", &[Operation::SchemaRead]),
    ("SchemaTransition.version", &[Operation::SchemaRead]),
    ("SchemaUsage.datasets", &[Operation::DatasetRead]),
    ("SchemaUsage.referring", &[Operation::SchemaRead]),
    ("SchemaVersion", &[Operation::SchemaRead]),
    ("SchemaVersion.runs", &[Operation::RunRead]),
    ("SchemaVersion.schema", &[Operation::SchemaRead]),
    ("SchemaVersion.transitions", &[Operation::SchemaTransitionRead]),
    ("Subscription.breaches", &[Operation::BreachRead]),
    ("Subscription.freshnessChanged", &[Operation::FreshnessRead]),
    ("Subscription.runEvents", &[Operation::RunRead]),
    ("Subscription.schemaEvents", &[Operation::SchemaTransitionRead]),
];

/// What a caller must be allowed for the field of a type; nothing, if whoever has reached the type
/// may have the field as well.
pub fn needed(type_name: &str, field: &str) -> impl Iterator<Item = Operation> {
    let rows = NEEDS.iter().filter(move |(place, _)| {
        let rest = place.strip_prefix(type_name);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.') == Some(field))
    });
    rows.flat_map(|(_, operations)| operations.iter().copied())
}

fn grants(operation: Operation) -> impl Iterator<Item = Grant> {
    let rules = RULES.iter().filter(move |rule| rule.operation == operation);
    rules.flat_map(|rule| rule.grants.iter().copied())
}

/// The sets of scopes with which all of `operations` may be allowed, each as small as can be; any one
/// of them will do. A set without a scope says that every valid token may. Which role the token must
/// have as well is for this service alone to ask.
#[must_use]
pub fn scopes(operations: &[Operation]) -> Vec<ScopeSet> {
    let mut sets = BTreeSet::new();
    for role in Role::ALL {
        for kind in [TokenKind::User, TokenKind::Machine] {
            let mut ways = vec![ScopeSet::default()];
            for operation in operations {
                let fits = |grant: &Grant| grant.role == role && grant.kinds.include(kind);
                let scopes = || grants(*operation).filter(fits).map(|grant| grant.scope);
                let with = |way: &ScopeSet| {
                    let way = *way;
                    scopes().map(move |scope| way.iter().chain(scope).collect::<ScopeSet>())
                };
                ways = ways.iter().flat_map(with).collect();
            }
            sets.extend(ways);
        }
    }
    let smallest = |set: &ScopeSet| !sets.iter().any(|other| other != set && set.includes(*other));
    sets.iter().filter(|set| smallest(set)).copied().collect()
}

/// Whether no person may have it, only a service.
#[must_use]
pub fn is_for_services(operation: Operation) -> bool {
    grants(operation).all(|grant| grant.kinds == Kinds::MachineOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(operations: &[Operation]) -> Vec<String> {
        scopes(operations).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scopes_follow_from_the_table() {
        let read = ["storage.read.refresh", "storage.read.audit"];
        assert_eq!(named(&[Operation::DatasetRead]), read);
        assert_eq!(named(&[Operation::FreshnessRead, Operation::RunRead]), read, "not one of each");
        assert_eq!(named(&[Operation::RunEventsRecord]), ["storage.write.refresh"]);
        let register = ["storage.write.refresh", "storage.manage.refresh"];
        assert_eq!(named(&[Operation::DatasetRegister]), register);
        assert_eq!(named(&[Operation::MeRead]), [""]);
        assert_eq!(named(&[Operation::MeRead, Operation::DatasetRead]), read);
        // Both at once: only whoever may have each of them, with the scopes of both.
        let both = ["storage.read.refresh storage.manage.refresh"];
        assert_eq!(named(&[Operation::DatasetRead, Operation::DatasetUpdate]), both);
        assert_eq!(named(&[Operation::DatasetUpdate, Operation::RunEventsRecord]), [""; 0]);
    }

    #[test]
    fn the_table_is_in_order_and_says_everything_once() {
        let places: Vec<_> = NEEDS.iter().map(|(place, _)| *place).collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        let of_field: Vec<_> = needed("Dataset", "runs").collect();
        assert_eq!(of_field, [Operation::DatasetRead, Operation::RunRead]);
        assert_eq!(needed("DatasetRun", "runId").count(), 0);
    }
}
