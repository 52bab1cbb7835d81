//! `GET /storage/v1/evidence…`: the evidence ledger of the caller's tenant, and what it proves.

use super::{
    fragments::INCLUSION_PROOF,
    parameters::{Parameter, Place},
    resource::{A_LOG, AN_EVENTS_EVIDENCE, Resource},
};

const fn argument(name: &'static str) -> Parameter {
    Parameter { name, place: Place::Argument }
}

/// What proves one event.
pub(super) const OF_EVENT: Resource = Resource {
    name: "getAuditEvidence",
    path: "/storage/v1/audit/events/{id}/evidence",
    summary: "The proof that an event of the audit trail is in the evidence ledger",
    description: "404 while it waits to be put there, which is for about a second.",
    document: "query($id: ID!) {
  auditEvent(id: $id) { evidence { leaf inclusionProof { ...InclusionProof } } }
}",
    thing: AN_EVENTS_EVIDENCE,
    fragments: &[INCLUSION_PROOF],
    body: &["auditEvent", "evidence"],
    field: ("Query", "auditEvent"),
    parameters: &[],
    volatile: &[],
};

/// What the log has come to.
pub(super) const LOG: Resource = Resource {
    name: "getEvidenceLog",
    path: "/storage/v1/evidence",
    summary: "What the evidence ledger of the caller's tenant has come to",
    description: "Its tiles are at `/evidence/v1/<tenant>/` by the names of C2SP tlog-tiles.",
    document: "{ evidence { origin size rootHash checkpoint publishedCheckpoint } }",
    thing: A_LOG,
    fragments: &[],
    body: &["evidence"],
    field: ("Query", "evidence"),
    parameters: &[],
    volatile: &[],
};

/// That a leaf is in it.
pub(super) const INCLUSION: Resource = Resource {
    name: "getInclusionProof",
    path: "/storage/v1/evidence/inclusion-proof",
    summary: "The proof that a leaf is in the evidence ledger",
    description: "Leaves stay when their events are kept no longer, and so do their proofs.",
    document: "query($leafIndex: BigInt!, $treeSize: BigInt) {
  evidence {
    inclusionProof(leafIndex: $leafIndex, treeSize: $treeSize) { ...InclusionProof }
  }
}",
    thing: A_LOG,
    fragments: &[INCLUSION_PROOF],
    body: &["evidence", "inclusionProof"],
    field: ("EvidenceLog", "inclusionProof"),
    parameters: &[argument("leafIndex"), argument("treeSize")],
    volatile: &[],
};

/// That it only grew.
pub(super) const CONSISTENCY: Resource = Resource {
    name: "getConsistencyProof",
    path: "/storage/v1/evidence/consistency-proof",
    summary: "The proof that the evidence ledger is the one that it was, with more leaves",
    description: "Between any two sizes that it has had; sizes between two checkpoints too.",
    document: "query($from: BigInt!, $to: BigInt) {
  evidence {
    consistencyProof(from: $from, to: $to) { fromSize fromRootHash toSize toRootHash hashes }
  }
}",
    thing: A_LOG,
    fragments: &[],
    body: &["evidence", "consistencyProof"],
    field: ("EvidenceLog", "consistencyProof"),
    parameters: &[argument("from"), argument("to")],
    volatile: &[],
};
