//! The trail as a stream to a SIEM: every event of every tenant, and of callers without one, in OCSF.
//!
//! How it is streamed is [`streaming`](crate::streaming)'s. Those of one tenant arrive in the ledger's order;
//! `metadata.uid` tells one that comes again.
//!
//! A delivery is no event of the trail itself: each would be one more to deliver.

pub mod cursor;
mod otlp;
mod sink;

pub use sink::{Receiver, Sink};

/// What streams it.
pub type Streamer = crate::streaming::Streamer<Sink>;
