//! A value within an event, together with the path to it, so that every complaint says where.
//!
//! Not derived by serde: its structs also read from arrays, and say the path of the parent where a
//! member is missing.

use serde_json::Value;

use super::EventErrorCode;

/// What is wrong at some place of an event.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) code: EventErrorCode,
    pub(super) field: String,
    pub(super) message: String,
}

/// A value and the dotted path to it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    pub(super) path: String,
}

impl<'a> Place<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    pub(super) fn child_path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn problem(&self, code: EventErrorCode, message: impl Into<String>) -> Problem {
        Problem { code, field: self.path.clone(), message: message.into() }
    }

    fn invalid(&self, message: &str) -> Problem {
        self.problem(EventErrorCode::Invalid, message)
    }

    /// A member of an object; `null` is as good as none.
    pub(super) fn get(&self, name: &str) -> Result<Option<Self>, Problem> {
        let Value::Object(members) = self.value else {
            return Err(self.invalid("must be an object"));
        };
        let member = members.get(name).filter(|member| !member.is_null());
        Ok(member.map(|value| Self { value, path: self.child_path(name) }))
    }

    /// A member that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<Self, Problem> {
        self.get(name)?.ok_or_else(|| Problem {
            code: EventErrorCode::Missing,
            field: self.child_path(name),
            message: "is required".to_owned(),
        })
    }

    /// A member that is an object, if it is there.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Problem> {
        let member = self.get(name)?;
        match &member {
            Some(member) if !member.value.is_object() => Err(member.invalid("must be an object")),
            _ => Ok(member),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        self.value.as_str().ok_or_else(|| self.invalid("must be a string"))
    }

    /// The elements of an array member; none if it is not there.
    pub(super) fn items(&self, name: &str) -> Result<Vec<Self>, Problem> {
        let Some(member) = self.get(name)? else { return Ok(Vec::new()) };
        let Value::Array(items) = member.value else {
            return Err(member.invalid("must be an array"));
        };
        let place = |(index, value)| Self { value, path: format!("{}.{index}", member.path) };
        Ok(items.iter().enumerate().map(place).collect())
    }

    /// A number of things: whole, not negative, within 64 bits. `3.0` is whole, as in JSON Schema.
    pub(super) fn count(&self) -> Result<i64, Problem> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within ±2^53")]
        let whole =
            |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
        let number = self.value.as_i64().or_else(|| self.value.as_f64().and_then(whole));
        number
            .filter(|number| *number >= 0)
            .ok_or_else(|| self.invalid("must be a whole number, not negative and within 64 bits"))
    }
}

/// The path to the first U+0000 in a text or in the name of a member; to the object in the latter
/// case, since the name itself cannot be repeated.
pub(super) fn find_nul(value: &Value) -> Option<String> {
    let join = |name: &str, tail: String| {
        if tail.is_empty() { name.to_owned() } else { format!("{name}.{tail}") }
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find_nul(item).map(|tail| join(&index.to_string(), tail))),
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            if name.contains('\0') {
                return Some(String::new());
            }
            find_nul(member).map(|tail| join(name, tail))
        }),
        _ => None,
    }
}
