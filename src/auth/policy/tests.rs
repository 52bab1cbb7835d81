//! The whole product: every role × every set of scopes × every kind × every operation, against an
//! expectation that is written from the documents, not from the table.

use std::collections::HashSet;

use super::*;

const KINDS: [TokenKind; 2] = [TokenKind::User, TokenKind::Machine];

fn every_scope_set() -> impl Iterator<Item = ScopeSet> {
    (0..1_u8 << Scope::ALL.len()).map(|bits| {
        let chosen = Scope::ALL.into_iter().enumerate().filter(move |(i, _)| bits & (1 << i) != 0);
        chosen.map(|(_, scope)| scope).collect()
    })
}

/// What the documents say, as sentences: `role may do what, with which scope, as which kind`.
fn expected(role: &str, machine: bool, scopes: &HashSet<&str>, action: &str) -> bool {
    let read = scopes.contains("storage.read.refresh");
    let write = scopes.contains("storage.write.refresh") && machine;
    let audit = scopes.contains("storage.read.audit");
    let manage = scopes.contains("storage.manage.refresh");
    match action {
        "me.read" | "schema.introspect" => true,
        "schema.compose" => role == "operator" && machine,
        "dataset.read" | "freshness.read" | "breach.read" | "run.read" => match role {
            "reader" | "runtime-writer" | "tenant-admin" => read,
            "auditor" => audit,
            _ => false,
        },
        "audit.read" | "evidence.read" => {
            (role == "auditor" && audit) || (role == "tenant-admin" && manage)
        }
        "run_events.record" | "lineage.ingest" | "dbt_sources.import" => {
            role == "runtime-writer" && write
        }
        "schema.read" => match role {
            "schema-admin"
            | "schema-reader"
            | "pipeline-runner"
            | "governance-approver"
            | "tenant-admin" => true,
            "auditor" => audit,
            _ => false,
        },
        "schema_transition.read" => match role {
            "schema-admin" | "governance-approver" | "tenant-admin" => true,
            "auditor" => audit,
            _ => false,
        },
        "schema_figures.read" => role == "operator",
        "schema.register"
        | "schema.update"
        | "schema.draft"
        | "schema_transition.propose"
        | "schema_transition.settle" => ["schema-admin", "tenant-admin"].contains(&role),
        "schema_transition.decide" | "schema_standing.set" => role == "governance-approver",
        "schema.validate" => ["schema-admin", "schema-validator", "tenant-admin"].contains(&role),
        "dataset.register" => {
            (role == "tenant-admin" && manage) || (role == "runtime-writer" && write)
        }
        "dataset.update"
        | "dataset.retire"
        | "freshness_policy.set"
        | "freshness_policy.set_for_selector"
        | "freshness_policy.remove"
        | "freshness_calendar.set"
        | "freshness_calendar.remove"
        | "breach.acknowledge"
        | "freshness.mute" => role == "tenant-admin" && manage,
        unknown => panic!("no expectation for {unknown}: write one"),
    }
}

// D5, D9, D12–D14, S3
#[test]
fn no_wrong_allow_and_no_wrong_deny() {
    let (mut allowed, mut denied) = (0, 0);
    for role in Role::ALL {
        for kind in KINDS {
            for scopes in every_scope_set() {
                let names: HashSet<_> = scopes.iter().map(Scope::as_str).collect();
                for operation in Operation::ALL {
                    let is = allows(role, kind, scopes, operation);
                    let machine = kind == TokenKind::Machine;
                    let should = expected(role.as_str(), machine, &names, operation.as_str());
                    assert_eq!(is, should, "{role} {kind:?} [{scopes}] {operation}");
                    if is { allowed += 1 } else { denied += 1 }
                }
            }
        }
    }
    assert_eq!(allowed + denied, 10 * 2 * 16 * Operation::ALL.len());
    assert!(allowed < denied, "deny is the default");
}

#[test]
fn every_operation_has_one_row_one_name_and_someone_who_may() {
    for operation in Operation::ALL {
        let rows: Vec<_> = RULES.iter().filter(|rule| rule.operation == operation).collect();
        assert_eq!(rows.len(), 1, "{operation}");
        assert!(!rows[0].grants.is_empty(), "{operation}");
        let name = operation.as_str();
        assert!(
            name.contains('.')
                && name.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b))
        );
    }
    let names: HashSet<_> = Operation::ALL.map(Operation::as_str).into();
    assert_eq!(names.len(), Operation::ALL.len());
}

// D12–D14
#[test]
fn tokens_hold_only_the_scopes_their_role_and_kind_can_have() {
    for role in Role::ALL {
        for kind in KINDS {
            for scopes in every_scope_set() {
                let write_is_right = role == Role::RuntimeWriter && kind == TokenKind::Machine;
                let expected = (!scopes.contains(Scope::WriteRefresh) || write_is_right)
                    && (!scopes.contains(Scope::ReadAudit) || role == Role::Auditor)
                    && (!scopes.contains(Scope::ManageRefresh) || role == Role::TenantAdmin);
                assert_eq!(may_hold(role, kind, scopes), expected, "{role} {kind:?} [{scopes}]");
            }
        }
    }
}

#[test]
fn useful_scopes_may_be_held_and_open_every_operation_of_the_role() {
    for role in Role::ALL {
        for kind in KINDS {
            let useful = useful_scopes(role, kind);
            assert!(may_hold(role, kind, useful), "{role} {kind:?}");
            let all: ScopeSet = Scope::ALL.into_iter().collect();
            for operation in Operation::ALL {
                assert_eq!(
                    allows(role, kind, useful, operation),
                    allows(role, kind, all, operation),
                    "{role} {kind:?} {operation}"
                );
            }
        }
    }
}
