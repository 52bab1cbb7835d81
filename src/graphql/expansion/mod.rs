//! How large a document is once its fragments are spread, before anything spreads them.
//!
//! Validation walks into a fragment at every place where it is spread, so a document of a few hundred
//! bytes whose fragments each spread the next one twice takes hours. It compares every field with the
//! one before it by the same name, argument by argument, and writes a text for each that differs: 16 KB
//! of document came to a gigabyte of answer. And it copies the value of a variable wherever one is
//! used. Here each fragment is looked at once ([`walk`]), what it has is multiplied by how often it is
//! spread, and what comes out is compared with the limits.

use std::collections::HashMap;

use async_graphql::{Name, Variables, parser::types::ExecutableDocument};
use async_graphql_value::{ConstValue, Value};

use crate::{
    config::DocumentLimits,
    error::{Error, Result},
};

#[cfg(test)]
mod tests;
mod walk;

/// The most selections (fields and spreads) of a document, fragments spread.
const MAX_SELECTIONS: u64 = 10_000;
/// The deepest that selections may be nested, fragments spread.
const MAX_NESTING: u64 = 64;
/// The most fields at the root of one operation: each is a question of its own to the database.
const MAX_ROOT_FIELDS: u64 = 50;
/// The most operations of a document, of which one is executed and all are validated.
const MAX_OPERATIONS: u64 = 50;
/// The most variables that a document defines.
const MAX_VARIABLES: u64 = 200;
/// The most arguments of one field or directive.
const MAX_ARGUMENTS: u64 = 32;
/// The most comparisons that validation makes: of fields that may be the same, argument by argument,
/// and of variables, operation by operation.
const MAX_COMPARISONS: u64 = 20_000;

/// What a document comes to, fragments spread.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// Everything that the text itself has.
    nodes: u64,
    selections: u64,
    aliases: u64,
    directives: u64,
    /// Values of arguments that stand in the document.
    values: u64,
    /// Entities that are asked for in the document.
    representations: u64,
    /// How often each variable is used.
    uses: HashMap<Name, Uses>,
}

/// How often a variable is used, fragments spread.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Uses {
    /// In all.
    total: u64,
    /// As the entities that are asked for.
    representations: u64,
    /// Of how many values its default is.
    default: u64,
}

impl Expansion {
    /// Measures a document. What its fragments spread in a circle is left to the validation, which
    /// refuses it without walking it.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] with the name of the limit.
    pub fn of(document: &ExecutableDocument, limits: &DocumentLimits) -> Result<Self> {
        let expansion = walk::walk(document)?;
        setting(expansion.aliases, limits.aliases, "limits.graphql_aliases")?;
        setting(expansion.directives, limits.directives, "limits.graphql_directives")?;
        expansion.check(&Variables::default(), limits)?;
        Ok(expansion)
    }

    /// How many nodes the parsed document has.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        u32::try_from(self.nodes).unwrap_or(u32::MAX)
    }

    /// Checks what depends on the variables that come with the document.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn check(&self, variables: &Variables, limits: &DocumentLimits) -> Result<()> {
        let (mut values, mut representations) = (self.values, self.representations);
        for (name, uses) in &self.uses {
            let given = variables.get(name);
            let size = given.map_or(uses.default, size);
            values = values.saturating_add(size.saturating_mul(uses.total));
            let entities = match given {
                Some(ConstValue::List(entities)) => count(entities.len()),
                _ => 1,
            };
            let entities = entities.saturating_mul(uses.representations);
            representations = representations.saturating_add(entities);
        }
        setting(representations, limits.representations, "limits.graphql_representations")?;
        setting(values, limits.values, "limits.graphql_values")
    }
}

/// How many values a value is made of.
fn size(value: &ConstValue) -> u64 {
    match value {
        ConstValue::List(items) => items.iter().map(size).fold(1, u64::saturating_add),
        ConstValue::Object(members) => members.values().map(size).fold(1, u64::saturating_add),
        _ => 1,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn setting(value: u64, maximum: usize, limit: &'static str) -> Result<()> {
    within(value, count(maximum), limit)
}

fn within(value: u64, maximum: u64, limit: &'static str) -> Result<()> {
    if value <= maximum { Ok(()) } else { Err(Error::LimitExceeded { limit, maximum }) }
}
