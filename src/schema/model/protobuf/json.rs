//! Payloads in Protobuf's JSON form. `prost-reflect` reads it, and stops at the first thing that is
//! wrong without saying where; so each member is given to it alone.

use std::collections::HashSet;

use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::{
    super::{
        place::{Segment, depth_of, pointer},
        verdict::{Budget, Exhausted, Violation},
    },
    MAX_DEPTH, MAX_VIOLATIONS, ProtoSchema,
};

/// What keeps a JSON value from being a message of a schema: of a full name, or the first; each with
/// a JSON pointer into the value.
#[must_use]
pub fn validate_json(
    schema: &ProtoSchema,
    message: Option<&str>,
    value: &Value,
    budget: &mut Budget,
) -> Vec<Violation> {
    let message = match schema.message(message) {
        Ok(message) => message,
        Err(violation) => return vec![violation],
    };
    let mut check = Check { budget, path: Vec::new(), violations: Vec::new() };
    if check.message(&message, value).is_err() {
        check.violations.truncate(MAX_VIOLATIONS - 1);
        check.path.clear();
        check.tell("takes more work to check than may be done");
    }
    check.violations
}

struct Check<'a> {
    budget: &'a mut Budget,
    path: Vec<Segment<'a>>,
    violations: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn tell(&mut self, message: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            let path = pointer(&self.path);
            self.violations.push(Violation { path, message: message.into() });
        }
    }

    fn below(
        &mut self,
        segment: Segment<'a>,
        check: impl FnOnce(&mut Self) -> Result<(), Exhausted>,
    ) -> Result<(), Exhausted> {
        self.path.push(segment);
        check(self)?;
        self.path.pop();
        Ok(())
    }

    /// Messages are entered, everything else is left to the library; so each part of the value is
    /// read once.
    fn message(&mut self, of: &MessageDescriptor, value: &'a Value) -> Result<(), Exhausted> {
        self.budget.step()?;
        if self.violations.len() >= MAX_VIOLATIONS {
            return Ok(());
        }
        if self.path.len() > MAX_DEPTH {
            self.tell(format!("is nested deeper than {MAX_DEPTH}"));
            return Ok(());
        }
        // Those that come with Protobuf have forms of their own.
        if of.package_name() == "google.protobuf" {
            return self.library(of, value);
        }
        let Value::Object(members) = value else {
            self.tell(format!("is no object, as a message {} is", of.full_name()));
            return Ok(());
        };
        let mut oneofs = HashSet::new();
        for (name, value) in members {
            self.budget.step()?;
            let field = of.get_field_by_json_name(name).or_else(|| of.get_field_by_name(name));
            self.below(Segment::Name(name), |check| {
                let Some(field) = field else { return check.member(of, name, value) };
                if let Some(oneof) = field.containing_oneof().filter(|_| !value.is_null())
                    && !oneofs.insert(oneof.name().to_owned())
                {
                    check.tell(format!("another of {} is there as well", oneof.name()));
                }
                check.field(of, &field, name, value)
            })?;
        }
        for field in of.fields() {
            self.budget.step()?;
            let missing = |name: &str| members.get(name).is_none_or(Value::is_null);
            if field.cardinality() == Cardinality::Required
                && missing(field.json_name())
                && missing(field.name())
            {
                self.tell(format!("has no {}, which is required", field.name()));
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        of: &MessageDescriptor,
        field: &FieldDescriptor,
        name: &'a str,
        value: &'a Value,
    ) -> Result<(), Exhausted> {
        match (field.kind(), value) {
            (Kind::Message(inner), Value::Array(items)) if field.is_list() => {
                for (index, item) in (0..).zip(items) {
                    self.below(Segment::Item(index), |check| check.message(&inner, item))?;
                }
                Ok(())
            }
            (Kind::Message(entry), Value::Object(members)) if field.is_map() => {
                let value_kind = entry.get_field(2).map(|field| field.kind());
                for (key, value) in members {
                    self.below(Segment::Name(key), |check| {
                        let Some(Kind::Message(inner)) = &value_kind else {
                            return check.member(of, name, &one(key, value.clone()));
                        };
                        check.message(inner, value)?;
                        // The key alone: with an empty message, which every message can be.
                        if inner.package_name() != "google.protobuf" {
                            check.member(of, name, &one(key, Value::Object(Map::new())))?;
                        }
                        Ok(())
                    })?;
                }
                Ok(())
            }
            (Kind::Message(inner), value)
                if !field.is_list() && !field.is_map() && !value.is_null() =>
            {
                self.message(&inner, value)
            }
            (kind, Value::Array(items)) if field.is_list() && kind.as_message().is_none() => {
                for (index, item) in (0..).zip(items) {
                    self.below(Segment::Item(index), |check| {
                        check.member(of, name, &Value::Array(vec![item.clone()]))
                    })?;
                }
                Ok(())
            }
            (_, value) => self.member(of, name, value),
        }
    }

    fn member(
        &mut self,
        of: &MessageDescriptor,
        name: &str,
        value: &Value,
    ) -> Result<(), Exhausted> {
        self.library(of, &one(name, value.clone()))
    }

    fn library(&mut self, of: &MessageDescriptor, value: &Value) -> Result<(), Exhausted> {
        self.budget.step()?;
        if depth_of(value) > MAX_DEPTH {
            self.tell(format!("is nested deeper than {MAX_DEPTH}"));
        } else if self.violations.len() < MAX_VIOLATIONS
            && let Err(error) = DynamicMessage::deserialize(of.clone(), value)
        {
            // It repeats the value, which can be long.
            const CHARS: usize = 300;
            self.tell(error.to_string().chars().take(CHARS).collect::<String>());
        }
        Ok(())
    }
}

/// An object of one member.
fn one(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}
