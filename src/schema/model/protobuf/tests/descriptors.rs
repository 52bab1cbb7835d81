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

// Whatever the bytes are, it ends well: the library's code below has never seen a compiler's output.
#[test]
fn no_descriptor_panics() {
    in_small_stack(|| {
        let references = references();
        let whole = descriptor_of(&parse(WHOLE, &references).unwrap());
        let mut read = 0;
        for at in 0..whole.len() {
            for by in [1, 0x08, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= by;
                read += usize::from(text_of(&changed, &references).is_ok());
            }
            let cut = text_of(&whole[..at], &references);
            drop(cut);
        }
        assert!(read > 100, "{read} were read at all");
    });
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
