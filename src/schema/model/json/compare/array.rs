//! Arrays: how many items, and what each can be.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::super::super::verdict::Exhausted;
use super::super::node::{Id, Node};
use super::shape::Shape;
use super::{All, Part, Place, Step, Walk, all};

impl Walk<'_> {
    /// What applies to an item of a shape.
    pub(super) fn item(&self, shape: &Shape, index: usize) -> All {
        let found = self.nodes(shape).into_iter().filter_map(|(part, node)| {
            let id = node.prefix_items.get(index).copied().or(node.items)?;
            Some(Part { id, ..part })
        });
        all(found.collect())
    }

    /// How many items of a shape are described one by one.
    fn prefix(&self, shape: &Shape) -> usize {
        let nodes = self.nodes(shape);
        nodes.iter().map(|(_, node)| node.prefix_items.len()).max().unwrap_or(0)
    }

    pub(super) fn array(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let counts = self.item_counts(shape);
        let mut holds = true;
        if let Some(least) = node.min_items.filter(|least| counts.least < *least) {
            let message =
                format!("the reader needs {least} items or more, the writer {}", counts.least);
            let examples = self.samples(shape, 0)?;
            holds &=
                self.differ(target, "minItems", ("MIN_ITEMS_INCREASED", message), examples, place)?;
        }
        if let Some(limit) =
            node.max_items.filter(|limit| counts.most.is_none_or(|most| most > *limit))
        {
            let message =
                format!("the reader takes {limit} items at most, and the writer may hold more");
            let mut examples = self.samples(shape, 0)?;
            if self.trial == 0
                && let Some(count) = usize::try_from(limit).ok().filter(|limit| *limit < 100)
            {
                let parts = self.item(shape, count);
                if let Some(item) = self.sample_of(&parts, 0)? {
                    examples.push(Value::Array(vec![item; count + 1]));
                }
            }
            holds &=
                self.differ(target, "maxItems", ("MAX_ITEMS_DECREASED", message), examples, place)?;
        }
        let distinct = self.nodes(shape).iter().any(|(_, node)| node.unique_items);
        if node.unique_items && !distinct && counts.most.is_none_or(|most| most > 1) {
            let message =
                "the reader takes no item twice, and the writer may hold one twice".to_owned();
            let mut examples = Vec::new();
            if self.trial == 0 {
                let parts = self.item(shape, 0);
                if let Some(item) = self.sample_of(&parts, 0)? {
                    let count = usize::try_from(counts.least).unwrap_or(50).clamp(2, 50);
                    examples.push(Value::Array(vec![item; count]));
                }
            }
            examples.extend(self.samples(shape, 0)?);
            holds &= self.differ(
                target,
                "uniqueItems",
                ("UNIQUE_ITEMS_ADDED", message),
                examples,
                place,
            )?;
        }
        if !holds && self.trial > 0 {
            return Ok(false);
        }
        let described = |index: usize| node.prefix_items.get(index).copied().or(node.items);
        holds &= self.each_item(shape, node.prefix_items.len(), described, target, place)?;
        holds &= self.contains(shape, node, target, place)?;
        holds &= self.unevaluated_items(shape, node, target, place)?;
        Ok(holds)
    }

    /// Compares item by item as far as either side tells them apart, and then the rest.
    fn each_item(
        &mut self,
        shape: &Rc<Shape>,
        prefix: usize,
        described: impl Fn(usize) -> Option<Id>,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let most = self.item_counts(shape).most;
        let mut holds = true;
        for index in 0..=prefix.max(self.prefix(shape)) {
            if most.is_some_and(|most| u64::try_from(index).is_ok_and(|index| index >= most)) {
                break;
            }
            let Some(id) = described(index) else { continue };
            let parts = self.item(shape, index);
            let within = place.within(Step::Item(Rc::clone(shape), index));
            holds &= self.check(parts, Part { id, ..target }, &within)?;
            if !holds && self.trial > 0 {
                return Ok(false);
            }
        }
        Ok(holds)
    }

    fn contains(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let Some(id) = node.contains else { return Ok(true) };
        let to = Part { id, ..target };
        let counts = self.item_counts(shape);
        let own = self.nodes(shape).into_iter().filter_map(|(part, node)| {
            let least = node.min_contains.unwrap_or(1);
            Some((Part { id: node.contains?, ..part }, least, node.max_contains))
        });
        let own = own.collect::<Vec<_>>();
        let least = node.min_contains.unwrap_or(1);
        let mut enough = least == 0;
        for (part, at_least, _) in &own {
            enough = enough || (*at_least >= least && self.proves(vec![*part], to)?);
        }
        if !enough && counts.least >= least {
            enough =
                self.quietly(|walk| walk.each_item(shape, 0, |_| Some(id), target, &Place::Lost))?;
        }
        let mut few =
            node.max_contains.is_none_or(|limit| counts.most.is_some_and(|most| most <= limit));
        for (part, _, at_most) in &own {
            if let Some((at_most, limit)) = at_most.zip(node.max_contains) {
                // Whatever the reader counts, the writer counts as well.
                few = few || (at_most <= limit && self.proves(vec![to], *part)?);
            }
        }
        if enough && few {
            return Ok(true);
        }
        let message =
            "the reader counts items that the writer need not have, or may have more of".to_owned();
        let examples = self.samples(shape, 0)?;
        self.differ(target, "contains", ("CONTAINS_NARROWED", message), examples, place)
    }

    fn unevaluated_items(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let Some(id) = node.unevaluated_items else { return Ok(true) };
        if self.is_trivial(&[], Part { id, ..target })? {
            return Ok(true);
        }
        let schema = self.of_side(target.side);
        let mut surely = 0;
        let (mut left, mut seen) = (vec![target.id], BTreeSet::new());
        while let Some(id) = left.pop() {
            let Some(node) = schema.node(id).filter(|_| seen.insert(id)) else { continue };
            if node.items.is_some() || (node.unevaluated_items.is_some() && id != target.id) {
                return Ok(true);
            }
            surely = surely.max(node.prefix_items.len());
            left.extend(node.reference.iter().chain(&node.all_of));
        }
        self.each_item(shape, surely, |index| (index >= surely).then_some(id), target, place)
    }
}
