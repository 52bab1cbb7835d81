//! The evidence ledger: what was written to the audit trail can be shown, and not be rewritten. // D36, D44
//!
//! Each tenant has a Merkle log of its audit events (RFC 6962), and calls without a tenant have one
//! together. The leaf of an event is its canonical form; the order is the one in which the events'
//! transactions began, taken once none before it can still end (see `m0014_evidence`). A log is kept as
//! tiles (C2SP tlog-tiles), and its size and root are signed as a checkpoint (C2SP tlog-checkpoint), so
//! that anybody with the public key can check with other tools what is in it, and that it only grew.
//!
//! Invariants: tiles, head and checkpoint of a pass are written in one transaction under the lock of the
//! head, so that a crash loses and repeats no leaf, and two sequencers at once do nothing twice; a log
//! whose checkpoint is not signed by this key, or does not fit its tiles, is not appended to.

mod entries;
pub mod export;
pub mod files;
pub mod graphql;
pub mod key;
pub mod loader;
pub mod model;
pub mod note;
pub mod proof;
pub mod publisher;
pub mod sequencer;
mod store;
mod stored;
mod trail;
pub mod verify;
pub mod witness;

pub use key::{BadKey, SigningKey};
pub use note::Signatory;
