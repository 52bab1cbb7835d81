//! The Schema Registry: what the data looks like, and who agreed to it.
//!
//! So far what can be said of schemas by themselves ([`model`]): whether a text is one, what is the same one
//! written differently, whether one reads what another wrote, and what a payload violates.
//!
//! Invariants: whatever a text or a payload holds, reading, comparing and checking end, with an error or with
//! UNKNOWN if it is too much: work is counted and not timed ([`model::verdict::Budget`]), depth and bytes are
//! bounded.

pub mod command;
pub mod content;
pub mod events;
pub mod governance;

pub mod loader;

pub mod model;
pub mod page;
pub mod repository;
mod verdicts;
