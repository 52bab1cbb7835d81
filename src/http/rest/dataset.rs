//! `GET /storage/v1/datasets/{id}`: one dataset.

use super::{
    fragments::{BREACH, DATASET, FRESHNESS, REFRESH_STATE, VOLATILE},
    resource::{A_DATASET, Resource},
};

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "getDataset",
    path: "/storage/v1/datasets/{id}",
    summary: "One dataset",
    description: "The tag stands for its facts and its verdict: it does not change with \
                  `evaluatedAt`, ages and durations alone.",
    document: "query($id: ID!) { dataset(id: $id) { ...Dataset } }",
    thing: A_DATASET,
    fragments: &[DATASET, REFRESH_STATE, FRESHNESS, BREACH],
    body: &["dataset"],
    field: ("Query", "dataset"),
    parameters: &[],
    volatile: VOLATILE,
};
