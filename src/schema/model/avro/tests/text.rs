//! Reading, the canonical text, payloads and fields.

use super::*;

#[track_caller]
fn same(one: &str, other: &str) {
    let read = |text: &str| canonical(&parse(text, &[]).unwrap());
    assert_eq!(read(one), read(other));
}

#[track_caller]
fn other(one: &str, other: &str) {
    let read = |text: &str| canonical(&parse(text, &[]).unwrap());
    assert_ne!(read(one), read(other));
}

#[test]
fn the_same_schema_written_differently_is_the_same_text() {
    same(r#""int""#, r#"{"type": "int"}"#);
    same(r#"{"type":{"type":"long","logicalType":"x"}}"#, r#"{"logicalType":"x", "type":"long"}"#);
    same(
        r#"{"type":"record","name":"a.b.R","fields":[{"name":"f","type":{"type":"fixed","name":"F","size":1}}]}"#,
        r#"{"fields":[{"type":{"size":1,"namespace":"a.b","name":"F","type":"fixed"},"name":"f"}],
            "namespace":"a.b","name":"R","type":"record"}"#,
    );
    same(
        r#"{"type":"record","name":"R","aliases":[],"fields":[{"name":"f","order":"ascending","type":"double","default":1.0}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"f","type":"double","default":1,"aliases":[]}]}"#,
    );
    same(
        r#"{"type":"enum","name":"x.E","aliases":["B","x.A","A"],"symbols":["S"]}"#,
        r#"{"type":"enum","namespace":"x","name":"E","aliases":["A","x.B"],"symbols":["S"]}"#,
    );
    same(
        r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":0}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":4}"#,
    );
    same(r#""\u0069nt""#, r#""int""#);
}

#[test]
fn what_matters_to_a_reader_or_a_person_is_another_text() {
    let field = |more: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":"int"{more}}}]}}"#)
    };
    let changes = [
        "",
        r#","default":1"#,
        r#","default":2"#,
        r#","aliases":["g"]"#,
        r#","doc":"d""#,
        r#","doc":"""#,
        r#","order":"descending""#,
        r#","sensitivity":"high""#,
    ];
    for (index, one) in changes.iter().enumerate() {
        for two in changes.iter().skip(index + 1) {
            other(&field(one), &field(two));
        }
    }
    other(r#"["null","int"]"#, r#"["int","null"]"#);
    other(r#"{"type":"int","logicalType":"date"}"#, r#""int""#);
    other(
        r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
        r#"{"type":"enum","name":"E","symbols":["B","A"]}"#,
    );
    other(r#"{"type":"fixed","name":"a.E","size":1}"#, r#"{"type":"fixed","name":"E","size":1}"#);
    let zero =
        |default: &str| field("").replace("\"int\"", &format!("\"double\",\"default\":{default}"));
    other(&zero("0.0"), &zero("-0.0"));
}

#[test]
fn the_canonical_text_is_a_schema_with_the_same_canonical_text() {
    let text = r#"{"type":"record","name":"a.R","doc":"é\n","fields":[
        {"name":"n","type":{"type":"fixed","name":".N","size":2}},
        {"name":"m","type":[".N","null",{"type":"array","items":"R","x":[1,{"b":1,"a":null}]}]}]}"#;
    let first = canonical(&parse(text, &[]).unwrap());
    assert_eq!(
        first,
        concat!(
            r#"{"doc":"é\n","fields":[{"name":"n","type":{"name":".N","size":2,"type":"fixed"}},"#,
            r#"{"name":"m","type":[".N","null",{"items":"a.R","type":"array","x":[1,{"a":null,"b":1}]}]}],"#,
            r#""name":"a.R","type":"record"}"#,
        )
    );
    assert_eq!(canonical(&parse(&first, &[]).unwrap()), first);
}

#[test]
fn references_are_read_before_and_stay_out_of_the_text() {
    let money =
        r#"{"type":"record","name":"shop.Money","fields":[{"name":"cents","type":"long"}]}"#;
    let line = r#"{"type":"record","name":"shop.Line","fields":[{"name":"price","type":"Money"}]}"#;
    let order = r#"{"type":"record","name":"shop.Order","fields":[
        {"name":"lines","type":{"type":"array","items":"Line"}},{"name":"total","type":"shop.Money"}]}"#;
    let references = |money: &str| {
        [("money".to_owned(), money.to_owned()), ("line".to_owned(), line.to_owned())]
    };
    let schema = parse(order, &references(money)).unwrap();
    assert_eq!(schema.name(), Some("shop.Order"));
    assert!(!canonical(&schema).contains("cents"));
    let wider = parse(order, &references(&money.replace("long", "double"))).unwrap();
    let comparison = compare(&schema, &wider, &mut Budget::new(STEPS));
    let paths: Vec<_> = comparison.differences.iter().map(|told| told.path.as_str()).collect();
    assert_eq!(paths, ["money#/fields/0/type"]);
    let violations = parse(order, &references(money)[1..]).unwrap_err();
    assert_eq!(violations[0].path, "line#/fields/0/type");
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let told = refused(&json!({ "type": "record", "name": "R", "fields": [
        { "name": "1", "type": "int" },
        { "name": "a", "type": "strnig" },
        { "name": "a", "type": ["int", ["null"]] },
        { "name": "b", "type": ["int", "int"] },
        { "name": "c", "type": { "type": "array" } },
        { "name": "d", "type": { "type": "enum", "name": "E", "symbols": ["A", "A", "?"], "default": "B" } },
        { "name": "e", "type": { "type": "fixed", "name": "F", "size": -1 } },
        { "name": "f", "type": { "type": "fixed", "name": "F", "size": 1, "aliases": [7] } },
        { "name": "g" },
        { "name": "h", "type": 7 },
    ] }));
    let places: Vec<_> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "/fields/0/name",
            "/fields/1/type",
            "/fields/2/name",
            "/fields/2/type/1",
            "/fields/3/type/1",
            "/fields/4/type",
            "/fields/5/type/symbols/1",
            "/fields/5/type/symbols/2",
            "/fields/5/type/default",
            "/fields/6/type/size",
            "/fields/7/type/name",
            "/fields/8",
            "/fields/9/type",
        ]
    );
    let logical = json!({ "type": "int", "logicalType": 1 });
    assert_eq!(refused(&logical), ["/logicalType: must be a name"]);
    assert_eq!(parse("{", &[]).unwrap_err()[0].path, "1:1");
    assert_eq!(
        refused(&json!({ "type": "record", "name": "a b", "fields": [] })),
        ["/name: is no name: \"a b\""]
    );
}

#[test]
fn a_default_is_a_value_of_its_type() {
    let with = |kind: Value, default: Value| {
        record("R", json!([{ "name": "a", "type": kind, "default": default }]))
    };
    let inner = record(
        "I",
        json!([{ "name": "x", "type": "int" }, { "name": "y", "type": "int", "default": 1 }]),
    );
    for (kind, default) in [
        (json!("int"), json!(7)),
        (json!("bytes"), json!("\u{ff}")),
        (json!(["null", "int"]), json!(null)),
        (json!(["null", "int"]), json!(7)),
        (inner.clone(), json!({ "x": 1 })),
        (json!({ "type": "array", "items": "string" }), json!(["a"])),
        (json!("double"), json!("NaN")),
    ] {
        read(&with(kind, default));
    }
    for (kind, default) in [
        (json!("int"), json!("7")),
        (json!("int"), json!(3_000_000_000_u64)),
        (json!("int"), json!(1.5)),
        (json!("bytes"), json!("\u{100}")),
        (json!(["null", "int"]), json!("a")),
        (inner, json!({ "y": 1 })),
        (json!({ "type": "array", "items": "string" }), json!(["a", 1])),
        (json!("string"), json!(null)),
    ] {
        let told = refused(&with(kind, default));
        assert!(told[0].starts_with("/fields/0/default: is no value"), "{told:?}");
    }
}

fn order() -> AvroSchema {
    read(&record(
        "shop.Order",
        json!([
            { "name": "id", "type": "long" },
            { "name": "note", "type": ["null", "string"] },
            { "name": "state", "type": { "type": "enum", "name": "State", "symbols": ["NEW", "DONE"] } },
            { "name": "lines", "type": { "type": "array", "items": record("Line", json!([
                { "name": "count", "type": "int" },
                { "name": "more", "type": ["null", "Line"] },
            ])) } },
            { "name": "tags", "type": { "type": "map", "values": "bytes" } },
        ]),
    ))
}

#[test]
fn a_payload_is_checked_as_a_whole() {
    let schema = order();
    let check = |datum: Value| {
        let told = validate(&schema, &datum, &mut Budget::new(STEPS));
        told.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        check(json!({
            "id": 1, "note": { "string": "a" }, "state": "NEW", "tags": { "a/b": "\u{1}" },
            "lines": [{ "count": 1, "more": { "shop.Line": { "count": 2, "more": null } } }],
        })),
        [""; 0]
    );
    assert_eq!(
        check(json!({
            "id": "1", "note": "a", "state": "OLD", "tags": { "a/b": "\u{1000}" }, "extra": 1,
            "lines": [{ "count": 3_000_000_000_u64, "more": { "Line": null } }, 7, {}],
        })),
        [
            "/id: is \"1\", not long",
            "/note: is \"a\", not null or {\"<type>\": <value>} as a union's values are",
            "/state: is \"OLD\", not enum shop.State",
            "/lines/0/count: is 3000000000, not int",
            "/lines/0/more: is of type \"Line\", which is not in the union",
            "/lines/1: is 7, not record shop.Line",
            "/lines/2: has no field count",
            "/lines/2: has no field more",
            "/tags/a~1b: is \"\u{1000}\", not bytes",
            "/extra: is no field of the record",
        ]
    );
    let told =
        validate(&schema, &json!({ "lines": vec![json!(7); 1_000] }), &mut Budget::new(STEPS));
    assert_eq!(told.len(), MAX_VIOLATIONS);
    let told = validate(&schema, &json!({}), &mut Budget::new(0));
    assert_eq!(told[0].message, "takes more work to check than may be done");
}

#[test]
fn bytes_are_one_value_and_nothing_more() {
    let schema = order();
    let check = |bytes: &[u8]| {
        let told = decode_check(&schema, bytes, &mut Budget::new(STEPS));
        told.iter().map(ToString::to_string).collect::<String>()
    };
    // id 1, note "a", state DONE, one line of 2, a tag.
    let good = [2, 2, 2, b'a', 2, 2, 4, 0, 0, 2, 2, b'k', 2, 9, 0];
    assert_eq!(check(&good), "");
    assert_eq!(check(&[&good[..], &[0]].concat()), "1 bytes are left over");
    for length in 0..good.len() {
        assert!(
            check(&good[..length]).contains("and 0 are left"),
            "{length}: {}",
            check(&good[..length])
        );
    }
    assert_eq!(check(&[2, 6]), "/note: 3 is the number of no type of the union");
    assert_eq!(check(&[2, 2, 1]), "/note: its length is -1");
    assert_eq!(check(&[2, 2, 2, 0xff]), "/note: is no UTF-8");
    assert_eq!(check(&[2, 0, 4]), "/state: 2 is the number of no symbol");
    assert_eq!(check(&[0xff; 11]), "/id: a number is longer than 64 bits");
    // A block with its size, right and wrong.
    assert_eq!(check(&[2, 0, 0, 1, 4, 4, 0, 0, 0]), "");
    assert_eq!(
        check(&[2, 0, 0, 1, 6, 4, 0, 0, 0]),
        "/lines: a block says that it has 3 bytes, and has 2"
    );
}

#[test]
fn fields_are_listed_with_their_types() {
    let listed = fields(&order());
    let listed: Vec<_> = listed.iter().map(|(path, kind)| format!("{path}: {kind}")).collect();
    assert_eq!(
        listed,
        [
            "id: long",
            "note: union of null, string",
            "state: enum shop.State",
            "lines: array of record shop.Line",
            "lines[].count: int",
            "lines[].more: union of null, record shop.Line",
            "tags: map of bytes",
        ]
    );
}
