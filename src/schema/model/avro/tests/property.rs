//! Data never contradicts the verdict: what a writer's schema of any shape wrote, `apache-avro` reads
//! with an evolved schema that was found COMPATIBLE.
//!
//! Left out, since `apache-avro` 0.22 does otherwise than the specification there: it does not find a
//! field by the reader's alias, and it takes some values that end too early for `null`.
//!
//! Schemas, evolutions and data are made from bytes, which say what to choose, so that a failure
//! shrinks.

use apache_avro::{
    Schema, reader::datum::GenericDatumReader, types, writer::datum::GenericDatumWriter,
};
use proptest::prelude::*;

use super::*;

fn encode(schema: &Schema, value: types::Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn decode(
    writer: &Schema,
    reader: Option<&Schema>,
    bytes: &mut &[u8],
) -> Result<types::Value, apache_avro::Error> {
    GenericDatumReader::builder(writer).maybe_reader_schema(reader).build()?.read_value(bytes)
}

struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    /// One of so many; the first, once the bytes are used up.
    fn of(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.of(count) == count - 1
    }
}

const PRIMITIVES: [&str; 8] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

fn schema(choices: &mut Choices<'_>, depth: usize, names: &mut usize) -> Value {
    *names += 1;
    let name = format!("ns.N{names}");
    match choices.of(if depth == 0 { 8 } else { 15 }) {
        index @ 0..8 => json!(PRIMITIVES[index]),
        8 => json!({ "type": "array", "items": schema(choices, depth - 1, names) }),
        9 => json!({ "type": "map", "values": schema(choices, depth - 1, names) }),
        10 => {
            let mut branches = vec![json!("null")];
            for _ in 0..=choices.of(3) {
                let branch = schema(choices, depth - 1, names);
                let kind = |value: &Value| value.get("type").unwrap_or(value).clone();
                let anonymous = |value: &Value| value.get("name").is_none();
                let twice = branches.iter().any(|other| {
                    kind(other) == kind(&branch) && anonymous(other) && anonymous(&branch)
                });
                if !branch.is_array() && !twice {
                    branches.push(branch);
                }
            }
            json!(branches)
        }
        11 => {
            let symbols: Vec<_> = (0..=choices.of(4)).map(|index| format!("S{index}")).collect();
            json!({ "type": "enum", "name": name, "symbols": symbols })
        }
        12 => json!({ "type": "fixed", "name": name, "size": choices.of(5) }),
        _ => {
            let fields = (0..choices.of(5)).map(|index| {
                json!({ "name": format!("f{index}"), "type": schema(choices, depth - 1, names) })
            });
            record(&name, json!(fields.collect::<Vec<_>>()))
        }
    }
}

/// The reader's schema from the writer's.
fn evolved(choices: &mut Choices<'_>, schema: &Value) -> Value {
    match schema {
        Value::String(name) if choices.one_in(3) => {
            let to = match name.as_str() {
                "int" => ["long", "float", "double", "string"][choices.of(4)],
                "long" => ["float", "double", "int"][choices.of(3)],
                "float" => ["double", "long"][choices.of(2)],
                "bytes" => "string",
                "string" => "bytes",
                _ => PRIMITIVES[choices.of(8)],
            };
            if choices.one_in(4) && to != "null" { json!(["null", to]) } else { json!(to) }
        }
        Value::Array(branches) => {
            let mut branches: Vec<_> =
                branches.iter().map(|branch| evolved(choices, branch)).collect();
            match choices.of(6) {
                4 => drop(branches.pop()),
                5 => branches.insert(0, json!({ "type": "fixed", "name": "ns.Added", "size": 1 })),
                3 => branches.reverse(),
                _ => {}
            }
            json!(branches)
        }
        Value::Object(object) => {
            let mut object = object.clone();
            for key in ["items", "values"] {
                if let Some(inner) = object.get(key).cloned() {
                    object.insert(key.into(), evolved(choices, &inner));
                }
            }
            if let Some(Value::Array(symbols)) = object.get_mut("symbols") {
                match choices.of(5) {
                    2 => symbols.push(json!("NEW")),
                    3 => drop(symbols.pop()),
                    4 => symbols.reverse(),
                    _ => {}
                }
                let first = symbols.first().cloned();
                if let Some(first) = first.filter(|_| choices.one_in(3)) {
                    object.insert("default".into(), first);
                }
            }
            if let Some(size) = object.get_mut("size").filter(|_| choices.one_in(8)) {
                *size = json!(7);
            }
            if let Some(Value::Array(fields)) = object.remove("fields") {
                let mut kept = Vec::new();
                for mut field in fields {
                    if choices.one_in(8) {
                        continue;
                    }
                    field["type"] = evolved(choices, &field["type"]);
                    kept.push(field);
                }
                match choices.of(5) {
                    2 => kept.push(json!({ "name": "added", "type": "int", "default": 7 })),
                    3 => kept.insert(
                        0,
                        json!({ "name": "added", "type": ["null", "string"], "default": null }),
                    ),
                    4 => kept.push(json!({ "name": "added", "type": "int" })),
                    _ => {}
                }
                object.insert("fields".into(), json!(kept));
            }
            if choices.one_in(10) { json!(["null", object]) } else { json!(object) }
        }
        other => other.clone(),
    }
}

/// A value of a schema, and the same in the JSON encoding.
fn datum(choices: &mut Choices<'_>, schema: &Value) -> (types::Value, Value) {
    let kind = schema.get("type").unwrap_or(schema);
    match kind.as_str() {
        None => {
            let branches = schema.as_array().unwrap();
            let index = choices.of(branches.len());
            let branch = &branches[index];
            let (value, encoded) = datum(choices, branch);
            let name =
                branch.get("name").or(branch.get("type")).unwrap_or(branch).as_str().unwrap();
            let encoded = if name == "null" { encoded } else { json!({ name: encoded }) };
            (types::Value::Union(u32::try_from(index).unwrap(), Box::new(value)), encoded)
        }
        Some("null") => (types::Value::Null, json!(null)),
        Some("boolean") => {
            let value = choices.one_in(2);
            (types::Value::Boolean(value), json!(value))
        }
        Some("int") => {
            let value = [0, 1, -1, i32::MAX, i32::MIN][choices.of(5)];
            (types::Value::Int(value), json!(value))
        }
        Some("long") => {
            let value = [0, 1, -1, i64::MAX, i64::MIN][choices.of(5)];
            (types::Value::Long(value), json!(value))
        }
        Some("float") => {
            let value = [0.0, 1.5, -1e30_f32][choices.of(3)];
            (types::Value::Float(value), json!(value))
        }
        Some("double") => {
            let value = [0.0, 1.5, -1e300_f64][choices.of(3)];
            (types::Value::Double(value), json!(value))
        }
        // Bytes that are no UTF-8 are not read as a string, although the specification promotes them.
        Some("bytes") => {
            let text = ["", "a", "~\u{1}"][choices.of(3)];
            (types::Value::Bytes(text.into()), json!(text))
        }
        Some("string") => {
            let text = ["", "a", "é𝄞"][choices.of(3)];
            (types::Value::String(text.into()), json!(text))
        }
        Some("array") => {
            let items: Vec<_> =
                (0..choices.of(4)).map(|_| datum(choices, &schema["items"])).collect();
            let (items, encoded): (Vec<_>, Vec<_>) = items.into_iter().unzip();
            (types::Value::Array(items), json!(encoded))
        }
        Some("map") => {
            let mut members = std::collections::HashMap::new();
            let mut encoded = Map::new();
            for key in 0..choices.of(3) {
                let (value, json) = datum(choices, &schema["values"]);
                members.insert(format!("k{key}"), value);
                encoded.insert(format!("k{key}"), json);
            }
            (types::Value::Map(members), json!(encoded))
        }
        Some("enum") => {
            let symbols = schema["symbols"].as_array().unwrap();
            let index = choices.of(symbols.len());
            let symbol = symbols[index].as_str().unwrap().to_owned();
            (types::Value::Enum(u32::try_from(index).unwrap(), symbol.clone()), json!(symbol))
        }
        Some("fixed") => {
            let size = usize::try_from(schema["size"].as_u64().unwrap()).unwrap();
            (types::Value::Fixed(size, vec![7; size]), json!("\u{7}".repeat(size)))
        }
        Some(_) => {
            let mut fields = Vec::new();
            let mut encoded = Map::new();
            for field in schema["fields"].as_array().unwrap() {
                let name = field["name"].as_str().unwrap();
                let (value, json) = datum(choices, &field["type"]);
                fields.push((name.to_owned(), value));
                encoded.insert(name.to_owned(), json);
            }
            (types::Value::Record(fields), json!(encoded))
        }
    }
}

/// Changes one part of a schema, wherever the choices lead, to something that may be wrong there.
fn break_somewhere(choices: &mut Choices<'_>, value: &mut Value) {
    let count = match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if count > 0 && !choices.one_in(4) {
        let index = choices.of(count);
        match value {
            Value::Array(items) => break_somewhere(choices, &mut items[index]),
            Value::Object(members) => {
                let key = members.keys().nth(index).unwrap().clone();
                match choices.of(8) {
                    0 => drop(members.remove(&key)),
                    1 => {
                        let keys = [
                            "default",
                            "aliases",
                            "namespace",
                            "logicalType",
                            "doc",
                            "type",
                            "order",
                            "size",
                        ];
                        let moved = members[&key].clone();
                        members.insert(keys[choices.of(8)].into(), moved);
                    }
                    _ => break_somewhere(choices, members.get_mut(&key).unwrap()),
                }
            }
            _ => {}
        }
        return;
    }
    *value = [
        json!(null),
        json!([]),
        json!({}),
        json!(""),
        json!("ns.N1"),
        json!("N1"),
        json!(".N1"),
        json!("a..b"),
        json!("record"),
        json!("decimal"),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(["null", "ns.N1"]),
        json!({ "type": "int", "logicalType": "date", "x": [1.0, 1e300] }),
        json!({ "type": { "type": "ns.N1" }, "doc": "d" }),
        json!({ "type": "fixed", "name": "ns.N2", "size": 16, "logicalType": "uuid", "aliases": ["b.C", "D"] }),
    ][choices.of(17)]
    .clone();
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..120)
}

/// A writer's schema and one evolved from it, if that is a schema.
fn pair(made: &[u8], changed: &[u8]) -> Option<(Value, Value)> {
    let written = schema(&mut Choices(made.iter()), 3, &mut 0);
    let reader = evolved(&mut Choices(changed.iter()), &written);
    parse(&reader.to_string(), &[]).is_ok().then_some((written, reader))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compatible_is_read(made in bytes(), changed in bytes(), data in prop::collection::vec(bytes(), 3)) {
        let Some((written, reader)) = pair(&made, &changed) else { return Ok(()) };
        let verdict = compared(&reader, &written).verdict();
        prop_assume!(verdict == Verdict::Compatible);
        let (writes, reads) = (Schema::parse(&written).unwrap(), Schema::parse(&reader).unwrap());
        for data in data {
            let (value, _) = datum(&mut Choices(data.iter()), &written);
            let encoded = encode(&writes, value);
            let read = decode(&writes, Some(&reads), &mut encoded.as_slice());
            prop_assert!(read.is_ok(), "{written}\n{reader}\n{read:?}");
        }
    }

    #[test]
    fn what_was_written_is_valid(made in bytes(), data in bytes()) {
        let written = schema(&mut Choices(made.iter()), 3, &mut 0);
        let ours = read(&written);
        let (value, json) = datum(&mut Choices(data.iter()), &written);
        prop_assert_eq!(validate(&ours, &json, &mut Budget::new(STEPS)), []);
        let encoded = encode(&Schema::parse(&written).unwrap(), value);
        prop_assert_eq!(decode_check(&ours, &encoded, &mut Budget::new(STEPS)), []);
        if let Some((_, shorter)) = encoded.split_last() {
            prop_assert!(!decode_check(&ours, shorter, &mut Budget::new(STEPS)).is_empty());
        }
    }

    #[test]
    fn any_bytes_are_read_as_the_library_reads_them(made in bytes(), data in bytes()) {
        let written = schema(&mut Choices(made.iter()), 3, &mut 0);
        let told = decode_check(&read(&written), &data, &mut Budget::new(STEPS));
        // The library gives out the memory.
        prop_assume!(!told.iter().any(|told| told.message.contains("more work")));
        let mut input = data.as_slice();
        let theirs = decode(&Schema::parse(&written).unwrap(), None, &mut input);
        let read = theirs.is_ok() && input.is_empty();
        let early = told.iter().any(|told| told.message.contains("bytes, and"));
        prop_assert!(told.is_empty() == read || early, "{told:?} {theirs:?}");
    }

    #[test]
    fn a_schema_reads_itself_and_its_canonical_text_is_the_same(made in bytes()) {
        let written = schema(&mut Choices(made.iter()), 3, &mut 0);
        let comparison = compared(&written, &written);
        prop_assert_eq!(comparison.differences, []);
        let text = canonical(&read(&written));
        prop_assert_eq!(canonical(&parse(&text, &[]).unwrap()), text);
    }

    #[test]
    fn a_schema_with_anything_wrong_is_read_or_refused(made in bytes(), broken in bytes()) {
        let mut choices = Choices(broken.iter());
        let mut schema = schema(&mut Choices(made.iter()), 3, &mut 0);
        for _ in 0..=choices.of(3) {
            break_somewhere(&mut choices, &mut schema);
        }
        let Ok(ours) = parse(&schema.to_string(), &[]) else { return Ok(()) };
        let text = canonical(&ours);
        prop_assert_eq!(canonical(&parse(&text, &[]).unwrap()), text);
        prop_assert_eq!(compare(&ours, &ours, &mut Budget::new(STEPS)).differences, []);
        let _ = fields(&ours);
        let _ = validate(&ours, &schema, &mut Budget::new(STEPS));
        let _ = decode_check(&ours, &made, &mut Budget::new(STEPS));
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[\[\]{}":,a-z0-9 ]{0,60}|\{"type":"(record|enum|fixed|array|[a-z]{0,5})","(name|items|fields|symbols|size)":("[a-z.]{0,5}"|\[.{0,20}\]|[0-9]{0,3})\}"#) {
        let _ = parse(&text, &[]);
    }
}
