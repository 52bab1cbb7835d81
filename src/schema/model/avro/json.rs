//! Values written as JSON: payloads in Avro's JSON encoding, and the defaults of fields.
//!
//! They differ in two things: a payload names a union's type (`{"string": "a"}`) and has every field;
//! a default has the bare value of any of the union's types, and may leave out fields that have a
//! default themselves.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    super::{
        place::{Segment, depth_of, pointer},
        verdict::{Budget, Exhausted, Violation},
    },
    AvroSchema, Field, Kind, MAX_DEPTH, MAX_VIOLATIONS, Node, NodeId, tell,
};

/// Whether a payload in Avro's JSON encoding fits a schema: what does not, up to
/// [`MAX_VIOLATIONS`], each with a JSON pointer into the payload.
#[must_use]
pub fn validate(schema: &AvroSchema, datum: &Value, budget: &mut Budget) -> Vec<Violation> {
    let mut violations = Vec::new();
    if depth_of(datum) > MAX_DEPTH {
        tell(&mut violations, "", format!("is nested deeper than {MAX_DEPTH}"));
        return violations;
    }
    let mut check = Check { schema, budget, path: Vec::new(), violations };
    if check.value(schema.root, datum).is_err() {
        // In place of the last, if there are as many as may be told.
        check.violations.truncate(MAX_VIOLATIONS - 1);
        tell(&mut check.violations, "", "takes more work to check than may be done");
    }
    check.violations
}

struct Check<'a> {
    schema: &'a AvroSchema,
    budget: &'a mut Budget,
    path: Vec<Segment<'a>>,
    violations: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn tell(&mut self, message: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            tell(&mut self.violations, &pointer(&self.path), message);
        }
    }

    fn below(
        &mut self,
        segment: Segment<'a>,
        id: NodeId,
        value: &'a Value,
    ) -> Result<(), Exhausted> {
        self.path.push(segment);
        self.value(id, value)?;
        self.path.pop();
        Ok(())
    }

    fn value(&mut self, id: NodeId, value: &'a Value) -> Result<(), Exhausted> {
        self.budget.step()?;
        if self.violations.len() >= MAX_VIOLATIONS {
            return Ok(());
        }
        // Through the reference, so that the names live as long as the schema.
        let schema: &'a AvroSchema = self.schema;
        let node = schema.node(id);
        match (&node.kind, value) {
            (Kind::Array(items), Value::Array(values)) => {
                for (index, value) in (0..).zip(values) {
                    self.below(Segment::Item(index), *items, value)?;
                }
            }
            (Kind::Map(values), Value::Object(members)) => {
                for (key, value) in members {
                    self.below(Segment::Name(key), *values, value)?;
                }
            }
            (Kind::Union(branches), value) => self.union(branches, value)?,
            (Kind::Record(fields), Value::Object(members)) => {
                let told = self.violations.len();
                for field in fields {
                    match members.get(&field.name) {
                        Some(value) => {
                            self.below(Segment::Name(&field.name), field.schema, value)?;
                        }
                        None => self.tell(format!("has no field {}", field.name)),
                    }
                }
                // With as many as there are fields, and none missing, there is none besides.
                if members.len() != fields.len() || self.violations.len() > told {
                    self.unknown(fields, members.keys())?;
                }
            }
            (_, value) => {
                if !is_scalar(node, value, self.budget)? {
                    self.tell(format!("is {}, not {node}", shown(value)));
                }
            }
        }
        Ok(())
    }

    fn unknown(
        &mut self,
        fields: &[Field],
        members: impl Iterator<Item = &'a String>,
    ) -> Result<(), Exhausted> {
        let known: HashSet<_> = fields.iter().map(|field| &field.name).collect();
        for name in members {
            self.budget.step()?;
            if !known.contains(name) {
                self.path.push(Segment::Name(name));
                self.tell("is no field of the record");
                self.path.pop();
            }
        }
        Ok(())
    }

    fn union(&mut self, branches: &[NodeId], value: &'a Value) -> Result<(), Exhausted> {
        let named = match value {
            Value::Null => Some(("null", value)),
            Value::Object(members) if members.len() == 1 => {
                let named = members.iter().next().map(|(name, value)| (name.as_str(), value));
                named.filter(|(name, _)| *name != "null")
            }
            _ => None,
        };
        let Some((name, inner)) = named else {
            let form = r#"null or {"<type>": <value>}"#;
            self.tell(format!("is {}, not {form} as a union's values are", shown(value)));
            return Ok(());
        };
        for branch in branches {
            self.budget.step()?;
            if branch_name(self.schema.node(*branch)) != name {
                continue;
            }
            if value.is_null() {
                return self.value(*branch, inner);
            }
            return self.below(Segment::Name(name), *branch, inner);
        }
        let name = shown(&Value::String(name.to_owned()));
        self.tell(format!("is of type {name}, which is not in the union"));
        Ok(())
    }
}

/// What a union's value names its type by: the full name, or the type.
pub(super) fn branch_name(node: &Node) -> &str {
    node.name.as_ref().map_or(node.kind.as_str(), |name| name.0.as_str())
}

/// Whether a value is one of a type that has no parts.
fn is_scalar(node: &Node, value: &Value, budget: &mut Budget) -> Result<bool, Exhausted> {
    Ok(match (&node.kind, value) {
        (Kind::Null, Value::Null) | (Kind::Boolean, Value::Bool(_)) => true,
        (Kind::String, Value::String(_)) => true,
        // Integers are written without a fraction or an exponent.
        (Kind::Int, Value::Number(number)) => {
            number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
        }
        (Kind::Long, Value::Number(number)) => number.as_i64().is_some(),
        (Kind::Float | Kind::Double, Value::Number(_)) => true,
        // JSON has no such numbers; Avro's libraries write them so.
        (Kind::Float | Kind::Double, Value::String(text)) => {
            matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity")
        }
        (Kind::Bytes, Value::String(text)) => text.chars().all(is_byte),
        (Kind::Fixed(size), Value::String(text)) => {
            text.chars().all(is_byte) && u64::try_from(text.chars().count()) == Ok(*size)
        }
        (Kind::Enum { symbols, .. }, Value::String(text)) => {
            for symbol in symbols {
                budget.step()?;
                if symbol == text {
                    return Ok(true);
                }
            }
            false
        }
        _ => false,
    })
}

/// Bytes are written as the characters of the same number.
fn is_byte(char: char) -> bool {
    u32::from(char) <= 0xff
}

/// A value for a message, not too long.
fn shown(value: &Value) -> String {
    const CHARS: usize = 40;
    match value {
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) if text.chars().count() > CHARS => {
            let start: String = text.chars().take(CHARS).collect();
            format!("{start:?}…")
        }
        value => value.to_string(),
    }
}

/// Whether a value is one of a type, as a field's default. Its depth is that of the schema's text,
/// which is bounded.
pub(super) fn is_default(
    schema: &AvroSchema,
    id: NodeId,
    value: &Value,
    budget: &mut Budget,
) -> Result<bool, Exhausted> {
    budget.step()?;
    let node = schema.node(id);
    match (&node.kind, value) {
        (Kind::Array(items), Value::Array(values)) => {
            for value in values {
                if !is_default(schema, *items, value, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Kind::Map(items), Value::Object(members)) => {
            for value in members.values() {
                if !is_default(schema, *items, value, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Kind::Union(branches), value) => {
            for branch in branches {
                if is_default(schema, *branch, value, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Kind::Record(fields), Value::Object(members)) => {
            for field in fields {
                budget.step()?;
                let fits = match members.get(&field.name) {
                    Some(value) => is_default(schema, field.schema, value, budget)?,
                    None => field.default.is_some(),
                };
                if !fits {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (_, value) => is_scalar(node, value, budget),
    }
}
