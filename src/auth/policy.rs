//! The one table of rights: role × scope × operation, as data.
//!
//! Deny by default: an operation without a row here, or a caller without a grant in its row, gets
//! [`Error::Forbidden`](crate::error::Error::Forbidden).

/// The roles of the platform. One per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads freshness.
    Reader,
    /// Audits.
    Auditor,
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScopeSet(u16);
