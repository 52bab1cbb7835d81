//! What is shown of each thing: one fragment per type, and a schema by the same name in the OpenAPI
//! document. A test compares them with the graph: what a type gains there, it gains here.

/// A dataset with everything that is one to one with it.
pub(super) const DATASET: &str = "fragment Dataset on Dataset {
  id urn namespace name aliases { ...DatasetAlias } description owners domain tags lifecycle
  schemaFqid version createdAt updatedAt
  refreshState { ...RefreshState } freshness { ...Freshness } freshnessPolicy { ...FreshnessPolicy }
}
fragment DatasetAlias on DatasetAlias { namespace name }";

/// What became of a dataset's refreshes.
pub(super) const REFRESH_STATE: &str = "fragment RefreshState on RefreshState {
  status lastSuccessAt lastSuccessRunId lastRunId lastRunAt lastRunState runningSince rowCount
  byteCount sourceWatermark consecutiveFailures updatedAt
}";

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
  runId job { ...Job } state startedAt endedAt rowCount byteCount fileCount sourceWatermark conflict
  errorMessage
}
fragment Job on Job { namespace name }";

/// Where a page ends.
pub(super) const PAGE_INFO: &str = "fragment PageInfo on PageInfo { hasNextPage endCursor }";
