//! `anyOf`, `oneOf`, `not` and `if` of the reader's.

use std::rc::Rc;

use serde_json::Value;

use super::super::super::verdict::Exhausted;
use super::super::node::{Id, Node};
use super::shape::Shape;
use super::{Part, Place, Walk, all};

impl Walk<'_> {
    pub(super) fn any_of(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        if node.any_of.is_empty() {
            return Ok(true);
        }
        for id in &node.any_of {
            let to = Part { id: *id, ..target };
            if self.quietly(|walk| walk.lets_through(shape, to, &Place::Lost))? {
                return Ok(true);
            }
        }
        self.no_branch(shape, (&node.any_of, "anyOf"), target, place)
    }

    /// One branch must let a shape through, and no other any of it.
    pub(super) fn one_of(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        if node.one_of.is_empty() {
            return Ok(true);
        }
        let lists = self.nodes(shape).into_iter();
        let lists = lists.filter(|(_, own)| own.one_of.len() == node.one_of.len());
        for (part, own) in lists.collect::<Vec<_>>() {
            if self.are_same(&own.one_of, part, &node.one_of, target)? {
                return Ok(true);
            }
        }
        for id in &node.one_of {
            let to = Part { id: *id, ..target };
            if !self.quietly(|walk| walk.lets_through(shape, to, &Place::Lost))? {
                continue;
            }
            let mut alone = true;
            for other in node.one_of.iter().filter(|other| *other != id) {
                alone = alone && self.is_apart_from(shape, Part { id: *other, ..target })?;
            }
            if alone {
                return Ok(true);
            }
        }
        self.no_branch(shape, (&node.one_of, "oneOf"), target, place)
    }

    /// The same branches, in any order.
    fn are_same(
        &mut self,
        own: &[Id],
        part: Part,
        theirs: &[Id],
        target: Part,
    ) -> Result<bool, Exhausted> {
        let mut left = theirs.to_vec();
        for id in own {
            let mut found = None;
            for (index, other) in left.iter().enumerate() {
                self.budget.step()?;
                if self.is_same(Part { id: *id, ..part }, Part { id: *other, ..target })? {
                    found = Some(index);
                    break;
                }
            }
            match found {
                Some(index) => left.swap_remove(index),
                None => return Ok(false),
            };
        }
        Ok(left.is_empty())
    }

    /// Tells why no branch lets a shape through: if only one could, what is wrong with it.
    fn no_branch(
        &mut self,
        shape: &Rc<Shape>,
        (branches, keyword): (&[Id], &str),
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        if self.trial > 0 {
            return Ok(false);
        }
        let mut admitting = Vec::new();
        for id in branches {
            let to = Part { id: *id, ..target };
            if !self.is_apart_from(shape, to)? {
                admitting.push(to);
            }
        }
        if let [only] = admitting.as_slice() {
            return self.lets_through(shape, *only, place);
        }
        // What each branch refuses may be what all do.
        let queue = std::mem::take(&mut self.queue);
        let seen = std::mem::take(&mut self.seen);
        let outer = self.gathered.replace(Vec::new());
        for to in admitting.iter().take(4) {
            self.lets_through(shape, *to, place)?;
            self.drain()?;
        }
        let mut whole = std::mem::replace(&mut self.gathered, outer).unwrap_or_default();
        (self.queue, self.seen) = (queue, seen);
        for example in self.samples(shape, 0)? {
            whole.extend(self.whole(example, place)?);
        }
        if keyword == "oneOf" {
            // What is of a branch as well that it need not be of.
            for id in branches {
                let to = Part { id: *id, ..target };
                let both = shape.of.iter().chain(&shape.parts).copied().chain([to]);
                let both = all(both.collect());
                for shape in self.shapes(&both)?.unwrap_or_default() {
                    for example in self.samples(&shape, 0)? {
                        whole.extend(self.whole(example, place)?);
                    }
                }
            }
        }
        let message = format!(
            "no single branch of the reader's takes each {} that the writer may hold, and no other does too",
            shape.kind.name()
        );
        self.tell(target, keyword, ("SUM_TYPE_NARROWED", message), whole)
    }

    pub(super) fn not(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let Some(id) = node.not else { return Ok(true) };
        let to = Part { id, ..target };
        if self.is_apart_from(shape, to)? {
            return Ok(true);
        }
        let message =
            format!("the reader refuses some {} that the writer may hold", shape.kind.name());
        let mut examples = self.samples(shape, 0)?;
        if self.trial == 0 {
            for refused in self.shapes(&[to])?.unwrap_or_default() {
                let refused: Vec<Value> = self.samples(&refused, 0)?;
                examples.extend(refused);
            }
        }
        self.differ(target, "not", ("NOT_TYPE_EXTENDED", message), examples, place)
    }

    pub(super) fn conditional(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let Some(condition) = node.condition else { return Ok(true) };
        if node.then.is_none() && node.otherwise.is_none() {
            return Ok(true);
        }
        let on = |id: Id| Part { id, ..target };
        let mut under = shape.of.iter().chain(&shape.parts).copied().collect::<Vec<_>>();
        under.push(on(condition));
        let under = all(under);
        let then = match node.then {
            None => true,
            Some(then) => {
                self.quietly(|walk| walk.lets_through(shape, on(then), &Place::Lost))?
                    || self.is_apart_from(shape, on(condition))?
                    || self.proves(under, on(then))?
            }
        };
        let otherwise = match node.otherwise {
            None => true,
            Some(otherwise) => {
                self.quietly(|walk| walk.lets_through(shape, on(otherwise), &Place::Lost))?
                    || self.quietly(|walk| walk.lets_through(shape, on(condition), &Place::Lost))?
            }
        };
        if then && otherwise {
            return Ok(true);
        }
        let keyword = if then { "else" } else { "then" };
        let message = format!("the reader's condition asks more of some {}", shape.kind.name());
        let examples = self.samples(shape, 0)?;
        self.differ(target, keyword, ("CONDITION_NARROWED", message), examples, place)
    }
}
