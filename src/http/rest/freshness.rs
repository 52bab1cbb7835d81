//! `GET /storage/v1/datasets/{id}/freshness`: how fresh a dataset is, and what that follows from.

use super::{
    fragments::{EXTERNAL_VERDICT, FRESHNESS, REFRESH_STATE, VOLATILE},
    resource::{A_DATASET, Resource},
};

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "getDatasetFreshness",
    path: "/storage/v1/datasets/{id}/freshness",
    summary: "How fresh a dataset is",
    description: "With the policy and the refresh state that it follows from, and what other tools \
                  found. The tag stands for the facts and the verdict: it does not change with \
                  `evaluatedAt`, ages and durations alone.",
    document: "query($id: ID!) { dataset(id: $id) { ...DatasetFreshness } }
fragment DatasetFreshness on Dataset {
  id urn freshness { ...Freshness } freshnessPolicy { ...FreshnessPolicy }
  refreshState { ...RefreshState } externalVerdicts { ...ExternalVerdict }
}",
    thing: A_DATASET,
    fragments: &[REFRESH_STATE, FRESHNESS, EXTERNAL_VERDICT],
    body: &["dataset"],
    field: ("Query", "dataset"),
    parameters: &[],
    volatile: VOLATILE,
};
