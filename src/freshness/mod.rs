//! Freshness: is a dataset as recent as its policy asks.
//!
//! Invariants: freshness is a pure function of the present instant, the policy and the last success,
//! never stored; a policy is never changed, only followed by its next version.

pub mod model;
