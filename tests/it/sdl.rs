//! The shape of the API: the file `schema.graphql`, what `_service` answers, and what is said of
//! each thing in it.

use std::{collections::BTreeSet, path::Path};

use async_graphql::{
    Value as ConstValue,
    parser::{
        parse_schema,
        types::{BaseType, ConstDirective, Type, TypeDefinition, TypeKind, TypeSystemDefinition},
    },
};
use drr::{
    auth::{TokenKind, policy::Role},
    graphql::{rights, sdl, subgraph},
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

/// The directives of a field, as they are written.
fn directives(types: &[TypeDefinition], object: &str, field: &str) -> Vec<String> {
    let TypeKind::Object(object) = &definition(types, object).kind else { panic!("{object}") };
    let field = object.fields.iter().find(|found| found.node.name.node == field).unwrap();
    let written = |directive: &ConstDirective| {
        let arguments = directive.arguments.iter();
        let arguments = arguments.map(|(name, value)| format!("{}: {}", name.node, value.node));
        format!("@{}({})", directive.name.node, arguments.collect::<Vec<_>>().join(", "))
    };
    field.node.directives.iter().map(|directive| written(&directive.node)).collect()
}

// D5, D12–D14
#[test]
fn fields_say_who_may_have_them_and_what_they_cost() {
    let types = definitions(&sdl::sdl(&subgraph()));
    let readers = r#"@requiresScopes(scopes: [["storage.read.refresh"], ["storage.read.audit"]])"#;
    let page = r#"@listSize(assumedSize: 10, slicingArguments: ["first"], sizedFields: ["edges", "nodes"], requireOneSlicingArgument: false)"#;
    let nothing: [&str; 0] = [];
    assert_eq!(directives(&types, "Dataset", "owners"), [readers]);
    assert_eq!(directives(&types, "Dataset", "runs"), [page, readers]);
    // Other subgraphs refer by these to what they know of.
    for key in ["id", "namespace", "name"] {
        assert_eq!(directives(&types, "Dataset", key), nothing, "{key}");
    }
    // Whoever has come so far may have it.
    assert_eq!(directives(&types, "Freshness", "status"), nothing);
    assert_eq!(directives(&types, "Query", "me"), ["@inaccessible()", "@authenticated()"]);
    let writers = r#"@requiresScopes(scopes: [["storage.write.refresh"]])"#;
    let record = directives(&types, "Mutation", "recordRunEvents");
    assert_eq!(record[1..], [writers, r#"@tag(name: "services")"#]);

    // Never on the roots themselves, and on every field of theirs.
    for definition in &types {
        let TypeKind::Object(object) = &definition.kind else { continue };
        let guards = |written: &str| {
            written.starts_with("@requiresScopes") || written.starts_with("@authenticated")
        };
        let of_type = definition.directives.iter();
        assert!(
            !of_type
                .map(|found| found.node.name.node.as_str())
                .any(|name| { ["requiresScopes", "authenticated"].contains(&name) })
        );
        for field in &object.fields {
            let (object, field) = (&definition.name.node, &field.node.name.node);
            let written = directives(&types, object, field);
            let times = written.iter().filter(|written| guards(written)).count();
            let root = ["Query", "Mutation"].contains(&object.as_str());
            let named = rights::needed(object, field).next().is_some();
            assert!(times == usize::from(named) || times == 0 && !root, "{object}.{field}");
            assert!(!root || times == 1, "{object}.{field} is for whom?");
        }
    }
    for (place, _) in rights::NEEDS {
        let (object, field) = place.split_once('.').unwrap_or((place, "id"));
        directives(&types, object, field);
    }
}

/// A list without a size would count as nothing, however long it is.
#[test]
fn every_list_of_objects_has_a_size() {
    let types = definitions(&sdl::sdl(&subgraph()));
    let is_object = |of: &Type| match &of.base {
        BaseType::List(inner) => match &inner.base {
            BaseType::Named(name) => types
                .iter()
                .any(|found| found.name.node == *name && matches!(found.kind, TypeKind::Object(_))),
            BaseType::List(_) => panic!("lists of lists"),
        },
        BaseType::Named(_) => false,
    };
    let (mut lists, mut sized) = (BTreeSet::new(), BTreeSet::new());
    for definition in &types {
        let TypeKind::Object(object) = &definition.kind else { continue };
        for field in object.fields.iter().map(|field| &field.node) {
            let place = format!("{}.{}", definition.name.node, field.name.node);
            let size = field.directives.iter().find(|found| found.node.name.node == "listSize");
            if is_object(&field.ty.node) {
                lists.insert(place.clone());
            }
            let Some(size) = size else { continue };
            match size.node.get_argument("sizedFields") {
                Some(fields) => {
                    let ConstValue::List(fields) = &fields.node else { panic!("{place}") };
                    let object = field.ty.node.to_string();
                    let object = object.trim_end_matches('!');
                    sized.extend(fields.iter().map(|field| {
                        let ConstValue::String(field) = field else { panic!("{place}") };
                        format!("{object}.{field}")
                    }));
                }
                None => drop(sized.insert(place)),
            }
        }
    }
    assert_eq!(lists, sized);
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

/// A gateway's token: a service's, of the role `operator`.
fn gateway(app: &TestApp) -> String {
    let mut request = TestApp::request("acme", Role::Operator);
    request.kind = TokenKind::Machine;
    app.sign(&request)
}

#[test]
fn service_answers_the_file_under_any_name_and_data_stands_beside_it() {
    run(async {
        let app = TestApp::start().await;
        let token = gateway(&app);
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

// D3
#[test]
fn the_sdl_is_for_gateways_from_outside_and_for_everybody_from_inside() {
    run(async {
        let app = TestApp::start().await;
        let person = app.token("acme", Role::Operator);
        let reader = app.token("acme", Role::Reader);
        for query in [
            "{ _service { sdl } }",
            "{ ...s } fragment s on Query { ... { x: _service { sdl } } }",
            "query A { me { role } _service { sdl } }",
        ] {
            let ask = async |url: String, token: &str| {
                let request =
                    app.http.post(url).bearer_auth(token).json(&json!({ "query": query }));
                let answer: Value = request.send().await.unwrap().json().await.unwrap();
                answer["errors"][0]["extensions"]["code"].as_str().map(str::to_owned)
            };
            for token in [&person, &reader] {
                let code = ask(app.public("/graphql"), token).await;
                assert_eq!(code.as_deref(), Some("FORBIDDEN"), "{query}");
                assert_eq!(ask(app.internal("/graphql"), token).await, None, "{query}");
            }
            assert_eq!(ask(app.public("/graphql"), &gateway(&app)).await, None, "{query}");
        }
        // Introspection has a right of its own.
        let types = "{ __schema { queryType { name } } __type(name: \"Me\") { name } }";
        app.data(&reader, types, json!({})).await;
        app.stop().await;
    });
}
