//! Schemas and values made at random. What is told of them is held against the crate `jsonschema`,
//! which sees the schemas as they are written.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::super::verdict::Verdict;
use super::*;

/// Values from a small world, so that schemas and values often have to do with each other.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        select(vec![
            json!(-1),
            json!(0),
            json!(1),
            json!(2),
            json!(3),
            json!(4),
            json!(6),
            json!(0.5),
            json!(2.5),
            json!(1.0),
            json!(12)
        ]),
        select(vec!["", "a", "b", "ab", "abc", "A", "12", "2024-02-29"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(select(vec!["a", "b", "c", "x1", "y"]), inner, 0..4)
                .prop_map(|members| members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()),
        ]
    })
}

fn assertion() -> impl Strategy<Value = (&'static str, Value)> {
    let types = vec!["null", "boolean", "integer", "number", "string", "array", "object"];
    prop_oneof![
        8 => select(types.clone()).prop_map(|name| ("type", json!(name))),
        2 => prop::sample::subsequence(types, 1..4).prop_map(|names| ("type", json!(names))),
        1 => prop::collection::vec(values(), 1..4).prop_map(|values| ("enum", json!(values))),
        1 => values().prop_map(|value| ("const", value)),
        2 => (-1..5i64).prop_map(|value| ("minimum", json!(value))),
        2 => (-1..5i64).prop_map(|value| ("maximum", json!(value))),
        1 => (-1..5i64).prop_map(|value| ("exclusiveMinimum", json!(value))),
        1 => select(vec![json!(0.5), json!(2.5), json!(3)]).prop_map(|value| ("exclusiveMaximum", value)),
        1 => select(vec![json!(1), json!(2), json!(3), json!(0.5), json!(6)]).prop_map(|value| ("multipleOf", value)),
        1 => (0..4u64).prop_map(|value| ("minLength", json!(value))),
        1 => (0..4u64).prop_map(|value| ("maxLength", json!(value))),
        1 => select(vec!["^a", "b", "^[a-z]*$", "[0-9]+", "a*"]).prop_map(|value| ("pattern", json!(value))),
        1 => select(vec!["date", "email", "unheard-of"]).prop_map(|value| ("format", json!(value))),
        1 => (0..3u64).prop_map(|value| ("minItems", json!(value))),
        1 => (0..3u64).prop_map(|value| ("maxItems", json!(value))),
        1 => any::<bool>().prop_map(|value| ("uniqueItems", json!(value))),
        2 => prop::sample::subsequence(vec!["a", "b", "c"], 0..3).prop_map(|names| ("required", json!(names))),
        1 => (0..3u64).prop_map(|value| ("minProperties", json!(value))),
        1 => (0..3u64).prop_map(|value| ("maxProperties", json!(value))),
        1 => select(vec![json!({"a": ["b"]}), json!({"a": ["b", "c"]}), json!({"b": ["a"]})]).prop_map(|value| ("dependentRequired", value)),
        1 => (0..3u64).prop_map(|value| ("minContains", json!(value))),
        1 => (0..3u64).prop_map(|value| ("maxContains", json!(value))),
    ]
}

fn applicator(
    inner: impl Strategy<Value = Value> + Clone + 'static,
) -> impl Strategy<Value = (&'static str, Value)> {
    let one = inner.clone();
    let list = prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from);
    let map = |names: Vec<&'static str>| {
        prop::collection::btree_map(select(names), inner.clone(), 1..3).prop_map(|members| {
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
        })
    };
    prop_oneof![
        6 => map(vec!["a", "b", "c"]).prop_map(|value| ("properties", value)),
        1 => map(vec!["^x", "y", "^a"]).prop_map(|value| ("patternProperties", value)),
        2 => one.clone().prop_map(|value| ("additionalProperties", value)),
        2 => Just(("additionalProperties", json!(false))),
        1 => one.clone().prop_map(|value| ("propertyNames", value)),
        1 => map(vec!["a", "b"]).prop_map(|value| ("dependentSchemas", value)),
        1 => one.clone().prop_map(|value| ("unevaluatedProperties", value)),
        1 => Just(("unevaluatedProperties", json!(false))),
        1 => one.clone().prop_map(|value| ("unevaluatedItems", value)),
        2 => one.clone().prop_map(|value| ("items", value)),
        1 => Just(("items", json!(false))),
        1 => list.clone().prop_map(|value| ("prefixItems", value)),
        1 => one.clone().prop_map(|value| ("contains", value)),
        2 => list.clone().prop_map(|value| ("allOf", value)),
        3 => list.clone().prop_map(|value| ("anyOf", value)),
        2 => list.prop_map(|value| ("oneOf", value)),
        2 => one.clone().prop_map(|value| ("not", value)),
        1 => one.clone().prop_map(|value| ("if", value)),
        1 => one.clone().prop_map(|value| ("then", value)),
        1 => one.prop_map(|value| ("else", value)),
        1 => select(vec!["#", "#/$defs/a", "#/$defs/b"]).prop_map(|value| ("recurse", json!(value))),
    ]
}

fn gathered(keywords: Vec<(&'static str, Value)>) -> Value {
    let mut members = serde_json::Map::new();
    for (key, value) in keywords {
        match key {
            // A reference that takes a step down, so that it ends.
            "recurse" => {
                members.insert("properties".to_owned(), json!({ "c": { "$ref": value } }));
            }
            key => {
                members.insert(key.to_owned(), value);
            }
        }
    }
    Value::Object(members)
}

pub(super) fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        8 => prop::collection::vec(assertion(), 0..3).prop_map(gathered),
        1 => any::<bool>().prop_map(Value::from),
        1 => select(vec![json!({"$ref": "#/$defs/a"}), json!({"$ref": "#/$defs/b"})]),
    ];
    let body = leaf.prop_recursive(3, 24, 3, |inner| {
        let keywords = (
            prop::collection::vec(assertion(), 0..3),
            prop::collection::vec(applicator(inner), 0..3),
        );
        keywords.prop_map(|(mut one, other)| {
            one.extend(other);
            gathered(one)
        })
    });
    let plain = prop::collection::vec(assertion(), 0..3).prop_map(gathered);
    let node = prop::collection::vec(assertion(), 0..2).prop_map(|mut keywords| {
        keywords.push(("recurse", json!("#/$defs/b")));
        gathered(keywords)
    });
    (body, plain, node).prop_map(|(mut body, a, b)| {
        if let Value::Object(members) = &mut body {
            members.insert("$defs".to_owned(), json!({ "a": a, "b": b }));
        } else {
            return body;
        }
        body
    })
}

/// Changes one thing somewhere, as people do.
pub(super) fn changed(schema: &Value, seed: &mut u64, with: &Value) -> Value {
    let mut next = |below: usize| {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap() % below.max(1)
    };
    match schema {
        Value::Object(members) if !members.is_empty() => {
            let keys = members.keys().filter(|key| *key != "$ref").cloned().collect::<Vec<_>>();
            let Some(key) = keys.get(next(keys.len())).cloned() else { return schema.clone() };
            let mut members = members.clone();
            match next(6) {
                0 if key != "$defs" => {
                    members.remove(&key);
                }
                1 => {
                    if let Some((key, value)) = with.as_object().and_then(|with| with.iter().next())
                    {
                        members.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
                _ => {
                    let value = changed(&members[&key], seed, with);
                    members.insert(key, value);
                }
            }
            Value::Object(members)
        }
        Value::Array(items) if !items.is_empty() => {
            let mut items = items.clone();
            let index = next(items.len());
            if next(4) == 0 && items.len() > 1 {
                items.remove(index);
            } else {
                items[index] = changed(&items[index], seed, with);
            }
            Value::Array(items)
        }
        Value::Number(number) => match number.as_i64() {
            Some(number) if next(2) == 0 => json!(number + 1),
            Some(number) => json!((number - 1).max(0)),
            None => schema.clone(),
        },
        Value::Bool(value) if next(3) == 0 => json!(!value),
        other => other.clone(),
    }
}

/// The crate's own view of the schema as it is written.
fn library(schema: &Value) -> Option<Validator> {
    options().build(schema).ok()
}

#[derive(Debug, Default)]
struct Tally {
    compatible: usize,
    incompatible: usize,
    unknown: usize,
}

fn holds(
    reader: &Value,
    writer: &Value,
    values: &[Value],
    tally: &mut Tally,
) -> Result<(), TestCaseError> {
    let (Ok(read), Ok(written)) =
        (parse(&reader.to_string(), &[]), parse(&writer.to_string(), &[]))
    else {
        return Ok(());
    };
    let (Some(reads), Some(writes)) = (library(reader), library(writer)) else { return Ok(()) };
    let comparison = compare(&read, &written, &mut Budget::new(200_000));
    match comparison.verdict() {
        Verdict::Compatible => tally.compatible += 1,
        Verdict::Incompatible => tally.incompatible += 1,
        Verdict::Unknown => tally.unknown += 1,
    }
    for value in values {
        let (accepted, read) = (writes.is_valid(value), reads.is_valid(value));
        if accepted && !read {
            prop_assert!(
                comparison.verdict() != Verdict::Compatible,
                "reader {reader}\nwriter {writer}\nvalue {value}"
            );
        }
    }
    Ok(())
}

proptest! {
    // `PROPTEST_CASES` asks for more.
    #![proptest_config(match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(120),
    })]

    #[test]
    fn a_compatible_reader_reads_whatever_the_writer_writes(
        writer in schemas(),
        other in schemas(),
        seeds in prop::collection::vec(any::<u64>(), 3),
        values in prop::collection::vec(values(), 60),
    ) {
        let mut tally = Tally::default();
        for mut seed in seeds {
            let reader = changed(&writer, &mut seed, &other);
            holds(&reader, &writer, &values, &mut tally)?;
            holds(&writer, &reader, &values, &mut tally)?;
        }
        holds(&other, &writer, &values, &mut tally)?;
    }

    /// What the crate says of a schema as it is written, it says of the normalised one; and our own
    /// judge of single nodes says the same wherever it says anything.
    #[test]
    fn a_value_is_judged_alike_by_all(schema in schemas(), values in prop::collection::vec(values(), 30)) {
        let Ok(parsed) = parse(&schema.to_string(), &[]) else { return Ok(()) };
        let Some(written) = library(&schema) else { return Ok(()) };
        for value in &values {
            let wanted = written.is_valid(value);
            prop_assert_eq!(parsed.validator.is_valid(value), wanted, "{} {}", &schema, value);
            prop_assert_eq!(validate(&parsed, value).is_empty(), wanted, "{} {}", &schema, value);
            let judged = parsed.accepts(0, value, &mut Budget::new(100_000)).unwrap();
            if let Some(judged) = judged {
                prop_assert_eq!(judged, wanted, "{} {}", &schema, value);
            }
        }
    }

    #[test]
    fn a_schema_is_compatible_with_itself(schema in schemas()) {
        let Ok(parsed) = parse(&schema.to_string(), &[]) else { return Ok(()) };
        let again = parse(&canonical(&parsed), &[]).unwrap();
        prop_assert_eq!(canonical(&again), canonical(&parsed));
        let comparison = compare(&parsed, &again, &mut Budget::new(200_000));
        prop_assert_eq!(comparison.verdict(), Verdict::Compatible, "{} {:?}", schema, comparison);
    }
}

/// That the property above is about something: each verdict is met often.
#[test]
fn random_schemas_meet_every_verdict() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::default();
    for round in 0..300_u64 {
        let writer = schemas().new_tree(&mut runner).unwrap().current();
        let other = schemas().new_tree(&mut runner).unwrap().current();
        let reader = changed(&writer, &mut round.wrapping_mul(7_919), &other);
        holds(&reader, &writer, &[], &mut tally).unwrap();
        holds(&other, &writer, &[], &mut tally).unwrap();
    }
    println!("{tally:?}");
    assert!(tally.compatible >= 50 && tally.incompatible >= 50, "{tally:?}");
}
