//! The federation SDL: the file `schema.graphql`, the test that compares it, and `_service` alike.
//!
//! The library writes the SDL of Federation 2.5, unsorted when `_service` asks for it. Here it is
//! written once: sorted, and linked to the version that this project's directives belong to.

use async_graphql::{
    ObjectType, Response, SDLExportOptions, Schema, SubscriptionType, Value,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use super::{Subgraph, rights};
use crate::auth::policy::ScopeSet;

/// Where the library's own link begins; it ends the text.
const LIBRARY_LINK: &str = "extend schema @link(";
/// The link in its place. To use another directive of federation, import it here.
const LINK: &str = "extend schema
\t@link(url: \"https://specs.apollo.dev/federation/v2.9\", import: [\"@authenticated\", \"@cost\", \"@inaccessible\", \"@key\", \"@listSize\", \"@requiresScopes\", \"@shareable\", \"@tag\"])
";
/// The tag of what is for services only: a contract for people's clients leaves it out.
const FOR_SERVICES: &str = "services";
/// The root fields that tell of the schema and not of data.
const INTROSPECTION: [&str; 3] = ["__schema", "__type", "_service"];

/// The SDL of the subgraph, in one fixed order.
#[must_use]
pub fn sdl(subgraph: &Subgraph) -> String {
    format!("{LINK}\n{}", with_rights(&types(subgraph)))
}

/// The types of a schema in that order, without the library's link.
fn types<Q, M, S>(schema: &Schema<Q, M, S>) -> String
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let options = SDLExportOptions::new()
        .federation()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by();
    let sdl = schema.sdl_with_options(options);
    let types = sdl.split_once(LIBRARY_LINK).map_or(sdl.as_str(), |(types, _)| types);
    types.trim().to_owned()
}

/// Adds to each field of an object what the table of rights means to a gateway. The library's text
/// has a field's type at the end of a line that begins with one tab: `name: Type`, or `): Type` after
/// arguments on lines of their own.
fn with_rights(types: &str) -> String {
    let mut written = String::with_capacity(types.len() * 2);
    let (mut described, mut object, mut field) = (false, None, "");
    for line in types.lines() {
        written.push_str(line);
        described ^= line.trim() == "\"\"\"";
        if let Some(head) = line.strip_prefix("type ").filter(|_| !described) {
            object = Some(head);
        } else if line == "}" {
            object = None;
        } else if let Some((head, part)) = object.zip(line.strip_prefix('\t'))
            && !described
            && !part.starts_with(['\t', '"'])
        {
            if let Some((name, _)) = part.split_once(['(', ':']).filter(|(name, _)| *name != ")") {
                field = name;
            }
            if !part.ends_with('(') {
                written.push_str(&rights_of(head, field));
            }
        }
        written.push('\n');
    }
    written
}

/// The directives about who may have a field. Those of a key stay open to a gateway: other subgraphs
/// refer by them to what they know of; here they are asked for like the rest.
fn rights_of(head: &str, field: &str) -> String {
    let object = head.split(' ').next().unwrap_or_default();
    let operations: Vec<_> = rights::needed(object, field).collect();
    let keys = head.split("@key(fields: \"").skip(1).filter_map(|key| key.split('"').next());
    if operations.is_empty() || keys.flat_map(|key| key.split(' ')).any(|key| key == field) {
        return String::new();
    }
    let scopes = rights::scopes(&operations);
    let mut directives = if scopes.iter().any(|set| set.iter().next().is_none()) {
        " @authenticated".to_owned()
    } else {
        let set = |set: &ScopeSet| {
            let names: Vec<_> = set.iter().map(|scope| format!("\"{scope}\"")).collect();
            format!("[{}]", names.join(", "))
        };
        let sets: Vec<_> = scopes.iter().map(set).collect();
        format!(" @requiresScopes(scopes: [{}])", sets.join(", "))
    };
    if operations.into_iter().any(rights::is_for_services) {
        directives.push_str(&format!(" @tag(name: \"{FOR_SERVICES}\")"));
    }
    directives
}

/// Whether a document asks for the schema, in any of its operations. The fields are on the query
/// root alone, so fragments need not be followed: a field by that name is enough.
#[must_use]
pub fn introspects(document: &ExecutableDocument) -> bool {
    selects(document, &INTROSPECTION)
}

/// Whether it asks for the SDL.
#[must_use]
pub fn serves(document: &ExecutableDocument) -> bool {
    selects(document, &["_service"])
}

/// Whether any selection of a document is of a field by one of these names.
pub(super) fn selects(document: &ExecutableDocument, names: &[&str]) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set);
    operations.chain(fragments).any(|selected| has(&selected.node, names))
}

fn has(selected: &SelectionSet, names: &[&str]) -> bool {
    selected.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => {
            names.contains(&field.node.name.node.as_str())
                || has(&field.node.selection_set.node, names)
        }
        Selection::InlineFragment(fragment) => has(&fragment.node.selection_set.node, names),
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
        Self { library: library_sdl(subgraph), ours: sdl(subgraph) }
    }

    /// For the answers of any schema, with links of its own.
    #[must_use]
    pub fn linked<Q, M, S>(schema: &Schema<Q, M, S>, links: &str) -> Self
    where
        Q: ObjectType + 'static,
        M: ObjectType + 'static,
        S: SubscriptionType + 'static,
    {
        let ours = format!("{links}\n{}\n", types(schema));
        Self { library: library_sdl(schema), ours }
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

/// What the library answers.
fn library_sdl<Q, M, S>(schema: &Schema<Q, M, S>) -> String
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    schema.sdl_with_options(SDLExportOptions::new().federation().compose_directive())
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
