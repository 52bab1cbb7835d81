//! Datasets: what a tenant has, under which names, who answers for it.
//!
//! Invariants: a dataset is found by its natural key `(namespace, name)` or by an alias, and no two
//! datasets of a tenant share any of these; a retired dataset keeps its names and its history and
//! is on no board; every change that people make raises its row version.

pub mod command;
pub mod graphql;
pub mod loader;
pub mod model;
mod mutation;
pub mod page;
mod reported;
pub mod repository;
