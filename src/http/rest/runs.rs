//! `GET /storage/v1/datasets/{id}/runs`: the runs that wrote a dataset, latest first.

use super::{
    fragments::{DATASET_RUN, PAGE_INFO},
    parameters::{Parameter, Place},
    resource::{A_DATASET, Resource},
};

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "listDatasetRuns",
    path: "/storage/v1/datasets/{id}/runs",
    summary: "The runs that wrote a dataset, latest first",
    description: "In pages: `first` at most, and while there are more, a `Link` with `rel=\"next\"` \
                  to go on with.",
    document: "query($id: ID!, $first: Int, $after: String) {
  dataset(id: $id) {
    runs(first: $first, after: $after) { nodes { ...DatasetRun } pageInfo { ...PageInfo } }
  }
}",
    thing: A_DATASET,
    fragments: &[DATASET_RUN, PAGE_INFO],
    body: &["dataset", "runs"],
    field: ("Dataset", "runs"),
    parameters: &[
        Parameter { name: "first", place: Place::Argument },
        Parameter { name: "after", place: Place::Argument },
    ],
    volatile: &[],
};
