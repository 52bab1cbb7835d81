//! Reading, the canonical text and the list of fields.

use super::*;

#[track_caller]
fn same(one: &str, other: &str) {
    assert_eq!(canonical(&read(one)), canonical(&read(other)));
}

#[track_caller]
fn other(one: &str, other: &str) {
    assert_ne!(canonical(&read(one)), canonical(&read(other)));
}

#[test]
fn the_same_schema_written_differently_is_the_same_text() {
    same(
        &proto3(
            "message M { int32 a = 1; /* x */ string b_c = 2; reserved 5, 6; } enum E { X = 0; Y = 1; Z = 2; }",
        ),
        &proto3(
            "// comment\nmessage M {\n string b_c=2 [json_name=\"bC\"]; reserved 5 to 6; int32 a=0x1; }\nenum E { X=0; Z=2; Y=1; }",
        ),
    );
    same(
        &proto3(
            "message M { .p.N n = 1; } message N {} service B {} service A { rpc X(M) returns (N); rpc W(M) returns (N) {} }",
        ),
        &proto3(
            "message M { N n = 1; } message N {} service A { rpc W(M) returns (N); rpc X(p.M) returns (N); } service B {}",
        ),
    );
    same(
        &proto3(
            "option java_package = \"a\"; option deprecated = true; message M { repeated int32 a = 1 [packed = true, deprecated = true]; }",
        ),
        &proto3(
            "option deprecated = true; option java_package = \"\\141\"; message M { repeated int32 a = 1 [deprecated = true]; }",
        ),
    );
    same(
        "message M { optional int32 a = 1; }",
        "syntax = \"proto2\"; message M { optional int32 a = 1; }",
    );
}

#[test]
fn what_matters_is_another_text() {
    let all = [
        proto3("message M { int32 a = 1; }"),
        proto3("message M { int32 a = 2; }"),
        proto3("message M { int32 b = 1; }"),
        proto3("message M { int64 a = 1; }"),
        proto3("message M { optional int32 a = 1; }"),
        proto3("message M { repeated int32 a = 1; }"),
        proto3("message M { repeated int32 a = 1 [packed = false]; }"),
        proto3("message M { oneof o { int32 a = 1; } }"),
        proto3("message M { int32 a = 1 [json_name = \"x\"]; }"),
        proto3("message M { int32 a = 1 [deprecated = true]; }"),
        proto3("message M { option deprecated = true; int32 a = 1; }"),
        proto3("message M { int32 a = 1; reserved 2; }"),
        proto3("message M { int32 a = 1; reserved \"c\"; }"),
        proto3("message M { int32 a = 1; message N {} }"),
        proto3("message M { int32 a = 1; } message N {}"),
        // Payloads name their type by its place.
        proto3("message N {} message M { int32 a = 1; }"),
        proto3("message M { int32 a = 1; } service S {}"),
        proto3("message M { map<string, int32> a = 1; }"),
        proto3("message M { map<string, bytes> a = 1; }"),
        proto3("option java_package = \"a\"; message M { int32 a = 1; }"),
        proto3("enum E { A = 0; B = 1; }"),
        proto3("enum E { A = 0; B = 1 [deprecated = true]; }"),
        proto2("enum E { A = 0; B = 1; }"),
        proto2("enum E { B = 1; A = 0; }"),
        proto2("message M { optional int32 a = 1; }"),
        proto2("message M { required int32 a = 1; }"),
        proto2("message M { optional int32 a = 1 [default = 1]; }"),
        proto2("message M { optional group A = 1 {} }"),
    ];
    for (index, one) in all.iter().enumerate() {
        for two in all.iter().skip(index + 1) {
            other(one, two);
        }
    }
}

const LARGE: &str = r#"
    syntax = "proto2";
    package a.b;
    import public "google/protobuf/timestamp.proto";
    import "google/protobuf/descriptor.proto";
    option java_package = "x.y";
    message Rule { optional string text = 1; repeated int32 numbers = 2; map<string, Rule> rules = 3; extensions 10 to max; }
    extend google.protobuf.FieldOptions { optional Rule rule = 50000; repeated string tag = 50001; }
    extend Rule { optional double weight = 10 [default = -1.5]; repeated Color colors = 11 [packed = true]; }
    enum Color { option allow_alias = true; RED = 5; BLUE = 1; CRIMSON = 5; reserved 7 to 9; reserved "GREEN"; }
    message M {
        option (of_message) = { text: "m\n\"" };
        extend google.protobuf.MessageOptions { optional Rule of_message_too = 50003; }
        optional string s = 1 [default = "a\"b\\\n\303\251", (rule) = { text: "x" numbers: [1, 2] rules { key: "b" value {} } rules { key: "a" value { text: "y" } } [a.b.weight]: 2.5 }, (tag) = "one", (tag) = "a"];
        optional bytes y = 2 [default = "\001\377"];
        optional Color c = 3 [default = BLUE];
        optional double d = 4 [default = inf];
        repeated int32 p = 5 [packed = true, ctype = CORD];
        map<string, google.protobuf.Timestamp> times = 6;
        repeated group Item = 7 { required int64 id = 1; }
        oneof choice { bool x = 9; M inner = 8; }
        reserved 100 to max;
        enum State { ON = 1; }
        message Nested { optional State state = 1 [default = ON]; }
    }
    extend google.protobuf.MessageOptions { optional Rule of_message = 50002; }
    service S { rpc Do(stream M) returns (M) { option deprecated = true; } }
"#;

#[test]
fn the_canonical_text_compiles_to_itself() {
    let schema = read(LARGE);
    let text = canonical(&schema);
    let again = read(&text);
    assert_eq!(canonical(&again).lines().collect::<Vec<_>>(), text.lines().collect::<Vec<_>>());
    let comparison = compare(&schema, &again, &mut Budget::new(STEPS));
    assert_eq!(comparison.differences, []);
    assert!(
        text.contains(
            r#"rules: { key: "a", value: { text: "y" } }, rules: { key: "b", value: {} }"#
        ),
        "{text}"
    );
    assert!(text.contains(r#"(.a.b.tag) = "one", (.a.b.tag) = "a""#), "{text}");
    assert!(text.contains("[a.b.weight]: 2.5"), "{text}");
}

#[test]
fn a_wrong_text_is_refused_with_its_place() {
    let wrong = |text: &str| parse(text, &[]).unwrap_err()[0].to_string();
    assert_eq!(
        wrong("syntax = \"proto3\";\nmessage M { int32 a = ; }").split(": ").next(),
        Some("2:23")
    );
    assert!(wrong("message M { optional N n = 1; }").contains('N'));
    assert!(wrong("import \"missing.proto\";").contains("missing.proto"));
    assert!(
        wrong("message M { optional int32 a = 1; reserved 1; }").contains("M.a has the number 1")
    );
    assert!(wrong("enum E { A = 0; reserved 0 to 1; }").contains("E.A has the number 0"));
    assert!(
        wrong("edition = \"2023\"; message M {}").contains("edition"),
        "{}",
        wrong("edition = \"2023\"; message M {}")
    );
    let other = ("o.proto".to_owned(), "message {}".to_owned());
    let told = parse("import \"o.proto\";", &[other]).unwrap_err();
    assert_eq!(told[0].path, "o.proto:1:9");
    let cycle = ("o.proto".to_owned(), "import \"o.proto\";".to_owned());
    assert!(parse("import \"o.proto\";", &[cycle]).unwrap_err()[0].message.contains("cycle"));
}

#[test]
fn fields_are_listed_with_their_types() {
    let schema = read(&proto3(
        "message M { repeated N n = 2; map<string, int32> m = 1; optional bool o = 3; message N { E e = 1; } } enum E { A = 0; } message O {}",
    ));
    let listed = fields(&schema);
    let listed: Vec<_> = listed.iter().map(|(path, kind)| format!("{path}: {kind}")).collect();
    assert_eq!(
        listed,
        [
            "M.m: map<string, int32> = 1",
            "M.n: repeated message p.M.N = 2",
            "M.o: optional bool = 3",
            "M.N.e: enum p.E = 1",
        ]
    );
}
