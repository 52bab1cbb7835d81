//! What a writer may hold, taken apart by type.

use serde_json::Value;

use super::super::super::verdict::Exhausted;
use super::super::canonical;
use super::super::decimal::Decimal;
use super::super::node::{ARRAY, BOOLEAN, Bound, EVERY, NULL, NUMBER, Node, OBJECT, STRING, Types};
use super::{All, Part, Side, Walk, all};

/// Types, what applies, and what does not.
type Alternative = (Types, All, All);

/// The most alternatives that parts are taken apart into.
const MAX_ALTERNATIVES: usize = 128;

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// These, and no others.
    Values(Vec<Value>),
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Values(_) => "value",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    pub const fn bit(&self) -> Types {
        match self {
            Self::Values(_) => 0,
            Self::Number => NUMBER,
            Self::String => STRING,
            Self::Array => ARRAY,
            Self::Object => OBJECT,
        }
    }
}

/// Values of one type, to which all of `parts` apply: what each says for itself, for whatever
/// applies in place is among them or is not known to apply.
#[derive(Debug, Clone)]
pub struct Shape {
    pub kind: Kind,
    pub parts: All,
    /// None of these applies.
    pub nots: All,
    /// What it was taken apart from.
    pub of: All,
    /// Of numbers, that they are whole.
    pub whole: bool,
    /// Of objects, a property that is there.
    pub with: Option<String>,
}

/// Bounds of a count.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    pub least: u64,
    pub most: Option<u64>,
}

impl Range {
    pub fn is_empty(self) -> bool {
        self.most.is_some_and(|most| most < self.least)
    }

    pub fn is_apart(self, other: Self) -> bool {
        self.most.is_some_and(|most| most < other.least)
            || other.most.is_some_and(|most| most < self.least)
    }
}

impl<'a> Walk<'a> {
    pub(super) fn of_side(&self, side: Side) -> &'a super::JsonSchema {
        match side {
            Side::Reader => self.reader,
            Side::Writer => self.writer,
        }
    }

    pub(super) fn part(&self, part: Part) -> Option<&'a Node> {
        self.of_side(part.side).node(part.id)
    }

    pub(super) fn nodes(&self, shape: &Shape) -> Vec<(Part, &'a Node)> {
        shape.parts.iter().filter_map(|part| Some((*part, self.part(*part)?))).collect()
    }

    /// What these parts let through, and maybe more, as shapes. `None` if there are too many.
    pub(super) fn shapes(&mut self, parts: &[Part]) -> Result<Option<Vec<Shape>>, Exhausted> {
        let Some(alternatives) = self.alternatives(parts)? else { return Ok(None) };
        let mut values: Vec<Value> = Vec::new();
        let mut shapes = Vec::new();
        for (types, parts, nots) in alternatives {
            self.charge(parts.len())?;
            let nodes = parts.iter().filter_map(|part| self.part(*part)).collect::<Vec<_>>();
            let listed = nodes.iter().filter_map(|node| node.values.as_ref());
            if let Some(listed) = listed.min_by_key(|values| values.len()) {
                self.charge(listed.len())?;
                values.extend(listed.iter().cloned());
                continue;
            }
            if types & NULL != 0 {
                values.push(Value::Null);
            }
            if types & BOOLEAN != 0 {
                values.extend([Value::Bool(false), Value::Bool(true)]);
            }
            let whole = nodes
                .iter()
                .any(|node| node.whole || node.multiple_of.is_some_and(Decimal::is_integer));
            for kind in [Kind::Number, Kind::String, Kind::Array, Kind::Object] {
                if types & kind.bit() == 0 {
                    continue;
                }
                if kind == Kind::Object {
                    let names = nodes
                        .iter()
                        .map(|node| node.required.len() + node.pattern_properties.len());
                    self.charge(names.sum())?;
                }
                let (parts, nots) = (parts.clone(), nots.clone());
                let shape = Shape { kind, parts, nots, of: Vec::new(), whole, with: None };
                if !self.is_surely_empty(&shape) {
                    shapes.push(shape);
                }
            }
        }
        let mut texts = std::collections::HashSet::new();
        values.retain(|value| texts.insert(canonical::value(value)));
        let mut kept = Vec::new();
        for value in values {
            if self.may_be(parts, &value)? {
                kept.push(value);
            }
        }
        if !kept.is_empty() {
            let kind = Kind::Values(kept);
            shapes.insert(
                0,
                Shape {
                    kind,
                    parts: parts.to_vec(),
                    nots: Vec::new(),
                    of: Vec::new(),
                    whole: false,
                    with: None,
                },
            );
        }
        for shape in &mut shapes {
            shape.of = parts.to_vec();
        }
        Ok(Some(shapes))
    }

    /// Whether a value is not refused by any of these.
    pub(super) fn may_be(&mut self, parts: &[Part], value: &Value) -> Result<bool, Exhausted> {
        for part in parts {
            let schema = self.of_side(part.side);
            if schema.accepts(part.id, value, self.budget)? == Some(false) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Follows what applies in place, one alternative per way through `anyOf`, `oneOf` and `if`.
    fn alternatives(&mut self, parts: &[Part]) -> Result<Option<Vec<Alternative>>, Exhausted> {
        /// What applies, and what does not.
        type Branch = (Vec<Part>, Vec<Part>);
        struct Way {
            types: Types,
            pending: Vec<Part>,
            parts: Vec<Part>,
            nots: Vec<Part>,
            /// Choices that are still to be made.
            choices: Vec<Vec<Branch>>,
        }
        let every = EVERY.iter().fold(0, |types, (bit, _)| types | bit);
        let start = Way {
            types: every,
            pending: parts.to_vec(),
            parts: Vec::new(),
            nots: Vec::new(),
            choices: Vec::new(),
        };
        let (mut ways, mut done) = (vec![start], Vec::new());
        'ways: while let Some(mut way) = ways.pop() {
            while let Some(part) = way.pending.pop() {
                self.budget.step()?;
                let Some(node) = self.part(part) else { continue };
                if node.boolean == Some(false) {
                    continue 'ways;
                }
                way.types &= node.types.unwrap_or(every);
                if way.types == 0 {
                    continue 'ways;
                }
                if way.parts.contains(&part) {
                    continue;
                }
                way.parts.push(part);
                let on = |id: &usize| Part { id: *id, ..part };
                way.pending.extend(node.reference.iter().chain(&node.all_of).map(on));
                way.nots.extend(node.not.iter().map(on));
                if !node.any_of.is_empty() {
                    way.choices
                        .push(node.any_of.iter().map(|id| (vec![on(id)], Vec::new())).collect());
                }
                if !node.one_of.is_empty() {
                    let branch = |id: &usize| {
                        let others = node.one_of.iter().filter(|other| *other != id);
                        (vec![on(id)], others.map(on).collect())
                    };
                    way.choices.push(node.one_of.iter().map(branch).collect());
                }
                if let Some(condition) = node.condition
                    && (node.then.is_some() || node.otherwise.is_some())
                {
                    let then = std::iter::once(&condition).chain(&node.then).map(on).collect();
                    let otherwise = node.otherwise.iter().map(on).collect();
                    let not = vec![on(&condition)];
                    way.choices.push(vec![(then, Vec::new()), (otherwise, not)]);
                }
            }
            match way.choices.pop() {
                None => done.push((way.types, all(way.parts), all(way.nots))),
                // In reverse, for the last is looked at first.
                Some(choice) => ways.extend(choice.into_iter().rev().map(|(pending, nots)| Way {
                    types: way.types,
                    pending,
                    parts: way.parts.clone(),
                    nots: way.nots.iter().copied().chain(nots).collect(),
                    choices: way.choices.clone(),
                })),
            }
            if done.len() + ways.len() > MAX_ALTERNATIVES {
                return Ok(None);
            }
        }
        Ok(Some(done))
    }

    fn is_surely_empty(&self, shape: &Shape) -> bool {
        // Nothing is left of a type that is not let through.
        let bit = shape.kind.bit();
        let mut nots = shape.nots.iter().filter_map(|part| self.part(*part));
        if nots.any(|not| {
            let types = not.types.filter(|_| not.only_types && (!not.whole || shape.whole));
            types.is_some_and(|types| types & bit != 0) || not.is_anything(&self.nothing)
        }) {
            return true;
        }
        match shape.kind {
            Kind::Number => {
                let (least, most) = self.bounds(shape);
                least.zip(most).is_some_and(|(least, most)| {
                    least.value > most.value
                        || (least.value == most.value && (least.exclusive || most.exclusive))
                })
            }
            Kind::String => self.lengths(shape).is_empty(),
            Kind::Array => self.item_counts(shape).is_empty(),
            Kind::Object => {
                let nothing =
                    |part: Part| self.part(part).is_some_and(|node| node.boolean == Some(false));
                self.property_counts(shape).is_empty()
                    || self
                        .required(shape)
                        .iter()
                        .any(|name| self.property(shape, name).iter().any(|part| nothing(*part)))
            }
            Kind::Values(_) => false,
        }
    }

    fn range(&self, shape: &Shape, of: fn(&Node) -> (Option<u64>, Option<u64>)) -> Range {
        let nodes = self.nodes(shape);
        let bounds = nodes.iter().map(|(_, node)| of(node));
        let start = Range { least: 0, most: None };
        bounds.fold(start, |range, (least, most)| Range {
            least: range.least.max(least.unwrap_or(0)),
            most: range.most.into_iter().chain(most).min(),
        })
    }

    pub(super) fn lengths(&self, shape: &Shape) -> Range {
        self.range(shape, |node| (node.min_length, node.max_length))
    }

    pub(super) fn item_counts(&self, shape: &Shape) -> Range {
        let range = self.range(shape, |node| (node.min_items, node.max_items));
        // A tuple with nothing after it is no longer than its items.
        let nodes = self.nodes(shape);
        let closed = nodes.iter().filter_map(|(part, node)| {
            let nothing = self.part(Part { id: node.items?, ..*part })?.boolean == Some(false);
            nothing.then(|| u64::try_from(node.prefix_items.len()).unwrap_or(u64::MAX))
        });
        Range { most: range.most.into_iter().chain(closed).min(), ..range }
    }

    pub(super) fn property_counts(&self, shape: &Shape) -> Range {
        let range = self.range(shape, |node| (node.min_properties, node.max_properties));
        let required = u64::try_from(self.required(shape).len()).unwrap_or(u64::MAX);
        Range { least: range.least.max(required), ..range }
    }

    /// The tightest bounds of numbers.
    pub(super) fn bounds(&self, shape: &Shape) -> (Option<Bound>, Option<Bound>) {
        let (mut least, mut most): (Option<Bound>, Option<Bound>) = (None, None);
        for (_, node) in self.nodes(shape) {
            if let Some(bound) = node.minimum
                && least.is_none_or(|least| {
                    (bound.value, bound.exclusive) > (least.value, least.exclusive)
                })
            {
                least = Some(bound);
            }
            if let Some(bound) = node.maximum
                && most.is_none_or(|most| {
                    bound.value < most.value || (bound.value == most.value && bound.exclusive)
                })
            {
                most = Some(bound);
            }
        }
        (least, most)
    }
}
