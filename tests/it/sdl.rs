//! The shape of the API: the file `schema.graphql`, what `_service` answers, and what is said of
//! each thing in it.

use std::{collections::BTreeSet, path::Path};

use async_graphql::parser::{
    parse_schema,
    types::{ConstDirective, TypeDefinition, TypeKind, TypeSystemDefinition},
};
use drr::{
    auth::policy::Role,
    graphql::{sdl, subgraph},
};
use serde_json::{Value, json};

use crate::{app::TestApp, cluster::run};

/// Federation's own types and GraphQL's own identifier, whose descriptions are the library's.
const LIBRARY_TYPES: [&str; 4] = ["_Any", "_Entity", "_Service", "ID"];

/// Everything with a description, as introspection shows it. The fields of federation are the
/// library's own too.
pub const INTROSPECTION: &str = "{ __schema {
    queryType { name } mutationType { name } subscriptionType { name }
    types { kind name description possibleTypes { name }
      fields(includeDeprecated: true) { name description args { name description } }
      inputFields { name description }
      enumValues(includeDeprecated: true) { name description } } } }";

fn definitions(sdl: &str) -> Vec<TypeDefinition> {
    let document = parse_schema(sdl).expect("the SDL is GraphQL");
    let types = document.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.collect()
}

fn definition<'a>(types: &'a [TypeDefinition], name: &str) -> &'a TypeDefinition {
    types.iter().find(|definition| definition.name.node == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn the_file_is_what_the_program_answers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    let file = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        file == sdl::sdl(&subgraph()),
        "schema.graphql is not the schema of this program any more; if the change is wanted:\n\
         cargo run -- schema print > schema.graphql"
    );
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_drr"))
        .args(["schema", "print"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), file);
}

#[test]
fn the_sdl_is_federation_2_9_and_imports_what_it_uses() {
    let sdl = sdl::sdl(&subgraph());
    assert_eq!(sdl.matches("@link(").count(), 1, "one link, ours:\n{sdl}");
    assert!(
        sdl.starts_with("extend schema\n\t@link(url: \"https://specs.apollo.dev/federation/v2.9\"")
    );
    let import = sdl.split_once("import: [").unwrap().1.split_once(']').unwrap().0;
    let imported: BTreeSet<_> =
        import.split(", ").map(|name| name.trim_matches(['"', '@'])).collect();

    let types = definitions(&sdl);
    let mut used = BTreeSet::new();
    let mut uses = |directives: &[async_graphql::Positioned<ConstDirective>]| {
        used.extend(directives.iter().map(|directive| directive.node.name.node.to_string()));
    };
    for definition in &types {
        uses(&definition.directives);
        if let TypeKind::Object(object) = &definition.kind {
            object.fields.iter().for_each(|field| uses(&field.node.directives));
        }
    }
    // Those of GraphQL itself need no import.
    used.retain(|name| name != "deprecated" && name != "specifiedBy");
    assert_eq!(used, imported.into_iter().map(str::to_owned).collect());

    let names: Vec<_> = types.iter().map(|definition| definition.name.node.as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let TypeKind::Object(dataset) = &definition(&types, "Dataset").kind else { panic!() };
    let fields: Vec<_> = dataset.fields.iter().map(|field| field.node.name.node.as_str()).collect();
    assert!(fields.is_sorted(), "{fields:?}");
}

#[test]
fn entities_have_their_keys() {
    let types = definitions(&sdl::sdl(&subgraph()));
    let keys = |name: &str| {
        let directives = definition(&types, name).directives.iter().map(|found| &found.node);
        let keys = directives.filter(|directive| directive.name.node == "key");
        keys.map(|key| key.get_argument("fields").unwrap().node.to_string())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(keys("Dataset"), BTreeSet::from(["\"id\"".into(), "\"namespace name\"".into()]));
    assert_eq!(keys("RefreshRun"), BTreeSet::from(["\"id\"".into()]), "the run's own UUID is both");
}

#[test]
fn everything_is_described() {
    run(async {
        let answer = subgraph().execute(INTROSPECTION).await.into_result().unwrap();
        let schema = answer.data.into_json().unwrap();
        let mut missing = Vec::new();
        let mut described = 0;
        let mut check = |path: String, thing: &Value| {
            let text = thing["description"].as_str().unwrap_or_default().trim();
            if text.is_empty() { missing.push(path) } else { described += 1 }
        };
        let list = |of: &Value| of.as_array().cloned().unwrap_or_default();
        for kind in list(&schema["__schema"]["types"]) {
            let name = kind["name"].as_str().unwrap();
            if name.starts_with("__") || LIBRARY_TYPES.contains(&name) {
                continue;
            }
            check(name.to_owned(), &kind);
            for field in list(&kind["fields"]) {
                let path = format!("{name}.{}", field["name"].as_str().unwrap());
                if path == "Query._entities" || path == "Query._service" {
                    continue;
                }
                check(path.clone(), &field);
                for argument in list(&field["args"]) {
                    check(format!("{path}({})", argument["name"].as_str().unwrap()), &argument);
                }
            }
            for member in list(&kind["inputFields"]).iter().chain(&list(&kind["enumValues"])) {
                check(format!("{name}.{}", member["name"].as_str().unwrap()), member);
            }
        }
        assert_eq!(missing, Vec::<String>::new());
        assert!(described > 100, "{described} descriptions: has the walk missed the schema?");
    });
}

#[test]
fn service_answers_the_file_under_any_name_and_data_stands_beside_it() {
    run(async {
        let app = TestApp::start().await;
        let token = app.token("acme", Role::Operator);
        let expected = sdl::sdl(&subgraph());
        for query in [
            "query __ApolloGetServiceDefinition__ { _service { sdl } }",
            "query($no: Boolean = false) { ...s @skip(if: $no) } fragment s on Query { _service { sdl } }",
        ] {
            let data = app.data(&token, query, json!({})).await;
            assert_eq!(data, json!({ "_service": { "sdl": expected } }), "{query}");
        }
        let query = "{ me { role } a: _service { __typename x: sdl y: sdl } }";
        let data = app.data(&token, query, json!({})).await;
        let service = json!({ "__typename": "_Service", "x": expected, "y": expected });
        assert_eq!(data, json!({ "me": { "role": "operator" }, "a": service }));
        app.stop().await;
    });
}
