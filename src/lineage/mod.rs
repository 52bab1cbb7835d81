//! Lineage: which dataset is made from which, and what a late one makes late.
//!
//! Invariants: an edge says that a run read the one dataset and wrote the other; it is written in the
//! transaction of the event that tells of it, and what it says is a function of the set of runs. A
//! walk is bounded in depth, nodes and edges, and reads one statement per level; it never leaves the
//! caller's tenant.

pub mod graphql;
pub mod loader;
pub mod model;
pub mod repository;
