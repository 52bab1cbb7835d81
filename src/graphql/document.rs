//! A document that may be executed: parsed, and within the limits that its text alone can keep.

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};

use super::{expansion, sdl};
use crate::error::Result;

/// See the [module](self). What was found out about it once is kept beside it.
#[derive(Debug)]
pub struct Document {
    parsed: ExecutableDocument,
    introspects: bool,
}

impl Document {
    /// Checks a parsed document.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`](crate::error::Error::LimitExceeded) with the name of the limit.
    pub fn new(parsed: ExecutableDocument) -> Result<Self> {
        expansion::check(&parsed)?;
        let introspects = sdl::introspects(&parsed);
        Ok(Self { parsed, introspects })
    }

    /// The document.
    #[must_use]
    pub const fn parsed(&self) -> &ExecutableDocument {
        &self.parsed
    }

    /// Whether it asks for the schema, in any of its operations.
    #[must_use]
    pub const fn introspects(&self) -> bool {
        self.introspects
    }

    /// The kind of the operation that would run; none if it cannot be told which one.
    #[must_use]
    pub fn selected(&self, name: Option<&str>) -> Option<OperationType> {
        operation(&self.parsed, name).map(|operation| operation.ty)
    }
}

/// The operation of a document that would run; none if it cannot be told which one.
pub(super) fn operation<'d>(
    document: &'d ExecutableDocument,
    name: Option<&str>,
) -> Option<&'d OperationDefinition> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => operation,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name)?,
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()?
        }
        (DocumentOperations::Multiple(_), None) => return None,
    };
    Some(&operation.node)
}
