use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(format: Format, text: &str) -> Schema {
    match Schema::parse(format, text, &[]) {
        Ok(schema) => schema,
        Err(violations) => panic!("{text}: {violations:?}"),
    }
}

/// Each change in a line: kind, path, types, verdicts, rules (`<` of the new version as the reader).
fn lines(old: &Schema, new: &Schema) -> Vec<String> {
    let line = |change: FieldChange| {
        let rules = change.differences.iter().map(|(direction, difference)| {
            let sign = if *direction == Direction::NewReadsOld { '<' } else { '>' };
            format!("{sign}{}", difference.rule)
        });
        let types = [change.old_type, change.new_type].map(|kind| kind.unwrap_or("-".into()));
        let FieldChange { kind, path, backward, forward, .. } = change;
        let rules = rules.collect::<Vec<_>>().join(" ");
        format!("{kind} {path}: {} => {}; {backward} {forward}; {rules}", types[0], types[1])
    };
    changes(old, new).into_iter().map(line).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better without borrowing them")]
fn avro(fields: Value) -> Schema {
    read(Format::Avro, &json!({ "type": "record", "name": "R", "fields": fields }).to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better without borrowing them")]
fn object(schema: Value) -> Schema {
    read(Format::Json, &schema.to_string())
}

fn proto(body: &str) -> Schema {
    read(Format::Protobuf, &format!("syntax = \"proto3\"; package a.b; {body}"))
}

#[test]
fn of_avro() {
    let address = |fields: Value| json!({ "type": "record", "name": "Address", "fields": fields });
    let old = avro(json!([
        { "name": "id", "type": "int" },
        { "name": "gone", "type": "string" },
        { "name": "home", "type": address(json!([{ "name": "zip", "type": "int" }])) },
        { "name": "work", "type": ["null", "Address"], "default": null },
        { "name": "tags", "type": { "type": "array", "items": "int" } },
        { "name": "same", "type": "string" },
    ]));
    let new = avro(json!([
        { "name": "id", "type": "long" },
        { "name": "home", "type": address(json!([{ "name": "zip", "type": "string" }])) },
        { "name": "work", "type": ["null", "Address"], "default": null },
        { "name": "tags", "type": { "type": "array", "items": "string" } },
        { "name": "same", "type": "string" },
        { "name": "note", "type": "string", "default": "" },
        { "name": "must", "type": "string" },
    ]));
    let expected = [
        "DROPPED gone: string => -; COMPATIBLE INCOMPATIBLE; >READER_FIELD_MISSING_DEFAULT_VALUE",
        "CHANGED home.zip: int => string; INCOMPATIBLE INCOMPATIBLE; <TYPE_MISMATCH >TYPE_MISMATCH",
        "CHANGED id: int => long; COMPATIBLE INCOMPATIBLE; >TYPE_MISMATCH <TYPE_PROMOTED",
        "ADDED must: - => string; INCOMPATIBLE COMPATIBLE; <READER_FIELD_MISSING_DEFAULT_VALUE",
        "ADDED note: - => string; COMPATIBLE COMPATIBLE; <FIELD_ADDED",
        "CHANGED tags: array of int => array of string; INCOMPATIBLE INCOMPATIBLE; \
         <TYPE_MISMATCH >TYPE_MISMATCH",
        // The type is written out in `home`, and its difference is one of `work` as well.
        "CHANGED work.zip: int => string; INCOMPATIBLE INCOMPATIBLE; <TYPE_MISMATCH >TYPE_MISMATCH",
    ];
    assert_eq!(lines(&old, &new), expected);
}

#[test]
fn of_avro_that_is_not_looked_into() {
    let old = avro(json!([
        { "name": "a", "type":
            { "type": "record", "name": "A", "fields": [{ "name": "x", "type": "int" }] } },
        { "name": "e", "type": { "type": "enum", "name": "E", "symbols": ["P", "Q"] } },
    ]));
    let new = avro(json!([
        { "name": "a", "type": "string" },
        { "name": "e", "type": { "type": "enum", "name": "E", "symbols": ["P"] } },
    ]));
    let expected = [
        "CHANGED a: record A => string; INCOMPATIBLE INCOMPATIBLE; <TYPE_MISMATCH >TYPE_MISMATCH",
        // Nobody looked at it.
        "DROPPED a.x: int => -; UNKNOWN UNKNOWN; ",
        "CHANGED e: enum E => enum E; INCOMPATIBLE COMPATIBLE; \
         <MISSING_ENUM_SYMBOLS >ENUM_SYMBOLS_ADDED",
    ];
    assert_eq!(lines(&old, &new), expected);
    let other = read(Format::Avro, r#"{"type":"record","name":"S","fields":[]}"#);
    let none = avro(json!([]));
    let expected = ["OTHER : - => -; INCOMPATIBLE INCOMPATIBLE; <NAME_MISMATCH >NAME_MISMATCH"];
    assert_eq!(lines(&none, &other), expected);
}

#[test]
fn of_json() {
    let old = object(json!({
        "type": "object",
        "properties": {
            "id": { "type": "integer" },
            "gone": { "type": "string" },
            "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
        },
        "additionalProperties": false,
        "$defs": { "line": { "properties": { "sku": { "type": "string" } } } },
    }));
    let new = object(json!({
        "type": "object",
        "properties": {
            "id": { "type": "number" },
            "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
        },
        "additionalProperties": false,
        "required": ["id"],
        "$defs": { "line": { "properties": { "sku": { "type": "string", "maxLength": 9 } } } },
    }));
    let told = lines(&old, &new);
    let kinds: Vec<_> = told.iter().map(|line| line.split(';').next().unwrap()).collect();
    let expected = [
        "CHANGED *: never => never",
        "OTHER /required: - => -",
        "DROPPED gone: string => -",
        "CHANGED id: integer => number",
        "CHANGED lines[].sku: string => string",
    ];
    assert_eq!(kinds, expected, "{told:#?}");
    assert!(told[2].contains("; UNKNOWN COMPATIBLE;"), "{told:#?}");
    assert!(told[3].contains("INCOMPATIBLE; >"), "{told:#?}");
    assert!(told[4].ends_with("INCOMPATIBLE COMPATIBLE; <MAX_LENGTH_ADDED"), "{told:#?}");
}

/// That a field is not read is told of all those that are not named.
#[test]
fn of_json_that_is_closed() {
    let closed = |properties: Value| {
        let item = json!({ "properties": properties, "additionalProperties": false });
        let list = json!({ "type": "array", "minItems": 1, "items": false, "prefixItems": [item] });
        object(json!({ "type": "object", "properties": { "list": list }, "required": ["list"] }))
    };
    let text = json!({ "type": "string" });
    let told = lines(&closed(json!({ "a": text, "b": text })), &closed(json!({ "a": text })));
    let expected = [
        "CHANGED list[0].*: never => never; INCOMPATIBLE COMPATIBLE; \
         <PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
        "DROPPED list[0].b: string => -; UNKNOWN COMPATIBLE; ",
    ];
    assert_eq!(told, expected);
}

#[test]
fn of_protobuf() {
    let old = proto(
        "message Order { int32 id = 1; string gone = 2; S state = 3; message In { int32 x = 1; } }
         message Old { int32 y = 1; } enum S { A = 0; B = 1; }",
    );
    let new = proto(
        "message Order { string id = 1; S state = 3; bool more = 4; message In { int64 x = 1; } }
         enum S { A = 0; }",
    );
    let expected = [
        "DROPPED Old.y: int32 = 1 => -; UNKNOWN COMPATIBLE; ",
        "CHANGED Order.In.x: int32 = 1 => int64 = 1; COMPATIBLE UNKNOWN; \
         >FIELD_KIND_NARROWED <FIELD_KIND_WIDENED",
        "DROPPED Order.gone: string = 2 => -; COMPATIBLE COMPATIBLE; \
         <FIELD_REMOVED_WITHOUT_RESERVING >FIELD_ADDED",
        "CHANGED Order.id: int32 = 1 => string = 1; INCOMPATIBLE INCOMPATIBLE; \
         <FIELD_KIND_CHANGED >FIELD_KIND_CHANGED",
        "ADDED Order.more: - => bool = 4; COMPATIBLE COMPATIBLE; \
         <FIELD_ADDED >FIELD_REMOVED_WITHOUT_RESERVING",
        "OTHER a.b.Old: - => -; INCOMPATIBLE COMPATIBLE; <MESSAGE_REMOVED >MESSAGE_ADDED",
        "OTHER a.b.S.B(1): - => -; COMPATIBLE COMPATIBLE; <ENUM_VALUE_REMOVED >ENUM_VALUE_ADDED",
    ];
    assert_eq!(lines(&old, &new), expected);
}

#[test]
fn of_two_formats_nothing_is_compared() {
    let old = avro(json!([{ "name": "a", "type": "int" }]));
    let new = object(json!({ "properties": { "a": { "type": "integer" } } }));
    let expected = [
        "OTHER : - => -; INCOMPATIBLE INCOMPATIBLE; <FORMAT_CHANGED >FORMAT_CHANGED",
        "CHANGED a: int => integer; UNKNOWN UNKNOWN; ",
    ];
    assert_eq!(lines(&old, &new), expected);
}

#[test]
fn what_was_not_finished_is_unknown() {
    let fields = |kind: &str| {
        let field = |index| json!({ "name": format!("f{index}"), "type": kind });
        avro(json!((0..50).map(field).collect::<Vec<_>>()))
    };
    let (old, new) = (fields("int"), fields("long"));
    let compared = |steps| {
        let backward = new.reads_within(&old, &mut Budget::new(steps));
        let forward = old.reads_within(&new, &mut Budget::new(COMPARISON_STEPS));
        between(&Fields::of(&old), &Fields::of(&new), (backward, forward))
    };
    let verdicts = |changes: &[FieldChange]| {
        let of_fields = changes.iter().filter(|change| change.kind == ChangeKind::Changed);
        of_fields.map(|change| (change.backward, change.forward)).collect::<Vec<_>>()
    };
    let whole = compared(COMPARISON_STEPS);
    assert_eq!(verdicts(&whole), [(Verdict::Compatible, Verdict::Incompatible); 50]);
    let part = compared(60);
    assert_eq!(verdicts(&part), [(Verdict::Unknown, Verdict::Incompatible); 50]);
    assert_eq!(part[0].kind, ChangeKind::Other);
    assert_eq!(part[0].differences[0].1.rule, "TOO_MUCH_WORK");
}

#[test]
fn a_type_of_very_many_fields_is_bounded() {
    let symbols = |count: usize| (0..count).map(|index| format!("S{index}")).collect::<Vec<_>>();
    let schema = |count| {
        let of = json!({ "type": "enum", "name": "E", "symbols": symbols(count) });
        let field = |index| {
            let kind = if index == 0 { of.clone() } else { json!("E") };
            json!({ "name": format!("f{index}"), "type": kind })
        };
        avro(json!((0..9_000).map(field).collect::<Vec<_>>()))
    };
    let changes = changes(&schema(3), &schema(2));
    assert_eq!(changes.len(), 9_000);
    assert!(changes.iter().all(|change| change.backward == Verdict::Incompatible));
    let bytes = changes.iter().flat_map(|change| &change.differences);
    assert!(bytes.map(|(_, told)| told.message.len()).sum::<usize>() <= MAX_TOLD_BYTES);
}

/// Of what is not listed nobody knows whether it is there.
#[test]
fn more_fields_than_are_listed() {
    let schema = |first: &str| {
        let text = |name: String| json!({ "name": name, "type": "string", "default": "" });
        let many = (0..10_000).map(|index| text(format!("f{index}")));
        avro(json!(std::iter::once(text(first.to_owned())).chain(many).collect::<Vec<_>>()))
    };
    let (old, new) = (schema("f9998_"), schema("a"));
    let told = lines(&old, &new);
    assert_eq!(told.len(), 2, "{told:#?}");
    let less = avro(json!([]));
    let changes = changes(&old, &less);
    let unknown = changes.iter().filter(|change| change.backward == Verdict::Unknown).count();
    assert_eq!((changes.len(), unknown), (10_001, 10_000));
}

/// Types that are used twice in each of those that use them.
#[test]
fn types_that_double_at_each_level_end() {
    let schema = |leaf: &str| {
        let mut kind =
            json!({ "type": "record", "name": "R0", "fields": [{ "name": "x", "type": leaf }] });
        for level in 1..=18 {
            let name = format!("R{}", level - 1);
            kind = json!({ "type": "record", "name": format!("R{level}"), "fields": [
                { "name": "a", "type": kind }, { "name": "b", "type": name } ] });
        }
        read(Format::Avro, &kind.to_string())
    };
    let changes = changes(&schema("int"), &schema("string"));
    let changed = changes.iter().filter(|change| change.path.ends_with(".x"));
    assert!(changed.clone().count() > 1_000);
    assert!(changed.into_iter().all(|change| change.backward == Verdict::Incompatible));
}

/// Names with very many dots have very many parts to look at.
#[test]
fn names_full_of_dots_end() {
    let schema = |kind: &str| {
        let name = ".".repeat(400_000);
        object(json!({ "properties": { (name): { "type": kind } }, "required": [kind] }))
    };
    let changes = changes(&schema("string"), &schema("integer"));
    assert!(changes.iter().any(|change| change.kind == ChangeKind::Changed));
}

#[test]
fn a_field_has_a_history() {
    let versions = [
        avro(json!([])),
        avro(json!([{ "name": "a", "type": "int" }])),
        avro(json!([{ "name": "a", "type": "int" }, { "name": "b", "type": "int" }])),
        avro(json!([{ "name": "a", "type": "long", "default": 0 }])),
        avro(json!([])),
        avro(json!([{ "name": "a", "type": "long", "default": 0 }])),
    ];
    let number = |index: usize| VersionNumber::new(i32::try_from(index).unwrap() + 1).unwrap();
    let mut numbered: Vec<_> =
        versions.iter().enumerate().map(|(index, schema)| (number(index), schema)).collect();
    numbered.reverse();
    let steps = |path| {
        let step = |step: FieldStep| {
            let FieldChange { kind, backward, forward, .. } = step.change;
            format!("{} {kind} {backward} {forward}", step.version)
        };
        history(&numbered, path).into_iter().map(step).collect::<Vec<_>>()
    };
    let expected = [
        "2 ADDED INCOMPATIBLE COMPATIBLE",
        "4 CHANGED COMPATIBLE INCOMPATIBLE",
        "5 DROPPED COMPATIBLE COMPATIBLE",
        "6 ADDED COMPATIBLE COMPATIBLE",
    ];
    assert_eq!(steps("a"), expected);
    assert_eq!(steps("b").len(), 2);
    assert_eq!(steps("c"), [""; 0]);
    let first = history(&numbered[4..5], "a");
    assert_eq!((first[0].version, first[0].change.kind), (number(1), ChangeKind::Added));
}

/// A type of all three formats.
#[derive(Debug, Clone)]
enum Type {
    Int,
    Text,
    List(Box<Type>),
    Record(Vec<(u8, Type, bool)>),
}

/// Members that each have a name of few, so that versions share most of them.
fn record(depth: u32) -> BoxedStrategy<Type> {
    let leaf = prop_oneof![Just(Type::Int), Just(Type::Text)];
    let item = if depth == 0 {
        leaf.boxed()
    } else {
        let list = prop_oneof![leaf.clone(), record(depth - 1)];
        let list = list.prop_map(|item| Type::List(Box::new(item)));
        prop_oneof![3 => leaf, 1 => list, 1 => record(depth - 1)].boxed()
    };
    let members = prop::collection::btree_map(0..6_u8, (item, any::<bool>()), 0..5);
    let flat = |(name, (kind, needed))| (name, kind, needed);
    members.prop_map(move |all| Type::Record(all.into_iter().map(flat).collect())).boxed()
}

fn as_avro(of: &Type, name: &str) -> Value {
    match of {
        Type::Int => json!("int"),
        Type::Text => json!("string"),
        Type::List(item) => json!({ "type": "array", "items": as_avro(item, name) }),
        Type::Record(members) => {
            let field = |(index, kind, needed): &(u8, Type, bool)| {
                let kind = as_avro(kind, &format!("{name}_{index}"));
                let name = format!("f{index}");
                if *needed {
                    json!({ "name": name, "type": kind })
                } else {
                    json!({ "name": name, "type": ["null", kind], "default": null })
                }
            };
            let fields = members.iter().map(field).collect::<Vec<_>>();
            json!({ "type": "record", "name": name, "fields": fields })
        }
    }
}

fn as_json(of: &Type) -> Value {
    match of {
        Type::Int => json!({ "type": "integer" }),
        Type::Text => json!({ "type": "string" }),
        Type::List(item) => json!({ "type": "array", "items": as_json(item) }),
        Type::Record(members) => {
            let property =
                |(index, kind, _): &(u8, Type, bool)| (format!("f{index}"), as_json(kind));
            let needed = members.iter().filter(|(_, _, needed)| *needed);
            let needed = needed.map(|(index, ..)| format!("f{index}")).collect::<Vec<_>>();
            let properties = members.iter().map(property).collect::<serde_json::Map<_, _>>();
            let closed = members.len() % 2 == 0;
            json!({ "type": "object", "properties": properties, "required": needed,
                "additionalProperties": !closed })
        }
    }
}

fn as_proto(of: &Type, name: &str) -> String {
    let Type::Record(members) = of else { return String::new() };
    let mut body = String::new();
    for (index, kind, optional) in members {
        let inner = format!("M{index}");
        let (label, kind) = match kind {
            Type::List(item) => ("repeated ", &**item),
            kind => (if *optional { "optional " } else { "" }, kind),
        };
        let text = match kind {
            Type::Int => "int32",
            Type::Text => "string",
            _ => &inner,
        };
        body.push_str(&as_proto(kind, &inner));
        body.push_str(&format!("{label}{text} f{index} = {}; ", index + 1));
    }
    format!("message {name} {{ {body} }} ")
}

fn schemas(of: &Type) -> [Schema; 3] {
    [
        read(Format::Avro, &as_avro(of, "R").to_string()),
        read(Format::Json, &as_json(of).to_string()),
        proto(&as_proto(of, "R")),
    ]
}

fn mirrored(change: FieldChange) -> FieldChange {
    let kind = match change.kind {
        ChangeKind::Added => ChangeKind::Dropped,
        ChangeKind::Dropped => ChangeKind::Added,
        kind => kind,
    };
    FieldChange {
        kind,
        old_type: change.new_type,
        new_type: change.old_type,
        backward: change.forward,
        forward: change.backward,
        differences: Vec::new(),
        ..change
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Nothing is lost and nothing is made up: the worst of a direction is what the comparison says,
    /// and the other way around is the mirror.
    #[test]
    fn changes_are_what_the_comparisons_say(old in record(2), new in record(2)) {
        for (old, new) in schemas(&old).iter().zip(&schemas(&new)) {
            prop_assert_eq!(changes(old, old), []);
            let there = changes(old, new);
            for (worst, comparison) in [
                (there.iter().map(|change| change.backward).max(), new.reads(old).unwrap()),
                (there.iter().map(|change| change.forward).max(), old.reads(new).unwrap()),
            ] {
                let worst = worst.unwrap_or(Verdict::Compatible);
                prop_assert_eq!(worst, comparison.verdict(), "{:#?}", there);
            }
            let back: Vec<_> = changes(new, old).into_iter().map(mirrored).collect();
            let bare = |change| FieldChange { differences: Vec::new(), ..change };
            let there: Vec<_> = there.into_iter().map(bare).collect();
            prop_assert_eq!(back, there);
        }
    }

}

proptest! {
    // Each compares all versions for every field.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whoever follows a field's history has the field's type at the end.
    #[test]
    fn a_history_leads_to_the_last_version(all in prop::collection::vec(record(1), 1..5)) {
        let all: Vec<_> = all.iter().map(schemas).collect();
        for format in 0..3 {
            let number = |index: usize| VersionNumber::new(i32::try_from(index).unwrap() + 1);
            let versions = all.iter().enumerate();
            let versions: Vec<_> =
                versions.map(|(index, of)| (number(index).unwrap(), &of[format])).collect();
            let mut paths = BTreeSet::from(["nowhere".to_owned()]);
            paths.extend(versions.iter().flat_map(|(_, of)| of.fields()).map(|(path, _)| path));
            for path in paths {
                let mut kind = None;
                for FieldStep { change, .. } in history(&versions, &path) {
                    prop_assert_eq!(&change.old_type, &kind);
                    prop_assert_eq!(change.kind == ChangeKind::Added, kind.is_none());
                    kind = change.new_type;
                }
                let last = Fields::of(versions.last().unwrap().1);
                prop_assert_eq!(last.types.get(&path), kind.as_ref());
            }
        }
    }
}
