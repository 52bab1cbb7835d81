//! Schemas as descriptors.

use super::*;

const WHOLE: &str = "syntax = \"proto3\";
package shop;
import \"google/protobuf/timestamp.proto\";
import \"money.proto\";
/* Said of it. */
message Payment {
  message Line { string text = 1; }
  reserved 9 to 11, 20;
  string id = 1 [json_name = \"ID\"];
  optional int32 count = 2;
  .shop.Money amount = 3;
  google.protobuf.Timestamp at = 4;
  map<string, Line> lines = 5;
  oneof how { bool cash = 6; Kind card = 7; }
  repeated sint64 parts = 8 [packed = false];
}
enum Kind { KIND_NONE = 0; DEBIT = 1; }
service Payments { rpc Pay(Payment) returns (stream Payment); }
";
const MONEY: &str = "syntax = \"proto3\"; package shop; message Money { int64 units = 1; }";

const OLDER: &str = "syntax = \"proto2\";
package shop;
import \"google/protobuf/descriptor.proto\";
extend google.protobuf.FieldOptions { optional Unit unit = 50000; }
message Unit { required string name = 1; repeated int32 powers = 2 [packed = true]; }
message Order {
  required int64 id = 1 [default = -7, (unit) = { name: \"m\" powers: 2 }];
  optional string note = 2 [default = \"a\\\"b\", deprecated = true];
  repeated group Line = 3 { optional double price = 1 [default = inf]; }
  optional State state = 4 [default = DONE];
  extensions 100 to 199;
  oneof way { bytes raw = 5 [default = \"\\001\"]; Order self = 6; }
}
extend Order { repeated Order more = 100; }
enum State { option allow_alias = true; OPEN = 0; DONE = 1; CLOSED = 1; reserved 5 to 9; reserved \"GONE\"; }
";

fn references() -> Vec<(String, String)> {
    vec![("money.proto".to_owned(), MONEY.to_owned())]
}

#[test]
fn a_descriptor_is_the_same_schema_as_its_text() {
    let schema = parse(WHOLE, &references()).unwrap();
    let descriptor = descriptor_of(&schema);
    let text = text_of(&descriptor, &references()).unwrap();
    assert_eq!(text, canonical(&schema));
    let again = parse(&text, &references()).unwrap();
    assert_eq!(canonical(&again), text);
    assert_eq!(text_of(&descriptor_of(&again), &references()).unwrap(), text);
    assert!(!descriptor.windows(7).any(|bytes| bytes == b"Said of"));
    let missing = text_of(&descriptor, &[]).unwrap_err();
    assert!(missing[0].message.contains("money.proto"), "{missing:?}");
}

#[test]
fn options_of_ones_own_stay() {
    let text = "syntax = \"proto3\"; package p; import \"google/protobuf/descriptor.proto\";
        extend google.protobuf.FieldOptions { string unit = 50000; }
        message M { int32 length = 1 [(unit) = \"m\"]; }";
    let schema = read(text);
    let back = text_of(&descriptor_of(&schema), &[]).unwrap();
    assert!(back.contains("(.p.unit) = \"m\""), "{back}");
    assert_eq!(back, canonical(&schema));
}

#[test]
fn what_is_no_descriptor_is_refused() {
    for bytes in [&b"no descriptor"[..], &[0xff; 40], &[0x22, 0x02, 0x0a]] {
        assert!(text_of(bytes, &[]).is_err(), "{bytes:?}");
    }
    let own = "syntax = \"proto3\"; package google.protobuf; message M { int32 a = 1; }";
    assert!(parse(own, &[]).is_err());
    let mut foreign = descriptor_of(&read("syntax = \"proto3\"; message M { int32 a = 1; }"));
    prost::encoding::string::encode(2, &"google.protobuf".to_owned(), &mut foreign);
    assert!(text_of(&foreign, &[]).is_err());
}

// Whatever the bytes are, it ends well: what is below has been made for what compilers write.
#[test]
fn no_descriptor_panics() {
    in_small_stack(|| {
        let references = references();
        let mut read = 0;
        for text in [WHOLE, OLDER] {
            let whole = descriptor_of(&parse(text, &references).unwrap());
            for at in 0..whole.len() {
                for by in [0x01, 0x08, 0x80] {
                    let mut changed = whole.clone();
                    changed[at] ^= by;
                    read += usize::from(text_of(&changed, &references).is_ok());
                }
                let cut = text_of(&whole[..at], &references);
                read += usize::from(cut.is_ok());
            }
        }
        assert!(read > 100, "{read} were read at all");
    });
}

// What a compiler reads of options is not in a descriptor: reading it would go down the stack.
#[test]
fn options_are_read_already() {
    use prost_reflect::prost_types::{
        DescriptorProto, FieldDescriptorProto, FieldOptions, FileDescriptorProto, FileOptions,
        UninterpretedOption,
    };
    let option = |value: String| UninterpretedOption {
        aggregate_value: Some(value),
        ..UninterpretedOption::default()
    };
    let deep = "a { ".repeat(100_000);
    let whole = FileDescriptorProto {
        options: Some(FileOptions {
            uninterpreted_option: vec![option(deep.clone())],
            ..FileOptions::default()
        }),
        ..FileDescriptorProto::default()
    };
    let options =
        FieldOptions { uninterpreted_option: vec![option(deep)], ..FieldOptions::default() };
    let field = FieldDescriptorProto {
        name: Some("f".to_owned()),
        number: Some(1),
        options: Some(options),
        ..FieldDescriptorProto::default()
    };
    let message = DescriptorProto {
        name: Some("M".to_owned()),
        field: vec![field],
        ..DescriptorProto::default()
    };
    let below =
        FileDescriptorProto { message_type: vec![message], ..FileDescriptorProto::default() };
    in_small_stack(move || {
        for file in [whole, below] {
            let refused = text_of(&prost::Message::encode_to_vec(&file), &[]).unwrap_err();
            assert!(refused[0].message.contains("options"), "{refused:?}");
        }
    });
}

// What is named by many is not long, and there is not too much of anything.
#[test]
fn a_descriptor_is_bounded() {
    use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
    let named =
        |name: &str| DescriptorProto { name: Some(name.to_owned()), ..DescriptorProto::default() };
    let refused = |file: FileDescriptorProto, why: &str| {
        let refused = text_of(&prost::Message::encode_to_vec(&file), &[]).unwrap_err();
        assert!(refused[0].message.contains(why), "{why}: {refused:?}");
    };
    let file = FileDescriptorProto::default;
    refused(
        FileDescriptorProto {
            package: Some("p".repeat(100_000)),
            message_type: vec![named("M")],
            ..file()
        },
        "full name",
    );
    let nested = vec![named("N"); 100_000];
    let outer = DescriptorProto { nested_type: nested, ..named(&"M".repeat(2_000)) };
    refused(FileDescriptorProto { message_type: vec![outer], ..file() }, "declarations");
    refused(
        FileDescriptorProto { message_type: vec![named("M"); 100_000], ..file() },
        "declarations",
    );
    let field = vec![FieldDescriptorProto::default(); 100_000];
    let wide = DescriptorProto { field, ..named("M") };
    refused(FileDescriptorProto { message_type: vec![wide], ..file() }, "declarations");
    refused(FileDescriptorProto { dependency: vec!["a".repeat(1_100_000)], ..file() }, "bytes");
}

// Written where its field is, a group that is what it is in would never end.
#[test]
fn a_group_is_declared_where_its_field_is() {
    use prost_reflect::prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
        field_descriptor_proto::{Label, Type},
    };
    let message = |of: &str, nested: Vec<DescriptorProto>| DescriptorProto {
        name: Some("M".to_owned()),
        field: vec![FieldDescriptorProto {
            name: Some("m".to_owned()),
            number: Some(1),
            label: Some(Label::Optional.into()),
            r#type: Some(Type::Group.into()),
            type_name: Some(of.to_owned()),
            ..FieldDescriptorProto::default()
        }],
        nested_type: nested,
        ..DescriptorProto::default()
    };
    let read = |message: DescriptorProto| {
        let file = FileDescriptorProto {
            package: Some("p".to_owned()),
            message_type: vec![message],
            ..FileDescriptorProto::default()
        };
        text_of(&prost::Message::encode_to_vec(&file), &[])
    };
    let nested = || DescriptorProto { name: Some("M".to_owned()), ..DescriptorProto::default() };
    assert!(read(message(".p.M.M", vec![nested()])).unwrap().contains("group M = 1"));
    for of in [".p.M", "M", ".p.M.N", ".p.M.M.M", ""] {
        let refused = read(message(of, vec![nested()])).unwrap_err();
        assert!(refused[0].message.contains("declared elsewhere"), "{of}: {refused:?}");
    }
}

#[test]
fn a_default_of_bytes_is_one() {
    let whole = descriptor_of(&read(
        "syntax = \"proto2\"; message M { optional bytes b = 1 [default = \"abcd\"]; }",
    ));
    let with = |default: &[u8; 4]| {
        let mut changed = whole.clone();
        let at = whole.windows(4).position(|bytes| bytes == b"abcd").unwrap();
        changed[at..at + 4].copy_from_slice(default);
        text_of(&changed, &[])
    };
    for good in [b"abcd", b"\\377", b"\\\\77", b"\\x7f", b"\\77a"] {
        assert!(with(good).is_ok(), "{good:?}");
    }
    for bad in [b"\\400", b"\\777", b"\\xa\\", b"\\x\xc3\xa9", b"ab\xc3\xa9", b"abc\\"] {
        assert!(with(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn older_syntax_stays_the_same_schema() {
    let schema = parse(OLDER, &[]).unwrap();
    let text = text_of(&descriptor_of(&schema), &[]).unwrap();
    assert_eq!(text, canonical(&schema));
    assert_eq!(canonical(&read(&text)), text);
    let mut editions = descriptor_of(&schema);
    prost::encoding::string::encode(12, &"editions".to_owned(), &mut editions);
    assert!(text_of(&editions, &[]).unwrap_err()[0].message.contains("syntax"));
}

#[test]
fn a_map_entry_that_is_none_is_refused() {
    use prost_reflect::prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MessageOptions,
        field_descriptor_proto::{Label, Type},
    };
    let field = |number: i32, of: Option<&str>| FieldDescriptorProto {
        name: Some(format!("f{number}")),
        number: Some(number),
        label: Some(Label::Repeated.into()),
        r#type: Some(if of.is_some() { Type::Message } else { Type::Int32 }.into()),
        type_name: of.map(str::to_owned),
        ..FieldDescriptorProto::default()
    };
    let options = MessageOptions { map_entry: Some(true), ..MessageOptions::default() };
    let entry = |fields: &[i32]| DescriptorProto {
        name: Some("Entry".to_owned()),
        field: fields.iter().map(|number| field(*number, None)).collect(),
        options: Some(options.clone()),
        ..DescriptorProto::default()
    };
    for fields in [&[][..], &[1], &[2, 3], &[1, 2, 3]] {
        let message = DescriptorProto {
            name: Some("M".to_owned()),
            field: vec![field(1, Some(".M.Entry"))],
            nested_type: vec![entry(fields)],
            ..DescriptorProto::default()
        };
        let file = FileDescriptorProto {
            message_type: vec![message],
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        };
        let refused = text_of(&prost::Message::encode_to_vec(&file), &[]).unwrap_err();
        assert!(refused[0].message.contains("no entry of a map"), "{refused:?}");
    }
}
