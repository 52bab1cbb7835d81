//! Changes: what subscribers are told, numbered, so that whoever goes on after the last number it saw
//! misses nothing.
//!
//! A writer leaves a mark in its own transaction (for refresh states a trigger does, see
//! `m0012_changes`) and waits for nobody. The [`announcer`] takes the marks of a tenant away, judges
//! the freshness of what they name and of what time alone has changed, and appends to the logs, in one
//! transaction per tenant at a time. That transaction also notifies ([`crate::live`]).
//!
//! Invariants: numbers are 1, 2, 3 … within a tenant and a log, in the order of commit; a run event is
//! in the log once; of a dataset each change follows from the one before it. What happens between two
//! passes (a fraction of a second) may be told as one change.

pub mod announcer;
mod feed;
pub mod graphql;
pub mod model;
mod repository;
mod store;
