//! Whether everything that a writer's schema accepts is accepted by a reader's.
//!
//! The writer's side is taken apart into [`shape::Shape`]s: of one type each, and together at
//! least everything that the writer accepts. The reader's side is walked keyword by keyword, and
//! each must let every shape through. So a COMPATIBLE is a proof. Where a keyword does not, values
//! on the edge are made, put in their place in a whole value, and shown to both schemas: one that
//! the writer's accepts and the reader's does not is what makes a difference INCOMPATIBLE. Without
//! one it is UNKNOWN.
//!
//! Recursive schemas end because a pair of a writer's part and a reader's part is looked at once:
//! values are finite, so what holds of all pairs while assuming it of their parts does hold.

mod array;
mod disjoint;
mod object;
mod report;
mod rest;
mod same;
mod sample;
mod scalar;
mod shape;
mod union;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use serde_json::Value;

use super::super::verdict::{Budget, Comparison, Difference, Exhausted, Verdict};
use super::JsonSchema;
use super::node::{Id, NUMBER, Node, digest_of_nothing};
use shape::{Kind, Shape};

/// How deep one question may lead to another without the queue. Each takes a few frames.
const MAX_DEPTH: usize = 100;
/// The most differences that are told.
const MAX_DIFFERENCES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Side {
    Reader,
    Writer,
}

/// A node of one of the two schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Part {
    side: Side,
    id: Id,
}

/// Parts that all apply to a value: sorted, and each once. None at all lets everything through.
type All = Vec<Part>;

fn all(mut parts: Vec<Part>) -> All {
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// Where in a whole value the value is that is spoken of.
#[derive(Debug, Clone)]
enum Place {
    Root,
    /// Too deep to make a whole value of.
    Lost,
    In(Rc<Frame>),
}

#[derive(Debug)]
struct Frame {
    step: Step,
    within: Place,
    depth: usize,
}

/// What leads from a value to one within it.
#[derive(Debug)]
enum Step {
    Property(Rc<Shape>, String),
    /// The name of a property.
    Name(Rc<Shape>),
    Item(Rc<Shape>, usize),
}

impl Place {
    fn within(&self, step: Step) -> Self {
        let depth = match self {
            Self::Root => 1,
            Self::Lost => return Self::Lost,
            Self::In(frame) => frame.depth + 1,
        };
        if depth > 40 {
            return Self::Lost;
        }
        Self::In(Rc::new(Frame { step, within: self.clone(), depth }))
    }
}

/// See [`super::compare`].
pub fn compare(reader: &JsonSchema, writer: &JsonSchema, budget: &mut Budget) -> Comparison {
    let mut walk = Walk {
        reader,
        writer,
        budget,
        nothing: digest_of_nothing(),
        queue: VecDeque::new(),
        seen: HashSet::new(),
        trial: 0,
        depth: 0,
        open: HashSet::new(),
        proven: HashSet::new(),
        tentative: Vec::new(),
        refuted: HashSet::new(),
        same: HashMap::new(),
        gathered: None,
        samples: Budget::new(sample::STEPS),
        is_sampling: false,
        differences: BTreeMap::new(),
    };
    let root = |side| Part { side, id: 0 };
    let whole = walk.check(vec![root(Side::Writer)], root(Side::Reader), &Place::Root);
    if whole.and_then(|_| walk.drain()).is_err() {
        walk.add(Difference {
            path: String::new(),
            rule: "TOO_COMPLEX",
            message: "the comparison takes more steps than it may".to_owned(),
            verdict: Verdict::Unknown,
        });
    }
    Comparison { differences: walk.differences.into_values().collect() }
}

/// A question: whether all that these parts let through, the other one does.
type Pair = (All, Part);

struct Walk<'a> {
    reader: &'a JsonSchema,
    writer: &'a JsonSchema,
    budget: &'a mut Budget,
    /// The digest of a schema that lets everything through.
    nothing: [u8; 32],
    /// What is still to be looked at to tell all differences.
    queue: VecDeque<(Pair, Place)>,
    seen: HashSet<Pair>,
    /// How many questions that are only asked to be answered yes or no are open.
    trial: usize,
    depth: usize,
    open: HashSet<Pair>,
    proven: HashSet<Pair>,
    /// Of the proven, those that rest on a pair that is still open, in order.
    tentative: Vec<Pair>,
    refuted: HashSet<Pair>,
    same: HashMap<(Part, Part), bool>,
    /// Whole values that may show a difference, where they are gathered and nothing is told.
    gathered: Option<Vec<Value>>,
    /// What may still be spent on making values, and whether that is being done.
    samples: Budget,
    is_sampling: bool,
    differences: BTreeMap<(String, &'static str), Difference>,
}

impl Walk<'_> {
    fn drain(&mut self) -> Result<(), Exhausted> {
        while let Some(((parts, target), place)) = self.queue.pop_front() {
            self.answer(&parts, target, &place)?;
        }
        Ok(())
    }

    /// Asks whether all that `parts` let through, `target` does. Where differences are told, the
    /// question is put in the queue, and the answer here is yes for now.
    fn check(&mut self, parts: All, target: Part, place: &Place) -> Result<bool, Exhausted> {
        self.budget.step()?;
        if self.is_trivial(&parts, target)? {
            return Ok(true);
        }
        let pair = (parts, target);
        if self.trial == 0 {
            if self.seen.insert(pair.clone()) {
                self.queue.push_back((pair, place.clone()));
            }
            return Ok(true);
        }
        if self.seen.contains(&pair) || self.proven.contains(&pair) || self.open.contains(&pair) {
            return Ok(true);
        }
        if self.refuted.contains(&pair) || self.depth >= MAX_DEPTH {
            return Ok(false);
        }
        self.open.insert(pair.clone());
        let mark = self.tentative.len();
        let holds = self.answer(&pair.0, target, place)?;
        self.open.remove(&pair);
        if holds {
            self.tentative.push(pair.clone());
            self.proven.insert(pair);
            if self.open.is_empty() {
                self.tentative.clear();
            }
        } else {
            // What was proven in the meantime may rest on this.
            for pair in self.tentative.drain(mark..) {
                self.proven.remove(&pair);
            }
            self.refuted.insert(pair);
        }
        Ok(holds)
    }

    /// Whether it can be proven, at once.
    fn proves(&mut self, parts: All, target: Part) -> Result<bool, Exhausted> {
        self.quietly(|walk| walk.check(parts, target, &Place::Lost))
    }

    /// Asks without telling anything.
    fn quietly(
        &mut self,
        ask: impl FnOnce(&mut Self) -> Result<bool, Exhausted>,
    ) -> Result<bool, Exhausted> {
        self.trial += 1;
        let answer = ask(self);
        self.trial -= 1;
        answer
    }

    fn is_trivial(&mut self, parts: &[Part], target: Part) -> Result<bool, Exhausted> {
        let schema = self.of_side(target.side);
        let Some(node) = schema.node(target.id) else { return Ok(false) };
        if node.is_anything(&self.nothing) {
            return Ok(true);
        }
        for part in parts {
            if self.is_same(*part, target)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn answer(&mut self, parts: &[Part], target: Part, place: &Place) -> Result<bool, Exhausted> {
        let Some(shapes) = self.shapes(parts)? else {
            let message = "the writer has too many alternatives here to look at each".to_owned();
            return self.differ(target, "", ("TOO_COMPLEX", message), Vec::new(), place);
        };
        let mut holds = true;
        for shape in shapes {
            holds &= self.lets_through(&Rc::new(shape), target, place)?;
            if !holds && self.trial > 0 {
                break;
            }
        }
        Ok(holds)
    }

    /// Whether a node lets all of a shape through.
    fn lets_through(
        &mut self,
        shape: &Rc<Shape>,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        self.budget.step()?;
        if self.depth >= MAX_DEPTH {
            let message = "the schemas are nested too deep to compare here".to_owned();
            return self.differ(target, "", ("TOO_COMPLEX", message), Vec::new(), place);
        }
        self.depth += 1;
        let holds = self.keywords(shape, target, place);
        self.depth -= 1;
        holds
    }

    fn keywords(
        &mut self,
        shape: &Rc<Shape>,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        self.charge(shape.parts.len())?;
        if self.is_trivial(&shape.parts, target)? || self.is_trivial(&shape.of, target)? {
            return Ok(true);
        }
        let schema = self.of_side(target.side);
        let Some(node) = schema.node(target.id) else { return Ok(true) };
        if let Kind::Values(values) = &shape.kind {
            return self.values(values, target, place);
        }
        if node.boolean == Some(false) {
            let examples = self.samples(shape, 0)?;
            let message = "the reader accepts nothing here, and the writer something".to_owned();
            return self.differ(target, "", ("NOTHING_ACCEPTED", message), examples, place);
        }
        if !self.types(shape, node, target, place)? {
            return Ok(false);
        }
        if node.values.is_some() {
            let examples = self.samples(shape, 0)?;
            let message = format!(
                "the reader accepts certain values only, and the writer any {}",
                shape.kind.name()
            );
            return self.differ(target, "enum", ("ENUM_ARRAY_NARROWED", message), examples, place);
        }
        let mut holds = true;
        for id in node.reference.iter().chain(&node.all_of) {
            holds &= self.lets_through(shape, Part { id: *id, ..target }, place)?;
            if !holds && self.trial > 0 {
                return Ok(false);
            }
        }
        holds &= self.any_of(shape, node, target, place)?;
        holds &= self.one_of(shape, node, target, place)?;
        holds &= self.not(shape, node, target, place)?;
        holds &= self.conditional(shape, node, target, place)?;
        if !holds && self.trial > 0 {
            return Ok(false);
        }
        let own = match shape.kind {
            Kind::Number => self.number(shape, node, target, place)?,
            Kind::String => self.string(shape, node, target, place)?,
            Kind::Array => self.array(shape, node, target, place)?,
            Kind::Object => self.object(shape, node, target, place)?,
            Kind::Values(_) => true,
        };
        Ok(holds && own)
    }

    fn types(
        &mut self,
        shape: &Rc<Shape>,
        node: &Node,
        target: Part,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        let Some(types) = node.types else { return Ok(true) };
        let name = shape.kind.name();
        let bit = shape.kind.bit();
        if types & bit == 0 {
            let examples = self.samples(shape, 0)?;
            let message = format!(
                "the writer may hold a value of type {name}, which the reader does not take"
            );
            return self.differ(target, "type", ("TYPE_NARROWED", message), examples, place);
        }
        if bit == NUMBER && node.whole && !shape.whole {
            let mut examples = vec![serde_json::json!(0.5), serde_json::json!(-0.5)];
            examples.extend(self.samples(shape, 0)?);
            let message =
                "the writer may hold any number, and the reader takes integers only".to_owned();
            return self.differ(target, "type", ("TYPE_NARROWED", message), examples, place);
        }
        Ok(true)
    }

    /// Values are few enough to be judged one by one.
    fn values(&mut self, values: &[Value], target: Part, place: &Place) -> Result<bool, Exhausted> {
        let mut refused = Vec::new();
        let mut unknown = false;
        for value in values {
            let schema = self.of_side(target.side);
            match schema.accepts(target.id, value, self.budget)? {
                Some(true) => {}
                judgement => {
                    unknown |= judgement.is_none();
                    refused.push(value.clone());
                    if self.trial > 0 {
                        return Ok(false);
                    }
                }
            }
        }
        let Some(first) = refused.first() else { return Ok(true) };
        let told = super::shortened(&first.to_string(), 60);
        let more = match refused.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (target, keyword, rule) = self.why_refused(target, first)?;
        let message = if unknown {
            format!("it cannot be told whether the reader takes {told}{more}")
        } else {
            format!("the writer may hold {told}{more}, which the reader does not take")
        };
        self.differ(target, keyword, (rule, message), refused, place)
    }

    /// The node and the keyword that refuse a value: what is referred to says so more clearly.
    fn why_refused(
        &mut self,
        mut target: Part,
        value: &Value,
    ) -> Result<(Part, &'static str, &'static str), Exhausted> {
        let bit = super::evaluate::type_of(value);
        'down: loop {
            let schema = self.of_side(target.side);
            let Some(node) = schema.node(target.id) else { break };
            if node.types.is_some_and(|types| types & bit == 0) {
                return Ok((target, "type", "TYPE_NARROWED"));
            }
            if node.values.is_some() {
                return Ok((target, "enum", "ENUM_ARRAY_NARROWED"));
            }
            for id in node.reference.iter().chain(&node.all_of) {
                if schema.accepts(*id, value, self.budget)? == Some(false) {
                    target = Part { id: *id, ..target };
                    continue 'down;
                }
            }
            break;
        }
        Ok((target, "", "VALUE_REFUSED"))
    }

    /// Takes as many steps.
    fn charge(&mut self, steps: usize) -> Result<(), Exhausted> {
        (0..steps).try_for_each(|_| self.budget.step())
    }
}
