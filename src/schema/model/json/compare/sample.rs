//! Values that a writer may hold: simple ones, and some on the edge.
//!
//! They need not be right. What is made of them is shown to both schemas before anything is told.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Value};

use super::super::super::verdict::Exhausted;
use super::super::decimal::Decimal;
use super::shape::{Kind, Shape};
use super::{Part, Walk};

/// What may be spent on making values, in steps.
pub const STEPS: u64 = 100_000;
/// How deep a made value nests.
const MAX_DEPTH: usize = 16;
/// The longest made text, and the longest made array or object.
const MAX_TEXT: usize = 2_000;
const MAX_COUNT: usize = 50;

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "0",
    "ab",
    "a b",
    "-",
    "é",
    "aaaaaaaaaaaa",
    "2024-02-29",
    "2024-02-29T12:00:00Z",
    "12:00:00Z",
    "P1D",
    "a@example.com",
    "example.com",
    "192.0.2.1",
    "2001:db8::1",
    "https://example.com/a",
    "/a",
    "00000000-0000-4000-8000-000000000000",
    "/a/0",
    "[a-z]",
];

impl Walk<'_> {
    /// Works within what may be spent on values. Nothing is made where that is used up.
    pub(super) fn sampling<T: Default>(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<T, Exhausted>,
    ) -> Result<T, Exhausted> {
        if self.is_sampling {
            return make(self);
        }
        self.is_sampling = true;
        std::mem::swap(self.budget, &mut self.samples);
        let made = make(self).unwrap_or_default();
        std::mem::swap(self.budget, &mut self.samples);
        self.is_sampling = false;
        Ok(made)
    }

    /// Some values of a shape.
    pub(super) fn samples(&mut self, shape: &Shape, depth: usize) -> Result<Vec<Value>, Exhausted> {
        if self.trial > 0 {
            return Ok(Vec::new());
        }
        self.sampling(|walk| {
            let mut made = walk.candidates(shape, depth)?;
            let mut kept = Vec::new();
            for value in made.drain(..) {
                if walk.may_be(&shape.of, &value)? {
                    kept.push(value);
                }
            }
            Ok(kept)
        })
    }

    /// A value that all of these let through.
    pub(super) fn sample_of(
        &mut self,
        parts: &[Part],
        depth: usize,
    ) -> Result<Option<Value>, Exhausted> {
        if depth == 0 {
            return self.sampling(|walk| walk.sample_of(parts, 1));
        }
        self.budget.step()?;
        if depth > MAX_DEPTH {
            return Ok(None);
        }
        let Some(shapes) = self.shapes(parts)? else { return Ok(None) };
        for shape in shapes {
            let made = match &shape.kind {
                Kind::Array => {
                    self.items(&shape, self.item_counts(&shape).least, depth)?.into_iter().collect()
                }
                Kind::Object => vec![Value::Object(self.members(&shape, depth)?)],
                _ => self.candidates(&shape, depth)?,
            };
            for value in made {
                if self.may_be(&shape.of, &value)? {
                    return Ok(Some(value));
                }
            }
        }
        Ok(None)
    }

    fn candidates(&mut self, shape: &Shape, depth: usize) -> Result<Vec<Value>, Exhausted> {
        Ok(match &shape.kind {
            Kind::Values(values) => values.clone(),
            Kind::Number => self.numbers(shape),
            Kind::String => self.texts(shape),
            Kind::Array => {
                let range = self.item_counts(shape);
                let counts =
                    [range.least, range.least.saturating_add(1), range.least.saturating_add(2)];
                let most = range.most.unwrap_or(range.least.saturating_add(8));
                let mut made = Vec::new();
                for count in counts.into_iter().chain([most]).filter(|count| *count <= most) {
                    made.extend(self.items(shape, count, depth + 1)?);
                }
                made
            }
            Kind::Object => {
                let least = self.members(shape, depth + 1)?;
                let mut full = least.clone();
                for name in self.named(shape).into_iter().take(MAX_COUNT) {
                    self.charge(self.patterns(shape))?;
                    let parts = self.property(shape, &name);
                    if let Some(value) = self.sample_of(&parts, depth + 1)? {
                        full.insert(name, value);
                    }
                }
                self.complete(shape, &mut full)?;
                let mut more = least.clone();
                for index in 0..4 {
                    let name = format!("additional{index}");
                    let parts = self.property(shape, &name);
                    if let Some(value) = self.sample_of(&parts, depth + 1)? {
                        more.insert(name, value);
                    }
                }
                [least, full, more].into_iter().map(Value::Object).collect()
            }
        })
    }

    fn numbers(&self, shape: &Shape) -> Vec<Value> {
        let (least, most) = self.bounds(shape);
        let half = Decimal::of(&serde_json::Number::from_f64(0.5).unwrap_or_else(|| 0.into()));
        let mut found = vec![Decimal::ZERO, Decimal::ONE, half];
        let bounds = [least, most];
        for bound in bounds.iter().flatten() {
            let value = bound.value;
            let near = [
                value.plus(Decimal::ONE),
                value.minus(Decimal::ONE),
                value.plus(half),
                value.minus(half),
            ];
            found.push(value);
            found.extend(near.into_iter().flatten());
        }
        for of in self.nodes(shape).into_iter().filter_map(|(_, node)| node.multiple_of) {
            let starts = bounds.iter().flatten().filter_map(|bound| bound.value.floor_of(of));
            let starts = starts.chain([0]).collect::<Vec<_>>();
            for start in starts {
                found.extend((-2..=2).filter_map(|step| of.times(start.checked_add(step)?)));
            }
        }
        let large = [Decimal::from_integer(1_000_000), Decimal::from_integer(-1_000_000)];
        found.extend(large);
        found.into_iter().filter_map(Decimal::to_number).map(Value::Number).collect()
    }

    fn texts(&self, shape: &Shape) -> Vec<Value> {
        let range = self.lengths(shape);
        let bounded = |count: u64| usize::try_from(count).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        let mut found = vec!["a".repeat(bounded(range.least)), "0".repeat(bounded(range.least))];
        if let Some(most) = range.most {
            found.push("a".repeat(bounded(most)));
        }
        found.push("a".repeat(bounded(range.least.saturating_add(1))));
        for pattern in self.nodes(shape).into_iter().filter_map(|(_, node)| node.pattern.as_ref()) {
            found.extend(matching(pattern));
        }
        found.extend(TEXTS.iter().map(|text| (*text).to_owned()));
        found.into_iter().map(Value::from).collect()
    }

    fn items(&mut self, shape: &Shape, count: u64, depth: usize) -> Result<Vec<Value>, Exhausted> {
        let count = usize::try_from(count).unwrap_or(MAX_COUNT).min(MAX_COUNT);
        let mut contained = self
            .nodes(shape)
            .into_iter()
            .filter_map(|(part, node)| Some(Part { id: node.contains?, ..part }));
        let contained = contained.next();
        let (mut plain, mut mixed) = (Vec::new(), Vec::new());
        for index in 0..count {
            let mut parts = self.item(shape, index);
            let Some(value) = self.sample_of(&parts, depth + 1)? else { return Ok(Vec::new()) };
            let other = if index == 0
                && let Some(contained) = contained
            {
                parts.push(contained);
                self.sample_of(&super::all(parts), depth + 1)?
            } else {
                // Not the same again, where items must differ.
                Some(Value::from(index)).filter(|_| parts.is_empty())
            };
            mixed.push(other.unwrap_or_else(|| value.clone()));
            plain.push(value);
        }
        Ok(vec![Value::Array(plain), Value::Array(mixed)])
    }

    /// The least that an object must have.
    pub(super) fn members(
        &mut self,
        shape: &Shape,
        depth: usize,
    ) -> Result<Map<String, Value>, Exhausted> {
        let required = self.required(shape);
        self.charge(self.patterns(shape) * (required.len() + 1))?;
        let least =
            usize::try_from(self.property_counts(shape).least).unwrap_or(MAX_COUNT).min(MAX_COUNT);
        let more = self.named(shape).into_iter().filter(|name| !required.contains(name));
        let fresh = (0..least).map(|index| format!("p{index}"));
        let names = more.chain(fresh).collect::<Vec<_>>();
        let mut members = Map::new();
        for (name, needed) in
            required.iter().map(|name| (name, true)).chain(names.iter().map(|name| (name, false)))
        {
            if !needed && members.len() >= least {
                break;
            }
            let parts = self.property(shape, name);
            if let Some(value) = self.sample_of(&parts, depth + usize::from(depth > 0))? {
                members.insert(name.clone(), value);
            }
        }
        Ok(members)
    }
}

impl Walk<'_> {
    /// Adds what an object's properties call for.
    pub(super) fn complete(
        &mut self,
        shape: &Shape,
        members: &mut Map<String, Value>,
    ) -> Result<(), Exhausted> {
        for (_, node) in self.nodes(shape) {
            for (name, needed) in &node.dependent_required {
                for name in needed
                    .iter()
                    .filter(|needed| members.contains_key(name) && !members.contains_key(*needed))
                    .cloned()
                    .collect::<Vec<_>>()
                {
                    let parts = self.property(shape, &name);
                    members.extend(self.sample_of(&parts, 0)?.map(|value| (name, value)));
                }
            }
        }
        Ok(())
    }
}

/// Two texts that a pattern may match: a short one, and one that goes another way.
pub fn matching(pattern: &str) -> Vec<String> {
    let parsed = regex_syntax::ParserBuilder::new().nest_limit(50).build().parse(pattern);
    let Ok(hir) = parsed else { return Vec::new() };
    let make = |other: bool| {
        let mut text = String::new();
        write(&hir, other, &mut text).then_some(text)
    };
    [make(false), make(true)].into_iter().flatten().collect()
}

fn write(hir: &Hir, other: bool, text: &mut String) -> bool {
    if text.len() > MAX_TEXT {
        return false;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(literal) => {
                text.push_str(literal);
                true
            }
            Err(_) => false,
        },
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            let range = if other { ranges.last() } else { ranges.first() };
            let letter = match range {
                // Anything but a few: what can be seen is easier to read.
                Some(range) if range.start() < ' ' && range.end() >= 'a' => Some('a'),
                Some(range) if range.end() > '\u{d7ff}' && ranges.len() > 1 => Some('a'),
                Some(range) => Some(if other { range.end() } else { range.start() }),
                None => None,
            };
            text.extend(letter);
            letter.is_some()
        }
        HirKind::Class(Class::Bytes(_)) => false,
        HirKind::Repetition(repetition) => {
            let count =
                if other { repetition.max.unwrap_or(repetition.min + 1) } else { repetition.min };
            let count = count.min(repetition.min.max(8));
            (0..count).all(|_| write(&repetition.sub, other, text))
        }
        HirKind::Capture(capture) => write(&capture.sub, other, text),
        HirKind::Concat(parts) => parts.iter().all(|part| write(part, other, text)),
        HirKind::Alternation(parts) => {
            let part = if other { parts.last() } else { parts.first() };
            part.is_some_and(|part| write(part, other, text))
        }
    }
}
