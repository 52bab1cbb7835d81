//! Options and their values in Protobuf's text format, in an order that does not depend on how they
//! were kept.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, Kind, MapKey, Value};

/// `name = value` for each option that is set, in order.
pub(super) fn option_list(options: &DynamicMessage, except: &[&str]) -> Vec<String> {
    let mut list = Vec::new();
    let mut add = |name: &str, kind: &Kind, value: &Value| match value {
        Value::List(values) => {
            list.extend(values.iter().map(|value| format!("{name} = {}", value_text(kind, value))));
        }
        value => list.push(format!("{name} = {}", value_text(kind, value))),
    };
    for (field, value) in options.fields().filter(|(field, _)| !except.contains(&field.name())) {
        add(field.name(), &field.kind(), value);
    }
    for (field, value) in options.extensions() {
        add(&format!("(.{})", field.full_name()), &field.kind(), value);
    }
    sort_by_name(&mut list);
    list
}

/// Stable: the values of a repeated option keep their order.
pub(super) fn sort_by_name(options: &mut [String]) {
    options.sort_by(|one, other| one.split(" = ").next().cmp(&other.split(" = ").next()));
}

/// A value in the text format. Its depth is that of the schema's text, which is bounded.
fn value_text(kind: &Kind, value: &Value) -> String {
    match (value, kind) {
        (Value::Bool(value), _) => value.to_string(),
        (Value::I32(value), _) => value.to_string(),
        (Value::I64(value), _) => value.to_string(),
        (Value::U32(value), _) => value.to_string(),
        (Value::U64(value), _) => value.to_string(),
        (Value::F32(value), _) => float_text(f64::from(*value), value.to_string()),
        (Value::F64(value), _) => float_text(*value, value.to_string()),
        (Value::String(value), _) => quoted(value.as_bytes()),
        (Value::Bytes(value), _) => quoted(value),
        (Value::EnumNumber(number), Kind::Enum(of)) => {
            of.get_value(*number).map_or(number.to_string(), |value| value.name().to_owned())
        }
        (Value::EnumNumber(number), _) => number.to_string(),
        (Value::Message(message), _) => message_text(message),
        (Value::List(values), kind) => {
            values.iter().map(|value| value_text(kind, value)).collect::<Vec<_>>().join(", ")
        }
        (Value::Map(_), _) => String::new(),
    }
}

fn float_text(value: f64, text: String) -> String {
    match value {
        value if value.is_nan() => "nan".into(),
        f64::INFINITY => "inf".into(),
        f64::NEG_INFINITY => "-inf".into(),
        _ => text,
    }
}

fn message_text(message: &DynamicMessage) -> String {
    let mut list = Vec::new();
    let mut add = |name: &str, kind: &Kind, value: &Value| match (value, kind) {
        (Value::List(values), kind) => {
            list.extend(values.iter().map(|value| format!("{name}: {}", value_text(kind, value))));
        }
        (Value::Map(values), Kind::Message(entry)) => {
            let value_kind = entry.map_entry_value_field().kind();
            let mut entries: Vec<_> = values.iter().collect();
            entries.sort_by_key(|(key, _)| (*key).clone());
            list.extend(entries.into_iter().map(|(key, value)| {
                format!(
                    "{name}: {{ key: {}, value: {} }}",
                    key_text(key),
                    value_text(&value_kind, value)
                )
            }));
        }
        (value, kind) => list.push(format!("{name}: {}", value_text(kind, value))),
    };
    for (field, value) in message.fields() {
        add(field.name(), &field.kind(), value);
    }
    for (field, value) in message.extensions() {
        add(&format!("[{}]", field.full_name()), &field.kind(), value);
    }
    list.sort_by(|one, other| one.split(": ").next().cmp(&other.split(": ").next()));
    if list.is_empty() { "{}".into() } else { format!("{{ {} }}", list.join(", ")) }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => quoted(key.as_bytes()),
    }
}

/// Printable ASCII as it is, all else by its octal number.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from('"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            byte => drop(write!(text, "\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}
