//! Whatever a run reports, a draft of it is a schema, and the run does not drift from it.

use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-cA-C]{1,2}",
        2 => "[a-c _.0-9]{0,3}",
        1 => Just("openlineage.name".to_owned()),
        1 => any::<String>(),
    ]
}

fn word() -> impl Strategy<Value = String> {
    let known: Vec<&str> = WORDS.iter().flat_map(|(_, words)| words.iter().copied()).collect();
    let known = prop::sample::select(known).prop_map(str::to_owned);
    let digits = (any::<u64>(), any::<u64>()).prop_map(|(p, s)| format!("decimal({p},{s})"));
    let leaf = prop_oneof![4 => known, 1 => digits, 1 => "[a-z<>(),:\\[\\] `\"0-9]{0,20}"];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let named = ("[a-c]{1,2}", inner.clone()).prop_map(|(name, word)| format!("{name}:{word}"));
        let record = prop::collection::vec(named, 1..4);
        prop_oneof![
            inner.clone().prop_map(|item| format!("array<{item}>")),
            inner.prop_map(|value| format!("map<string, {value}>")),
            record.prop_map(|members| format!("struct<{}>", members.join(","))),
        ]
    })
}

/// Fields of any form, and what is none.
fn facet() -> impl Strategy<Value = Value> {
    let leaf = (name(), prop::option::of(word()), prop::option::of(any::<String>()));
    let leaf = leaf.prop_map(|(name, kind, description)| {
        json!({ "name": name, "type": kind, "description": description })
    });
    let field = prop_oneof![20 => leaf, 1 => Just(json!(1)), 1 => Just(json!({ "type": "int" }))];
    let field = field.prop_recursive(4, 40, 6, |inner| {
        let names = prop_oneof![3 => name(), 1 => prop::sample::select(vec!["_element", "key", "value"])
            .prop_map(str::to_owned)];
        (names, word(), prop::collection::vec(inner, 0..6)).prop_map(|(name, kind, fields)| {
            json!({ "name": name, "type": kind, "fields": fields })
        })
    });
    prop::collection::vec(field, 0..8).prop_map(Value::Array)
}

/// How many fields a facet has.
fn count(fields: &Value) -> usize {
    facet::read(fields).shape.members.map_or(0, |members| members.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_run_does_not_drift_from_its_draft(fields in facet(), name in name()) {
        match draft(&fields, &name) {
            Ok(text) => {
                let schema = Schema::parse(Format::Avro, &text, &[]);
                prop_assert!(schema.is_ok(), "{:?}: {}", schema, text);
                prop_assert_eq!(drift(&fields, &schema.unwrap()), [], "{}", text);
                prop_assert_eq!(&draft(&fields, &name).unwrap(), &text);
                let canonical = read(Format::Avro, &text).canonical();
                prop_assert_eq!(drift(&fields, &read(Format::Avro, &canonical)), [], "{}", canonical);
            }
            Err(NoDraft::NoFields) => prop_assert_eq!(count(&fields), 0),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    /// A field more is told in one direction, a field less in the other.
    #[test]
    fn a_field_more_or_less_is_told(fields in facet(), word in word()) {
        let mut more = fields.clone();
        more.as_array_mut().unwrap().push(json!({ "name": "one more", "type": word }));
        let kinds = |fields: &Value, bound: &Value| {
            let bound = read(Format::Avro, &draft(bound, "R").unwrap());
            drift(fields, &bound).into_iter().map(|drifted| drifted.kind).collect::<Vec<_>>()
        };
        prop_assume!(count(&fields) > 0 && count(&more) > count(&fields));
        prop_assert_eq!(kinds(&more, &fields), [DriftKind::NotInSchema]);
        prop_assert_eq!(kinds(&fields, &more), [DriftKind::NotReported]);
    }

    /// Any text at all is a type of some family, in bounded work.
    #[test]
    fn any_words_are_read(word in any::<String>()) {
        let fields = json!([{ "name": "a", "type": word }]);
        prop_assert!(draft(&fields, "R").is_ok());
    }
}
