//! What runs report of a dataset's fields, against the schema that the dataset is bound to.
//!
//! A run reports types in the words of its own system (`VARCHAR(255)`, `bigint`, `array<struct<…>>`), and a
//! schema has those of its format. Both are brought to a [`shape`] of families, and only families are
//! compared: a number that became wider is no drift, one that became a text is. What is not said, or in words
//! that nobody knows, agrees with everything. Whether a field may be null is not compared: runs do not say.
//!
//! [`draft`] makes an Avro schema of what a run reports, from which it does not drift.

mod draft;
mod facet;
pub(super) mod shape;
mod words;

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::format::Schema;
use shape::{Member, Shape};

pub use draft::{NoDraft, draft};
pub use facet::{MAX_DEPTH, MAX_FIELDS};
pub use shape::Family;

/// The property of a field of an Avro schema that has the name of the field in its source, where Avro does
/// not allow that name.
pub const NAME_PROPERTY: &str = "openlineage.name";
/// The most that is told to have drifted.
pub const MAX_DRIFTED: usize = 1_000;
/// The most characters of a name or type that are shown.
const MAX_SHOWN: usize = 200;

crate::wire::wire_enum! {
    /// How what a run reports differs from the schema.
    pub enum DriftKind {
        /// The run reports a field that the schema has not.
        NotInSchema = "NOT_IN_SCHEMA",
        /// The schema has a field that the run does not report.
        NotReported = "NOT_REPORTED",
        /// Both have it, and their types are of different families.
        TypeDiffers = "TYPE_DIFFERS",
        /// The names differ in case only. The types are compared as those of one field.
        CaseDiffers = "CASE_DIFFERS",
        /// There is more than was compared or is told.
        NotWhole = "NOT_WHOLE",
    }
}

/// One difference between what a run reports and the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// The field's path, as a run names it: names with dots between, `[]` for an array's items, `{}` for a
    /// map's values. Empty for the dataset as a whole.
    pub path: String,
    /// How.
    pub kind: DriftKind,
    /// What the run reports: a type in its own words, or a name.
    pub reported: Option<String>,
    /// What the schema has: families of types, or a name.
    pub registered: Option<String>,
    /// The same in a sentence.
    pub message: String,
}

/// What differs between the `fields` of a run's schema facet and the schema, in order of the path. Nothing
/// does if the run reports no fields at all: some producers always send an empty list.
#[must_use]
pub fn drift(fields: &Value, bound: &Schema) -> Vec<Drifted> {
    let (facet, bound) = (facet::read(fields), bound.shape());
    let mut comparison = Comparison { path: Vec::new(), found: Vec::new() };
    comparison.shapes(&facet.shape, &bound);
    let mut found = comparison.found;
    found.sort_by(|left, right| (&left.path, left.kind).cmp(&(&right.path, right.kind)));
    let is_told = found.len() <= MAX_DRIFTED;
    found.truncate(MAX_DRIFTED);
    if !facet.is_whole || !is_told {
        found.insert(0, not_whole());
    }
    found
}

fn not_whole() -> Drifted {
    Drifted {
        path: String::new(),
        kind: DriftKind::NotWhole,
        reported: None,
        registered: None,
        message: format!(
            "more was reported or differs than is looked at: {MAX_FIELDS} fields, {MAX_DEPTH} levels, \
             {MAX_DRIFTED} differences"
        ),
    }
}

/// One step of a path, written out only for what is told.
#[derive(Clone, Copy)]
enum Step<'s> {
    Name(&'s str),
    Items,
    Values,
}

struct Comparison<'s> {
    path: Vec<Step<'s>>,
    found: Vec<Drifted>,
}

impl<'s> Comparison<'s> {
    fn shapes(&mut self, run: &'s Shape<'_>, bound: &'s Shape<'_>) {
        if !run.agrees(bound) {
            let (reported, registered) = (words(run), bound.text());
            let message = format!("the run reports {reported}, and the schema has {registered}");
            return self.tell(DriftKind::TypeDiffers, Some(reported), Some(registered), message);
        }
        if let (Some(run), Some(bound)) = (&run.members, &bound.members) {
            self.members(run, bound);
        }
        if let (Some(item), Some(bound_item)) = (&run.item, &bound.item) {
            let is_map = run.family() == Family::Map;
            let step = if is_map { Step::Values } else { Step::Items };
            self.within(step, |comparison| comparison.shapes(item, bound_item));
        }
    }

    fn members(&mut self, run: &'s [Member<'_>], bound: &'s [Member<'_>]) {
        let mut left: HashMap<&str, &'s Member<'_>> =
            bound.iter().map(|member| (&*member.name, member)).collect();
        let mut unmatched = Vec::new();
        for member in run {
            match left.remove(&*member.name) {
                Some(known) => self.within(Step::Name(&member.name), |comparison| {
                    comparison.shapes(&member.shape, &known.shape);
                }),
                None => unmatched.push(member),
            }
        }
        let mut by_case: HashMap<String, VecDeque<&'s Member<'_>>> = HashMap::new();
        // In the schema's order, so that two of one spelling are always paired alike.
        for member in bound.iter().filter(|member| left.contains_key(&*member.name)) {
            by_case.entry(member.name.to_lowercase()).or_default().push_back(member);
        }
        for member in unmatched {
            let known = by_case.get_mut(&member.name.to_lowercase()).and_then(VecDeque::pop_front);
            self.within(Step::Name(&member.name), |comparison| match known {
                Some(known) => comparison.other_case(member, known),
                None => comparison.not_in_schema(member),
            });
        }
        for member in by_case.into_values().flatten() {
            self.within(Step::Name(&member.name), |comparison| comparison.not_reported(member));
        }
    }

    fn other_case(&mut self, run: &'s Member<'_>, bound: &'s Member<'_>) {
        let (reported, registered) = (shortened(&run.name), shortened(&bound.name));
        let message = format!("the run reports {reported}, which the schema calls {registered}");
        self.tell(DriftKind::CaseDiffers, Some(reported), Some(registered), message);
        self.shapes(&run.shape, &bound.shape);
    }

    fn not_in_schema(&mut self, run: &Member<'_>) {
        let reported = words(&run.shape);
        let name = shortened(&run.name);
        let message = format!("the run reports {name}, {reported}, which the schema has not");
        self.tell(DriftKind::NotInSchema, Some(reported), None, message);
    }

    fn not_reported(&mut self, bound: &Member<'_>) {
        let registered = bound.shape.text();
        let name = shortened(&bound.name);
        let message = format!("the schema has {name}, {registered}, which the run does not report");
        self.tell(DriftKind::NotReported, None, Some(registered), message);
    }

    fn within(&mut self, step: Step<'s>, compare: impl FnOnce(&mut Self)) {
        self.path.push(step);
        compare(self);
        self.path.pop();
    }

    /// One more than may be told shows that there are more.
    fn tell(
        &mut self,
        kind: DriftKind,
        reported: Option<String>,
        registered: Option<String>,
        message: String,
    ) {
        if self.found.len() <= MAX_DRIFTED {
            let path = written(&self.path);
            self.found.push(Drifted { path, kind, reported, registered, message });
        }
    }
}

/// A type as the run has it, or its family where the run has no words.
fn words(run: &Shape<'_>) -> String {
    match run.words {
        "" => run.text(),
        words => shortened(words),
    }
}

fn written(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Items => text.push_str("[]"),
            Step::Values => text.push_str("{}"),
            Step::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&super::json::step(&shortened(name)));
            }
        }
    }
    text
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
