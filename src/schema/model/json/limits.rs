//! What a schema may cost, counted before any library sees it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::verdict::Violation;

/// The longest text, in bytes, of a schema and of each of its references.
pub const MAX_BYTES: usize = 1 << 20;
/// The longest that all of them may be together, in bytes.
pub const MAX_ALL_BYTES: usize = 8 << 20;
/// The longest name of a reference, in bytes.
pub const MAX_NAME_BYTES: usize = 2_000;
/// How deep objects and arrays may nest, which bounds the recursion of this module and of the
/// library (`serde_json` itself stops at 128).
pub const MAX_DEPTH: usize = 100;
/// How many values there may be, references and all.
pub const MAX_VALUES: usize = 200_000;
/// How long the JSON pointers to all values may be together, in bytes.
pub const MAX_PLACE_BYTES: usize = 16 << 20;
/// How many references there may be, and how many schemas to refer to.
pub const MAX_REFERENCES: usize = 10_000;
/// How many patterns there may be that differ, for each is compiled.
pub const MAX_PATTERNS: usize = 200;
/// The longest pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 2_000;
/// How large a compiled pattern may get, in bytes: `(a{999}){999}` is short and is not small.
pub const MAX_COMPILED_BYTES: usize = 1 << 20;
/// How many schemas may apply to one and the same value, references followed: 30 schemas, each of
/// which refers to the next one twice, would apply a thousand million times.
pub const MAX_IN_PLACE: u64 = 10_000;
/// How many of those may be nested in each other, references followed.
pub const MAX_IN_PLACE_DEPTH: u64 = 64;
/// How many schemas may be applied within each other to a value and what is in it. The library
/// recurses once for each.
pub const MAX_NESTING: usize = 400;
/// How many violations are told.
pub const MAX_VIOLATIONS: usize = 100;

pub fn violation(path: impl Into<String>, message: impl Into<String>) -> Violation {
    Violation { path: path.into(), message: message.into() }
}

/// Counts values, and refuses what nests too deep. Without recursion, so that it can be asked of
/// anything.
pub fn count(value: &Value) -> Result<usize, Violation> {
    let mut left = vec![(value, 1)];
    let mut values = 0;
    while let Some((value, depth)) = left.pop() {
        values += 1;
        if depth > MAX_DEPTH {
            return Err(violation("", format!("nests deeper than {MAX_DEPTH} levels")));
        }
        if values > MAX_VALUES {
            return Err(violation("", format!("has more than {MAX_VALUES} values")));
        }
        match value {
            Value::Array(items) => left.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => left.extend(members.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    Ok(values)
}

/// Refuses a schema whose places take too long to tell: one long key above many schemas would be
/// written out with each.
pub fn measure_places(schema: &Value) -> Result<(), Violation> {
    let mut left = vec![(schema, 0)];
    let mut bytes = 0_usize;
    while let Some((value, length)) = left.pop() {
        bytes = bytes.saturating_add(length);
        if bytes > MAX_PLACE_BYTES {
            return Err(violation(
                "",
                "has keys that are too long for how many values are below them",
            ));
        }
        match value {
            Value::Array(items) => left.extend(items.iter().map(|item| (item, length + 7))),
            Value::Object(members) => {
                left.extend(members.iter().map(|(key, item)| (item, length + key.len() + 1)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads a text within the limits.
pub fn read(text: &str) -> Result<Value, Violation> {
    if text.len() > MAX_BYTES {
        return Err(violation("", format!("is larger than {MAX_BYTES} bytes")));
    }
    let read = serde_json::from_str(text).map(|Unambiguous(value)| value);
    read.map_err(|error| {
        violation(format!("{}:{}", error.line(), error.column()), format!("is no JSON: {error}"))
    })
}

/// A value in which no key is written twice: of two, some readers take the first and some the last.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if read.contains_key(&key) {
                return Err(A::Error::custom("a key is written twice"));
            }
            let Unambiguous(value) = members.next_value()?;
            read.insert(key, value);
        }
        Ok(Value::Object(read))
    }
}

/// A segment of a JSON pointer.
pub fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}
