//! Freshness: what is asked of a dataset, and whether it is kept.
//!
//! Invariants: a policy's version is never changed, a new one is added; the policy that applies to a
//! dataset, and the instants at which its status changes, stand in its refresh state and are brought
//! up to date in the transaction of whatever they depend on ([`applying`]); a verdict is computed when
//! it is read, from these instants, and never stored.

mod applied;
mod applying;
pub mod calendar_command;
pub mod calendars;
pub mod command;
pub mod graphql;
mod input;
pub mod loader;
pub mod model;
mod mutation;
mod policy_graphql;
pub mod repository;
mod selected;
