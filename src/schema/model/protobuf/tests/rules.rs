//! Every rule, in both directions.

use super::*;
use Verdict::{Compatible, Incompatible, Unknown};

/// What a comparison tells: the verdict, and the rules with their paths.
type Told<'a> = (Verdict, &'a [&'a str]);

const SAME: Told<'static> = (Compatible, &[]);

fn told(reader: &str, writer: &str) -> (Verdict, Vec<String>) {
    let comparison = compared(reader, writer);
    let rules = comparison.differences.iter();
    let rules = rules.map(|difference| format!("{} {}", difference.path, difference.rule));
    (comparison.verdict(), rules.collect())
}

/// What `new` makes of data of `old`, and the other way round.
#[track_caller]
fn expect(old: &str, new: &str, backward: Told<'_>, forward: Told<'_>) {
    for ((reader, writer), (verdict, rules)) in [((new, old), backward), ((old, new), forward)] {
        let (found, found_rules) = told(reader, writer);
        let found_rules: Vec<_> = found_rules.iter().map(String::as_str).collect();
        assert_eq!((found, found_rules), (verdict, rules.to_vec()), "{reader}\nreads\n{writer}");
    }
}

/// The same for messages with these fields, with the paths after `p.M.`.
#[track_caller]
fn fields(old: &str, new: &str, backward: Told<'_>, forward: Told<'_>) {
    let message = |fields: &str| {
        proto3(&format!("message M {{ {fields} }} enum E {{ A = 0; }} message N {{}}"))
    };
    expect(&message(old), &message(new), backward, forward);
}

#[test]
fn a_schema_reads_itself() {
    fields(
        "string a = 1; repeated N n = 2; map<string, E> m = 3; oneof o { int32 x = 4; }",
        "map<string, E> m = 3; oneof o { int32 x = 4; } string a = 1; repeated N n = 2;",
        SAME,
        SAME,
    );
}

#[test]
fn a_field_is_added_or_removed() {
    fields(
        "",
        "string a = 1;",
        (Compatible, &["p.M.a(1) FIELD_ADDED"]),
        (Compatible, &["p.M.a(1) FIELD_REMOVED_WITHOUT_RESERVING"]),
    );
    fields(
        "string a = 1;",
        "reserved 1 to 3; reserved \"a\";",
        (Compatible, &["p.M.a(1) FIELD_REMOVED"]),
        (
            Unknown,
            &[
                "p.M RESERVED_REMOVED",
                "p.M RESERVED_REMOVED",
                "p.M.a(1) FIELD_ADDED",
                "p.M.a(1) RESERVED_NAME_USED",
                "p.M.a(1) RESERVED_NUMBER_USED",
            ],
        ),
    );
}

#[test]
fn reservations_are_given_up() {
    fields(
        "reserved 1 to 9; reserved \"a\";",
        "reserved 1 to 4, 5 to 9; reserved \"a\";",
        SAME,
        SAME,
    );
    fields(
        "reserved 1 to 9;",
        "reserved 1 to 4, 6 to 9;",
        (Compatible, &["p.M RESERVED_REMOVED"]),
        SAME,
    );
    fields("reserved \"a\";", "", (Compatible, &["p.M RESERVED_REMOVED"]), SAME);
}

#[test]
fn a_field_is_renamed() {
    let renamed: Told<'_> =
        (Compatible, &["p.M.b_c(1) FIELD_JSON_NAME_CHANGED", "p.M.b_c(1) FIELD_RENAMED"]);
    let back: Told<'_> =
        (Compatible, &["p.M.a(1) FIELD_JSON_NAME_CHANGED", "p.M.a(1) FIELD_RENAMED"]);
    fields("string a = 1;", "string b_c = 1;", renamed, back);
    let json: Told<'_> = (Compatible, &["p.M.a(1) FIELD_JSON_NAME_CHANGED"]);
    fields("string a = 1;", "string a = 1 [json_name = \"x\"];", json, json);
}

/// All pairs of scalar types: those that share their form on the wire, and how values fit.
#[test]
fn a_type_changes() {
    let all = [
        "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32",
        "fixed64", "sfixed32", "sfixed64", "bool", "string", "bytes", "E", "N",
    ];
    let wider = [
        ("int32", "int64"),
        ("uint32", "int64"),
        ("uint32", "uint64"),
        ("sint32", "sint64"),
        ("bool", "int32"),
        ("bool", "int64"),
        ("bool", "uint32"),
        ("bool", "uint64"),
        ("E", "int32"),
        ("E", "int64"),
        ("string", "bytes"),
    ];
    let varint = ["int32", "int64", "uint32", "uint64", "bool", "E"];
    let groups: [&[&str]; 5] = [
        &varint,
        &["sint32", "sint64"],
        &["fixed32", "sfixed32"],
        &["fixed64", "sfixed64"],
        &["string", "bytes"],
    ];
    let mut counts = [0; 4];
    for from in all {
        for to in all {
            let schema = |kind: &str| {
                proto3(&format!(
                    "message M {{ optional {kind} a = 1; }} enum E {{ A = 0; }} message N {{}}"
                ))
            };
            let (verdict, rules) = told(&schema(to), &schema(from));
            let together = groups.iter().any(|group| group.contains(&from) && group.contains(&to));
            let (expected, rule) = if from == to {
                counts[0] += 1;
                (Compatible, None)
            } else if wider.contains(&(from, to)) {
                counts[1] += 1;
                (Compatible, Some("FIELD_KIND_WIDENED"))
            } else if together || (from, to) == ("N", "bytes") {
                counts[2] += 1;
                (Unknown, Some("FIELD_KIND_NARROWED"))
            } else {
                counts[3] += 1;
                (Incompatible, Some("FIELD_KIND_CHANGED"))
            };
            let rule: Vec<_> = rule.iter().map(|rule| format!("p.M.a(1) {rule}")).collect();
            assert_eq!((verdict, rules), (expected, rule), "{from} to {to}");
        }
    }
    assert_eq!(counts, [17, 11, 28, 233]);
}

#[test]
fn a_label_changes() {
    fields(
        "int32 a = 1;",
        "repeated int32 a = 1;",
        (Compatible, &["p.M.a(1) FIELD_LABEL_CHANGED"]),
        (Incompatible, &["p.M.a(1) FIELD_LABEL_CHANGED"]),
    );
    fields(
        "N a = 1;",
        "repeated N a = 1;",
        (Compatible, &["p.M.a(1) FIELD_LABEL_CHANGED"]),
        (Incompatible, &["p.M.a(1) FIELD_LABEL_CHANGED"]),
    );
    let presence: Told<'_> = (Compatible, &["p.M.a(1) FIELD_PRESENCE_CHANGED"]);
    fields("int32 a = 1;", "optional int32 a = 1;", presence, presence);
    let packed: Told<'_> = (Compatible, &["p.M.a(1) FIELD_PACKED_CHANGED"]);
    fields("repeated int32 a = 1;", "repeated int32 a = 1 [packed = false];", packed, packed);
}

#[test]
fn a_required_field_is_added_or_removed() {
    let message = |fields: &str| proto2(&format!("message M {{ {fields} }}"));
    expect(
        &message(""),
        &message("required int32 a = 1;"),
        (Incompatible, &["p.M.a(1) REQUIRED_FIELD_ADDED"]),
        (Compatible, &["p.M.a(1) FIELD_REMOVED_WITHOUT_RESERVING"]),
    );
    expect(
        &message("optional int32 a = 1;"),
        &message("required int32 a = 1;"),
        (Incompatible, &["p.M.a(1) REQUIRED_FIELD_ADDED"]),
        (Compatible, &["p.M.a(1) REQUIRED_FIELD_REMOVED"]),
    );
    let default: Told<'_> = (Compatible, &["p.M.a(1) FIELD_DEFAULT_CHANGED"]);
    expect(
        &message("optional int32 a = 1;"),
        &message("optional int32 a = 1 [default = 7];"),
        default,
        default,
    );
}

#[test]
fn fields_go_into_and_out_of_oneofs() {
    fields(
        "int32 a = 1; int32 b = 2;",
        "oneof o { int32 a = 1; int32 b = 2; }",
        (
            Incompatible,
            &[
                "p.M.a(1) FIELDS_MOVED_INTO_ONEOF",
                "p.M.a(1) FIELD_PRESENCE_CHANGED",
                "p.M.b(2) FIELDS_MOVED_INTO_ONEOF",
                "p.M.b(2) FIELD_PRESENCE_CHANGED",
            ],
        ),
        (
            Compatible,
            &[
                "p.M.a(1) FIELD_MOVED_OUT_OF_ONEOF",
                "p.M.a(1) FIELD_PRESENCE_CHANGED",
                "p.M.b(2) FIELD_MOVED_OUT_OF_ONEOF",
                "p.M.b(2) FIELD_PRESENCE_CHANGED",
            ],
        ),
    );
    fields(
        "optional int32 a = 1;",
        "oneof o { int32 a = 1; int32 b = 2; }",
        (Compatible, &["p.M.a(1) FIELD_MOVED_INTO_ONEOF", "p.M.b(2) FIELD_ADDED"]),
        (
            Compatible,
            &["p.M.a(1) FIELD_MOVED_OUT_OF_ONEOF", "p.M.b(2) FIELD_REMOVED_WITHOUT_RESERVING"],
        ),
    );
    // One more into a oneof that is there.
    fields(
        "optional int32 a = 1; oneof o { int32 b = 2; }",
        "oneof o { int32 b = 2; int32 a = 1; }",
        (Incompatible, &["p.M.a(1) FIELDS_MOVED_INTO_ONEOF", "p.M.b(2) FIELDS_MOVED_INTO_ONEOF"]),
        (Compatible, &["p.M.a(1) FIELD_MOVED_OUT_OF_ONEOF"]),
    );
    let renamed: Told<'_> = (Compatible, &["p.M.a(1) ONEOF_RENAMED"]);
    fields("oneof o { int32 a = 1; }", "oneof q { int32 a = 1; }", renamed, renamed);
    // Two oneofs that become one.
    fields(
        "oneof o { int32 a = 1; } oneof q { int32 b = 2; }",
        "oneof o { int32 a = 1; int32 b = 2; }",
        (Incompatible, &["p.M.a(1) FIELDS_MOVED_INTO_ONEOF", "p.M.b(2) FIELDS_MOVED_INTO_ONEOF"]),
        (Compatible, &["p.M.b(2) ONEOF_RENAMED"]),
    );
}

#[test]
fn a_oneof_loses_a_field_or_is_lost() {
    fields(
        "oneof o { int32 a = 1; int32 b = 2; }",
        "oneof o { int32 a = 1; }",
        (Incompatible, &["p.M.b(2) ONEOF_FIELD_REMOVED"]),
        (Compatible, &["p.M.b(2) FIELD_ADDED"]),
    );
    // Nobody asks any more which of them is set.
    fields(
        "oneof o { int32 a = 1; }",
        "reserved 1;",
        (Compatible, &["p.M.a(1) FIELD_REMOVED"]),
        (
            Unknown,
            &["p.M RESERVED_REMOVED", "p.M.a(1) FIELD_ADDED", "p.M.a(1) RESERVED_NUMBER_USED"],
        ),
    );
}

#[test]
fn maps_are_lists_of_entries() {
    let schema = |field: &str| {
        proto3(&format!(
            "message M {{ {field} message Entry {{ string key = 1; int32 value = 2; }} }}"
        ))
    };
    let presence = ["p.M.a(1) MAP_CHANGED"];
    expect(
        &schema("map<string, int32> a = 1;"),
        &schema("repeated Entry a = 1;"),
        (Unknown, &presence),
        (Unknown, &presence),
    );
    expect(
        &schema("map<string, int32> a = 1;"),
        &schema("map<string, int64> a = 1;"),
        (Compatible, &["p.M.AEntry.value(2) FIELD_KIND_WIDENED"]),
        (Unknown, &["p.M.AEntry.value(2) FIELD_KIND_NARROWED"]),
    );
    expect(
        &schema("map<string, int32> a = 1;"),
        &schema("map<int32, int32> a = 1;"),
        (Incompatible, &["p.M.AEntry.key(1) FIELD_KIND_CHANGED"]),
        (Incompatible, &["p.M.AEntry.key(1) FIELD_KIND_CHANGED"]),
    );
}

#[test]
fn values_of_an_open_enum_come_and_go() {
    let schema = |values: &str| proto3(&format!("enum E {{ A = 0; {values} }}"));
    expect(
        &schema(""),
        &schema("B = 1;"),
        (Compatible, &["p.E.B(1) ENUM_VALUE_ADDED"]),
        (Compatible, &["p.E.B(1) ENUM_VALUE_REMOVED"]),
    );
    expect(
        &schema("B = 1;"),
        &schema("C = 1;"),
        (Compatible, &["p.E.C(1) ENUM_VALUE_RENAMED"]),
        (Compatible, &["p.E.B(1) ENUM_VALUE_RENAMED"]),
    );
    expect(
        &schema("B = 1; C = 2;"),
        &schema("C = 1; B = 2;"),
        (
            Incompatible,
            &["p.E.B(1) ENUM_VALUE_NUMBER_CHANGED", "p.E.C(2) ENUM_VALUE_NUMBER_CHANGED"],
        ),
        (
            Incompatible,
            &["p.E.B(2) ENUM_VALUE_NUMBER_CHANGED", "p.E.C(1) ENUM_VALUE_NUMBER_CHANGED"],
        ),
    );
    expect(&schema("B = 1;"), &schema("option allow_alias = true; B = 1; B2 = 1;"), SAME, SAME);
    expect(
        &schema("reserved 1;"),
        &schema("B = 1;"),
        (Unknown, &["p.E.B(1) ENUM_VALUE_ADDED", "p.E.B(1) RESERVED_NUMBER_USED"]),
        (Compatible, &["p.E.B(1) ENUM_VALUE_REMOVED"]),
    );
}

#[test]
fn a_closed_enum_does_not_read_what_it_does_not_know() {
    let schema = |values: &str| proto2(&format!("enum E {{ A = 0; {values} }}"));
    expect(
        &schema(""),
        &schema("B = 1;"),
        (Compatible, &["p.E.B(1) ENUM_VALUE_ADDED"]),
        (Incompatible, &["p.E.B(1) ENUM_VALUE_REMOVED"]),
    );
}

#[test]
fn messages_and_enums_come_and_go() {
    expect(
        &proto3("message A {}"),
        &proto3("message A {} message B { message C {} } enum E { X = 0; }"),
        (Compatible, &["p.B MESSAGE_ADDED", "p.B.C MESSAGE_ADDED", "p.E ENUM_ADDED"]),
        (Incompatible, &["p.B MESSAGE_REMOVED", "p.B.C MESSAGE_REMOVED", "p.E ENUM_REMOVED"]),
    );
    expect(
        &proto3("message A { message B {} }"),
        &proto3("message A {}"),
        (Compatible, &["p.A.B MESSAGE_REMOVED"]),
        (Compatible, &["p.A.B MESSAGE_ADDED"]),
    );
}

#[test]
fn nested_messages_are_compared_where_they_are_used_too() {
    let schema = |name: &str, kind: &str| {
        proto3(&format!("message M {{ {name} a = 1; message {name} {{ {kind} x = 1; }} }}"))
    };
    expect(
        &schema("A", "int32"),
        &schema("A", "string"),
        (Incompatible, &["p.M.A.x(1) FIELD_KIND_CHANGED"]),
        (Incompatible, &["p.M.A.x(1) FIELD_KIND_CHANGED"]),
    );
    // By another name, the same in it, or not.
    let renamed = |other: &'static str, old: &'static str| -> Vec<String> {
        vec![
            format!("p.M.{old} MESSAGE_REMOVED"),
            format!("p.M.{other} MESSAGE_ADDED"),
            "p.M.a(1) FIELD_TYPE_RENAMED".into(),
        ]
    };
    let (verdict, mut rules) = told(&schema("B", "int32"), &schema("A", "int32"));
    rules.sort();
    let mut expected = renamed("B", "A");
    expected.sort();
    assert_eq!((verdict, rules), (Compatible, expected));
    let (verdict, rules) = told(&schema("B", "string"), &schema("A", "int32"));
    assert_eq!(verdict, Incompatible);
    assert!(rules.contains(&"p.M.B.x(1) FIELD_KIND_CHANGED".to_owned()), "{rules:?}");
}

#[test]
fn messages_that_hold_themselves_are_compared_once() {
    let schema =
        |kind: &str| proto3(&format!("message M {{ M m = 1; repeated M n = 2; {kind} x = 3; }}"));
    expect(
        &schema("int32"),
        &schema("int64"),
        (Compatible, &["p.M.x(3) FIELD_KIND_WIDENED"]),
        (Unknown, &["p.M.x(3) FIELD_KIND_NARROWED"]),
    );
}

#[test]
fn groups_are_another_form() {
    let schema = |field: &str| proto2(&format!("message M {{ {field} }}"));
    let (verdict, rules) = told(
        &schema("optional G g = 1; message G { optional int32 x = 1; }"),
        &schema("optional group G = 1 { optional int32 x = 1; }"),
    );
    assert_eq!(verdict, Incompatible);
    assert!(rules.contains(&"p.M.g(1) FIELD_KIND_CHANGED".to_owned()), "{rules:?}");
}

#[test]
fn extensions_are_fields() {
    let schema =
        |extension: &str| proto2(&format!("message M {{ extensions 100 to 200; }} {extension}"));
    let extended = |kind: &str| schema(&format!("extend M {{ optional {kind} e = 100; }}"));
    expect(
        &schema(""),
        &extended("int32"),
        (Compatible, &["p.M[p.e](100) FIELD_ADDED"]),
        (Compatible, &["p.M[p.e](100) FIELD_REMOVED_WITHOUT_RESERVING"]),
    );
    expect(
        &extended("int32"),
        &extended("string"),
        (Incompatible, &["p.M[p.e](100) FIELD_KIND_CHANGED"]),
        (Incompatible, &["p.M[p.e](100) FIELD_KIND_CHANGED"]),
    );
}

#[test]
fn the_package_or_the_syntax_changes() {
    let schema = |syntax: &str, package: &str| {
        format!(
            "syntax = \"{syntax}\"; package {package}; message M {{ repeated N n = 1; }} message N {{}}"
        )
    };
    expect(
        &schema("proto3", "a"),
        &schema("proto3", "b.c"),
        (Compatible, &["b.c PACKAGE_CHANGED"]),
        (Compatible, &["a PACKAGE_CHANGED"]),
    );
    let changed: Told<'_> = (Compatible, &["a SYNTAX_CHANGED"]);
    expect(&schema("proto2", "a"), &schema("proto3", "a"), changed, changed);
}

#[test]
fn services_and_methods_change() {
    let schema = |services: &str| proto3(&format!("message A {{}} message B {{}} {services}"));
    let call = |method: &str| schema(&format!("service S {{ {method} }}"));
    expect(
        &schema(""),
        &call(""),
        (Compatible, &["p.S SERVICE_ADDED"]),
        (Unknown, &["p.S SERVICE_REMOVED"]),
    );
    expect(
        &call(""),
        &call("rpc R(A) returns (A);"),
        (Compatible, &["p.S.R METHOD_ADDED"]),
        (Unknown, &["p.S.R METHOD_REMOVED"]),
    );
    let kind: Told<'_> = (Incompatible, &["p.S.R METHOD_TYPE_CHANGED"]);
    expect(&call("rpc R(A) returns (A);"), &call("rpc R(B) returns (A);"), kind, kind);
    expect(&call("rpc R(A) returns (A);"), &call("rpc R(A) returns (B);"), kind, kind);
    let stream: Told<'_> = (Incompatible, &["p.S.R METHOD_STREAMING_CHANGED"]);
    expect(&call("rpc R(A) returns (A);"), &call("rpc R(stream A) returns (A);"), stream, stream);
    expect(&call("rpc R(A) returns (A);"), &call("rpc R(A) returns (stream A);"), stream, stream);
}

#[test]
fn what_is_imported_counts() {
    let own = proto3(
        "import \"other.proto\"; import \"google/protobuf/timestamp.proto\"; message M { o.N n = 1; google.protobuf.Timestamp at = 2; }",
    );
    let schema = |kind: &str| {
        let other = format!(
            "syntax = \"proto3\"; package o; message N {{ {kind} x = 1; }} message Alone {{}}"
        );
        parse(&own, &[("other.proto".into(), other)]).unwrap()
    };
    let comparison = compare(&schema("int32"), &schema("string"), &mut Budget::new(STEPS));
    let paths: Vec<_> = comparison.differences.iter().map(|told| told.path.as_str()).collect();
    assert_eq!((comparison.verdict(), paths), (Incompatible, vec!["o.N.x(1)"]));
    // No payload is of what is no longer imported.
    let alone = compare(&read(&proto3("message M {}")), &schema("int32"), &mut Budget::new(STEPS));
    assert_eq!(alone.verdict(), Compatible, "{alone:?}");
}

#[test]
fn what_takes_too_much_work_cannot_be_told() {
    let schema = read(&proto3("message M { int32 a = 1; }"));
    let comparison = compare(&schema, &schema, &mut Budget::new(1));
    assert_eq!(comparison.verdict(), Unknown);
    assert_eq!(comparison.differences[0].rule, "TOO_MUCH_WORK");
}
