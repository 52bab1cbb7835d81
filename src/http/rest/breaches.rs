//! `GET /storage/v1/datasets/{id}/breaches`: when a dataset was beyond a limit, latest first.

use super::{
    fragments::{BREACH, PAGE_INFO, VOLATILE},
    parameters::{Parameter, Place},
    resource::{A_DATASET, Resource},
};

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "listDatasetBreaches",
    path: "/storage/v1/datasets/{id}/breaches",
    summary: "The breaches of a dataset, latest first",
    description: "In pages: `first` at most, and while there are more, a `Link` with `rel=\"next\"` \
                  to go on with. The tag does not change with `durationSeconds` alone.",
    document: "query($id: ID!, $state: BreachState, $first: Int, $after: String) {
  dataset(id: $id) {
    breaches(state: $state, first: $first, after: $after) {
      nodes { ...Breach } pageInfo { ...PageInfo }
    }
  }
}",
    thing: A_DATASET,
    fragments: &[BREACH, PAGE_INFO],
    body: &["dataset", "breaches"],
    field: ("Dataset", "breaches"),
    parameters: &[
        Parameter { name: "state", place: Place::Argument },
        Parameter { name: "first", place: Place::Argument },
        Parameter { name: "after", place: Place::Argument },
    ],
    volatile: VOLATILE,
};
