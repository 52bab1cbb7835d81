//! What is told of properties that nobody names: by pattern, by what is left, by their names.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::super::super::verdict::Exhausted;
use super::super::node::{Id, Node};
use super::object::Mentioned;
use super::shape::{Kind, Shape};
use super::{All, Part, Place, Step, Walk, all};

/// The most ways in which a property that nobody names can be described.
const MAX_WAYS: usize = 64;

impl Walk<'_> {
    /// What may apply to a property that nobody names, one way or another. `pattern` is one that
    /// it matches; `but` are those that it does not.
    pub(super) fn unnamed(
        &self,
        shape: &Shape,
        pattern: Option<&str>,
        but: &[&str],
    ) -> Option<Vec<All>> {
        let mut ways = vec![Vec::new()];
        for (part, node) in self.nodes(shape) {
            let on = |id: &Id| Part { id: *id, ..part };
            let same =
                node.pattern_properties.iter().find(|(own, _)| Some(own.as_str()) == pattern);
            let options: Vec<Vec<Part>> = match same {
                Some((_, id)) => vec![vec![on(id)]],
                None => {
                    let mut rest: Vec<Part> = node.additional_properties.iter().map(on).collect();
                    // Whoever closes an object this way has no word for what nobody names.
                    if let Some(id) = node.unevaluated_properties.filter(|_| {
                        self.mentioned(part).is_some_and(|mentioned| mentioned.patterns.is_empty())
                    }) {
                        rest.push(on(&id));
                    }
                    let others = node.pattern_properties.iter();
                    let others = others.filter(|(own, _)| !but.contains(&own.as_str()));
                    std::iter::once(rest).chain(others.map(|(_, id)| vec![on(id)])).collect()
                }
            };
            let longer = ways.iter().flat_map(|way| {
                options.iter().map(|option| way.iter().chain(option).copied().collect::<Vec<_>>())
            });
            ways = longer.collect();
            if ways.len() > MAX_WAYS {
                return None;
            }
        }
        let mut ways = ways.into_iter().map(all).collect::<Vec<_>>();
        ways.sort_unstable();
        ways.dedup();
        Some(ways)
    }

    /// Properties that neither side names.
    pub(super) fn rest(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        self.charge(self.patterns(shape) * (node.pattern_properties.len() + 1))?;
        let schema = self.of_side(target.side);
        let mut questions = Vec::new();
        for (pattern, id) in &node.pattern_properties {
            questions.push((
                self.unnamed(shape, Some(pattern), &[]),
                *id,
                "patternProperties",
                pattern.as_str(),
            ));
        }
        if let Some(id) = node.additional_properties {
            let but = node.pattern_properties.iter().map(|(pattern, _)| pattern.as_str());
            let but = but.collect::<Vec<_>>();
            questions.push((self.unnamed(shape, None, &but), id, "additionalProperties", ""));
        }
        let mut holds = true;
        for (ways, id, keyword, pattern) in questions {
            let to = Part { id, ..target };
            if self.is_trivial(&[], to)? {
                continue;
            }
            let Some(ways) = ways else {
                let message = "the writer describes other properties in too many ways".to_owned();
                holds &=
                    self.differ(target, keyword, ("TOO_COMPLEX", message), Vec::new(), place)?;
                continue;
            };
            let nothing = schema.node(id).is_some_and(|node| node.boolean == Some(false));
            for parts in ways {
                let name = self.fresh_name(shape, node, pattern, &parts);
                let within = place.within(Step::Property(Rc::clone(shape), name));
                holds &= if nothing {
                    let message =
                        "the writer may hold properties that the reader does not take".to_owned();
                    self.refused(
                        &parts,
                        target,
                        keyword,
                        ("ADDITIONAL_PROPERTIES_REMOVED", message),
                        &within,
                    )?
                } else if parts.is_empty() && self.trial == 0 {
                    let name = if pattern.is_empty() { "other properties" } else { pattern };
                    self.open_property(name, to, &within)?
                } else {
                    self.check(parts, to, &within)?
                };
                if !holds && self.trial > 0 {
                    return Ok(false);
                }
            }
        }
        Ok(holds)
    }

    /// A name that nobody names, for an example.
    fn fresh_name(&self, shape: &Shape, node: &Node, pattern: &str, parts: &[Part]) -> String {
        let named = self.named(shape);
        let own = self.nodes(shape).into_iter().flat_map(|(part, node)| {
            let ids = node.pattern_properties.iter();
            ids.filter(move |(_, id)| parts.contains(&Part { id: *id, ..part }))
                .map(|(pattern, _)| pattern.as_str())
        });
        let patterns = own.chain(Some(pattern).filter(|pattern| !pattern.is_empty()));
        let matching = patterns.flat_map(super::sample::matching).chain(["additional".to_owned()]);
        let mut name = matching.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        while named.contains(&name) || node.properties.contains_key(&name) {
            name.push('_');
        }
        name
    }

    /// `propertyNames`.
    pub(super) fn names(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let Some(id) = node.property_names else { return Ok(true) };
        let to = Part { id, ..target };
        let within = place.within(Step::Name(Rc::clone(shape)));
        let own = self
            .nodes(shape)
            .into_iter()
            .filter_map(|(part, node)| Some(Part { id: node.property_names?, ..part }));
        let own = all(own.collect());
        let mut holds = true;
        for name in self.named(shape) {
            self.charge(self.patterns(shape))?;
            let value = Value::from(name.as_str());
            let parts = self.property(shape, &name);
            if self.shapes(&parts)?.is_some_and(|shapes| shapes.is_empty())
                || !self.may_be(&own, &value)?
            {
                continue;
            }
            holds &= self.values(&[value], to, &within)?;
        }
        let Some(ways) = self.unnamed(shape, None, &[]) else { return Ok(false) };
        let mut open = false;
        for parts in ways {
            open |= self.shapes(&parts)?.is_none_or(|shapes| !shapes.is_empty());
        }
        if !open || self.is_trivial(&own, to)? {
            return Ok(holds);
        }
        // A name is a text, whatever else is said of it.
        for shape in self.shapes(&own)?.unwrap_or_default() {
            if matches!(shape.kind, Kind::String | Kind::Values(_)) {
                holds &= self.lets_through(&Rc::new(shape), to, &within)?;
            }
        }
        Ok(holds)
    }

    /// `unevaluatedProperties`: what is surely spoken of by the reader is not its concern.
    pub(super) fn unevaluated(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let Some(id) = node.unevaluated_properties else { return Ok(true) };
        let to = Part { id, ..target };
        if self.is_trivial(&[], to)? {
            return Ok(true);
        }
        let schema = self.of_side(target.side);
        let mut surely = Mentioned::default();
        let (mut left, mut seen) = (vec![target.id], BTreeSet::new());
        while let Some(id) = left.pop() {
            let Some(node) = schema.node(id).filter(|_| seen.insert(id)) else { continue };
            if node.additional_properties.is_some()
                || (node.unevaluated_properties.is_some() && id != target.id)
            {
                return Ok(true);
            }
            surely.names.extend(node.properties.keys().cloned());
            surely
                .patterns
                .extend(node.pattern_properties.iter().map(|(pattern, _)| pattern.clone()));
            left.extend(node.reference.iter().chain(&node.all_of));
        }
        let spoken_of = |name: &str| {
            surely.names.contains(name)
                || surely.patterns.iter().any(|pattern| schema.matches(pattern, name))
        };
        let mut holds = true;
        for name in self.named(shape).into_iter().filter(|name| !spoken_of(name)) {
            self.charge(self.patterns(shape))?;
            let parts = self.property(shape, &name);
            let within = place.within(Step::Property(Rc::clone(shape), name));
            holds &= self.check(parts, to, &within)?;
        }
        let but = surely.patterns.iter().map(String::as_str).collect::<Vec<_>>();
        let Some(ways) = self.unnamed(shape, None, &but) else {
            let message = "the writer describes other properties in too many ways".to_owned();
            return self.differ(
                target,
                "unevaluatedProperties",
                ("TOO_COMPLEX", message),
                Vec::new(),
                place,
            );
        };
        for parts in ways {
            let name = self.fresh_name(shape, node, "", &parts);
            let within = place.within(Step::Property(Rc::clone(shape), name));
            holds &= self.check(parts, to, &within)?;
        }
        Ok(holds)
    }
}
