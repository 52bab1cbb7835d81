//! The audit trail: who did what to which dataset, when, and how it ended. // D34, D35
//!
//! Every call leaves one event, and no answer leaves before that is durable. The event of a change is
//! written in the transaction of the change, so that neither can be there without the other; those of
//! all other calls, what was refused and failed among them, are written by the [`Recorder`], many at
//! once, when the call ends. What is known of a call until then is in its [`Record`].
//!
//! The trail can only be appended to: no database role may change or remove an event. Its order and its
//! content are held fast by [`crate::evidence`].

pub mod archive;
pub mod graphql;
pub mod hold;
pub mod model;
pub mod ocsf;
pub mod reading;
pub mod record;
pub mod recorder;
pub mod report;
mod repository;
mod rows;
pub mod siem;
mod spool;
pub mod trail;

pub use model::{Class, Event, Outcome};
pub use record::Record;
pub use recorder::{Ending, NotDurable, Recorder};
pub use repository::{Deed, Entry, OwnEntry, OwnTask, append, append_own};
