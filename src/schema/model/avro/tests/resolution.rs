//! The rules of schema resolution, each from both sides.

use super::*;

const NONE: &[&str] = &[];

#[expect(clippy::needless_pass_by_value, reason = "literals read better without borrowing them")]
#[track_caller]
fn expect(reader: Value, writer: Value, verdict: Verdict, told: &[&str]) {
    let (found, rules) = rules(&reader, &writer);
    assert_eq!(
        (found, rules.iter().map(String::as_str).collect::<Vec<_>>()),
        (verdict, told.to_vec())
    );
}

use Verdict::{Compatible, Incompatible, Unknown};

#[test]
fn numbers_and_strings_are_promoted_one_way() {
    let promotions = [
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    ];
    let all = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    for from in all {
        for to in all {
            let (verdict, told) = match (from == to, promotions.contains(&(from, to))) {
                (true, _) => (Compatible, NONE),
                (_, true) => (Compatible, &[" TYPE_PROMOTED"] as &[_]),
                _ => (Incompatible, &[" TYPE_MISMATCH"] as &[_]),
            };
            expect(json!(to), json!(from), verdict, told);
        }
    }
}

#[test]
fn all_differences_are_told_with_their_places() {
    let writer = record(
        "R",
        json!([
            { "name": "a", "type": "long" },
            { "name": "gone", "type": "string" },
            { "name": "e", "type": { "type": "enum", "name": "E", "symbols": ["A", "B", "C"] } },
            { "name": "u", "type": ["null", "string", "double"] },
            { "name": "l", "type": { "type": "array", "items": { "type": "map", "values": "string" } } },
        ]),
    );
    let reader = record(
        "R",
        json!([
            { "name": "a", "type": "int" },
            { "name": "e", "type": { "type": "enum", "name": "E", "symbols": ["A", "X"] } },
            { "name": "u", "type": ["null", "int"] },
            { "name": "l", "type": { "type": "array", "items": { "type": "map", "values": "int" } } },
            { "name": "new", "type": "string" },
            { "name": "more", "type": "string", "default": "" },
        ]),
    );
    expect(
        reader,
        writer,
        Incompatible,
        &[
            "/fields FIELD_REMOVED",
            "/fields/0/type TYPE_MISMATCH",
            "/fields/1/type/symbols ENUM_SYMBOLS_ADDED",
            "/fields/1/type/symbols MISSING_ENUM_SYMBOLS",
            "/fields/2/type MISSING_UNION_BRANCH",
            "/fields/2/type MISSING_UNION_BRANCH",
            "/fields/2/type UNION_BRANCH_ADDED",
            "/fields/3/type/items/values TYPE_MISMATCH",
            "/fields/4 READER_FIELD_MISSING_DEFAULT_VALUE",
            "/fields/5 FIELD_ADDED",
        ],
    );
}

#[test]
fn messages_say_both_sides() {
    let reader = record("R", json!([{ "name": "a", "type": "int" }]));
    let writer = record("R", json!([{ "name": "a", "type": "string" }]));
    let comparison = compared(&reader, &writer);
    assert_eq!(comparison.differences[0].message, "int cannot be read from string");
}

#[test]
fn a_field_is_found_by_the_readers_alias_only() {
    let new = record("R", json!([{ "name": "new", "aliases": ["old"], "type": "int" }]));
    let old = record("R", json!([{ "name": "old", "type": "int" }]));
    expect(new.clone(), old.clone(), Compatible, &["/fields/0 FIELD_RENAMED"]);
    let told = ["/fields FIELD_REMOVED", "/fields/0 READER_FIELD_MISSING_DEFAULT_VALUE"];
    expect(old, new, Incompatible, &told);
}

#[test]
fn an_alias_of_a_field_that_is_read_by_its_name_cannot_be_told() {
    let reader = record(
        "R",
        json!([
            { "name": "a", "type": "int" },
            { "name": "b", "aliases": ["a"], "type": "int" },
        ]),
    );
    let writer = record("R", json!([{ "name": "a", "type": "int" }]));
    expect(reader, writer, Unknown, &["/fields/1 ALIAS_AMBIGUOUS"]);
}

#[test]
fn types_match_by_unqualified_name_or_by_the_readers_full_alias() {
    let named = |name: &str, aliases: Value| {
        [
            json!({ "type": "record", "name": name, "aliases": aliases, "fields": [] }),
            json!({ "type": "enum", "name": name, "aliases": aliases, "symbols": ["A"] }),
            json!({ "type": "fixed", "name": name, "aliases": aliases, "size": 2 }),
        ]
    };
    let pairs = [
        ("a.T", json!([]), "a.T", Compatible, NONE),
        ("a.T", json!([]), "b.T", Compatible, &[" NAMESPACE_CHANGED"]),
        ("a.T", json!([]), "a.U", Incompatible, &[" NAME_MISMATCH"]),
        ("a.T", json!(["U"]), "a.U", Compatible, &[" TYPE_RENAMED"]),
        ("a.T", json!(["b.U"]), "b.U", Compatible, &[" TYPE_RENAMED"]),
        ("a.T", json!(["U"]), "b.U", Incompatible, &[" NAME_MISMATCH"]),
    ];
    for (reader, aliases, writer, verdict, told) in pairs {
        for (reader, writer) in named(reader, aliases).iter().zip(named(writer, json!([]))) {
            expect(reader.clone(), writer, verdict, told);
        }
    }
    // The writer's alias says nothing.
    let (reader, writer) = (named("T", json!([])), named("U", json!(["T"])));
    expect(reader[0].clone(), writer[0].clone(), Incompatible, &[" NAME_MISMATCH"]);
}

#[test]
fn an_enums_default_stands_for_symbols_that_are_not_known() {
    let symbols = |symbols: Value, default: Option<&str>| match default {
        Some(default) => {
            json!({ "type": "enum", "name": "E", "symbols": symbols, "default": default })
        }
        None => json!({ "type": "enum", "name": "E", "symbols": symbols }),
    };
    let (few, many) = (json!(["A"]), json!(["A", "B"]));
    let missing = ["/symbols MISSING_ENUM_SYMBOLS"];
    expect(symbols(few.clone(), None), symbols(many.clone(), None), Incompatible, &missing);
    expect(symbols(few.clone(), None), symbols(many.clone(), Some("A")), Incompatible, &missing);
    let read = ["/symbols ENUM_SYMBOLS_READ_AS_DEFAULT"];
    expect(symbols(few.clone(), Some("A")), symbols(many.clone(), None), Compatible, &read);
    expect(symbols(many, None), symbols(few, None), Compatible, &["/symbols ENUM_SYMBOLS_ADDED"]);
}

#[test]
fn a_fixed_has_its_size() {
    let fixed = |size: u64| json!({ "type": "fixed", "name": "F", "size": size });
    expect(fixed(4), fixed(4), Compatible, NONE);
    expect(fixed(4), fixed(5), Incompatible, &[" FIXED_SIZE_MISMATCH"]);
    expect(fixed(4), json!("bytes"), Incompatible, &[" TYPE_MISMATCH"]);
}

#[test]
fn a_union_reads_what_one_of_its_types_reads() {
    let added = [" UNION_BRANCH_ADDED"];
    expect(json!(["null", "int"]), json!("int"), Compatible, &added);
    expect(
        json!(["null", "long"]),
        json!("int"),
        Compatible,
        &[" UNION_BRANCH_ADDED", "/1 TYPE_PROMOTED"],
    );
    expect(json!("int"), json!(["int"]), Compatible, NONE);
    expect(json!("int"), json!(["null", "int"]), Incompatible, &[" TYPE_MISMATCH"]);
    expect(json!(["int"]), json!(["null", "int"]), Incompatible, &[" MISSING_UNION_BRANCH"]);
    // The order of the types does not matter.
    expect(json!(["null", "int"]), json!(["int", "null"]), Compatible, NONE);
    // An exact type goes before one that it is promoted to.
    expect(json!(["double", "int"]), json!("int"), Compatible, &added);
    // What is inside of the one that matches counts.
    let inside = |kind: &str| json!(["null", record("R", json!([{ "name": "a", "type": kind }]))]);
    expect(inside("int"), inside("string"), Incompatible, &["/1/fields/0/type TYPE_MISMATCH"]);
    // The same full name before the same name.
    let two =
        json!([record("a.R", json!([{ "name": "a", "type": "int" }])), record("b.R", json!([]))]);
    expect(two, record("b.R", json!([])), Compatible, &added);
}

#[test]
fn a_logical_type_is_what_the_value_means() {
    let long = |logical: &str| json!({ "type": "long", "logicalType": logical });
    let (millis, micros) = (long("timestamp-millis"), long("timestamp-micros"));
    expect(millis.clone(), millis.clone(), Compatible, NONE);
    expect(micros.clone(), millis.clone(), Unknown, &[" LOGICAL_TYPE_CHANGED"]);
    expect(json!("long"), millis.clone(), Compatible, &[" LOGICAL_TYPE_REMOVED"]);
    expect(millis, json!("long"), Compatible, &[" LOGICAL_TYPE_ADDED"]);
    let date = json!({ "type": "int", "logicalType": "date" });
    expect(micros, date, Unknown, &[" LOGICAL_TYPE_CHANGED", " TYPE_PROMOTED"]);
    let uuid = json!({ "type": "string", "logicalType": "uuid" });
    expect(uuid.clone(), json!("string"), Unknown, &[" LOGICAL_TYPE_ADDED"]);
    expect(json!("string"), uuid, Compatible, &[" LOGICAL_TYPE_REMOVED"]);
    // One that is not known, or that is on the wrong type, is none.
    expect(long("lunar"), json!("long"), Compatible, NONE);
    expect(long("date"), json!("long"), Compatible, NONE);
}

#[test]
fn decimals_match_by_scale_and_precision() {
    let decimal = |precision: u64, scale: u64| json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale });
    expect(decimal(10, 2), decimal(10, 2), Compatible, NONE);
    expect(decimal(10, 3), decimal(10, 2), Incompatible, &[" DECIMAL_MISMATCH"]);
    expect(decimal(9, 2), decimal(10, 2), Incompatible, &[" DECIMAL_MISMATCH"]);
    expect(decimal(11, 2), decimal(10, 2), Unknown, &[" DECIMAL_PRECISION_WIDENED"]);
    expect(json!("bytes"), decimal(10, 2), Compatible, &[" LOGICAL_TYPE_REMOVED"]);
    expect(decimal(10, 2), json!("bytes"), Unknown, &[" LOGICAL_TYPE_ADDED"]);
    // More digits than it has scale for, or than the fixed holds: no decimal.
    expect(decimal(2, 3), json!("bytes"), Compatible, NONE);
    let fixed = |precision: u64| json!({ "type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": precision });
    expect(fixed(9), fixed(10), Unknown, &[" LOGICAL_TYPE_ADDED"]);
}

#[test]
fn a_type_that_holds_itself_is_compared_once() {
    let list = |kind: &str| {
        record(
            "List",
            json!([
                { "name": "value", "type": kind },
                { "name": "next", "type": ["null", "List"] },
            ]),
        )
    };
    expect(list("int"), list("int"), Compatible, NONE);
    expect(list("long"), list("int"), Compatible, &["/fields/0/type TYPE_PROMOTED"]);
    expect(list("int"), list("long"), Incompatible, &["/fields/0/type TYPE_MISMATCH"]);
}

#[test]
fn a_changed_default_is_a_note() {
    let with =
        |default: u64| record("R", json!([{ "name": "a", "type": "int", "default": default }]));
    expect(with(1), with(2), Compatible, &["/fields/0 DEFAULT_CHANGED"]);
}

#[test]
fn what_takes_too_much_work_cannot_be_told() {
    let schema = read(&record("R", json!([{ "name": "a", "type": "int" }])));
    let comparison = compare(&schema, &schema, &mut Budget::new(1));
    assert_eq!(comparison.verdict(), Unknown);
    assert_eq!(comparison.differences[0].rule, "TOO_MUCH_WORK");
}
