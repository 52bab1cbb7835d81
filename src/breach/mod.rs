//! Breaches: for how long a dataset was beyond a limit of its policy, and who is told of it.
//!
//! Freshness follows from the clock, so a breach begins without anybody's call: a sweeper, led by one
//! instance at a time, opens and ends breaches by the injected clock.
//!
//! Invariants: at most one breach is open per dataset and policy; from WARN to FAIL it is the same
//! one; a breach begins at the first instant beyond its limit, whenever it was noticed. Whatever
//! happens is an event in the same transaction, numbered 1, 2, 3 … within the tenant in the order of
//! commit (all that append take one lock), so that a reader who goes on after the last number it saw
//! misses nothing. A mute holds back deliveries; it changes no verdict and hides no breach.
//!
//! [`sweeper`] opens and resolves, [`delivery`] tells the webhook, [`command`] is what people do.

pub mod command;
pub mod delivery;
mod feed;
pub mod graphql;
pub mod loader;
pub mod model;
mod mutation;
mod outbox;
pub mod repository;
mod store;
pub mod sweeper;
