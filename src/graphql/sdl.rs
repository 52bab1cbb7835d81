//! The federation SDL: the file `schema.graphql`, the test that compares it, and `_service` alike.

use async_graphql::SDLExportOptions;

use super::Subgraph;

/// The SDL of the subgraph, in one fixed order.
#[must_use]
pub fn sdl(subgraph: &Subgraph) -> String {
    let options = SDLExportOptions::new()
        .federation()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by();
    let mut sdl = subgraph.sdl_with_options(options).trim_end().to_owned();
    sdl.push('\n');
    sdl
}
