//! The Schema Registry: what the data looks like, and who agreed to it.
//!
//! What can be said of schemas by themselves is in [`model`]: whether a text is one, what is the same one written
//! differently, whether one reads what another wrote, what a payload violates, and where a version is in its
//! life. What is kept: schemas and versions ([`repository`]), what these say ([`content`]), what uses them
//! ([`usage`]), what was asked and
//! decided about them ([`governance`]), and what happened ([`events`]), which is told ([`delivery`]).
//!
//! Invariants: whatever a text or a payload holds, reading, comparing and checking end, with an error or with
//! UNKNOWN if it is too much: work is counted and not timed ([`model::verdict::Budget`]), depth and bytes are
//! bounded. No version is in use without the approval of somebody else than who asked, for the content that it
//! has, and that content never changes again. No number is given twice.

pub mod cloud_event;
pub mod command;
pub mod content;
pub mod delivery;
pub mod drift;
mod drift_accept;
pub mod drift_graphql;
pub mod drift_store;
pub mod events;
pub mod evolution_graphql;
pub mod expiry;
mod feed;
pub mod governance;
pub mod graphql;

pub mod loader;

pub mod model;
pub mod mutation;
pub mod page;
pub mod query;
pub mod replay;
pub mod repository;
pub mod subjects;
pub mod tasks;
pub mod transition_graphql;
pub mod usage;
pub mod usage_graphql;
pub mod validation;
pub mod verdicts;
pub mod verify;
