//! Telling a difference, and looking for a value that shows it.

use serde_json::{Map, Value};

use super::super::super::verdict::{Difference, Exhausted, Verdict};
use super::super::evaluate;
use super::super::{limits, shortened};
use super::{MAX_DIFFERENCES, Part, Place, Side, Step, Walk};

/// The most values that are tried for one difference.
const MAX_EXAMPLES: usize = 24;

impl Walk<'_> {
    /// Tells that a keyword of the reader's may not let through what the writer holds. The answer
    /// is always no. `examples` may show it at the place that is spoken of.
    pub(super) fn differ(
        &mut self,
        target: Part,
        keyword: &str,
        told: (&'static str, String),
        examples: Vec<Value>,
        place: &Place,
    ) -> Result<bool, Exhausted> {
        if self.trial > 0 || target.side == Side::Writer {
            return Ok(false);
        }
        let mut whole = Vec::new();
        for example in examples.into_iter().take(MAX_EXAMPLES) {
            whole.extend(self.whole(example, place)?);
        }
        self.tell(target, keyword, told, whole)
    }

    /// The same with whole values.
    pub(super) fn tell(
        &mut self,
        target: Part,
        keyword: &str,
        (rule, message): (&'static str, String),
        whole: Vec<Value>,
    ) -> Result<bool, Exhausted> {
        if let Some(gathered) = &mut self.gathered {
            if gathered.len() < 4 * MAX_EXAMPLES {
                gathered.extend(whole);
            }
            return Ok(false);
        }
        let written = self.part(target).map(|node| node.written.as_str()).unwrap_or_default();
        let path = match keyword {
            "" => written.to_owned(),
            keyword => format!("{written}/{}", limits::escape(keyword)),
        };
        let key = (path.clone(), rule);
        let known = self.differences.get(&key).map(|difference| difference.verdict);
        let full = self.differences.len() >= MAX_DIFFERENCES && known.is_none();
        if known == Some(Verdict::Incompatible) {
            return Ok(false);
        }
        if full {
            let message = format!("there are more than {MAX_DIFFERENCES}");
            let (path, rule, verdict) = (String::new(), "TOO_MANY_DIFFERENCES", Verdict::Unknown);
            self.add(Difference { path, rule, message, verdict });
            return Ok(false);
        }
        let message = shortened(&message, 300);
        let mut shown = None;
        for value in whole {
            if self.shows(&value)? {
                shown = Some(value);
                break;
            }
        }
        let (message, verdict) = match shown {
            Some(value) => {
                let value = shortened(&value.to_string(), 200);
                (format!("{message}; an example is {value}"), Verdict::Incompatible)
            }
            None => (format!("{message}; no value was found that shows it"), Verdict::Unknown),
        };
        self.add(Difference { path, rule, message, verdict });
        Ok(false)
    }

    pub(super) fn add(&mut self, difference: Difference) {
        self.differences.insert((difference.path.clone(), difference.rule), difference);
    }

    /// Whether the writer's schema accepts a value and the reader's does not, by the library.
    fn shows(&mut self, value: &Value) -> Result<bool, Exhausted> {
        if limits::count(value).is_err() {
            return Ok(false);
        }
        let (reader, writer) = (self.reader, self.writer);
        evaluate::measure(writer, value, self.budget)?;
        evaluate::measure(reader, value, self.budget)?;
        Ok(writer.validator.is_valid(value) && !reader.validator.is_valid(value))
    }

    /// A whole value that has this one at its place.
    pub(super) fn whole(
        &mut self,
        value: Value,
        place: &Place,
    ) -> Result<Option<Value>, Exhausted> {
        self.sampling(|walk| walk.placed(value, place.clone()))
    }

    fn placed(&mut self, mut value: Value, mut place: Place) -> Result<Option<Value>, Exhausted> {
        loop {
            self.budget.step()?;
            let frame = match place {
                Place::Root => return Ok(Some(value)),
                Place::Lost => return Ok(None),
                Place::In(frame) => frame,
            };
            value = match &frame.step {
                Step::Property(shape, name) => {
                    let mut members = self.members(shape, 0)?;
                    members.insert(name.clone(), value);
                    Value::Object(members)
                }
                Step::Name(shape) => {
                    let Value::String(name) = value else { return Ok(None) };
                    let parts = self.property(shape, &name);
                    let Some(value) = self.sample_of(&parts, 0)? else { return Ok(None) };
                    let mut members: Map<String, Value> = self.members(shape, 0)?;
                    members.insert(name, value);
                    Value::Object(members)
                }
                Step::Item(shape, index) => {
                    let least = self.item_counts(shape).least;
                    let mut items = Vec::new();
                    let count = usize::try_from(least).unwrap_or(0).min(50).max(index + 1);
                    for position in 0..count {
                        if position == *index {
                            items.push(value.clone());
                            continue;
                        }
                        let parts = self.item(shape, position);
                        let Some(item) = self.sample_of(&parts, 0)? else { return Ok(None) };
                        items.push(item);
                    }
                    Value::Array(items)
                }
            };
            place = frame.within.clone();
        }
    }
}
