//! One text for schemas that differ only in how they are written.
//!
//! What is dropped: white space, the order of keys, escapes in strings, forms of numbers (1, 1.0
//! and 1e0), the order in `required`, `enum`, `type` and `dependentRequired`, an empty fragment of
//! `$schema` and its absence, and `$comment`. What is kept: `title`, `description`, examples and
//! defaults, for a change of what is told is a new version; the order in `allOf`, `anyOf` and
//! `oneOf`; keywords that nobody knows; the draft.

use serde_json::Value;

use super::decimal::Decimal;
use super::draft::{Draft, children};

/// The canonical text of a schema of a draft.
pub fn schema(draft: Draft, schema: &Value) -> String {
    let mut text = String::new();
    write_schema(draft, schema, true, &mut text);
    text
}

/// The canonical text of a value that is no schema. Equal values have equal texts.
pub fn value(value: &Value) -> String {
    let mut text = String::new();
    write_value(value, &mut text);
    text
}

/// The canonical text of what a keyword says that holds no schema.
pub fn keyword(key: &str, said: &Value) -> String {
    match (key, said) {
        ("required" | "enum", Value::Array(items)) => sorted(items),
        ("type", Value::Array(items)) => match items.as_slice() {
            [one] => value(one),
            _ => sorted(items),
        },
        ("dependentRequired", Value::Object(members)) => {
            let mut members = members.iter().collect::<Vec<_>>();
            members.sort_unstable_by_key(|(name, _)| *name);
            let written = members.into_iter().map(|(name, needed)| {
                format!("{}:{}", value(&name.as_str().into()), keyword("required", needed))
            });
            format!("{{{}}}", written.collect::<Vec<_>>().join(","))
        }
        _ => value(said),
    }
}

/// A set: sorted, and each once.
fn sorted(items: &[Value]) -> String {
    let mut items = items.iter().map(value).collect::<Vec<_>>();
    items.sort_unstable();
    items.dedup();
    format!("[{}]", items.join(","))
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&Decimal::of(number).to_string()),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members = members.iter().collect::<Vec<_>>();
            members.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_value(value, text);
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn write_schema(draft: Draft, schema: &Value, root: bool, text: &mut String) {
    let Value::Object(members) = schema else { return write_value(schema, text) };
    // By the keyword as it is written: all that are not schemas are told by their pointers.
    let within = children(draft, members);
    let mut keys = members.iter().filter(|(key, _)| *key != "$comment").collect::<Vec<_>>();
    keys.sort_unstable_by_key(|(key, _)| *key);
    text.push('{');
    let mut first = true;
    let mut begin = |key: &str, text: &mut String| {
        if !std::mem::take(&mut first) {
            text.push(',');
        }
        text.push_str(&Value::from(key).to_string());
        text.push(':');
    };
    if root {
        begin("$schema", text);
        text.push_str(&Value::from(draft.uri().trim_end_matches('#')).to_string());
    }
    let schemas =
        within.iter().map(|child| child.old.as_str()).collect::<std::collections::HashSet<_>>();
    for (key, said) in keys {
        if root && key == "$schema" {
            continue;
        }
        begin(key, text);
        let pointer = format!("/{}", super::limits::escape(key));
        let is_schema = |suffix: &str| schemas.contains(format!("{pointer}{suffix}").as_str());
        if is_schema("") {
            write_schema(draft, said, false, text);
            continue;
        }
        match said {
            Value::Object(map)
                if map
                    .keys()
                    .any(|name| is_schema(&format!("/{}", super::limits::escape(name)))) =>
            {
                let mut map = map.iter().collect::<Vec<_>>();
                map.sort_unstable_by_key(|(name, _)| *name);
                text.push('{');
                for (index, (name, value)) in map.into_iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    text.push_str(&Value::from(name.as_str()).to_string());
                    text.push(':');
                    if is_schema(&format!("/{}", super::limits::escape(name))) {
                        write_schema(draft, value, false, text);
                    } else {
                        // `dependencies`, of which some are schemas and some are names.
                        text.push_str(&keyword("required", value));
                    }
                }
                text.push('}');
            }
            Value::Array(items) if is_schema("/0") => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    write_schema(draft, item, false, text);
                }
                text.push(']');
            }
            _ => text.push_str(&keyword(key, said)),
        }
    }
    text.push('}');
}
