//! Data never contradicts the verdict: what a writer's message of any shape wrote, `prost-reflect`
//! reads with an evolved schema that was found COMPATIBLE, and so do we.

use proptest::prelude::*;
use prost_reflect::{DynamicMessage, Kind, MapKey, Value, prost::Message};

use super::*;

struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    /// One of so many; the first, once the bytes are used up.
    fn of(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % count
    }
}

const TYPES: [&str; 18] = [
    "int32", "int64", "uint32", "uint64", "bool", "sint32", "sint64", "fixed32", "sfixed32",
    "fixed64", "sfixed64", "float", "double", "string", "bytes", "E", "N", "M",
];
const LABELS: [&str; 4] = ["", "optional ", "repeated ", "oneof"];

/// A field's number, type and label.
type Made = (usize, usize, usize);

fn made(choices: &mut Choices<'_>) -> Vec<Made> {
    (1..=choices.of(7)).map(|number| (number, choices.of(18), choices.of(4))).collect()
}

fn evolved(choices: &mut Choices<'_>, fields: &[Made]) -> Vec<Made> {
    let mut evolved = Vec::new();
    for (number, kind, label) in fields.iter().copied() {
        match choices.of(8) {
            4 => {}
            5 => evolved.push((number, choices.of(18), label)),
            6 => evolved.push((number, kind, choices.of(4))),
            // The next one is wider more often than not.
            7 => evolved.push((number, (kind + 1) % 18, label)),
            _ => evolved.push((number, kind, label)),
        }
    }
    if choices.of(3) == 2 {
        evolved.push((9, choices.of(18), choices.of(4)));
    }
    evolved
}

fn text(fields: &[Made], maps: usize) -> String {
    let (oneof, plain): (Vec<Made>, Vec<Made>) =
        fields.iter().partition(|(_, _, label)| *label == 3);
    let field = |(number, kind, label): &Made| {
        let label = if *label == 3 { "" } else { LABELS[*label] };
        format!("{label}{} f{number} = {number}; ", TYPES[*kind])
    };
    let plain: String = plain.iter().map(field).collect();
    let inner: String = oneof.iter().map(field).collect();
    let inner = if inner.is_empty() { inner } else { format!("oneof o {{ {inner} }}") };
    let map = TYPES[maps % TYPES.len()];
    proto3(&format!(
        "message M {{ {plain} {inner} map<string, {map}> m = 10; }} message N {{ bytes b = 1; }} enum E {{ A = 0; B = 3; }}"
    ))
}

fn value(choices: &mut Choices<'_>, kind: &Kind, depth: usize) -> Value {
    let high = choices.of(3);
    match kind {
        Kind::Double => Value::F64([0.0, 1.5, -1e300][high]),
        Kind::Float => Value::F32([0.0, 1.5, -1e30][high]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32([0, i32::MAX, i32::MIN][high]),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64([0, i64::MAX, i64::MIN][high]),
        Kind::Uint32 | Kind::Fixed32 => Value::U32([0, 1, u32::MAX][high]),
        Kind::Uint64 | Kind::Fixed64 => Value::U64([0, 1, u64::MAX][high]),
        Kind::Bool => Value::Bool(high == 1),
        Kind::String => Value::String(["", "a", "é𝄞"][high].into()),
        Kind::Bytes => Value::Bytes([&[][..], &[0xff], &[1, 2]][high].to_vec().into()),
        Kind::Enum(_) => Value::EnumNumber([0, 3, 7][high]),
        Kind::Message(of) => Value::Message(message(choices, of, depth)),
    }
}

fn message(choices: &mut Choices<'_>, of: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        if depth == 0 || choices.of(4) == 3 {
            continue;
        }
        let value = if field.is_map() {
            let entry = field.kind().as_message().unwrap().map_entry_value_field().kind();
            let entries = (0..choices.of(3))
                .map(|key| (MapKey::String(format!("k{key}")), value(choices, &entry, depth - 1)));
            Value::Map(entries.collect())
        } else if field.is_list() {
            Value::List(
                (0..choices.of(4)).map(|_| value(choices, &field.kind(), depth - 1)).collect(),
            )
        } else {
            value(choices, &field.kind(), depth - 1)
        };
        message.set_field(&field, value);
    }
    message
}

/// The integers in a value, but for those that need not be written.
fn numbers(value: &Value) -> Option<Vec<i128>> {
    let number = match value {
        Value::Bool(value) => i128::from(*value),
        Value::I32(value) | Value::EnumNumber(value) => i128::from(*value),
        Value::I64(value) => i128::from(*value),
        Value::U32(value) => i128::from(*value),
        Value::U64(value) => i128::from(*value),
        Value::List(values) => {
            let numbers: Option<Vec<_>> = values.iter().map(numbers).collect();
            return numbers.map(|numbers| numbers.concat());
        }
        _ => return None,
    };
    Some(Vec::from_iter(Some(number).filter(|number| *number != 0)))
}

/// Texts of all sorts: mostly right, with a few names and numbers that meet.
struct Maker<'a> {
    choices: Choices<'a>,
    proto2: bool,
    names: usize,
}

impl Maker<'_> {
    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of[self.choices.of(of.len())]
    }

    /// Once in a while one that is there already.
    fn name(&mut self) -> (String, usize) {
        self.names += usize::from(self.choices.of(24) != 23);
        (format!("f_{}", self.names), self.names)
    }

    fn field(&mut self, label: bool) -> String {
        let kind = self.pick(&[
            "int32",
            "string",
            "M",
            "N",
            "E",
            ".p.M",
            "google.protobuf.Any",
            "bytes",
            "float",
            "sint64",
            "bool",
        ]);
        let labels: &[&str] = match (label, self.proto2) {
            (false, _) => &[""],
            (true, true) => &["optional", "required", "repeated"],
            (true, false) => &["", "optional", "repeated"],
        };
        let label = self.pick(labels);
        let default = match kind {
            "string" | "bytes" => "[default = \"a\\001\\\"\"]",
            "E" => "[default = B]",
            "bool" => "[default = true]",
            "float" => "[default = -inf]",
            _ => "[default = 1]",
        };
        let default = if self.proto2 && label == "optional" { default } else { "" };
        let packed = if label == "repeated" { "[packed = true, deprecated = false]" } else { "" };
        let option = match self.choices.of(9) {
            0 => default,
            1 => packed,
            2 => "[json_name = \"z\"]",
            3 => "[(o) = 1, deprecated = true]",
            4 => "[(m) = { a: 1, n: { a: 2 }, n {} s: \"x\" }]",
            5 => "[(l) = 3, (l) = 1]",
            _ => "",
        };
        let (name, number) = self.name();
        format!("{label} {kind} {name} = {number} {option};\n")
    }

    fn member(&mut self, depth: usize) -> String {
        let (name, number) = self.name();
        match self.choices.of(if depth == 0 { 5 } else { 12 }) {
            5 => format!("message M{name} {{ {} }}\n", self.members(depth - 1)),
            6 => format!(
                "enum E{name} {{ A{name} = 0; B{name} = 3 [deprecated = true]; C{name} = 2; reserved 5, 6 to 8; }}\n"
            ),
            7 => format!("oneof {name} {{ {} {} }}\n", self.field(false), self.field(false)),
            8 => format!("extend X {{ {} }}\n", self.field(true).replacen(" = ", " = 10", 1)),
            9 if self.proto2 => {
                format!("optional group G{name} = {number} {{ {} }}\n", self.members(depth - 1))
            }
            9 | 10 => format!(
                "map<{}, {}> {name} = {number};\n",
                self.pick(&["string", "int32", "bool"]),
                self.pick(&["M", "E", "double"])
            ),
            11 => {
                let statements = [
                    "option deprecated = true;",
                    "option message_set_wire_format = true;",
                    "option (o).x = 2;",
                    "reserved 900, 905 to max;",
                    "reserved \"q\", \"r\";",
                    "extensions 800 to 810;",
                    "option map_entry = true;",
                    "option no_standard_descriptor_accessor = true;",
                    "option features.x = 1;",
                ];
                self.pick(&statements).to_owned()
            }
            _ => self.field(true),
        }
    }

    fn members(&mut self, depth: usize) -> String {
        (0..self.choices.of(5)).map(|_| self.member(depth)).collect()
    }

    fn file(&mut self) -> String {
        let mut text = String::from(
            "import \"google/protobuf/any.proto\"; import \"google/protobuf/descriptor.proto\";\n",
        );
        text += self.pick(&["", "option java_package = \"x\";", "option optimize_for = SPEED;"]);
        text += "message V { VLABEL int32 a = 1; repeated V n = 2; VLABEL string s = 3; }
            extend google.protobuf.FieldOptions { optional int32 o = 50000; optional V m = 50001; repeated int32 l = 50002; }";
        let x = if self.proto2 { "message X { extensions 100 to max; }" } else { "message X {}" };
        let members = [self.members(2), self.members(2)];
        text += &format!(
            "{x} message M {{ {} }} message N {{ {} }} enum E {{ A = 0; B = 1; }}",
            members[0], members[1]
        );
        text += self.pick(&["", "service S { rpc R(M) returns (stream N) { option deprecated = true; } rpc Q(M) returns (N); }"]);
        text.replace("VLABEL", if self.proto2 { "optional" } else { "" })
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compatible_is_read(made_of in bytes(), changed in bytes(), data in prop::collection::vec(bytes(), 4)) {
        let mut choices = Choices(made_of.iter());
        let fields = made(&mut choices);
        let (map, mut changes) = (choices.of(18), Choices(changed.iter()));
        let after = evolved(&mut changes, &fields);
        let map_after = if changes.of(4) == 3 { map + 1 } else { map };
        let (written, reads) = (text(&fields, map), text(&after, map_after));
        let (writer, reader) = (read(&written), read(&reads));
        let verdict = compare(&reader, &writer, &mut Budget::new(STEPS)).verdict();
        prop_assume!(verdict == Verdict::Compatible);
        for data in data {
            let of = writer.message(None).unwrap();
            let encoded = message(&mut Choices(data.iter()), &of, 3).encode_to_vec();
            prop_assert_eq!(validate_bytes(&writer, None, &encoded, &mut Budget::new(STEPS)), []);
            let told = validate_bytes(&reader, None, &encoded, &mut Budget::new(STEPS));
            prop_assert_eq!(told, [], "{}\n{}", written, reads);
            let read = DynamicMessage::decode(reader.message(None).unwrap(), encoded.as_slice());
            prop_assert!(read.is_ok(), "{written}\n{reads}\n{read:?}");
            let (value, read) = (DynamicMessage::decode(of, encoded.as_slice()).unwrap(), read.unwrap());
            for (field, now) in read.fields() {
                let Some(before) = value.get_field_by_number(field.number()) else { continue };
                // Of what is a number on both sides, each has the same value.
                if let (Some(now), Some(before)) = (numbers(now), numbers(&before)) {
                    prop_assert_eq!(now, before, "{}\n{}", written, reads);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_as_the_library_reads_them(made_of in bytes(), data in prop::collection::vec(prop_oneof![0_u8..30, any::<u8>()], 0..30)) {
        let mut choices = Choices(made_of.iter());
        let schema = read(&text(&made(&mut choices), choices.of(18)));
        let told = validate_bytes(&schema, None, &data, &mut Budget::new(STEPS));
        let read = DynamicMessage::decode(schema.message(None).unwrap(), data.as_slice());
        prop_assert_eq!(told.is_empty(), read.is_ok(), "{:?} {:?}", told, read);
    }

    #[test]
    fn what_was_written_as_json_is_valid(made_of in bytes(), data in bytes()) {
        let mut choices = Choices(made_of.iter());
        let schema = read(&text(&made(&mut choices), choices.of(18)));
        let value = message(&mut Choices(data.iter()), &schema.message(None).unwrap(), 3);
        let json = serde_json::to_value(&value).unwrap();
        prop_assert_eq!(validate_json(&schema, None, &json, &mut Budget::new(STEPS)), []);
    }

    #[test]
    fn the_canonical_text_compiles_to_itself(made_of in bytes()) {
        let mut choices = Choices(made_of.iter());
        let schema = read(&text(&made(&mut choices), choices.of(18)));
        let text = canonical(&schema);
        let again = read(&text);
        prop_assert_eq!(canonical(&again), text);
        prop_assert_eq!(compare(&again, &schema, &mut Budget::new(STEPS)).differences, []);
    }

    #[test]
    fn any_text_is_read_or_refused(made in prop::collection::vec(any::<u8>(), 0..200), data in bytes()) {
        let mut choices = Choices(made.iter());
        let proto2 = choices.of(2) == 0;
        let text = Maker { choices, proto2, names: 0 }.file();
        let text = if proto2 { super::proto2(&text) } else { proto3(&text) };
        let Ok(schema) = parse(&text, &[]) else { return Ok(()) };
        let canonical = canonical(&schema);
        match parse(&canonical, &[]) {
            Ok(again) => {
                prop_assert_eq!(super::canonical(&again), canonical, "{}", text);
                prop_assert_eq!(compare(&schema, &again, &mut Budget::new(STEPS)).differences, []);
            }
            Err(told) => prop_assert!(false, "{text}\n{canonical}\n{told:?}"),
        }
        let _ = fields(&schema);
        let _ = validate_bytes(&schema, None, &data, &mut Budget::new(STEPS));
        let _ = validate_json(&schema, None, &serde_json::json!({ "a": {}, "b": [1], "c": "x", "d": { "1": {} } }), &mut Budget::new(STEPS));
    }
}
