//! `GET /storage/v1/audit/events`: the audit trail of the caller's tenant, latest first.

use super::{
    fragments::{AUDIT_EVENT, PAGE_INFO},
    parameters::{Parameter, Place},
    resource::{AN_EVENT, Resource},
};

const fn filter(name: &'static str) -> Parameter {
    Parameter { name, place: Place::Filter("AuditEventFilter") }
}

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "listAuditEvents",
    path: "/storage/v1/audit/events",
    summary: "The audit trail of the caller's tenant, latest first",
    description: "In pages: `first` at most, and while there are more, a `Link` with `rel=\"next\"` \
                  to go on with. Looking is a call like any other, and in the trail itself.",
    document: "query($filter: AuditEventFilter, $first: Int, $after: String) {
  auditEvents(filter: $filter, first: $first, after: $after) {
    nodes { ...AuditEvent } pageInfo { ...PageInfo }
  }
}",
    thing: AN_EVENT,
    fragments: &[AUDIT_EVENT, PAGE_INFO],
    body: &["auditEvents"],
    field: ("Query", "auditEvents"),
    parameters: &[
        filter("actorId"),
        filter("action"),
        filter("datasetId"),
        filter("result"),
        filter("since"),
        filter("until"),
        filter("correlationId"),
        filter("class"),
        Parameter { name: "first", place: Place::Argument },
        Parameter { name: "after", place: Place::Argument },
    ],
    volatile: &[],
};
