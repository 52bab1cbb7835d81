//! Payloads as bytes and as JSON.

use serde_json::{Value, json};

use super::*;

fn schema() -> ProtoSchema {
    read(&proto2(
        "import \"google/protobuf/timestamp.proto\";
         message Order { required int32 id = 1; optional string note = 2; repeated Line lines = 3; map<string, int32> tags = 4;
            repeated sint32 packed = 5 [packed = true]; optional group G = 6 { optional fixed32 f = 1; } optional double d = 7;
            optional google.protobuf.Timestamp at = 8; oneof o { int32 x = 9; int32 y = 10; } optional Color color = 11; map<int32, Line> by = 12; }
         message Line { optional int32 count = 1; optional Order order = 2; } enum Color { RED = 0; }",
    ))
}

fn bytes(bytes: &[u8]) -> String {
    let told = validate_bytes(&schema(), None, bytes, &mut Budget::new(STEPS));
    told.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn bytes_are_one_message() {
    assert_eq!(bytes(&[8, 1]), "");
    assert_eq!(bytes(&[]), "has no id, which is required");
    assert_eq!(
        bytes(&[
            8, 1, 18, 1, b'a', 26, 2, 8, 7, 34, 5, 10, 1, b'k', 16, 1, 42, 2, 1, 2, 40, 3, 51, 13,
            1, 2, 3, 4, 52
        ]),
        ""
    );
    assert_eq!(bytes(&[8, 1, 18, 1, 0xff]), "/note: is no UTF-8");
    assert_eq!(bytes(&[8, 1, 18, 9]), "/note: needs 9 bytes, and 0 are left");
    assert_eq!(bytes(&[8, 1, 26, 0, 26, 2, 8]), "/lines/1: needs 2 bytes, and 1 are left");
    assert_eq!(bytes(&[8, 1, 26, 2, 18, 0]), "/lines/0/order: has no id, which is required");
    assert_eq!(bytes(&[8, 1, 56, 7]), "/d: is written in the form 0, and double has the form 1");
    assert_eq!(bytes(&[8, 1, 51, 13, 1, 2, 3, 4]), "/g: the group does not end");
    assert_eq!(bytes(&[8, 1, 52]), "the end of a group 6 that did not begin");
    assert_eq!(bytes(&[8, 1, 0]), "0 is no field's number and form");
    assert_eq!(bytes(&[8, 1, 15]), "15 is no field's number and form");
    assert_eq!(bytes(&[&[8][..], &[0xff; 10]].concat()), "/id: a number is longer than 64 bits");
    // Fields that are not known are skipped, of every form.
    assert_eq!(
        bytes(&[
            8, 1, 0xa0, 6, 1, 0xa1, 6, 1, 2, 3, 4, 5, 6, 7, 8, 0xa2, 6, 1, 0, 0xa3, 6, 0xa4, 6,
            0xa5, 6, 1, 2, 3, 4
        ]),
        ""
    );
    let named = validate_bytes(&schema(), Some("p.Line"), &[8, 1], &mut Budget::new(STEPS));
    assert_eq!(named, []);
    let missing = validate_bytes(&schema(), Some("p.None"), &[8, 1], &mut Budget::new(STEPS));
    assert_eq!(missing[0].message, "the schema has no message p.None");
}

fn json(value: &Value) -> Vec<String> {
    let told = validate_json(&schema(), None, value, &mut Budget::new(STEPS));
    told.iter().map(ToString::to_string).collect()
}

#[test]
fn json_is_one_message() {
    assert_eq!(
        json(&json!({
            "id": 1, "note": null, "lines": [{ "count": "7" }], "tags": { "a": 1 }, "packed": [1, -1], "g": { "f": 1 },
            "d": "NaN", "at": "2024-01-01T00:00:00Z", "x": 1, "color": "RED", "by": { "1": { "count": 1 } },
        })),
        [""; 0]
    );
    let told = json(&json!({
        "note": 7, "lines": [{ "count": 1 }, { "count": 1.5, "order": {} }, 7], "tags": { "a": "b" }, "packed": [1, "x"],
        "at": "yesterday", "x": 1, "y": 2, "color": "BLUE", "by": { "one": { "count": "z" } }, "extra": 1,
    }));
    let mut places: Vec<_> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "/at",
            "/by/one",
            "/by/one/count",
            "/color",
            "/extra",
            "/lines/1/count",
            "/lines/1/order",
            "/lines/2",
            "/note",
            "/packed/1",
            "/tags/a",
            "/y",
            "has no id, which is required",
        ],
        "{told:?}"
    );
    assert_eq!(json(&json!([])), ["is no object, as a message p.Order is"]);
}

#[test]
fn payloads_are_bounded() {
    in_small_stack(|| {
        let schema = read(&proto3("message M { M m = 1; repeated M n = 2; }"));
        let mut nested = Vec::new();
        for _ in 0..90 {
            let length = u8::try_from(nested.len()).ok().filter(|length| *length < 128);
            let Some(length) = length else { break };
            nested = [vec![10, length], nested].concat();
        }
        assert_eq!(validate_bytes(&schema, None, &nested, &mut Budget::new(STEPS)), []);
        // Each level with a length of four bytes.
        let mut deep = Vec::new();
        for _ in 0..10_000_u32 {
            let length = u32::try_from(deep.len()).unwrap();
            let byte = |shift: u32| u8::try_from(length >> shift & 0x7f).unwrap();
            deep.splice(0..0, [10, byte(0) | 0x80, byte(7) | 0x80, byte(14)]);
        }
        let told = validate_bytes(&schema, None, &deep, &mut Budget::new(STEPS));
        assert!(told[0].message.contains("deeper"), "{told:?}");
        let groups = [0xa3, 6].repeat(100_000);
        let told = validate_bytes(&schema, None, &groups, &mut Budget::new(STEPS));
        assert!(told[0].message.contains("too deep"), "{told:?}");
        let many = [18, 0].repeat(2_000_000);
        let told = validate_bytes(&schema, None, &many, &mut Budget::new(STEPS));
        assert!(told[0].message.contains("more work"), "{told:?}");
        let mut value = json!({});
        for _ in 0..100 {
            value = json!({ "m": value });
        }
        let told = validate_json(&schema, None, &value, &mut Budget::new(STEPS));
        assert!(told[0].message.contains("deeper"), "{told:?}");
    });
}
