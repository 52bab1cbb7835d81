//! The federation SDL: the file `schema.graphql`, the test that compares it, and `_service` alike.
//!
//! The library writes the SDL of Federation 2.5, unsorted when `_service` asks for it. Here it is
//! written once: sorted, and linked to the version that this project's directives belong to.

use async_graphql::{
    Response, SDLExportOptions, Value,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use super::Subgraph;

/// Where the library's own link begins; it ends the text.
const LIBRARY_LINK: &str = "extend schema @link(";
/// The link in its place. To use another directive of federation, import it here.
const LINK: &str = "extend schema
\t@link(url: \"https://specs.apollo.dev/federation/v2.9\", import: [\"@key\", \"@shareable\"])
";
/// The root fields that tell of the schema and not of data.
const INTROSPECTION: [&str; 3] = ["__schema", "__type", "_service"];

/// The SDL of the subgraph, in one fixed order.
#[must_use]
pub fn sdl(subgraph: &Subgraph) -> String {
    let options = SDLExportOptions::new()
        .federation()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by();
    let sdl = subgraph.sdl_with_options(options);
    let types = sdl.split_once(LIBRARY_LINK).map_or(sdl.as_str(), |(types, _)| types);
    format!("{LINK}\n{}\n", types.trim())
}

/// Whether a document asks for the schema, in any of its operations. The fields are on the query
/// root alone, so fragments need not be followed: a field by that name is enough.
#[must_use]
pub fn introspects(document: &ExecutableDocument) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set);
    operations.chain(fragments).any(|selected| asks(&selected.node))
}

fn asks(selected: &SelectionSet) -> bool {
    selected.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => {
            INTROSPECTION.contains(&field.node.name.node.as_str())
                || asks(&field.node.selection_set.node)
        }
        Selection::InlineFragment(fragment) => asks(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => false,
    })
}

/// Puts our SDL into the answers of `_service`, which the library gives itself and lets nobody
/// override. Its text is known to the byte, so it is found under whatever name it was asked for.
#[derive(Debug, Clone)]
pub struct ServiceSdl {
    library: String,
    ours: String,
}

impl ServiceSdl {
    /// For the answers of this subgraph.
    #[must_use]
    pub fn new(subgraph: &Subgraph) -> Self {
        let options = SDLExportOptions::new().federation().compose_directive();
        Self { library: subgraph.sdl_with_options(options), ours: sdl(subgraph) }
    }

    /// Replaces the library's SDL, two levels down: `{ _service { sdl } }`.
    pub fn put_into(&self, response: &mut Response) {
        let Value::Object(root) = &mut response.data else { return };
        let services = root.values_mut().filter_map(|value| match value {
            Value::Object(service) => Some(service),
            _ => None,
        });
        for text in services.flat_map(|service| service.values_mut()) {
            if matches!(text, Value::String(text) if *text == self.library) {
                *text = Value::String(self.ours.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn every_way_to_ask_for_the_schema_is_seen() {
        for document in [
            "{ __schema { queryType { name } } }",
            "query { a: __type(name: \"Dataset\") { name } }",
            "{ me { role } s: _service { sdl } }",
            "{ ... { ... on Query { _service { sdl } } } }",
            "query A { me { role } } query B { __schema { types { name } } }",
            "query { ...a } fragment a on Query { __schema { types { name } } }",
            "{ ...a } fragment a on Query { ...b } fragment b on Query { _service { sdl } }",
        ] {
            assert!(introspects(&parse_query(document).unwrap()), "{document}");
        }
        for document in [
            "{ __typename me { role } }",
            "{ __schema: me { role } }",
            "{ datasetByUrn(urn: \"__schema\") { name } }",
            "{ ...a } fragment a on Query { ...a }",
        ] {
            assert!(!introspects(&parse_query(document).unwrap()), "{document}");
        }
    }
}
