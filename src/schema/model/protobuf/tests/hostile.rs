//! Texts that would hang, overflow the stack or fill the memory.

use super::*;

#[test]
fn too_deep_too_long_and_too_many() {
    in_small_stack(|| {
        let nested = |levels: usize| {
            proto3(&format!("{}{}", "message M {".repeat(levels), "}".repeat(levels)))
        };
        let deepest = read(&nested(31));
        assert_eq!(canonical(&read(&canonical(&deepest))), canonical(&deepest));
        for levels in [32, 64, 65, 90_000] {
            assert!(parse(&nested(levels), &[]).is_err());
        }
        assert!(
            parse(&" ".repeat(MAX_SCHEMA_BYTES + 1), &[]).unwrap_err()[0]
                .message
                .contains("longer")
        );
        let many = proto3(&"message M {}".repeat(MAX_ITEMS + 1));
        assert!(parse(&many, &[]).unwrap_err()[0].message.contains("more than"));
    });
}

/// `prost-reflect` has its own ideas of what is in these messages.
#[test]
fn what_comes_with_protobuf_is_not_defined_again() {
    let own = "syntax = \"proto3\"; package google.protobuf; message Timestamp { string x = 1; }";
    assert!(parse(own, &[]).unwrap_err()[0].message.contains("google.protobuf"));
    let user = proto3(
        "import \"google/protobuf/timestamp.proto\"; message M { google.protobuf.Timestamp at = 1; }",
    );
    let schema = parse(&user, &[("google/protobuf/timestamp.proto".into(), own.into())]).unwrap();
    let told = validate_json(
        &schema,
        None,
        &serde_json::json!({ "at": "2024-01-01T00:00:00Z" }),
        &mut Budget::new(STEPS),
    );
    assert_eq!(told, []);
}

#[test]
fn names_are_not_endless() {
    let named = |length: usize| proto3(&format!("message {} {{}}", "M".repeat(length)));
    assert!(parse(&named(MAX_NAME), &[]).is_ok());
    assert!(parse(&named(MAX_NAME + 1), &[]).unwrap_err()[0].message.contains("name of more than"));
}

#[test]
fn options_of_any_depth_are_refused() {
    in_small_stack(|| {
        let option = |levels: usize| {
            let value = format!("{}{}", "m {".repeat(levels), "}".repeat(levels));
            format!(
                "syntax = \"proto2\"; import \"google/protobuf/descriptor.proto\"; message M {{ optional M m = 1; }}
                 extend google.protobuf.MessageOptions {{ optional M o = 50000; }}
                 message Z {{ option (o) = {{ {value} }}; }}"
            )
        };
        let schema = read(&option(60));
        assert!(canonical(&schema).contains("m: { m: {"));
        assert!(parse(&option(100_000), &[]).unwrap_err()[0].message.contains("deeper"));
        // A string that does not end hides nothing.
        let hidden = format!("message M {{ option (o) = \"\n{}", "{".repeat(100_000));
        assert!(parse(&hidden, &[]).unwrap_err()[0].message.contains("deeper"));
        let angles = format!("message M {{ option (o) = {{ {}", "m <".repeat(100_000));
        assert!(parse(&angles, &[]).unwrap_err()[0].message.contains("deeper"));
    });
}

#[test]
fn imports_in_a_long_chain_fit_a_small_stack() {
    in_small_stack(|| {
        let file = |next: usize| {
            format!("syntax = \"proto3\"; import \"f{next}.proto\"; message M{next} {{}}")
        };
        let mut references: Vec<_> = (0..MAX_REFERENCES - 1)
            .map(|index| (format!("f{index}.proto"), file(index + 1)))
            .collect();
        references.push((format!("f{}.proto", MAX_REFERENCES - 1), "syntax = \"proto3\";".into()));
        assert!(parse(&file(0), &references).is_ok());
        references.push(("more.proto".into(), String::new()));
        assert!(parse(&file(0), &references).is_err());
    });
}

/// Each field in each range: an error for every pair, if the compiler is let.
#[test]
fn reserved_numbers_are_found_before_the_compiler() {
    let fields: String = (1..5_000).map(|number| format!("int32 f{number} = {number};")).collect();
    let ranges: String = (1..5_000).map(|_| "reserved 1 to 5000;").collect();
    let told = parse(&proto3(&format!("message M {{ {fields} {ranges} }}")), &[]).unwrap_err();
    assert!(told[0].message.contains("which is reserved"), "{told:?}");
}

#[test]
fn many_errors_are_found_at_once() {
    in_small_stack(|| {
        for body in ["int32 a = 1;", "N a = 1;", "reserved \"a\"; int32 a = 1;"] {
            let told = parse(&proto3(&format!("message M {{ {} }}", body.repeat(6_000))), &[]);
            assert!(told.is_err(), "{body}");
        }
        let twice = "message M {}".repeat(15_000);
        assert!(parse(&proto3(&twice), &[]).is_err());
    });
}

#[test]
fn a_map_entry_that_is_none_is_refused() {
    for entry in ["", "optional string key = 1; optional int32 value = 2;"] {
        let text = format!(
            "message M {{ repeated FooEntry foo = 1; message FooEntry {{ option map_entry = true; {entry} }} }}"
        );
        let told = parse(&text, &[]).unwrap_err();
        assert!(told[0].message.contains("map_entry"), "{told:?}");
    }
}

#[test]
fn fields_with_ranges_are_bounded_by_the_budget() {
    let fields: String = (1..4_000).map(|number| format!("int32 f{number} = {number};")).collect();
    let ranges: String =
        (0..4_000).map(|number| format!("reserved {};", 10_000 + 2 * number)).collect();
    let writer = read(&proto3(&format!("message M {{ {fields} }}")));
    let reader = read(&proto3(&format!("message M {{ {ranges} }}")));
    assert_eq!(compare(&reader, &writer, &mut Budget::new(STEPS)).verdict(), Verdict::Unknown);
}

#[test]
fn many_differences_are_cut_off_and_not_compatible() {
    let many = |kind: &str| {
        let fields: String =
            (1..5_000).map(|number| format!("{kind} f{number} = {number};")).collect();
        read(&proto3(&format!("message M {{ {fields} }}")))
    };
    let comparison = compare(&many("int32"), &many("string"), &mut Budget::new(STEPS));
    assert_eq!(comparison.verdict(), Verdict::Incompatible);
    assert_eq!(comparison.differences.len(), 500 + 1);
}

#[test]
fn comments_and_strings_have_no_shape() {
    let text = "ab { // {{{\n /* {{ * / */ '{' \"\\\"{{\" # {{\n ; a.b }";
    assert_eq!(scan::shape(text), scan::Shape { depth: 1, items: 2, name: 3 });
    // Such a comment hides nothing from the compiler that it reads itself.
    let hidden = format!("message M {{ option (o) = {{ #\n {} }}; }}", "m {".repeat(1_000));
    assert!(parse(&hidden, &[]).unwrap_err()[0].message.contains("deeper"));
    let behind = format!("message M {{ # {}\n }}", "option (o) = { m {".repeat(1_000));
    assert!(parse(&behind, &[]).is_err());
}
