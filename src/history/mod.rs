//! History: what a dataset's runs amounted to over a range of time, and whether that is usual.
//!
//! Invariants: everything here is computed when it is asked for, from the log and the versions of the
//! policies, so that an event that arrives late changes the history it belongs to. Every read is
//! bounded per dataset, whatever the length of the log: ranges of an index, cut off at a stated
//! number of rows, which the answer then says. A board asks for all its datasets in one statement.

pub mod graphql;
pub mod loader;
pub mod model;
pub mod repository;
