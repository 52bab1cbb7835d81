//! The audit trail: who did what to which dataset, when, and how it ended. // D34, D35
//!
//! An event is written in the transaction of the change it tells of, so that neither can be there
//! without the other. What was refused or failed changed nothing, and its event has a transaction
//! of its own. The trail can only be appended to: no database role may change or remove an event.

mod repository;
pub mod trail;

pub use repository::{Deed, Entry, Outcome, OwnEntry, OwnTask, append, append_own};
