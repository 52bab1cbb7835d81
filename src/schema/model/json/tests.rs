mod cases;
mod drafts;
mod generated;
mod hostile;
mod pairs;
mod real;

use super::*;
use serde_json::json;

/// The steps that a comparison gets here.
pub(super) const STEPS: u64 = 2_000_000;

pub(super) fn schema(text: &str) -> JsonSchema {
    parse(text, &[]).unwrap_or_else(|violations| panic!("{text}: {violations:?}"))
}

pub(super) fn compared(reader: &Value, writer: &Value) -> Comparison {
    let (reader, writer) = (schema(&reader.to_string()), schema(&writer.to_string()));
    compare(&reader, &writer, &mut Budget::new(STEPS))
}

fn violations(text: &str, references: &[(&str, &str)]) -> Vec<String> {
    let references = references
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect::<Vec<_>>();
    match parse(text, &references) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_is_no_schema_is_told_with_its_place() {
    let starts = |text: &str, wanted: &str| {
        let told = violations(text, &[]);
        assert!(told.first().is_some_and(|first| first.starts_with(wanted)), "{text}: {told:?}");
    };
    starts("", "1:0: is no JSON");
    starts("{\"type\": \"string\",\n  }", "2:3: is no JSON");
    starts(r#"{"type": "string", "type": "null"}"#, "1:25: is no JSON: a key is written twice");
    starts("3", "a schema is an object, true or false");
    starts(r#"{"$schema": "https://example.com/mine"}"#, "/$schema: ");
    starts(r#"{"type": "text"}"#, "/type: ");
    starts(r#"{"properties": {"a": {"minLength": -1}}}"#, "/properties/a/minLength: ");
    starts(r##"{"properties": {"a": {"$ref": "#/$defs/b"}}}"##, "/properties/a/$ref: ");
    starts(r#"{"items": {"$ref": "other.json"}}"#, "/items/$ref: \"other.json\" is not among");
    starts(r#"{"$ref": "file:///etc/passwd"}"#, "/$ref: \"file:///etc/passwd\" is not among");
    starts(r#"{"$ref": "https://example.com/a"}"#, "/$ref: \"https://example.com/a\" is not among");
    starts(r#"{"pattern": "(?=a)b"}"#, "the pattern");
    starts(r#"{"pattern": "(a)\\1"}"#, "the pattern");
    starts(r##"{"allOf": [{"$ref": "#"}]}"##, "/allOf/0: refers to itself");
    // In draft-07 an exclusive bound is a number.
    let seven =
        r#"{"$schema": "http://json-schema.org/draft-07/schema#", "exclusiveMinimum": true}"#;
    starts(seven, "/exclusiveMinimum: ");
    for schema in ["true", "false", "{}"] {
        assert_eq!(violations(schema, &[]), Vec::<String>::new());
    }
}

#[test]
fn a_schema_refers_to_those_that_it_is_given() {
    let address = r##"{"$id": "https://example.com/address", "$anchor": "it", "type": "object",
        "properties": {"zip": {"$ref": "#/$defs/zip"}}, "required": ["zip"],
        "$defs": {"zip": {"type": "string"}}}"##;
    let given = [("address.json".to_owned(), address.to_owned())];
    for reference in [
        "address.json",
        "address.json#",
        "address.json#it",
        "https://example.com/address",
        "https://example.com/address#it",
    ] {
        let text =
            json!({"properties": {"to": {"$ref": reference}}, "$defs": {"address.json": false}});
        let parsed = parse(&text.to_string(), &given).unwrap();
        assert_eq!(validate(&parsed, &json!({"to": {"zip": "1"}})), [], "{reference}");
        let wrong = validate(&parsed, &json!({"to": {"zip": 1}}));
        assert_eq!(
            wrong.first().map(|violation| violation.path.as_str()),
            Some("/to/zip"),
            "{reference}"
        );
    }
    // A name is relative to the URI that the schema itself has, too.
    let based = r#"{"$id": "https://example.org/x/root.json", "$ref": "address.json"}"#;
    assert!(parse(based, &given).is_ok());
    let broken = violations(r#"{"$ref": "a"}"#, &[("a", r#"{"type": 1}"#)]);
    assert!(broken[0].starts_with("a#/type: "), "{broken:?}");
    let broken =
        violations(r#"{"$ref": "a"}"#, &[("a", r#"{"properties": {"b": {"$ref": "c"}}}"#)]);
    assert!(broken[0].contains("is not among"), "{broken:?}");
}

#[test]
fn the_same_schema_has_one_text() {
    let text = |text: &str| canonical(&schema(text));
    let one = r#"{"type": ["string", "null"], "enum": ["a", null, 1.0], "required": ["b", "a"],
        "properties": {"b": {"minimum": 1e0, "type": ["integer"]}, "a": true}, "title": "A"}"#;
    let other = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "\u0041",
        "properties":{"a":true,"b":{"type":"integer","minimum":1.0}},"required":["a","b"],
        "$comment": "any", "enum":[1,"a",null],"type":["null","string"]}"#;
    assert_eq!(text(one), text(other));
    assert_eq!(
        text(one),
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","enum":["a",1,null],"properties":{"a":true,"b":{"minimum":1,"type":"integer"}},"required":["a","b"],"title":"A","type":["null","string"]}"#
    );
    for different in [
        r#"{"title": "a"}"#,
        r#"{"title": "b"}"#,
        r#"{"description": "b"}"#,
        r#"{"x-mine": 1}"#,
        r#"{"default": ["b", "a"]}"#,
        r#"{"default": ["a", "b"]}"#,
        r#"{"const": ["b", "a"]}"#,
        r#"{"const": ["a", "b"]}"#,
        r#"{"properties": {"required": {"enum": ["b"]}}}"#,
        // Names of properties that look like keywords.
        r#"{"properties": {"enum": {"const": ["b", "a"]}}}"#,
        r#"{"properties": {"enum": {"const": ["a", "b"]}}}"#,
        r#"{"$schema": "http://json-schema.org/draft-07/schema#"}"#,
    ]
    .windows(2)
    {
        let [one, other] = different else { continue };
        assert_ne!(text(one), text(other));
    }
    let dependencies = |names: &str| {
        text(&format!(
            r#"{{"$schema": "http://json-schema.org/draft-07/schema", "dependencies": {{"a": {names}, "b": {{"type": "object"}}}}}}"#
        ))
    };
    assert_eq!(dependencies(r#"["x", "y"]"#), dependencies(r#"["y", "x"]"#));
}

#[test]
fn a_value_is_told_what_it_violates_and_where() {
    let schema = schema(
        r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"},
            "at": {"format": "date-time"}, "lines": {"items": {"required": ["sku"]}}}}"#,
    );
    assert_eq!(validate(&schema, &json!({"id": 1, "at": "2024-02-29T12:00:00Z"})), []);
    let found = validate(&schema, &json!({"id": "x", "at": "now", "lines": [{"sku": 1}, {}]}));
    let mut paths = found.iter().map(|violation| violation.path.as_str()).collect::<Vec<_>>();
    paths.sort_unstable();
    assert_eq!(paths, ["/at", "/id", "/lines/1"]);
    let many = json!({"id": 1, "lines": vec![json!({}); 500]});
    assert_eq!(validate(&schema, &many).len(), MAX_VIOLATIONS);
    let huge = json!({"id": 1, "lines": vec![json!({}); 110_000]});
    assert_eq!(validate(&schema, &huge).len(), 1);
    let secret = json!({"id": "4111-1111", "at": "4111-1111"});
    let told = validate(&schema, &secret);
    assert!(told.len() == 2 && !format!("{told:?}").contains("4111"), "{told:?}");
}

#[test]
fn fields_are_listed_with_their_types() {
    let schema = schema(
        r##"{"type": "object", "properties": {
            "id": {"type": "integer"}, "note": {"type": ["string", "null"]}, "any": {},
            "at": {"type": "string", "format": "date-time"},
            "kind": {"enum": ["b", "a"]}, "odd name": {"type": "string"},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
            "pair": {"prefixItems": [{"type": "number"}, {"type": "string"}]},
            "either": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"x": true}}]},
            "not": {"not": {"properties": {"y": {}}}}},
            "additionalProperties": {"type": "boolean"},
            "$defs": {"line": {"type": "object", "properties": {"sku": {"type": "string"},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/line"}}}}}}"##,
    );
    let told = fields(&schema);
    let told = told.iter().map(|(path, types)| format!("{path} {types}")).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            "\"odd name\" string",
            "* boolean",
            "any ",
            "at string(date-time)",
            "either string|object",
            "either.x any",
            "id integer",
            "kind enum(\"b\",\"a\")",
            "lines array",
            "lines[] object",
            "lines[].parts array",
            "lines[].sku string",
            "not ",
            "note null|string",
            "pair ",
            "pair[0] number",
            "pair[1] string",
        ]
    );
}

#[test]
fn a_schema_can_be_kept_and_shared() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<JsonSchema>();
}
