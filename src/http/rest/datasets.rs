//! `GET /storage/v1/datasets`: the caller's datasets, page by page.

use super::{
    fragments::{BREACH, DATASET, FRESHNESS, PAGE_INFO, REFRESH_STATE, VOLATILE},
    parameters::{Parameter, Place},
    resource::{A_DATASET, Resource},
};

const fn filter(name: &'static str) -> Parameter {
    Parameter { name, place: Place::Filter("DatasetFilter") }
}

/// See the [module](self).
pub(super) const RESOURCE: Resource = Resource {
    name: "listDatasets",
    path: "/storage/v1/datasets",
    summary: "The datasets of the caller's tenant",
    description: "In pages: `first` at most, and while there are more, a `Link` with `rel=\"next\"` \
                  to go on with. The tag of a page stands for its facts and verdicts: it does not \
                  change with `evaluatedAt`, `endCursor`, ages and durations alone.",
    document: "query($filter: DatasetFilter, $order: DatasetOrder, $first: Int, $after: String) {
  datasets(filter: $filter, order: $order, first: $first, after: $after) {
    nodes { ...Dataset } pageInfo { ...PageInfo }
  }
}",
    thing: A_DATASET,
    fragments: &[DATASET, REFRESH_STATE, FRESHNESS, BREACH, PAGE_INFO],
    body: &["datasets"],
    field: ("Query", "datasets"),
    parameters: &[
        filter("text"),
        filter("domain"),
        filter("tag"),
        filter("owner"),
        filter("status"),
        filter("lifecycle"),
        Parameter { name: "order", place: Place::Argument },
        Parameter { name: "first", place: Place::Argument },
        Parameter { name: "after", place: Place::Argument },
    ],
    volatile: VOLATILE,
};
