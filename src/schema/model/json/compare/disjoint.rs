//! Whether nothing is let through by two parts at once.

use std::rc::Rc;

use super::super::super::verdict::Exhausted;
use super::shape::{Kind, Shape};
use super::{MAX_DEPTH, Part, Place, Walk, all};

impl Walk<'_> {
    /// Whether nothing of a shape is let through by a node. What cannot be told is not apart.
    pub(super) fn is_apart_from(&mut self, shape: &Shape, target: Part) -> Result<bool, Exhausted> {
        self.budget.step()?;
        if self.depth >= MAX_DEPTH {
            return Ok(false);
        }
        self.depth += 1;
        let apart = self.apart_from(shape, target);
        self.depth -= 1;
        apart
    }

    fn apart_from(&mut self, shape: &Shape, target: Part) -> Result<bool, Exhausted> {
        if let Kind::Values(values) = &shape.kind {
            for value in values {
                if self.may_be(&[target], value)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        // All that the node lets through is of what the shape is not.
        for not in &shape.nots {
            if self.proves(vec![target], *not)? {
                return Ok(true);
            }
        }
        let Some(others) = self.shapes(&[target])? else { return Ok(false) };
        for other in others {
            if !self.are_apart(shape, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn are_apart(&mut self, one: &Shape, other: &Shape) -> Result<bool, Exhausted> {
        if let Kind::Values(values) = &other.kind {
            for value in values {
                if one.kind.bit() == super::super::evaluate::type_of(value)
                    && self.may_be(&one.of, value)?
                {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if one.kind.bit() != other.kind.bit() {
            return Ok(true);
        }
        if !other.nots.is_empty() {
            // All of the one is what the other is not.
            let one = Rc::new(one.clone());
            for not in &other.nots {
                if self.quietly(|walk| walk.lets_through(&one, *not, &Place::Lost))? {
                    return Ok(true);
                }
            }
        }
        Ok(match one.kind {
            Kind::Number => {
                let both = Shape {
                    kind: Kind::Number,
                    parts: all(one.parts.iter().chain(&other.parts).copied().collect()),
                    nots: Vec::new(),
                    of: Vec::new(),
                    whole: false,
                    with: None,
                };
                let (least, most) = self.bounds(&both);
                least.zip(most).is_some_and(|(least, most)| {
                    least.value > most.value
                        || (least.value == most.value && (least.exclusive || most.exclusive))
                })
            }
            Kind::String => self.lengths(one).is_apart(self.lengths(other)),
            Kind::Array => {
                let (counts, others) = (self.item_counts(one), self.item_counts(other));
                if counts.is_apart(others) {
                    return Ok(true);
                }
                if counts.least == 0 && others.least == 0 {
                    return Ok(false);
                }
                let (mine, theirs) = (self.item(one, 0), self.item(other, 0));
                self.have_nothing_in_common(&mine, &theirs)?
            }
            Kind::Object => {
                let (mine, theirs) = (self.required(one), self.required(other));
                if self.property_counts(one).is_apart(self.property_counts(other)) {
                    return Ok(true);
                }
                for name in mine.union(&theirs) {
                    self.charge(self.patterns(one) + self.patterns(other))?;
                    let (mine, theirs) = (self.property(one, name), self.property(other, name));
                    if self.have_nothing_in_common(&mine, &theirs)? {
                        return Ok(true);
                    }
                }
                false
            }
            Kind::Values(_) => false,
        })
    }

    fn have_nothing_in_common(
        &mut self,
        mine: &[Part],
        theirs: &[Part],
    ) -> Result<bool, Exhausted> {
        self.budget.step()?;
        if self.depth >= MAX_DEPTH {
            return Ok(false);
        }
        self.depth += 1;
        let both = all(mine.iter().chain(theirs).copied().collect());
        let apart = self.nothing_in_common(mine, theirs, &both);
        self.depth -= 1;
        apart
    }

    fn nothing_in_common(
        &mut self,
        mine: &[Part],
        theirs: &[Part],
        both: &[Part],
    ) -> Result<bool, Exhausted> {
        // Values are looked at together: a constant against another is the usual way to tell.
        if self.shapes(both)?.is_some_and(|shapes| shapes.is_empty()) {
            return Ok(true);
        }
        let (Some(mine), Some(theirs)) = (self.shapes(mine)?, self.shapes(theirs)?) else {
            return Ok(false);
        };
        for one in &mine {
            for other in &theirs {
                let apart = match &one.kind {
                    Kind::Values(values) => {
                        let mut apart = true;
                        for value in values {
                            apart = apart && !self.may_be(&other.of, value)?;
                        }
                        apart
                    }
                    _ => self.are_apart(one, other)?,
                };
                if !apart {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
