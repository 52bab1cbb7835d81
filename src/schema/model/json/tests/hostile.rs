//! Inputs that mean harm: each ends soon, on the stack that workers have.

use super::super::super::verdict::Verdict;
use super::*;

/// The stack of a worker of tokio's.
const STACK: usize = 2 << 20;

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(test).unwrap().join().unwrap();
}

fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

/// A chain of definitions, each of which says `link` about the next.
fn chain(length: usize, link: impl Fn(usize) -> Value, last: &Value) -> Value {
    let mut definitions = serde_json::Map::new();
    for index in 0..length {
        definitions.insert(format!("d{index}"), link(index + 1));
    }
    definitions.insert(format!("d{length}"), last.clone());
    json!({"$ref": "#/$defs/d0", "$defs": definitions})
}

fn to(index: usize) -> Value {
    json!({ "$ref": format!("#/$defs/d{index}") })
}

#[test]
fn many_differences_are_cut_off_and_not_compatible() {
    let many = |kind: &str| {
        let property = |index| (format!("f{index}"), json!({ "type": kind }));
        let properties: serde_json::Map<_, _> = (0..300).map(property).collect();
        schema(&json!({ "properties": properties }).to_string())
    };
    let comparison = compare(&many("string"), &many("integer"), &mut Budget::new(10_000_000));
    assert_eq!(comparison.verdict(), Verdict::Incompatible);
    let rules = comparison.differences.iter().map(|difference| difference.rule);
    assert_eq!(rules.filter(|rule| *rule == "TOO_MANY_DIFFERENCES").count(), 1);
    assert_eq!(comparison.differences.len(), 200 + 1);
}

/// Names are repeated in the paths of all that is in them.
#[test]
fn fields_with_long_names_are_bounded() {
    let name = "n".repeat(20_000);
    let last: serde_json::Map<_, _> = (0..5_000).map(|at| (format!("f{at}"), json!({}))).collect();
    let last = json!({ "properties": last });
    let value = chain(20, |next| json!({ "properties": { (name.clone()): to(next) } }), &last);
    let bytes =
        fields(&schema(&value.to_string())).into_iter().map(|(path, _)| path.len()).sum::<usize>();
    assert!((1 << 20..10 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn too_much_is_refused_when_it_is_read() {
    on_a_small_stack(|| {
        let refused = |text: &str, wanted: &str| {
            let told = violations(text, &[]);
            assert!(told.iter().any(|told| told.contains(wanted)), "{told:?}");
        };
        refused(&" ".repeat(limits::MAX_BYTES + 1), "is larger than");
        refused(&nested(r#"{"not":"#, "true", "}", 100_000), "is no JSON");
        refused(&nested("[", "", "]", 100_000), "is no JSON");
        refused(&nested(r#"{"not":"#, "{}", "}", 110), "nests deeper");
        refused(&format!("{{\"enum\":[{}0]}}", "0,".repeat(MAX_VALUES)), "has more than");
        refused(
            &format!(r#"{{"pattern":"{}"}}"#, "a".repeat(MAX_PATTERN_BYTES + 1)),
            "longer than",
        );
        refused(r#"{"pattern":"((a{99}){99}){99}"}"#, "is too large");
        refused(r#"{"pattern":"(\\p{L}{999}){999}"}"#, "is too large");
        let many = (0..=MAX_PATTERNS).map(|index| json!({"pattern": format!("a{index}")}));
        refused(&json!({"allOf": many.collect::<Vec<_>>()}).to_string(), "more than 200 patterns");
        // Exponential: 2^60 schemas would apply to one value.
        let doubling = chain(60, |next| json!({"allOf": [to(next), to(next)]}), &json!({}));
        refused(&doubling.to_string(), "schemas apply to one value");
        refused(&chain(5_000, to, &json!({})).to_string(), "within each other");
        refused(&json!({"$ref": "#"}).to_string(), "refers to itself");
        let circle = chain(50, to, &to(0));
        refused(&circle.to_string(), "refers to itself");
        let many = (0..=MAX_REFERENCES).map(|_| json!({"$ref": "#/$defs/a"}));
        let many = json!({"prefixItems": many.collect::<Vec<_>>(), "$defs": {"a": {}}});
        refused(&many.to_string(), "references");
        // A long key above many schemas is in the place of each.
        let below = (0..5_000).map(|index| (format!("p{index}"), json!({}))).collect::<Value>();
        let long = json!({"properties": {"k".repeat(500_000): {"properties": below}}});
        refused(&long.to_string(), "too long");
        let huge = [("a", "x".repeat(MAX_ALL_BYTES))];
        let huge = huge.map(|(name, text)| (name.to_owned(), text));
        assert!(parse("{}", &huge).is_err());
        let two = json!({"$dynamicAnchor": "node", "items": {"$dynamicRef": "#node"},
            "$defs": {"a": {"$id": "other", "$dynamicAnchor": "node"}}});
        refused(&two.to_string(), "depends on who refers");
    });
}

#[test]
fn places_that_overlap_do_not_multiply() {
    on_a_small_stack(|| {
        // Each of the nested places is referred to, and is no schema by its place: each would be
        // written out with all that is in it. The innermost first, or they would be known.
        let mut place = json!({});
        let (mut references, mut pointer) = (Vec::new(), "#/x".to_owned());
        for _ in 0..44 {
            let mut properties =
                (0..400).map(|index| (format!("p{index}"), json!({}))).collect::<Value>();
            properties["n"] = place;
            place = json!({ "properties": properties });
            references.insert(0, json!({ "$ref": pointer }));
            pointer.push_str("/properties/n");
        }
        let place = json!({ "x": place, "prefixItems": references });
        let told = violations(&place.to_string(), &[]);
        assert!(told.iter().any(|told| told.contains("too many")), "{told:?}");
    });
}

#[test]
fn as_deep_as_it_may_be_is_read_compared_and_validated() {
    on_a_small_stack(|| {
        let pairs = [
            (nested(r#"{"not":"#, "{}", "}", 63), json!(1)),
            (nested(r#"{"allOf":["#, r#"{"type":"string"}"#, "]}", 49), json!("a")),
            (nested(r#"{"anyOf":["#, r#"{"type":"string"}"#, ",{}]}", 49), json!("a")),
            (nested(r#"{"properties":{"a":"#, "{}", "}}", 48), json!({})),
            (nested(r#"{"items":"#, "{}", "}", 98), json!([[[]]])),
            (chain(60, to, &json!({"type": "string"})).to_string(), json!("a")),
            (
                chain(9_000, |next| json!({"items": to(next)}), &json!({"type": "string"}))
                    .to_string(),
                json!([[]]),
            ),
        ];
        for (text, value) in pairs {
            let one = schema(&text);
            let _ = validate(&one, &value);
            let other = schema(&text.replace("\"string\"", "\"integer\""));
            for (reader, writer) in [(&one, &one), (&one, &other), (&other, &one)] {
                let _ = compare(reader, writer, &mut Budget::new(STEPS));
            }
            let _ = fields(&one);
            let _ = canonical(&one);
        }
    });
}

#[test]
fn validation_takes_counted_steps() {
    on_a_small_stack(|| {
        // With each level of the value, twice as many schemas apply.
        let doubling = schema(
            r##"{"properties": {"a": {"$ref": "#"}}, "allOf": [{"properties": {"a": {"$ref": "#"}}}]}"##,
        );
        let mut value = json!({});
        for _ in 0..80 {
            value = json!({ "a": value });
        }
        let told = validate(&doubling, &value);
        assert!(told.len() == 1 && told[0].message.contains("steps"), "{told:?}");
        let deep = schema(&chain(60, to, &json!({"items": {"$ref": "#/$defs/d0"}})).to_string());
        let mut value = json!([]);
        for _ in 0..90 {
            value = json!([value]);
        }
        let told = validate(&deep, &value);
        assert!(told.len() == 1 && told[0].message.contains("steps"), "{told:?}");
        let mut value = json!([]);
        for _ in 0..100_000 {
            value = Value::Array(vec![value]);
        }
        let told = validate(&deep, &value);
        assert!(told.len() == 1 && told[0].message.contains("nests deeper"), "{told:?}");
        // A value that cannot be dropped by recursion either.
        while let Value::Array(mut items) = value {
            value = items.pop().unwrap_or_default();
        }
    });
}

#[test]
fn the_deepest_validation_that_is_let_through_fits_the_stack() {
    on_a_small_stack(|| {
        // As many schemas within each other as may be applied, by the longest ways to get there.
        let deep = schema(&chain(60, to, &json!({"items": {"$ref": "#/$defs/d0"}})).to_string());
        let alternating = chain(
            20,
            |next| json!({"anyOf": [{"oneOf": [to(next)]}]}),
            &json!({"properties": {"a": {"$ref": "#/$defs/d0"}}, "additionalProperties": false}),
        );
        let alternating = schema(&alternating.to_string());
        let negating = schema(
            r##"{"not": {"not": {"if": {"items": {"$ref": "#"}}, "then": {"contains": {"$ref": "#"}}}}}"##,
        );
        for (schema, inner) in [
            (deep, (|value| json!([value])) as fn(Value) -> Value),
            (alternating, |value| json!({ "a": value })),
            (negating, |value| json!([value])),
        ] {
            let mut value = inner(json!(1));
            // Until one is refused: the one before was the deepest, or took the most steps.
            let told = (0..90).find_map(|_| {
                value = inner(value.clone());
                let told = validate(&schema, &value);
                told.into_iter().find(|violation| violation.message.contains("steps"))
            });
            assert!(told.is_some(), "the limit is not met");
        }
    });
}

#[test]
fn comparing_takes_counted_steps() {
    on_a_small_stack(|| {
        // Unions of unions, and 3^40 ways through them.
        let wide = |name: &str| {
            let of = |next: usize| {
                json!({"anyOf": [
                    {"required": [format!("{name}{next}")], "properties": {"n": to(next)}},
                    {"required": ["b"], "properties": {"n": to(next), "m": to(next)}},
                    {"oneOf": [{"properties": {"m": to(next)}}, {"required": ["c"]}]},
                ]})
            };
            schema(&chain(40, of, &json!({"type": "string"})).to_string())
        };
        let (one, other) = (wide("x"), wide("y"));
        for steps in [0, 1, 1_000, 300_000] {
            let comparison = compare(&one, &other, &mut Budget::new(steps));
            assert_ne!(comparison.verdict(), Verdict::Compatible);
        }
        let exhausted = compare(&one, &other, &mut Budget::new(10));
        assert_eq!(
            (exhausted.verdict(), exhausted.differences[0].rule),
            (Verdict::Unknown, "TOO_COMPLEX")
        );
        // Long lists of values, against each other and against an array of them.
        let list = |from: usize| json!({"enum": (from..from + 60_000).collect::<Vec<_>>()});
        let comparison = compared(&list(1), &list(0));
        assert_eq!(comparison.verdict(), Verdict::Incompatible);
        let listed = schema(&json!({"items": list(0)}).to_string());
        let told = validate(&listed, &json!(vec![59_999; 60_000]));
        assert!(told.len() == 1 && told[0].message.contains("steps"), "{told:?}");
        // A long text that many patterns look at.
        let many =
            json!({"allOf": (0..9_000).map(|_| json!({"pattern": "a+b"})).collect::<Vec<_>>()});
        let told = validate(&schema(&many.to_string()), &json!("a".repeat(1_000_000)));
        assert!(told.len() == 1 && told[0].message.contains("steps"), "{told:?}");
        // A product of alternatives.
        let product = json!({"allOf": (0..40).map(|index| json!({"anyOf": [
            {"required": [format!("a{index}")]}, {"required": [format!("b{index}")]}
        ]})).collect::<Vec<_>>()});
        let comparison = compared(&json!({"required": ["a0"]}), &product);
        assert_eq!(
            (comparison.verdict(), comparison.differences[0].rule),
            (Verdict::Unknown, "TOO_COMPLEX")
        );
    });
}

#[test]
fn patterns_take_linear_time() {
    let evil = schema(r#"{"pattern": "^(a+)+$"}"#);
    let value = json!(format!("{}!", "a".repeat(100_000)));
    assert_eq!(validate(&evil, &value).len(), 1);
}
