//! What is shown of each thing: one fragment per type, and a schema by the same name in the OpenAPI
//! document. A test compares them with the graph: what a type gains there, it gains here.

/// A dataset with everything that is one to one with it.
pub(super) const DATASET: &str = "fragment Dataset on Dataset {
  id urn namespace name aliases { ...DatasetAlias } description owners domain tags lifecycle
  schemaFqid version createdAt updatedAt
  refreshState { ...RefreshState } freshness { ...Freshness } freshnessPolicy { ...FreshnessPolicy }
  openBreach { ...Breach } freshnessMute { ...FreshnessMute }
}
fragment DatasetAlias on DatasetAlias { namespace name }
fragment FreshnessMute on FreshnessMute { until reason by }";

/// What became of a dataset's refreshes.
pub(super) const REFRESH_STATE: &str = "fragment RefreshState on RefreshState {
  status lastSuccessAt lastSuccessRunId lastFailureAt lastFailureRunId lastRunId lastRunAt
  lastRunState runningSince rowCount byteCount sourceWatermark sourceWatermarkOrigin
  consecutiveFailures expectedNextRun { ...ExpectedRun } anomalies { ...RefreshAnomaly } updatedAt
}
fragment ExpectedRun on ExpectedRun { at basis intervalSeconds sampleSize }
fragment RefreshAnomaly on RefreshAnomaly {
  kind sentence runId value expectedLow expectedHigh sampleSize
}";

/// A time beyond a limit.
pub(super) const BREACH: &str = "fragment Breach on Breach {
  id state level openedAt detectedAt escalatedAt resolvedAt resolution resolvedBy { id }
  lastSuccessAt durationSeconds policyId policyVersion acknowledgement { ...BreachAcknowledgement }
}
fragment BreachAcknowledgement on BreachAcknowledgement { at by note }";

/// Members that change with time alone, wherever they stand: the instant of the look, ages, what an
/// anomaly that is still growing measures, and the cursor of a list that was judged at an instant.
pub(super) const VOLATILE: &[&str] =
    &["evaluatedAt", "ageSeconds", "durationSeconds", "value", "sentence", "endCursor"];

/// How fresh a dataset is, and what is asked of it.
pub(super) const FRESHNESS: &str = "fragment Freshness on Freshness {
  status explanation evaluatedAt since deadline warnAt staleAt nextChangeAt ageSeconds policyReason
}
fragment FreshnessPolicy on FreshnessPolicy {
  id version selector { ...FreshnessSelector } mode driver maxAge { ...FreshnessMaxAge }
  deadline { ...FreshnessDeadline } timezone exclusions { ...FreshnessExclusions } effectiveFrom
  removed createdAt createdBy
}
fragment FreshnessMaxAge on FreshnessMaxAge { warnAfterSeconds failAfterSeconds }
fragment FreshnessDeadline on FreshnessDeadline {
  cron lowerBoundSeconds warnAfterSeconds failAfterSeconds
}
fragment FreshnessExclusions on FreshnessExclusions { weekdays dates calendars }
fragment FreshnessSelector on FreshnessSelector { domain tags }";

/// What other tools found.
pub(super) const EXTERNAL_VERDICT: &str = "fragment ExternalVerdict on ExternalVerdict {
  source status warnAfterSeconds errorAfterSeconds filter maxLoadedAt snapshottedAt ageSeconds
  message importedAt
}";

/// What a run did to a dataset.
pub(super) const DATASET_RUN: &str = "fragment DatasetRun on DatasetRun {
  runId job { ...Job } state startedAt endedAt rowCount byteCount fileCount sourceWatermark
  sourceWatermarkOrigin conflict
  errorMessage
}
fragment Job on Job { namespace name }";

/// An event of the audit trail.
pub(super) const AUDIT_EVENT: &str = "fragment AuditEvent on AuditEvent {
  id occurredAt actorId action also class result errorCode correlationId callId calls datasetId resource
  interface operationName documentHash tokenHash durationMicroseconds rowCount
}";

/// That a leaf is in the evidence ledger.
pub(super) const INCLUSION_PROOF: &str = "fragment InclusionProof on InclusionProof {
  leafIndex leafHash treeSize rootHash hashes checkpoint text
}";

/// Where a page ends.
pub(super) const PAGE_INFO: &str = "fragment PageInfo on PageInfo { hasNextPage endCursor }";
