//! Refreshes: the runs that write datasets, and what they amount to for each dataset.
//!
//! Invariants: events are only ever added, each once; the state of a run is a function of the set of
//! its events, and the refresh state of a dataset a function of the set of its runs, so that neither
//! the order nor a repetition of what a producer sends matters.
//!
//! [`record`] is the one way in, for OpenLineage and for GraphQL alike: event → run → log → state,
//! in one transaction.

pub mod external;
pub mod graphql;
mod link;
pub mod loader;
pub mod model;
mod mutation;
mod observed;
pub mod openlineage;
pub mod record;
pub mod report;
pub mod repository;
mod resolve;
mod retained;
mod state_store;
mod store;
