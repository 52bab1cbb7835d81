//! Numbers and strings.

use std::rc::Rc;

use serde_json::Value;

use super::super::super::verdict::Exhausted;
use super::super::decimal::Decimal;
use super::super::node::{Bound, Node};
use super::shape::Shape;
use super::{Part, Place, Walk};

/// Formats that are part of others.
const WITHIN: &[(&str, &[&str])] = &[
    ("email", &["idn-email"]),
    ("hostname", &["idn-hostname"]),
    ("uri", &["uri-reference", "iri", "iri-reference"]),
    ("uri-reference", &["iri-reference"]),
    ("iri", &["iri-reference"]),
];

/// What is new to the reader: a keyword that the writer does not have, or one that says less there.
fn rule(known: bool, added: &'static str, narrowed: &'static str) -> &'static str {
    if known { narrowed } else { added }
}

impl Walk<'_> {
    pub(super) fn number(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let (least, most) = self.bounds(shape);
        let mut holds = true;
        if let Some(bound) = node.minimum {
            let within = least.is_some_and(|least| {
                least.value > bound.value
                    || (least.value == bound.value && (least.exclusive || !bound.exclusive))
                    || (shape.whole
                        && first_whole(least) >= first_whole(bound)
                        && first_whole(bound).is_some())
            });
            if !within {
                let rule = rule(least.is_some(), "MINIMUM_ADDED", "MINIMUM_INCREASED");
                let keyword = if bound.exclusive { "exclusiveMinimum" } else { "minimum" };
                let message = format!("the reader takes numbers from {} on", told(bound, "above "));
                let examples = self.numbers_around(shape, bound.value)?;
                holds &= self.differ(target, keyword, (rule, message), examples, place)?;
            }
        }
        if let Some(bound) = node.maximum {
            let within = most.is_some_and(|most| {
                most.value < bound.value
                    || (most.value == bound.value && (most.exclusive || !bound.exclusive))
                    || (shape.whole
                        && last_whole(bound).is_some()
                        && last_whole(most).is_some_and(|most| Some(most) <= last_whole(bound)))
            });
            if !within {
                let rule = rule(most.is_some(), "MAXIMUM_ADDED", "MAXIMUM_DECREASED");
                let keyword = if bound.exclusive { "exclusiveMaximum" } else { "maximum" };
                let message = format!("the reader takes numbers up to {}", told(bound, "below "));
                let examples = self.numbers_around(shape, bound.value)?;
                holds &= self.differ(target, keyword, (rule, message), examples, place)?;
            }
        }
        if let Some(of) = node.multiple_of {
            let steps = self.nodes(shape).into_iter().filter_map(|(_, node)| node.multiple_of);
            let steps = steps.chain(shape.whole.then_some(Decimal::ONE)).collect::<Vec<_>>();
            if !steps.iter().any(|step| step.is_multiple_of(of) == Some(true)) {
                let rule = rule(!steps.is_empty(), "MULTIPLE_OF_ADDED", "MULTIPLE_OF_CHANGED");
                let message = format!("the reader takes multiples of {of}");
                let examples = self.numbers_around(shape, of)?;
                holds &= self.differ(target, "multipleOf", (rule, message), examples, place)?;
            }
        }
        Ok(holds)
    }

    /// Numbers that the writer may hold, and some about a value.
    fn numbers_around(&mut self, shape: &Shape, value: Decimal) -> Result<Vec<Value>, Exhausted> {
        let half = Decimal::of(&serde_json::Number::from_f64(0.5).unwrap_or_else(|| 1.into()));
        let near = [
            Some(value),
            value.plus(Decimal::ONE),
            value.minus(Decimal::ONE),
            value.plus(half),
            value.minus(half),
        ];
        let mut found = Vec::new();
        for number in near.into_iter().flatten().filter_map(Decimal::to_number) {
            let number = Value::Number(number);
            if self.may_be(&shape.of, &number)? {
                found.push(number);
            }
        }
        found.extend(self.samples(shape, 0)?);
        Ok(found)
    }

    pub(super) fn string(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let lengths = self.lengths(shape);
        let mut holds = true;
        if let Some(least) = node.min_length.filter(|least| lengths.least < *least) {
            let rule = rule(lengths.least > 0, "MIN_LENGTH_ADDED", "MIN_LENGTH_INCREASED");
            let message = format!(
                "the reader takes {least} characters or more, the writer {} or more",
                lengths.least
            );
            let examples = self.samples(shape, 0)?;
            holds &= self.differ(target, "minLength", (rule, message), examples, place)?;
        }
        if let Some(most) =
            node.max_length.filter(|most| lengths.most.is_none_or(|longest| longest > *most))
        {
            let rule = rule(lengths.most.is_some(), "MAX_LENGTH_ADDED", "MAX_LENGTH_DECREASED");
            let message =
                format!("the reader takes {most} characters at most, and the writer may hold more");
            let mut examples = Vec::new();
            if let Some(length) = usize::try_from(most).ok().filter(|length| *length < 10_000) {
                examples.push(Value::from("a".repeat(length + 1)));
            }
            examples.extend(self.samples(shape, 0)?);
            holds &= self.differ(target, "maxLength", (rule, message), examples, place)?;
        }
        let nodes = self.nodes(shape);
        if let Some(pattern) = &node.pattern {
            let known = nodes.iter().filter_map(|(_, node)| node.pattern.as_ref());
            let known = known.collect::<Vec<_>>();
            if !known.contains(&pattern) && !is_everything(pattern) {
                let rule = rule(!known.is_empty(), "PATTERN_ADDED", "PATTERN_CHANGED");
                let shown = super::super::shortened(pattern, 100);
                let message = format!("the reader takes what matches {shown:?}");
                let examples = self.samples(shape, 0)?;
                holds &= self.differ(target, "pattern", (rule, message), examples, place)?;
            }
        }
        if let Some(format) = &node.format {
            let known =
                nodes.iter().filter_map(|(_, node)| node.format.as_deref()).collect::<Vec<_>>();
            let within = |one: &&str| {
                let wider = WITHIN.iter().find(|(narrow, _)| narrow == one).map(|(_, wide)| *wide);
                *one == format || wider.unwrap_or_default().contains(&format.as_str())
            };
            let schema = self.of_side(target.side);
            // One that nobody knows asserts nothing.
            let asserts = schema.formats.contains_key(format);
            if asserts && !known.iter().any(within) {
                let rule = rule(!known.is_empty(), "FORMAT_ADDED", "FORMAT_CHANGED");
                let message = format!(
                    "the reader takes what has the format {:?}",
                    super::super::shortened(format, 60)
                );
                let examples = self.samples(shape, 0)?;
                holds &= self.differ(target, "format", (rule, message), examples, place)?;
            }
        }
        Ok(holds)
    }
}

/// Whether every text matches, for a pattern is searched for: one that may be empty is found at
/// the start of anything. Escapes mean different things to different engines, and are not judged.
fn is_everything(pattern: &str) -> bool {
    use regex_syntax::hir::{Look, LookSet};

    let parsed = regex_syntax::ParserBuilder::new().nest_limit(50).build().parse(pattern);
    !pattern.contains('\\')
        && parsed.is_ok_and(|hir| {
            let properties = hir.properties();
            let start = LookSet::singleton(Look::Start);
            properties.minimum_len() == Some(0) && properties.look_set().union(start) == start
        })
}

fn told(bound: Bound, exclusive: &str) -> String {
    format!("{}{}", if bound.exclusive { exclusive } else { "" }, bound.value)
}

/// The least whole number within a bound from below.
fn first_whole(bound: Bound) -> Option<i128> {
    let floor = bound.value.floor_of(Decimal::ONE)?;
    if bound.value.is_integer() && !bound.exclusive { Some(floor) } else { floor.checked_add(1) }
}

/// The largest whole number within a bound from above.
fn last_whole(bound: Bound) -> Option<i128> {
    let floor = bound.value.floor_of(Decimal::ONE)?;
    if bound.value.is_integer() && bound.exclusive { floor.checked_sub(1) } else { Some(floor) }
}
