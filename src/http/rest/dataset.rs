//! `GET /storage/v1/datasets/{id}`: one dataset.

use super::{
    fragments::{DATASET, FRESHNESS, REFRESH_STATE},
    resource::Resource,
};

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "getDataset",
    path: "/storage/v1/datasets/{id}",
    summary: "One dataset",
    description: "The tag stands for its facts and its verdict: it does not change with \
                  `evaluatedAt` and `ageSeconds` alone.",
    document: "query($id: ID!) { dataset(id: $id) { ...Dataset } }",
    fragments: &[DATASET, REFRESH_STATE, FRESHNESS],
    body: &["dataset"],
    field: ("Query", "dataset"),
    parameters: &[],
    volatile: &["evaluatedAt", "ageSeconds"],
};
