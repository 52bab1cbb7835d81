//! Objects: which properties there can be, and what they can hold.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Value, json};

use super::super::super::verdict::Exhausted;
use super::super::node::{Id, Node};
use super::shape::{Kind, Range, Shape};
use super::{All, Part, Place, Step, Walk, all};

/// Names that are spoken of by a node, or by whatever applies to the same value.
#[derive(Debug, Default)]
pub struct Mentioned {
    pub names: BTreeSet<String>,
    pub patterns: BTreeSet<String>,
}

impl Walk<'_> {
    /// What applies to a property of a shape.
    pub(super) fn property(&self, shape: &Shape, name: &str) -> All {
        let mut found = Vec::new();
        for (part, node) in self.nodes(shape) {
            let schema = self.of_side(part.side);
            let on = |id: Id| Part { id, ..part };
            found.extend(schema.of_property(node, name).into_iter().map(on));
            if let Some(rest) = node.unevaluated_properties
                && let Some(mentioned) = self.mentioned(part)
                && !mentioned.names.contains(name)
                && !mentioned.patterns.iter().any(|pattern| schema.matches(pattern, name))
            {
                found.push(on(rest));
            }
        }
        all(found)
    }

    /// How many patterns a name is held against to find what applies to a property.
    pub(super) fn patterns(&self, shape: &Shape) -> usize {
        self.nodes(shape).iter().map(|(_, node)| node.pattern_properties.len() + 1).sum()
    }

    /// All names that a node and whatever applies in place speak of. `None` if they speak of all.
    pub(super) fn mentioned(&self, part: Part) -> Option<Mentioned> {
        let schema = self.of_side(part.side);
        let mut mentioned = Mentioned::default();
        let (mut left, mut seen) = (vec![part.id], BTreeSet::new());
        while let Some(id) = left.pop() {
            if !seen.insert(id) {
                continue;
            }
            let node = schema.node(id)?;
            let closed = node.unevaluated_properties.is_some() && id != part.id;
            if node.additional_properties.is_some() || closed {
                return None;
            }
            mentioned.names.extend(node.properties.keys().cloned());
            mentioned
                .patterns
                .extend(node.pattern_properties.iter().map(|(pattern, _)| pattern.clone()));
            left.extend(node.in_place());
        }
        Some(mentioned)
    }

    /// The names that a shape speaks of.
    pub(super) fn named(&self, shape: &Shape) -> BTreeSet<String> {
        let nodes = self.nodes(shape);
        nodes.iter().flat_map(|(_, node)| node.properties.keys().cloned()).collect()
    }

    /// The properties that all objects of a shape have.
    pub(super) fn required(&self, shape: &Shape) -> BTreeSet<String> {
        let nodes = self.nodes(shape);
        let mut required: BTreeSet<String> =
            nodes.iter().flat_map(|(_, node)| node.required.iter().cloned()).collect();
        required.extend(shape.with.clone());
        loop {
            let before = required.len();
            for (_, node) in &nodes {
                for (name, needed) in &node.dependent_required {
                    if required.contains(name) {
                        required.extend(needed.iter().cloned());
                    }
                }
            }
            if required.len() == before {
                return required;
            }
        }
    }

    pub(super) fn object(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let mut holds = self.presence(shape, node, target, place)?;
        if !holds && self.trial > 0 {
            return Ok(false);
        }
        let on = |id: Id| Part { id, ..target };
        let names = self.named(shape).into_iter().chain(node.properties.keys().cloned());
        let patterns = self.patterns(shape) + node.pattern_properties.len();
        for name in names.collect::<BTreeSet<_>>() {
            self.charge(patterns + 1)?;
            let parts = self.property(shape, &name);
            let schema = self.of_side(target.side);
            for id in schema.of_property(node, &name) {
                let within = place.within(Step::Property(Rc::clone(shape), name.clone()));
                let nothing = schema.node(id).is_some_and(|node| node.boolean == Some(false));
                holds &= if parts.is_empty() && node.properties.contains_key(&name) {
                    self.open_property(&name, on(id), &within)?
                } else if nothing && !node.properties.contains_key(&name) {
                    let message = format!(
                        "the writer may hold {name:?}, and the reader takes no property that it does not name"
                    );
                    self.refused(
                        &parts,
                        target,
                        "additionalProperties",
                        ("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", message),
                        &within,
                    )?
                } else {
                    self.check(parts.clone(), on(id), &within)?
                };
                if !holds && self.trial > 0 {
                    return Ok(false);
                }
            }
        }
        holds &= self.rest(shape, node, target, place)?;
        if !holds && self.trial > 0 {
            return Ok(false);
        }
        holds &= self.names(shape, node, target, place)?;
        if !holds && self.trial > 0 {
            return Ok(false);
        }
        for (name, id) in &node.dependent_schemas {
            let parts = self.property(shape, name);
            let never = self.shapes(&parts)?.is_some_and(|shapes| shapes.is_empty());
            let own = self.nodes(shape).into_iter().filter_map(|(part, node)| {
                Some(Part { id: *node.dependent_schemas.get(name)?, ..part })
            });
            let own = own.collect::<Vec<_>>();
            let narrowed = all(shape.of.iter().chain(&shape.parts).chain(&own).copied().collect());
            if never || (!own.is_empty() && self.proves(narrowed, on(*id))?) {
                continue;
            }
            let with = Rc::new(Shape {
                kind: Kind::Object,
                parts: shape.parts.clone(),
                nots: shape.nots.clone(),
                of: shape.of.clone(),
                whole: false,
                with: Some(name.clone()),
            });
            holds &= self.lets_through(&with, on(*id), place)?;
        }
        holds &= self.unevaluated(shape, node, target, place)?;
        Ok(holds)
    }

    /// Which properties there must be, and how many.
    fn presence(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let required = self.required(shape);
        let mut holds = true;
        let without = |walk: &mut Self, name: &str| -> Result<Vec<Value>, Exhausted> {
            let mut examples = walk.samples(shape, 0)?;
            for example in &mut examples {
                if let Value::Object(members) = example {
                    members.remove(name);
                }
            }
            Ok(examples)
        };
        for name in node.required.iter().filter(|name| !required.contains(*name)) {
            let message = format!("the reader needs {name:?}, which the writer may leave out");
            let examples = without(self, name)?;
            holds &= self.differ(
                target,
                "required",
                ("REQUIRED_ATTRIBUTE_ADDED", message),
                examples,
                place,
            )?;
        }
        for (name, needed) in &node.dependent_required {
            let known = self.nodes(shape).iter().any(|(_, node)| {
                node.dependent_required.get(name).is_some_and(|known| known.is_superset(needed))
            });
            if known || needed.is_subset(&required) {
                continue;
            }
            let parts = self.property(shape, name);
            if self.shapes(&parts)?.is_some_and(|shapes| shapes.is_empty()) {
                continue;
            }
            let mut examples = Vec::new();
            if self.trial == 0 {
                let mut members = self.members(shape, 0)?;
                members.extend(self.sample_of(&parts, 0)?.map(|value| (name.clone(), value)));
                self.complete(shape, &mut members)?;
                for missing in needed {
                    let mut members = members.clone();
                    members.remove(missing);
                    examples.push(Value::Object(members));
                }
            }
            let message =
                format!("beside {name:?} the reader needs more than the writer must have");
            holds &= self.differ(
                target,
                "dependentRequired",
                ("DEPENDENCY_ARRAY_EXTENDED", message),
                examples,
                place,
            )?;
        }
        let counts = self.property_counts(shape);
        let most = self.most_properties(shape, counts);
        if let Some(least) = node.min_properties.filter(|least| counts.least < *least) {
            let message =
                format!("the reader needs {least} properties or more, the writer {}", counts.least);
            let examples = self.samples(shape, 0)?;
            holds &= self.differ(
                target,
                "minProperties",
                ("MIN_PROPERTIES_INCREASED", message),
                examples,
                place,
            )?;
        }
        if let Some(limit) =
            node.max_properties.filter(|limit| most.is_none_or(|most| most > *limit))
        {
            let message = format!(
                "the reader takes {limit} properties at most, and the writer may hold more"
            );
            let mut examples = Vec::new();
            if self.trial == 0 && limit < 100 {
                let mut members = self.members(shape, 0)?;
                for index in 0..=limit {
                    let name = format!("additional{index}");
                    let parts = self.property(shape, &name);
                    if let Some(value) = self.sample_of(&parts, 0)? {
                        members.insert(name, value);
                    }
                }
                examples.push(Value::Object(members));
            }
            examples.extend(self.samples(shape, 0)?);
            holds &= self.differ(
                target,
                "maxProperties",
                ("MAX_PROPERTIES_DECREASED", message),
                examples,
                place,
            )?;
        }
        Ok(holds)
    }

    /// A closed object has no more properties than it names.
    fn most_properties(&self, shape: &Shape, counts: Range) -> Option<u64> {
        let closed = self.nodes(shape).into_iter().filter_map(|(part, node)| {
            let rest = self.part(Part { id: node.additional_properties?, ..part })?;
            let named = u64::try_from(node.properties.len()).unwrap_or(u64::MAX);
            (rest.boolean == Some(false) && node.pattern_properties.is_empty()).then_some(named)
        });
        counts.most.into_iter().chain(closed).min()
    }

    /// A property that the reader describes, and of which the writer says nothing at all.
    pub(super) fn open_property(
        &mut self,
        name: &str,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        if self.proves(Vec::new(), target)? {
            return Ok(true);
        }
        let message = format!(
            "the reader describes {name:?}, which the writer does not name and may hold as anything"
        );
        let examples = vec![
            json!(null),
            json!(true),
            json!(0.5),
            json!(""),
            json!([]),
            json!({}),
            json!("a"),
            json!(-1_000_000),
            json!(1_000_000),
            json!("aaaaaaaaaaaaaaaaaaaa"),
            json!([0, 0, 0, 0, 0, 0, 0, 0]),
            json!([null, true, 0.5, "", [], {}]),
            json!({"a": 0, "b": "", "c": null, "d": [], "e": {}}),
        ];
        self.differ(target, "", ("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", message), examples, place)
    }

    /// Tells that there may be something where the reader takes nothing.
    pub(super) fn refused(
        &mut self,
        parts: &[Part],
        target: Part,
        keyword: &str,
        told: (&'static str, String),
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let shapes = self.shapes(parts)?;
        if shapes.as_ref().is_some_and(Vec::is_empty) {
            return Ok(true);
        }
        let mut examples = Vec::new();
        for shape in shapes.unwrap_or_default() {
            examples.extend(self.samples(&shape, 0)?.into_iter().take(3));
        }
        self.differ(target, keyword, told, examples, place)
    }
}
