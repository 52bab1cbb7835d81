//! Schemas of some size, in each format and with references, through all of their life.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Desk, TENANT};
use crate::{app::TestApp, cluster::run};

const FIELDS: usize = 300;

/// A schema with an address that it refers to, in one format, as it grows and breaks.
struct Large {
    format: &'static str,
    /// The name that the address is referred to by.
    refers: &'static str,
    address: &'static str,
    /// With so many fields; the one of this number is of another type.
    text: fn(usize, Option<usize>) -> String,
    /// How `fields` writes the field of this number.
    path: fn(usize) -> String,
}

fn avro(fields: usize, other: Option<usize>) -> String {
    let field = |at: usize| {
        let kind = if Some(at) == other { "boolean" } else { ["string", "long", "double"][at % 3] };
        json!({ "name": format!("f{at}"), "type": ["null", kind], "default": null })
    };
    let mut all: Vec<_> = (0..fields).map(field).collect();
    all.push(json!({ "name": "to", "type": "com.example.Address" }));
    json!({ "type": "record", "name": "Order", "namespace": "com.example", "fields": all })
        .to_string()
}

fn json_schema(fields: usize, other: Option<usize>) -> String {
    let field = |at: usize| {
        let kind =
            if Some(at) == other { "boolean" } else { ["string", "integer", "number"][at % 3] };
        (format!("f{at}"), json!({ "type": kind }))
    };
    let mut all: serde_json::Map<String, Value> = (0..fields).map(field).collect();
    all.insert("to".to_owned(), json!({ "$ref": "https://example.com/address.json" }));
    json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": all }).to_string()
}

fn protobuf(fields: usize, other: Option<usize>) -> String {
    let mut text =
        "syntax = \"proto3\"; package example; import \"example/address.proto\"; message Order { "
            .to_owned();
    for at in 0..fields {
        let kind = if Some(at) == other { "bytes" } else { ["int64", "int32", "double"][at % 3] };
        let _ = write!(text, "{kind} f{at} = {}; ", at + 2);
    }
    text + "Address to = 1; }"
}

const ALL: [Large; 3] = [
    Large {
        format: "AVRO",
        refers: "com.example.Address",
        address: r#"{"type":"record","name":"Address","namespace":"com.example","fields":[{"name":"street","type":"string"}]}"#,
        text: avro,
        path: |at| format!("f{at}"),
    },
    Large {
        format: "JSON",
        refers: "https://example.com/address.json",
        address: r#"{"$id":"https://example.com/address.json","type":"object","properties":{"street":{"type":"string"}}}"#,
        text: json_schema,
        path: |at| format!("f{at}"),
    },
    Large {
        format: "PROTOBUF",
        refers: "example/address.proto",
        address: "syntax = \"proto3\"; package example; message Address { string street = 1; }",
        text: protobuf,
        path: |at| format!("Order.f{at}"),
    },
];

#[test]
fn a_large_schema_of_each_format_goes_all_the_way() {
    run(async {
        let app = TestApp::start().await;
        let desk = Desk::of(&app, TENANT);
        for Large { format, refers, address, text, path } in ALL {
            let name = |what: &str| format!("tenant.acme.sales.{what}-{}", format.to_lowercase());
            let holder = desk.register(&name("Address"), format).await;
            desk.active(&holder, address, json!([])).await;
            let refers = json!([{ "name": refers, "version": format!("{}@1", name("Address")) }]);
            let schema = desk.register(&name("Order"), format).await;
            desk.active(&schema, &text(FIELDS, None), refers.clone()).await;

            // It grows. JSON Schema's model is open: a field that is new may hold anything in what was written
            // before, and so the schema promises the other direction.
            if format == "JSON" {
                let forward = "mutation($id: ID!) { updateSchema(input: { id: $id, compatibility: FORWARD }) { status } }";
                app.data(&desk.author, forward, json!({ "id": schema })).await;
            }
            let grown = desk.active(&schema, &text(FIELDS + 50, None), refers.clone()).await;
            let diff = "query($a: String!, $b: String!) { schemaDiff(from: $a, to: $b) {
                backward forward changes { path kind breaking } } }";
            let versions =
                json!({ "a": format!("{}@1", name("Order")), "b": format!("{}@2", name("Order")) });
            let told = app.data(&desk.author, diff, versions).await["schemaDiff"].take();
            let added: Vec<_> = told["changes"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|change| change["kind"] == "ADDED")
                .map(|change| change["path"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(added.len(), 50, "{format}: {told:#}");
            assert!(added.contains(&path(FIELDS)), "{format}: {added:?}");

            // It breaks: refused, and with a reason where the schema lets that be overridden.
            let broken = desk.draft(&schema, &text(FIELDS + 50, Some(7)), refers.clone()).await;
            assert_eq!(
                desk.ask(&broken, "ACTIVATE", "").await.unwrap_err(),
                "INCOMPATIBLE",
                "{format}"
            );
            let lenient = "mutation($id: ID!) { updateSchema(input: { id: $id, policy: LENIENT }) { status } }";
            app.data(&desk.author, lenient, json!({ "id": schema })).await;
            let asked = desk.ask(&broken, "ACTIVATE", "").await.unwrap();
            let findings = asked["findings"].as_array().unwrap();
            assert!(
                findings.iter().any(|of| of["verdict"] == "INCOMPATIBLE"),
                "{format}: {findings:#?}"
            );
            let why = ", overrideReason: \"f7 was never written\"";
            let id = asked["id"].as_str().unwrap();
            desk.decide(&desk.approver, "approveSchemaTransition", id, why).await.unwrap();

            let history = "query($f: String!, $p: String!) { fieldHistory(fqid: $f, path: $p) { version { number } change { kind oldType newType } } }";
            let variables = json!({ "f": name("Order"), "p": path(7) });
            let told = app.data(&desk.author, history, variables).await["fieldHistory"].take();
            let steps: Vec<_> = told
                .as_array()
                .unwrap()
                .iter()
                .map(|step| {
                    (
                        step["version"]["number"].as_i64().unwrap(),
                        step["change"]["kind"].as_str().unwrap(),
                    )
                })
                .collect();
            assert_eq!(steps, [(1, "ADDED"), (3, "CHANGED")], "{format}: {told:#}");

            desk.done(&grown, "DEPRECATE").await;
            desk.done(&grown, "RETIRE").await;
            let latest = "query($f: String!) { schema(fqid: $f) { latest { number fields { path } } versions { nodes { number state } } } }";
            let told = app.data(&desk.author, latest, json!({ "f": name("Order") })).await;
            assert_eq!(told["schema"]["latest"]["number"], 3);
            let fields = told["schema"]["latest"]["fields"].as_array().unwrap().len();
            assert!(fields >= FIELDS + 50, "{format}: {fields}");
            let states: Vec<_> = told["schema"]["versions"]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|version| version["state"].as_str().unwrap())
                .collect();
            assert_eq!(states, ["ACTIVE", "RETIRED", "ACTIVE"], "{format}");
        }
        app.stop().await;
    });
}
