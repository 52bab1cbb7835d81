//! `GET /storage/v1/audit/events/{id}`: one event of the audit trail.

use super::{
    fragments::AUDIT_EVENT,
    resource::{AN_EVENT, Resource},
};

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "getAuditEvent",
    path: "/storage/v1/audit/events/{id}",
    summary: "One event of the audit trail",
    description: "It never changes.",
    document: "query($id: ID!) { auditEvent(id: $id) { ...AuditEvent } }",
    thing: AN_EVENT,
    fragments: &[AUDIT_EVENT],
    body: &["auditEvent"],
    field: ("Query", "auditEvent"),
    parameters: &[],
    volatile: &[],
};
