//! How large a document is once its fragments are spread, before anything spreads them.
//!
//! Validation walks into a fragment at every place where it is spread, so a document of a few hundred
//! bytes whose fragments each spread the next one twice takes hours. Here each fragment is measured
//! once.

use std::collections::HashMap;

use async_graphql::{
    Name,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use crate::error::{Error, Result};

/// The most selections (fields and spreads) of a document, fragments spread.
const MAX_SELECTIONS: u64 = 10_000;
/// The deepest that selections may be nested, fragments spread.
const MAX_NESTING: u64 = 64;

/// Refuses a document that its fragments make too large or too deep. What they spread in a circle
/// is left to the validation, which refuses it without walking it.
///
/// # Errors
/// [`Error::LimitExceeded`].
pub fn check(document: &ExecutableDocument) -> Result<()> {
    let mut measuring = Measuring { document, known: HashMap::new() };
    let mut selections = 0_u64;
    for (_, operation) in document.operations.iter() {
        let size = measuring.set(&operation.node.selection_set.node, 0)?;
        selections = selections.saturating_add(size.selections);
        size.check()?;
    }
    // Validation walks the fragments that nothing spreads as well.
    for name in document.fragments.keys() {
        measuring.fragment(name, 0)?.check()?;
    }
    Size { selections, nesting: 0 }.check()
}

/// The size of a selection set, fragments spread.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    selections: u64,
    nesting: u64,
}

impl Size {
    fn check(self) -> Result<()> {
        if self.selections > MAX_SELECTIONS {
            return Err(Error::LimitExceeded { limit: "selections", maximum: MAX_SELECTIONS });
        }
        if self.nesting > MAX_NESTING {
            return Err(too_deep());
        }
        Ok(())
    }
}

fn too_deep() -> Error {
    Error::LimitExceeded { limit: "nesting of selections", maximum: MAX_NESTING }
}

struct Measuring<'d> {
    document: &'d ExecutableDocument,
    /// `None` while a fragment is being measured: what meets it then is a circle.
    known: HashMap<&'d Name, Option<Size>>,
}

impl<'d> Measuring<'d> {
    /// `depth` bounds this function's own recursion, which runs along the document's.
    fn set(&mut self, set: &'d SelectionSet, depth: u64) -> Result<Size> {
        if depth > MAX_NESTING {
            return Err(too_deep());
        }
        let mut total = Size::default();
        for selection in &set.items {
            let inner = match &selection.node {
                Selection::Field(field) => self.set(&field.node.selection_set.node, depth + 1)?,
                Selection::InlineFragment(inline) => {
                    self.set(&inline.node.selection_set.node, depth + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, depth + 1)?
                }
            };
            total.selections = total.selections.saturating_add(inner.selections).saturating_add(1);
            total.nesting = total.nesting.max(inner.nesting.saturating_add(1));
        }
        Ok(total)
    }

    fn fragment(&mut self, name: &Name, depth: u64) -> Result<Size> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Size::default());
        };
        if let Some(known) = self.known.get(name) {
            return Ok(known.unwrap_or_default());
        }
        self.known.insert(name, None);
        let size = self.set(&fragment.node.selection_set.node, depth)?;
        self.known.insert(name, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn refused(document: &str) -> Option<&'static str> {
        match check(&parse_query(document).unwrap()) {
            Ok(()) => None,
            Err(Error::LimitExceeded { limit, .. }) => Some(limit),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Fragments of which each spreads the next one `times` times.
    fn chain(length: usize, times: usize) -> String {
        let spread = |next: usize| format!("...f{next} ").repeat(times);
        let link = |index: usize| format!(" fragment f{index} on Query {{ {}}}", spread(index + 1));
        let links: String = (0..length).map(link).collect();
        format!("{{ ...f0 }}{links} fragment f{length} on Query {{ me {{ role }} }}")
    }

    #[test]
    fn fragments_that_double_are_refused_whatever_their_number() {
        assert_eq!(refused(&chain(10, 2)), None);
        for length in [13, 40, 60] {
            assert_eq!(refused(&chain(length, 2)), Some("selections"), "{length}");
        }
        // Even those that no operation spreads: validation walks them all the same.
        let unused = chain(40, 2).replacen("{ ...f0 }", "{ me { role } }", 1);
        assert_eq!(refused(&unused), Some("selections"));
    }

    #[test]
    fn long_chains_and_deep_selections_are_refused() {
        assert_eq!(refused(&chain(60, 1)), None);
        for length in [65, 900] {
            assert_eq!(refused(&chain(length, 1)), Some("nesting of selections"), "{length}");
        }
    }

    #[test]
    fn circles_and_missing_fragments_are_left_to_the_validation() {
        assert_eq!(
            refused("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"),
            None
        );
        assert_eq!(refused("{ ...nowhere }"), None);
    }

    #[test]
    fn selections_of_all_operations_count_together() {
        let field = "me { role } ".repeat(2_000);
        assert_eq!(refused(&format!("query A {{ {field} }} query B {{ {field} }}")), None);
        assert_eq!(
            refused(&format!("query A {{ {field} }} query B {{ {field} }} query C {{ {field} }}")),
            Some("selections")
        );
    }
}
