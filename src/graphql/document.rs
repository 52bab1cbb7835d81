//! A document that may be executed: parsed, and within the limits that its text alone can keep.

use async_graphql::{
    Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
};
use sha2::{Digest, Sha256};

use super::{expansion::Expansion, sdl};
use crate::{config::DocumentLimits, error::Result};

/// The most memory that a node of a parsed document takes.
const NODE_BYTES: u32 = 320;

/// See the [module](self). What was found out about it once is kept beside it.
#[derive(Debug)]
pub struct Document {
    parsed: ExecutableDocument,
    expansion: Expansion,
    introspects: bool,
    weight: u32,
    hash: [u8; 32],
}

impl Document {
    /// Checks a document that was parsed from this text.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`](crate::error::Error::LimitExceeded) with the name of the limit.
    pub fn new(parsed: ExecutableDocument, text: &str, limits: &DocumentLimits) -> Result<Self> {
        let expansion = Expansion::of(&parsed, limits)?;
        let introspects = sdl::introspects(&parsed);
        let nodes = expansion.nodes().saturating_mul(NODE_BYTES);
        let weight = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(nodes);
        let hash = Sha256::digest(text).into();
        Ok(Self { parsed, expansion, introspects, weight, hash })
    }

    /// Checks the variables that come with it.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn takes(&self, variables: &Variables, limits: &DocumentLimits) -> Result<()> {
        self.expansion.check(variables, limits)
    }

    /// The document.
    #[must_use]
    pub const fn parsed(&self) -> &ExecutableDocument {
        &self.parsed
    }

    /// SHA-256 of its text.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// How much memory it takes, in bytes, at most.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
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
