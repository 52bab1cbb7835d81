//! Freshness: what is asked of a dataset, and whether it is kept.
//!
//! Invariants: a policy's version is never changed, a new one is added; freshness is computed when
//! it is read, from facts, and never stored as a verdict that time can change.

pub mod command;
pub mod graphql;
pub mod loader;
pub mod model;
pub mod repository;
