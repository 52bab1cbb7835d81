//! Drafts before 2020-12: what they say is what their own validators say.

use super::*;

fn dialect(draft: &str) -> String {
    match draft {
        "2019-09" => "https://json-schema.org/draft/2019-09/schema".to_owned(),
        draft => format!("http://json-schema.org/draft-{draft}/schema#"),
    }
}

fn of(draft: &str, mut schema: Value) -> Value {
    schema["$schema"] = dialect(draft).into();
    schema
}

#[test]
fn every_draft_is_brought_to_2020_12() {
    let cases = [
        (
            "04",
            json!({"minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": false}),
            json!({"exclusiveMinimum": 1, "maximum": 2}),
        ),
        (
            "04",
            json!({"id": "https://example.com/a", "const": 1, "properties": {"id": {"type": "string"}}}),
            json!({"properties": {"id": {"type": "string"}}}),
        ),
        (
            "07",
            json!({"items": [{"type": "string"}, true], "additionalItems": false}),
            json!({"prefixItems": [{"type": "string"}, true], "items": false}),
        ),
        (
            "07",
            json!({"items": {"type": "string"}, "additionalItems": false}),
            json!({"items": {"type": "string"}}),
        ),
        (
            "07",
            json!({"dependencies": {"a": ["b"], "c": {"minProperties": 2}}}),
            json!({"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"minProperties": 2}}}),
        ),
        (
            "07",
            json!({"definitions": {"a": {"type": "null"}}, "$ref": "#/definitions/a", "type": "string"}),
            json!({"$defs": {"a": {"type": "null"}}, "$ref": "#/$defs/a"}),
        ),
        (
            "07",
            json!({"definitions": {"a": {"$id": "#it", "type": "null"}}, "not": {"$ref": "#it"}}),
            json!({"$defs": {"a": {"type": "null"}}, "not": {"$ref": "#/$defs/a"}}),
        ),
        (
            "07",
            json!({"not": {"$ref": "#/x/y"}, "x": {"y": {"type": "null"}}}),
            json!({"$defs": {"/x/y": {"type": "null"}}, "not": {"$ref": "#/$defs/~1x~1y"}}),
        ),
        (
            "07",
            json!({"definitions": {"a b/c": {"type": "null"}}, "not": {"$ref": "#/definitions/a%20b~1c"}}),
            json!({"$defs": {"a b/c": {"type": "null"}}, "not": {"$ref": "#/$defs/a%20b~1c"}}),
        ),
        (
            "2019-09",
            json!({"$recursiveAnchor": true, "items": {"$recursiveRef": "#"}}),
            json!({"items": {"$ref": "#"}}),
        ),
        (
            "2019-09",
            json!({"dependencies": {"a": ["b"]}}),
            json!({"dependentRequired": {"a": ["b"]}}),
        ),
        (
            "2019-09",
            json!({"$defs": {"a": {"$anchor": "it"}}, "$ref": "#it", "minItems": 1}),
            json!({"$defs": {"a": {}}, "$ref": "#/$defs/a", "minItems": 1}),
        ),
    ];
    for (draft, written, mut wanted) in cases {
        wanted["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        let parsed = schema(&of(draft, written.clone()).to_string());
        assert_eq!(normalised(&parsed), &wanted, "{draft} {written}");
    }
}

#[test]
fn places_are_told_as_they_are_written() {
    let with = |kind: &str| {
        of(
            "07",
            json!({
                "items": [{"$ref": "#/definitions/a"}], "definitions": {"a": {"type": kind}}
            }),
        )
    };
    let comparison = compared(&with("string"), &with("null"));
    let paths = comparison.differences.iter().map(|difference| difference.path.as_str());
    assert_eq!(paths.collect::<Vec<_>>(), ["/definitions/a/type"]);
}

#[test]
fn the_validators_of_each_draft_agree_with_the_normalised_schema() {
    let schemas = [
        json!({"minimum": 1, "maximum": 3}),
        json!({"items": [{"type": "string"}], "additionalItems": {"type": "number"}}),
        json!({"items": {"type": "number"}, "additionalItems": false}),
        json!({"dependencies": {"a": ["b"], "b": {"maxProperties": 2}}}),
        json!({"definitions": {"a": {"type": "object", "properties": {"a": {"$ref": "#/definitions/a"}}}}, "$ref": "#/definitions/a", "required": ["b"]}),
        json!({"definitions": {"a": {"type": "string"}}, "patternProperties": {"^a": {"$ref": "#/definitions/a"}}, "additionalProperties": false}),
        json!({"contains": {"const": 1}}),
        json!({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": "array"}}),
        json!({"propertyNames": {"maxLength": 1}}),
        json!({"prefixItems": [{"type": "string"}]}),
        json!({"dependentRequired": {"a": ["b"]}}),
        json!({"contains": {"type": "number"}, "minContains": 2}),
        json!({"const": 1}),
        json!({"uniqueItems": true, "format": "date"}),
        json!({"unevaluatedProperties": false, "properties": {"a": {}}}),
        json!({"minProperties": 1, "exclusiveMinimum": 1}),
    ];
    let values = [
        json!(null),
        json!(1),
        json!(2.5),
        json!(3),
        json!(4),
        json!("a"),
        json!("ab"),
        json!("2024-02-29"),
        json!([]),
        json!([1]),
        json!([1, 2]),
        json!(["a"]),
        json!(["a", 1]),
        json!(["a", "b"]),
        json!([1, 1]),
        json!({}),
        json!({"a": 1}),
        json!({"a": "x"}),
        json!({"a": 1, "b": 2}),
        json!({"a": {"a": 1}}),
        json!({"b": 1, "a": {"a": {}}}),
        json!({"a": 1, "b": 2, "c": 3}),
        json!({"ab": "x"}),
        json!({"z": 1}),
    ];
    let (mut judged, mut refused) = (0, 0);
    for draft in ["04", "06", "07", "2019-09"] {
        for written in &schemas {
            let written = of(draft, written.clone());
            let Ok(parsed) = parse(&written.to_string(), &[]) else {
                refused += 1;
                continue;
            };
            let own = jsonschema::options()
                .should_validate_formats(true)
                .offline()
                .build(&written)
                .unwrap();
            for value in &values {
                judged += 1;
                assert_eq!(
                    validate(&parsed, value).is_empty(),
                    own.is_valid(value),
                    "{written} {value}"
                );
            }
        }
    }
    // Draft-04 has no exclusive bound that is a number.
    assert_eq!((judged, refused), (63 * 24, 1));
}
