//! What other tools found about the freshness of a dataset, kept beside what this service finds.
//!
//! Invariants: at most one verdict per dataset and tool, the one that was made last, in whatever order
//! they are imported; a verdict comes in together with the event that it is based on, in one
//! transaction, by the recorder of all events; it decides nothing here.
//!
//! To add a tool: a value of [`model::Source`], a reader of its file that makes [`import::Item`]s.

pub mod dbt;
pub mod graphql;
pub mod import;
pub mod loader;
pub mod model;
pub(super) mod store;
