//! What a part of a schema says of a value, in counted steps.
//!
//! The crate `jsonschema` judges whole schemas. Comparing needs the same of any node, of either
//! schema, for single values; a test holds the two against each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::verdict::{Budget, Exhausted};
use super::JsonSchema;
use super::canonical;
use super::decimal::Decimal;
use super::limits::MAX_NESTING;
use super::node::{ARRAY, BOOLEAN, Bound, Id, NULL, NUMBER, Node, OBJECT, STRING, Types};

/// What is told of a value: nothing, where `unevaluated…` is met.
pub type Judgement = Option<bool>;

/// The type of a value.
pub fn type_of(value: &Value) -> Types {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(_) => NUMBER,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// What it costs to look at a value: at a text, or (`whole`) at all that is in it.
fn weight(value: &Value, whole: bool) -> usize {
    match value {
        Value::String(text) => text.len() / 64,
        Value::Array(items) if whole => items.iter().map(|item| 1 + weight(item, true)).sum(),
        Value::Object(members) if whole => {
            members.iter().map(|(name, item)| 1 + name.len() / 64 + weight(item, true)).sum()
        }
        _ => 0,
    }
}

/// Whether a value is within a bound from below, or (`above`) from above.
pub fn within(value: Decimal, bound: &Bound, above: bool) -> bool {
    let (small, large) = if above { (value, bound.value) } else { (bound.value, value) };
    small < large || (small == large && !bound.exclusive)
}

impl JsonSchema {
    pub(super) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Whether a text matches one of the schema's own patterns. It is a search, as everywhere.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> bool {
        self.patterns.get(pattern).is_some_and(|validator| validator.is_valid(&Value::from(text)))
    }

    /// Whether a value has a format. One that nobody knows, everything has.
    pub(super) fn has_format(&self, format: &str, value: &Value) -> bool {
        self.formats.get(format).is_none_or(|validator| validator.is_valid(value))
    }

    /// The schemas of a node that apply to a property.
    pub(super) fn of_property(&self, node: &Node, name: &str) -> Vec<Id> {
        let mut found = node.properties.get(name).copied().into_iter().collect::<Vec<_>>();
        let patterns = node.pattern_properties.iter();
        found
            .extend(patterns.filter(|(pattern, _)| self.matches(pattern, name)).map(|(_, id)| *id));
        if found.is_empty() {
            found.extend(node.additional_properties);
        }
        found
    }

    /// Whether a node accepts a value.
    pub(super) fn accepts(
        &self,
        id: Id,
        value: &Value,
        budget: &mut Budget,
    ) -> Result<Judgement, Exhausted> {
        self.judge(id, value, &mut Steps { budget, depth: 0 })
    }

    fn judge(&self, id: Id, value: &Value, steps: &mut Steps<'_>) -> Result<Judgement, Exhausted> {
        steps.budget.step()?;
        if steps.depth >= MAX_NESTING {
            return Ok(None);
        }
        steps.depth += 1;
        let judgement = self.judged(id, value, steps);
        steps.depth -= 1;
        judgement
    }

    fn judged(&self, id: Id, value: &Value, steps: &mut Steps<'_>) -> Result<Judgement, Exhausted> {
        let Some(node) = self.node(id) else { return Ok(None) };
        if let Some(boolean) = node.boolean {
            return Ok(Some(boolean));
        }
        let whole = node.values.is_some() || node.unique_items;
        for _ in 0..weight(value, whole) {
            steps.budget.step()?;
        }
        if !self.plainly(node, value) {
            return Ok(Some(false));
        }
        let mut all = All(Some(true));
        for part in node.reference.iter().chain(&node.all_of) {
            all.and(self.judge(*part, value, steps)?);
        }
        if !node.any_of.is_empty() {
            let judged = self.each(&node.any_of, value, steps)?;
            let some = judged.contains(&Some(true));
            all.and(if some {
                Some(true)
            } else if judged.contains(&None) {
                None
            } else {
                Some(false)
            });
        }
        if !node.one_of.is_empty() {
            let judged = self.each(&node.one_of, value, steps)?;
            let count = judged.iter().filter(|judgement| **judgement == Some(true)).count();
            let unknown = judged.contains(&None);
            all.and(if count > 1 {
                Some(false)
            } else if unknown {
                None
            } else {
                Some(count == 1)
            });
        }
        if let Some(not) = node.not {
            all.and(self.judge(not, value, steps)?.map(|accepted| !accepted));
        }
        if let Some(condition) = node.condition {
            let branch = match self.judge(condition, value, steps)? {
                Some(true) => Some(node.then),
                Some(false) => Some(node.otherwise),
                None => None,
            };
            match branch {
                Some(Some(branch)) => all.and(self.judge(branch, value, steps)?),
                Some(None) => {}
                None => all.and(None),
            }
        }
        match value {
            Value::Array(items) => self.items(node, items, steps, &mut all)?,
            Value::Object(members) => {
                for (name, value) in members {
                    for id in self.of_property(node, name) {
                        all.and(self.judge(id, value, steps)?);
                    }
                    if let Some(names) = node.property_names {
                        all.and(self.judge(names, &Value::from(name.as_str()), steps)?);
                    }
                }
                for (name, id) in &node.dependent_schemas {
                    if members.contains_key(name) {
                        all.and(self.judge(*id, value, steps)?);
                    }
                }
                if node.unevaluated_properties.is_some() && !members.is_empty() {
                    all.and(None);
                }
            }
            _ => {}
        }
        Ok(all.0)
    }

    fn each(
        &self,
        ids: &[Id],
        value: &Value,
        steps: &mut Steps<'_>,
    ) -> Result<Vec<Judgement>, Exhausted> {
        ids.iter().map(|id| self.judge(*id, value, steps)).collect()
    }

    fn items(
        &self,
        node: &Node,
        items: &[Value],
        steps: &mut Steps<'_>,
        all: &mut All,
    ) -> Result<(), Exhausted> {
        for (index, item) in items.iter().enumerate() {
            if let Some(id) = node.prefix_items.get(index).copied().or(node.items) {
                all.and(self.judge(id, item, steps)?);
            }
        }
        if let Some(contains) = node.contains {
            let (mut surely, mut maybe) = (0_u64, 0_u64);
            for item in items {
                match self.judge(contains, item, steps)? {
                    Some(true) => surely += 1,
                    None => maybe += 1,
                    Some(false) => {}
                }
            }
            let (least, most) =
                (node.min_contains.unwrap_or(1), node.max_contains.unwrap_or(u64::MAX));
            let in_range = (least..=most).contains(&surely);
            all.and(if maybe == 0 { Some(in_range) } else { None });
        }
        if node.unevaluated_items.is_some() && !items.is_empty() {
            all.and(None);
        }
        Ok(())
    }

    /// What the keywords say that hold no schema.
    fn plainly(&self, node: &Node, value: &Value) -> bool {
        if node.types.is_some_and(|types| types & type_of(value) == 0) {
            return false;
        }
        if node.values.is_some() && !node.texts.contains(&canonical::value(value)) {
            return false;
        }
        let counted = |count: usize, least: Option<u64>, most: Option<u64>| {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            least.is_none_or(|least| count >= least) && most.is_none_or(|most| count <= most)
        };
        match value {
            Value::Number(number) => {
                let number = Decimal::of(number);
                (!node.whole || number.is_integer())
                    && node.minimum.is_none_or(|bound| within(number, &bound, false))
                    && node.maximum.is_none_or(|bound| within(number, &bound, true))
                    && node.multiple_of.is_none_or(|of| number.is_multiple_of(of) == Some(true))
            }
            Value::String(text) => {
                counted(text.chars().count(), node.min_length, node.max_length)
                    && node.pattern.as_ref().is_none_or(|pattern| self.matches(pattern, text))
                    && node.format.as_ref().is_none_or(|format| self.has_format(format, value))
            }
            Value::Array(items) => {
                let distinct = || {
                    let texts = items.iter().map(canonical::value).collect::<BTreeSet<_>>();
                    texts.len() == items.len()
                };
                counted(items.len(), node.min_items, node.max_items)
                    && (!node.unique_items || distinct())
            }
            Value::Object(members) => {
                counted(members.len(), node.min_properties, node.max_properties)
                    && node.required.iter().all(|name| members.contains_key(name))
                    && node.dependent_required.iter().all(|(name, needed)| {
                        !members.contains_key(name)
                            || needed.iter().all(|name| members.contains_key(name))
                    })
            }
            _ => true,
        }
    }
}

/// What is left to be done, and how deep this is.
#[derive(Debug)]
struct Steps<'a> {
    budget: &'a mut Budget,
    depth: usize,
}

/// Judgements that must all hold.
#[derive(Debug)]
struct All(Judgement);

impl All {
    fn and(&mut self, judgement: Judgement) {
        self.0 = match (self.0, judgement) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, _) | (_, None) => None,
            _ => Some(true),
        };
    }
}

/// Counts the steps that judging a value takes, at most: a recursive schema may look at the same
/// part of a value many times, twice as often with each level.
pub fn measure(schema: &JsonSchema, value: &Value, budget: &mut Budget) -> Result<(), Exhausted> {
    let mut left = vec![(0, value, 0)];
    while let Some((id, value, depth)) = left.pop() {
        budget.step()?;
        if depth > MAX_NESTING {
            return Err(Exhausted);
        }
        let depth = depth + 1;
        let Some(node) = schema.node(id) else { continue };
        left.extend(node.in_place().map(|id| (id, value, depth)));
        let listed = node.values.as_ref().map_or(0, Vec::len) + node.required.len();
        for _ in 0..listed + weight(value, listed > 0 || node.unique_items) {
            budget.step()?;
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let id = node.prefix_items.get(index).copied().or(node.items);
                    let ids = [id, node.contains, node.unevaluated_items];
                    left.extend(ids.into_iter().flatten().map(|id| (id, item, depth)));
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    for _ in &node.pattern_properties {
                        budget.step()?;
                    }
                    let ids = schema.of_property(node, name).into_iter();
                    left.extend(
                        ids.chain(node.unevaluated_properties).map(|id| (id, value, depth)),
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}
