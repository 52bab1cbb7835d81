//! JSON Schema, draft-04 to 2020-12.
//!
//! A schema is read within counted limits ([`limits`]), checked against its own draft's meta-schema
//! (by the crate `jsonschema`), and then brought with all that it refers to into one document of
//! 2020-12 ([`normalise`]). Everything after works on that: what a value violates (the crate), how
//! two schemas compare ([`compare`]), what fields there are.
//!
//! `format` is an assertion in every draft: a schema that says `date-time` means it. A format that
//! nobody knows asserts nothing. Patterns are matched by an engine that takes linear time, so
//! look-around and back-references are refused.
//!
//! To add a keyword: `draft.rs` (who knows it), `node.rs` (its type), `evaluate.rs` (what it means
//! for a value), `compare/` (for two schemas). Without the last, a reader that has it is UNKNOWN.

mod canonical;
mod compare;
mod decimal;
mod draft;
mod evaluate;
mod fields;
mod limits;
mod node;
mod normalise;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

use super::verdict::{Budget, Comparison, Violation};
use draft::Draft;
pub(super) use fields::{escaped as step, outline};
use limits::{
    MAX_ALL_BYTES, MAX_COMPILED_BYTES, MAX_NAME_BYTES, MAX_PATTERN_BYTES, MAX_PATTERNS,
    MAX_REFERENCES, MAX_VALUES, MAX_VIOLATIONS, violation,
};
use node::Node;
use normalise::{Document, Normalised};

/// The steps that a value's validation may take: a schema applied to a value is one.
pub const VALIDATION_STEPS: u64 = 1_000_000;
/// The steps within which all violations are told, and beyond which the first one is: the library
/// keeps each in memory, those of every alternative included.
const DETAIL_STEPS: u64 = 100_000;

/// A JSON Schema that keeps to its draft, with all that it refers to.
pub struct JsonSchema {
    draft: Draft,
    written: Value,
    normalised: Value,
    nodes: Vec<Node>,
    validator: Validator,
    /// By pattern, and by format, one that does nothing else.
    patterns: BTreeMap<String, Validator>,
    formats: BTreeMap<String, Validator>,
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("JsonSchema").field(&self.written).finish()
    }
}

/// Reads a schema. `references` are those that it may refer to beyond itself: each by the name or
/// the URI that it is referred to by, and its text. Nothing is fetched.
///
/// # Errors
/// What is wrong with it, 100 violations at most, with pointers into the schema as it is written.
pub fn parse(text: &str, references: &[(String, String)]) -> Result<JsonSchema, Vec<Violation>> {
    let one = |violation| vec![violation];
    if references.len() > MAX_REFERENCES {
        return Err(one(violation("", format!("has more than {MAX_REFERENCES} references"))));
    }
    let bytes =
        references.iter().fold(text.len(), |bytes, (_, text)| bytes.saturating_add(text.len()));
    if bytes > MAX_ALL_BYTES || references.iter().any(|(name, _)| name.len() > MAX_NAME_BYTES) {
        let message =
            format!("its references are larger than {MAX_ALL_BYTES} bytes, or have long names");
        return Err(one(violation("", message)));
    }
    let mut left = MAX_VALUES;
    let written = read(text, None, &mut left)?;
    let others = references
        .iter()
        .map(|(name, text)| Ok((name.as_str(), read(text, Some(name), &mut left)?)))
        .collect::<Result<Vec<_>, Vec<Violation>>>()?;
    let draft = written.1;
    let mut documents = vec![Document { name: None, draft, value: &written.0 }];
    documents.extend(others.iter().map(|(name, (value, draft))| Document {
        name: Some(name),
        draft: *draft,
        value,
    }));
    let normalised = normalise::normalise(documents)?;
    limits::count(&normalised.schema).map_err(one)?;
    limits::measure_places(&normalised.schema).map_err(one)?;
    let nodes = node::build(&normalised)?;
    let patterns = patterns(&nodes)?;
    let formats = nodes.iter().filter_map(|node| node.format.clone()).collect::<BTreeSet<_>>();
    let known = |format: &String| options().is_known_format(jsonschema::Draft::Draft202012, format);
    let formats = formats.into_iter().filter(known).filter_map(|format| {
        let schema = serde_json::json!({ "format": format });
        Some((format, options().build(&schema).ok()?))
    });
    let formats = formats.collect();
    let Normalised { schema: normalised, origins } = normalised;
    let validator = options().build(&normalised).map_err(|error| {
        let pointer = error.instance_path().as_str();
        let written = origins.get(pointer).cloned().unwrap_or_else(|| pointer.to_owned());
        one(violation(written, told(&error)))
    })?;
    Ok(JsonSchema { draft, written: written.0, normalised, nodes, validator, patterns, formats })
}

/// One text for all schemas that differ only in how they are written. What it refers to beyond
/// itself is not part of it: whoever takes a hash must add the hashes of the references.
#[must_use]
pub fn canonical(schema: &JsonSchema) -> String {
    canonical::schema(schema.draft, &schema.written)
}

/// The same schema in 2020-12, with all that it refers to among its definitions.
#[must_use]
pub fn normalised(schema: &JsonSchema) -> &Value {
    &schema.normalised
}

/// Whether the reader's schema accepts every value that the writer's accepts.
///
/// COMPATIBLE is proven by the schemas, INCOMPATIBLE by a value that the one accepts and the other
/// does not. All else is UNKNOWN, and so is what takes more steps than there are in `budget`.
#[must_use]
pub fn compare(reader: &JsonSchema, writer: &JsonSchema, budget: &mut Budget) -> Comparison {
    compare::compare(reader, writer, budget)
}

/// What a value violates, 100 violations at most, with pointers into the value. What the value
/// holds is not told. Of a value that is very large, only the first violation is.
#[must_use]
pub fn validate(schema: &JsonSchema, value: &Value) -> Vec<Violation> {
    if let Err(violation) = limits::count(value) {
        return vec![violation];
    }
    let mut budget = Budget::new(VALIDATION_STEPS);
    if evaluate::measure(schema, value, &mut budget).is_err() {
        let message = format!("takes more than {VALIDATION_STEPS} steps to validate");
        return vec![violation("", message)];
    }
    let mut told = Vec::new();
    if evaluate::measure(schema, value, &mut Budget::new(DETAIL_STEPS)).is_err() {
        if let Err(error) = schema.validator.validate(value) {
            tell(&error, 0, &mut told);
        }
        return told;
    }
    for error in schema.validator.iter_errors(value) {
        tell(&error, 0, &mut told);
        if told.len() >= MAX_VIOLATIONS {
            break;
        }
    }
    told.truncate(MAX_VIOLATIONS);
    told
}

/// Tells a violation without what the value holds: it may be kept, and values may be personal. Of
/// alternatives, what is wrong by the one that the value comes closest to is told as well.
fn tell(error: &ValidationError<'_>, depth: usize, told: &mut Vec<Violation>) {
    let message = shortened(&error.masked().to_string(), 300);
    told.push(violation(error.instance_path().as_str(), message));
    let branches = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context
        }
        _ => return,
    };
    let far = |branch: &&Vec<ValidationError<'_>>| {
        // A value of another type, or with other constants, was not meant.
        let other = branch.iter().any(|error| {
            matches!(
                error.kind(),
                ValidationErrorKind::Type { .. }
                    | ValidationErrorKind::Constant { .. }
                    | ValidationErrorKind::Enum { .. }
            )
        });
        (other, branch.len())
    };
    if depth < 4
        && let Some(branch) = branches.iter().min_by_key(far)
    {
        for error in branch.iter().take(5) {
            tell(error, depth + 1, told);
        }
    }
}

/// The fields that values can have, each with its type: `order.lines[].sku` is a `string`. For
/// comparing field by field; recursion ends at the first return, and 10,000 fields are the most.
#[must_use]
pub fn fields(schema: &JsonSchema) -> Vec<(String, String)> {
    fields::fields(schema)
}

/// What a schema says of its values, as far as it can be compared with what a run reports.
pub(super) fn shape(schema: &JsonSchema) -> super::observed::shape::Shape<'_> {
    shape::shape(schema)
}

/// Reads a document, and checks it against its own draft's meta-schema.
fn read(
    text: &str,
    name: Option<&str>,
    left: &mut usize,
) -> Result<(Value, Draft), Vec<Violation>> {
    let named = |mut violation: Violation| {
        if let Some(name) = name {
            violation.path = format!("{name}#{}", violation.path);
        }
        violation
    };
    let one = |violation| vec![named(violation)];
    let value = limits::read(text).map_err(one)?;
    let count = limits::count(&value).map_err(one)?;
    limits::measure_places(&value).map_err(one)?;
    *left = left.checked_sub(count).ok_or_else(|| {
        one(violation("", format!("has more than {MAX_VALUES} values, references and all")))
    })?;
    if !(value.is_object() || value.is_boolean()) {
        return Err(one(violation("", "a schema is an object, true or false")));
    }
    let draft = Draft::of(&value).map_err(|message| one(violation("/$schema", message)))?;
    let meta = match draft {
        Draft::Four => jsonschema::draft4::meta::validator(),
        Draft::Six => jsonschema::draft6::meta::validator(),
        Draft::Seven => jsonschema::draft7::meta::validator(),
        Draft::Nineteen => jsonschema::draft201909::meta::validator(),
        Draft::Twenty => jsonschema::draft202012::meta::validator(),
    };
    let errors = meta.iter_errors(&value).take(MAX_VIOLATIONS);
    let violations = errors
        .map(|error| named(violation(error.instance_path().as_str(), told(&error))))
        .collect::<Vec<_>>();
    if violations.is_empty() { Ok((value, draft)) } else { Err(violations) }
}

/// What the crate says, without the value in full: it may be as large as the schema.
fn told(error: &ValidationError<'_>) -> String {
    shortened(&error.to_string(), 300)
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// How everything is validated here.
fn options() -> ValidationOptions<'static> {
    let engine =
        PatternOptions::regex().size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES);
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(engine)
        .should_validate_formats(true)
        .offline()
}

fn patterns(nodes: &[Node]) -> Result<BTreeMap<String, Validator>, Vec<Violation>> {
    let mut compiled = BTreeMap::new();
    let mut violations = Vec::new();
    for node in nodes {
        let named = node.pattern_properties.iter().map(|(pattern, _)| pattern);
        for pattern in node.pattern.iter().chain(named) {
            if compiled.contains_key(pattern) {
                continue;
            }
            let wrong = if compiled.len() >= MAX_PATTERNS {
                format!("there are more than {MAX_PATTERNS} patterns")
            } else if pattern.len() > MAX_PATTERN_BYTES {
                format!("a pattern is longer than {MAX_PATTERN_BYTES} bytes")
            } else {
                match options().build(&serde_json::json!({ "pattern": pattern })) {
                    Ok(validator) => {
                        compiled.insert(pattern.clone(), validator);
                        continue;
                    }
                    Err(_) => format!(
                        "the pattern {:?} is too large, or not regular: look-around and \
                         back-references are not supported",
                        shortened(pattern, 100)
                    ),
                }
            };
            violations.push(violation(node.written.clone(), wrong));
            if violations.len() >= MAX_VIOLATIONS || compiled.len() >= MAX_PATTERNS {
                return Err(violations);
            }
        }
    }
    if violations.is_empty() { Ok(compiled) } else { Err(violations) }
}

#[cfg(test)]
mod tests;
