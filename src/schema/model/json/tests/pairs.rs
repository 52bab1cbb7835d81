//! What each kind of difference is told as.

use super::super::super::verdict::Verdict;
use super::*;

fn told(reader: &Value, writer: &Value) -> Vec<String> {
    let comparison = compared(reader, writer);
    let told = comparison.differences.iter().map(|difference| {
        format!("{} {} {}", difference.path, difference.rule, difference.verdict.as_str())
    });
    told.collect()
}

#[test]
fn differences_have_a_path_and_a_rule() {
    let object = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
    let cases = [
        (json!({"type": "string"}), json!({"type": ["string", "null"]}), "/type TYPE_NARROWED"),
        (json!({"type": "integer"}), json!({"type": "number"}), "/type TYPE_NARROWED"),
        (
            json!({"minimum": 2}),
            json!({"type": "number", "minimum": 1}),
            "/minimum MINIMUM_INCREASED",
        ),
        (json!({"maximum": 2}), json!({"type": "number"}), "/maximum MAXIMUM_ADDED"),
        (
            json!({"multipleOf": 4}),
            json!({"type": "integer", "multipleOf": 2}),
            "/multipleOf MULTIPLE_OF_CHANGED",
        ),
        (json!({"minLength": 1}), json!({"type": "string"}), "/minLength MIN_LENGTH_ADDED"),
        (
            json!({"maxLength": 3}),
            json!({"type": "string", "maxLength": 4}),
            "/maxLength MAX_LENGTH_DECREASED",
        ),
        (json!({"pattern": "^[a-z]+$"}), json!({"type": "string"}), "/pattern PATTERN_ADDED"),
        (
            json!({"pattern": "^[a-c]$"}),
            json!({"type": "string", "pattern": "^[a-z]$"}),
            "/pattern PATTERN_CHANGED",
        ),
        (
            json!({"format": "date"}),
            json!({"type": "string", "format": "date-time"}),
            "/format FORMAT_CHANGED",
        ),
        (json!({"enum": [1, 2]}), json!({"enum": [1, 2, 3]}), "/enum ENUM_ARRAY_NARROWED"),
        (
            json!({"required": ["a", "b"]}),
            json!({"type": "object", "required": ["a"]}),
            "/required REQUIRED_ATTRIBUTE_ADDED",
        ),
        (
            object(json!({})),
            object(json!({"a": {"type": "string"}})),
            "/additionalProperties PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
        ),
        (
            json!({"properties": {"a": {"type": "string"}}}),
            json!({"type": "object"}),
            "/properties/a PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
        ),
        (
            object(json!({"a": {}})),
            json!({"type": "object", "properties": {"a": {}}}),
            "/additionalProperties ADDITIONAL_PROPERTIES_REMOVED",
        ),
        (
            json!({"minProperties": 2}),
            json!({"type": "object", "minProperties": 1}),
            "/minProperties MIN_PROPERTIES_INCREASED",
        ),
        (
            json!({"maxProperties": 1}),
            json!({"type": "object", "maxProperties": 2}),
            "/maxProperties MAX_PROPERTIES_DECREASED",
        ),
        (
            json!({"dependentRequired": {"a": ["b"]}}),
            json!({"type": "object"}),
            "/dependentRequired DEPENDENCY_ARRAY_EXTENDED",
        ),
        (json!({"minItems": 1}), json!({"type": "array"}), "/minItems MIN_ITEMS_INCREASED"),
        (json!({"maxItems": 1}), json!({"type": "array"}), "/maxItems MAX_ITEMS_DECREASED"),
        (
            json!({"uniqueItems": true}),
            json!({"type": "array", "items": {"type": "integer"}}),
            "/uniqueItems UNIQUE_ITEMS_ADDED",
        ),
        (
            json!({"items": {"type": "string"}}),
            json!({"type": "array", "items": {"type": "null"}}),
            "/items/type TYPE_NARROWED",
        ),
        (json!({"items": false}), json!({"type": "array"}), "/items NOTHING_ACCEPTED"),
        (
            json!({"contains": {"type": "string"}}),
            json!({"type": "array", "contains": {"type": "null"}}),
            "/contains CONTAINS_NARROWED",
        ),
        (
            json!({"anyOf": [{"minimum": 2}, {"maximum": 0}]}),
            json!({"type": "integer"}),
            "/anyOf SUM_TYPE_NARROWED",
        ),
        (
            json!({"oneOf": [{"minimum": 0}, {"maximum": 1}]}),
            json!({"type": "integer"}),
            "/oneOf SUM_TYPE_NARROWED",
        ),
        (
            json!({"not": {"minimum": 5}}),
            json!({"type": "integer", "maximum": 7}),
            "/not NOT_TYPE_EXTENDED",
        ),
        (
            json!({"if": {"minimum": 1}, "then": {"multipleOf": 2}}),
            json!({"type": "integer"}),
            "/then CONDITION_NARROWED",
        ),
        (
            json!({"propertyNames": {"maxLength": 1}}),
            object(json!({"ab": {}})),
            "/propertyNames VALUE_REFUSED",
        ),
    ];
    for (reader, writer, wanted) in cases {
        let told = told(&reader, &writer);
        assert!(told.contains(&format!("{wanted} INCOMPATIBLE")), "{reader} < {writer}: {told:?}");
    }
}

#[test]
fn what_is_proven() {
    let cases = [
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!({"type": ["null", "string"]}),
        ),
        (
            json!({"type": ["null", "string"]}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ),
        (json!({"enum": [true, false]}), json!({"type": "boolean"})),
        (json!({"anyOf": [{"const": "a"}, {"enum": ["b", "c"]}]}), json!({"enum": ["a", "b"]})),
        (json!({"minimum": 5}), json!({"type": "integer", "exclusiveMinimum": 4})),
        (json!({"maximum": 4.5}), json!({"type": "integer", "exclusiveMaximum": 5})),
        (json!({"type": "integer"}), json!({"type": "number", "multipleOf": 3})),
        (json!({"minProperties": 2}), json!({"type": "object", "required": ["a", "b"]})),
        (
            json!({"maxProperties": 2}),
            json!({"type": "object", "properties": {"a": {}, "b": {}}, "additionalProperties": false}),
        ),
        (json!({"not": {"type": "string"}}), json!({"type": ["integer", "null"]})),
        (json!({"not": {"minimum": 5}}), json!({"type": "integer", "maximum": 4})),
        (
            json!({"not": {"required": ["a"]}}),
            json!({"type": "object", "properties": {"a": false}}),
        ),
        (json!({"if": {"type": "string"}, "then": {"minLength": 1}}), json!({"type": "integer"})),
        (
            json!({"items": {"type": "number"}}),
            json!({"prefixItems": [{"type": "integer"}], "items": {"type": "integer"}}),
        ),
        (
            json!({"unevaluatedProperties": false, "allOf": [{"properties": {"a": {}}}]}),
            json!({"unevaluatedProperties": false, "properties": {"a": {}}}),
        ),
        (
            json!({"properties": {"a": {}, "b": {}}, "additionalProperties": false}),
            json!({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}),
        ),
        (json!({"format": "idn-email"}), json!({"type": "string", "format": "email"})),
        (
            json!({"dependentSchemas": {"a": {"required": ["b"]}}}),
            json!({"type": "object", "required": ["b"]}),
        ),
        // A list of variants gets one more.
        (
            json!({"oneOf": [
                {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "number"}}, "required": ["kind"]},
                {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
                {"type": "object", "properties": {"kind": {"const": "c"}}, "required": ["kind"]}]}),
            json!({"oneOf": [
                {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
                {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind"]}]}),
        ),
        // Recursive, and named otherwise.
        (
            json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}, "value": {"type": "number"}}}}}),
            json!({"type": "object", "properties": {"next": {"$ref": "#"}, "value": {"type": "integer"}}}),
        ),
    ];
    for (reader, writer) in cases {
        let comparison = compared(&reader, &writer);
        assert_eq!(
            comparison.verdict(),
            Verdict::Compatible,
            "{reader} < {writer}: {comparison:?}"
        );
    }
}

#[test]
fn what_cannot_be_told_says_why() {
    // Patterns are compared as texts: these two say the same.
    let told =
        told(&json!({"pattern": "^[ab]$"}), &json!({"type": "string", "pattern": "^(a|b)$"}));
    assert_eq!(told, ["/pattern PATTERN_CHANGED UNKNOWN"]);
}

#[test]
fn an_incompatibility_deep_inside_comes_with_a_whole_value() {
    let of = |kind: &str| {
        json!({"type": "object", "required": ["orders"], "properties": {"orders": {
        "type": "array", "minItems": 1, "items": {"type": "object", "required": ["id", "lines"], "properties": {
            "id": {"type": "integer", "minimum": 1}, "lines": {"type": "array", "items": {"type": "object",
                "required": ["sku", "count"], "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
                    "count": {"type": kind}}}}}}}}})
    };
    let comparison = compared(&of("integer"), &of("number"));
    let [difference] = comparison.differences.as_slice() else { panic!("{comparison:?}") };
    assert_eq!(
        difference.path,
        "/properties/orders/items/properties/lines/items/properties/count/type"
    );
    assert_eq!(difference.verdict, Verdict::Incompatible);
    assert!(
        difference.message.ends_with(
            r#"an example is {"orders":[{"id":1,"lines":[{"count":0.5,"sku":"AAA-0000"}]}]}"#
        ),
        "{}",
        difference.message
    );
}
