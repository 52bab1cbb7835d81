//! Who is calling, and what they may do.
//!
//! [`TokenVerifier`](verifier::TokenVerifier) is the only maker of a [`Principal`]; [`policy`] is the
//! only table of rights. Everything else in the house takes a `&Principal` and cannot make one.

pub mod policy;
pub mod principal;

pub use principal::{Principal, TenantId};
