//! What a document costs, before anything runs: by the rules of the `@cost` and `@listSize` directives
//! (the specification of IBM, as Apollo's demand control counts), from what the SDL itself says.
//!
//! An object costs 1 or the weight of its field, a scalar nothing; what stands in a list costs so many
//! times as much as the list may be long; a mutation costs 10 more. A page is as long as its argument
//! says, also where that is a variable. `_entities` are as many as there are representations.
//!
//! Fragments are measured once, as in [`expansion`](super::expansion), whose check comes first and
//! bounds how deep this goes.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Value as ConstValue, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field as Selected, OperationDefinition, OperationType,
        Selection, SelectionSet,
    },
};
use async_graphql_value::Value;

use self::sizes::{Field, Size, Sizes, whole};
use crate::error::{Error, Result};

mod sizes;

/// What a mutation costs besides its fields.
const MUTATION: u64 = 10;
/// How long a list is of which nothing tells it. In this graph something does, of each.
const UNKNOWN_SIZE: u64 = 10;
/// The deepest that a circle of fragments is followed; [`expansion`](super::expansion) lets nothing
/// else come as far.
const MAX_DEPTH: u64 = 64;

/// What everything in the graph costs.
#[derive(Debug)]
pub struct Costs(Sizes);

impl Costs {
    /// What an SDL says.
    #[must_use]
    pub fn of(sdl: &str) -> Self {
        Self(Sizes::read(sdl))
    }

    /// What the operation of a document costs that is to be executed with these variables. What the
    /// validation will refuse costs nothing.
    ///
    /// # Errors
    /// [`Error::BadUserInput`] for a list that must be told its length in exactly one way and is not.
    pub fn measure(
        &self,
        document: &ExecutableDocument,
        operation: Option<&str>,
        variables: &Variables,
    ) -> Result<u64> {
        let Some(operation) = super::document::operation(document, operation) else {
            return Ok(0);
        };
        let known = HashMap::new();
        let mut measuring = Measuring { sizes: &self.0, document, operation, variables, known };
        let (root, base) = match operation.ty {
            OperationType::Query => ("Query", 0),
            OperationType::Mutation => ("Mutation", MUTATION),
            OperationType::Subscription => ("Subscription", 0),
        };
        let sum = measuring.set(root, &operation.selection_set.node, 0)?;
        Ok(sum.times(UNKNOWN_SIZE).saturating_add(base))
    }
}

/// What a selection set costs for one object.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// Whatever the object is.
    fixed: u64,
    /// For each element of the lists whose length a field above tells.
    each: u64,
}

impl Sum {
    const fn times(self, length: u64) -> u64 {
        self.fixed.saturating_add(self.each.saturating_mul(length))
    }
}

struct Measuring<'d> {
    sizes: &'d Sizes,
    document: &'d ExecutableDocument,
    operation: &'d OperationDefinition,
    variables: &'d Variables,
    /// What fragments cost. One that is being measured costs nothing: whatever meets it then is a
    /// circle, and is refused later.
    known: HashMap<&'d Name, Sum>,
}

impl<'d> Measuring<'d> {
    fn set(&mut self, object: &str, set: &'d SelectionSet, depth: u64) -> Result<Sum> {
        let mut sum = Sum::default();
        if depth > MAX_DEPTH {
            return Ok(sum);
        }
        for selection in &set.items {
            let inner = match &selection.node {
                Selection::Field(field) if self.is_left_out(&field.node.directives) => continue,
                Selection::Field(field) => self.field(object, &field.node, depth)?,
                Selection::InlineFragment(inline) => {
                    let inline = &inline.node;
                    if self.is_left_out(&inline.directives) {
                        continue;
                    }
                    let on = inline.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    self.set(on.unwrap_or(object), &inline.selection_set.node, depth + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    if self.is_left_out(&spread.node.directives) {
                        continue;
                    }
                    self.fragment(&spread.node.fragment_name.node, depth + 1)?
                }
            };
            sum.fixed = sum.fixed.saturating_add(inner.fixed);
            sum.each = sum.each.saturating_add(inner.each);
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &Name, depth: u64) -> Result<Sum> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Sum::default());
        };
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        self.known.insert(name, Sum::default());
        let on = fragment.node.type_condition.node.on.node.as_str();
        let sum = self.set(on, &fragment.node.selection_set.node, depth)?;
        self.known.insert(name, sum);
        Ok(sum)
    }

    fn field(&mut self, object: &str, selected: &'d Selected, depth: u64) -> Result<Sum> {
        let name = selected.name.node.as_str();
        if name == "_entities" {
            let below = self.set("_Entity", &selected.selection_set.node, depth + 1)?;
            let one = below.times(UNKNOWN_SIZE).saturating_add(1);
            let many = selected.get_argument("representations");
            let many = many.map_or(0, |many| self.length(&many.node));
            return Ok(Sum { fixed: one.saturating_mul(many), each: 0 });
        }
        let Some(field) = self.sizes.field(object, name) else { return Ok(Sum::default()) };
        let below = self.set(&field.of, &selected.selection_set.node, depth + 1)?;
        let length = match &field.size {
            Some(size) => self.told(size, selected)?,
            None => None,
        };
        Ok(field.sum(below, length))
    }

    /// The length that the arguments of a field tell, else the one that is assumed.
    fn told(&self, size: &Size, selected: &Selected) -> Result<Option<u64>> {
        let given = |(name, default): &(String, Option<u64>)| {
            let given = selected.get_argument(name).and_then(|value| self.value(&value.node));
            given.as_ref().and_then(whole).or(*default)
        };
        let given: Vec<_> = size.slicing.iter().filter_map(given).collect();
        if size.requires_one && !size.slicing.is_empty() && given.len() != 1 {
            let names: Vec<_> = size.slicing.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("needs exactly one of {}", names.join(", "));
            return Err(Error::bad_input(selected.name.node.to_string(), message));
        }
        Ok(given.into_iter().max().or(size.assumed))
    }

    /// A value, if it is one or a variable that has one.
    fn value(&self, value: &Value) -> Option<ConstValue> {
        match value {
            Value::Variable(name) => self.variable(name).cloned(),
            Value::Number(number) => Some(ConstValue::Number(number.clone())),
            Value::Boolean(boolean) => Some(ConstValue::Boolean(*boolean)),
            _ => None,
        }
    }

    fn variable(&self, name: &Name) -> Option<&'d ConstValue> {
        let default = || {
            let mut defined = self.operation.variable_definitions.iter();
            let defined = defined.find(|defined| defined.node.name.node == *name)?;
            defined.node.default_value.as_ref().map(|value| &value.node)
        };
        self.variables.get(name).or_else(default)
    }

    /// How many elements a value has as a list: one that is none is a list of one.
    fn length(&self, value: &Value) -> u64 {
        let elements = match value {
            Value::List(list) => list.len(),
            Value::Variable(name) => match self.variable(name) {
                Some(ConstValue::List(list)) => list.len(),
                _ => 1,
            },
            _ => 1,
        };
        u64::try_from(elements).unwrap_or(u64::MAX)
    }

    /// Whether `@skip` or `@include` leave a selection out.
    fn is_left_out(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().any(|directive| {
            let leaves_out = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            let condition = directive.node.get_argument("if");
            let condition = condition.and_then(|condition| self.value(&condition.node));
            condition == Some(ConstValue::Boolean(leaves_out))
        })
    }
}

impl Field {
    /// What the field costs, given what one object below costs and the length that it tells.
    fn sum(&self, below: Sum, length: Option<u64>) -> Sum {
        let is_below = self.size.as_ref().is_some_and(|size| size.is_below);
        let inner = if is_below { length } else { None };
        let one = below.times(inner.unwrap_or(UNKNOWN_SIZE)).saturating_add(self.weight);
        match (self.is_list, self.is_sized_above) {
            (false, _) => Sum { fixed: one, each: 0 },
            (true, true) => Sum { fixed: 0, each: one },
            (true, false) => {
                let own = if is_below { None } else { length };
                Sum { fixed: one.saturating_mul(own.unwrap_or(UNKNOWN_SIZE)), each: 0 }
            }
        }
    }
}

#[cfg(test)]
mod tests;
